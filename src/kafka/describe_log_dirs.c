/*
 * DescribeLogDirs: how much of the disk each partition uses, and how much the volume has (KIP-827),
 * which is looked up in a job because the file system may take its time. There is one directory.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/broker_config.h"
#include "broker/core.h"
#include "broker/topic.h"
#include "io/disk.h"
#include "io/jobs.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum { UNKNOWN_BYTES = -1 };

/* Outlives a request whose connection goes away while the job runs. */
struct volume {
    struct job job;
    struct disk *disk;
    struct request *request; /* NULL: it is gone */
    uint64_t free_bytes, total_bytes;
    enum err err;
};

static bool put_topics(struct request *r, struct kafka_describe_log_dirs_response_dir *dir);

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
        struct kafka_describe_log_dirs_response *reply = r->reply;
        struct kafka_describe_log_dirs_response_dir *dir = &reply->results.items[0];
        dir->total_bytes = v->err ? UNKNOWN_BYTES : (int64_t)v->total_bytes;
        dir->usable_bytes = v->err ? UNKNOWN_BYTES : (int64_t)v->free_bytes;
        r->work = NULL;
        request_answer(r, reply);
    }
    free(v);
}

void describe_log_dirs_start(struct request *r)
{
    struct core *core = request_core(r);
    const struct broker_setting *path = broker_setting_find(core, "log.dirs");
    struct kafka_describe_log_dirs_response *reply =
        request_new(r, &kafka_describe_log_dirs_response_schema, 1);
    if (!reply)
        return;
    r->reply = reply;
    reply->results.items = request_new(r, &kafka_describe_log_dirs_response_dir_schema, 1);
    if (!reply->results.items)
        return;
    reply->results.count = 1;
    struct kafka_describe_log_dirs_response_dir *dir = &reply->results.items[0];
    dir->log_dir = path ? bytes_from_string(path->value) : BYTES_LITERAL("data");
    if (store_is_frozen(core->store))
        dir->error_code = KAFKA_STORAGE_ERROR;
    if (!put_topics(r, dir))
        return;
    struct volume *v = xzalloc(sizeof *v);
    v->request = r;
    v->disk = core_disk(core);
    v->job.run = look;
    v->job.done = looked;
    r->work = v;
    jobs_submit(core_jobs(core), LANE_HELPER, &v->job);
}

void describe_log_dirs_release(struct request *r)
{
    struct volume *v = r->work;
    if (v)
        v->request = NULL;
}

/* ---- partitions ---- */

static void put_partition(const struct partition *p,
                          struct kafka_describe_log_dirs_response_topic *out)
{
    struct kafka_describe_log_dirs_response_partition *partition =
        &out->partitions.items[out->partitions.count++];
    partition->partition_index = p->index;
    partition->partition_size = (int64_t)log_size_bytes(p->log);
}

static bool begin_topic(struct request *r, const struct topic *topic, int32_t count,
                        struct kafka_describe_log_dirs_response_topic *out)
{
    out->name = arena_copy(&r->arena, topic->name);
    out->partitions.items =
        request_new(r, &kafka_describe_log_dirs_response_partition_schema, (size_t)count);
    return out->partitions.items != NULL;
}

/* The partitions that are there; a topic without any is left out. */
static bool put_asked(struct request *r, struct kafka_describe_log_dirs_response_dir *dir)
{
    const struct kafka_describe_log_dirs_request *in = r->body;
    dir->topics.items =
        request_new(r, &kafka_describe_log_dirs_response_topic_schema, (size_t)in->topics.count);
    if (!dir->topics.items)
        return false;
    for (int32_t i = 0; i < in->topics.count; i++) {
        const struct kafka_describe_log_dirs_request_topic *asked = &in->topics.items[i];
        struct topic *topic = topic_find(request_core(r), asked->topic);
        struct kafka_describe_log_dirs_response_topic *out = &dir->topics.items[dir->topics.count];
        if (!topic)
            continue;
        if (!begin_topic(r, topic, asked->partitions.count, out))
            return false;
        for (int32_t j = 0; j < asked->partitions.count; j++) {
            const struct partition *p = topic_partition(topic, asked->partitions.items[j]);
            if (p)
                put_partition(p, out);
        }
        dir->topics.count += out->partitions.count > 0;
    }
    return true;
}

struct all_topics {
    struct request *request;
    struct kafka_describe_log_dirs_response_dir *dir;
    size_t count;
    bool failed;
};

static void count_topic(void *ctx, struct topic *topic)
{
    (void)topic;
    ((struct all_topics *)ctx)->count++;
}

static void put_topic(void *ctx, struct topic *topic)
{
    struct all_topics *all = ctx;
    struct kafka_describe_log_dirs_response_topic *out =
        &all->dir->topics.items[all->dir->topics.count++];
    all->failed = all->failed || !begin_topic(all->request, topic, topic->partition_count, out);
    for (int32_t i = 0; i < topic->partition_count && !all->failed; i++)
        put_partition(topic->partitions[i], out);
}

static bool put_topics(struct request *r, struct kafka_describe_log_dirs_response_dir *dir)
{
    const struct kafka_describe_log_dirs_request *in = r->body;
    struct all_topics all = {.request = r, .dir = dir};
    if (in->topics.items)
        return put_asked(r, dir);
    topic_each(request_core(r), count_topic, &all);
    dir->topics.items = request_new(r, &kafka_describe_log_dirs_response_topic_schema, all.count);
    if (!dir->topics.items)
        return false;
    topic_each(request_core(r), put_topic, &all);
    return !all.failed;
}
