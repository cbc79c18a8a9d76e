"""kafka-python."""
import kafka
import kafka.admin as ka
from kafka import TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

import line

ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor,
             "cooperative": CooperativeStickyAssignor}


def code_of(error):
    code = getattr(error, "errno", None)
    return code if isinstance(code, int) else None


class Producer:
    def __init__(self, servers, name, acks="all", codec="none", idempotent=False, linger_ms=5, max_bytes=None,
                 retries=None):
        more = {"max_request_size": max_bytes + 1000} if max_bytes else {}
        if retries is not None:
            more["retries"] = retries
        self.inner = kafka.KafkaProducer(
            bootstrap_servers=servers, client_id=name, acks=acks if acks == "all" else int(acks),
            compression_type=None if codec == "none" else codec, enable_idempotence=idempotent,
            linger_ms=linger_ms, max_block_ms=5000, **more)

    def send(self, topic, records):
        futures = [self.send_one(topic, record) for record in records]
        self.inner.flush(60)
        return {"results": [self.result(future) for future in futures]}

    def send_one(self, topic, record):
        try:
            return self.inner.send(topic, line.value_of(record), line.key_of(record),
                                   partition=record.get("partition"), timestamp_ms=record.get("time"))
        except kafka.errors.KafkaError as error:
            return error

    def result(self, future):
        try:
            if isinstance(future, Exception):
                raise future
            done = future.get(30)
            return {"partition": done.partition, "offset": done.offset}
        except kafka.errors.KafkaError as error:
            return self.handle.described(error)

    def close(self):
        self.inner.close(10)


class Listener(kafka.ConsumerRebalanceListener):
    def __init__(self, handle):
        self.handle = handle

    def on_partitions_assigned(self, assigned):
        self.handle.happened("+" + line.named(assigned))

    def on_partitions_revoked(self, revoked):
        self.handle.happened("-" + line.named(revoked))


class Consumer:
    def __init__(self, servers, name, group=None, topics=None, assign=None, reset="earliest", auto_commit=False,
                 instance=None, strategy="range", session_ms=6000, min_bytes=1, wait_ms=500, fetch_bytes=None):
        more = {"max_partition_fetch_bytes": fetch_bytes} if fetch_bytes else {}
        self.inner = kafka.KafkaConsumer(
            bootstrap_servers=servers, client_id=name, group_id=group, group_instance_id=instance,
            auto_offset_reset=reset, enable_auto_commit=auto_commit, auto_commit_interval_ms=200,
            session_timeout_ms=session_ms, heartbeat_interval_ms=500, fetch_min_bytes=min_bytes,
            fetch_max_wait_ms=wait_ms, partition_assignment_strategy=[ASSIGNORS[strategy]], **more)
        self.topics, self.assigned = topics, assign

    def start(self):
        if self.topics:
            self.inner.subscribe(self.topics, listener=Listener(self.handle))
            return
        topic, partition, offset = self.assigned
        where = TopicPartition(topic, partition)
        self.inner.assign([where])
        if offset == "earliest":
            self.inner.seek_to_beginning(where)
        elif offset == "latest":
            self.inner.seek_to_end(where)
        elif offset != "reset":
            self.inner.seek(where, offset)

    def poll(self):
        batches = self.inner.poll(50)
        return [line.seen(r.topic, r.partition, r.offset, r.key, r.value, r.timestamp)
                for batch in batches.values() for r in batch]

    def commit(self):
        self.inner.commit()

    def committed(self, topic, partition):
        found = self.inner.committed(TopicPartition(topic, partition))
        return {"offset": -1 if found is None else found}

    def seek(self, topic, partition, offset):
        self.inner.seek(TopicPartition(topic, partition), offset)

    def seek_time(self, topic, partition, time):
        where = TopicPartition(topic, partition)
        found = self.inner.offsets_for_times({where: time})[where]
        self.inner.seek(where, found.offset)
        return {"offset": found.offset}

    def close(self):
        self.inner.close()


class Admin:
    def __init__(self, servers, name):
        self.inner = ka.KafkaAdminClient(bootstrap_servers=servers, client_id=name)

    def create_topic(self, topic, partitions=1, replicas=1, config=None):
        self.inner.create_topics({topic: {"num_partitions": partitions, "replication_factor": replicas,
                                          "configs": config or {}}})

    def delete_topic(self, topic):
        self.inner.delete_topics([topic])

    def list_topics(self):
        return {"topics": {t["name"]: len(t["partitions"]) for t in self.inner.describe_topics()}}

    def add_partitions(self, topic, partitions):
        self.inner.create_partitions({topic: partitions})

    def describe_config(self, topic):
        found = self.inner.describe_configs([ka.ConfigResource("TOPIC", topic)], config_filter="all")
        return {"config": {key: entry["value"] for key, entry in found["topic"][topic].items()}}

    def alter_config(self, topic, key, value):
        self.inner.alter_configs([ka.ConfigResource("TOPIC", topic, {key: value})])

    def list_groups(self):
        return {"groups": [g["group_id"] for g in self.inner.list_groups()]}

    def describe_group(self, group):
        found = self.inner.describe_groups([group])[group]
        return {"state": found["group_state"].upper(), "members": {m["client_id"]: None for m in found["members"]}}

    def group_offsets(self, group):
        found = self.inner.list_group_offsets({group: None})[group]
        return {"offsets": {f"{p.topic}/{p.partition}": at.offset for p, at in found.items()}}

    def delete_group(self, group):
        result = self.inner.delete_groups([group])[group]  # the name of an error
        if result != "OK":
            raise getattr(kafka.errors, result)()

    def delete_records(self, topic, partition, offset):
        where = TopicPartition(topic, partition)
        return {"low": self.inner.delete_records({where: offset})[where]["low_watermark"]}

    def close(self):
        self.inner.close()


line.serve(code_of, producer=Producer, consumer=Consumer, admin=Admin)
