"""librdkafka, by confluent-kafka."""
import confluent_kafka as ck
import confluent_kafka.admin as cka

import line


def code_of(error):
    if isinstance(error, ck.KafkaException) and error.args:
        return error.args[0].code()
    return error.code() if isinstance(error, ck.KafkaError) else None


class Producer:
    def __init__(self, servers, name, acks="all", codec="none", idempotent=False, linger_ms=5, max_bytes=None,
                 retries=None):
        config = {"bootstrap.servers": servers, "client.id": name, "acks": acks, "compression.type": codec,
                  "enable.idempotence": idempotent, "linger.ms": linger_ms,
                  "reconnect.backoff.max.ms": 500,  # it doubles with each lost connection, up to 10 s
                  "topic.metadata.propagation.max.ms": 2000, "partitioner": "murmur2_random"}
        if max_bytes:
            config["message.max.bytes"] = max_bytes
        if retries is not None:
            config["retries"] = retries
        self.inner = ck.Producer(config)

    def send(self, topic, records):
        results = [None] * len(records)
        for i, record in enumerate(records):
            self.send_one(topic, record, results, i)
        self.inner.flush(60)
        return {"results": results}

    def send_one(self, topic, record, results, i):
        def answered(error, message):
            results[i] = ({"code": error.code(), "text": error.str()} if error else
                          {"partition": message.partition(), "offset": message.offset()})

        more = {"partition": record["partition"]} if "partition" in record else {}
        if "time" in record:
            more["timestamp"] = record["time"]
        while True:
            try:
                self.inner.produce(topic, line.value_of(record), line.key_of(record), on_delivery=answered, **more)
                return
            except BufferError:
                self.inner.poll(0.1)
            except ck.KafkaException as error:
                results[i] = {"code": error.args[0].code(), "text": error.args[0].str()}
                return

    def close(self):
        self.inner.flush(10)


class Consumer:
    def __init__(self, servers, name, group=None, topics=None, assign=None, reset="earliest", auto_commit=False,
                 instance=None, strategy="range", session_ms=6000, min_bytes=1, wait_ms=500, fetch_bytes=None):
        config = {"bootstrap.servers": servers, "client.id": name, "group.id": group or "none",
                  "auto.offset.reset": "error" if reset == "none" else reset, "enable.auto.commit": auto_commit,
                  "auto.commit.interval.ms": 200, "session.timeout.ms": session_ms, "heartbeat.interval.ms": 500,
                  "fetch.min.bytes": min_bytes, "fetch.wait.max.ms": wait_ms,
                  "partition.assignment.strategy": {"cooperative": "cooperative-sticky"}.get(strategy, strategy)}
        if instance:
            config["group.instance.id"] = instance
        if fetch_bytes:
            config["max.partition.fetch.bytes"] = fetch_bytes
            config["receive.message.max.bytes"] = fetch_bytes + (64 << 20)
        self.inner = ck.Consumer(config)
        self.topics, self.assigned, self.strategy = topics, assign, strategy

    def start(self):
        if self.topics:
            self.inner.subscribe(self.topics, on_assign=self.on_assign, on_revoke=self.on_revoke,
                                 on_lost=self.on_revoke)
        else:
            topic, partition, offset = self.assigned
            offset = {"earliest": ck.OFFSET_BEGINNING, "latest": ck.OFFSET_END,
                      "reset": ck.OFFSET_STORED}.get(offset, offset)
            self.inner.assign([ck.TopicPartition(topic, partition, offset)])

    def on_assign(self, consumer, partitions):
        self.handle.happened("+" + line.named(partitions))

    def on_revoke(self, consumer, partitions):
        self.handle.happened("-" + line.named(partitions))

    def poll(self):
        records = []
        for message in self.inner.consume(1000, 0.05):
            if message.error():
                self.handle.failed(message.error())
            else:
                records.append(line.seen(message.topic(), message.partition(), message.offset(), message.key(),
                                         message.value(), message.timestamp()[1]))
        return records

    def commit(self):
        self.inner.commit(asynchronous=False)

    def committed(self, topic, partition):
        found, = self.inner.committed([ck.TopicPartition(topic, partition)], 10)
        return {"offset": found.offset if found.offset >= 0 else -1}

    def seek(self, topic, partition, offset):
        self.inner.seek(ck.TopicPartition(topic, partition, offset))

    def seek_time(self, topic, partition, time):
        found, = self.inner.offsets_for_times([ck.TopicPartition(topic, partition, time)], 10)
        self.inner.seek(found)
        return {"offset": found.offset}

    def close(self):
        self.inner.close()


class Admin:
    def __init__(self, servers, name):
        self.inner = cka.AdminClient({"bootstrap.servers": servers, "client.id": name})

    @staticmethod
    def one(futures):
        future, = futures.values()
        return future.result(20)

    def create_topic(self, topic, partitions=1, replicas=1, config=None):
        self.one(self.inner.create_topics([cka.NewTopic(topic, partitions, replicas, config=config or {})]))

    def delete_topic(self, topic):
        self.one(self.inner.delete_topics([topic]))

    def list_topics(self):
        return {"topics": {t: len(m.partitions) for t, m in self.inner.list_topics(timeout=10).topics.items()}}

    def add_partitions(self, topic, partitions):
        self.one(self.inner.create_partitions([cka.NewPartitions(topic, partitions)]))

    def describe_config(self, topic):
        found = self.one(self.inner.describe_configs([cka.ConfigResource("topic", topic)]))
        return {"config": {key: entry.value for key, entry in found.items()}}

    def alter_config(self, topic, key, value):
        entry = cka.ConfigEntry(key, value, incremental_operation=cka.AlterConfigOpType.SET)
        resource = cka.ConfigResource("topic", topic, incremental_configs=[entry])
        self.one(self.inner.incremental_alter_configs([resource]))

    def list_groups(self):
        return {"groups": [g.group_id for g in self.inner.list_consumer_groups().result(10).valid]}

    def describe_group(self, group):
        found = self.one(self.inner.describe_consumer_groups([group]))
        return {"state": found.state.name, "members": {
            m.client_id: sorted(f"{p.topic}/{p.partition}" for p in m.assignment.topic_partitions)
            for m in found.members}}

    def group_offsets(self, group):
        found = self.one(self.inner.list_consumer_group_offsets([ck.ConsumerGroupTopicPartitions(group)]))
        return {"offsets": {f"{p.topic}/{p.partition}": p.offset for p in found.topic_partitions}}

    def delete_group(self, group):
        self.one(self.inner.delete_consumer_groups([group]))

    def delete_records(self, topic, partition, offset):
        found = self.one(self.inner.delete_records([ck.TopicPartition(topic, partition, offset)]))
        return {"low": found.low_watermark}

    def close(self):
        pass


line.serve(code_of, producer=Producer, consumer=Consumer, admin=Admin)
