#include "broker/access_internal.h"

#include <stdio.h>

#include "tests/test.h"

#include "broker/catalog_internal.h"
#include "broker/core_internal.h"
#include "broker/test_core.h"
#include "log/batch.h"

static struct bytes B(const char *s) {
    return bytes_from_string(s);
}

struct world {
    struct test_core t;
    struct vhost *vhost;
    struct user *user;
};

static void world_init(struct world *w)
{
    test_core_init(&w->t);
    w->vhost = test_vhost(&w->t);
    w->user = test_user(&w->t, "u", "secret", "");
}

static enum err ask(struct world *w, enum access_right right, enum access_kind kind,
                    const char *name)
{
    return access_check(w->user, w->vhost, right, kind, B(name));
}

TEST(a_fresh_data_directory_lets_guest_do_everything_on_the_default_vhost)
{
    struct test_core t;
    test_core_init(&t);
    struct user *guest = user_find(t.core, B("guest"));
    expect_true(user_may(guest, USER_ADMINISTRATOR));
    expect_ok(access_check_vhost(guest, test_vhost(&t)));
    for (int right = 0; right < ACCESS_RIGHTS; right++)
        expect_ok(access_check(guest, test_vhost(&t), (enum access_right)right, ACCESS_QUEUE,
                               B("whatever")));
    test_core_end(&t);
}

TEST(without_a_permission_a_vhost_is_closed)
{
    struct world w;
    world_init(&w);
    expect_err(access_check_vhost(w.user, w.vhost), E_REFUSED);
    expect_err_text("access to vhost '/' refused for user 'u'");
    expect_err(ask(&w, ACCESS_READ, ACCESS_QUEUE, "q"), E_REFUSED);
    expect_err_text("read access to queue 'q' in vhost '/' refused for user 'u'");
    test_permit(w.user, w.vhost, "", "", "");
    expect_ok(access_check_vhost(w.user, w.vhost));
    expect_err(ask(&w, ACCESS_READ, ACCESS_QUEUE, "q"), E_REFUSED);
    test_core_end(&w.t);
}

TEST(each_right_has_its_pattern)
{
    struct world w;
    world_init(&w);
    test_permit(w.user, w.vhost, "^mine-", "^(mine-|amq\\.default$)", ".*");
    expect_ok(ask(&w, ACCESS_CONFIGURE, ACCESS_QUEUE, "mine-1"));
    expect_err(ask(&w, ACCESS_CONFIGURE, ACCESS_EXCHANGE, "yours-1"), E_REFUSED);
    expect_err_text("configure access to exchange 'yours-1' in vhost '/' refused for user 'u'");
    expect_ok(ask(&w, ACCESS_WRITE, ACCESS_EXCHANGE, ""));
    expect_err(ask(&w, ACCESS_WRITE, ACCESS_EXCHANGE, "amq.direct"), E_REFUSED);
    expect_err_text("write access to exchange 'amq.direct' in vhost '/' refused for user 'u'");
    expect_ok(ask(&w, ACCESS_READ, ACCESS_QUEUE, "yours-1"));
    test_permit(w.user, w.vhost, "", "", "");
    expect_err(ask(&w, ACCESS_WRITE, ACCESS_EXCHANGE, ""), E_REFUSED);
    expect_err_text("write access to exchange 'amq.default' in vhost '/' refused for user 'u'");
    test_core_end(&w.t);
}

TEST(permissions_of_one_vhost_do_not_count_in_another)
{
    struct world w;
    world_init(&w);
    struct vhost *other = test_vhost_named(&w.t, "other");
    test_permit(w.user, other, ".*", ".*", ".*");
    expect_err(ask(&w, ACCESS_READ, ACCESS_QUEUE, "q"), E_REFUSED);
    expect_ok(access_check(w.user, other, ACCESS_READ, ACCESS_QUEUE, B("q")));
    test_core_end(&w.t);
}

TEST(no_user_is_the_operator_who_may_do_everything)
{
    struct test_core t;
    struct access access;
    test_core_init(&t);
    expect_ok(access_check_vhost(NULL, test_vhost(&t)));
    expect_ok(access_check(NULL, test_vhost(&t), ACCESS_CONFIGURE, ACCESS_QUEUE, B("q")));
    expect_ok(access_check_topic(NULL, test_vhost(&t), ACCESS_WRITE, B("x"), B("k")));
    access_init(&access, NULL, test_vhost(&t));
    expect_ok(access_ask(&access, ACCESS_WRITE, ACCESS_EXCHANGE, B("x")));
    expect_ok(access_ask_topic(&access, ACCESS_WRITE, B("x"), B("k")));
    access_reset(&access);
    test_core_end(&t);
}

TEST(a_pattern_that_is_none_is_refused_and_changes_nothing)
{
    struct world w;
    bool created;
    world_init(&w);
    test_permit(w.user, w.vhost, "a", "b", "c");
    expect_err(permission_put(w.user, w.vhost, B("x"), B("("), B("x"), &created), E_INVALID);
    expect_err_text("write pattern '(': ");
    expect_ok(ask(&w, ACCESS_WRITE, ACCESS_QUEUE, "b"));
    expect_err(ask(&w, ACCESS_CONFIGURE, ACCESS_QUEUE, "x"), E_REFUSED);
    expect_err(topic_permission_put(w.user, w.vhost, B("x"), B("("), B("x"), &created), E_INVALID);
    expect_err(topic_permission_put(w.user, w.vhost, B("x"), B("x"), B("("), &created), E_INVALID);
    expect_null(topic_permission_find(w.user, w.vhost, B("x")));
    test_core_end(&w.t);
}

/* ---- topics ---- */

static enum err ask_topic(struct world *w, enum access_right right, const char *exchange,
                          const char *key)
{
    return access_check_topic(w->user, w->vhost, right, B(exchange), B(key));
}

TEST(a_topic_permission_narrows_the_keys_of_one_exchange)
{
    struct world w;
    bool created;
    world_init(&w);
    expect_ok(ask_topic(&w, ACCESS_WRITE, "x", "anything"));
    expect_ok(topic_permission_put(w.user, w.vhost, B("x"), B("^a\\."), B(""), &created));
    expect_true(created);
    expect_ok(ask_topic(&w, ACCESS_WRITE, "x", "a.b"));
    expect_err(ask_topic(&w, ACCESS_WRITE, "x", "b.a"), E_REFUSED);
    expect_err_text(
        "write access to topic 'b.a' in exchange 'x' in vhost '/' refused for user 'u'");
    expect_err(ask_topic(&w, ACCESS_READ, "x", "a.b"), E_REFUSED);
    expect_err_text("read access to topic 'a.b' in exchange 'x' in vhost '/' refused for user 'u'");
    expect_ok(ask_topic(&w, ACCESS_READ, "x", "")); /* an empty pattern is for the empty key */
    expect_ok(ask_topic(&w, ACCESS_WRITE, "y", "b.a"));
    expect_ok(topic_permission_put(w.user, w.vhost, B("x"), B("^b"), B(".*"), &created));
    expect_false(created);
    expect_ok(ask_topic(&w, ACCESS_WRITE, "x", "b.a"));
    expect_ok(topic_permission_delete(topic_permission_find(w.user, w.vhost, B("x"))));
    expect_ok(ask_topic(&w, ACCESS_WRITE, "x", "c"));
    test_core_end(&w.t);
}

TEST(names_stand_where_a_topic_pattern_has_their_variables)
{
    struct world w;
    bool created;
    world_init(&w);
    w.vhost = test_vhost_named(&w.t, "v.1");
    w.user = test_user(&w.t, "a.*b", "x", "");
    expect_ok(topic_permission_put(w.user, w.vhost, B("x"), B("^{vhost}-{username}-{username}$"),
                                   B("^{client_id}"), &created));
    expect_ok(ask_topic(&w, ACCESS_WRITE, "x", "v.1-a.*b-a.*b"));
    expect_err(ask_topic(&w, ACCESS_WRITE, "x", "v_1-a.*b-a.*b"), E_REFUSED); /* not as patterns */
    expect_err(ask_topic(&w, ACCESS_WRITE, "x", "v.1-axxb-axxb"), E_REFUSED);
    expect_ok(ask_topic(&w, ACCESS_READ, "x", "{client_id}")); /* AMQP has none */
    const struct topic_permission *p = topic_permission_find(w.user, w.vhost, B("x"));
    expect_bytes(p->write, B("^{vhost}-{username}-{username}$"));
    test_core_end(&w.t);
}

/* Whatever a name consists of, it stands for itself. */
TEST(no_name_is_a_pattern_where_it_stands_for_a_variable)
{
    static const char letters[] = "ab.*+?()[]{}|^$\\/#-_ \n\t&<>'\"{username}{vhost}QE1d";
    struct random random;
    struct world w;
    bool created;
    world_init(&w);
    random_init(&random, test_seed());
    for (int round = 0; round < 300; round++) {
        char name[40], other[40];
        size_t size = 1 + random_below(&random, 30);
        for (size_t i = 0; i < size; i++)
            name[i] = letters[random_below(&random, sizeof letters - 1)];
        name[size] = 0;
        memcpy(other, name, size + 1);
        other[random_below(&random, size)] = '~';
        struct user *user = test_user(&w.t, name, "x", "");
        expect_ok(topic_permission_put(user, w.vhost, B("x"), B("^{username}$"), B(""), &created));
        expect_ok(access_check_topic(user, w.vhost, ACCESS_WRITE, B("x"), B(name)));
        expect_err(access_check_topic(user, w.vhost, ACCESS_WRITE, B("x"), B(other)), E_REFUSED);
    }
    test_core_end(&w.t);
}

/* ---- what a session remembers ---- */

TEST(a_session_asks_once_and_again_after_every_change)
{
    struct world w;
    struct access access;
    char name[24];
    world_init(&w);
    test_permit(w.user, w.vhost, "", "^a", "^b");
    access_init(&access, w.user, w.vhost);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 2 * ACCESS_KNOWN; i++) {
            snprintf(name, sizeof name, "a%d", i);
            expect_ok(access_ask(&access, ACCESS_WRITE, ACCESS_EXCHANGE, B(name)));
            expect_err(access_ask(&access, ACCESS_READ, ACCESS_EXCHANGE, B(name)), E_REFUSED);
            expect_err(access_ask(&access, ACCESS_CONFIGURE, ACCESS_QUEUE, B(name)), E_REFUSED);
        }
    test_permit(w.user, w.vhost, ".*", "^c", "^b");
    expect_err(access_ask(&access, ACCESS_WRITE, ACCESS_EXCHANGE, B("a1")), E_REFUSED);
    expect_ok(access_ask(&access, ACCESS_CONFIGURE, ACCESS_QUEUE, B("a1")));
    expect_ok(permission_delete(permission_find(w.user, w.vhost)));
    expect_err(access_ask(&access, ACCESS_CONFIGURE, ACCESS_QUEUE, B("a1")), E_REFUSED);
    access_reset(&access);
    test_core_end(&w.t);
}

TEST(what_is_remembered_is_told_apart_by_right_kind_and_whole_name)
{
    struct world w;
    struct access access;
    char large[300];
    world_init(&w);
    memset(large, 'a', sizeof large);
    large[255] = '\0';
    test_permit(w.user, w.vhost, "", "^a{2,255}$|^amq\\.default$", "^ab$");
    access_init(&access, w.user, w.vhost);
    expect_ok(access_ask(&access, ACCESS_WRITE, ACCESS_EXCHANGE, B("aa")));
    expect_err(access_ask(&access, ACCESS_WRITE, ACCESS_EXCHANGE, B("a")), E_REFUSED);
    expect_err(access_ask(&access, ACCESS_WRITE, ACCESS_EXCHANGE, B("ab")), E_REFUSED);
    expect_err(access_ask(&access, ACCESS_READ, ACCESS_EXCHANGE, B("aa")), E_REFUSED);
    expect_ok(access_ask(&access, ACCESS_WRITE, ACCESS_EXCHANGE, B("")));
    expect_err(access_ask(&access, ACCESS_WRITE, ACCESS_QUEUE, B("")), E_REFUSED);
    for (int i = 0; i < 2; i++) /* too long to be remembered */
        expect_ok(access_ask(&access, ACCESS_WRITE, ACCESS_EXCHANGE, B(large)));
    access_reset(&access);
    test_core_end(&w.t);
}

TEST(a_session_sees_topic_permissions_as_they_come_and_go)
{
    struct world w;
    struct access access;
    bool created;
    world_init(&w);
    test_permit(w.user, w.vhost, ".*", ".*", ".*");
    access_init(&access, w.user, w.vhost);
    expect_ok(access_ask_topic(&access, ACCESS_WRITE, B("x"), B("k")));
    expect_ok(topic_permission_put(w.user, w.vhost, B("x"), B("^a"), B("^a"), &created));
    expect_err(access_ask_topic(&access, ACCESS_WRITE, B("x"), B("k")), E_REFUSED);
    expect_ok(access_ask_topic(&access, ACCESS_WRITE, B("x"), B("a")));
    expect_ok(topic_permission_delete(topic_permission_find(w.user, w.vhost, B("x"))));
    expect_ok(access_ask_topic(&access, ACCESS_WRITE, B("x"), B("k")));
    access_reset(&access);
    test_core_end(&w.t);
}

TEST(the_user_of_a_session_that_is_deleted_may_nothing)
{
    struct world w;
    struct access access;
    world_init(&w);
    test_permit(w.user, w.vhost, ".*", ".*", ".*");
    struct user *user = user_ref(w.user);
    access_init(&access, user, w.vhost);
    expect_ok(access_ask(&access, ACCESS_WRITE, ACCESS_EXCHANGE, B("x")));
    expect_ok(user_delete(user));
    expect_err(access_ask(&access, ACCESS_WRITE, ACCESS_EXCHANGE, B("x")), E_REFUSED);
    user_unref(user);
    access_reset(&access);
    test_core_end(&w.t);
}

/* ---- recovery ---- */

TEST(permissions_are_as_they_were_after_a_crash)
{
    struct world w;
    bool created;
    world_init(&w);
    struct vhost *other = test_vhost_named(&w.t, "other");
    test_permit(w.user, w.vhost, "^a", "", ".*");
    test_permit(w.user, other, "x", "y", "z");
    expect_ok(topic_permission_put(w.user, w.vhost, B("x"), B("^{username}$"), B(""), &created));
    test_core_settle(&w.t);
    expect_ok(permission_delete(permission_find(w.user, other)));
    test_core_settle(&w.t);
    test_core_crash(&w.t);
    w.user = user_find(w.t.core, B("u"));
    w.vhost = test_vhost(&w.t);
    expect_int(w.user->permissions.count, 1);
    expect_ok(ask(&w, ACCESS_CONFIGURE, ACCESS_QUEUE, "ab"));
    expect_err(ask(&w, ACCESS_CONFIGURE, ACCESS_QUEUE, "b"), E_REFUSED);
    expect_err(ask(&w, ACCESS_WRITE, ACCESS_QUEUE, "ab"), E_REFUSED);
    expect_ok(ask(&w, ACCESS_READ, ACCESS_QUEUE, "b"));
    expect_ok(ask_topic(&w, ACCESS_WRITE, "x", "u"));
    expect_err(ask_topic(&w, ACCESS_WRITE, "x", "v"), E_REFUSED);
    test_core_end(&w.t);
}

static void append(struct test_core *t, struct bytes key, struct bytes value)
{
    struct batch_builder b = {0};
    struct ticket ticket;
    batch_builder_begin(&b, BATCH_CONTROL);
    batch_builder_add(&b, 0, key, value, BYTES_NULL, 0);
    expect_ok(log_append(t->core->catalog->log, batch_builder_end(&b), &ticket));
    batch_builder_reset(&b);
}

/* A user's record as the first release wrote it: password hash, tags, loopback only. */
TEST(users_of_the_first_release_may_do_everything_as_they_could)
{
    struct test_core t;
    struct text value = {0};
    static const uint8_t key[] = {0, 100, 0, 0, 0, CATALOG_USER, 0, 2, 4, 'o', 'l', 'd', 0};
    test_core_init(&t);
    struct password_hash hash = password_hash_of(&t.core->random, B("secret"));
    text_put_u16(&value, CATALOG_USER);
    text_put_u16(&value, 0);
    text_append(&value, bytes_of(&(uint8_t){(uint8_t)(hash.size + 1)}, 1));
    text_append(&value, bytes_of(hash.bytes, hash.size));
    text_append_string(&value, "\xf"
                               "administrator,"); /* its size and one */
    text_append(&value, bytes_of("\0\0", 2));     /* not loopback only, no tagged fields */
    append(&t, bytes_of(key, sizeof key), text_bytes(&value));
    test_core_settle(&t);
    for (int start = 0; start < 2; start++) { /* the second time they are users of this release */
        test_core_reopen(&t);
        struct user *old = user_find(t.core, B("old"));
        expect_not_null(old);
        expect_true(user_may(old, USER_ADMINISTRATOR));
        expect_int(old->max_channels, LIMIT_NONE);
        expect_ok(test_log_in(&t, "old", "secret", false));
        expect_ok(access_check(old, test_vhost(&t), ACCESS_CONFIGURE, ACCESS_QUEUE, B("q")));
        test_core_settle(&t);
    }
    text_reset(&value);
    test_core_end(&t);
}
