import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * The Java client behind lines of JSON (../../README.md has the language). Compiled once, against the old
 * client, and run with the old and the new one.
 */
public class Driver {
    static final ObjectMapper json = new ObjectMapper();
    static final int LONG = 1000;

    public static void main(String[] arguments) throws Exception {
        Map<String, Handle> handles = new HashMap<>();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String text; (text = in.readLine()) != null;) {
            JsonNode request = json.readTree(text);
            String on = request.get("on").asText();
            switch (request.get("op").asText()) {
            case "producer": handles.put(on, new ProducerHandle(request)); break;
            case "consumer": handles.put(on, new ConsumerHandle(request)); break;
            case "admin": handles.put(on, new AdminHandle(request)); break;
            case "take": answer(request, handles.get(on).take()); break;
            default: handles.get(on).todo.add(request);
            }
        }
        Runtime.getRuntime().halt(0);
    }

    static synchronized void answer(JsonNode request, Map<String, Object> fields) {
        try {
            Map<String, Object> all = new LinkedHashMap<>();
            all.put("id", request.get("id").asLong());
            all.putAll(fields);
            System.out.println(json.writeValueAsString(all));
            System.out.flush();
        } catch (Exception broken) {
            throw new IllegalStateException(broken);
        }
    }

    static Map<String, Object> map(Object... pairs) {
        Map<String, Object> made = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2)
            made.put((String) pairs[i], pairs[i + 1]);
        return made;
    }

    static Map<String, Object> described(Throwable error) {
        while (error instanceof ExecutionException && error.getCause() != null)
            error = error.getCause();
        Errors known = Errors.forException(error);
        Object code = known == Errors.UNKNOWN_SERVER_ERROR ? null : (Object) known.code();
        return map("code", code, "text", error.toString());
    }

    static String text(JsonNode from, String field, String otherwise) {
        JsonNode found = from.get(field);
        return found == null || found.isNull() ? otherwise : found.asText();
    }

    static String shown(byte[] data) throws Exception {
        if (data == null)
            return null;
        if (data.length <= LONG)
            return new String(data, StandardCharsets.UTF_8);
        StringBuilder digits = new StringBuilder("md5:");
        for (byte one : MessageDigest.getInstance("MD5").digest(data))
            digits.append(String.format("%02x", one));
        return digits.toString();
    }

    static String named(Collection<TopicPartition> partitions) {
        TreeSet<String> names = new TreeSet<>();
        for (TopicPartition one : partitions)
            names.add(one.topic() + "/" + one.partition());
        return String.join(",", names);
    }

    /** Something opened, in a thread of its own: what waits holds up no other. */
    abstract static class Handle extends Thread {
        final BlockingQueue<JsonNode> todo = new LinkedBlockingQueue<>();
        final List<Object> records = new ArrayList<>(), events = new ArrayList<>(), errors = new ArrayList<>();

        Handle(JsonNode request) {
            todo.add(request);
            setDaemon(true);
            start();
        }

        abstract void open(JsonNode request) throws Exception;

        abstract Map<String, Object> execute(String op, JsonNode request) throws Exception;

        /** Whether poll() is to be called all the time. */
        boolean polls() {
            return false;
        }

        void poll() throws Exception {
        }

        @Override
        public void run() {
            boolean opened = false, polls = false;
            while (true) {
                JsonNode request;
                try {
                    request = polls ? todo.poll() : todo.take();
                } catch (InterruptedException never) {
                    return;
                }
                if (request == null) {
                    pollOnce();
                    continue;
                }
                String op = request.get("op").asText();
                try {
                    if (opened) {
                        answer(request, execute(op, request));
                    } else {
                        open(request);
                        opened = true;
                        polls = polls();
                        answer(request, map());
                    }
                } catch (Throwable error) {
                    answer(request, map("error", described(error)));
                }
                if (op.equals("close"))
                    return;
            }
        }

        void pollOnce() {
            try {
                poll();
            } catch (Throwable error) {
                synchronized (this) {
                    if (errors.size() < 100)
                        errors.add(described(error));
                }
            }
        }

        synchronized Map<String, Object> take() {
            Map<String, Object> taken = map("records", new ArrayList<>(records), "events",
                                            new ArrayList<>(events), "errors", new ArrayList<>(errors));
            records.clear();
            events.clear();
            errors.clear();
            return taken;
        }

        synchronized void happened(String event) {
            events.add(event);
        }
    }

    static class ProducerHandle extends Handle {
        KafkaProducer<byte[], byte[]> inner;

        ProducerHandle(JsonNode request) {
            super(request);
        }

        @Override
        void open(JsonNode request) {
            Properties config = new Properties();
            config.put("bootstrap.servers", request.get("servers").asText());
            config.put("client.id", request.get("name").asText());
            config.put("acks", text(request, "acks", "all"));
            config.put("compression.type", text(request, "codec", "none"));
            config.put("enable.idempotence", text(request, "idempotent", "false"));
            config.put("linger.ms", text(request, "linger_ms", "5"));
            config.put("max.block.ms", "5000");
            config.put("reconnect.backoff.max.ms", "100"); // it doubles with each lost connection, up to a second
            if (text(request, "idempotent", "false").equals("true"))
                config.put("request.timeout.ms", "5000"); // an answer that never comes: half a minute else
            if (request.has("retries"))
                config.put("retries", request.get("retries").asInt());
            if (request.has("max_bytes"))
                config.put("max.request.size", request.get("max_bytes").asInt() + 1000);
            inner = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
        }

        @Override
        Map<String, Object> execute(String op, JsonNode request) throws Exception {
            if (op.equals("close")) {
                inner.close(Duration.ofSeconds(10));
                return map();
            }
            List<Object> futures = new ArrayList<>(), results = new ArrayList<>();
            for (JsonNode record : request.get("records"))
                futures.add(send(request.get("topic").asText(), record));
            inner.flush();
            for (Object future : futures)
                results.add(result(future));
            return map("results", results);
        }

        Object send(String topic, JsonNode record) {
            String key = text(record, "key", null), value = text(record, "value", null);
            if (value != null && record.has("repeat"))
                value = value.repeat(record.get("repeat").asInt());
            Integer partition = record.has("partition") ? record.get("partition").asInt() : null;
            Long time = record.has("time") ? record.get("time").asLong() : null;
            try {
                return inner.send(new ProducerRecord<>(topic, partition, time,
                                                       key == null ? null : key.getBytes(StandardCharsets.UTF_8),
                                                       value == null ? null : value.getBytes(StandardCharsets.UTF_8)));
            } catch (Exception refused) {
                return refused;
            }
        }

        Object result(Object future) {
            if (future instanceof Exception)
                return described((Exception) future);
            try {
                @SuppressWarnings("unchecked")
                RecordMetadata done = ((Future<RecordMetadata>) future).get(30, TimeUnit.SECONDS);
                return map("partition", done.partition(), "offset", done.hasOffset() ? done.offset() : -1);
            } catch (Exception failed) {
                return described(failed);
            }
        }
    }

    static class ConsumerHandle extends Handle implements ConsumerRebalanceListener {
        KafkaConsumer<byte[], byte[]> inner;

        ConsumerHandle(JsonNode request) {
            super(request);
        }

        @Override
        void open(JsonNode request) {
            Properties config = new Properties();
            config.put("bootstrap.servers", request.get("servers").asText());
            config.put("client.id", request.get("name").asText());
            if (text(request, "group", null) != null)
                config.put("group.id", text(request, "group", null));
            if (text(request, "instance", null) != null)
                config.put("group.instance.id", text(request, "instance", null));
            config.put("auto.offset.reset", text(request, "reset", "earliest"));
            config.put("enable.auto.commit", text(request, "auto_commit", "false"));
            config.put("auto.commit.interval.ms", "200");
            config.put("session.timeout.ms", text(request, "session_ms", "6000"));
            config.put("heartbeat.interval.ms", "500");
            config.put("fetch.min.bytes", text(request, "min_bytes", "1"));
            config.put("fetch.max.wait.ms", text(request, "wait_ms", "500"));
            if (text(request, "fetch_bytes", null) != null)
                config.put("max.partition.fetch.bytes", text(request, "fetch_bytes", null));
            config.put("partition.assignment.strategy", assignor(text(request, "strategy", "range")));
            inner = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
            if (request.hasNonNull("topics"))
                subscribe(request.get("topics"));
            else
                assign(request.get("assign"));
        }

        static String assignor(String strategy) {
            String kind = Map.of("range", "Range", "roundrobin", "RoundRobin", "cooperative", "CooperativeSticky")
                              .get(strategy);
            return "org.apache.kafka.clients.consumer." + kind + "Assignor";
        }

        void subscribe(JsonNode topics) {
            List<String> names = new ArrayList<>();
            topics.forEach(one -> names.add(one.asText()));
            inner.subscribe(names, this);
        }

        void assign(JsonNode where) {
            TopicPartition partition = new TopicPartition(where.get(0).asText(), where.get(1).asInt());
            inner.assign(Set.of(partition));
            String offset = where.get(2).asText();
            if (offset.equals("earliest"))
                inner.seekToBeginning(Set.of(partition));
            else if (offset.equals("latest"))
                inner.seekToEnd(Set.of(partition));
            else if (!offset.equals("reset"))
                inner.seek(partition, where.get(2).asLong());
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            happened("+" + named(partitions));
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            happened("-" + named(partitions));
        }

        @Override
        boolean polls() {
            return true;
        }

        @Override
        void poll() throws Exception {
            List<Object> came = new ArrayList<>();
            for (ConsumerRecord<byte[], byte[]> one : inner.poll(Duration.ofMillis(50)))
                came.add(map("topic", one.topic(), "partition", one.partition(), "offset", one.offset(), "key",
                             shown(one.key()), "value", shown(one.value()), "time", one.timestamp()));
            synchronized (this) {
                records.addAll(came);
            }
        }

        @Override
        Map<String, Object> execute(String op, JsonNode request) {
            TopicPartition where = request.has("partition")
                                       ? new TopicPartition(request.get("topic").asText(),
                                                            request.get("partition").asInt())
                                       : null;
            switch (op) {
            case "commit": inner.commitSync(); return map();
            case "committed":
                OffsetAndMetadata found = inner.committed(Set.of(where)).get(where);
                return map("offset", found == null ? -1 : found.offset());
            case "seek": inner.seek(where, request.get("offset").asLong()); return map();
            case "seek_time":
                long offset = inner.offsetsForTimes(Map.of(where, request.get("time").asLong())).get(where).offset();
                inner.seek(where, offset);
                return map("offset", offset);
            case "close": inner.close(); return map();
            default: throw new IllegalArgumentException(op);
            }
        }
    }

    static class AdminHandle extends Handle {
        AdminClient inner;

        AdminHandle(JsonNode request) {
            super(request);
        }

        @Override
        void open(JsonNode request) {
            Properties config = new Properties();
            config.put("bootstrap.servers", request.get("servers").asText());
            config.put("client.id", request.get("name").asText());
            inner = AdminClient.create(config);
        }

        static <T> T wait(KafkaFuture<T> future) throws Exception {
            return future.get(20, TimeUnit.SECONDS);
        }

        @Override
        Map<String, Object> execute(String op, JsonNode request) throws Exception {
            String topic = text(request, "topic", null), group = text(request, "group", null);
            switch (op) {
            case "create_topic": return create(topic, request);
            case "delete_topic": wait(inner.deleteTopics(Set.of(topic)).all()); return map();
            case "list_topics": return topics();
            case "add_partitions":
                NewPartitions more = NewPartitions.increaseTo(request.get("partitions").asInt());
                wait(inner.createPartitions(Map.of(topic, more)).all());
                return map();
            case "describe_config": return describeConfig(topic);
            case "alter_config":
                ConfigEntry entry = new ConfigEntry(request.get("key").asText(), request.get("value").asText());
                AlterConfigOp set = new AlterConfigOp(entry, AlterConfigOp.OpType.SET);
                wait(inner.incrementalAlterConfigs(Map.of(resource(topic), List.of(set))).all());
                return map();
            case "list_groups":
                List<String> groups = new ArrayList<>();
                wait(inner.listConsumerGroups().all()).forEach(one -> groups.add(one.groupId()));
                return map("groups", groups);
            case "describe_group": return describeGroup(group);
            case "group_offsets":
                Map<String, Object> offsets = new TreeMap<>();
                wait(inner.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata())
                    .forEach((where, at) -> offsets.put(where.topic() + "/" + where.partition(), at.offset()));
                return map("offsets", offsets);
            case "delete_group": wait(inner.deleteConsumerGroups(Set.of(group)).all()); return map();
            case "delete_records":
                TopicPartition where = new TopicPartition(topic, request.get("partition").asInt());
                RecordsToDelete before = RecordsToDelete.beforeOffset(request.get("offset").asLong());
                return map("low", wait(inner.deleteRecords(Map.of(where, before)).lowWatermarks().get(where))
                                      .lowWatermark());
            case "close": inner.close(Duration.ofSeconds(5)); return map();
            default: throw new IllegalArgumentException(op);
            }
        }

        Map<String, Object> create(String topic, JsonNode request) throws Exception {
            NewTopic made = new NewTopic(topic, Integer.parseInt(text(request, "partitions", "1")),
                                         Short.parseShort(text(request, "replicas", "1")));
            Map<String, String> config = new HashMap<>();
            if (request.hasNonNull("config"))
                request.get("config").fields().forEachRemaining(
                    one -> config.put(one.getKey(), one.getValue().asText()));
            wait(inner.createTopics(Set.of(made.configs(config))).all());
            return map();
        }

        /* The old name of the method is gone from the new client, the new one unknown to the old. */
        @SuppressWarnings("unchecked")
        Map<String, Object> topics() throws Exception {
            Object described = inner.describeTopics(wait(inner.listTopics().names()));
            java.lang.reflect.Method all;
            try {
                all = described.getClass().getMethod("allTopicNames");
            } catch (NoSuchMethodException old) {
                all = described.getClass().getMethod("all");
            }
            Map<String, Object> counts = new TreeMap<>();
            wait((KafkaFuture<Map<String, TopicDescription>>) all.invoke(described))
                .forEach((name, one) -> counts.put(name, one.partitions().size()));
            return map("topics", counts);
        }

        static ConfigResource resource(String topic) {
            return new ConfigResource(ConfigResource.Type.TOPIC, topic);
        }

        Map<String, Object> describeConfig(String topic) throws Exception {
            Map<String, Object> values = new TreeMap<>();
            Config found = wait(inner.describeConfigs(Set.of(resource(topic))).all()).get(resource(topic));
            found.entries().forEach(one -> values.put(one.name(), one.value()));
            return map("config", values);
        }

        Map<String, Object> describeGroup(String group) throws Exception {
            ConsumerGroupDescription found =
                wait(inner.describeConsumerGroups(Set.of(group)).describedGroups().get(group));
            Map<String, Object> members = new TreeMap<>();
            for (MemberDescription one : found.members())
                members.put(one.clientId(), List.of(named(one.assignment().topicPartitions()).split(",")));
            return map("state", found.state().name(), "members", members);
        }
    }
}
