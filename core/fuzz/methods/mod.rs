//! Whatever clients do, in whatever order: sequences of methods, valid and invalid, over several connections and
//! channels of a broker whose clock is held. Nothing panics, what is written can be read and makes sense
//! ([`peer`]), and when everybody has gone and everything is deleted, nothing is left ([`World::settle`]).
//!
//! A new feature joins in by an entry in [`acts`]: an argument, a property, a method, or something that is done
//! to the broker itself.

mod acts;
mod choices;
mod peer;

use std::sync::Arc;
use std::time::Duration;

use warrenmq::broker::{Alarm, Broker, ConsumeOptions, Options, Outlet, QueueKind, Wakes};
use warrenmq::clock::Clock;
use warrenmq::memory;

#[allow(unused_imports)] // each of the two programs that include this has its own source
pub(crate) use choices::{Bytes, Choices, Seeded};
use peer::Peer;

/// How many connections there are at a time.
const PEERS: usize = 3;

/// A broker, and those who are connected to it.
pub(crate) struct World {
    broker: Arc<Broker>,
    clock: Clock,
    peers: Vec<Peer>,
    /// Bytes of messages in this process before there was any.
    base: usize,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Clock::held(1_700_000_000_000);
        // A small limit for bodies, so that it is met.
        let options = Options { clock: clock.clone(), max_message_size: 20_000, ..Options::default() };
        let broker = Broker::new(options);
        let peers = (0..PEERS).map(|_| Peer::open(&broker)).collect();
        World { base: memory::held(), broker, clock, peers }
    }

    /// Others at the same broker, for another thread.
    #[allow(dead_code)] // the fuzzer has one thread
    pub(crate) fn others(&self) -> World {
        let peers = (0..PEERS).map(|_| Peer::open(&self.broker)).collect();
        World { broker: self.broker.clone(), clock: self.clock.clone(), peers, base: self.base }
    }

    /// Does something for as long as there are choices.
    pub(crate) fn play(&mut self, choices: &mut impl Choices) {
        acts::found(self, choices);
        while choices.more() {
            acts::act(self, choices);
        }
    }

    /// Everybody goes; whoever is left behind, and whatever, is a leak.
    pub(crate) fn settle(mut self) {
        self.peers.clear();
        for alarm in [Alarm::Memory, Alarm::Disk] {
            self.broker.set_alarm(alarm, false);
        }
        assert!(self.broker.sessions().is_empty(), "sessions outlive their connections");
        let vhost = self.broker.vhost("/").expect("it is never deleted");
        for queue in vhost.queues() {
            let name = &queue.info.name;
            assert_eq!((queue.info.unacked, queue.info.consumers), (0, 0), "left behind in {name}");
            assert!(!queue.options.exclusive, "{name} outlives its connection");
        }
        for policy in self.broker.policies() {
            self.broker.clear_policy(&policy.vhost, &policy.name).expect("it is there");
        }
        self.drain_and_delete();
        // What was dead-lettered meanwhile, or waited for its turn.
        self.clock.advance(Duration::from_secs(100_000));
        self.broker.run_due();
        self.drain_and_delete();
        drop(vhost);
        assert_eq!(memory::held(), self.base, "messages that nobody has");
        assert_eq!(Arc::strong_count(&self.broker), 1, "somebody holds on to the broker");
    }

    /// Takes everything out of every queue, which must then say that it is empty, and deletes what there is.
    fn drain_and_delete(&self) {
        self.broker.run_due();
        let vhost = self.broker.vhost("/").expect("it is never deleted");
        let session = self.broker.open("/", "guest").expect("guest may");
        let mut channel = session.channel(Box::new(Deaf)).expect("no limit is set");
        let mut wakes = Wakes::default();
        for queue in vhost.queues() {
            let name = &*queue.info.name;
            if queue.kind == QueueKind::Stream {
                let options = ConsumeOptions { queue: name, ..ConsumeOptions::default() };
                drop(channel.consume(&options, &mut wakes)); // which needs a prefetch, and is refused
                continue;
            }
            loop {
                match channel.get(name, true, &mut wakes) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => break, // of a queue with a single active consumer
                }
            }
        }
        for queue in vhost.queues() {
            let empty = (queue.info.messages, queue.info.unacked, queue.message_bytes) == (0, 0, 0);
            // Where a get is refused, and where dead letters wait for somebody to take them.
            let keeps = ["x-single-active-consumer", "x-dead-letter-strategy"];
            let keeps = keeps.iter().any(|name| queue.options.arguments.get(name).is_some());
            assert!(empty || keeps || queue.kind == QueueKind::Stream, "drained, and not empty: {queue:?}");
            drop(channel.delete_queue(&queue.info.name, false, false, &mut wakes));
        }
        for delayed in vhost.delayed() {
            vhost.cancel_delayed(delayed.id);
        }
        for exchange in vhost.exchanges().iter().filter(|exchange| !exchange.name.starts_with("amq.")) {
            drop(channel.delete_exchange(&exchange.name, false));
        }
    }
}

/// Nobody need be told: nothing is delivered.
struct Deaf;

impl Outlet for Deaf {
    fn ready(&self) {}
}
