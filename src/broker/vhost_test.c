#include "tests/test.h"

#include <stdio.h>

#include "broker/access_internal.h"
#include "broker/core_internal.h"
#include "broker/exchange_internal.h"
#include "broker/test_core.h"

static struct bytes B(const char *s) {
    return bytes_from_string(s);
}

TEST(a_new_vhost_has_the_exchanges_that_every_vhost_has_and_nothing_else)
{
    struct test_core t;
    test_core_init(&t);
    struct vhost *vhost = test_vhost_named(&t, "v");
    expect_not_null(exchange_find(vhost, B("")));
    expect_not_null(exchange_find(vhost, B("amq.rabbitmq.trace")));
    expect_int(vhost->exchanges.count, 7);
    expect_int(vhost->queues.count, 0);
    expect_err(access_check_vhost(user_find(t.core, B("guest")), vhost), E_REFUSED);
    test_core_end(&t);
}

TEST(what_is_no_vhost_is_refused)
{
    struct test_core t;
    struct vhost *vhost;
    char name[VHOST_NAME_MAX_BYTES + 2] = {0};
    struct vhost_spec none = {0}, type = {.default_queue_type = B("mirrored")};
    test_core_init(&t);
    memset(name, 'v', sizeof name - 1);
    expect_err(vhost_create(t.core, B("/"), &none, &vhost), E_EXISTS);
    expect_err(vhost_create(t.core, B(""), &none, &vhost), E_INVALID);
    expect_err(vhost_create(t.core, B(name), &none, &vhost), E_INVALID);
    expect_err(vhost_create(t.core, B("\xc3"), &none, &vhost), E_INVALID);
    expect_err(vhost_create(t.core, B("v"), &type, &vhost), E_INVALID);
    expect_err_text("Unsupported default queue type: 'mirrored'");
    expect_err(vhost_update(test_vhost(&t), &type), E_INVALID);
    expect_null(vhost_find(t.core, B("v")));
    test_core_end(&t);
}

TEST(vhosts_are_as_they_were_after_a_crash)
{
    struct test_core t;
    struct bytes tags[] = {B("one"), B("two")};
    struct vhost_spec spec = {.description = B("of many"),
                              .tags = tags,
                              .tag_count = 2,
                              .default_queue_type = B("quorum"),
                              .is_protected = true};
    struct vhost *vhost;
    test_core_init(&t);
    expect_ok(vhost_create(t.core, B("v"), &spec, &vhost));
    expect_ok(vhost_set_limits(vhost, 3, 4));
    spec.description = B("changed");
    expect_ok(vhost_update(test_vhost_named(&t, "w"), &spec));
    test_core_settle(&t);
    test_core_crash(&t);
    vhost = vhost_find(t.core, B("v"));
    expect_not_null(vhost);
    expect_bytes(vhost->description, B("of many"));
    expect_int(vhost->tags.count, 2);
    expect_bytes(vhost->tags.items[1], B("two"));
    expect_bytes(vhost->default_queue_type, B("quorum"));
    expect_true(vhost->is_protected);
    expect_int(vhost->max_connections, 3);
    expect_int(vhost->max_queues, 4);
    expect_bytes(vhost_find(t.core, B("w"))->description, B("changed"));
    expect_int(vhost_find(t.core, B("w"))->max_queues, LIMIT_NONE);
    expect_bytes(test_vhost(&t)->description, B("Default virtual host"));
    test_core_end(&t);
}

TEST(a_vhost_has_as_many_queues_and_connections_as_its_limits_say)
{
    struct test_core t;
    test_core_init(&t);
    struct vhost *vhost = test_vhost(&t);
    expect_ok(vhost_set_limits(vhost, 0, 1));
    expect_ok(vhost_can_declare_queue(vhost, B("q")));
    test_durable_queue(&t, "q");
    expect_err(vhost_can_declare_queue(vhost, B("r")), E_PRECONDITION);
    expect_err_text("cannot declare queue 'r': queue limit in vhost '/' (1) is reached");
    expect_err(vhost_can_connect(vhost, B("u")), E_REFUSED);
    expect_err_text("access to vhost '/' refused for user 'u': connection limit (0) is reached");
    expect_ok(vhost_set_limits(vhost, -1, -1));
    expect_ok(vhost_can_declare_queue(vhost, B("r")));
    expect_ok(vhost_can_connect(vhost, B("u")));
    test_core_end(&t);
}

/* ---- deletion ---- */

static void fill(struct test_core *t, struct vhost *vhost, int count)
{
    char name[24];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "thing-%d", i);
        struct queue_spec queue_spec = {.name = B(name), .durable = i % 2 == 0};
        struct exchange_spec exchange_spec = {
            .name = B(name), .kind = EXCHANGE_TOPIC, .durable = true};
        struct queue *q = queue_create(vhost, &queue_spec);
        struct exchange *x = exchange_create(vhost, &exchange_spec);
        exchange_bind(x, q, B("#"), BYTES_NULL);
        exchange_bind_exchange(exchange_find(vhost, B("amq.topic")), x, B("a"), BYTES_NULL);
        test_core_turn(t);
    }
}

static void gone_ready(struct wait *wait)
{
    container_of(wait, struct test_wait, wait)->is_done = true;
}

TEST(deleting_a_vhost_takes_turns_and_leaves_nothing)
{
    struct test_core t;
    struct test_wait gone = {.wait.ready = gone_ready};
    struct store_stats stats;
    int turns = 0;
    test_core_init(&t);
    struct vhost *vhost = test_vhost_named(&t, "v");
    struct user *user = test_user(&t, "u", "x", "");
    test_permit(user, vhost, ".*", ".*", ".*");
    bool created;
    expect_ok(topic_permission_put(user, vhost, B("amq.topic"), B("a"), B("b"), &created));
    fill(&t, vhost, 400);
    test_core_settle(&t);
    expect_ok(vhost_delete(vhost));
    vhost_wait_gone(t.core, B("v"), &gone.wait);
    expect_null(vhost_find(t.core, B("v")));
    for (int i = 0; i < 20; i++)
        test_core_turn(&t);
    expect_int(vhost->queues.count, 400); /* nothing goes before that is durable */
    expect_err(vhost_create(t.core, B("v"), &(struct vhost_spec){0}, &vhost), E_LOCKED);
    expect_err_text("vhost 'v' is being deleted");
    for (; vhost_lookup(t.core, B("v")) && turns < 10000; turns++) {
        jobs_poll(&t.stepper.jobs);
        test_core_turn(&t);
    }
    expect_true(turns > 10);
    test_core_settle(&t);
    expect_true(gone.is_done);
    expect_int(user->permissions.count, 0);
    expect_int(user->topic_permissions.count, 0);
    test_core_settle(&t);
    store_stats(t.core->store, &stats);
    expect_int(stats.logs, 1);
    expect_int(test_vhost_named(&t, "v")->queues.count, 0); /* the name is free */
    test_core_settle(&t);
    test_core_crash(&t);
    expect_int(vhost_find(t.core, B("v"))->exchanges.count, 7);
    expect_int(user_find(t.core, B("u"))->permissions.count, 0);
    test_core_end(&t);
}

TEST(a_deletion_goes_on_after_a_crash_wherever_that_came)
{
    bool ever_durable = false, never_durable = false;
    for (int turns_before = 0; turns_before < 30; turns_before++) {
        struct test_core t;
        test_core_init(&t);
        struct vhost *vhost = test_vhost_named(&t, "v");
        test_permit(user_find(t.core, B("guest")), vhost, "", "", "");
        fill(&t, vhost, 200);
        test_core_settle(&t);
        expect_ok(vhost_delete(vhost));
        test_core_turn(&t);
        for (int i = 0; i < turns_before; i++) {
            jobs_poll(&t.stepper.jobs);
            test_core_turn(&t);
        }
        test_core_crash(&t);
        bool was_durable = !vhost_find(t.core, B("v"));
        ever_durable |= was_durable;
        never_durable |= !was_durable;
        test_core_settle(&t);
        if (was_durable) {
            expect_null(vhost_lookup(t.core, B("v")));
            expect_int(user_find(t.core, B("guest"))->permissions.count, 1);
        } else {
            expect_int(vhost_find(t.core, B("v"))->queues.count, 100);
        }
        test_core_crash(&t);
        expect_true(!vhost_find(t.core, B("v")) == was_durable);
        test_core_end(&t);
    }
    expect_true(ever_durable && never_durable);
}

TEST(a_protected_vhost_is_not_deleted)
{
    struct test_core t;
    struct vhost *vhost;
    test_core_init(&t);
    expect_ok(vhost_create(t.core, B("v"), &(struct vhost_spec){.is_protected = true}, &vhost));
    expect_err(vhost_delete(vhost), E_PRECONDITION);
    expect_err_text("Refusing to delete virtual host 'v' because it is protected from deletion");
    expect_ok(vhost_protect(vhost, false));
    expect_ok(vhost_delete(vhost));
    test_core_settle(&t);
    expect_null(vhost_find(t.core, B("v")));
    test_core_end(&t);
}

struct test_session {
    struct session session;
    char reason[64];
};

static void note_close(struct session *session, const char *reason)
{
    struct test_session *s = (struct test_session *)session;
    snprintf(s->reason, sizeof s->reason, "%s", reason);
    queue_delete_exclusive(NULL, session);
}

TEST(deleting_a_vhost_closes_the_sessions_on_it_first)
{
    struct test_core t;
    struct test_session s = {.session = {.protocol = "test", .close = note_close}};
    test_core_init(&t);
    struct vhost *vhost = test_vhost_named(&t, "v");
    session_add(t.core, &s.session);
    session_log_in(&s.session, user_find(t.core, B("guest")));
    session_enter(&s.session, vhost);
    queue_create(vhost, &(struct queue_spec){.name = B("mine"), .exclusive_owner = &s.session});
    expect_ok(vhost_delete(vhost));
    test_core_settle(&t);
    expect_string(s.reason, "vhost 'v' is deleted");
    expect_null(vhost_lookup(t.core, B("v")));
    expect_int(user_find(t.core, B("guest"))->session_count, 0);
    session_remove(&s.session);
    test_core_end(&t);
}
