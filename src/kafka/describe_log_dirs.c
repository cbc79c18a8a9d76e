/*
 * DescribeLogDirs: how much of the disk each partition uses, and how much the volume has (KIP-827),
 * which is looked up in a job because the file system may take its time. There is one directory.
 *
 * There may be very many partitions: they are told in slices, those of the topics that there are at the
 * first one, but for topics that are deleted meanwhile.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/broker_config.h"
#include "broker/core.h"
#include "broker/topic.h"
#include "broker/topic_walk.h"
#include "io/disk.h"
#include "io/jobs.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum {
    UNKNOWN_BYTES = -1,
    /* What is done in one turn: partitions, and what a topic costs besides. */
    SLICE_PARTITIONS = 8192,
    TOPIC_COST = 16,
};

/* Outlives a request whose connection goes away while the job runs. */
struct volume {
    struct job job;
    struct disk *disk;
    struct request *request; /* NULL: it is gone */
    uint64_t free_bytes, total_bytes;
    enum err err;
};

struct log_dirs {
    struct slice slice;
    struct topic_walk all; /* when all topics are asked for */
    int32_t topic;         /* of the request, and the next partition asked of it */
    int32_t partition;
    int32_t left; /* of the slice */
    struct volume *volume;
};

static void go_on(struct request *r);
static void look_up_volume(struct request *r);

/* There is one. */
static struct kafka_describe_log_dirs_response_dir *dir_of(const struct request *r)
{
    struct kafka_describe_log_dirs_response *reply = r->reply;
    return &reply->results.items[0];
}

static bool begin_reply(struct request *r, size_t topic_count)
{
    const struct broker_setting *path = broker_setting_find(request_core(r), "log.dirs");
    struct kafka_describe_log_dirs_response *reply =
        request_new(r, &kafka_describe_log_dirs_response_schema, 1);
    if (!reply)
        return false;
    r->reply = reply;
    reply->results.items = request_new(r, &kafka_describe_log_dirs_response_dir_schema, 1);
    if (!reply->results.items)
        return false;
    reply->results.count = 1;
    struct kafka_describe_log_dirs_response_dir *dir = dir_of(r);
    dir->log_dir = path ? bytes_from_string(path->value) : BYTES_LITERAL("data");
    if (store_is_frozen(request_core(r)->store))
        dir->error_code = KAFKA_STORAGE_ERROR;
    dir->topics.items = request_room(r, topic_count, sizeof *dir->topics.items);
    return dir->topics.items != NULL;
}

void describe_log_dirs_start(struct request *r)
{
    const struct kafka_describe_log_dirs_request *in = r->body;
    struct log_dirs *l = request_alloc(r, 1, sizeof *l);
    if (!l)
        return;
    r->work = l;
    if (!in->topics.items)
        topic_walk_begin(&l->all, request_core(r));
    if (begin_reply(r, l->all.core ? l->all.count : (size_t)in->topics.count))
        go_on(r);
}

void describe_log_dirs_release(struct request *r)
{
    struct log_dirs *l = r->work;
    if (!l)
        return;
    core_defer_cancel(&l->slice.deferred);
    topic_walk_end(&l->all);
    if (l->volume)
        l->volume->request = NULL;
}

/* ---- partitions ---- */

static bool begin_topic(struct request *r, const struct topic *topic, int32_t count)
{
    struct kafka_describe_log_dirs_response_dir *dir = dir_of(r);
    struct kafka_describe_log_dirs_response_topic *out = &dir->topics.items[dir->topics.count];
    wire_init(&kafka_describe_log_dirs_response_topic_schema, out);
    out->name = request_copy(r, topic->name);
    out->partitions.items = request_room(r, (size_t)count, sizeof *out->partitions.items);
    dir->topics.count += !request_has_failed(r);
    return !request_has_failed(r);
}

/* Of the topic that was begun last. */
static void put_partition(struct request *r, const struct partition *p)
{
    struct kafka_describe_log_dirs_response_dir *dir = dir_of(r);
    struct kafka_describe_log_dirs_response_topic *topic =
        &dir->topics.items[dir->topics.count - 1];
    struct kafka_describe_log_dirs_response_partition *out =
        &topic->partitions.items[topic->partitions.count++];
    wire_init(&kafka_describe_log_dirs_response_partition_schema, out);
    out->partition_index = p->index;
    out->partition_size = (int64_t)log_size_bytes(p->log);
}

static bool put_topic(struct request *r, const struct topic *topic)
{
    struct log_dirs *l = r->work;
    if (topic->deleted)
        return true;
    if (!begin_topic(r, topic, topic->partition_count))
        return false;
    for (int32_t i = 0; i < topic->partition_count; i++)
        put_partition(r, topic->partitions[i]);
    l->left -= topic->partition_count;
    return true;
}

/* The partitions that are there; a topic without any is left out. A slice may end within one. */
static bool put_asked(struct request *r, const struct kafka_describe_log_dirs_request_topic *asked)
{
    struct log_dirs *l = r->work;
    struct kafka_describe_log_dirs_response_dir *dir = dir_of(r);
    struct topic *topic = topic_find(request_core(r), asked->topic);
    if (l->partition == 0 && topic && !begin_topic(r, topic, asked->partitions.count))
        return false;
    for (; topic && l->partition < asked->partitions.count && l->left > 0; l->left--) {
        const struct partition *p = topic_partition(topic, asked->partitions.items[l->partition++]);
        if (p)
            put_partition(r, p);
    }
    if (topic && l->partition < asked->partitions.count)
        return true;
    if (dir->topics.count > 0 && dir->topics.items[dir->topics.count - 1].partitions.count == 0)
        dir->topics.count--;
    l->partition = 0;
    l->topic++;
    return true;
}

/* The next topic; false when there is none, or the request has failed. */
static bool put_next(struct request *r)
{
    const struct kafka_describe_log_dirs_request *in = r->body;
    struct log_dirs *l = r->work;
    if (l->all.core) {
        const struct topic *topic = topic_walk_next(&l->all);
        return topic && put_topic(r, topic);
    }
    return l->topic < in->topics.count && put_asked(r, &in->topics.items[l->topic]);
}

static void go_on(struct request *r)
{
    struct log_dirs *l = r->work;
    bool has_more = true;
    for (l->left = SLICE_PARTITIONS; l->left > 0 && has_more; l->left -= TOPIC_COST)
        has_more = put_next(r);
    if (request_has_failed(r))
        return;
    if (has_more)
        request_slice(r, &l->slice, go_on);
    else
        look_up_volume(r);
}

/* ---- the volume ---- */

static void look(struct job *job)
{
    struct volume *v = container_of(job, struct volume, job);
    v->err = disk_free_bytes(v->disk, &v->free_bytes);
    if (!v->err)
        v->err = disk_total_bytes(v->disk, &v->total_bytes);
}

static void looked(struct job *job)
{
    struct volume *v = container_of(job, struct volume, job);
    struct request *r = v->request;
    if (r) {
        struct kafka_describe_log_dirs_response_dir *dir = dir_of(r);
        dir->total_bytes = v->err ? UNKNOWN_BYTES : (int64_t)v->total_bytes;
        dir->usable_bytes = v->err ? UNKNOWN_BYTES : (int64_t)v->free_bytes;
        ((struct log_dirs *)r->work)->volume = NULL;
        request_answer(r, r->reply);
    }
    free(v);
}

static void look_up_volume(struct request *r)
{
    struct core *core = request_core(r);
    struct log_dirs *l = r->work;
    struct volume *v = l->volume = xzalloc(sizeof *v);
    v->request = r;
    v->disk = core_disk(core);
    v->job.run = look;
    v->job.done = looked;
    jobs_submit(core_jobs(core), LANE_HELPER, &v->job);
}
