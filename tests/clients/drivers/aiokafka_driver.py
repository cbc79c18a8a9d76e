"""aiokafka."""
import aiokafka
import aiokafka.admin as aka
import aiokafka.errors
from aiokafka import TopicPartition
from aiokafka.admin.config_resource import ConfigResource
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

import line

ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}


def code_of(error):
    code = getattr(error, "errno", None)
    return code if isinstance(code, int) else None


class Producer:
    def __init__(self, servers, name, **config):
        self.servers, self.name, self.config = servers, name, config

    async def start(self):
        acks, codec = self.config.get("acks", "all"), self.config.get("codec", "none")
        most = self.config.get("max_bytes")
        more = {"max_request_size": most + 1000} if most else {}
        self.inner = aiokafka.AIOKafkaProducer(
            bootstrap_servers=self.servers, client_id=self.name, acks=acks if acks == "all" else int(acks),
            compression_type=None if codec == "none" else codec, linger_ms=self.config.get("linger_ms", 5),
            enable_idempotence=self.config.get("idempotent", False), request_timeout_ms=15000, **more)
        await self.inner.start()

    async def send(self, topic, records):
        futures = [await self.send_one(topic, record) for record in records]
        return {"results": [await self.result(future) for future in futures]}

    async def send_one(self, topic, record):
        try:
            return await self.inner.send(topic, line.value_of(record), line.key_of(record),
                                         partition=record.get("partition"), timestamp_ms=record.get("time"))
        except aiokafka.errors.KafkaError as error:
            return error

    async def result(self, future):
        try:
            if isinstance(future, Exception):
                raise future
            done = await future
            if done is None:  # acks=0
                return {"partition": -1, "offset": -1}
            return {"partition": done.partition, "offset": done.offset}
        except aiokafka.errors.KafkaError as error:
            return self.handle.described(error)

    async def close(self):
        await self.inner.stop()


class Listener(aiokafka.ConsumerRebalanceListener):
    def __init__(self, handle):
        self.handle = handle

    def on_partitions_assigned(self, assigned):
        self.handle.happened("+" + line.named(assigned))

    def on_partitions_revoked(self, revoked):
        self.handle.happened("-" + line.named(revoked))


class Consumer:
    def __init__(self, servers, name, group=None, topics=None, assign=None, reset="earliest", auto_commit=False,
                 instance=None, strategy="range", session_ms=6000, min_bytes=1, wait_ms=500, fetch_bytes=None):
        self.topics, self.assigned = topics, assign
        self.config = dict(
            bootstrap_servers=servers, client_id=name, group_id=group, group_instance_id=instance,
            auto_offset_reset=reset, enable_auto_commit=auto_commit, auto_commit_interval_ms=200,
            session_timeout_ms=session_ms, heartbeat_interval_ms=500, fetch_min_bytes=min_bytes,
            fetch_max_wait_ms=wait_ms, partition_assignment_strategy=[ASSIGNORS[strategy]])
        if fetch_bytes:
            self.config["max_partition_fetch_bytes"] = fetch_bytes

    async def start(self):
        self.inner = aiokafka.AIOKafkaConsumer(**self.config)
        if self.topics:
            self.inner.subscribe(self.topics, listener=Listener(self.handle))
            await self.inner.start()
            return
        topic, partition, offset = self.assigned
        where = TopicPartition(topic, partition)
        self.inner.assign([where])
        await self.inner.start()
        if offset == "earliest":
            await self.inner.seek_to_beginning(where)
        elif offset == "latest":
            await self.inner.seek_to_end(where)
        elif offset != "reset":
            self.inner.seek(where, offset)

    async def poll(self):
        batches = await self.inner.getmany(timeout_ms=50)
        return [line.seen(r.topic, r.partition, r.offset, r.key, r.value, r.timestamp)
                for batch in batches.values() for r in batch]

    async def commit(self):
        await self.inner.commit()

    async def committed(self, topic, partition):
        found = await self.inner.committed(TopicPartition(topic, partition))
        return {"offset": -1 if found is None else found}

    async def seek(self, topic, partition, offset):
        self.inner.seek(TopicPartition(topic, partition), offset)

    async def seek_time(self, topic, partition, time):
        where = TopicPartition(topic, partition)
        found = (await self.inner.offsets_for_times({where: time}))[where]
        self.inner.seek(where, found.offset)
        return {"offset": found.offset}

    async def close(self):
        await self.inner.stop()


def raise_for(code, text=None):
    if code:
        raise aiokafka.errors.for_code(code)(text)


class Admin:
    def __init__(self, servers, name):
        self.servers, self.name = servers, name

    async def start(self):
        self.inner = aka.AIOKafkaAdminClient(bootstrap_servers=self.servers, client_id=self.name)
        await self.inner.start()

    async def create_topic(self, topic, partitions=1, replicas=1, config=None):
        done = await self.inner.create_topics([aka.NewTopic(topic, partitions, replicas, topic_configs=config)])
        raise_for(*done.topic_errors[0][1:3])

    async def delete_topic(self, topic):
        done = await self.inner.delete_topics([topic])
        raise_for(done.topic_error_codes[0][1])

    async def list_topics(self):
        return {"topics": {t["topic"]: len(t["partitions"]) for t in await self.inner.describe_topics()}}

    async def add_partitions(self, topic, partitions):
        await self.inner.create_partitions({topic: aka.NewPartitions(partitions)})

    async def describe_config(self, topic):
        answer, = await self.inner.describe_configs([ConfigResource("TOPIC", topic)])
        (code, text, _, _, entries), = answer.resources
        raise_for(code, text)
        return {"config": {entry[0]: entry[1] for entry in entries}}

    async def alter_config(self, topic, key, value):
        answer, = await self.inner.alter_configs([ConfigResource("TOPIC", topic, {key: value})])
        raise_for(*answer.resources[0][:2])

    async def list_groups(self):
        return {"groups": [g[0] for g in await self.inner.list_consumer_groups()]}

    async def describe_group(self, group):
        answer, = await self.inner.describe_consumer_groups([group])
        code, _, state, _, _, members = answer.groups[0][:6]
        raise_for(code)
        return {"state": state.upper(), "members": {m[1 if len(m) == 5 else 2]: None for m in members}}

    async def group_offsets(self, group):
        found = await self.inner.list_consumer_group_offsets(group)
        return {"offsets": {f"{p.topic}/{p.partition}": at.offset for p, at in found.items()}}

    async def delete_records(self, topic, partition, offset):
        where = TopicPartition(topic, partition)
        return {"low": (await self.inner.delete_records({where: aka.RecordsToDelete(offset)}))[where]}

    async def close(self):
        await self.inner.close()


line.serve(code_of, producer=Producer, consumer=Consumer, admin=Admin)
