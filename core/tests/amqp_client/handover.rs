//! A host that ends in good order, as those attached see it: what is transient goes on with the next one.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rustix::process::{Pid, Signal, kill_process};
use warrenmq::broker::Binding;
use warrenmq::client::{Connection, Publish, QueueOptions, Settle};
use warrenmq::storage::Directory;
use warrenmq::wire::frame::PROTOCOL_HEADER;
use warrenmq::wire::{Method, ShortString, Table, connection, next_frame};

use crate::local::Host;
use crate::scenarios::{consume, open, outcome, publish, run, send, take};

/// How often a host is ended.
const ROUNDS: usize = 5;
/// Messages that are sent in each round, before, while and after it is.
const MESSAGES: u32 = 2000;
/// The longest that was ever seen on an idle machine is a twentieth of it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Publishes numbers to a queue that is not durable, one after the other; the longest time that one took.
fn produce(connection: &Connection, go_on: &std::sync::mpsc::Sender<()>) -> Duration {
    let channel = run(connection.channel()).unwrap();
    let mut longest = Duration::ZERO;
    for number in 0..MESSAGES {
        if number == MESSAGES / 2 {
            go_on.send(()).unwrap();
        }
        let begun = Instant::now();
        let published = channel.publish(publish("passing", number.to_string().as_bytes())).unwrap();
        assert!(outcome(published).unwrap().routed, "{number} is lost");
        longest = longest.max(begun.elapsed());
    }
    longest
}

/// Takes all numbers, each before the next; the longest time between two.
fn drain(connection: &Connection) -> Duration {
    let channel = run(connection.channel()).unwrap();
    run(channel.qos(10, false)).unwrap();
    let consumer = consume(&channel, "passing");
    let (mut expected, mut longest, mut last) = (0, Duration::ZERO, Instant::now());
    while expected < MESSAGES {
        for delivery in take(&consumer, 1) {
            let number: u32 = std::str::from_utf8(delivery.message.body()).unwrap().parse().unwrap();
            channel.settle(&[(delivery.tag, false)], Settle::Ack).unwrap();
            if number < expected {
                assert!(delivery.redelivered, "{number} came twice");
                continue;
            }
            assert_eq!(number, expected, "one is lost, or late");
            expected += 1;
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
    }
    longest
}

#[test]
fn who_publishes_and_who_consumes_notice_nothing_but_a_pause() {
    let mut pauses = Vec::new();
    for _ in 0..ROUNDS {
        let folder = tempfile::TempDir::new().unwrap();
        let url = format!("local:{}", folder.path().display());
        let mut host = Host::of(folder.path());
        let (producer, consumer) = (open(&url), open(&url));
        run(run(producer.channel()).unwrap().declare_queue("passing", false, QueueOptions::default()))
            .unwrap();
        let (go_on, gone_on) = std::sync::mpsc::channel();
        thread::scope(|scope| {
            let produced = scope.spawn(|| produce(&producer, &go_on));
            let drained = scope.spawn(|| drain(&consumer));
            gone_on.recv().unwrap();
            host.end(false);
            pauses.push((produced.join().unwrap(), drained.join().unwrap()));
        });
        for connection in [producer, consumer] {
            run(connection.close()).unwrap();
        }
    }
    eprintln!("  pauses of who publishes and of who consumes: {pauses:?}");
    assert!(pauses.iter().all(|&(one, other)| one.max(other) < PATIENCE), "{pauses:?}");
}

#[test]
fn what_nobody_who_is_left_has_declared_is_there_with_the_next_host() {
    let folder = tempfile::TempDir::new().unwrap();
    let url = format!("local:{}", folder.path().display());
    let mut host = Host::of(folder.path());
    let (witness, author) = (open(&url), open(&url));
    let channel = run(author.channel()).unwrap();
    let passing = QueueOptions { auto_delete: true, ..QueueOptions::default() };
    run(channel.declare_queue("left", false, passing)).unwrap();
    send(&channel, "left", "one");
    send(&channel, "left", "two");
    run(author.close()).unwrap();
    host.end(false);
    let next = run(witness.channel()).unwrap();
    let left = consume(&next, "left");
    let left: Vec<_> =
        take(&left, 2).iter().map(|one| (one.message.body().to_vec(), one.redelivered)).collect();
    assert_eq!(left, [(b"one".to_vec(), false), (b"two".to_vec(), false)]);
}

/// Logs in, saying everything at once; reads up to the last answer.
fn attach(directory: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(directory.join("socket")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let start_ok = connection::StartOk {
        mechanism: ShortString::truncated("EXTERNAL"),
        ..connection::StartOk::default()
    };
    let tune_ok = connection::TuneOk { channel_max: 1, frame_max: 4096, heartbeat: 0 };
    let open = connection::Open { virtual_host: ShortString::truncated("/"), ..connection::Open::default() };
    let mut all = BytesMut::from(&PROTOCOL_HEADER[..]);
    for method in
        [Method::ConnectionStartOk(start_ok), Method::ConnectionTuneOk(tune_ok), Method::ConnectionOpen(open)]
    {
        method.encode(0, &mut all);
    }
    stream.write_all(&all).unwrap();
    while !matches!(next(&mut stream), Method::ConnectionOpenOk(_)) {}
    stream
}

fn next(stream: &mut UnixStream) -> Method {
    let mut frame = Vec::new();
    loop {
        if let Some(whole) = next_frame(&frame, 0).unwrap() {
            return Method::decode(whole.payload).unwrap();
        }
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        frame.extend(byte);
    }
}

#[test]
fn whoever_is_told_that_the_host_leaves_finds_the_directory_free() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::of(folder.path());
    let mut attached = attach(folder.path());
    kill_process(Pid::from_child(&host.0), Signal::TERM).unwrap();
    assert!(matches!(next(&mut attached), Method::ConnectionClose(_)));
    Directory::open(folder.path()).unwrap();
}

#[test]
fn an_exclusive_queue_goes_on_with_its_owner_and_its_messages() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut host = Host::of(folder.path());
    let owner = open(&crate::local::url(folder.path()));
    let channel = run(owner.channel()).unwrap();
    let mine = QueueOptions { exclusive: true, ..QueueOptions::default() };
    let queue = run(channel.declare_queue("", false, mine)).unwrap().name.to_string();
    for body in ["one", "two", "three"] {
        send(&channel, &queue, body);
    }
    run(channel.qos(1, false)).unwrap();
    let consumer = consume(&channel, &queue);
    take(&consumer, 1);
    host.end(false);
    let mut all = Vec::new();
    while all.len() < 3 {
        for one in take(&consumer, 1) {
            channel.settle(&[(one.tag, false)], Settle::Ack).unwrap();
            all.push((String::from_utf8(one.message.body().to_vec()).unwrap(), one.redelivered));
        }
    }
    assert_eq!(all, [("one".into(), true), ("two".into(), false), ("three".into(), false)]);
}

#[test]
fn an_empty_name_means_the_queue_that_was_declared_last_at_the_next_host_too() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut host = Host::of(folder.path());
    let connection = open(&crate::local::url(folder.path()));
    let channel = run(connection.channel()).unwrap();
    let name = run(channel.declare_queue("", false, QueueOptions::default())).unwrap().name.to_string();
    let consumer = consume(&channel, "");
    host.end(false);
    let arguments = Table::default();
    let binding = Binding { source: "amq.topic", destination: "", routing_key: "", arguments: &arguments };
    run(channel.bind_queue(binding)).unwrap();
    outcome(channel.publish(Publish { exchange: "amq.topic", ..publish(&name, b"bound") }).unwrap()).unwrap();
    assert_eq!(take(&consumer, 1)[0].message.body(), b"bound");
    assert_eq!(&*run(channel.declare_queue("", true, QueueOptions::default())).unwrap().name, &*name);
    run(channel.delete_queue("", false, false)).unwrap();
}
