//! What is to be seen against every broker.

use std::future::Future;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{io::Write, thread};

use warrenmq::Kind;
use warrenmq::broker::Binding;
use warrenmq::client::{
    BatchPublishing, Channel, ConnectOptions, Connection, ConnectionEvent, ConsumeOptions, Consumer,
    Delivery, ExchangeOptions, Outcome, Publish, Publishing, QueueOptions, Settle, runtime,
};
use warrenmq::error::Error;
use warrenmq::message::Body;
use warrenmq::wire::{Properties, ShortString, Table, Value};

use crate::brokers::{Proxy, RabbitMq};

type Scenario<T> = (&'static str, fn(&T));

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name)),*] };
}

/// On every transport that leads to another process.
pub(crate) const ALL: &[Scenario<str>] = scenarios![
    what_one_connection_sends_another_receives,
    every_outcome_says_what_happened_to_its_message,
    a_batch_names_the_messages_that_no_queue_took,
    messages_come_in_the_order_in_which_they_were_published,
    properties_and_bodies_survive_exactly,
    a_prefetch_of_two_holds_the_third_message_back_until_an_ack,
    a_prefetch_for_the_whole_channel_counts_all_consumers,
    what_a_closed_channel_had_not_acked_comes_again_and_marked,
    what_is_recovered_comes_again_once,
    two_consumers_on_one_channel_each_take_their_own,
    a_consumer_without_acks_gets_everything,
    a_dropped_consumer_puts_back_what_was_not_taken,
    a_consumer_whose_queue_is_deleted_ends_with_an_error_that_says_so,
    rejected_messages_are_gone_and_requeued_ones_come_again,
    one_message_is_fetched,
    a_transaction_takes_effect_at_its_commit_or_not_at_all,
    bindings_lead_through_exchanges,
    purging_and_deleting_tell_how_many_messages_there_were,
    an_error_closes_its_channel_and_says_why_from_then_on,
    names_that_begin_with_amq_are_reserved,
    publishing_to_an_unknown_exchange_is_an_error_of_the_publish,
    acking_twice_is_an_error_that_the_consumer_hears_of,
    unawaited_publishes_are_bounded,
    closing_waits_for_what_was_published,
    names_that_are_too_long_are_refused_before_they_are_sent,
];

pub(crate) const AMQP: &[Scenario<str>] = scenarios![
    the_end_of_the_connection_is_told_once_to_everybody,
    a_broker_without_a_sign_of_life_is_given_up,
    a_wrong_password_is_refused_and_not_shown,
    an_unknown_virtual_host_is_refused,
    who_cannot_be_reached_is_named,
];

pub(crate) const RABBITMQ: &[Scenario<RabbitMq>] = scenarios![
    a_full_queue_refuses_messages,
    a_blocked_connection_is_told_and_goes_on,
    tls_needs_a_certificate_that_is_trusted
];

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    runtime().unwrap().block_on(future)
}

pub(crate) fn open(url: &str) -> Connection {
    run(Connection::open(url, &ConnectOptions::default())).unwrap()
}

/// A connection with a channel, and a new queue that goes with it.
pub(crate) fn queue(url: &str) -> (Connection, Channel, String) {
    let connection = open(url);
    let channel = run(connection.channel()).unwrap();
    let options = QueueOptions { exclusive: true, ..QueueOptions::default() };
    let name = run(channel.declare_queue("", false, options)).unwrap().name.to_string();
    (connection, channel, name)
}

/// A queue name of this run's own.
fn unique(name: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{name}-{}-{}", std::process::id(), now.as_nanos())
}

pub(crate) fn publish<'a>(queue: &'a str, body: &'a [u8]) -> Publish<'a> {
    Publish {
        exchange: "",
        routing_key: queue,
        mandatory: false,
        properties: &[0, 0],
        body: Body::Slice(body),
    }
}

pub(crate) fn outcome(publishing: Publishing) -> Result<Outcome, Error> {
    match publishing {
        Publishing::Done(outcome) => Ok(outcome),
        Publishing::Pending(answer) => run(answer),
    }
}

pub(crate) fn send(channel: &Channel, queue: &str, body: &str) -> Outcome {
    outcome(channel.publish(publish(queue, body.as_bytes())).unwrap()).unwrap()
}

pub(crate) fn consume(channel: &Channel, queue: &str) -> Consumer {
    run(channel.consume(&ConsumeOptions { queue, ..ConsumeOptions::default() })).unwrap()
}

/// Waits until this many were taken.
pub(crate) fn take(consumer: &Consumer, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        assert!(consumer.wait(Some(Duration::from_secs(20))), "only {} of {count} came", taken.len());
        consumer.take(count - taken.len(), &mut taken).unwrap();
    }
    taken
}

/// The error that a consumer ends with.
pub(crate) fn end(consumer: &Consumer) -> Error {
    let mut taken = Vec::new();
    loop {
        assert!(consumer.wait(Some(Duration::from_secs(20))), "the consumer does not end");
        if let Err(error) = consumer.take(100, &mut taken) {
            return error;
        }
    }
}

fn nothing_comes(consumer: &Consumer) {
    assert!(!consumer.wait(Some(Duration::from_millis(200))), "something came");
}

pub(crate) fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| String::from_utf8_lossy(delivery.message.body()).into_owned()).collect()
}

fn tags(deliveries: &[Delivery]) -> Vec<(u64, bool)> {
    deliveries.iter().map(|delivery| (delivery.tag, false)).collect()
}

fn what_one_connection_sends_another_receives(url: &str) {
    let (producer, name) = (open(url), unique("hello"));
    let channel = run(producer.channel()).unwrap();
    run(channel.declare_queue(&name, false, QueueOptions::default())).unwrap();
    assert_eq!(send(&channel, &name, "one"), Outcome { confirmed: true, routed: true });
    assert_eq!(send(&channel, &unique("nobody"), "lost"), Outcome { confirmed: true, routed: false });
    run(producer.close()).unwrap();
    run(producer.close()).unwrap();
    assert!(!producer.is_open() && !channel.is_open());

    let connection = open(url);
    let channel = run(connection.channel()).unwrap();
    let consumer = consume(&channel, &name);
    assert_eq!(bodies(&take(&consumer, 1)), ["one"]);
    run(channel.delete_queue(&name, false, false)).unwrap();
}

fn every_outcome_says_what_happened_to_its_message(url: &str) {
    let (_connection, channel, name) = queue(url);
    let missing = unique("missing");
    // Without awaiting, and with equal bodies, so that returns and confirms come mixed.
    let publishes: Vec<_> = (0..3000)
        .map(|number| {
            let routed = number % 3 != 1 && number % 7 != 0;
            let to = if routed { &name } else { &missing };
            (routed, channel.publish(publish(to, &[b'x'; 64][..number % 5])).unwrap())
        })
        .collect();
    for (number, (routed, publishing)) in publishes.into_iter().enumerate() {
        assert_eq!(outcome(publishing).unwrap(), Outcome { confirmed: true, routed }, "message {number}");
    }
}

fn a_batch_names_the_messages_that_no_queue_took(url: &str) {
    let (_connection, channel, name) = queue(url);
    let missing = unique("missing");
    let bodies: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    let lost = [0, 7, 8, 250, 499];
    let mut batch = bodies.iter().enumerate().map(|(number, body)| {
        publish(if lost.contains(&number) { &missing } else { &name }, body.as_bytes())
    });
    let BatchPublishing::Pending(answer) = channel.publish_all(&mut batch).unwrap() else {
        panic!("not done yet")
    };
    let outcome = run(answer).unwrap();
    assert_eq!((outcome.confirmed, outcome.unrouted), (500, lost.to_vec()));
    let BatchPublishing::Pending(answer) = channel.publish_all(&mut std::iter::empty()).unwrap() else {
        panic!("not done yet")
    };
    assert_eq!(run(answer).unwrap().confirmed, 0);
}

fn messages_come_in_the_order_in_which_they_were_published(url: &str) {
    let (_connection, channel, name) = queue(url);
    run(channel.qos(300, false)).unwrap();
    let consumer = consume(&channel, &name);
    let bodies: Vec<String> = (0..5000).map(|number| number.to_string()).collect();
    let mut pending = Vec::new();
    for chunk in bodies.chunks(50) {
        pending.push(channel.publish(publish(&name, chunk[0].as_bytes())).unwrap());
        let mut rest = chunk[1..].iter().map(|body| publish(&name, body.as_bytes()));
        channel.publish_all(&mut rest).unwrap();
    }
    let mut got = Vec::new();
    while got.len() < bodies.len() {
        let taken = take(&consumer, 100.min(bodies.len() - got.len()));
        got.extend(self::bodies(&taken));
        channel.settle(&tags(&taken), Settle::Ack).unwrap();
    }
    assert!(got == bodies, "out of order");
    pending.into_iter().for_each(|publishing| assert!(outcome(publishing).unwrap().routed));
    run(channel.close()).unwrap();
}

fn properties_and_bodies_survive_exactly(url: &str) {
    let (_connection, channel, name) = queue(url);
    let text = |text: &str| Some(ShortString::truncated(text));
    let inner = Table(vec![("a".into(), Value::U8(200)), ("b".into(), Value::Void)]);
    let headers = Table(vec![
        ("array".into(), Value::Array(vec![Value::I16(-3), Value::Table(inner.clone()), Value::Bool(true)])),
        ("bytes".into(), Value::ByteArray(vec![0, 255, 10].into())),
        ("decimal".into(), Value::Decimal(2, 314)),
        ("double".into(), Value::F64(0.1)),
        ("float".into(), Value::F32(-1.5)),
        ("long".into(), Value::I64(i64::MIN)),
        ("table".into(), Value::Table(inner)),
        ("text".into(), Value::LongString("Grüße \0 \u{1F407}".into())),
        ("time".into(), Value::Timestamp(1_700_000_000)),
        ("word".into(), Value::U16(65_535)),
    ]);
    let properties = Properties {
        content_type: text("text/plain"),
        content_encoding: text("identity"),
        headers: Some(headers),
        delivery_mode: Some(2),
        priority: Some(7),
        correlation_id: text("c-1"),
        reply_to: text("replies"),
        expiration: text("600000"),
        message_id: text("m-1"),
        timestamp: Some(1_700_000_001),
        r#type: text("greeting"),
        user_id: text("guest"),
        app_id: text("app"),
        cluster_id: None,
    };
    let mut encoded = Vec::new();
    properties.encode(&mut encoded);
    let large: Vec<u8> = (0..3_000_000u32).map(|number| (number / 7) as u8).collect();
    let sent: [(&[u8], &[u8]); 3] = [(&encoded, b"\0\xff body"), (&[0, 0], b""), (&[0, 0], &large)];
    let consumer = consume(&channel, &name);
    for (properties, body) in sent {
        assert!(
            outcome(channel.publish(Publish { properties, ..publish(&name, body) }).unwrap()).unwrap().routed
        );
    }
    for (delivery, (properties, body)) in take(&consumer, 3).iter().zip(sent) {
        assert!(delivery.message.body() == body, "the body is another one");
        assert_eq!(
            Properties::decode(delivery.message.encoded_properties()).unwrap(),
            Properties::decode(properties).unwrap()
        );
        assert_eq!((delivery.message.exchange(), delivery.message.routing_key()), ("", &*name));
    }
}

fn a_prefetch_of_two_holds_the_third_message_back_until_an_ack(url: &str) {
    let (_connection, channel, name) = queue(url);
    run(channel.qos(2, false)).unwrap();
    let consumer = consume(&channel, &name);
    ["a", "b", "c"].iter().for_each(|body| assert!(send(&channel, &name, body).routed));
    let taken = take(&consumer, 2);
    assert_eq!(bodies(&taken), ["a", "b"]);
    nothing_comes(&consumer);
    channel.settle(&[(taken[0].tag, false)], Settle::Ack).unwrap();
    assert_eq!(bodies(&take(&consumer, 1)), ["c"]);
}

fn a_prefetch_for_the_whole_channel_counts_all_consumers(url: &str) {
    let (_connection, channel, name) = queue(url);
    run(channel.qos(2, true)).unwrap();
    let (first, second) = (consume(&channel, &name), consume(&channel, &name));
    ["a", "b", "c"].iter().for_each(|body| assert!(send(&channel, &name, body).routed));
    let (one, _two) = (take(&first, 1), take(&second, 1));
    nothing_comes(&first);
    nothing_comes(&second);
    channel.settle(&tags(&one), Settle::Ack).unwrap();
    let patience = Instant::now();
    while !first.wait(Some(Duration::from_millis(10))) && !second.wait(Some(Duration::from_millis(10))) {
        assert!(patience.elapsed() < Duration::from_secs(20), "the third does not come");
    }
}

fn what_a_closed_channel_had_not_acked_comes_again_and_marked(url: &str) {
    let (connection, publisher, name) = queue(url);
    ["a", "b", "c", "d"].iter().for_each(|body| assert!(send(&publisher, &name, body).routed));
    let channel = run(connection.channel()).unwrap();
    let consumer = consume(&channel, &name);
    let taken = take(&consumer, 4);
    channel.settle(&[(taken[1].tag, false)], Settle::Ack).unwrap();
    run(channel.close()).unwrap();
    assert_eq!(end(&consumer).kind(), Kind::Closed);

    let channel = run(connection.channel()).unwrap();
    let taken = take(&consume(&channel, &name), 3);
    assert_eq!(bodies(&taken), ["a", "c", "d"]);
    assert!(taken.iter().all(|delivery| delivery.redelivered));
}

fn what_is_recovered_comes_again_once(url: &str) {
    let (_connection, channel, name) = queue(url);
    let consumer = consume(&channel, &name);
    ["a", "b", "c"].iter().for_each(|body| assert!(send(&channel, &name, body).routed));
    assert_eq!(bodies(&take(&consumer, 1)), ["a"]);
    thread::sleep(Duration::from_millis(100)); // the others are in the mailbox
    run(channel.recover()).unwrap();
    let taken = take(&consumer, 3);
    assert_eq!(bodies(&taken), ["a", "b", "c"]);
    assert!(taken.iter().all(|delivery| delivery.redelivered));
    channel.settle(&tags(&taken), Settle::Ack).unwrap();
    run(channel.recover()).unwrap();
    nothing_comes(&consumer);
    assert!(channel.is_open());
}

fn two_consumers_on_one_channel_each_take_their_own(url: &str) {
    let (_connection, channel, left) = queue(url);
    let options = QueueOptions { exclusive: true, ..QueueOptions::default() };
    let right = run(channel.declare_queue("", false, options)).unwrap().name;
    let (lefts, rights) = (consume(&channel, &left), consume(&channel, &right));
    for (queue, body) in [(&*left, "l1"), (&*right, "r1"), (&*left, "l2")] {
        assert!(send(&channel, queue, body).routed);
    }
    let (right_taken, left_taken) = (take(&rights, 1), take(&lefts, 2));
    assert_eq!(
        (bodies(&right_taken), bodies(&left_taken)),
        (vec!["r1".into()], vec!["l1".into(), "l2".into()])
    );
    // One batch over the tags of both.
    channel.settle(&tags(&[left_taken, right_taken].concat()), Settle::Ack).unwrap();
    run(channel.qos(1, false)).unwrap();
    assert!(channel.is_open());
}

fn a_consumer_without_acks_gets_everything(url: &str) {
    let (_connection, channel, name) = queue(url);
    let options = ConsumeOptions { queue: &name, no_ack: true, tag: "mine", ..ConsumeOptions::default() };
    let consumer = run(channel.consume(&options)).unwrap();
    assert_eq!(consumer.tag(), "mine");
    let bodies: Vec<Vec<u8>> = (0..2000).map(|number: u32| number.to_be_bytes().to_vec()).collect();
    channel.publish_all(&mut bodies.iter().map(|body| publish(&name, body))).unwrap();
    let taken = take(&consumer, 2000);
    assert!(taken.iter().zip(&bodies).all(|(delivery, body)| delivery.message.body() == &body[..]));
    run(consumer.cancel()).unwrap();
    assert!(end(&consumer).to_string().contains("the consumer was cancelled"));
    assert!(channel.is_open());
}

fn a_dropped_consumer_puts_back_what_was_not_taken(url: &str) {
    let (_connection, channel, name) = queue(url);
    let consumer = consume(&channel, &name);
    ["a", "b", "c"].iter().for_each(|body| assert!(send(&channel, &name, body).routed));
    let taken = take(&consumer, 1);
    drop(consumer);
    let consumer = consume(&channel, &name);
    assert_eq!(bodies(&take(&consumer, 2)), ["b", "c"]);
    channel.settle(&tags(&taken), Settle::Ack).unwrap();
    nothing_comes(&consumer);
}

fn a_consumer_whose_queue_is_deleted_ends_with_an_error_that_says_so(url: &str) {
    let (_connection, channel, name) = queue(url);
    let consumer = consume(&channel, &name);
    send(&channel, &name, "last");
    assert!(consumer.wait(Some(Duration::from_secs(20))));
    run(channel.delete_queue(&name, false, false)).unwrap();
    assert_eq!(bodies(&take(&consumer, 1)), ["last"]);
    let error = end(&consumer);
    assert_eq!(error.kind(), Kind::Closed);
    assert!(error.to_string().contains("the queue was deleted"), "{error}");
    assert!(channel.is_open());
}

fn rejected_messages_are_gone_and_requeued_ones_come_again(url: &str) {
    let (_connection, channel, name) = queue(url);
    let consumer = consume(&channel, &name);
    ["a", "b", "c", "d"].iter().for_each(|body| assert!(send(&channel, &name, body).routed));
    let taken = take(&consumer, 4);
    channel.settle(&tags(&taken[..2]), Settle::Reject).unwrap();
    channel.settle(&tags(&taken[2..]), Settle::Requeue).unwrap();
    let again = take(&consumer, 2);
    assert_eq!(bodies(&again), ["c", "d"]);
    channel.settle(&[(again[1].tag, true)], Settle::Ack).unwrap();
    nothing_comes(&consumer);
}

fn one_message_is_fetched(url: &str) {
    let (_connection, channel, name) = queue(url);
    assert!(run(channel.get(&name, false)).unwrap().is_none());
    ["a", "b"].iter().for_each(|body| assert!(send(&channel, &name, body).routed));
    let got = run(channel.get(&name, false)).unwrap().unwrap();
    assert_eq!((got.message.body(), got.remaining, got.redelivered), (&b"a"[..], 1, false));
    channel.settle(&[(got.tag, false)], Settle::Requeue).unwrap();
    let got = run(channel.get(&name, true)).unwrap().unwrap();
    assert_eq!((got.message.body(), got.remaining, got.redelivered), (&b"a"[..], 1, true));
}

fn a_transaction_takes_effect_at_its_commit_or_not_at_all(url: &str) {
    let (connection, reader, name) = queue(url);
    let channel = run(connection.channel()).unwrap();
    run(channel.tx_select()).unwrap();
    send(&channel, &name, "dropped");
    run(channel.tx_rollback()).unwrap();
    let missing = unique("missing");
    for to in [&name, &missing, &name, &missing] {
        assert_eq!(send(&channel, to, "kept"), Outcome { confirmed: false, routed: true });
    }
    assert!(run(reader.get(&name, true)).unwrap().is_none());
    assert_eq!(run(channel.tx_commit()).unwrap(), [1, 3]);

    let consumer = consume(&channel, &name);
    let taken = take(&consumer, 2);
    assert_eq!(bodies(&taken), ["kept", "kept"]);
    channel.settle(&tags(&taken), Settle::Ack).unwrap();
    run(channel.tx_rollback()).unwrap();
    nothing_comes(&consumer);
    channel.settle(&tags(&taken)[..1], Settle::Ack).unwrap();
    assert!(run(channel.tx_commit()).unwrap().is_empty());
    run(channel.close()).unwrap();
    // The second one came back when its channel closed.
    let got = run(reader.get(&name, true)).unwrap().unwrap();
    assert_eq!((got.redelivered, got.remaining), (true, 0));
    let refused = run(reader.tx_commit()).unwrap_err();
    assert_eq!(refused.reply_text(), "PRECONDITION_FAILED - channel is not transactional");
}

fn bindings_lead_through_exchanges(url: &str) {
    let (_connection, channel, name) = queue(url);
    let (from, to) = (unique("from"), unique("to"));
    let options =
        || ExchangeOptions { auto_delete: true, ..ExchangeOptions::new(warrenmq::routing::Kind::Topic) };
    run(channel.declare_exchange(&from, "topic", false, options())).unwrap();
    run(channel.declare_exchange(&to, "topic", false, options())).unwrap();
    run(channel.declare_exchange(&to, "topic", true, options())).unwrap();
    let binding = |source, destination, routing_key| Binding {
        source,
        destination,
        routing_key,
        arguments: const { &Table(Vec::new()) },
    };
    run(channel.bind_exchange(binding(&from, &to, "a.#"))).unwrap();
    run(channel.bind_queue(binding(&to, &name, "*.b"))).unwrap();
    let routed = |key| {
        let publish = Publish { exchange: &from, ..publish(key, b"x") };
        outcome(channel.publish(publish).unwrap()).unwrap().routed
    };
    assert_eq!([routed("a.b"), routed("a.c"), routed("c.b")], [true, false, false]);
    run(channel.bind_queue(binding(&from, &name, "c.b"))).unwrap();
    run(channel.unbind_exchange(binding(&from, &to, "a.#"))).unwrap();
    assert_eq!([routed("a.b"), routed("c.b")], [false, true]);
    run(channel.unbind_queue(binding(&to, &name, "*.b"))).unwrap();
    run(channel.delete_exchange(&from, false)).unwrap();
}

fn purging_and_deleting_tell_how_many_messages_there_were(url: &str) {
    let (_connection, channel, name) = queue(url);
    ["a", "b"].iter().for_each(|body| assert!(send(&channel, &name, body).routed));
    let info = run(channel.declare_queue(&name, true, QueueOptions::default())).unwrap();
    assert_eq!((info.messages, info.consumers), (2, 0));
    assert_eq!(run(channel.purge_queue(&name)).unwrap(), 2);
    send(&channel, &name, "c");
    assert_eq!(run(channel.delete_queue(&name, false, false)).unwrap(), 1);
}

fn an_error_closes_its_channel_and_says_why_from_then_on(url: &str) {
    let (connection, other, name) = queue(url);
    let missing = unique("missing");
    let channel = run(connection.channel()).unwrap();
    let error = run(channel.declare_queue(&missing, true, QueueOptions::default())).unwrap_err();
    let text = format!("NOT_FOUND - no queue '{missing}' in vhost '/'");
    assert_eq!(error.reply_text(), text);
    assert_eq!((error.kind(), error.operation()), (Kind::NotFound, "queue.declare"));
    assert!(!channel.is_open());
    let later = run(channel.purge_queue(&name)).unwrap_err();
    assert_eq!(later.kind(), Kind::Closed);
    assert!(later.to_string().contains(&text), "{later}");
    assert!(std::error::Error::source(&later).is_some());
    assert_eq!(channel.publish(publish(&name, b"x")).unwrap_err().kind(), Kind::Closed);
    assert_eq!(channel.settle(&[(1, false)], Settle::Ack).unwrap_err().kind(), Kind::Closed);
    run(channel.close()).unwrap();

    assert!(other.is_open() && connection.is_open());
    let name = unique("transient");
    run(other.declare_queue(&name, false, QueueOptions::default())).unwrap();
    let durable = QueueOptions { durable: true, ..QueueOptions::default() };
    let error = run(other.declare_queue(&name, false, durable)).unwrap_err();
    run(run(connection.channel()).unwrap().delete_queue(&name, false, false)).unwrap();
    let text = format!(
        "PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{name}' in vhost '/': \
         received 'true' but current is 'false'"
    );
    assert_eq!(error.reply_text(), text);
}

fn names_that_begin_with_amq_are_reserved(url: &str) {
    let (_connection, channel, _name) = queue(url);
    let error = run(channel.declare_queue("amq.mine", false, QueueOptions::default())).unwrap_err();
    assert_eq!(error.reply_text(), "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'");
}

fn publishing_to_an_unknown_exchange_is_an_error_of_the_publish(url: &str) {
    let (_connection, channel, name) = queue(url);
    let missing = unique("missing");
    let publishing = channel.publish(Publish { exchange: &missing, ..publish("key", b"x") }).unwrap();
    let error = outcome(publishing).unwrap_err();
    assert_eq!(error.reply_text(), format!("NOT_FOUND - no exchange '{missing}' in vhost '/'"));
    assert!(error.to_string().contains(&format!("exchange '{missing}' with routing key 'key'")), "{error}");
    assert!(!channel.is_open());
    let _ = name;
}

fn acking_twice_is_an_error_that_the_consumer_hears_of(url: &str) {
    let (_connection, channel, name) = queue(url);
    let consumer = consume(&channel, &name);
    send(&channel, &name, "a");
    let tags = tags(&take(&consumer, 1));
    channel.settle(&tags, Settle::Ack).unwrap();
    channel.settle(&tags, Settle::Ack).unwrap();
    let error = end(&consumer);
    assert!(error.to_string().contains("PRECONDITION_FAILED - unknown delivery tag 1"), "{error}");
    let error = run(channel.purge_queue(&name)).unwrap_err();
    assert!(error.to_string().contains("PRECONDITION_FAILED - unknown delivery tag 1"), "{error}");

    // Without a consumer the reason comes by the connection's events only.
    let (_connection, channel, name) = queue(url);
    channel.settle(&[(7, false)], Settle::Ack).unwrap();
    let error = run(channel.purge_queue(&name)).and_then(|_| run(channel.purge_queue(&name))).unwrap_err();
    assert!(error.to_string().contains("PRECONDITION_FAILED - unknown delivery tag 7"), "{error}");
}

fn unawaited_publishes_are_bounded(url: &str) {
    let options = ConnectOptions { max_in_flight: 10, ..ConnectOptions::default() };
    let connection = run(Connection::open(url, &options)).unwrap();
    let channel = run(connection.channel()).unwrap();
    let name = unique("missing");
    let mut pending = Vec::new();
    let refused = loop {
        match channel.publish(publish(&name, b"x")) {
            Ok(publishing) => pending.push(publishing),
            Err(error) => break error,
        }
        assert!(pending.len() < 1_000_000, "never refused");
    };
    assert_eq!(refused.kind(), Kind::Backpressure);
    assert!(pending.len() >= 10);
    pending.into_iter().for_each(|publishing| assert!(outcome(publishing).unwrap().confirmed));
    assert!(outcome(channel.publish(publish(&name, b"x")).unwrap()).unwrap().confirmed);
}

fn closing_waits_for_what_was_published(url: &str) {
    let connection = open(url);
    let channel = run(connection.channel()).unwrap();
    let name = unique("flush");
    run(channel.declare_queue(&name, false, QueueOptions::default())).unwrap();
    for _ in 0..2000 {
        channel.publish(publish(&name, b"x")).unwrap();
    }
    run(connection.close()).unwrap();

    let connection = open(url);
    let channel = run(connection.channel()).unwrap();
    for _ in 0..1000 {
        channel.publish(publish(&name, b"y")).unwrap();
    }
    drop((channel, connection));

    let connection = open(url);
    let channel = run(connection.channel()).unwrap();
    let patience = Instant::now();
    while run(channel.declare_queue(&name, true, QueueOptions::default())).unwrap().messages < 3000 {
        assert!(patience.elapsed() < Duration::from_secs(20), "messages are missing");
    }
    assert_eq!(run(channel.delete_queue(&name, false, false)).unwrap(), 3000);
}

fn the_end_of_the_connection_is_told_once_to_everybody(url: &str) {
    let (_, broker) = url.rsplit_once('/').unwrap();
    let proxy = Proxy::before(broker.rsplit_once('@').map_or(broker, |(_, broker)| broker));
    let (connection, channel, name) = queue(&format!("amqp://127.0.0.1:{}", proxy.port));
    let consumer = consume(&channel, &name);
    send(&channel, &name, "last");
    assert!(consumer.wait(Some(Duration::from_secs(20))));
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = events.clone();
    connection.on_event(Arc::new(move |event| heard.lock().unwrap().push(event)));
    proxy.cut();
    assert_eq!(bodies(&take(&consumer, 1)), ["last"]);
    let error = end(&consumer);
    assert_eq!(error.kind(), Kind::Closed);
    assert!(error.to_string().contains("the connection was lost"), "{error}");
    assert!(!connection.is_open() && !channel.is_open());
    for error in [
        run(channel.purge_queue(&name)).unwrap_err(),
        channel.publish(publish(&name, b"x")).unwrap_err(),
        run(connection.channel()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Closed);
        assert!(error.to_string().contains("the connection was lost"), "{error}");
    }
    let closing = Instant::now();
    run(channel.close()).unwrap();
    run(connection.close()).unwrap();
    assert!(closing.elapsed() < Duration::from_secs(2), "closing hangs");
    let events = events.lock().unwrap().clone();
    assert!(matches!(&events[..], [ConnectionEvent::Closed(Some(_))]), "{events:?}");
}

fn a_broker_without_a_sign_of_life_is_given_up(url: &str) {
    let (_, broker) = url.rsplit_once('/').unwrap();
    let proxy = Proxy::before(broker.rsplit_once('@').map_or(broker, |(_, broker)| broker));
    let (_connection, channel, name) = queue(&format!("amqp://127.0.0.1:{}?heartbeat=1", proxy.port));
    let consumer = consume(&channel, &name);
    // As long as it lives, heartbeats hold the connection.
    assert!(!consumer.wait(Some(Duration::from_secs(4))));
    proxy.freeze();
    let error = end(&consumer);
    assert!(error.to_string().contains("no sign of life for 2 s"), "{error}");
}

fn a_wrong_password_is_refused_and_not_shown(url: &str) {
    let (_, broker) = url.rsplit_once('/').unwrap();
    let broker = broker.rsplit_once('@').map_or(broker, |(_, broker)| broker);
    let url = format!("amqp://guest:sesame@{broker}");
    let error = run(Connection::open(&url, &ConnectOptions::default())).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), Kind::AccessRefused, "{text}");
    assert!(text.contains(broker) && text.contains("check the password of user 'guest'"), "{text}");
    assert!(!format!("{error:?}").contains("sesame"), "{error:?}");
}

fn an_unknown_virtual_host_is_refused(url: &str) {
    let url = format!("{url}/nowhere");
    let error = run(Connection::open(&url, &ConnectOptions::default())).unwrap_err();
    assert_eq!(error.reply_text(), "NOT_ALLOWED - vhost nowhere not found");
    assert!(error.to_string().contains("check that virtual host 'nowhere' is there"), "{error}");
}

fn who_cannot_be_reached_is_named(url: &str) {
    let _ = url;
    let fails = |url: &str| run(Connection::open(url, &ConnectOptions::default())).unwrap_err();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = fails(&format!("amqp://{closed}"));
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.to_string().contains(&format!("'{closed}'")), "{error}");
    assert!(error.to_string().contains("that the broker runs"), "{error}");
    assert_eq!(fails("amqp://no.such.host.invalid").kind(), Kind::Unreachable);

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = fails(&format!("amqp://{}?connection_timeout=200", silent.local_addr().unwrap()));
    assert_eq!(error.kind(), Kind::Timeout, "{error}");

    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = web.local_addr().unwrap();
    thread::spawn(move || {
        for _ in 0..2 {
            let (mut socket, _) = web.accept().unwrap();
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        }
    });
    let error = fails(&format!("amqp://{address}"));
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
    let error = fails(&format!("amqps://{address}"));
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
    assert!(error.to_string().contains("TLS port"), "{error}");
}

fn names_that_are_too_long_are_refused_before_they_are_sent(url: &str) {
    let (_connection, channel, _name) = queue(url);
    let long = "x".repeat(256);
    let error = run(channel.declare_queue(&long, false, QueueOptions::default())).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument);
    assert_eq!(channel.publish(publish(&long, b"x")).unwrap_err().kind(), Kind::InvalidArgument);
    assert!(channel.is_open());
    assert_eq!(run(_connection.listen("127.0.0.1:0")).unwrap_err().kind(), Kind::Unsupported);
}

fn a_full_queue_refuses_messages(rabbit: &RabbitMq) {
    let connection = open(&rabbit.url());
    let channel = run(connection.channel()).unwrap();
    let arguments = Table(vec![
        ("x-max-length".into(), Value::I32(1)),
        ("x-overflow".into(), Value::LongString("reject-publish".into())),
    ]);
    let options = QueueOptions { exclusive: true, arguments, ..QueueOptions::default() };
    let name = run(channel.declare_queue("", false, options)).unwrap().name;
    assert!(send(&channel, &name, "fits").routed);
    let error = outcome(channel.publish(publish(&name, b"does not")).unwrap()).unwrap_err();
    assert_eq!(error.kind(), Kind::Nacked);
    assert!(error.to_string().contains(&format!("queue '{name}'")), "{error}");
    let mut batch = (0..3).map(|_| publish(&name, b"x"));
    let BatchPublishing::Pending(answer) = channel.publish_all(&mut batch).unwrap() else {
        panic!("not done yet")
    };
    let error = run(answer).unwrap_err();
    assert_eq!(error.kind(), Kind::Nacked);
    assert!(error.to_string().contains("message 0 of the batch, and 2 more"), "{error}");
    assert!(channel.is_open());
}

fn a_blocked_connection_is_told_and_goes_on(rabbit: &RabbitMq) {
    let (connection, channel, name) = queue(&rabbit.url());
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = events.clone();
    connection.on_event(Arc::new(move |event| heard.lock().unwrap().push(event)));
    rabbit.control(&["set_vm_memory_high_watermark", "0.000001"]);
    let publishing = channel.publish(publish(&name, b"waits")).unwrap();
    let wait_for = |count: usize| {
        let patience = Instant::now();
        while events.lock().unwrap().len() < count {
            assert!(patience.elapsed() < Duration::from_secs(20), "no event {count}");
            thread::sleep(Duration::from_millis(10));
        }
    };
    wait_for(1);
    rabbit.control(&["set_vm_memory_high_watermark", "0.4"]);
    wait_for(2);
    assert!(outcome(publishing).unwrap().routed);
    let events = events.lock().unwrap();
    assert!(
        matches!(&events[..], [ConnectionEvent::Blocked(reason), ConnectionEvent::Unblocked] if reason.contains("memory")),
        "{events:?}"
    );
}

fn tls_needs_a_certificate_that_is_trusted(rabbit: &RabbitMq) {
    let Some((port, certificate)) = &rabbit.tls else {
        eprintln!("  skipped: no openssl installed");
        return;
    };
    let url = format!("amqps://localhost:{port}");
    let error = run(Connection::open(&url, &ConnectOptions::default())).unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.to_string().contains("certificate"), "{error}");
    let (_connection, channel, name) = queue(&format!("{url}?cacertfile={}", certificate.display()));
    assert!(send(&channel, &name, "secret").routed);
    assert_eq!(bodies(&take(&consume(&channel, &name), 1)), ["secret"]);
    let url = format!("{url}?cacertfile=/no/such/file");
    let error = run(Connection::open(&url, &ConnectOptions::default())).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
}
