//! Two processes over one directory: messages a second from one to the other, confirmed and acknowledged, and round
//! trips. Each is measured with the broker in the consumer's process, and in a third.
//!
//! `cargo bench -p warrenmq --bench local`

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use warrenmq::client::{
    BatchPublishing, Channel, ConnectOptions, Connection, ConsumeOptions, Consumer, Publish, Publishing,
    QueueOptions, Settle, runtime,
};
use warrenmq::message::Body;

/// What the other process is to do, and where.
const ROLE: &str = "WARRENMQ_BENCH_ROLE";
const DIRECTORY: &str = "WARRENMQ_BENCH_DIRECTORY";
const BATCH: usize = 500;
/// Batches that are not confirmed yet.
const WINDOW: usize = 8;
const PREFETCH: u16 = 2000;
const ROUND_TRIPS: usize = 20_000;

fn run<T>(future: impl Future<Output = T>) -> T {
    runtime().expect("a runtime").block_on(future)
}

fn open(directory: &Path) -> (Connection, Channel) {
    let url = format!("local:{}", directory.display());
    let connection = run(Connection::open(&url, &ConnectOptions::default())).expect("connects");
    let channel = run(connection.channel()).expect("opens a channel");
    (connection, channel)
}

fn declare(channel: &Channel, queue: &str) {
    run(channel.declare_queue(queue, false, QueueOptions::default())).expect("declares");
}

fn message<'a>(queue: &'a str, body: &'a [u8]) -> Publish<'a> {
    let body = Body::Slice(body);
    Publish { exchange: "", routing_key: queue, mandatory: false, properties: &[0, 0], body }
}

fn consume(channel: &Channel, queue: &str) -> Consumer {
    run(channel.qos(PREFETCH, false)).expect("sets the prefetch");
    run(channel.consume(&ConsumeOptions { queue, ..ConsumeOptions::default() })).expect("consumes")
}

/// Takes this many and acknowledges each.
fn drain(channel: &Channel, consumer: &Consumer, count: usize) {
    let (mut got, mut taken, mut tags) = (0, Vec::new(), Vec::new());
    while got < count {
        consumer.wait(None);
        consumer.take(1000, &mut taken).expect("takes");
        got += taken.len();
        tags.extend(taken.drain(..).map(|delivery| (delivery.tag, false)));
        channel.settle(&tags, Settle::Ack).expect("acknowledges");
        tags.clear();
    }
}

fn produce(channel: &Channel, size: usize, count: usize, batch: usize) {
    let body = vec![b'x'; size];
    let mut under_way = std::collections::VecDeque::new();
    for _ in 0..count / batch {
        let sent = channel.publish_all(&mut (0..batch).map(|_| message("bench", &body))).expect("publishes");
        if let BatchPublishing::Pending(answer) = sent {
            under_way.push_back(answer);
        }
        if under_way.len() > WINDOW {
            run(under_way.pop_front().expect("one is there")).expect("is confirmed");
        }
    }
    for answer in under_way {
        run(answer).expect("is confirmed");
    }
}

/// One call per message, none awaited until many are under way.
fn produce_singly(channel: &Channel, size: usize, count: usize) {
    let body = vec![b'x'; size];
    let mut under_way = std::collections::VecDeque::new();
    for _ in 0..count {
        if let Publishing::Pending(answer) = channel.publish(message("bench", &body)).expect("publishes") {
            under_way.push_back(answer);
        }
        if under_way.len() > BATCH * WINDOW {
            run(under_way.pop_front().expect("one is there")).expect("is confirmed");
        }
    }
    for answer in under_way {
        run(answer).expect("is confirmed");
    }
}

fn echo(channel: &Channel) {
    let consumer = consume(channel, "requests");
    let mut taken = Vec::new();
    loop {
        consumer.wait(None);
        if consumer.take(100, &mut taken).is_err() {
            return;
        }
        for delivery in taken.drain(..) {
            channel.publish(message("answers", delivery.message.body())).expect("answers");
            channel.settle(&[(delivery.tag, false)], Settle::Ack).expect("acknowledges");
        }
    }
}

fn round_trips(channel: &Channel) -> Vec<Duration> {
    let consumer = consume(channel, "answers");
    let (body, mut taken) = ([b'x'; 128], Vec::new());
    let trip = |_| {
        let begun = Instant::now();
        channel.publish(message("requests", &body)).expect("asks");
        while taken.is_empty() {
            consumer.wait(None);
            consumer.take(1, &mut taken).expect("takes");
        }
        let took = begun.elapsed();
        let tags: Vec<_> = taken.drain(..).map(|delivery| (delivery.tag, false)).collect();
        channel.settle(&tags, Settle::Ack).expect("acknowledges");
        took
    };
    (0..ROUND_TRIPS).map(trip).collect()
}

/// The other process.
fn other(role: &str, directory: &Path) {
    let (connection, channel) = open(directory);
    let words: Vec<&str> = role.split(' ').collect();
    let number = |index: usize| words[index].parse::<usize>().expect("a number");
    println!("ready");
    match words[0] {
        "host" => std::thread::park(),
        "echo" => echo(&channel),
        "singly" => produce_singly(&channel, number(1), number(2)),
        _ => produce(&channel, number(1), number(2), number(3)),
    }
    run(connection.close()).expect("closes");
}

struct Other(Child, BufReader<std::process::ChildStdout>);

fn start(role: &str, directory: &Path) -> Other {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .env(ROLE, role)
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("another process");
    let output = BufReader::new(child.stdout.take().expect("its output is piped"));
    Other(child, output)
}

impl Other {
    fn ready(mut self) -> Self {
        self.1.read_line(&mut String::new()).expect("it says when it is ready");
        self
    }

    fn end(mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Who hosts.
#[derive(Clone, Copy, Debug)]
enum At {
    Consumer,
    Third,
}

/// The directory's host, where it is neither of the two.
fn host(at: At, directory: &Path) -> Option<Other> {
    matches!(at, At::Third).then(|| start("host", directory).ready())
}

fn throughput(at: At, role: &str, count: usize) -> f64 {
    let folder = tempfile::TempDir::new().expect("a directory");
    let host = host(at, folder.path());
    let (connection, channel) = open(folder.path());
    declare(&channel, "bench");
    let consumer = consume(&channel, "bench");
    let producer = start(role, folder.path()).ready();
    let begun = Instant::now();
    drain(&channel, &consumer, count);
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    run(connection.close()).expect("closes");
    producer.end();
    host.into_iter().for_each(Other::end);
    rate
}

fn latency(at: At) -> (Duration, Duration) {
    let folder = tempfile::TempDir::new().expect("a directory");
    let host = host(at, folder.path());
    let (connection, channel) = open(folder.path());
    declare(&channel, "requests");
    declare(&channel, "answers");
    let other = start("echo", folder.path()).ready();
    let mut trips = round_trips(&channel);
    trips.sort_unstable();
    run(connection.close()).expect("closes");
    other.end();
    host.into_iter().for_each(Other::end);
    (trips[trips.len() / 2], trips[trips.len() * 99 / 100])
}

fn main() {
    if let (Ok(role), Ok(directory)) = (std::env::var(ROLE), std::env::var(DIRECTORY)) {
        return other(&role, Path::new(&directory));
    }
    for at in [At::Consumer, At::Third] {
        for (size, count, batch) in
            [(16, 2_000_000, BATCH), (128, 2_000_000, BATCH), (16 << 10, 100_000, 16), (1 << 20, 2_000, 4)]
        {
            let rate = throughput(at, &format!("produce {size} {count} {batch}"), count);
            println!("{size:>8} B, broker at {at:?}: {rate:>9.0}/s, {:>6.0} MB/s", rate * size as f64 / 1e6);
        }
        let rate = throughput(at, "singly 128 1000000", 1_000_000);
        println!("     128 B, one call each, broker at {at:?}: {rate:>9.0}/s");
        let (median, tail) = latency(at);
        println!("round trip, broker at {at:?}: p50 {median:?}, p99 {tail:?}");
    }
}
