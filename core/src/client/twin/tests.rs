//! A module that borrows from itself: everything goes through the table, both ways.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::broker::Alarm;
use crate::client::driver::{Answer, ChannelDriver, ConsumerDriver};
use crate::client::process;
use crate::client::tests::{at_once, bodies, send};
use crate::client::{
    BatchPublishing, Binding, Channel, Connection, ConnectionEvent, ConsumeOptions, Consumer, Delivery,
    ExchangeOptions, Get, Publish, Publishing, QueueInfo, QueueOptions, Settle, runtime,
};
use crate::error::Kind;
use crate::message::{Body, INLINE_BODY};
use crate::routing;
use crate::wire::{Table as Arguments, Value};

async fn adopt(transport: &'static str, url: &str) -> Result<Connection> {
    let adopted = Adopted::open(&lent::TABLE, transport, url, &ConnectOptions::default()).await?;
    Ok(Connection(Arc::new(adopted)))
}

fn open(url: &str) -> Connection {
    at_once(adopt("inproc", url)).expect("connects")
}

/// A channel with the queue `q`.
fn channel_of(connection: &Connection) -> Channel {
    let channel = at_once(connection.channel()).unwrap();
    at_once(channel.declare_queue("q", false, QueueOptions::default())).unwrap();
    channel
}

fn consume(channel: &Channel, queue: &str) -> Consumer {
    at_once(channel.consume(&ConsumeOptions { queue, ..ConsumeOptions::default() })).unwrap()
}

fn publish<'a>(body: Body<'a>, properties: &'a [u8]) -> Publish<'a> {
    Publish { exchange: "", routing_key: "q", mandatory: false, properties, body }
}

#[test]
fn both_sides_of_the_table_use_one_broker() {
    let owner = at_once(Connection::open("inproc://both", &ConnectOptions::default())).unwrap();
    let own = channel_of(&owner);
    let connection = open("inproc://both");
    assert_eq!((connection.transport(), connection.is_open()), ("inproc", true));
    let channel = at_once(connection.channel()).unwrap();
    let info = at_once(channel.declare_queue("q", true, QueueOptions::default())).unwrap();
    assert_eq!((&*info.name, info.messages, info.consumers), ("q", 0, 0));

    assert!(send(&channel, "q", "there").routed && send(&own, "q", "here").routed);
    assert!(!send(&channel, "nobody", "lost").routed);
    let consumer = consume(&channel, "q");
    let mut taken = Vec::new();
    consumer.take(10, &mut taken).unwrap();
    assert_eq!(bodies(&taken), ["there", "here"]);
    channel.settle(&[(taken[0].tag, false)], Settle::Ack).unwrap();
    channel.settle(&[(taken[1].tag, false)], Settle::Requeue).unwrap();
    taken.clear();
    consumer.take(10, &mut taken).unwrap();
    assert_eq!((bodies(&taken), taken[0].redelivered), (vec!["here".into()], true));

    drop((consumer, channel, connection));
    let left = at_once(own.declare_queue("q", true, QueueOptions::default())).unwrap();
    assert_eq!((left.messages, left.consumers), (1, 0), "what nobody holds any more is closed");
}

#[test]
fn a_long_body_is_never_copied_and_a_message_arrives_whole() {
    let connection = open("inproc://bodies");
    let channel = channel_of(&connection);
    let long = Bytes::from(vec![7; INLINE_BODY + 1]);
    let properties = [0x80, 0, 1, b'x']; // the content type
    let published = channel.publish(publish(Body::Owned(long.clone()), &properties)).unwrap();
    assert!(matches!(published, Publishing::Done(outcome) if outcome.confirmed && outcome.routed));
    let consumer = consume(&channel, "q");
    let mut taken = Vec::new();
    consumer.take(10, &mut taken).unwrap();
    at_once(consumer.cancel()).unwrap();
    channel.settle(&[(taken[0].tag, false)], Settle::Requeue).unwrap();
    let fetched = at_once(channel.get("q", false)).unwrap().unwrap();
    assert_eq!((fetched.redelivered, fetched.remaining), (true, 0));
    for message in [&taken[0].message, &fetched.message] {
        assert_eq!(message.long_body().unwrap().as_ptr(), long.as_ptr());
        assert_eq!(message.properties().content_type(), Some("x"));
        assert_eq!((message.exchange(), message.routing_key()), ("", "q"));
    }
    assert!(!long.is_unique());
    channel.settle(&[(fetched.tag, false)], Settle::Ack).unwrap();
    drop((taken, fetched, consumer, channel, connection));
    assert!(long.is_unique(), "released with its last holder");
}

#[test]
fn a_batch_tells_which_of_its_messages_no_queue_took() {
    let connection = open("inproc://batch");
    let channel = channel_of(&connection);
    let keys = ["q", "nobody", "q", "nobody"];
    let mut batch =
        keys.iter().map(|routing_key| Publish { routing_key, ..publish(Body::Slice(b"x"), &[0, 0]) });
    let BatchPublishing::Done(outcome) = channel.publish_all(&mut batch).unwrap() else { panic!("it waits") };
    assert_eq!((outcome.confirmed, outcome.unrouted), (4, vec![1, 3]));

    at_once(channel.tx_select()).unwrap();
    assert!(!send(&channel, "nobody", "x").confirmed && !send(&channel, "q", "x").confirmed);
    assert_eq!(at_once(channel.tx_commit()).unwrap(), [0]);
    send(&channel, "q", "x");
    at_once(channel.tx_rollback()).unwrap();
    assert_eq!(at_once(channel.purge_queue("q")).unwrap(), 3);
}

#[test]
fn exchanges_arguments_and_bindings_cross() {
    let connection = open("inproc://topology");
    let channel = channel_of(&connection);
    let options = || ExchangeOptions::new(routing::Kind::Direct);
    at_once(channel.declare_exchange("x", "headers", false, options())).unwrap();
    at_once(channel.declare_exchange("before", "fanout", false, options())).unwrap();
    let arguments =
        Arguments(vec![("n".into(), Value::I64(1)), ("x-match".into(), Value::LongString("any".into()))]);
    let to = |source, destination| Binding { source, destination, routing_key: "", arguments: &arguments };
    at_once(channel.bind_queue(to("x", "q"))).unwrap();
    at_once(channel.bind_exchange(to("before", "x"))).unwrap();
    let routed = |exchange, n| {
        let headers = Arguments(vec![("n".into(), Value::I64(n))]);
        let mut properties = Vec::new();
        let fields = crate::wire::Properties { headers: Some(headers), ..Default::default() };
        fields.encode(&mut properties);
        let publish = Publish { exchange, ..publish(Body::Slice(b"x"), &properties) };
        matches!(channel.publish(publish).unwrap(), Publishing::Done(outcome) if outcome.routed)
    };
    assert!(routed("x", 1) && routed("before", 1) && !routed("x", 2));
    at_once(channel.unbind_exchange(to("before", "x"))).unwrap();
    assert!(!routed("before", 1));
    at_once(channel.unbind_queue(to("x", "q"))).unwrap();
    assert!(!routed("x", 1));
    at_once(channel.delete_exchange("x", true)).unwrap();
    assert_eq!(at_once(channel.delete_queue("q", true, false)).unwrap(), 2);
}

#[test]
fn errors_are_those_that_the_owner_of_the_broker_gets() {
    let options = ConnectOptions::default();
    let (owner, borrower) =
        (at_once(Connection::open("inproc://errors", &options)).unwrap(), open("inproc://errors"));
    let (direct, adopted) = (channel_of(&owner), channel_of(&borrower));
    let missing = |channel: &Channel| {
        let errors = [
            at_once(channel.get("missing", true)).unwrap_err(),
            at_once(channel.declare_exchange("x", "odd", false, ExchangeOptions::new(routing::Kind::Direct)))
                .unwrap_err(),
            channel.settle(&[(99, false)], Settle::Ack).unwrap_err(),
            channel.publish(Publish { exchange: "none", ..publish(Body::Slice(b""), &[0, 0]) }).unwrap_err(),
        ];
        assert_eq!(errors[0].reply_text(), "NOT_FOUND - no queue 'missing' in vhost '/'");
        errors.map(|error| format!("{error:?}"))
    };
    assert_eq!(missing(&adopted), missing(&direct));
    at_once(adopted.close()).unwrap();
    let error = at_once(adopted.qos(1, false)).unwrap_err();
    assert_eq!((error.kind(), adopted.is_open()), (Kind::Closed, false));
}

#[test]
fn a_consumer_waits_is_rung_for_and_ends_with_the_reason() {
    let connection = open("inproc://ready");
    let channel = channel_of(&connection);
    let consumer = consume(&channel, "q");
    assert!(!consumer.wait(Some(Duration::ZERO)));
    let (tell, told) = mpsc::channel();
    consumer.on_ready(Arc::new(move || tell.send(()).unwrap_or_default()));
    let sender = at_once(connection.channel()).unwrap();
    let sending = std::thread::spawn(move || send(&sender, "q", "x"));
    assert!(consumer.wait(None));
    sending.join().unwrap();
    assert!(told.recv().is_ok());
    let mut taken = Vec::new();
    consumer.take(10, &mut taken).unwrap();
    at_once(channel.delete_queue("q", false, false)).unwrap();
    assert!(consumer.wait(Some(Duration::from_secs(10))));
    let error = consumer.take(10, &mut taken).unwrap_err();
    assert!(error.to_string().contains("the queue was deleted"), "{error}");
    assert_eq!(taken.len(), 1);
}

#[test]
fn a_publish_that_waits_is_pending_until_there_is_memory_and_events_tell_why() {
    let connection = open("inproc://blocked here");
    let channel = channel_of(&connection);
    let (tell, told) = mpsc::channel();
    connection.on_event(Arc::new(move |event| drop(tell.send(event))));
    let broker = process::broker("blocked here");
    broker.set_alarm(Alarm::Disk, true);
    let body = Bytes::from(vec![0; 1 << 20]); // the broker looks at its state now and then
    let Publishing::Pending(given_up) = channel.publish(publish(Body::Owned(body.clone()), &[0, 0])).unwrap()
    else {
        panic!("it does not wait")
    };
    let Publishing::Pending(answer) = channel.publish(publish(Body::Owned(body), &[0, 0])).unwrap() else {
        panic!("it does not wait")
    };
    drop(given_up);
    assert!(matches!(told.recv(), Ok(ConnectionEvent::Blocked(why)) if why == "low on disk"));
    broker.set_alarm(Alarm::Disk, false);
    assert!(runtime().unwrap().block_on(answer).unwrap().confirmed);
    assert!(matches!(told.recv(), Ok(ConnectionEvent::Unblocked)));
    broker.delete_vhost("/").unwrap();
    assert!(
        matches!(told.recv(), Ok(ConnectionEvent::Closed(Some(why))) if why.reply_text().ends_with("is deleted"))
    );
    assert!(!connection.is_open() && !channel.is_open());
}

#[test]
fn a_directory_that_the_other_module_hosts_is_used_by_the_table_too() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("local:{}", folder.path().join("data").display());
    runtime().unwrap().block_on(async {
        let host = Connection::open(&url, &ConnectOptions::default()).await.unwrap();
        let connection = adopt("local", &url).await.unwrap();
        assert_eq!(connection.transport(), "local");
        let channel = connection.channel().await.unwrap();
        let durable = QueueOptions { durable: true, ..QueueOptions::default() };
        channel.declare_queue("q", false, durable).await.unwrap();
        let persistent = [0x10, 0, 2];
        match channel.publish(publish(Body::Slice(b"kept"), &persistent)).unwrap() {
            Publishing::Pending(answer) => assert!(answer.await.unwrap().confirmed),
            Publishing::Done(_) => panic!("it cannot be on the disk yet"),
        }
        host.close().await.unwrap();
        let got = channel.get("q", true).await.unwrap().unwrap();
        assert_eq!(got.message.body(), b"kept", "the directory stays open while anybody uses it");
        connection.close().await.unwrap();
        let error = adopt("local", "local:/dev/null/x").await.unwrap_err();
        assert_eq!(
            error.operation(),
            Connection::open("local:/dev/null/x", &ConnectOptions::default()).await.unwrap_err().operation()
        );
    });
}

#[test]
fn a_connection_of_the_other_module_lets_amqp_clients_in() {
    runtime().unwrap().block_on(async {
        let options = ConnectOptions { listen: vec!["127.0.0.1:0".into()], ..ConnectOptions::default() };
        let adopted = Adopted::open(&lent::TABLE, "inproc", "inproc://listens", &options).await.unwrap();
        let connection = Connection(Arc::new(adopted));
        let first = connection.listening();
        let second = connection.listen("127.0.0.1:0").await.unwrap();
        assert_eq!(connection.listening(), [first.clone(), vec![second]].concat());
        let client =
            Connection::open(&format!("amqp://{}", first[0]), &ConnectOptions::default()).await.unwrap();
        client.close().await.unwrap();
        connection.close().await.unwrap();
        assert!(connection.listening().is_empty());
        let error = connection.listen("nowhere").await.unwrap_err();
        assert_eq!(error.operation(), "listen");
    });
}

#[test]
fn many_threads_use_one_channel_of_the_other_module() {
    let connection = open("inproc://threads");
    let channel = channel_of(&connection);
    let consumer = consume(&channel, "q");
    let received = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..2000).for_each(|_| assert!(send(&channel, "q", "x").routed)));
        }
        let take = || {
            let mut taken = Vec::<Delivery>::new();
            while received.load(SeqCst) < 8000 {
                consumer.wait(Some(Duration::from_millis(10)));
                consumer.take(100, &mut taken).unwrap();
                let tags: Vec<_> = taken.drain(..).map(|delivery| (delivery.tag, false)).collect();
                channel.settle(&tags, Settle::Ack).unwrap();
                received.fetch_add(tags.len(), SeqCst);
            }
        };
        scope.spawn(take);
        scope.spawn(take);
    });
    assert_eq!(received.into_inner(), 8000);
    assert_eq!(at_once(channel.declare_queue("q", true, QueueOptions::default())).unwrap().messages, 0);
}

/// A channel that goes on with another host, which has given the deliveries up to the tag 10 again.
#[derive(Debug)]
struct Restored;

macro_rules! never_called {
    ($($name:ident($($argument:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $(_: $argument),*) -> $answer { unreachable!() })*
    };
}

impl ChannelDriver for Restored {
    fn broker_tag(&self, tag: u64) -> Option<u64> {
        tag.checked_sub(10).filter(|tag| *tag > 0)
    }

    never_called! {
        is_open() -> bool;
        declare_queue(&str, bool, QueueOptions) -> Answer<QueueInfo>;
        delete_queue(&str, bool, bool) -> Answer<u64>;
        purge_queue(&str) -> Answer<u64>;
        declare_exchange(&str, &str, bool, ExchangeOptions) -> Answer<()>;
        delete_exchange(&str, bool) -> Answer<()>;
        bind_queue(Binding<'_>) -> Answer<()>;
        unbind_queue(Binding<'_>) -> Answer<()>;
        bind_exchange(Binding<'_>) -> Answer<()>;
        unbind_exchange(Binding<'_>) -> Answer<()>;
        qos(u16, bool) -> Answer<()>;
        publish(Publish<'_>) -> Result<Publishing>;
        publish_all(&mut dyn Iterator<Item = Publish<'_>>) -> Result<BatchPublishing>;
        consume(&ConsumeOptions<'_>) -> Answer<Arc<dyn ConsumerDriver>>;
        get(&str, bool) -> Answer<Option<Get>>;
        settle(&[(u64, bool)], Settle) -> Result<()>;
        recover() -> Answer<()>;
        tx_select() -> Answer<()>;
        tx_commit() -> Answer<Vec<usize>>;
        tx_rollback() -> Answer<()>;
        close() -> Answer<()>;
    }
}

#[test]
fn a_delivery_is_known_by_the_tag_that_the_broker_of_the_other_module_knows() {
    let channel =
        adopted::channel(&lent::TABLE, lent::Thing::Channel(Arc::new(Restored), lent::Place::Elsewhere));
    assert_eq!([9, 10, 11].map(|tag| channel.broker_tag(tag)), [None, None, Some(1)]);
}
