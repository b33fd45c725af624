//! What was under way when a host was killed.

use std::time::Duration;

use warrenmq::client::{BatchPublishing, Channel, Publish, QueueOptions, Settle};

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
