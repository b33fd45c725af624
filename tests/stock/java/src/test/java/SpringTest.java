import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.springframework.amqp.AmqpRejectAndDontRequeueException;
import org.springframework.amqp.core.Binding;
import org.springframework.amqp.core.BindingBuilder;
import org.springframework.amqp.core.Declarables;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.core.QueueBuilder;
import org.springframework.amqp.core.TopicExchange;
import org.springframework.amqp.rabbit.annotation.EnableRabbit;
import org.springframework.amqp.rabbit.annotation.RabbitListener;
import org.springframework.amqp.rabbit.config.SimpleRabbitListenerContainerFactory;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory.ConfirmType;
import org.springframework.amqp.rabbit.connection.CorrelationData;
import org.springframework.amqp.rabbit.core.RabbitAdmin;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** Spring AMQP: a template, an admin and annotated listeners, as a Spring Boot application has them. */
@Timeout(30)
class SpringTest {
    private static final int PATIENCE = 10; // seconds, for what is expected to come
    private static final String RUN = UUID.randomUUID().toString();
    private static final String EXCHANGE = "spring.orders." + RUN;
    private static final String DEAD = "spring.dead." + RUN;

    @Configuration
    @EnableRabbit
    static class Application {
        final BlockingQueue<String> paid = new LinkedBlockingQueue<>();

        @Bean
        CachingConnectionFactory connectionFactory() throws Exception {
            var factory = new CachingConnectionFactory(ClientTest.factory());
            factory.setPublisherConfirmType(ConfirmType.CORRELATED);
            factory.setPublisherReturns(true);
            return factory;
        }

        @Bean
        RabbitTemplate template(CachingConnectionFactory factory) {
            var template = new RabbitTemplate(factory);
            template.setReplyTimeout(PATIENCE * 1000L);
            template.setMandatory(true);
            return template;
        }

        @Bean
        RabbitAdmin admin(CachingConnectionFactory factory) {
            return new RabbitAdmin(factory);
        }

        @Bean
        SimpleRabbitListenerContainerFactory rabbitListenerContainerFactory(CachingConnectionFactory factory) {
            var containers = new SimpleRabbitListenerContainerFactory();
            containers.setConnectionFactory(factory);
            containers.setConcurrentConsumers(2);
            containers.setPrefetchCount(10);
            return containers;
        }

        @Bean
        Queue calls() {
            return QueueBuilder.nonDurable("spring.calls." + RUN).autoDelete().build();
        }

        @Bean
        Queue payments() {
            return QueueBuilder.nonDurable("spring.payments." + RUN)
                    .autoDelete()
                    .deadLetterExchange("")
                    .deadLetterRoutingKey(DEAD)
                    .build();
        }

        @Bean
        Declarables rest(Queue payments) {
            var exchange = new TopicExchange(EXCHANGE, false, true);
            Binding binding = BindingBuilder.bind(payments).to(exchange).with("order.*.paid");
            return new Declarables(exchange, binding, QueueBuilder.nonDurable(DEAD).expires(60_000).build());
        }

        @RabbitListener(queues = "#{calls.name}")
        String answer(String call) {
            return "re: " + call;
        }

        @RabbitListener(queues = "#{payments.name}")
        void payment(String order) {
            if (order.equals("broken")) {
                throw new AmqpRejectAndDontRequeueException("cannot be paid");
            }
            paid.add(order);
        }
    }

    @Test
    void aTemplateAndListenersWorkTogether() throws Exception {
        try (var context = new AnnotationConfigApplicationContext(Application.class)) {
            var template = context.getBean(RabbitTemplate.class);

            // request and response, through direct reply-to
            for (int number = 0; number < 50; number++) {
                assertEquals("re: " + number, template.convertSendAndReceive("spring.calls." + RUN, (Object) ("" + number)));
            }

            // a confirmed publish through a topic exchange
            var confirmed = new CorrelationData("one");
            template.convertAndSend(EXCHANGE, "order.17.paid", (Object) "order 17", confirmed);
            assertTrue(confirmed.getFuture().get(PATIENCE, TimeUnit.SECONDS).ack());
            assertEquals("order 17", context.getBean(Application.class).paid.poll(PATIENCE, TimeUnit.SECONDS));

            // what a listener rejects is dead-lettered
            template.convertAndSend(EXCHANGE, "order.18.paid", "broken");
            Message dead = template.receive(DEAD, PATIENCE * 1000L);
            assertNotNull(dead);
            assertEquals("broken", new String(dead.getBody()));
            assertEquals("rejected", dead.getMessageProperties().getHeader("x-first-death-reason").toString());

            // what reaches no queue comes back, before its confirm
            var unroutable = new CorrelationData("two");
            template.convertAndSend(EXCHANGE, "nobody", (Object) "x", unroutable);
            assertTrue(unroutable.getFuture().get(PATIENCE, TimeUnit.SECONDS).ack());
            assertEquals(312, unroutable.getReturned().getReplyCode());

            // the admin knows how full a queue is
            var waiting = new CorrelationData("three");
            template.convertAndSend("", DEAD, (Object) "y", waiting);
            assertTrue(waiting.getFuture().get(PATIENCE, TimeUnit.SECONDS).ack());
            var info = context.getBean(RabbitAdmin.class).getQueueInfo(DEAD);
            assertEquals(1, info.getMessageCount());
            assertTrue(context.getBean(RabbitAdmin.class).deleteQueue(DEAD));
        }
    }
}
