/* One answer to Prometheus, while it is made. */
#ifndef MANAGE_SCRAPE_H
#define MANAGE_SCRAPE_H

#include "manage/manage.h"

/* /metrics/per-object: answer with what is in `out` and the families of all objects, some in each
 * turn. */
void scrape_objects(struct manage_call *call, struct text *out);
/* /metrics/detailed: only the families and vhosts that the query names. */
void scrape_detailed(struct manage_call *call);

#endif
