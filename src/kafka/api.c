#include "kafka/api.h"

#include "base/check.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

static const struct api api_table[] = {
    [KAFKA_PRODUCE] = {.prepare = produce_prepare,
                       .start = produce_start,
                       .release = produce_release},
    [KAFKA_FETCH] = {.in_turn = true,
                     .start = fetch_start,
                     .release = fetch_release,
                     .give_way = fetch_give_way,
                     .write = fetch_write},
    [KAFKA_LIST_OFFSETS] = {.start = list_offsets_start, .release = list_offsets_release},
    [KAFKA_METADATA] = {.start = metadata_start, .release = metadata_release, .owns_answer = true},
    [KAFKA_OFFSET_COMMIT] = {.start = offset_commit_start},
    [KAFKA_OFFSET_FETCH] = {.start = offset_fetch_start},
    [KAFKA_FIND_COORDINATOR] = {.start = find_coordinator_start},
    [KAFKA_JOIN_GROUP] = {.in_turn = true,
                          .start = join_group_start,
                          .release = join_group_release},
    [KAFKA_HEARTBEAT] = {.in_turn = true, .start = heartbeat_start},
    [KAFKA_LEAVE_GROUP] = {.in_turn = true, .start = leave_group_start},
    [KAFKA_SYNC_GROUP] = {.in_turn = true,
                          .start = sync_group_start,
                          .release = sync_group_release},
    [KAFKA_DESCRIBE_GROUPS] = {.start = describe_groups_start},
    [KAFKA_LIST_GROUPS] = {.start = list_groups_start},
    [KAFKA_DELETE_GROUPS] = {.start = delete_groups_start},
    [KAFKA_OFFSET_DELETE] = {.start = offset_delete_start},
    [KAFKA_API_VERSIONS] = {.start = api_versions_start},
    [KAFKA_CREATE_TOPICS] = {.start = create_topics_start, .release = create_topics_release},
    [KAFKA_DELETE_TOPICS] = {.start = delete_topics_start, .release = delete_topics_release},
    [KAFKA_CREATE_PARTITIONS] = {.start = create_partitions_start},
    [KAFKA_ELECT_LEADERS] = {.start = elect_leaders_start},
    [KAFKA_LIST_PARTITION_REASSIGNMENTS] = {.start = list_partition_reassignments_start},
    [KAFKA_DESCRIBE_CLUSTER] = {.start = describe_cluster_start},
    [KAFKA_DESCRIBE_QUORUM] = {.start = describe_quorum_start},
    [KAFKA_DESCRIBE_TOPIC_PARTITIONS] = {.start = describe_topic_partitions_start},
    [KAFKA_DESCRIBE_ACLS] = {.start = describe_acls_start},
    [KAFKA_DESCRIBE_LOG_DIRS] = {.start = describe_log_dirs_start,
                                 .release = describe_log_dirs_release,
                                 .owns_answer = true},
    [KAFKA_LIST_CONFIG_RESOURCES] = {.start = list_config_resources_start},
    [KAFKA_ALTER_CONFIGS] = {.start = alter_configs_start, .release = alter_configs_release},
    [KAFKA_INCREMENTAL_ALTER_CONFIGS] = {.start = incremental_alter_configs_start,
                                         .release = alter_configs_release},
    [KAFKA_DESCRIBE_CONFIGS] = {.start = describe_configs_start,
                                .release = describe_configs_release},
    [KAFKA_DELETE_RECORDS] = {.start = delete_records_start},
    [KAFKA_INIT_PRODUCER_ID] = {.start = init_producer_id_start},
    [KAFKA_OFFSET_FOR_LEADER_EPOCH] = {.start = offset_for_leader_epoch_start},
    [KAFKA_DESCRIBE_PRODUCERS] = {.start = describe_producers_start},
};

const struct api *api_find(int16_t key, const struct wire_api **out_wire)
{
    const size_t table_size = sizeof api_table / sizeof api_table[0];
    if (key < 0 || (size_t)key >= table_size || !api_table[key].start)
        return NULL;
    *out_wire = wire_api_find(kafka_apis, KAFKA_API_COUNT, key);
    check(*out_wire);
    return &api_table[key];
}
