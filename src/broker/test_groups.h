/* Members of groups for tests: a client that joins, syncs and remembers what it was told. */
#ifndef BROKER_TEST_GROUPS_H
#define BROKER_TEST_GROUPS_H

#include "broker/group_internal.h"
#include "broker/test_core.h"
#include "tests/test.h"

enum { TEST_SESSION_MS = 10000, TEST_REBALANCE_MS = 60000 };

struct test_member {
    struct test_core *t;
    const char *group, *instance, *type;
    char id[600];
    int32_t generation;
    int32_t session_ms, rebalance_ms;
    struct group_protocol protocols[2];
    size_t protocol_count;
    bool takes_id_first, skips;

    struct group_join join;
    bool is_joined; /* an answer has come */
    enum group_error join_error;
    char leader[600], protocol[64];
    size_t member_count; /* that it was told of, as the leader */
    bool skip_assignment;
    struct ticket join_ticket;

    struct group_sync sync;
    bool is_synced;
    enum group_error sync_error;
    char assignment[64];
    struct ticket sync_ticket;
};

/* Of a "consumer" group, with one protocol, subscribed to the topic "orders". */
void test_member(struct test_core *t, struct test_member *m, const char *group);
void test_join(struct test_member *m);
/* As the leader: `member` gets `assignment`, twice if there are two; NULL: nobody gets anything. */
void test_sync(struct test_member *m, const struct test_member *other);
enum group_error test_heartbeat(struct test_member *m);
enum group_error test_leave(struct test_member *m);
/* The time passes, timers fire, the disk works. */
void test_pass(struct test_core *t, int64_t ms);
/* Join and sync alone, to a stable group. */
void test_settle_alone(struct test_member *m);
/* Both, in one; `a` leads. */
void test_settle_two(struct test_core *t, struct test_member *a, struct test_member *b);
bool test_is_leader(const struct test_member *m);
bool test_is_done(struct test_core *t, struct ticket ticket);
enum group_state test_state(struct test_core *t, const char *group); /* which must be there */

struct groups *test_groups(struct test_core *t);
const struct group *test_group(struct test_core *t, const char *id); /* or NULL */
/* Crash, or close, and let the groups be loaded. */
void test_crash_and_load(struct test_core *t);

/* Commit an offset of partition 0 of the topic; from outside when `m` is NULL. */
enum group_error test_commit(struct test_core *t, const char *group, const struct test_member *m,
                             const char *topic, int64_t offset, struct ticket *out);
int64_t test_offset(struct test_core *t, const char *group, const char *topic); /* -1: none */

#endif
