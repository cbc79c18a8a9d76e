/* `pabal group ...`: consumer groups, over Kafka's protocol. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "cli/commands.h"
#include "cli/kafka_group.h"
#include "cli/place.h"
#include "io/clock.h"
#include "log/batch.h"

enum { INFLATE_LIMIT_BYTES = 64 << 20 };

struct group_options {
    struct common common;
    const char *name;
    struct flag_list topics;
    int64_t partition; /* -1: all */
    const char *to, *shift;
    bool all_topics, execute, dry_run;
};

/* ---- list ---- */

static enum err lag_of(struct kafka_client *c, const char *group, const kafka_partitions *ends,
                       int64_t *out)
{
    struct kafka_group g = {0};
    enum err err = kafka_group_read_offsets(c, group, &g);

    *out = 0;
    for (size_t i = 0; i < g.parts.count && !err; i++) {
        const struct group_part *part = &g.parts.items[i];
        const struct kafka_partition *p =
            kafka_partitions_find(ends, bytes_from_string(part->topic), part->partition);
        if (p && part->committed >= 0 && p->end > part->committed)
            *out += p->end - (part->committed > p->start ? part->committed : p->start);
    }
    kafka_group_reset(&g);
    return err;
}

static enum err list_names(struct kafka_client *c, json_t *rows)
{
    struct kafka_list_groups_request request;
    struct kafka_list_groups_response response;

    wire_init(&kafka_list_groups_request_schema, &request);
    enum err err = kafka_client_ask(c, KAFKA_LIST_GROUPS, KAFKA_CLIENT_LIST_GROUPS_VERSION,
                                    &request, &response);
    if (!err)
        err = kafka_client_error(response.error_code, BYTES_NULL, "groups");
    for (int32_t i = 0; !err && i < response.groups.count; i++) {
        const struct kafka_list_groups_response_group *group = &response.groups.items[i];
        json_t *row = json_object();
        json_object_set_new(row, "name", json_of_bytes(group->group_id));
        json_object_set_new(row, "state", json_of_bytes(group->group_state));
        json_object_set_new(row, "protocol", json_of_bytes(group->protocol_type));
        json_array_append_new(rows, row);
    }
    return err;
}

static enum err list_groups(struct kafka_client *c, const void *options, json_t **out)
{
    kafka_partitions ends = {0};
    size_t i;
    json_t *row;

    (void)options;
    *out = json_array();
    enum err err = kafka_group_ready(c, "pabal");
    if (!err)
        err = list_names(c, *out);
    if (!err)
        err = kafka_admin_partitions(c, NULL, &ends);
    json_array_foreach(*out, i, row)
    {
        int64_t lag = 0;
        if (!err)
            err = lag_of(c, json_string_value(json_object_get(row, "name")), &ends, &lag);
        json_object_set_new(row, "lag", json_integer((json_int_t)lag));
    }
    kafka_partitions_reset(&ends);
    return err;
}

/* ---- show ---- */

/* When the first record at or behind the offset was written; -1: there is none to be seen. */
static int64_t time_of_first(struct bytes records, int64_t offset)
{
    struct text scratch = {0};
    struct batch batch;
    struct bytes plain;
    struct record_reader reader;
    struct record record;
    int64_t found_ms = -1;

    while (found_ms < 0 && records.size && batch_parse(records, &batch) == OK &&
           batch_inflate(&batch, INFLATE_LIMIT_BYTES, &scratch, &plain) == OK) {
        record_reader_init(&reader, &batch, batch.base_offset, plain);
        while (found_ms < 0 && record_reader_next(&reader, &record))
            if (record.offset >= offset)
                found_ms = record.timestamp;
        records = bytes_of(records.data + batch.raw.size, records.size - batch.raw.size);
    }
    text_reset(&scratch);
    return found_ms;
}

/* How long the oldest message that is not worked off has been waiting. */
static enum err lag_seconds(struct kafka_client *c, const struct group_part *part, int64_t from,
                            json_t *row)
{
    struct kafka_fetch_request_partition *position = kafka_client_positions(1, 1);
    struct kafka_fetch_response answer;

    position->partition = part->partition;
    position->fetch_offset = from;
    enum err err = kafka_client_fetch(c, part->topic, position, 1, 0, &answer);
    bool is_there =
        !err && answer.responses.count == 1 && answer.responses.items[0].partitions.count == 1;
    int64_t written_ms =
        is_there ? time_of_first(answer.responses.items[0].partitions.items[0].records, from) : -1;
    if (written_ms >= 0) {
        int64_t waiting_ms = clock_wall_ms() - written_ms;
        json_object_set_new(row, "lag_s", json_integer(waiting_ms > 0 ? waiting_ms / 1000 : 0));
    }
    free(position);
    return err;
}

static json_t *part_row(const struct group_part *part, const struct kafka_partition *p)
{
    json_t *row = json_pack("{s:s, s:i}", "topic", part->topic, "partition", (int)part->partition);

    if (part->committed >= 0)
        json_object_set_new(row, "committed", json_integer((json_int_t)part->committed));
    if (p)
        json_object_set_new(row, "end", json_integer((json_int_t)p->end));
    if (part->client) {
        json_object_set_new(row, "client", json_string(part->client));
        json_object_set_new(row, "host", json_string(part->host));
    }
    return row;
}

static enum err show_part(struct kafka_client *c, const struct group_part *part,
                          const struct kafka_partition *p, json_t *rows)
{
    json_t *row = part_row(part, p);

    json_array_append_new(rows, row);
    if (!p || part->committed < 0)
        return OK;
    int64_t from = part->committed > p->start ? part->committed : p->start;
    int64_t lag = p->end > from ? p->end - from : 0;
    json_object_set_new(row, "lag", json_integer((json_int_t)lag));
    if (lag > 0)
        return lag_seconds(c, part, from, row);
    json_object_set_new(row, "lag_s", json_integer(0));
    return OK;
}

static enum err show_group(struct kafka_client *c, const void *options, json_t **out)
{
    const struct group_options *o = options;
    struct kafka_group g = {0};
    kafka_partitions ends = {0};

    *out = json_array();
    enum err err = kafka_group_read(c, o->name, &g);
    if (!err)
        err = kafka_admin_partitions(c, NULL, &ends);
    for (size_t i = 0; i < g.parts.count && !err; i++) {
        const struct group_part *part = &g.parts.items[i];
        err = show_part(
            c, part, kafka_partitions_find(&ends, bytes_from_string(part->topic), part->partition),
            *out);
    }
    if (!err && !common_wants_json(&o->common))
        fprintf(stderr, "%s: %s, %zu members\n", o->name, g.state, g.member_count);
    kafka_group_reset(&g);
    kafka_partitions_reset(&ends);
    return err;
}

/* ---- delete ---- */

static enum err delete_whole(struct kafka_client *c, const char *group)
{
    struct kafka_delete_groups_request request;
    struct kafka_delete_groups_response response;
    struct bytes name = bytes_from_string(group);

    wire_init(&kafka_delete_groups_request_schema, &request);
    request.groups_names.items = &name;
    request.groups_names.count = 1;
    enum err err = kafka_client_ask(c, KAFKA_DELETE_GROUPS, KAFKA_CLIENT_DELETE_GROUPS_VERSION,
                                    &request, &response);
    if (!err && response.results.count != 1)
        err = err_set(E_MALFORMED, "answer about %d groups", response.results.count);
    return err ? err : kafka_client_error(response.results.items[0].error_code, BYTES_NULL, group);
}

/* What is committed for the topics. */
static enum err delete_offsets(struct kafka_client *c, const struct group_options *o,
                               const struct kafka_group *g)
{
    for (size_t t = 0; t < o->topics.count; t++) {
        struct kafka_offset_delete_request request;
        struct kafka_offset_delete_response response;
        struct kafka_offset_delete_request_topic topic;
        VEC(struct kafka_offset_delete_request_partition) parts = {0};
        wire_init(&kafka_offset_delete_request_schema, &request);
        wire_init(&kafka_offset_delete_request_topic_schema, &topic);
        for (size_t i = 0; i < g->parts.count; i++)
            if (strcmp(g->parts.items[i].topic, o->topics.items[t]) == 0)
                vec_push(&parts, ((struct kafka_offset_delete_request_partition){
                                     g->parts.items[i].partition}));
        request.group_id = bytes_from_string(o->name);
        request.topics.items = &topic;
        request.topics.count = 1;
        topic.name = bytes_from_string(o->topics.items[t]);
        topic.partitions.items = parts.items;
        topic.partitions.count = (int32_t)parts.count;
        enum err err = kafka_client_ask(c, KAFKA_OFFSET_DELETE, KAFKA_CLIENT_OFFSET_DELETE_VERSION,
                                        &request, &response);
        if (!err)
            err = kafka_client_error(response.error_code, BYTES_NULL, o->name);
        for (int32_t i = 0; !err && i < response.topics.count; i++)
            for (int32_t j = 0; !err && j < response.topics.items[i].partitions.count; j++)
                err = kafka_client_error(response.topics.items[i].partitions.items[j].error_code,
                                         BYTES_NULL, o->topics.items[t]);
        vec_reset(&parts);
        if (err)
            return err;
    }
    return OK;
}

static enum err delete_group(struct kafka_client *c, const void *options, json_t **out)
{
    const struct group_options *o = options;
    struct kafka_group g = {0};

    enum err err = kafka_group_read(c, o->name, &g);
    if (!err)
        err = o->topics.count ? delete_offsets(c, o, &g) : delete_whole(c, o->name);
    kafka_group_reset(&g);
    if (!err)
        *out = json_pack("{s:s, s:b}", "name", o->name, "deleted", 1);
    return err;
}

/* ---- reset ---- */

struct reset {
    const struct group_options *options;
    struct kafka_client *client;
    struct kafka_group group;
    kafka_partitions partitions; /* those to be reset */
    struct kafka_place *places;  /* one for each */
};

static bool is_chosen(const struct reset *r, const struct kafka_partition *p)
{
    const struct group_options *o = r->options;

    if (o->partition >= 0 && p->index != o->partition)
        return false;
    if (!o->all_topics)
        return true;
    for (size_t i = 0; i < r->group.parts.count; i++)
        if (r->group.parts.items[i].partition == p->index &&
            strcmp(r->group.parts.items[i].topic, p->topic) == 0)
            return true;
    return false;
}

/* The partitions of the topics that were named, or with --all-topics what the group has committed. */
static enum err choose(struct reset *r)
{
    const struct group_options *o = r->options;
    kafka_partitions found = {0};
    enum err err = OK;

    if (o->all_topics)
        err = kafka_admin_partitions(r->client, NULL, &found);
    for (size_t i = 0; i < o->topics.count && !err; i++)
        err = kafka_admin_partitions(r->client, o->topics.items[i], &found);
    for (size_t i = 0; i < found.count; i++) {
        if (!err && is_chosen(r, &found.items[i]))
            vec_push(&r->partitions, found.items[i]);
        else
            free(found.items[i].topic);
    }
    vec_reset(&found);
    if (!err && r->partitions.count == 0)
        err = err_set(E_NOT_FOUND, "group %s: there is nothing to be reset", o->name);
    return err;
}

static int64_t committed(struct reset *r, size_t i)
{
    const struct kafka_partition *p = &r->partitions.items[i];

    return kafka_group_part(&r->group, bytes_from_string(p->topic), p->index)->committed;
}

static enum err shift_places(struct reset *r)
{
    int64_t by;

    if (!number_parse_i64(bytes_from_string(r->options->shift), &by))
        return err_set(E_INVALID, "--shift %s: must be a number of messages", r->options->shift);
    for (size_t i = 0; i < r->partitions.count; i++) {
        if (committed(r, i) < 0)
            return err_set(E_PRECONDITION, "group %s has committed nothing of %s, partition %d",
                           r->options->name, r->places[i].topic, r->places[i].partition);
        r->places[i].offset = committed(r, i) + by;
    }
    return OK;
}

static enum err find_places(struct reset *r)
{
    struct place place;
    enum err err = OK;

    r->places = xmalloc((r->partitions.count + 1) * sizeof *r->places);
    for (size_t i = 0; i < r->partitions.count; i++)
        r->places[i] = (struct kafka_place){.topic = r->partitions.items[i].topic,
                                            .partition = r->partitions.items[i].index};
    if (r->options->shift) {
        err = shift_places(r);
    } else {
        err = place_parse("--to", r->options->to, clock_wall_ms(), &place);
        if (!err)
            err = place_find(r->client, &place, r->places, r->partitions.count);
    }
    for (size_t i = 0; i < r->partitions.count && !err; i++) { /* within what there is */
        const struct kafka_partition *p = &r->partitions.items[i];
        if (r->places[i].offset > p->end)
            r->places[i].offset = p->end;
        if (r->places[i].offset < p->start)
            r->places[i].offset = p->start;
    }
    return err;
}

static json_t *reset_rows(struct reset *r)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < r->partitions.count; i++) {
        const struct kafka_place *place = &r->places[i];
        json_t *row = json_pack("{s:s, s:i, s:I, s:I}", "topic", place->topic, "partition",
                                (int)place->partition, "to", (json_int_t)place->offset, "lag",
                                (json_int_t)(r->partitions.items[i].end - place->offset));
        if (committed(r, i) >= 0)
            json_object_set_new(row, "from", json_integer((json_int_t)committed(r, i)));
        json_array_append_new(rows, row);
    }
    return rows;
}

static enum err execute(struct reset *r)
{
    const struct group_commit commit = {r->options->name, "", -1, r->places, r->partitions.count};

    if (r->group.member_count)
        return err_set(E_IN_USE,
                       "group %s has %zu members, which would not notice: stop them first",
                       r->options->name, r->group.member_count);
    return kafka_group_commit(r->client, &commit);
}

static enum err reset_group(struct kafka_client *c, const void *options, json_t **out)
{
    const struct group_options *o = options;
    struct reset r = {.options = o, .client = c};

    enum err err = kafka_group_read(c, o->name, &r.group);
    if (err == E_NOT_FOUND && !o->all_topics)
        err = OK; /* a group begins with its first commit */
    if (!err)
        err = choose(&r);
    if (!err)
        err = find_places(&r);
    if (!err)
        *out = reset_rows(&r);
    if (!err && o->execute)
        err = execute(&r);
    else if (!err)
        fprintf(stderr, "nothing was changed: --execute does it\n");
    free(r.places);
    kafka_group_reset(&r.group);
    kafka_partitions_reset(&r.partitions);
    return err;
}

static enum err check_reset(const struct group_options *o)
{
    if (!o->topics.count == !o->all_topics)
        return err_set(E_INVALID, "which topics? --topic NAME or --all-topics");
    if (!o->to == !o->shift)
        return err_set(E_INVALID, "where to? --to PLACE or --shift N");
    if (o->partition >= 0 && o->topics.count != 1)
        return err_set(E_INVALID, "--partition goes with one --topic");
    if (o->execute && o->dry_run)
        return err_set(E_INVALID, "--execute or --dry-run, not both");
    return OK;
}

/* ---- the commands ---- */

static bool begin(const struct arguments *a, int argc, char **argv, struct group_options *o,
                  int *exit_code)
{
    const char *positionals[POSITIONALS_MAX];

    if (!cli_begin(a, argc, argv, positionals, &o->common, exit_code))
        return false;
    o->name = positionals[0];
    return true;
}

static void options_init(struct group_options *o)
{
    *o = (struct group_options){.partition = -1};
    common_init(&o->common);
}

#define GROUP_FLAGS(o) SERVER_FLAG((o).common), CONTROL_FLAG((o).common), COMMON_FLAGS((o).common)

int group_list_run(int argc, char **argv)
{
    struct group_options o;
    const struct flag flags[] = {GROUP_FLAGS(o)};
    const struct arguments a = {
        .synopsis = "group list [options]",
        .about = "List consumer groups with their lag: the messages that they have not committed.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
    };
    int exit_code;

    options_init(&o);
    return begin(&a, argc, argv, &o, &exit_code)
               ? kafka_admin_run(&o.common, &o, list_groups, "name state protocol lag")
               : exit_code;
}

int group_show_run(int argc, char **argv)
{
    struct group_options o;
    const struct flag flags[] = {GROUP_FLAGS(o)};
    const struct arguments a = {
        .synopsis = "group show NAME [options]",
        .about =
            "Show a group's partitions: what is committed, how many messages it is behind, for\n"
            "how many seconds the oldest of them has been waiting, and who works on it.",
        .examples = "  pabal group show billing\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 1,
        .positional_most = 1,
    };
    int exit_code;

    options_init(&o);
    return begin(&a, argc, argv, &o, &exit_code)
               ? kafka_admin_run(&o.common, &o, show_group,
                                 "topic partition committed end lag lag_s client host")
               : exit_code;
}

int group_delete_run(int argc, char **argv)
{
    struct group_options o;
    const struct flag flags[] = {
        {"topic", FLAG_LIST, "NAME", "only what is committed for it; may be given many times",
         &o.topics},
        GROUP_FLAGS(o),
    };
    const struct arguments a = {
        .synopsis = "group delete NAME [options]",
        .about = "Delete a group that has no members, with everything that it has committed.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 1,
        .positional_most = 1,
    };
    int exit_code;

    options_init(&o);
    return begin(&a, argc, argv, &o, &exit_code)
               ? kafka_admin_run(&o.common, &o, delete_group, NULL)
               : exit_code;
}

int group_reset_run(int argc, char **argv)
{
    struct group_options o;
    const struct flag flags[] = {
        {"topic", FLAG_LIST, "NAME", "may be given many times", &o.topics},
        {"all-topics", FLAG_BOOL, "", "whatever the group has committed", &o.all_topics},
        {"partition", FLAG_INT, "N", "of the topic [all]", &o.partition},
        {"to", FLAG_TEXT, "PLACE", "beginning, end, OFFSET, -N, 10m (ago), 2026-11-21T07:00:00Z",
         &o.to},
        {"shift", FLAG_TEXT, "N", "so many messages on, or with -N back", &o.shift},
        {"execute", FLAG_BOOL, "", "do it [only show what would be done]", &o.execute},
        {"dry-run", FLAG_BOOL, "", "only show it: the default", &o.dry_run},
        GROUP_FLAGS(o),
    };
    const struct arguments a = {
        .synopsis = "group reset NAME --topic TOPIC --to PLACE [options]",
        .about = "Let a group that has no members go on from another place. Offsets beyond what a\n"
                 "partition has are moved to its nearest end.",
        .examples =
            "  pabal group reset billing --topic orders --to 2h\n"
            "  pabal group reset billing --all-topics --to beginning --execute\n"
            "  pabal group reset billing --topic orders --partition 3 --shift -10 --execute\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 1,
        .positional_most = 1,
    };
    int exit_code;

    options_init(&o);
    if (!begin(&a, argc, argv, &o, &exit_code))
        return exit_code;
    enum err err = check_reset(&o);
    if (err) {
        output_error(err);
        return EXIT_CODE_USAGE;
    }
    return kafka_admin_run(&o.common, &o, reset_group, "topic partition from to lag");
}
