#include "tests/test.h"

#include "broker/core_internal.h"
#include "broker/subscription.h"
#include "broker/test_core.h"

TEST(a_new_data_directory_has_a_cluster_id_a_vhost_and_guest)
{
    struct test_core t;
    test_core_init(&t);
    expect_int(strlen(t.core->config.cluster_id), 22);
    expect_not_null(test_vhost(&t));
    expect_ok(test_log_in(&t, "guest", "guest", true));
    test_core_end(&t);
}

TEST(the_cluster_id_survives_a_crash)
{
    struct test_core t;
    test_core_init(&t);
    char before[32];
    memcpy(before, t.core->config.cluster_id, sizeof before);
    test_core_settle(&t);
    t.config.random_seed = 99;
    test_core_crash(&t);
    expect_string(t.core->config.cluster_id, before);
    test_core_end(&t);
}

TEST(a_data_directory_of_another_cluster_or_node_is_refused)
{
    struct test_core t;
    test_core_init(&t);
    test_core_close(&t);
    t.config.node_id = 2;
    expect_err(test_core_open(&t), E_INVALID);
    expect_err_text("belongs to node 1, not to 2");
    t.config.node_id = 1;
    memcpy(t.config.cluster_id, "another", 8);
    expect_err(test_core_open(&t), E_INVALID);
    expect_err_text("not to another");
    test_core_end(&t);
}

TEST(a_wait_is_ready_when_its_ticket_is_committed_and_never_in_the_caller)
{
    struct test_core t;
    struct test_wait catalog, nothing;
    test_core_init(&t);
    test_wait(&t, &nothing, (struct ticket){0});
    expect_false(nothing.is_done);
    test_wait(&t, &catalog, core_catalog_ticket(t.core));
    test_core_turn(&t);
    expect_true(nothing.is_done);
    expect_false(catalog.is_done); /* the disk has not run */
    test_core_settle(&t);
    expect_true(catalog.is_done);
    test_wait(&t, &catalog, core_catalog_ticket(t.core)); /* nothing new: at once */
    test_core_turn(&t);
    expect_true(catalog.is_done);
    test_core_end(&t);
}

TEST(a_cancelled_wait_is_never_ready)
{
    struct test_core t;
    struct test_wait w;
    test_core_init(&t);
    test_wait(&t, &w, core_catalog_ticket(t.core));
    expect_true(wait_is_pending(&w.wait));
    core_wait_cancel(&w.wait);
    test_core_settle(&t);
    expect_false(w.is_done);
    test_core_end(&t);
}

/* ---- waits and work that make more of themselves ---- */

struct chain {
    struct wait wait;
    struct deferred work;
    struct progress_watch watch;
    struct test_core *t;
    int runs;
};

static void wait_again(struct wait *w)
{
    struct chain *c = container_of(w, struct chain, wait);
    c->runs++;
    core_wait(c->t->core, w, (struct ticket){0}, STAGE_COMMITTED);
}

TEST(a_wait_that_waits_again_is_told_in_the_next_turn)
{
    struct test_core t;
    test_core_init(&t);
    test_core_settle(&t);
    struct chain c = {.wait = {.ready = wait_again}, .t = &t};
    core_wait(t.core, &c.wait, (struct ticket){0}, STAGE_COMMITTED);
    test_core_turn(&t);
    expect_true(c.runs >= 1 && c.runs <= 2);
    core_wait_cancel(&c.wait);
    test_core_end(&t);
}

static void defer_again(struct deferred *work)
{
    struct chain *c = container_of(work, struct chain, work);
    c->runs++;
    core_defer(c->t->core, work);
}

TEST(deferred_work_runs_once_a_turn_and_asks_for_the_next)
{
    struct test_core t;
    test_core_init(&t);
    test_core_settle(&t);
    struct chain c = {.work = {.run = defer_again}, .t = &t};
    core_defer(t.core, &c.work);
    core_defer(t.core, &c.work);
    expect_int(c.runs, 0);
    for (int i = 1; i <= 3; i++) {
        expect_int(core_next_due(t.core), t.now_ns);
        test_core_turn(&t);
        expect_int(c.runs, i);
    }
    core_defer_cancel(&c.work);
    test_core_turn(&t);
    expect_int(c.runs, 3);
    test_core_end(&t);
}

static void count_progress(struct progress_watch *watch)
{
    struct chain *c = container_of(watch, struct chain, watch);
    c->runs++;
    core_unwatch_progress(watch);
    core_watch_progress(c->t->core, watch);
}

TEST(watches_are_told_after_each_commit)
{
    struct test_core t;
    test_core_init(&t);
    test_core_settle(&t);
    struct chain c = {.watch = {.progressed = count_progress}, .t = &t};
    core_watch_progress(t.core, &c.watch);
    core_watch_progress(t.core, &c.watch);
    test_core_turn(&t);
    expect_int(c.runs, 0);
    test_durable_queue(&t, "q");
    test_core_settle(&t);
    expect_int(c.runs, 1);
    core_unwatch_progress(&c.watch);
    test_durable_queue(&t, "r");
    test_core_settle(&t);
    expect_int(c.runs, 1);
    test_core_end(&t);
}

/* ---- before logs have their owners ---- */

TEST(all_of_a_log_is_living_and_its_recovered_state_stands_while_it_has_no_owner)
{
    struct test_core t;
    offset_ranges live = {0};
    struct text none = {0}, saved = {0};
    test_core_init(&t);
    struct log *log = store_log(t.core->store, 2, LEVEL_FSYNC);
    recovery_owner.live(t.core, log, 3, 9, &live);
    expect_int(live.count, 1);
    expect_int(live.items[0].from, 3);
    expect_int(live.items[0].to, 9);
    recovery_owner.checkpoint(t.core, log, &none);
    expect_int(none.size, 0);

    struct subscription *s = subscription_new();
    subscription_recover_done(s, 0, 5);
    subscription_put_checkpoint(s, &saved);
    recovery_owner.restore(t.core, 2, text_bytes(&saved));
    recovery_owner.checkpoint(t.core, log, &none);
    expect_bytes(text_bytes(&none), text_bytes(&saved));
    live.count = 0;
    recovery_owner.live(t.core, log, 3, 9, &live);
    expect_int(live.items[0].from, 5);
    subscription_free(s);
    vec_reset(&live);
    text_reset(&none);
    text_reset(&saved);
    log_delete(log, &(struct ticket){0});
    test_core_end(&t);
}

/* ---- sessions ---- */

static void count_sessions(void *ctx, struct session *session)
{
    (void)session;
    (*(int *)ctx)++;
}

TEST(sessions_are_listed_until_they_are_removed)
{
    struct test_core t;
    struct session a = {.protocol = "amqp"}, b = {.protocol = "kafka"};
    int count = 0;
    test_core_init(&t);
    session_add(t.core, &a);
    session_add(t.core, &b);
    session_each(t.core, count_sessions, &count);
    expect_int(count, 2);
    expect_int(a.opened_wall_ms, t.wall_ms);
    session_remove(&a);
    session_each(t.core, count_sessions, &count);
    expect_int(count, 3);
    session_remove(&b);
    test_core_end(&t);
}

TEST(a_frozen_disk_refuses_changes_and_leaves_waits_pending)
{
    struct test_core t;
    struct test_wait w;
    struct ticket ticket;
    test_core_init(&t);
    test_durable_queue(&t, "q");
    test_core_settle(&t);
    sim_disk_fail(t.disk, SIM_SYNC, 1, E_IO);
    expect_ok(test_publish(&t, "q", "lost", &ticket));
    test_wait(&t, &w, ticket);
    test_core_settle(&t);
    expect_true(store_is_frozen(t.core->store));
    expect_false(w.is_done);
    expect_err(core_catalog_can_change(t.core), E_FROZEN);
    expect_err(test_publish(&t, "q", "more", &ticket), E_FROZEN);
    core_wait_cancel(&w.wait);
    test_core_end(&t);
}
