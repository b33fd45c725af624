//! The scenarios with lapin, the Rust client. `tests/stock/test_lapin.py` runs them against each broker.

use std::{env, process, sync::atomic::AtomicU32, sync::atomic::Ordering, time::Duration};

use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, Error, ExchangeKind,
    message::Delivery,
    options::*,
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable},
};

/// How long to wait for what is expected to come.
const PATIENCE: Duration = Duration::from_secs(10);

async fn connect() -> Connection {
    let url = env::var("AMQP_URL").expect("AMQP_URL names the broker under test");
    Connection::connect(&url, ConnectionProperties::default()).await.expect("a connection")
}

/// A channel with confirms.
async fn channel(connection: &Connection) -> Channel {
    let channel = connection.create_channel().await.expect("a channel");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
    channel
}

/// A name that no other test uses.
fn unique(word: &str) -> String {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    format!("{word}.{}.{}", process::id(), SERIAL.fetch_add(1, Ordering::Relaxed))
}

/// An exclusive queue that the server names.
async fn exclusive_queue(channel: &Channel) -> String {
    let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
    let queue = channel.queue_declare("".into(), options, FieldTable::default()).await.expect("a queue");
    queue.name().to_string()
}

async fn publish(channel: &Channel, exchange: &str, key: &str, body: &[u8], properties: BasicProperties) {
    let options = BasicPublishOptions::default();
    let confirm = channel.basic_publish(exchange.into(), key.into(), options, body, properties);
    assert!(confirm.await.expect("published").await.expect("confirmed").is_ack());
}

async fn consume(channel: &Channel, queue: &str, no_ack: bool) -> Consumer {
    let options = BasicConsumeOptions { no_ack, ..Default::default() };
    channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await.expect("a consumer")
}

async fn next(consumer: &mut Consumer) -> Delivery {
    let delivery = tokio::time::timeout(PATIENCE, consumer.next()).await.expect("a delivery in time");
    delivery.expect("the consumer goes on").expect("a delivery")
}

async fn get(channel: &Channel, queue: &str) -> Option<Delivery> {
    let got = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await.expect("an answer");
    got.map(|message| message.delivery)
}

fn table(fields: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in fields {
        table.insert((*name).into(), value.clone());
    }
    table
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn bodies(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| str::from_utf8(&delivery.data).expect("text")).collect()
}

fn reply_code(error: &Error) -> Option<AMQPSoftError> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => match error.kind() {
            AMQPErrorKind::Soft(soft) => Some(soft.clone()),
            AMQPErrorKind::Hard(_) => None,
        },
        _ => None,
    }
}

#[tokio::test]
#[ignore = "needs a broker: run by test_lapin.py"]
async fn bodies_of_every_size_arrive_whole() {
    let connection = connect().await;
    let channel = channel(&connection).await;
    let queue = exclusive_queue(&channel).await;
    for size in [0, 1, 131_064, 131_065, 16 << 20] {
        let body: Vec<u8> = (0..size).map(|index: usize| index as u8).collect();
        publish(&channel, "", &queue, &body, BasicProperties::default()).await;
        assert!(get(&channel, &queue).await.expect("a message").data == body);
    }
}

#[tokio::test]
#[ignore = "needs a broker: run by test_lapin.py"]
async fn properties_and_typed_headers_arrive_as_sent() {
    let connection = connect().await;
    let channel = channel(&connection).await;
    let queue = exclusive_queue(&channel).await;
    let headers = table(&[
        ("bool", AMQPValue::Boolean(true)),
        ("i8", AMQPValue::ShortShortInt(-8)),
        ("i16", AMQPValue::ShortInt(-16)),
        ("i32", AMQPValue::LongInt(-32)),
        ("i64", AMQPValue::LongLongInt(-64)),
        ("f64", AMQPValue::Double(0.5)),
        ("time", AMQPValue::Timestamp(1_700_000_000)),
        ("text", text("ü")),
        ("table", AMQPValue::FieldTable(table(&[("a", text("b"))]))),
        ("void", AMQPValue::Void),
    ]);
    let sent = BasicProperties::default()
        .with_content_type("text/plain".into())
        .with_headers(headers)
        .with_delivery_mode(2)
        .with_priority(3)
        .with_correlation_id("c".into())
        .with_timestamp(1_700_000_000)
        .with_user_id("guest".into());
    publish(&channel, "", &queue, b"x", sent.clone()).await;
    assert_eq!(get(&channel, &queue).await.expect("a message").properties, sent);
}

#[tokio::test]
#[ignore = "needs a broker: run by test_lapin.py"]
async fn two_workers_take_turns_and_a_lost_workers_tasks_are_redelivered() {
    let (here, there) = (connect().await, connect().await);
    let sending = channel(&here).await;
    let queue = unique("task_queue");
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    sending.queue_declare(queue.as_str().into(), durable, FieldTable::default()).await.expect("a queue");
    let lost = channel(&there).await;
    let mut one = consume(&lost, &queue, false).await;
    let mut two = consume(&sending, &queue, false).await;
    for task in ["1", "2", "3", "4", "5"] {
        publish(&sending, "", &queue, task.as_bytes(), BasicProperties::default().with_delivery_mode(2))
            .await;
    }
    let mine = [next(&mut one).await, next(&mut one).await, next(&mut one).await];
    let yours = [next(&mut two).await, next(&mut two).await];
    assert_eq!((bodies(&mine), bodies(&yours)), (vec!["1", "3", "5"], vec!["2", "4"]));
    mine[0].ack(BasicAckOptions::default()).await.expect("acked");
    lost.close(200, "done".into()).await.expect("closed");
    let again = [next(&mut two).await, next(&mut two).await];
    assert_eq!(bodies(&again), ["3", "5"]);
    assert!(again.iter().all(|delivery| delivery.redelivered));
    sending.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.expect("deleted");
}

#[tokio::test]
#[ignore = "needs a broker: run by test_lapin.py"]
async fn prefetch_holds_back_until_the_ack() {
    let connection = connect().await;
    let channel = channel(&connection).await;
    let queue = exclusive_queue(&channel).await;
    channel.basic_qos(1, BasicQosOptions::default()).await.expect("prefetch");
    let mut consumer = consume(&channel, &queue, false).await;
    for body in ["1", "2"] {
        publish(&channel, "", &queue, body.as_bytes(), BasicProperties::default()).await;
    }
    let first = next(&mut consumer).await;
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    let state =
        channel.queue_declare(queue.as_str().into(), passive, FieldTable::default()).await.expect("a queue");
    assert_eq!((state.message_count(), state.consumer_count()), (1, 1));
    first.ack(BasicAckOptions::default()).await.expect("acked");
    assert_eq!(next(&mut consumer).await.data, b"2");
}

#[tokio::test]
#[ignore = "needs a broker: run by test_lapin.py"]
async fn every_exchange_type_routes() {
    let connection = connect().await;
    let channel = channel(&connection).await;
    let any = table(&[("x-match", text("any")), ("a", AMQPValue::LongInt(1)), ("b", text("two"))]);
    let none = FieldTable::default;
    let one = table(&[("a", AMQPValue::LongInt(1))]);
    let other = table(&[("a", text("1"))]);
    // The bindings, then each message's key and headers and whether it arrives.
    let exchanges = [
        (ExchangeKind::Fanout, vec![("", none())], vec![("whatever", none(), true)]),
        (
            ExchangeKind::Direct,
            vec![("error", none())],
            vec![("info", none(), false), ("error", none(), true)],
        ),
        (
            ExchangeKind::Topic,
            vec![("mysql.*", none()), ("*.info", none()), ("critical*", none())],
            vec![("mysql.info", none(), true), ("mysql", none(), false), ("critical.disk", none(), false)],
        ),
        (
            ExchangeKind::Headers,
            vec![("", any)],
            vec![("", one, true), ("", other, false), ("", none(), false)],
        ),
    ];
    for (kind, bindings, messages) in exchanges {
        let exchange = unique("exchange");
        let options = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
        channel.exchange_declare(exchange.as_str().into(), kind, options, none()).await.expect("an exchange");
        let queue = exclusive_queue(&channel).await;
        for (key, arguments) in bindings {
            let bound = channel.queue_bind(
                queue.as_str().into(),
                exchange.as_str().into(),
                key.into(),
                QueueBindOptions::default(),
                arguments,
            );
            bound.await.expect("bound");
        }
        for (key, headers, arrives) in messages {
            publish(&channel, &exchange, key, b"x", BasicProperties::default().with_headers(headers)).await;
            assert_eq!(get(&channel, &queue).await.is_some(), arrives, "{key} through {exchange}");
            assert!(get(&channel, &queue).await.is_none());
        }
    }
}

#[tokio::test]
#[ignore = "needs a broker: run by test_lapin.py"]
async fn an_unroutable_mandatory_message_is_returned_and_confirmed() {
    let connection = connect().await;
    let channel = channel(&connection).await;
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let missing = unique("missing");
    let publish =
        channel.basic_publish("".into(), missing.as_str().into(), options, b"x", BasicProperties::default());
    let confirm = publish.await.expect("published").await.expect("confirmed");
    assert!(confirm.is_ack());
    let returned = confirm.take_message().expect("a return before the confirm");
    assert_eq!((returned.reply_code, returned.reply_text.as_str()), (312, "NO_ROUTE"));
    assert_eq!(returned.delivery.data, b"x");
}

#[tokio::test]
#[ignore = "needs a broker: run by test_lapin.py"]
async fn a_thousand_publishes_are_confirmed_without_waiting_for_each() {
    let connection = connect().await;
    let channel = channel(&connection).await;
    let queue = exclusive_queue(&channel).await;
    for _ in 0..1000 {
        let options = BasicPublishOptions::default();
        let publish = channel.basic_publish(
            "".into(),
            queue.as_str().into(),
            options,
            b"x",
            BasicProperties::default(),
        );
        drop(publish.await.expect("published"));
    }
    assert!(channel.wait_for_confirms().await.expect("confirmed").is_empty());
    assert_eq!(
        channel.queue_purge(queue.as_str().into(), QueuePurgeOptions::default()).await.expect("purged"),
        1000
    );
}

#[tokio::test]
#[ignore = "needs a broker: run by test_lapin.py"]
async fn nack_requeues_to_the_original_place() {
    let connection = connect().await;
    let channel = channel(&connection).await;
    let queue = exclusive_queue(&channel).await;
    for body in ["1", "2", "3"] {
        publish(&channel, "", &queue, body.as_bytes(), BasicProperties::default()).await;
    }
    let options = BasicGetOptions { no_ack: false };
    let first =
        channel.basic_get(queue.as_str().into(), options).await.expect("an answer").expect("a message");
    first.nack(BasicNackOptions { requeue: true, ..Default::default() }).await.expect("nacked");
    let mut left = Vec::new();
    while let Some(delivery) = get(&channel, &queue).await {
        left.push(delivery);
    }
    assert_eq!(bodies(&left), ["1", "2", "3"]);
    assert_eq!(left.iter().map(|delivery| delivery.redelivered).collect::<Vec<_>>(), [true, false, false]);
}

#[tokio::test]
#[ignore = "needs a broker: run by test_lapin.py"]
async fn errors_close_the_channel_with_their_code_and_leave_the_connection() {
    let connection = connect().await;
    let missing = unique("missing");
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    let channel = channel(&connection).await;
    let error = channel
        .queue_declare(missing.as_str().into(), passive, FieldTable::default())
        .await
        .expect_err("there is no such queue");
    assert_eq!(reply_code(&error), Some(AMQPSoftError::NOTFOUND), "{error}");
    assert!(error.to_string().contains(&format!("NOT_FOUND - no queue '{missing}' in vhost '/'")), "{error}");
    connection.create_channel().await.expect("the connection goes on");
}

#[tokio::test]
#[ignore = "needs a broker: run by test_lapin.py"]
async fn calls_find_their_answers_over_direct_reply_to() {
    let (here, there) = (connect().await, connect().await);
    let serving = channel(&there).await;
    let requests = exclusive_queue(&serving).await;
    let mut incoming = consume(&serving, &requests, false).await;
    let server = tokio::spawn(async move {
        for _ in 0..3 {
            let request = next(&mut incoming).await;
            let n: u64 = str::from_utf8(&request.data).expect("text").parse().expect("a number");
            let reply_to = request.properties.reply_to().clone().expect("reply_to");
            let about = BasicProperties::default().with_correlation_id(n.to_string().into());
            publish(&serving, "", reply_to.as_str(), fib(n).to_string().as_bytes(), about).await;
            request.ack(BasicAckOptions::default()).await.expect("acked");
        }
    });
    let asking = channel(&here).await;
    let mut answers = consume(&asking, "amq.rabbitmq.reply-to", true).await;
    for n in ["30", "35", "40"] {
        let about = BasicProperties::default().with_reply_to("amq.rabbitmq.reply-to".into());
        publish(&asking, "", &requests, n.as_bytes(), about).await;
    }
    for (n, result) in [("30", "832040"), ("35", "9227465"), ("40", "102334155")] {
        let answer = next(&mut answers).await;
        assert_eq!(answer.properties.correlation_id().as_ref().expect("an id").as_str(), n);
        assert_eq!(bodies(&[answer]), [result]);
    }
    server.await.expect("the server did its work");
}

fn fib(n: u64) -> u64 {
    (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
}
