//! What the broker itself costs a message, without sockets and languages.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use warrenmq::broker::{
    Broker, Channel, ConsumeOptions, Event, Options, Outlet, Publish, QueueOptions, Session, Settle, Wakes,
};
use warrenmq::message::Body;

const BATCH: u64 = 100;

/// The benchmark looks into the outboxes itself.
struct Deaf;

impl Outlet for Deaf {
    fn ready(&self) {}
}

/// A queue with `consumers` consumers, each on a channel of its own.
fn open(consumers: usize, no_ack: bool) -> (Session, Channel, Vec<Channel>) {
    let session = Broker::new(Options::default()).open("/", "guest").expect("the vhost is there");
    let mut publisher = session.channel(Box::new(Deaf)).expect("opens");
    publisher.declare_queue("q", QueueOptions::default()).expect("declares");
    let consume = |_| {
        let mut channel = session.channel(Box::new(Deaf)).expect("opens");
        let options = ConsumeOptions { queue: "q", no_ack, ..ConsumeOptions::default() };
        channel.consume(&options, &mut Wakes::default()).expect("consumes");
        channel
    };
    let consumers = (0..consumers).map(consume).collect();
    (session, publisher, consumers)
}

/// Publishes a batch, takes it at the consumers, and acknowledges each delivery.
fn pass(publisher: &mut Channel, consumers: &mut [Channel], events: &mut Vec<Event>) {
    let mut wakes = Wakes::default();
    for _ in 0..BATCH {
        let publish = Publish {
            exchange: "",
            routing_key: "q",
            mandatory: false,
            properties: &[0, 0],
            body: Body::Slice(&[7; 128]),
        };
        publisher.publish(publish, &mut wakes).expect("publishes");
    }
    publisher.flush(&mut wakes);
    for channel in consumers {
        channel.outbox().take(usize::MAX, events, &mut wakes);
        let tags: Vec<(u64, bool)> = events
            .drain(..)
            .filter_map(|event| match event {
                Event::Deliver(delivery) => Some((delivery.tag, false)),
                Event::Cancelled { .. } | Event::Confirmed(_) => None,
            })
            .collect();
        if channel.unacked() > 0 {
            channel.settle(&tags, Settle::Ack, &mut wakes).expect("settles");
        }
    }
}

fn queue(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish, deliver, settle; 128 B, batches of 100");
    group.throughput(Throughput::Elements(BATCH));
    for (name, consumers, no_ack) in
        [("no ack", 1, true), ("acked each", 1, false), ("acked each, ten consumers in turn", 10, false)]
    {
        let (_session, mut publisher, mut channels) = open(consumers, no_ack);
        let mut events = Vec::new();
        group.bench_function(name, |b| b.iter(|| pass(&mut publisher, &mut channels, &mut events)));
    }
    group.finish();
}

criterion_group!(benches, queue);
criterion_main!(benches);
