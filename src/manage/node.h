/* What more than one answer tells of the node. */
#ifndef MANAGE_NODE_H
#define MANAGE_NODE_H

#include "manage/manage.h"

json_t *node_exchange_types(void);
/* Where HTTP is served. */
json_t *node_contexts(const struct manage_config *config, bool with_node);

/* As PUT /api/cluster-name has set it; otherwise the node's. A string, a new reference. */
json_t *node_cluster_name(const struct manage_call *call);

/* Less is free on the disk than is reserved, or it has failed: nothing more is accepted. */
bool node_disk_alarm(const struct manage_call *call);
/* The logs in memory have used what they get, or the process more than its watermark: publishers are
 * held back. After facts_gather(), as the above. */
bool node_memory_alarm(const struct manage_call *call);

#endif
