#include "manage/facts.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/counters.h"
#include "broker/exchange.h"
#include "broker/queue.h"
#include "broker/session.h"
#include "io/disk.h"
#include "io/jobs.h"
#include "io/process.h"
#include "manage/call_internal.h"

/* ---- of the system ---- */

enum { FACTS_AGE_MS = 1000 };

struct manage_facts_job {
    struct job job;
    struct manage *manage; /* NULL: gone meanwhile */
    struct disk *disk;
    struct facts found;
    struct list waiting; /* calls' waits */
};

static void read_facts(struct job *job)
{
    struct manage_facts_job *j = container_of(job, struct manage_facts_job, job);

    j->found.rss_bytes = process_rss_bytes();
    j->found.open_files = process_open_files();
    j->found.total_memory_bytes = process_total_memory_bytes();
    j->found.cpu_count = process_cpu_count();
    if (disk_free_bytes(j->disk, &j->found.disk_free_bytes))
        j->found.disk_free_bytes = 0;
}

static void facts_are_there(struct job *job)
{
    struct manage_facts_job *j = container_of(job, struct manage_facts_job, job);
    struct list *node;

    if (j->manage) {
        j->manage->facts = j->found;
        j->manage->facts_ms = j->manage->config.core->wall_ms;
        j->manage->facts_job = NULL;
    }
    while ((node = list_pop_front(&j->waiting))) {
        struct wait *wait = container_of(node, struct wait, node);
        wait->ready(wait);
    }
    free(j);
}

void facts_gather(struct manage_call *call, manage_handler *next)
{
    struct manage *m = call->manage;

    if (m->facts_ms && call->core->wall_ms - m->facts_ms < FACTS_AGE_MS) {
        next(call);
        return;
    }
    if (!m->facts_job) {
        struct manage_facts_job *j = m->facts_job = xzalloc(sizeof *j);
        *j = (struct manage_facts_job){.job = {.run = read_facts, .done = facts_are_there},
                                       .manage = m,
                                       .disk = core_disk(call->core)};
        list_init(&j->waiting);
        jobs_submit(core_jobs(call->core), LANE_HELPER, &j->job);
    }
    list_push_back(&m->facts_job->waiting, &manage_again(call, next)->node);
}

const struct facts *manage_facts(const struct manage_call *call)
{
    return &call->manage->facts;
}

void facts_forget(struct manage_facts_job *job)
{
    if (job)
        job->manage = NULL;
}

/* ---- of the broker ---- */

enum { SLICE_QUEUES = 2000 };

struct counting {
    struct totals totals;
    struct queue_walk walk;
    manage_handler *next;
};

static void count_slice(struct manage_call *call)
{
    struct counting *c = call->internal->counting;
    struct queue *queue = NULL;

    for (int i = 0; i < SLICE_QUEUES && (queue = queue_walk_next(call->core, &c->walk)); i++) {
        if (!manage_may_see(call, queue->vhost))
            continue;
        c->totals.queues++;
        c->totals.ready += queue_ready_count(queue);
        c->totals.unacked += queue_unacked_count(queue);
        c->totals.consumers += queue->consumer_count;
    }
    if (queue)
        manage_yield(call, count_slice);
    else
        c->next(call);
}

struct counted {
    const struct manage_call *call;
    struct totals *totals;
};

static void count_vhost(void *ctx, struct vhost *vhost)
{
    const struct counted *c = ctx;

    if (manage_may_see(c->call, vhost))
        c->totals->exchanges += vhost->exchanges.count;
}

static bool may_see_session(const struct manage_call *call, const struct session *session)
{
    return manage_has_right(call, MANAGE_MONITORING) ||
           (session->user && bytes_equal_string(manage_user_name(call), session->user));
}

static void count_channel(void *ctx, const struct channel_description *channel)
{
    struct totals *totals = ctx;

    totals->publishers += channel->counters && channel->counters->count[COUNTER_publish] > 0;
}

static void count_session(void *ctx, struct session *session)
{
    const struct counted *c = ctx;
    struct session_description description;

    if (!may_see_session(c->call, session))
        return;
    session_describe(session, &description);
    c->totals->connections++;
    c->totals->channels += description.channel_count;
    session_each_channel(session, count_channel, c->totals);
}

void totals_gather(struct manage_call *call, manage_handler *next)
{
    struct counting *counting = arena_zalloc(&call->arena, 1, sizeof *counting);
    struct counted counted = {call, &counting->totals};

    check(counting); /* the arena has room: the request is parsed into it with bounds */
    counting->next = next;
    call->internal->counting = counting;
    vhost_each(call->core, count_vhost, &counted);
    session_each(call->core, count_session, &counted);
    count_slice(call);
}

const struct totals *manage_totals(const struct manage_call *call)
{
    return &call->internal->counting->totals;
}
