import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;

/**
 * Counts words: WordCount SERVERS INPUT OUTPUT APPLICATION STATE_DIRECTORY. It runs until its standard input
 * ends, says "running" whenever it does, and keeps its counts in memory, so that a second run has to read
 * them back from the broker.
 */
public class WordCount {
    public static void main(String[] arguments) throws Exception {
        Properties config = new Properties();
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[3]);
        config.put(StreamsConfig.STATE_DIR_CONFIG, arguments[4]);
        config.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        config.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        config.put(StreamsConfig.DEFAULT_DSL_STORE_CONFIG, "in_memory");
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 200);
        config.put("statestore.cache.max.bytes", 0);
        config.put("session.timeout.ms", 6000);
        config.put("auto.offset.reset", "earliest");

        StreamsBuilder words = new StreamsBuilder();
        words.<String, String>stream(arguments[1])
            .flatMapValues(text -> Arrays.asList(text.split(" ")))
            .groupBy((key, word) -> word)
            .count(Materialized.as("counts"))
            .toStream()
            .mapValues(String::valueOf)
            .to(arguments[2], Produced.with(Serdes.String(), Serdes.String()));

        KafkaStreams streams = new KafkaStreams(words.build(), config);
        streams.setStateListener((now, before) -> System.out.println(now.name().toLowerCase()));
        streams.start();
        while (System.in.read() >= 0)
            continue;
        streams.close(Duration.ofSeconds(20));
    }
}
