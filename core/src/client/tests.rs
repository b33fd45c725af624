use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use crate::broker::Alarm;
use crate::message::Body;

/// For `inproc:` every answer is there at once.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the answer was not there at once"),
    }
}

fn open(url: &str) -> Connection {
    at_once(Connection::open(url, &ConnectOptions::default())).expect("connects")
}

pub(super) fn send(channel: &Channel, queue: &str, body: &str) -> Outcome {
    let publish = Publish {
        exchange: "",
        routing_key: queue,
        mandatory: false,
        properties: &[0, 0],
        body: Body::Slice(body.as_bytes()),
    };
    match channel.publish(publish).expect("publishes") {
        Publishing::Done(outcome) => outcome,
        Publishing::Pending(_) => panic!("memory is short"),
    }
}

pub(super) fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|d| String::from_utf8_lossy(d.message.body()).into_owned()).collect()
}

#[test]
fn what_one_connection_sends_another_of_the_same_name_receives() {
    let producer = open("inproc://names");
    let channel = at_once(producer.channel()).unwrap();
    at_once(channel.declare_queue("hello", false, QueueOptions::default())).unwrap();
    assert_eq!(send(&channel, "hello", "one"), Outcome { confirmed: true, routed: true });
    assert_eq!(send(&channel, "nobody", "lost"), Outcome { confirmed: true, routed: false });
    at_once(producer.close()).unwrap();

    let other = open("inproc://other");
    let elsewhere = at_once(other.channel()).unwrap();
    let missing = at_once(elsewhere.declare_queue("hello", true, QueueOptions::default())).unwrap_err();
    assert_eq!(missing.reply_text(), "NOT_FOUND - no queue 'hello' in vhost '/'");

    let consumer = open("inproc://names");
    let got = at_once(at_once(consumer.channel()).unwrap().get("hello", true)).unwrap();
    assert_eq!(got.map(|got| got.message.body().to_vec()), Some(b"one".to_vec()));
}

#[test]
fn a_transaction_takes_effect_at_its_commit_and_says_what_no_queue_took() {
    let connection = open("inproc://");
    let channel = at_once(connection.channel()).unwrap();
    at_once(channel.declare_queue("tasks", false, QueueOptions::default())).unwrap();
    at_once(channel.tx_select()).unwrap();
    send(&channel, "tasks", "dropped");
    at_once(channel.tx_rollback()).unwrap();
    for queue in ["tasks", "nowhere", "tasks"] {
        assert_eq!(send(&channel, queue, "kept"), Outcome { confirmed: false, routed: true });
    }
    assert!(at_once(channel.get("tasks", true)).unwrap().is_none());
    assert_eq!(at_once(channel.tx_commit()).unwrap(), [1]);
    let got = at_once(channel.get("tasks", true)).unwrap().unwrap();
    assert_eq!((got.message.body(), got.remaining), (&b"kept"[..], 1));
}

#[test]
fn a_publisher_that_waits_is_told_so_and_when_it_goes_on() {
    let connection = open("inproc://alarm");
    let channel = at_once(connection.channel()).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    connection.on_event(Arc::new(move |event| drop(tell.send(event))));
    let broker = process::broker("alarm");
    broker.set_alarm(Alarm::Disk, true);
    // The broker's state is looked at only now and then.
    let body = vec![0; 1 << 20];
    let publish = Publish {
        exchange: "",
        routing_key: "q",
        mandatory: false,
        properties: &[0, 0],
        body: Body::Slice(&body),
    };
    let Publishing::Pending(answer) = channel.publish(publish).unwrap() else { panic!("it does not wait") };
    assert!(matches!(told.recv(), Ok(ConnectionEvent::Blocked(why)) if why == "low on disk"));
    broker.set_alarm(Alarm::Disk, false);
    assert!(runtime().unwrap().block_on(answer).unwrap().confirmed);
    assert!(matches!(told.recv(), Ok(ConnectionEvent::Unblocked)));
}

#[test]
fn a_prefetch_of_two_holds_the_third_message_back_until_an_ack() {
    let connection = open("inproc://");
    let channel = at_once(connection.channel()).unwrap();
    at_once(channel.declare_queue("q", false, QueueOptions::default())).unwrap();
    at_once(channel.qos(2, false)).unwrap();
    let consumer =
        at_once(channel.consume(&ConsumeOptions { queue: "q", ..ConsumeOptions::default() })).unwrap();
    for body in ["a", "b", "c"] {
        send(&channel, "q", body);
    }
    let mut taken = Vec::new();
    consumer.take(10, &mut taken).unwrap();
    assert_eq!(bodies(&taken), ["a", "b"]);
    channel.settle(&[(taken[0].tag, false)], Settle::Ack).unwrap();
    assert!(consumer.wait(Some(Duration::from_secs(10))));
    consumer.take(10, &mut taken).unwrap();
    assert_eq!(bodies(&taken), ["a", "b", "c"]);
}

#[test]
fn what_a_closed_channel_had_not_acked_comes_again_in_its_old_place_and_marked() {
    let connection = open("inproc://");
    let publisher = at_once(connection.channel()).unwrap();
    at_once(publisher.declare_queue("q", false, QueueOptions::default())).unwrap();
    for body in ["a", "b", "c", "d"] {
        send(&publisher, "q", body);
    }
    let first = at_once(connection.channel()).unwrap();
    at_once(first.qos(3, false)).unwrap();
    let consumer =
        at_once(first.consume(&ConsumeOptions { queue: "q", ..ConsumeOptions::default() })).unwrap();
    let mut taken = Vec::new();
    consumer.take(10, &mut taken).unwrap();
    first.settle(&[(taken[1].tag, false)], Settle::Ack).unwrap();
    at_once(first.close()).unwrap();

    let second = at_once(connection.channel()).unwrap();
    let consumer =
        at_once(second.consume(&ConsumeOptions { queue: "q", ..ConsumeOptions::default() })).unwrap();
    let mut taken = Vec::new();
    consumer.take(10, &mut taken).unwrap();
    let marked: Vec<bool> = taken.iter().map(|delivery| delivery.redelivered).collect();
    assert_eq!(bodies(&taken), ["a", "c", "d"]);
    assert_eq!(marked, [true, true, true], "the ack of b had put d under way");
}

#[test]
fn two_consumers_on_one_channel_each_take_their_own() {
    let connection = open("inproc://");
    let channel = at_once(connection.channel()).unwrap();
    for queue in ["left", "right"] {
        at_once(channel.declare_queue(queue, false, QueueOptions::default())).unwrap();
    }
    let consume =
        |queue| at_once(channel.consume(&ConsumeOptions { queue, ..ConsumeOptions::default() })).unwrap();
    let (left, right) = (consume("left"), consume("right"));
    send(&channel, "left", "l1");
    send(&channel, "right", "r1");
    send(&channel, "left", "l2");
    let mut taken = Vec::new();
    right.take(10, &mut taken).unwrap();
    assert_eq!(bodies(&taken), ["r1"]);
    taken.clear();
    assert!(left.wait(Some(Duration::ZERO)));
    left.take(10, &mut taken).unwrap();
    assert_eq!(bodies(&taken), ["l1", "l2"]);
}

#[test]
fn a_consumer_whose_queue_is_deleted_ends_with_an_error_that_says_so() {
    let connection = open("inproc://");
    let channel = at_once(connection.channel()).unwrap();
    at_once(channel.declare_queue("q", false, QueueOptions::default())).unwrap();
    let consumer =
        at_once(channel.consume(&ConsumeOptions { queue: "q", ..ConsumeOptions::default() })).unwrap();
    send(&channel, "q", "last");
    at_once(channel.delete_queue("q", false, false)).unwrap();
    let mut taken = Vec::new();
    consumer.take(10, &mut taken).unwrap();
    assert_eq!(bodies(&taken), ["last"]);
    let error = consumer.take(10, &mut taken).unwrap_err();
    assert!(error.to_string().contains("the queue was deleted"), "{error}");
}

#[test]
fn a_connection_ends_with_its_virtual_host() {
    let connection = open("inproc://ended");
    let channel = at_once(connection.channel()).unwrap();
    let (told, heard) = std::sync::mpsc::channel();
    connection.on_event(std::sync::Arc::new(move |event| {
        if let ConnectionEvent::Closed(reason) = event {
            told.send(reason).unwrap();
        }
    }));
    process::broker("ended").delete_vhost("/").unwrap();
    assert!(!connection.is_open() && !channel.is_open());
    assert_eq!(heard.recv().unwrap().unwrap().reply_text(), "CONNECTION_FORCED - vhost '/' is deleted");
}
