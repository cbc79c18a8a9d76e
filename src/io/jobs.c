/* A write that is durable, for jobs that have nothing better for it than a lane's thread. */
#include "io/jobs.h"

#include <stdio.h>

#include "base/list.h"

static void write_run(struct job *job)
{
    struct write_job *w = container_of(job, struct write_job, job);
    w->err = file_write(w->file, w->position, w->parts, w->count);
    if (!w->err)
        w->err = file_sync(w->file);
    if (w->err)
        snprintf(w->error, sizeof w->error, "%s", err_text());
}

void jobs_write(struct jobs *jobs, enum lane lane, struct write_job *w)
{
    w->job.run = write_run;
    w->lane = lane;
    w->err = OK;
    if (!jobs->write || !jobs->write(jobs, w))
        jobs_submit(jobs, lane, &w->job);
}
