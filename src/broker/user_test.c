#include "tests/test.h"

#include <stdio.h>

#include "broker/core_internal.h"
#include "broker/test_core.h"

static struct bytes B(const char *s) {
    return bytes_from_string(s);
}

TEST(guest_may_log_in_from_the_same_machine_only)
{
    struct test_core t;
    test_core_init(&t);
    expect_ok(test_log_in(&t, "guest", "guest", true));
    expect_err(test_log_in(&t, "guest", "guest", false), E_REFUSED);
    expect_err_text("user 'guest' can only connect via localhost");
    test_user(&t, "guest", "other", "administrator"); /* changing it does not change that */
    expect_err(test_log_in(&t, "guest", "other", false), E_REFUSED);
    test_core_end(&t);
}

TEST(who_may_log_in_from_loopback_only_is_configured)
{
    struct test_core t;
    test_core_init(&t);
    test_user(&t, "a", "x", "");
    t.core->config.loopback_users = "b, a";
    expect_err(test_log_in(&t, "a", "x", false), E_REFUSED);
    expect_ok(test_log_in(&t, "a", "x", true));
    expect_ok(test_log_in(&t, "guest", "guest", false));
    t.core->config.loopback_users = "none";
    expect_ok(test_log_in(&t, "a", "x", false));
    t.core->config.loopback_users =
        "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,"
        "25,26,27,28,29,30,31,32,33";
    expect_err(test_log_in(&t, "a", "x", false), E_REFUSED); /* too many to be sure */
    test_core_end(&t);
}

TEST(a_first_start_makes_the_user_and_the_vhost_that_are_configured)
{
    struct test_core t;
    test_core_init(&t);
    test_core_close(&t);
    disk_free(t.disk);
    t.disk = sim_disk_new();
    t.config.default_user = "admin";
    t.config.default_password = "secret";
    t.config.default_vhost = "main";
    expect_ok(test_core_open(&t));
    test_core_settle(&t);
    t.config.default_user = "later"; /* not a first start */
    test_core_reopen(&t);
    struct user *user = user_find(t.core, B("admin"));
    struct vhost *vhost = vhost_find(t.core, B("main"));
    expect_true(user && vhost && permission_find(user, vhost));
    expect_true(user_may(user, USER_ADMINISTRATOR));
    expect_ok(test_log_in(&t, "admin", "secret", false));
    expect_null(user_find(t.core, B("guest")));
    expect_null(user_find(t.core, B("later")));
    expect_null(vhost_find(t.core, B("/")));
    test_core_end(&t);
}

TEST(a_wrong_password_and_an_unknown_user_are_told_alike)
{
    struct test_core t;
    test_core_init(&t);
    expect_err(test_log_in(&t, "guest", "guess", true), E_REFUSED);
    expect_err_text("user 'guest' - invalid credentials");
    expect_err(test_log_in(&t, "nobody", "guess", true), E_REFUSED);
    expect_err_text("user 'nobody' - invalid credentials");
    test_core_end(&t);
}

TEST(a_user_without_a_password_does_not_log_in_with_one)
{
    struct test_core t;
    struct user *user;
    bool created;
    test_core_init(&t);
    expect_ok(user_put(t.core, B("robot"), &(struct user_spec){0}, &user, &created));
    expect_true(created);
    expect_err(test_log_in(&t, "robot", "robot", true), E_REFUSED);
    expect_err(test_log_in(&t, "robot", "", true), E_REFUSED);
    expect_err_text("blank password");
    test_core_end(&t);
}

TEST(putting_a_user_again_changes_it_as_a_whole)
{
    struct test_core t;
    struct bytes tags[] = {B("policymaker"), B("my-own"), B("policymaker")};
    struct user *user;
    bool created;
    test_core_init(&t);
    test_user(&t, "a", "one", "administrator");
    struct user_spec spec = {
        .tags = tags, .tag_count = 3, .password = password_hash_of(&t.core->random, B("two"))};
    expect_ok(user_put(t.core, B("a"), &spec, &user, &created));
    expect_false(created);
    expect_err(test_log_in(&t, "a", "one", false), E_REFUSED);
    expect_ok(test_log_in(&t, "a", "two", false));
    expect_int(user->tags.count, 2);
    expect_true(tag_list_has(&user->tags, "my-own"));
    expect_false(user_may(user, USER_ADMINISTRATOR));
    test_core_end(&t);
}

TEST(a_higher_tag_counts_as_the_lower_ones)
{
    struct test_core t;
    test_core_init(&t);
    struct user *administrator = test_user(&t, "a", "x", "administrator");
    struct user *monitoring = test_user(&t, "m", "x", "monitoring");
    struct user *policymaker = test_user(&t, "p", "x", "policymaker, impersonator");
    struct user *none = test_user(&t, "n", "x", "");
    expect_true(user_may(administrator, USER_MANAGEMENT));
    expect_true(user_may(administrator, USER_MONITORING));
    expect_true(user_may(administrator, USER_POLICYMAKER));
    expect_false(user_may(administrator, USER_IMPERSONATOR));
    expect_true(user_may(monitoring, USER_MANAGEMENT));
    expect_false(user_may(monitoring, USER_POLICYMAKER));
    expect_false(user_may(monitoring, USER_ADMINISTRATOR));
    expect_true(user_may(policymaker, USER_MANAGEMENT));
    expect_true(user_may(policymaker, USER_IMPERSONATOR));
    expect_false(user_may(none, USER_MANAGEMENT));
    test_core_end(&t);
}

TEST(what_is_no_user_is_refused)
{
    struct test_core t;
    struct user *user;
    struct bytes tags[TAGS_MAX + 1];
    char name[USER_NAME_MAX_BYTES + 2] = {0};
    bool created;
    test_core_init(&t);
    expect_err(user_put(t.core, B(""), &(struct user_spec){0}, &user, &created), E_INVALID);
    memset(name, 'a', sizeof name - 1);
    expect_err(user_put(t.core, B(name), &(struct user_spec){0}, &user, &created), E_INVALID);
    expect_err(user_put(t.core, B("\xff"), &(struct user_spec){0}, &user, &created), E_INVALID);
    for (int i = 0; i <= TAGS_MAX; i++)
        tags[i] = B("t");
    struct user_spec spec = {.tags = tags, .tag_count = TAGS_MAX + 1};
    expect_err(user_put(t.core, B("a"), &spec, &user, &created), E_INVALID);
    expect_err_text("33 tags");
    tags[0] = B(name);
    spec.tag_count = 1;
    expect_err(user_put(t.core, B("a"), &spec, &user, &created), E_INVALID);
    expect_null(user_find(t.core, B("a")));
    test_core_end(&t);
}

TEST(users_are_as_they_were_after_a_crash)
{
    struct test_core t;
    test_core_init(&t);
    struct user *user = test_user(&t, "a", "secret", "monitoring,my-own");
    expect_ok(user_set_limits(user, 7, 0));
    test_user(&t, "b", "secret", "");
    struct user *gone = test_user(&t, "gone", "secret", "");
    test_core_settle(&t);
    test_user(&t, "b", "secret", "x");
    expect_ok(user_delete(gone));
    test_core_settle(&t);
    test_core_crash(&t);
    user = user_find(t.core, B("a"));
    expect_not_null(user);
    expect_int(user->tags.count, 2);
    expect_true(user_may(user, USER_MONITORING));
    expect_int(user->max_connections, 7);
    expect_int(user->max_channels, 0);
    expect_ok(test_log_in(&t, "a", "secret", false));
    expect_true(tag_list_has(&user_find(t.core, B("b"))->tags, "x"));
    expect_int(user_find(t.core, B("b"))->max_connections, LIMIT_NONE);
    expect_null(user_find(t.core, B("gone")));
    expect_err(test_log_in(&t, "guest", "guest", false), E_REFUSED); /* loopback only still */
    test_core_end(&t);
}

/* ---- sessions ---- */

struct test_session {
    struct session session;
    int closed;
    char reason[64];
};

static void note_close(struct session *session, const char *reason)
{
    struct test_session *s = (struct test_session *)session;
    s->closed++;
    snprintf(s->reason, sizeof s->reason, "%s", reason);
}

static void session_start(struct test_core *t, struct test_session *s, struct user *user)
{
    *s = (struct test_session){.session = {.protocol = "test", .close = note_close}};
    session_add(t->core, &s->session);
    session_log_in(&s->session, user);
    session_enter(&s->session, test_vhost(t));
}

TEST(deleting_a_user_closes_its_sessions_some_each_turn)
{
    enum { SESSIONS = 200 };
    static struct test_session sessions[SESSIONS];
    struct test_session other;
    struct test_core t;
    test_core_init(&t);
    struct user *user = test_user(&t, "a", "x", "administrator");
    session_start(&t, &other, test_user(&t, "b", "x", ""));
    for (int i = 0; i < SESSIONS; i++)
        session_start(&t, &sessions[i], user);
    expect_int(user->session_count, SESSIONS);
    expect_int(test_vhost(&t)->session_count, SESSIONS + 1);

    expect_ok(user_delete(user));
    expect_null(user_find(t.core, B("a")));
    expect_false(user_may(user, USER_ADMINISTRATOR)); /* while sessions hold it */
    for (int i = 0; i < 10; i++)
        test_core_turn(&t);
    expect_int(sessions[0].closed, 0); /* not durable yet */
    while (sessions[0].closed == 0) {
        jobs_poll(&t.stepper.jobs);
        test_core_turn(&t);
    }
    expect_string(sessions[0].reason, "user 'a' is deleted");
    expect_int(sessions[SESSIONS - 1].closed, 0);
    test_core_settle(&t);
    for (int i = 0; i < SESSIONS; i++) {
        expect_int(sessions[i].closed, 1);
        session_remove(&sessions[i].session);
    }
    expect_int(other.closed, 0);
    expect_int(test_vhost(&t)->session_count, 1);
    session_remove(&other.session);
    expect_int(test_vhost(&t)->session_count, 0);
    test_core_end(&t);
}

TEST(a_user_has_as_many_connections_and_channels_as_its_limits_say)
{
    struct test_core t;
    struct test_session s;
    test_core_init(&t);
    struct user *user = test_user(&t, "a", "x", "");
    expect_ok(user_can_connect(user));
    expect_ok(user_set_limits(user, 1, 2));
    expect_ok(user_can_connect(user));
    session_start(&t, &s, user);
    expect_err(user_can_connect(user), E_REFUSED);
    expect_err_text("connection refused for user 'a': user connection limit (1) is reached");
    user->channel_count = 1;
    expect_ok(user_can_open_channel(user));
    user->channel_count = 2;
    expect_err(user_can_open_channel(user), E_REFUSED);
    expect_err_text("number of channels opened for user 'a' has reached the maximum allowed user "
                    "limit of (2)");
    expect_ok(user_set_limits(user, -5, -1));
    expect_int(user->max_connections, -5);
    expect_ok(user_can_connect(user));
    expect_ok(user_can_open_channel(user));
    user->channel_count = 0;
    session_remove(&s.session);
    expect_ok(user_set_limits(user, 0, 0));
    expect_err(user_can_connect(user), E_REFUSED);
    test_core_end(&t);
}
