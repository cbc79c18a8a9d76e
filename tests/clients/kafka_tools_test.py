"""Administration: Kafka's own command-line tools, and librdkafka's admin client."""
import json

import confluent_kafka
import pytest
from confluent_kafka.admin import (AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                   ResourceType)

from brokers import wait_until
from conftest import admin, create_topic, produce, topics, watermarks

TOOLS = "org.apache.kafka.tools."


@pytest.fixture
def tool(kafka, kafka_tool):
    """Run a tool of Kafka's against the broker: tool("TopicCommand", "--list")."""
    def run(name, *arguments, **options):
        where = name if "." in name else TOOLS + name
        return kafka_tool(where, "--bootstrap-server", kafka, *arguments, **options)
    return run


# -- Kafka's tools


@pytest.mark.timeout(180)
def test_kafka_topics_creates_describes_grows_and_deletes(tool, kafka, name):
    tool("TopicCommand", "--create", "--topic", name, "--partitions", "2", "--config", "retention.ms=60000")
    lines = tool("TopicCommand", "--describe", "--topic", name).splitlines()
    assert "PartitionCount: 2" in lines[0] and "retention.ms=60000" in lines[0]
    assert [line.split()[3] for line in lines[1:]] == ["0", "1"]
    tool("TopicCommand", "--alter", "--topic", name, "--partitions", "5")
    assert name in tool("TopicCommand", "--list").split()
    assert len(topics(kafka)[name].partitions) == 5
    assert tool("TopicCommand", "--describe", "--topic", name, "--under-replicated-partitions") == ""
    tool("TopicCommand", "--delete", "--topic", name)
    assert name not in topics(kafka)


@pytest.mark.timeout(180)
def test_kafka_configs_changes_topics_and_brokers(tool, topic):
    def configs(*arguments):
        return tool("kafka.admin.ConfigCommand", *arguments)

    of_topic = ["--entity-type", "topics", "--entity-name", topic]
    configs(*of_topic, "--alter", "--add-config", "cleanup.policy=[compact,delete],segment.ms=70000")
    told = configs(*of_topic, "--describe")
    assert "cleanup.policy=compact,delete" in told and "segment.ms=70000" in told
    configs(*of_topic, "--alter", "--delete-config", "segment.ms")
    assert "segment.ms=604800000" in configs(*of_topic, "--describe", "--all")

    brokers = ["--entity-type", "brokers", "--entity-default"]
    configs(*brokers, "--alter", "--add-config", "log.cleaner.delete.retention.ms=77000")
    assert "DYNAMIC_DEFAULT_BROKER_CONFIG:log.cleaner.delete.retention.ms=77000" in configs(
        *brokers, "--describe")
    configs(*brokers, "--alter", "--delete-config", "log.cleaner.delete.retention.ms")
    assert "77000" not in configs(*brokers, "--describe")


@pytest.mark.timeout(240)
def test_the_other_tools_find_one_node_in_good_order(tool, kafka, kafka_tool, topic):
    produce(kafka, topic, ["a", "b", "c"])
    out = tool("LogDirsCommand", "--describe", "--topic-list", topic)
    found = json.loads(out[out.index("{"):])["brokers"][0]["logDirs"][0]
    assert found["error"] is None and found["partitions"][0]["partition"] == f"{topic}-0"
    assert "DescribeTopicPartitions(75): 0" in tool("BrokerApiVersionsCommand")
    status = tool("MetadataQuorumCommand", "describe", "--status")
    assert "LeaderId:               1" in status and "MaxFollowerLag:         0" in status
    assert "Leader" in tool("MetadataQuorumCommand", "describe", "--replication")
    assert "Cluster ID: " in kafka_tool(TOOLS + "ClusterTool", "cluster-id", "--bootstrap-server", kafka)
    assert f"{topic}:0:3" in tool("GetOffsetShell", "--topic", topic)
    assert "already elected" in tool("LeaderElectionCommand", "--election-type", "preferred", "--topic",
                                     topic, "--partition", "0")
    assert "No partition reassignments found" in tool(
        TOOLS + "reassign.ReassignPartitionsCommand", "--list")


@pytest.mark.timeout(120)
def test_kafka_delete_records_moves_the_start(tool, kafka, topic, tmp_path):
    produce(kafka, topic, ["a", "b", "c"])
    wanted = tmp_path / "delete.json"
    wanted.write_text(json.dumps({"version": 1, "partitions": [
        {"topic": topic, "partition": 0, "offset": 2}]}))
    assert "low_watermark: 2" in tool("DeleteRecordsCommand", "--offset-json-file", wanted)


# -- librdkafka


def describe(kafka, kind, name):
    resource = ConfigResource(kind, name)
    client = admin(kafka)
    return client.describe_configs([resource])[resource].result(20)


def change(kafka, kind, name, *entries):
    resource = ConfigResource(kind, name, incremental_configs=[
        ConfigEntry(key, value, incremental_operation=operation) for key, value, operation in entries])
    client = admin(kafka)
    client.incremental_alter_configs([resource])[resource].result(20)


def refused(call, *arguments):
    with pytest.raises(confluent_kafka.KafkaException) as error:
        call(*arguments)
    return error.value.args[0].code()


def test_configs_are_set_appended_to_and_deleted(kafka, topic):
    change(kafka, ResourceType.TOPIC, topic, ("retention.ms", "5000", AlterConfigOpType.SET),
           ("cleanup.policy", "compact", AlterConfigOpType.APPEND))
    told = describe(kafka, ResourceType.TOPIC, topic)
    assert told["retention.ms"].value == "5000" and not told["retention.ms"].is_default
    assert told["cleanup.policy"].value == "delete,compact"
    change(kafka, ResourceType.TOPIC, topic, ("retention.ms", None, AlterConfigOpType.DELETE))
    assert describe(kafka, ResourceType.TOPIC, topic)["retention.ms"].is_default


def test_what_cannot_be_altered_is_refused(kafka, topic):
    errors = confluent_kafka.KafkaError
    wrong = ("retention.ms", "soon", AlterConfigOpType.SET)
    assert refused(change, kafka, ResourceType.TOPIC, topic, wrong) == errors.INVALID_CONFIG
    assert refused(change, kafka, ResourceType.TOPIC, "nobody", wrong) == errors.UNKNOWN_TOPIC_OR_PART
    fixed = ("num.partitions", "2", AlterConfigOpType.SET)
    assert refused(change, kafka, ResourceType.BROKER, "1", fixed) == errors.INVALID_REQUEST
    assert describe(kafka, ResourceType.BROKER, "1")["num.partitions"].is_read_only


def test_partitions_are_added_while_producers_write(kafka, topic):
    produce(kafka, topic, [f"{i}" for i in range(100)])
    client = admin(kafka)
    client.create_partitions([NewPartitions(topic, 3)])[topic].result(20)
    produce(kafka, topic, ["third"], partition=2)
    fewer = client.create_partitions([NewPartitions(topic, 2)])[topic]
    assert refused(fewer.result, 20) == confluent_kafka.KafkaError.INVALID_PARTITIONS


def test_names_that_differ_in_a_dot_are_too_near(kafka, name):
    create_topic(kafka, f"{name}.x")
    assert refused(create_topic, kafka, f"{name}_x") == confluent_kafka.KafkaError.TOPIC_EXCEPTION


def test_altered_configs_and_partitions_survive_kill_9(own_broker, own_kafka, name):
    create_topic(own_kafka, name)
    change(own_kafka, ResourceType.TOPIC, name, ("segment.ms", "70000", AlterConfigOpType.SET))
    change(own_kafka, ResourceType.BROKER, "1",
           ("log.cleaner.delete.retention.ms", "88000", AlterConfigOpType.SET))
    client = admin(own_kafka)
    client.create_partitions([NewPartitions(name, 4)])[name].result(20)
    own_broker.kill()
    own_broker.start()
    told = describe(own_broker.kafka, ResourceType.TOPIC, name)
    assert told["segment.ms"].value == "70000" and told["delete.retention.ms"].value == "88000"
    assert len(topics(own_broker.kafka)[name].partitions) == 4


def test_an_altered_retention_is_followed_at_once(broker, kafka, topic):
    if broker.name != "pabal":
        pytest.skip("Kafka looks every five minutes, and never into the active segment")
    produce(kafka, topic, ["old"] * 50)
    assert watermarks(kafka, topic) == (0, 50)
    change(kafka, ResourceType.TOPIC, topic, ("retention.ms", "1", AlterConfigOpType.SET))
    wait_until(lambda: watermarks(kafka, topic) == (50, 50), 20, what="retention")


def test_no_more_replicas_are_asked_for_than_the_topic_has(kafka, name):
    create_topic(kafka, name, min_insync_replicas=2)
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka, "acks": "all", "retries": 0,
                                         "enable.idempotence": False})
    seen = []
    producer.produce(name, b"value", on_delivery=lambda error, message: seen.append(error))
    producer.flush(20)
    assert seen == [None]


def test_a_replication_factor_is_lowered_to_the_nodes_there_are(broker, kafka, name):
    if broker.name != "pabal":
        pytest.skip("Kafka refuses it")
    client = admin(kafka)
    client.create_topics([NewTopic(name, 1, 3)])[name].result(20)
    assert topics(kafka)[name].partitions[0].replicas == [1]
