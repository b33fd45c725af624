//! The broker through its door: a queue with consumers and acks against a model, and rules in sentences.

use std::collections::{BTreeSet, HashSet};

mod access;
mod exchanges;
mod kept;
mod long;
mod places;
mod policies;
mod resume;
mod rules;
mod shelf;
mod streams;
mod transient;

use proptest::prelude::*;

use super::*;
use crate::error::{Kind, Result};
use crate::message::Body;
use crate::wire::{Table, Value};

/// Nobody need be told: the tests look for themselves.
struct Deaf;

impl Outlet for Deaf {
    fn ready(&self) {}
}

fn session() -> Session {
    Broker::new(Options::default()).open("/", "guest").unwrap()
}

fn channel(session: &Session) -> Channel {
    session.channel(Box::new(Deaf)).unwrap()
}

fn send(channel: &mut Channel, exchange: &str, routing_key: &str, body: &[u8]) -> bool {
    let publish =
        Publish { exchange, routing_key, mandatory: false, properties: &[0, 0], body: Body::Slice(body) };
    let mut wakes = Wakes::default();
    let routed = channel.publish(publish, &mut wakes).unwrap();
    channel.flush(&mut wakes);
    routed
}

fn consume(channel: &mut Channel, queue: &str) -> Result<Registered> {
    channel.consume(&ConsumeOptions { queue, ..ConsumeOptions::default() }, &mut Wakes::default())
}

fn take(channel: &Channel) -> Vec<Delivery> {
    let mut events = Vec::new();
    channel.outbox().take(usize::MAX, &mut events, &mut Wakes::default());
    let deliveries = events.into_iter().filter_map(|event| match event {
        Event::Deliver(delivery) => Some(delivery),
        Event::Cancelled { .. } | Event::Confirmed(_) => None,
    });
    deliveries.collect()
}

fn bodies(channel: &Channel) -> Vec<u8> {
    take(channel).iter().map(|delivery| delivery.message.body()[0]).collect()
}

#[derive(Clone, Debug)]
enum Act {
    Publish(u8),
    Consume(usize),
    Settle { channel: usize, which: usize, multiple: bool, how: Settle },
    Cancel(usize),
    Get(usize),
    Recover(usize),
    Close(usize),
    Purge,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let how = prop_oneof![Just(Settle::Ack), Just(Settle::Reject), Just(Settle::Requeue)];
    let act = prop_oneof![
        4 => (1..8_u8).prop_map(Act::Publish),
        2 => (0..3_usize).prop_map(Act::Consume),
        6 => (0..3_usize, 0..6_usize, any::<bool>(), how)
            .prop_map(|(channel, which, multiple, how)| Act::Settle { channel, which, multiple, how }),
        1 => (0..3_usize).prop_map(Act::Cancel),
        1 => (0..3_usize).prop_map(Act::Get),
        1 => (0..3_usize).prop_map(Act::Recover),
        1 => (0..3_usize).prop_map(Act::Close),
        1 => Just(Act::Purge),
    ];
    prop::collection::vec(act, 1..60)
}

/// One queue, three channels with a prefetch of 2 each, and where every message is.
struct World {
    session: Session,
    publisher: Channel,
    channels: Vec<Channel>,
    consuming: [bool; 3],
    /// The number of the channel's latest consumer.
    consumer: [u32; 3],
    ready: BTreeSet<u32>,
    /// By channel, in the order of the tags: tag, message, and the consumer that got it, 0 for a get.
    unacked: [Vec<(u64, u32, u32)>; 3],
    delivered: HashSet<u32>,
    published: u32,
}

const PREFETCH: usize = 2;

impl World {
    fn new() -> Self {
        let session = session();
        let mut publisher = channel(&session);
        publisher.declare_queue("q", QueueOptions::default()).unwrap();
        let channels = (0..3).map(|_| Self::fresh(&session)).collect();
        World {
            session,
            publisher,
            channels,
            consuming: [false; 3],
            consumer: [0; 3],
            ready: BTreeSet::new(),
            unacked: Default::default(),
            delivered: HashSet::new(),
            published: 0,
        }
    }

    fn fresh(session: &Session) -> Channel {
        let mut channel = channel(session);
        channel.qos(0, PREFETCH as u16, false, &mut Wakes::default()).unwrap();
        channel
    }

    fn act(&mut self, act: &Act) {
        let mut wakes = Wakes::default();
        match *act {
            Act::Publish(count) => {
                for _ in 0..count {
                    let id = self.published;
                    self.published += 1;
                    assert!(send(&mut self.publisher, "", "q", &id.to_be_bytes()));
                    self.ready.insert(id);
                }
            }
            Act::Consume(at) => {
                let options = ConsumeOptions { queue: "q", tag: "c", ..ConsumeOptions::default() };
                let added = self.channels[at].consume(&options, &mut wakes).is_ok();
                assert_eq!(added, !self.consuming[at], "a tag is taken once");
                self.consumer[at] += u32::from(added);
                self.consuming[at] = true;
            }
            Act::Settle { channel: at, which, multiple, how } => {
                let Some(&(tag, ..)) = self.unacked[at].get(which) else {
                    let error =
                        self.channels[at].settle(&[(u64::MAX, multiple)], how, &mut wakes).unwrap_err();
                    assert_eq!(error.kind(), Kind::PreconditionFailed);
                    return;
                };
                self.channels[at].settle(&[(tag, multiple)], how, &mut wakes).unwrap();
                let settled: Vec<u32> = match multiple {
                    true => self.unacked[at].drain(..=which).map(|(_, id, _)| id).collect(),
                    false => vec![self.unacked[at].remove(which).1],
                };
                if how == Settle::Requeue {
                    self.ready.extend(settled);
                }
            }
            Act::Cancel(at) => {
                assert_eq!(self.channels[at].cancel("c", &mut wakes).is_some(), self.consuming[at]);
                self.consuming[at] = false;
            }
            Act::Get(at) => {
                let got = self.channels[at].get("q", false, &mut wakes).unwrap();
                let first = self.ready.pop_first();
                assert_eq!(got.as_ref().map(|got| id(&got.message)), first);
                if let (Some(got), Some(first)) = (got, first) {
                    assert_eq!(got.remaining, self.ready.len() as u64);
                    assert_eq!(got.redelivered, !self.delivered.insert(first));
                    self.unacked[at].push((got.tag, first, 0));
                }
            }
            Act::Recover(at) => {
                self.channels[at].recover(true, &mut wakes).unwrap();
                self.ready.extend(self.unacked[at].drain(..).map(|(_, id, _)| id));
            }
            Act::Close(at) => {
                self.channels[at].close(&mut wakes);
                self.channels[at] = Self::fresh(&self.session);
                self.consuming[at] = false;
                self.ready.extend(self.unacked[at].drain(..).map(|(_, id, _)| id));
            }
            Act::Purge => {
                assert_eq!(self.publisher.purge_queue("q").unwrap(), self.ready.len() as u64);
                self.ready.clear();
            }
        }
    }

    /// Takes what was delivered, and checks it: the first of what was ready, each to one channel, in order,
    /// marked if it had been delivered before, and nobody above his prefetch.
    fn check(&mut self, act: &Act) {
        let mut given = BTreeSet::new();
        for at in 0..3 {
            let mut last = None;
            for delivery in take(&self.channels[at]) {
                let id = id(&delivery.message);
                assert!(given.insert(id), "{act:?}: {id} delivered twice");
                assert!(last.is_none_or(|last| last < id), "{act:?}: out of order");
                last = Some(id);
                assert_eq!(delivery.redelivered, !self.delivered.insert(id), "{act:?}: mark of {id}");
                self.unacked[at].push((delivery.tag, id, self.consumer[at]));
            }
            assert_eq!(self.channels[at].unacked(), self.unacked[at].len());
        }
        for id in &given {
            assert_eq!(self.ready.pop_first(), Some(*id), "{act:?}: the first ready goes first");
        }
        let info = self.publisher.check_queue("q").unwrap();
        let unacked: usize = self.unacked.iter().map(Vec::len).sum();
        assert_eq!((info.messages, info.unacked), (self.ready.len() as u64, unacked as u64), "{act:?}");
        for at in (0..3).filter(|&at| self.consuming[at]) {
            let held = self.unacked[at].iter().filter(|(.., by)| *by == self.consumer[at]).count();
            assert!(held <= PREFETCH, "{act:?}: {at} got more than it may");
            assert!(self.ready.is_empty() || held == PREFETCH, "{act:?}: {at} could take more");
        }
    }
}

fn id(message: &crate::message::Message) -> u32 {
    u32::from_be_bytes(message.body().try_into().unwrap())
}

proptest! {
    #[test]
    fn every_message_is_in_one_place_and_leaves_in_order(acts in acts()) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
            world.check(act);
        }
    }
}

#[test]
fn two_consumers_share_five_tasks_in_turn() {
    let session = session();
    let mut publisher = channel(&session);
    publisher.declare_queue("tasks", QueueOptions::default()).unwrap();
    let mut workers = [channel(&session), channel(&session)];
    for worker in &mut workers {
        consume(worker, "tasks").unwrap();
    }
    for task in 1..=5 {
        send(&mut publisher, "", "tasks", &[task]);
    }
    assert_eq!(bodies(&workers[0]), [1, 3, 5]);
    assert_eq!(bodies(&workers[1]), [2, 4]);
}

#[test]
fn a_limit_of_the_channel_counts_all_its_consumers() {
    let session = session();
    let mut publisher = channel(&session);
    let mut worker = channel(&session);
    worker.qos(0, 3, true, &mut Wakes::default()).unwrap();
    for queue in ["a", "b"] {
        publisher.declare_queue(queue, QueueOptions::default()).unwrap();
        consume(&mut worker, queue).unwrap();
        for body in 0..3 {
            send(&mut publisher, "", queue, &[body]);
        }
    }
    let taken = take(&worker);
    assert_eq!(taken.len(), 3);
    worker.settle(&[(taken[0].tag, false)], Settle::Ack, &mut Wakes::default()).unwrap();
    assert_eq!(take(&worker).len(), 1);
}

#[test]
fn consumers_of_a_limited_channel_take_turns_even_if_one_acknowledges_fast() {
    let session = session();
    let mut publisher = channel(&session);
    publisher.declare_queue("q", QueueOptions::default()).unwrap();
    let mut worker = channel(&session);
    worker.qos(0, 1, true, &mut Wakes::default()).unwrap();
    let consumers =
        [consume(&mut worker, "q").unwrap().consumer, consume(&mut worker, "q").unwrap().consumer];
    for task in 0..4 {
        send(&mut publisher, "", "q", &[task]);
    }
    let mut turns = Vec::new();
    for _ in 0..4 {
        let taken = take(&worker);
        turns.push(taken[0].consumer);
        worker.settle(&[(taken[0].tag, false)], Settle::Ack, &mut Wakes::default()).unwrap();
    }
    assert_eq!(turns, [consumers[0], consumers[1], consumers[0], consumers[1]]);
}

#[test]
fn a_consumer_that_does_not_read_holds_up_nobody_else() {
    let session = session();
    let mut publisher = channel(&session);
    publisher.declare_exchange("all", "fanout", ExchangeOptions::new(crate::routing::Kind::Fanout)).unwrap();
    let mut readers = [channel(&session), channel(&session)];
    for (reader, queue) in readers.iter_mut().zip(["idle", "busy"]) {
        publisher.declare_queue(queue, QueueOptions::default()).unwrap();
        let arguments = &Table::default();
        let binding = Binding { source: "all", destination: queue, routing_key: "", arguments };
        publisher.bind_queue(binding, &mut Wakes::default()).unwrap();
        let options = ConsumeOptions { queue, no_ack: true, ..ConsumeOptions::default() };
        reader.consume(&options, &mut Wakes::default()).unwrap();
    }
    let (mut idle, mut busy) = (0, 0);
    for _ in 0..40_000 {
        send(&mut publisher, "all", "", b"x");
        busy += take(&readers[1]).len();
    }
    assert_eq!(busy, 40_000);
    assert!(publisher.check_queue("idle").unwrap().messages > 30_000, "what does not fit waits in the queue");
    loop {
        let taken = take(&readers[0]).len();
        idle += taken;
        if taken == 0 {
            break;
        }
    }
    assert_eq!(idle, 40_000);
}

#[test]
fn an_auto_delete_queue_goes_with_its_last_consumer_and_takes_its_bindings_along() {
    let session = session();
    let mut first = channel(&session);
    let options = QueueOptions { auto_delete: true, ..QueueOptions::default() };
    first.declare_queue("q", options).unwrap();
    let arguments = &Table::default();
    first
        .bind_queue(
            Binding { source: "amq.fanout", destination: "q", routing_key: "", arguments },
            &mut Wakes::default(),
        )
        .unwrap();
    let mut second = channel(&session);
    consume(&mut first, "q").unwrap();
    consume(&mut second, "q").unwrap();
    drop(second);
    assert!(send(&mut first, "amq.fanout", "", b"x"), "one consumer is left");
    first.close(&mut Wakes::default());
    let mut third = channel(&session);
    assert!(!send(&mut third, "amq.fanout", "", b"x"));
    assert_eq!(third.check_queue("q").unwrap_err().reply_text(), "NOT_FOUND - no queue 'q' in vhost '/'");
}

#[test]
fn exclusive_queues_are_their_sessions_own_and_go_with_it() {
    let broker = Broker::new(Options::default());
    let (owner, other) = (broker.open("/", "guest").unwrap(), broker.open("/", "guest").unwrap());
    let mut mine = channel(&owner);
    mine.declare_queue("mine", QueueOptions { exclusive: true, ..QueueOptions::default() }).unwrap();
    let mut theirs = channel(&other);
    assert_eq!(theirs.check_queue("mine").unwrap_err().kind(), Kind::ResourceLocked);
    drop(mine);
    assert!(theirs.check_queue("mine").is_err(), "its channel is not its session");
    drop(owner);
    assert_eq!(theirs.check_queue("mine").unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn a_message_that_several_bindings_and_exchanges_match_is_in_a_queue_once() {
    let session = session();
    let mut channel = channel(&session);
    channel.declare_queue("q", QueueOptions::default()).unwrap();
    channel.declare_exchange("up", "topic", ExchangeOptions::new(crate::routing::Kind::Topic)).unwrap();
    let arguments = &Table::default();
    for (source, routing_key) in [("up", "#"), ("up", "a.*"), ("amq.topic", "a.b"), ("amq.topic", "*.b")] {
        channel
            .bind_queue(Binding { source, destination: "q", routing_key, arguments }, &mut Wakes::default())
            .unwrap();
    }
    for (source, destination) in [("up", "amq.topic"), ("amq.topic", "up")] {
        channel
            .bind_exchange(
                Binding { source, destination, routing_key: "#", arguments },
                &mut Wakes::default(),
            )
            .unwrap();
    }
    send(&mut channel, "up", "a.b", b"x");
    assert_eq!(channel.check_queue("q").unwrap().messages, 1);
}

#[test]
fn an_exchange_without_a_match_hands_on_to_its_alternate() {
    let session = session();
    let mut channel = channel(&session);
    let mut options = ExchangeOptions::new(crate::routing::Kind::Direct);
    options.arguments.insert("alternate-exchange", Value::LongString("amq.fanout".into()));
    channel.declare_exchange("main", "direct", options).unwrap();
    channel.declare_queue("rest", QueueOptions::default()).unwrap();
    let arguments = &Table::default();
    let binding = Binding { source: "amq.fanout", destination: "rest", routing_key: "", arguments };
    channel.bind_queue(binding, &mut Wakes::default()).unwrap();
    assert!(send(&mut channel, "main", "nowhere", b"x"));
    assert_eq!(channel.check_queue("rest").unwrap().messages, 1);
}

#[test]
fn a_route_that_a_channel_remembers_is_forgotten_when_the_topology_changes() {
    let session = session();
    let (mut publisher, mut declarer) = (channel(&session), channel(&session));
    assert!(!send(&mut publisher, "", "late", b"1"));
    declarer.declare_queue("late", QueueOptions::default()).unwrap();
    assert!(send(&mut publisher, "", "late", b"2"));
    declarer.delete_queue("late", false, false, &mut Wakes::default()).unwrap();
    assert!(!send(&mut publisher, "", "late", b"3"));
}

#[test]
fn a_direct_reply_reaches_the_asking_channel_only() {
    let session = session();
    let (mut asker, mut server) = (channel(&session), channel(&session));
    server.declare_queue("rpc", QueueOptions::default()).unwrap();
    let pseudo = "amq.rabbitmq.reply-to";
    let options = ConsumeOptions { queue: pseudo, no_ack: true, ..ConsumeOptions::default() };
    asker.consume(&options, &mut Wakes::default()).unwrap();
    let properties = crate::wire::PropertiesView::EMPTY.with_reply_to(pseudo);
    let publish = Publish {
        exchange: "",
        routing_key: "rpc",
        mandatory: false,
        properties: &properties,
        body: Body::Slice(b"?"),
    };
    asker.publish(publish, &mut Wakes::default()).unwrap();
    asker.flush(&mut Wakes::default());
    let request = server.get("rpc", true, &mut Wakes::default()).unwrap().unwrap();
    let address = request.message.properties().reply_to().unwrap().to_owned();
    assert!(address.len() > pseudo.len() + 20, "{address} cannot be guessed");
    assert!(send(&mut server, "", &address, b"!"));
    assert_eq!(bodies(&asker), [b'!']);
    drop(asker);
    assert!(!send(&mut server, "", &address, b"late"));
}

#[test]
fn the_queues_of_a_limited_channel_take_turns() {
    let session = session();
    let (mut publisher, mut reader) = (channel(&session), channel(&session));
    reader.qos(0, 1, true, &mut Wakes::default()).unwrap();
    for queue in ["a", "b", "c"] {
        publisher.declare_queue(queue, QueueOptions::default()).unwrap();
        (0..3).for_each(|_| assert!(send(&mut publisher, "", queue, queue.as_bytes())));
        consume(&mut reader, queue).unwrap();
    }
    let mut order = Vec::new();
    while let [delivery] = &take(&reader)[..] {
        order.push(delivery.message.body()[0]);
        reader.settle(&[(delivery.tag, false)], Settle::Ack, &mut Wakes::default()).unwrap();
    }
    assert_eq!(order, *b"abcabcabc");
}
