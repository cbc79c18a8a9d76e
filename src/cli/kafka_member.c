#include "cli/kafka_member.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/assignor.h"
#include "cli/kafka_group.h"
#include "io/clock.h"
#include "kafka/errors.h"

enum {
    SESSION_MS = 30000,
    REBALANCE_MS = 60000,
    BEAT_MS = 3000,
    TRIES_MAX = 20, /* of one join: each failure is told a reason to try again */
    MEMBER_ID_REQUIRED = 79,
    UNKNOWN_MEMBER_ID = 25,
};

void kafka_member_init(struct kafka_member *m, struct kafka_client *client, const char *group,
                       const char *topic)
{
    *m = (struct kafka_member){
        .client = client, .group = group, .topic = topic, .id = xstrdup(""), .generation = -1};
}

void kafka_member_reset(struct kafka_member *m)
{
    free(m->id);
    vec_reset(&m->partitions);
    m->id = NULL;
}

/* ---- assigning ---- */

/* What JoinGroup tells the leader, kept beyond the next answer. */
struct plan {
    VEC(struct assignor_member) members;
    VEC(char *) strings; /* owned: ids and topics */
};

static char *keep(struct plan *plan, struct bytes b)
{
    char *copy = xasprintf("%.*s", BYTES_FORMAT(b));
    vec_push(&plan->strings, copy);
    return copy;
}

static void plan_reset(struct plan *plan)
{
    for (size_t i = 0; i < plan->members.count; i++) {
        text_reset(&plan->members.items[i].assignment);
        free((void *)(uintptr_t)plan->members.items[i].topics);
    }
    for (size_t i = 0; i < plan->strings.count; i++)
        free(plan->strings.items[i]);
    vec_reset(&plan->members);
    vec_reset(&plan->strings);
}

/* Kafka's ConsumerProtocolSubscription: version, topics; what follows is not looked at. */
static void take_member(struct plan *plan, const struct kafka_join_group_response_member *in)
{
    struct reader r = reader_of(in->metadata);
    VEC(const char *) topics = {0};

    (void)reader_u16(&r);
    for (uint32_t count = reader_u32(&r); count > 0 && !r.bad; count--) {
        struct bytes topic = reader_bytes(&r, reader_u16(&r));
        if (!r.bad)
            vec_push(&topics, keep(plan, topic));
    }
    vec_push(&plan->members, ((struct assignor_member){.id = keep(plan, in->member_id),
                                                       .topics = topics.items,
                                                       .topic_count = topics.count}));
}

static int compare_members(const void *left, const void *right)
{
    return strcmp(((const struct assignor_member *)left)->id,
                  ((const struct assignor_member *)right)->id);
}

static enum err assign_all(struct kafka_member *m, struct plan *plan)
{
    struct kafka_metadata_response metadata;

    qsort(plan->members.items, plan->members.count, sizeof *plan->members.items, compare_members);
    enum err err = kafka_client_metadata(m->client, NULL, &metadata);
    for (int32_t i = 0; !err && i < metadata.topics.count; i++) {
        char *topic = keep(plan, metadata.topics.items[i].name);
        assignor_range(plan->members.items, plan->members.count, topic,
                       metadata.topics.items[i].partitions.count);
    }
    for (size_t i = 0; i < plan->members.count; i++) {
        assignor_end(&plan->members.items[i]);
    }
    return err;
}

/* ---- joining ---- */

/* One question and its answer's code; the plan is filled when this member is the leader. */
static enum err ask_to_join(struct kafka_member *m, struct plan *plan, int16_t *out_code)
{
    struct kafka_join_group_request request;
    struct kafka_join_group_request_protocol protocol = {.name = BYTES_LITERAL("range")};
    struct kafka_join_group_response response;
    struct text metadata = {0};

    wire_init(&kafka_join_group_request_schema, &request);
    assignor_put_subscription(m->topic, &metadata);
    protocol.metadata = text_bytes(&metadata);
    request.group_id = bytes_from_string(m->group);
    request.member_id = bytes_from_string(m->id);
    request.session_timeout_ms = SESSION_MS;
    request.rebalance_timeout_ms = REBALANCE_MS;
    request.protocol_type = BYTES_LITERAL("consumer");
    request.protocols.items = &protocol;
    request.protocols.count = 1;
    enum err err =
        kafka_client_ask_slow(m->client, KAFKA_JOIN_GROUP, KAFKA_CLIENT_JOIN_GROUP_VERSION,
                              &request, &response, (REBALANCE_MS + SESSION_MS) * INT64_C(1000000));
    text_reset(&metadata);
    if (err)
        return err;
    *out_code = response.error_code;
    if (response.member_id.size) {
        free(m->id);
        m->id = xasprintf("%.*s", BYTES_FORMAT(response.member_id));
    }
    m->generation = response.generation_id;
    for (int32_t i = 0; i < response.members.count; i++)
        take_member(plan, &response.members.items[i]);
    return kafka_client_error(response.error_code, BYTES_NULL, m->group);
}

/* This member's part of the topic. */
static enum err take_assignment(struct kafka_member *m, struct bytes assignment)
{
    struct reader r = reader_of(assignment);

    vec_clear(&m->partitions);
    if (assignment.size == 0)
        return OK;
    (void)reader_u16(&r);
    for (uint32_t topics = reader_u32(&r); topics > 0 && !r.bad; topics--) {
        struct bytes topic = reader_bytes(&r, reader_u16(&r));
        for (uint32_t count = reader_u32(&r); count > 0 && !r.bad; count--) {
            int32_t partition = (int32_t)reader_u32(&r);
            if (!r.bad && bytes_equal_string(topic, m->topic))
                vec_push(&m->partitions, partition);
        }
    }
    return r.bad ? err_set(E_MALFORMED, "group %s: an assignment that is none", m->group) : OK;
}

static enum err sync_group(struct kafka_member *m, const struct plan *plan)
{
    struct kafka_sync_group_request request;
    struct kafka_sync_group_response response;
    struct kafka_sync_group_request_assignment *assignments =
        xmalloc((plan->members.count + 1) * sizeof *assignments);

    wire_init(&kafka_sync_group_request_schema, &request);
    for (size_t i = 0; i < plan->members.count; i++)
        assignments[i] = (struct kafka_sync_group_request_assignment){
            bytes_from_string(plan->members.items[i].id),
            text_bytes(&plan->members.items[i].assignment)};
    request.group_id = bytes_from_string(m->group);
    request.generation_id = m->generation;
    request.member_id = bytes_from_string(m->id);
    request.assignments.items = assignments;
    request.assignments.count = (int32_t)plan->members.count;
    enum err err =
        kafka_client_ask_slow(m->client, KAFKA_SYNC_GROUP, KAFKA_CLIENT_SYNC_GROUP_VERSION,
                              &request, &response, (REBALANCE_MS + SESSION_MS) * INT64_C(1000000));
    free(assignments);
    if (!err)
        err = kafka_client_error(response.error_code, BYTES_NULL, m->group);
    return err ? err : take_assignment(m, response.assignment);
}

static enum err join_once(struct kafka_member *m)
{
    struct plan plan = {{0}, {0}};
    int16_t code = 0;

    enum err err = ask_to_join(m, &plan, &code);
    if (err && code == UNKNOWN_MEMBER_ID) {
        m->id[0] = 0; /* as a new one */
        err = E_AGAIN;
    }
    if (!err && plan.members.count)
        err = assign_all(m, &plan);
    if (!err)
        err = sync_group(m, &plan);
    plan_reset(&plan);
    return err;
}

enum err kafka_member_join(struct kafka_member *m)
{
    enum err err = kafka_group_ready(m->client, m->group);

    for (int i = 0; !err && i < TRIES_MAX; i++) {
        err = join_once(m);
        if (err != E_AGAIN && err != E_STALE)
            break;
        err = i + 1 < TRIES_MAX ? OK : err;
    }
    m->next_beat_ns = clock_now_ns() + BEAT_MS * INT64_C(1000000);
    return err;
}

/* ---- staying and leaving ---- */

enum err kafka_member_beat(struct kafka_member *m)
{
    struct kafka_heartbeat_request request;
    struct kafka_heartbeat_response response;

    if (clock_now_ns() < m->next_beat_ns)
        return OK;
    wire_init(&kafka_heartbeat_request_schema, &request);
    request.group_id = bytes_from_string(m->group);
    request.generation_id = m->generation;
    request.member_id = bytes_from_string(m->id);
    enum err err = kafka_client_ask(m->client, KAFKA_HEARTBEAT, KAFKA_CLIENT_HEARTBEAT_VERSION,
                                    &request, &response);
    m->next_beat_ns = clock_now_ns() + BEAT_MS * INT64_C(1000000);
    if (!err)
        err = kafka_client_error(response.error_code, BYTES_NULL, m->group);
    return err == E_STALE ? E_AGAIN : err;
}

void kafka_member_leave(struct kafka_member *m)
{
    struct kafka_leave_group_request request;
    struct kafka_leave_group_request_member member;
    struct kafka_leave_group_response response;

    if (!m->id || !*m->id)
        return;
    wire_init(&kafka_leave_group_request_schema, &request);
    wire_init(&kafka_leave_group_request_member_schema, &member);
    member.member_id = bytes_from_string(m->id);
    request.group_id = bytes_from_string(m->group);
    request.members.items = &member;
    request.members.count = 1;
    if (kafka_client_ask(m->client, KAFKA_LEAVE_GROUP, KAFKA_CLIENT_LEAVE_GROUP_VERSION, &request,
                         &response) != OK)
        err_clear(); /* it will time out */
}
