package driver; // Spring looks for components in the package of the application

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;

import org.springframework.amqp.AmqpRejectAndDontRequeueException;
import org.springframework.amqp.core.Binding;
import org.springframework.amqp.core.BindingBuilder;
import org.springframework.amqp.core.Declarables;
import org.springframework.amqp.core.DirectExchange;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.core.MessageBuilder;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.core.QueueBuilder;
import org.springframework.amqp.core.ReturnedMessage;
import org.springframework.amqp.rabbit.annotation.RabbitListener;
import org.springframework.amqp.rabbit.connection.CorrelationData;
import org.springframework.amqp.rabbit.core.RabbitAdmin;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.stream.function.StreamBridge;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.transaction.support.TransactionTemplate;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory;
import org.springframework.amqp.rabbit.transaction.RabbitTransactionManager;

/**
 * A Spring Boot application that uses a broker as such applications do, and says what worked:
 * SpringDriver HOST PORT prints "ok NAME" or "not ok NAME: why" for each case.
 */
@SpringBootApplication
public class SpringDriver {
    private static final int WAIT_S = 20;

    static final BlockingQueue<String> heard = new LinkedBlockingQueue<>();
    static final BlockingQueue<Message> dead = new LinkedBlockingQueue<>();
    static final BlockingQueue<String> streamed = new LinkedBlockingQueue<>();
    static int attempts;

    @Bean
    Declarables objects() {
        Queue work = QueueBuilder.durable("spring.work").build();
        Queue failing = QueueBuilder.durable("spring.failing").deadLetterExchange("spring.dlx").build();
        Queue graves = QueueBuilder.durable("spring.dead").build();
        Queue calls = QueueBuilder.durable("spring.calls").quorum().build();
        DirectExchange dlx = new DirectExchange("spring.dlx");
        Binding binding = BindingBuilder.bind(graves).to(dlx).with("spring.failing");
        return new Declarables(work, failing, graves, calls, dlx, binding);
    }

    @RabbitListener(queues = "spring.work", concurrency = "2")
    void listen(String text) {
        heard.add(text);
    }

    @RabbitListener(queues = "spring.failing")
    void fail(String text) {
        attempts++;
        throw new AmqpRejectAndDontRequeueException("as ever");
    }

    @RabbitListener(queues = "spring.dead")
    void bury(Message message) {
        dead.add(message);
    }

    @RabbitListener(queues = "spring.calls")
    String answer(String text) {
        return text.toUpperCase();
    }

    @Bean
    Function<String, String> shout() {
        return text -> text + "!";
    }

    @Bean
    Consumer<String> sink() {
        return streamed::add;
    }

    // ---- the cases ----

    private interface Case {
        void run(ConfigurableApplicationContext context) throws Exception;
    }

    private static void expect(Object is, Object wanted) {
        if (!wanted.equals(is))
            throw new IllegalStateException(is + " instead of " + wanted);
    }

    private static RabbitTemplate template(ConfigurableApplicationContext context) {
        return context.getBean(RabbitTemplate.class);
    }

    static void listeners(ConfigurableApplicationContext context) throws Exception {
        for (int i = 0; i < 100; i++)
            template(context).convertAndSend("spring.work", "work " + i);
        for (int i = 0; i < 100; i++)
            if (heard.poll(WAIT_S, TimeUnit.SECONDS) == null)
                throw new IllegalStateException("only " + i + " messages came");
    }

    static void confirms(ConfigurableApplicationContext context) throws Exception {
        CorrelationData data = new CorrelationData(UUID.randomUUID().toString());
        template(context).convertAndSend("", "spring.work", (Object) "confirmed", data);
        expect(data.getFuture().get(WAIT_S, TimeUnit.SECONDS).isAck(), true);
        expect(heard.poll(WAIT_S, TimeUnit.SECONDS), "confirmed");
    }

    static void returns(ConfigurableApplicationContext context) throws Exception {
        CorrelationData data = new CorrelationData(UUID.randomUUID().toString());
        template(context).convertAndSend("", "spring.nowhere", (Object) "lost", data);
        expect(data.getFuture().get(WAIT_S, TimeUnit.SECONDS).isAck(), true);
        ReturnedMessage returned = data.getReturned();
        expect(returned.getReplyCode(), 312);
        expect(new String(returned.getMessage().getBody(), StandardCharsets.UTF_8), "lost");
    }

    static void requestAndReply(ConfigurableApplicationContext context) {
        RabbitTemplate template = template(context);
        template.setReplyTimeout(WAIT_S * 1000L);
        for (int i = 0; i < 20; i++)
            expect(template.convertSendAndReceive("spring.calls", "call " + i), "CALL " + i);
    }

    static void deadLetters(ConfigurableApplicationContext context) throws Exception {
        template(context).convertAndSend("spring.failing", "hopeless");
        Message message = dead.poll(WAIT_S, TimeUnit.SECONDS);
        expect(new String(message.getBody(), StandardCharsets.UTF_8), "hopeless");
        Map<String, ?> death = message.getMessageProperties().getXDeathHeader().get(0);
        expect(death.get("queue"), "spring.failing");
        expect(death.get("reason"), "rejected");
        expect(death.get("count"), 1L);
        expect(message.getMessageProperties().getHeader("x-first-death-reason"), "rejected");
        expect(attempts, 1);
    }

    static void administration(ConfigurableApplicationContext context) {
        RabbitAdmin admin = new RabbitAdmin(template(context).getConnectionFactory());
        String name = admin.declareQueue(new Queue("spring.counted", true));
        template(context).send(name, MessageBuilder.withBody(new byte[3]).build());
        template(context).execute(channel -> channel.messageCount(name));
        expect(admin.getQueueProperties(name).get(RabbitAdmin.QUEUE_MESSAGE_COUNT), 1);
        expect(admin.purgeQueue(name), 1);
        expect(admin.deleteQueue(name), true);
        expect(admin.getQueueProperties(name) == null, true);
    }

    /** What a transaction publishes comes with its commit, and with a rollback never. */
    static void transactions(ConfigurableApplicationContext context) throws Exception {
        CachingConnectionFactory factory =
            new CachingConnectionFactory(((CachingConnectionFactory) template(context).getConnectionFactory())
                                             .getRabbitConnectionFactory());
        RabbitTemplate template = new RabbitTemplate(factory);
        template.setChannelTransacted(true);
        TransactionTemplate transaction = new TransactionTemplate(new RabbitTransactionManager(factory));
        transaction.executeWithoutResult(status -> {
            template.convertAndSend("spring.work", "taken back");
            status.setRollbackOnly();
        });
        transaction.executeWithoutResult(status -> template.convertAndSend("spring.work", "committed"));
        expect(heard.poll(WAIT_S, TimeUnit.SECONDS), "committed");
        expect(heard.poll(200, TimeUnit.MILLISECONDS) == null, true);
        factory.destroy();
    }

    /** Spring Cloud Stream: a bridge into a function, and what that makes into a sink. */
    static void cloudStream(ConfigurableApplicationContext context) throws Exception {
        for (int i = 0; i < 20; i++)
            context.getBean(StreamBridge.class).send("spring.in", "word " + i);
        for (int i = 0; i < 20; i++)
            expect(streamed.poll(WAIT_S, TimeUnit.SECONDS), "word " + i + "!");
    }

    private static boolean tell(ConfigurableApplicationContext context, String name, Case test) {
        try {
            CompletableFuture.runAsync(() -> {
                try {
                    test.run(context);
                } catch (Exception e) {
                    throw new IllegalStateException(e);
                }
            }).get(3 * WAIT_S, TimeUnit.SECONDS);
            System.out.println("ok " + name);
            return true;
        } catch (Exception e) {
            System.out.println("not ok " + name + ": " + e);
            return false;
        }
    }

    public static void main(String[] args) {
        SpringApplication application = new SpringApplication(SpringDriver.class);
        application.setDefaultProperties(Map.ofEntries(
            Map.entry("spring.rabbitmq.host", args[0]), Map.entry("spring.rabbitmq.port", args[1]),
            Map.entry("spring.rabbitmq.publisher-confirm-type", "correlated"),
            Map.entry("spring.rabbitmq.publisher-returns", "true"),
            Map.entry("spring.rabbitmq.template.mandatory", "true"),
            Map.entry("spring.cloud.function.definition", "shout;sink"),
            Map.entry("spring.cloud.stream.bindings.shout-in-0.destination", "spring.in"),
            Map.entry("spring.cloud.stream.bindings.shout-in-0.group", "workers"),
            Map.entry("spring.cloud.stream.bindings.shout-out-0.destination", "spring.out"),
            Map.entry("spring.cloud.stream.bindings.sink-in-0.destination", "spring.out"),
            Map.entry("spring.cloud.stream.bindings.sink-in-0.group", "readers"),
            Map.entry("spring.main.web-application-type", "none"),
            Map.entry("spring.main.banner-mode", "off"), Map.entry("logging.level.root", "error")));
        ConfigurableApplicationContext context = application.run();
        boolean good = true;
        for (Map.Entry<String, Case> test :
             List.<Map.Entry<String, Case>>of(Map.entry("listeners", SpringDriver::listeners),
                                              Map.entry("confirms", SpringDriver::confirms),
                                              Map.entry("returns", SpringDriver::returns),
                                              Map.entry("request and reply", SpringDriver::requestAndReply),
                                              Map.entry("dead letters", SpringDriver::deadLetters),
                                              Map.entry("administration", SpringDriver::administration),
                                              Map.entry("transactions", SpringDriver::transactions),
                                              Map.entry("cloud stream", SpringDriver::cloudStream)))
            good &= tell(context, test.getKey(), test.getValue());
        context.close();
        System.exit(good ? 0 : 1);
    }
}
