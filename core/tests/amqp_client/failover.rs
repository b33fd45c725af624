//! What was under way when a host was killed.

use std::path::Path;
use std::time::{Duration, Instant};

use warrenmq::broker::Binding;
use warrenmq::client::{
    BatchPublishing, Channel, Connection, ConsumeOptions, ExchangeOptions, Publish, QueueOptions, Settle,
};
use warrenmq::error::Kind;
use warrenmq::routing;
use warrenmq::wire::{PropertiesView, Table, Value};

use crate::door::Door;
use crate::local::{Host, durable, persistent, url};
use crate::scenarios::{bodies, consume, open, outcome, publish, run, send, take};

/// How many messages are ready.
fn ready(channel: &Channel, queue: &str) -> u64 {
    run(channel.declare_queue(queue, true, QueueOptions::default())).unwrap().messages
}

/// Waits until so many messages are ready, and on the disk if they are to be.
fn await_stored(channel: &Channel, queue: &str, count: u64) {
    while ready(channel, queue) < count {
        std::thread::sleep(Duration::from_millis(1));
    }
    run(channel.declare_queue("other", false, durable())).unwrap();
    assert!(outcome(channel.publish(persistent("other", b"")).unwrap()).unwrap().confirmed);
}

#[test]
fn what_was_stored_and_not_confirmed_is_there_once_and_in_order() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::of(folder.path());
    let door = Door::of(folder.path());
    let publisher = open(&url(folder.path()));
    let channel = run(publisher.channel()).unwrap();
    run(channel.declare_queue("kept", false, durable())).unwrap();
    let text: Vec<String> = (0..600).map(|number| number.to_string()).collect();
    let publish = |number: usize| channel.publish(persistent("kept", text[number].as_bytes())).unwrap();
    for number in 0..10 {
        outcome(publish(number)).unwrap();
    }
    door.silence();
    let under_way: Vec<_> = (10..300).map(publish).collect();
    let batch =
        channel.publish_all(&mut (300..500).map(|at| persistent("kept", text[at].as_bytes()))).unwrap();
    let other = open(&url(folder.path()));
    await_stored(&run(other.channel()).unwrap(), "kept", 500);
    // Without awaiting the new host.
    drop(host);
    let after: Vec<_> = (500..600).map(publish).collect();
    for publishing in under_way.into_iter().chain(after) {
        assert!(outcome(publishing).unwrap().routed);
    }
    let BatchPublishing::Pending(batch) = batch else { panic!("it cannot be confirmed") };
    assert_eq!(run(batch).unwrap().confirmed, 200);

    assert_eq!(ready(&channel, "kept"), 600);
    let got = take(&consume(&channel, "kept"), 600);
    assert_eq!(bodies(&got), text);
    // Those behind the silence may have been on their way, and nobody can have seen them.
    assert!(got[..500].iter().all(|delivery| !delivery.redelivered));
}

#[test]
fn what_may_have_been_delivered_before_it_was_stored_comes_again_marked() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::of(folder.path());
    let door = Door::of(folder.path());
    let publisher = open(&url(folder.path()));
    let channel = run(publisher.channel()).unwrap();
    door.silence();
    let other = open(&url(folder.path()));
    let reading = run(other.channel()).unwrap();
    run(reading.declare_queue("q", false, durable())).unwrap();
    let consumer = consume(&reading, "q");
    let publishing = channel.publish(publish("q", b"transient"));
    let first = take(&consumer, 1);
    assert!(!first[0].redelivered);
    reading.settle(&[(first[0].tag, false)], Settle::Ack).unwrap();
    drop(host);
    assert!(outcome(publishing.unwrap()).unwrap().routed);
    let again = take(&consumer, 1);
    assert_eq!((bodies(&again), again[0].redelivered), (bodies(&first), true));
    send(&channel, "q", "new");
    assert!(!take(&consumer, 1)[0].redelivered);
}

#[test]
fn a_channel_that_takes_the_number_of_one_that_is_closed_is_another_publisher() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::of(folder.path());
    let publisher = open(&url(folder.path()));
    let channel = run(publisher.channel()).unwrap();
    run(channel.declare_queue("kept", false, durable())).unwrap();
    for _ in 0..3 {
        outcome(channel.publish(persistent("kept", b"first")).unwrap()).unwrap();
    }
    run(channel.close()).unwrap();
    let channel = run(publisher.channel()).unwrap();
    drop(host);
    let lost: Publish<'_> = persistent("kept", b"second");
    assert!(outcome(channel.publish(lost).unwrap()).unwrap().routed);
    assert_eq!(ready(&channel, "kept"), 4);
}

/// A transactional channel, and another of the same connection.
fn transaction(folder: &Path) -> (Connection, Channel, Channel) {
    let connection = open(&url(folder));
    let (channel, other) = (run(connection.channel()).unwrap(), run(connection.channel()).unwrap());
    run(channel.declare_queue("kept", false, durable())).unwrap();
    run(channel.tx_select()).unwrap();
    (connection, channel, other)
}

fn publish_uncommitted(channel: &Channel, body: &str) {
    outcome(channel.publish(persistent("kept", body.as_bytes())).unwrap()).unwrap();
}

#[test]
fn a_transaction_that_its_host_took_along_is_refused_at_the_commit_and_the_next_one_takes_effect() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::of(folder.path());
    let (_connection, channel, other) = transaction(folder.path());
    publish_uncommitted(&channel, "before");
    drop(host);
    assert_eq!(ready(&other, "kept"), 0); // the next host is there
    publish_uncommitted(&channel, "after");
    let error = run(channel.tx_commit()).unwrap_err();
    assert_eq!((error.kind(), error.operation()), (Kind::Nacked, "tx.commit"));
    assert!(error.reason().contains("nothing of it took effect"), "{error}");
    assert_eq!(ready(&other, "kept"), 0);

    publish_uncommitted(&channel, "dropped");
    run(channel.tx_rollback()).unwrap();
    publish_uncommitted(&channel, "again");
    assert!(run(channel.tx_commit()).unwrap().is_empty());
    assert_eq!(bodies(&take(&consume(&other, "kept"), 1)), ["again"]);
}

#[test]
fn a_transaction_that_is_empty_when_the_host_goes_is_none_that_is_lost() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::of(folder.path());
    let (_connection, channel, other) = transaction(folder.path());
    publish_uncommitted(&channel, "before");
    run(channel.tx_commit()).unwrap();
    drop(host);
    assert_eq!(ready(&other, "kept"), 1); // the next host is there
    publish_uncommitted(&channel, "after");
    run(channel.tx_commit()).unwrap();
    assert_eq!(ready(&other, "kept"), 2);
}

#[test]
fn a_transaction_that_acknowledges_what_comes_again_is_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::of(folder.path());
    let (_connection, channel, other) = transaction(folder.path());
    send(&other, "kept", "task");
    let consumer = consume(&channel, "kept");
    let task = take(&consumer, 1);
    drop(host);
    run(other.declare_queue("kept", false, durable())).unwrap(); // the next host is there
    publish_uncommitted(&channel, "result");
    channel.settle(&[(task[0].tag, false)], Settle::Ack).unwrap();
    assert_eq!(run(channel.tx_commit()).unwrap_err().kind(), Kind::Nacked);
}

#[test]
fn a_commit_whose_answer_went_with_the_host_is_in_doubt() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::of(folder.path());
    let door = Door::of(folder.path());
    let (connection, channel, _) = transaction(folder.path());
    publish_uncommitted(&channel, "in doubt");
    door.silence();
    let other = open(&url(folder.path()));
    let other = run(other.channel()).unwrap();
    let commit = {
        let channel = channel.clone();
        std::thread::spawn(move || run(channel.tx_commit()))
    };
    await_stored(&other, "kept", 1);
    drop(host);
    let error = commit.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(error.reason().contains("whether the transaction took effect is not known"), "{error}");
    publish_uncommitted(&channel, "next");
    run(channel.tx_commit()).unwrap();
    assert_eq!(ready(&run(connection.channel()).unwrap(), "kept"), 2);
}

#[test]
fn deliveries_can_be_put_off_after_a_failover_too() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::of(folder.path());
    let connection = open(&url(folder.path()));
    let (channel, other) = (run(connection.channel()).unwrap(), run(connection.channel()).unwrap());
    let arguments = Table(vec![("x-consumer-timeout".into(), Value::I32(500))]);
    run(channel.declare_queue("kept", false, QueueOptions { arguments, ..durable() })).unwrap();
    run(channel.qos(2, false)).unwrap(); // what lapses goes to another consumer
    let consumer = consume(&channel, "kept");
    for body in [&b"a"[..], b"b"] {
        outcome(channel.publish(persistent("kept", body)).unwrap()).unwrap();
    }
    let before = take(&consumer, 2);
    drop(host);
    let after = take(&consumer, 2);
    run(channel.extend(before[1].tag, 1)).unwrap(); // of which nobody knows any more
    run(channel.extend(after[0].tag, 3_600_000)).unwrap();
    let again = take(&consume(&other, "kept"), 1);
    assert_eq!((bodies(&after), bodies(&again)), (vec!["a".into(), "b".into()], vec!["b".to_owned()]));
    assert_eq!(ready(&other, "kept"), 0);
}

#[test]
fn a_call_that_is_under_way_is_answered_by_way_of_the_next_host() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::of(folder.path());
    let (asking, serving) = (open(&url(folder.path())), open(&url(folder.path())));
    let (asker, server) = (run(asking.channel()).unwrap(), run(serving.channel()).unwrap());
    run(server.declare_queue("requests", false, QueueOptions::default())).unwrap();
    let requests = consume(&server, "requests");
    let pseudo = "amq.rabbitmq.reply-to";
    let options = ConsumeOptions { queue: pseudo, no_ack: true, ..ConsumeOptions::default() };
    let replies = run(asker.consume(&options)).unwrap();
    let properties = PropertiesView::EMPTY.with_reply_to(pseudo);
    let ask = |body| {
        let request = Publish { properties: &properties, ..publish("requests", body) };
        assert!(outcome(asker.publish(request).unwrap()).unwrap().routed);
        let request = take(&requests, 1).remove(0);
        request.message.properties().reply_to().unwrap().to_owned()
    };
    let address = ask(b"1");
    drop(host);
    send(&server, &address, "one");
    assert_eq!(bodies(&take(&replies, 1)), ["one"]);
    let address = ask(b"2");
    send(&server, &address, "two");
    assert_eq!(bodies(&take(&replies, 1)), ["two"]);
}

#[test]
fn what_a_host_had_not_read_when_it_was_killed_comes_again_marked_and_once() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::of(folder.path());
    let connection = open(&url(folder.path()));
    let channel = run(connection.channel()).unwrap();
    run(channel.declare_queue("kept", false, durable())).unwrap();
    for body in ["a", "b", "c"] {
        outcome(channel.publish(persistent("kept", body.as_bytes())).unwrap()).unwrap();
    }
    let consumer = consume(&channel, "kept");
    let tags: Vec<_> = take(&consumer, 3).iter().map(|delivery| (delivery.tag, false)).collect();
    host.stop();
    channel.settle(&tags, Settle::Ack).unwrap();
    let publishing = channel.publish(persistent("kept", b"d")).unwrap();
    drop(host);
    assert!(outcome(publishing).unwrap().routed);
    let again = take(&consumer, 4);
    let marks: Vec<_> = again.iter().map(|delivery| delivery.redelivered).collect();
    assert_eq!((bodies(&again), marks), (["a", "b", "c", "d"].map(str::to_owned).to_vec(), vec![true; 4]));
    assert_eq!(ready(&channel, "kept"), 0);
}

#[test]
fn what_nobody_who_is_left_has_declared_is_there_for_who_consumes_publishes_and_looks() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::of(folder.path());
    let (reading, writing) = (open(&url(folder.path())), open(&url(folder.path())));
    let (reader, writer) = (run(reading.channel()).unwrap(), run(writing.channel()).unwrap());
    let declarer = open(&url(folder.path()));
    let gone = run(declarer.channel()).unwrap();
    run(gone.declare_queue("passing", false, QueueOptions::default())).unwrap();
    run(gone.declare_exchange("passing", "fanout", false, ExchangeOptions::new(routing::Kind::Fanout)))
        .unwrap();
    let (source, destination, routing_key) = ("passing", "passing", "");
    run(gone.bind_queue(Binding { source, destination, routing_key, arguments: &Table::default() })).unwrap();
    run(declarer.close()).unwrap();
    let consumer = consume(&reader, "passing");
    drop(host);
    let to_exchange = || writer.publish(Publish { exchange: "passing", ..publish("", b"x") }).unwrap();
    assert!(outcome(to_exchange()).unwrap().routed);
    assert!(send(&writer, "passing", "y").routed);
    assert_eq!(bodies(&take(&consumer, 2)), ["x", "y"]);
    assert!(reader.is_open());
    run(consumer.cancel()).unwrap();
    assert!(run(writer.get("passing", true)).unwrap().is_none());
    assert_eq!(ready(&writer, "passing"), 0);
}

#[test]
fn what_was_deleted_does_not_come_back_with_who_had_declared_it() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::of(folder.path());
    let (declaring, deleting) = (open(&url(folder.path())), open(&url(folder.path())));
    let (declarer, deleter) = (run(declaring.channel()).unwrap(), run(deleting.channel()).unwrap());
    run(declarer.declare_queue("passing", false, QueueOptions::default())).unwrap();
    run(deleter.delete_queue("passing", false, false)).unwrap();
    drop(host);
    run(declarer.declare_queue("other", false, QueueOptions::default())).unwrap(); // the next host is there
    assert!(!send(&deleter, "passing", "x").routed);
}

#[test]
fn unroutable_messages_are_known_for_such_without_delay_after_a_failover() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::of(folder.path());
    let connection = open(&url(folder.path()));
    let channel = run(connection.channel()).unwrap();
    assert!(!send(&channel, "nowhere", "before").routed);
    drop(host);
    assert!(!send(&channel, "nowhere", "after").routed);
    let begun = Instant::now();
    for _ in 0..20 {
        assert!(!send(&channel, "nowhere", "after").routed);
    }
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
}
