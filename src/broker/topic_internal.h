/* Topics, for the modules of this folder. */
#ifndef BROKER_TOPIC_INTERNAL_H
#define BROKER_TOPIC_INTERNAL_H

#include "broker/topic.h"

/* Told that the high watermark moved: tell the watches. */
void partition_moved(struct partition *partition);
/* Free deleted topics that no watch refers to any more. */
void topics_bury(struct core *core);

/* From the catalog; the caller sets log_id of the partitions, then topics_attach() opens the logs.
 * E_INVALID: a config that this version does not know. */
must_use enum err topic_restore(struct core *core, struct bytes name, const uint8_t id[16],
                                int32_t partition_count, const struct topic_config *configs,
                                size_t config_count, struct topic **out);
void topics_attach(struct core *core);

#endif
