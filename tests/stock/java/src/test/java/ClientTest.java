import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.AuthenticationFailureException;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.MessageProperties;
import com.rabbitmq.client.Recoverable;
import com.rabbitmq.client.RecoveryListener;
import com.rabbitmq.client.RpcClient;
import com.rabbitmq.client.RpcClientParams;
import com.rabbitmq.client.RpcServer;
import com.rabbitmq.client.ShutdownSignalException;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** RabbitMQ's own Java client. */
@Timeout(30)
class ClientTest {
    private static final int PATIENCE = 10; // seconds, for what is expected to come

    private Connection connection;
    private Channel channel;

    static ConnectionFactory factory() throws Exception {
        var factory = new ConnectionFactory();
        factory.setUri(System.getenv("AMQP_URL"));
        factory.setNetworkRecoveryInterval(100);
        return factory;
    }

    @BeforeEach
    void open() throws Exception {
        connection = factory().newConnection();
        channel = connection.createChannel();
        channel.confirmSelect();
    }

    @AfterEach
    void close() {
        connection.abort();
    }

    @Test
    void whatIsConfirmedIsConsumedOnceAndAckedTogether() throws Exception {
        var queue = queue(Map.of());
        for (int number = 0; number < 100; number++) {
            channel.basicPublish("", queue, MessageProperties.PERSISTENT_BASIC, ("" + number).getBytes());
        }
        channel.waitForConfirmsOrDie(PATIENCE * 1000L);
        channel.basicQos(100);
        var arrived = consume(queue, false);
        long last = 0;
        for (int number = 0; number < 100; number++) {
            var delivery = next(arrived);
            assertEquals("" + number, text(delivery));
            last = delivery.getEnvelope().getDeliveryTag();
        }
        channel.basicAck(last, true);
        assertTrue(arrived.isEmpty());
    }

    @Test
    void aRequeuedMessageComesBackAndARejectedOneIsDeadLettered() throws Exception {
        var dead = queue(Map.of());
        var queue = queue(Map.of("x-dead-letter-exchange", "", "x-dead-letter-routing-key", dead));
        var arrived = consume(queue, false);
        publish(queue, "x");
        var first = next(arrived);
        channel.basicNack(first.getEnvelope().getDeliveryTag(), false, true);
        var second = next(arrived);
        assertFalse(first.getEnvelope().isRedeliver());
        assertTrue(second.getEnvelope().isRedeliver());
        channel.basicReject(second.getEnvelope().getDeliveryTag(), false);
        var death = (Map<?, ?>) ((List<?>) next(consume(dead, true)).getProperties().getHeaders().get("x-death")).get(0);
        assertEquals("rejected", death.get("reason").toString());
        assertEquals(1L, death.get("count"));
    }

    @Test
    void anExpiredMessageIsDeadLettered() throws Exception {
        var dead = queue(Map.of());
        var queue = queue(
                Map.of("x-message-ttl", 100, "x-dead-letter-exchange", "", "x-dead-letter-routing-key", dead));
        publish(queue, "x");
        var headers = next(consume(dead, true)).getProperties().getHeaders();
        assertEquals("expired", headers.get("x-first-death-reason").toString());
        assertEquals(queue, headers.get("x-first-death-queue").toString());
    }

    @Test
    void theHighestPriorityComesFirst() throws Exception {
        var queue = queue(Map.of("x-max-priority", 5));
        for (var priority : new int[] {1, 5, 0, 3}) {
            var properties = new AMQP.BasicProperties.Builder().priority(priority).build();
            channel.basicPublish("", queue, properties, ("" + priority).getBytes());
        }
        channel.waitForConfirmsOrDie(PATIENCE * 1000L);
        var arrived = consume(queue, true);
        for (var priority : new String[] {"5", "3", "1", "0"}) {
            assertEquals(priority, text(next(arrived)));
        }
    }

    @Test
    void callsAreAnsweredThroughDirectReplyTo() throws Exception {
        var queue = queue(Map.of());
        var server = new RpcServer(channel, queue) {
            @Override
            public byte[] handleCall(Delivery request, AMQP.BasicProperties reply) {
                return ("re: " + text(request)).getBytes();
            }
        };
        var serving = new Thread(() -> {
            try {
                server.mainloop();
            } catch (IOException | ShutdownSignalException closed) {
                // the test is over
            }
        });
        serving.setDaemon(true); // it ends with the connection
        serving.start();
        try (var calling = factory().newConnection()) {
            var client = new RpcClient(
                    new RpcClientParams().channel(calling.createChannel()).exchange("").routingKey(queue));
            assertEquals("re: x", client.stringCall("x"));
        }
    }

    @Test
    void aConnectionRecoversWithQueuesBindingsAndConsumers() throws Exception {
        var exchange = "java." + UUID.randomUUID();
        channel.exchangeDeclare(exchange, "topic", false, true, null);
        var queue = queue(Map.of());
        channel.queueBind(queue, exchange, "news.*");
        var arrived = consume(queue, true);
        var recovered = new CountDownLatch(1);
        ((Recoverable) connection).addRecoveryListener(new RecoveryListener() {
            @Override
            public void handleRecovery(Recoverable recoverable) {
                recovered.countDown();
            }

            @Override
            public void handleRecoveryStarted(Recoverable recoverable) {}
        });
        // RabbitMQ does not implement `immediate`, and closes the connection of who asks for it.
        connection.createChannel().basicPublish("", queue, false, true, null, "x".getBytes());
        assertTrue(recovered.await(PATIENCE, TimeUnit.SECONDS));
        channel.basicPublish(exchange, "news.today", null, "x".getBytes());
        assertEquals("x", text(next(arrived)));
    }

    @Test
    void errorsCarryTheirReplyCode() throws Exception {
        var missing = assertThrows(IOException.class, () -> channel.queueDeclarePassive("no such queue"));
        var reason = (AMQP.Channel.Close) ((ShutdownSignalException) missing.getCause()).getReason();
        assertEquals(404, reason.getReplyCode());
        assertEquals("NOT_FOUND - no queue 'no such queue' in vhost '/'", reason.getReplyText());
        var factory = factory();
        factory.setPassword("wrong");
        assertThrows(AuthenticationFailureException.class, factory::newConnection);
    }

    @Test
    void aConsumerLearnsThatItsQueueIsGone() throws Exception {
        var queue = queue(Map.of());
        var cancelled = new CountDownLatch(1);
        channel.basicConsume(queue, (tag, delivery) -> {}, tag -> cancelled.countDown());
        connection.createChannel().queueDelete(queue);
        assertTrue(cancelled.await(PATIENCE, TimeUnit.SECONDS));
    }

    private String queue(Map<String, Object> arguments) throws IOException {
        return channel.queueDeclare("java." + UUID.randomUUID(), false, true, true, arguments).getQueue();
    }

    private void publish(String queue, String body) throws Exception {
        channel.basicPublish("", queue, null, body.getBytes());
        channel.waitForConfirmsOrDie(PATIENCE * 1000L);
    }

    private BlockingQueue<Delivery> consume(String queue, boolean noAck) throws IOException {
        var arrived = new LinkedBlockingQueue<Delivery>();
        channel.basicConsume(queue, noAck, (tag, delivery) -> arrived.add(delivery), tag -> {});
        return arrived;
    }

    private static Delivery next(BlockingQueue<Delivery> arrived) throws InterruptedException {
        var delivery = arrived.poll(PATIENCE, TimeUnit.SECONDS);
        assertNotNull(delivery, "nothing came");
        return delivery;
    }

    private static String text(Delivery delivery) {
        return new String(delivery.getBody());
    }
}
