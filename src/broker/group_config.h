/* What the coordinator of consumer groups is set to. Kafka's option names are in comments. */
#ifndef BROKER_GROUP_CONFIG_H
#define BROKER_GROUP_CONFIG_H

#include <stddef.h>
#include <stdint.h>

struct group_config {
    int32_t topic_partitions;               /* offsets.topic.num.partitions, when it is created */
    int32_t session_min_ms, session_max_ms; /* group.min/max.session.timeout.ms */
    int32_t initial_delay_ms;               /* group.initial.rebalance.delay.ms */
    int32_t size_max;                       /* group.max.size: members */
    int32_t offset_metadata_max_bytes;      /* offset.metadata.max.bytes */
    int64_t retention_ms;                   /* offsets.retention.minutes */
    int64_t retention_check_ms;             /* offsets.retention.check.interval.ms */
    size_t memory_max_bytes;                /* of all groups, members and offsets together */
};

/* Kafka's defaults, but for the initial delay: 100 ms, not 3 s. */
void group_config_default(struct group_config *c);

#endif
