"""Helpers of the cases: what the broker itself tells, asked by confluent-kafka."""
import hashlib

import confluent_kafka as ck
import confluent_kafka.admin as cka

from conftest import admin

LONG = 1000  # as in drivers/line.py


def shown(text):
    return text if len(text) <= LONG else "md5:" + hashlib.md5(text.encode()).hexdigest()


def described_group(address, group):
    """{client id: its partitions}; a member in the middle of a rebalance has none."""
    client = admin(address)
    found = client.describe_consumer_groups([group], request_timeout=10)[group].result(10)
    return {member.client_id: [(p.topic, p.partition) for p in member.assignment.topic_partitions]
            for member in found.members}


def committed(address, group, topic, partition=0):
    client = admin(address)
    asked = [ck.ConsumerGroupTopicPartitions(group, [ck.TopicPartition(topic, partition)])]
    found = client.list_consumer_group_offsets(asked)[group].result(10)
    return found.topic_partitions[0].offset


def topic_config(address, topic):
    client = admin(address)
    found, = client.describe_configs([cka.ConfigResource("topic", topic)]).values()
    return {key: entry.value for key, entry in found.result(10).items()}
