/* What the steps of a fetch share: fetch.c looks and waits, fetch_gather.c judges and gathers,
 * fetch_write.c writes. */
#ifndef KAFKA_FETCH_INTERNAL_H
#define KAFKA_FETCH_INTERNAL_H

#include "kafka/errors.h"
#include "kafka/fetch.h"
#include "log/batch.h"

enum {
    FETCH_IDS_SINCE = 13,      /* topics are named by id */
    FETCH_ENDPOINTS_SINCE = 16 /* the answer says where the leader is */
};

/* What is wrong with what a partition was asked. */
struct fetch_verdict {
    enum kafka_error error;
    int32_t diverging_epoch; /* -1: the histories agree */
    int64_t diverging_end;
};

static inline bool fetch_verdict_is_bad(const struct fetch_verdict *v)
{
    return v->error || v->diverging_epoch >= 0;
}

/* Of a partition that is there. */
struct fetch_verdict fetch_judge(const struct fetch *f, const struct fetch_part *p);

/* The offset that nothing is shown from on. */
int64_t fetch_visible_end(const struct fetch *f, const struct fetch_part *p);

/* Be told when it moves or is deleted; until then p->partition stays valid. */
void fetch_part_arm(struct fetch_part *p);

/* Gather and answer; goes on with the partition that a read was for when it is called again. */
void fetch_gather(struct fetch *f);
void fetch_read_cancel(struct fetch *f);

#endif
