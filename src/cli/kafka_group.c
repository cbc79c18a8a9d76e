#include "cli/kafka_group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/nearest.h"
#include "io/clock.h"

static int compare_parts(const void *left, const void *right)
{
    const struct group_part *a = left, *b = right;
    int order = strcmp(a->topic, b->topic);

    return order ? order : (a->partition > b->partition) - (a->partition < b->partition);
}

void kafka_group_reset(struct kafka_group *g)
{
    for (size_t i = 0; i < g->parts.count; i++) {
        free(g->parts.items[i].topic);
        free(g->parts.items[i].client);
        free(g->parts.items[i].host);
    }
    vec_reset(&g->parts);
    free(g->state);
    g->state = NULL;
}

struct group_part *kafka_group_part(struct kafka_group *g, struct bytes topic, int32_t partition)
{
    for (size_t i = 0; i < g->parts.count; i++)
        if (g->parts.items[i].partition == partition &&
            bytes_equal_string(topic, g->parts.items[i].topic))
            return &g->parts.items[i];
    struct group_part part = {
        .topic = xasprintf("%.*s", BYTES_FORMAT(topic)), .partition = partition, .committed = -1};
    vec_push(&g->parts, part);
    return &vec_last(&g->parts);
}

/* ---- the coordinator ---- */

static enum err find_coordinator(struct kafka_client *c, const char *group)
{
    struct kafka_find_coordinator_request request;
    struct kafka_find_coordinator_response response;

    wire_init(&kafka_find_coordinator_request_schema, &request);
    request.key = bytes_from_string(group);
    enum err err = kafka_client_ask(c, KAFKA_FIND_COORDINATOR,
                                    KAFKA_CLIENT_FIND_COORDINATOR_VERSION, &request, &response);
    return err ? err : kafka_client_error(response.error_code, response.error_message, group);
}

/* A coordinator that has just been found may not know yet that it is one. */
static enum err try_coordinator(struct kafka_client *c, const char *group)
{
    struct kafka_offset_fetch_request request;
    struct kafka_offset_fetch_request_topic none;
    struct kafka_offset_fetch_response response;

    enum err err = find_coordinator(c, group);
    if (err)
        return err;
    wire_init(&kafka_offset_fetch_request_schema, &request);
    request.group_id = bytes_from_string(group);
    request.topics.items = &none; /* not all, but none */
    err = kafka_client_ask(c, KAFKA_OFFSET_FETCH, KAFKA_CLIENT_OFFSET_FETCH_VERSION, &request,
                           &response);
    return err ? err : kafka_client_error(response.error_code, BYTES_NULL, group);
}

enum err kafka_group_ready(struct kafka_client *c, const char *group)
{
    int64_t start_ns = clock_now_ns();
    enum err err;

    while ((err = try_coordinator(c, group)) == E_AGAIN && kafka_client_tries_again(c, start_ns))
        continue;
    return err;
}

/* ---- reading ---- */

enum err kafka_group_read_offsets(struct kafka_client *c, const char *group,
                                  struct kafka_group *out)
{
    struct kafka_offset_fetch_request request;
    struct kafka_offset_fetch_response response;

    wire_init(&kafka_offset_fetch_request_schema, &request);
    request.group_id = bytes_from_string(group);
    request.topics.items = NULL; /* all */
    enum err err = kafka_client_ask(c, KAFKA_OFFSET_FETCH, KAFKA_CLIENT_OFFSET_FETCH_VERSION,
                                    &request, &response);
    if (!err)
        err = kafka_client_error(response.error_code, BYTES_NULL, group);
    for (int32_t i = 0; i < response.topics.count && !err; i++) {
        const struct kafka_offset_fetch_response_topic *topic = &response.topics.items[i];
        for (int32_t j = 0; j < topic->partitions.count; j++)
            kafka_group_part(out, topic->name, topic->partitions.items[j].partition_index)
                ->committed = topic->partitions.items[j].committed_offset;
    }
    return err;
}

/* Kafka's ConsumerProtocolAssignment: version, then topics with partitions. Not believed: what it
 * says beyond its end is nothing. */
static void take_assignment(struct kafka_group *g,
                            const struct kafka_describe_groups_response_member *member)
{
    struct reader r = reader_of(member->member_assignment);

    (void)reader_u16(&r);
    for (uint32_t topics = reader_u32(&r); topics > 0 && !r.bad; topics--) {
        struct bytes topic = reader_bytes(&r, reader_u16(&r));
        for (uint32_t count = reader_u32(&r); count > 0 && !r.bad; count--) {
            int32_t partition = (int32_t)reader_u32(&r);
            if (r.bad)
                return;
            struct group_part *part = kafka_group_part(g, topic, partition);
            free(part->client);
            free(part->host);
            part->client = xasprintf("%.*s", BYTES_FORMAT(member->client_id));
            part->host = xasprintf("%.*s", BYTES_FORMAT(member->client_host));
        }
    }
}

static enum err describe(struct kafka_client *c, const char *group, struct kafka_group *out)
{
    struct kafka_describe_groups_request request;
    struct kafka_describe_groups_response response;
    struct bytes name = bytes_from_string(group);

    wire_init(&kafka_describe_groups_request_schema, &request);
    request.groups.items = &name;
    request.groups.count = 1;
    enum err err = kafka_client_ask(c, KAFKA_DESCRIBE_GROUPS, KAFKA_CLIENT_DESCRIBE_GROUPS_VERSION,
                                    &request, &response);
    if (!err && response.groups.count != 1)
        err = err_set(E_MALFORMED, "%d groups instead of one", response.groups.count);
    if (!err)
        err = kafka_client_error(response.groups.items[0].error_code, BYTES_NULL, group);
    if (err)
        return err;
    const struct kafka_describe_groups_response_group *found = &response.groups.items[0];
    out->state = xasprintf("%.*s", BYTES_FORMAT(found->group_state));
    out->member_count = (size_t)found->members.count;
    for (int32_t i = 0; i < found->members.count; i++)
        if (bytes_equal_string(found->protocol_type, "consumer"))
            take_assignment(out, &found->members.items[i]);
    return OK;
}

static enum err unknown_group(struct kafka_client *c, const char *group)
{
    struct kafka_list_groups_request request;
    struct kafka_list_groups_response response;
    struct nearest nearest = {0};

    wire_init(&kafka_list_groups_request_schema, &request);
    enum err err = kafka_client_ask(c, KAFKA_LIST_GROUPS, KAFKA_CLIENT_LIST_GROUPS_VERSION,
                                    &request, &response);
    for (int32_t i = 0; !err && i < response.groups.count; i++)
        nearest_consider(&nearest, bytes_from_string(group), response.groups.items[i].group_id);
    if (nearest.name[0])
        return err_set(E_NOT_FOUND, "there is no group %s; did you mean %s?", group, nearest.name);
    return err_set(E_NOT_FOUND, "there is no group %s", group);
}

enum err kafka_group_read(struct kafka_client *c, const char *group, struct kafka_group *out)
{
    enum err err = kafka_group_ready(c, group);

    if (!err)
        err = kafka_group_read_offsets(c, group, out);
    if (!err)
        err = describe(c, group, out);
    bool is_missing =
        err == E_NOT_FOUND || (!err && strcmp(out->state, "Dead") == 0 && out->parts.count == 0);
    if (is_missing)
        return unknown_group(c, group);
    if (out->parts.count > 1)
        qsort(out->parts.items, out->parts.count, sizeof *out->parts.items, compare_parts);
    return err;
}

/* ---- committing ---- */

/* Places of one topic follow one another. */
static void put_commits(const struct group_commit *commit,
                        struct kafka_offset_commit_request *request,
                        struct kafka_offset_commit_request_topic *topics,
                        struct kafka_offset_commit_request_partition *parts)
{
    request->topics.items = topics;
    for (size_t i = 0; i < commit->count; i++) {
        const struct kafka_place *place = &commit->places[i];
        wire_init(&kafka_offset_commit_request_partition_schema, &parts[i]);
        parts[i].partition_index = place->partition;
        parts[i].committed_offset = place->offset;
        if (i == 0 || strcmp(place->topic, place[-1].topic) != 0) {
            struct kafka_offset_commit_request_topic *topic = &topics[request->topics.count++];
            wire_init(&kafka_offset_commit_request_topic_schema, topic);
            topic->name = bytes_from_string(place->topic);
            topic->partitions.items = &parts[i];
        }
        topics[request->topics.count - 1].partitions.count++;
    }
}

enum err kafka_group_commit(struct kafka_client *c, const struct group_commit *commit)
{
    struct kafka_offset_commit_request request;
    struct kafka_offset_commit_response response;
    struct kafka_offset_commit_request_topic *topics =
        xmalloc((commit->count + 1) * sizeof *topics);
    struct kafka_offset_commit_request_partition *parts =
        xmalloc((commit->count + 1) * sizeof *parts);

    wire_init(&kafka_offset_commit_request_schema, &request);
    request.group_id = bytes_from_string(commit->group);
    request.member_id = bytes_from_string(commit->member);
    request.generation_id_or_member_epoch = commit->generation;
    put_commits(commit, &request, topics, parts);
    enum err err = kafka_client_ask(c, KAFKA_OFFSET_COMMIT, KAFKA_CLIENT_OFFSET_COMMIT_VERSION,
                                    &request, &response);
    for (int32_t i = 0; !err && i < response.topics.count; i++)
        for (int32_t j = 0; !err && j < response.topics.items[i].partitions.count; j++)
            err = kafka_client_error(response.topics.items[i].partitions.items[j].error_code,
                                     BYTES_NULL, commit->group);
    free(topics);
    free(parts);
    return err;
}
