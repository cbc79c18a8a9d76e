#include "cli/kafka_admin.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/control_client.h"
#include "io/clock.h"

enum err kafka_admin_open(const struct common *common, struct kafka_client **out)
{
    return kafka_client_open(control_find_listener(common, "kafka", "127.0.0.1:9092"),
                             common->timeout_ns, out);
}

int kafka_admin_run(const struct common *common, const void *options, kafka_admin_ask *ask,
                    const char *columns)
{
    struct kafka_client *client = NULL;
    json_t *result = NULL;

    enum err err = kafka_admin_open(common, &client);
    if (!err)
        err = ask(client, options, &result);
    kafka_client_close(client);
    if (err) {
        json_decref(result);
        return (int)output_error(err);
    }
    if (columns)
        output_rows(result, columns, common_wants_json(common));
    else
        output_object(result, common_wants_json(common));
    return EXIT_CODE_OK;
}

void kafka_partitions_reset(kafka_partitions *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].topic);
    vec_reset(list);
}

static int compare(const void *left, const void *right)
{
    const struct kafka_partition *a = left, *b = right;
    int order = strcmp(a->topic, b->topic);

    return order ? order : (a->index > b->index) - (a->index < b->index);
}

struct kafka_partition *kafka_partitions_find(const kafka_partitions *list, struct bytes topic,
                                              int32_t index)
{
    char *name = xasprintf("%.*s", BYTES_FORMAT(topic));
    struct kafka_partition wanted = {.topic = name, .index = index};
    struct kafka_partition *found =
        list->count ? bsearch(&wanted, list->items, list->count, sizeof wanted, compare) : NULL;

    free(name);
    return found;
}

static void take_metadata(const struct kafka_metadata_response *in, kafka_partitions *out)
{
    for (int32_t i = 0; i < in->topics.count; i++) {
        const struct kafka_metadata_response_topic *topic = &in->topics.items[i];
        for (int32_t j = 0; j < topic->partitions.count; j++) {
            struct kafka_partition p = {.topic = xasprintf("%.*s", BYTES_FORMAT(topic->name)),
                                        .index = topic->partitions.items[j].partition_index,
                                        .leader = topic->partitions.items[j].leader_id,
                                        .bytes = -1};
            vec_push(out, p);
        }
    }
    if (out->count > 1)
        qsort(out->items, out->count, sizeof *out->items, compare);
}

static enum err ask_ends(struct kafka_client *c, kafka_partitions *list)
{
    struct kafka_place *places = xmalloc((list->count + 1) * sizeof *places);
    enum err err = OK;

    for (int is_end = 0; is_end <= 1 && !err; is_end++) {
        for (size_t i = 0; i < list->count; i++)
            places[i] = (struct kafka_place){.topic = list->items[i].topic,
                                             .partition = list->items[i].index,
                                             .timestamp = is_end ? KAFKA_TIMESTAMP_LATEST
                                                                 : KAFKA_TIMESTAMP_EARLIEST};
        err = kafka_client_list_offsets(c, places, list->count);
        for (size_t i = 0; i < list->count; i++)
            *(is_end ? &list->items[i].end : &list->items[i].start) = places[i].offset;
    }
    free(places);
    return err;
}

static enum err ask_sizes(struct kafka_client *c, kafka_partitions *list)
{
    struct kafka_describe_log_dirs_request request;
    struct kafka_describe_log_dirs_response response;

    wire_init(&kafka_describe_log_dirs_request_schema, &request);
    enum err err = kafka_client_ask(c, KAFKA_DESCRIBE_LOG_DIRS,
                                    KAFKA_CLIENT_DESCRIBE_LOG_DIRS_VERSION, &request, &response);
    for (int32_t i = 0; i < response.results.count && !err; i++) {
        const struct kafka_describe_log_dirs_response_dir *dir = &response.results.items[i];
        for (int32_t j = 0; j < dir->topics.count; j++) {
            const struct kafka_describe_log_dirs_response_topic *topic = &dir->topics.items[j];
            for (int32_t k = 0; k < topic->partitions.count; k++) {
                struct kafka_partition *p = kafka_partitions_find(
                    list, topic->name, topic->partitions.items[k].partition_index);
                if (p)
                    p->bytes = topic->partitions.items[k].partition_size;
            }
        }
    }
    return err;
}

enum err kafka_admin_partitions(struct kafka_client *c, const char *topic, kafka_partitions *out)
{
    struct kafka_metadata_response metadata;
    int64_t start_ns = clock_now_ns();

    enum err err = kafka_client_metadata(c, topic, &metadata);
    if (err)
        return err;
    take_metadata(&metadata, out);
    while ((err = ask_ends(c, out)) == E_AGAIN && kafka_client_tries_again(c, start_ns))
        continue; /* a new topic's leaders may take a moment */
    return err ? err : ask_sizes(c, out);
}
