/* The functions that the table of APIs names; their own files say what they do. */
#ifndef KAFKA_HANDLERS_H
#define KAFKA_HANDLERS_H

#include "kafka/request.h"

enum err produce_prepare(struct request *);
void produce_start(struct request *);
void produce_release(struct request *);

void fetch_start(struct request *);
void fetch_release(struct request *);
void fetch_give_way(struct request *);
void fetch_write(struct request *);

void list_offsets_start(struct request *);
void list_offsets_release(struct request *);

void metadata_start(struct request *);
void metadata_release(struct request *);

void api_versions_start(struct request *);

void find_coordinator_start(struct request *);
void join_group_start(struct request *);
void join_group_release(struct request *);
void sync_group_start(struct request *);
void sync_group_release(struct request *);
void heartbeat_start(struct request *);
void leave_group_start(struct request *);
void offset_commit_start(struct request *);
void offset_fetch_start(struct request *);
void offset_delete_start(struct request *);
void describe_groups_start(struct request *);
void list_groups_start(struct request *);
void delete_groups_start(struct request *);

void create_topics_start(struct request *);
void create_topics_release(struct request *);
void delete_topics_start(struct request *);
void delete_topics_release(struct request *);
void delete_records_start(struct request *);

void init_producer_id_start(struct request *);
void describe_producers_start(struct request *);

void offset_for_leader_epoch_start(struct request *);

void create_partitions_start(struct request *);
void elect_leaders_start(struct request *);
void list_partition_reassignments_start(struct request *);

void describe_cluster_start(struct request *);
void describe_quorum_start(struct request *);
void describe_topic_partitions_start(struct request *);
void describe_log_dirs_start(struct request *);
void describe_log_dirs_release(struct request *);
void describe_acls_start(struct request *);

void list_config_resources_start(struct request *);
void alter_configs_start(struct request *);
void incremental_alter_configs_start(struct request *);
void alter_configs_release(struct request *);
void describe_configs_start(struct request *);
void describe_configs_release(struct request *);

#endif
