/* One answer to Prometheus, while it is made. */
#ifndef MANAGE_SCRAPE_H
#define MANAGE_SCRAPE_H

#include "manage/manage.h"

/* "rabbitmq_queue_..." for the objects of /metrics/per-object, "rabbitmq_detailed_queue_..." for those
 * that /metrics/detailed is asked for. The aggregated numbers, and then: */
void scrape_totals(const struct manage_call *call, struct text *out);
/* Go on with the objects, some in each turn, and answer with what is in `out` and their families. */
void scrape_objects(struct manage_call *call, struct text *out);
/* /metrics/detailed: only the families and vhosts that the query names. */
void scrape_detailed(struct manage_call *call);

#endif
