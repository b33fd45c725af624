//! Any interleaving of publishing, delivering, settling, expiring, dead-lettering and deleting, against a model
//! that knows where each message is: each is in exactly one place, and it is the right one.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::rules::{START, Stage, number, text};
use super::*;

/// What the broker is told of each queue, and the model goes by. `a` is short and forgets fast and gives up to
/// `dead`; `b` has patience for one return and gives up to `a`; `dead` keeps.
struct Terms {
    name: &'static str,
    ttl: Option<u64>,
    max_length: usize,
    delivery_limit: u16,
    dead_letters: Option<usize>,
}

const TERMS: [Terms; 3] = [
    Terms { name: "a", ttl: Some(50), max_length: 4, delivery_limit: u16::MAX, dead_letters: Some(2) },
    Terms { name: "b", ttl: None, max_length: usize::MAX, delivery_limit: 1, dead_letters: Some(0) },
    Terms { name: "dead", ttl: None, max_length: usize::MAX, delivery_limit: u16::MAX, dead_letters: None },
];

/// Deliveries that a consumer may have unacked.
const CREDIT: usize = 2;
/// Per-message expiration and delay. Time goes by tens, so that what is delayed comes between what expires.
const EXPIRATION: u64 = 30;
const DELAY: u64 = 45;

#[derive(Clone, Debug)]
enum Act {
    Publish { queue: usize, expires: bool },
    Delay { queue: usize },
    Pass(u64),
    Consume(usize),
    Cancel(usize),
    Get(usize),
    Settle { reader: usize, which: usize, how: Settle },
    Close(usize),
    Purge(usize),
    Delete(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let how = prop_oneof![2 => Just(Settle::Ack), 2 => Just(Settle::Reject), 3 => Just(Settle::Requeue)];
    let act = prop_oneof![
        8 => (0..3_usize, any::<bool>()).prop_map(|(queue, expires)| Act::Publish { queue, expires }),
        2 => (0..2_usize).prop_map(|queue| Act::Delay { queue }),
        4 => (1..4_u64).prop_map(|tens| Act::Pass(tens * 10)),
        2 => (0..3_usize).prop_map(Act::Consume),
        1 => (0..3_usize).prop_map(Act::Cancel),
        4 => (0..3_usize).prop_map(Act::Get),
        8 => (0..3_usize, 0..4_usize, how).prop_map(|(reader, which, how)| Act::Settle { reader, which, how }),
        1 => (0..3_usize).prop_map(Act::Close),
        1 => (0..3_usize).prop_map(Act::Purge),
        1 => (0..3_usize).prop_map(Act::Delete),
    ];
    prop::collection::vec(act, 1..80)
}

#[derive(Clone, Debug, PartialEq)]
struct Held {
    id: u32,
    expires: u64,
    returns: u16,
}

#[derive(Clone, Debug)]
struct Unacked {
    id: u32,
    /// Which queue it came from, and which life of that queue.
    queue: (usize, u32),
    position: u64,
    held: Held,
    /// It counts against the credit of the reader's consumer.
    consumed: bool,
}

#[derive(Default)]
struct Model {
    now: u64,
    ready: [BTreeMap<u64, Held>; 3],
    /// How often each queue was deleted.
    life: [u32; 3],
    next_position: u64,
    /// Of reader `n`, which consumes from queue `n` and fetches from any, in the order of delivery.
    unacked: [Vec<Unacked>; 3],
    consuming: [bool; 3],
    delayed: Vec<(u64, usize, u32)>,
    /// Target and message: they arrive when the queues have done what they do, in the order in which they were given up.
    letters: VecDeque<(usize, u32)>,
}

impl Model {
    fn publish(&mut self, queue: usize, id: u32, expires: bool) {
        let own = expires.then_some(EXPIRATION);
        let ttl = own.into_iter().chain(TERMS[queue].ttl).min();
        let held = Held { id, expires: ttl.map_or(u64::MAX, |ttl| self.now + ttl), returns: 0 };
        self.ready[queue].insert(self.next_position, held);
        self.next_position += 1;
        self.deliver(queue);
        self.trim(queue);
    }

    fn trim(&mut self, queue: usize) {
        while self.ready[queue].len() > TERMS[queue].max_length {
            self.drop_first(queue);
        }
    }

    fn give_up(&mut self, queue: usize, held: Held) {
        self.letters.extend(TERMS[queue].dead_letters.map(|target| (target, held.id)));
    }

    fn send_letters(&mut self) {
        while let Some((target, id)) = self.letters.pop_front() {
            self.publish(target, id, false);
        }
    }

    fn deliver(&mut self, queue: usize) {
        while self.consuming[queue]
            && self.unacked[queue].iter().filter(|unacked| unacked.consumed).count() < CREDIT
            && let Some((_, first)) = self.ready[queue].first_key_value()
        {
            // What expires at this very moment may yet be taken.
            match first.expires < self.now {
                true => self.drop_first(queue),
                false => self.take(queue, queue, true).map_or((), drop),
            }
        }
    }

    fn drop_first(&mut self, queue: usize) {
        if let Some((_, first)) = self.ready[queue].pop_first() {
            self.give_up(queue, first);
        }
    }

    fn drop_expired(&mut self, queue: usize) {
        while self.ready[queue].first_key_value().is_some_and(|(_, first)| first.expires <= self.now) {
            self.drop_first(queue);
        }
    }

    fn get(&mut self, queue: usize, reader: usize) -> Option<u32> {
        self.drop_expired(queue);
        self.take(queue, reader, false)
    }

    fn take(&mut self, queue: usize, reader: usize, consumed: bool) -> Option<u32> {
        let (position, held) = self.ready[queue].pop_first()?;
        let id = held.id;
        let queue = (queue, self.life[queue]);
        self.unacked[reader].push(Unacked { id, queue, position, held, consumed });
        Some(id)
    }

    /// What happens to one delivery that is given back; what it sets free is handed out by the caller.
    fn give_back(&mut self, unacked: Unacked, how: Settle) {
        let Unacked { queue: (queue, life), position, mut held, .. } = unacked;
        if how == Settle::Ack || self.life[queue] != life {
            return;
        }
        if how == Settle::Requeue {
            held.returns += 1;
            if held.returns <= TERMS[queue].delivery_limit {
                self.ready[queue].insert(position, held);
                return;
            }
        }
        self.give_up(queue, held);
    }

    fn settle(&mut self, reader: usize, all: Vec<Unacked>, how: Settle) {
        // Queue by queue, in the order in which they are first met.
        let mut queues: Vec<usize> = Vec::new();
        for unacked in &all {
            if !queues.contains(&unacked.queue.0) {
                queues.push(unacked.queue.0);
            }
        }
        for &queue in &queues {
            for unacked in all.iter().filter(|unacked| unacked.queue.0 == queue) {
                self.give_back(unacked.clone(), how);
            }
            // What came back can be too much, or too late.
            self.trim(queue);
            let here = (queue, self.life[queue]);
            if how != Settle::Ack && all.iter().any(|unacked| unacked.queue == here) {
                self.drop_expired(queue);
            }
            self.deliver(queue);
        }
        self.deliver(reader);
    }

    /// What arrives somewhere can push aside what kept others from expiring: on until nothing changes.
    fn expire(&mut self) {
        loop {
            let before = self.next_position;
            for queue in 0..TERMS.len() {
                self.drop_expired(queue);
                self.send_letters();
            }
            self.delayed.sort_unstable();
            while self.delayed.first().is_some_and(|(due, ..)| *due <= self.now) {
                let (_, queue, id) = self.delayed.remove(0);
                self.publish(queue, id, false);
                self.send_letters();
            }
            if self.next_position == before {
                return;
            }
        }
    }
}

struct World {
    stage: Stage,
    session: Session,
    readers: Vec<Channel>,
    /// Tags of the readers' deliveries, in the order of the model's.
    tags: [Vec<(u64, u32)>; 3],
    model: Model,
    published: u32,
}

fn id(message: &crate::message::Message) -> u32 {
    u32::from_be_bytes(message.body().try_into().unwrap())
}

impl World {
    fn new() -> Self {
        let stage = Stage::new();
        let session = stage.broker.open("/", "guest").unwrap();
        let readers = (0..3).map(|_| Self::reader(&session)).collect();
        let model = Model { now: START, ..Model::default() };
        let mut world = World { stage, session, readers, tags: Default::default(), model, published: 0 };
        (0..TERMS.len()).for_each(|queue| world.declare(queue));
        world
    }

    fn reader(session: &Session) -> Channel {
        let mut reader = channel(session);
        reader.qos(0, CREDIT as u16, false, &mut Wakes::default()).unwrap();
        reader
    }

    fn declare(&mut self, queue: usize) {
        let Terms { name, ttl, max_length, delivery_limit, dead_letters } = TERMS[queue];
        let mut arguments = Vec::new();
        arguments.extend(ttl.map(|ttl| ("x-message-ttl", number(ttl as i64))));
        if max_length != usize::MAX {
            arguments.push(("x-max-length", number(max_length as i64)));
        }
        if delivery_limit != u16::MAX {
            arguments.push(("x-delivery-limit", number(delivery_limit.into())));
        }
        if let Some(target) = dead_letters {
            arguments.push(("x-dead-letter-exchange", text("")));
            arguments.push(("x-dead-letter-routing-key", text(TERMS[target].name)));
        }
        self.stage.queue(name, &arguments);
    }

    fn publish(&mut self, queue: usize, delay: bool, expires: bool) -> u32 {
        let id = self.published;
        self.published += 1;
        let headers = [("x-delay", number(DELAY as i64))];
        let headers = if delay { &headers[..] } else { &[] };
        let expiration = if expires { EXPIRATION.to_string() } else { String::new() };
        self.stage.send_with("", TERMS[queue].name, headers, &expiration, &id.to_be_bytes());
        id
    }

    fn act(&mut self, act: &Act) {
        let mut wakes = Wakes::default();
        match *act {
            Act::Publish { queue, expires } => {
                let id = self.publish(queue, false, expires);
                self.model.publish(queue, id, expires);
            }
            Act::Delay { queue } => {
                let id = self.publish(queue, true, false);
                self.model.delayed.push((self.model.now + DELAY, queue, id));
            }
            Act::Pass(time) => {
                for _ in 0..time / 5 {
                    self.stage.pass(5);
                    self.model.now += 5;
                    self.model.expire();
                }
            }
            Act::Consume(queue) => {
                let options =
                    ConsumeOptions { queue: TERMS[queue].name, tag: "c", ..ConsumeOptions::default() };
                let added = self.readers[queue].consume(&options, &mut wakes).is_ok();
                assert_eq!(added, !self.model.consuming[queue]);
                // A consumer's credit is its own: what an earlier one has unacked does not count.
                if added {
                    self.model.unacked[queue].iter_mut().for_each(|unacked| unacked.consumed = false);
                }
                self.model.consuming[queue] = true;
                self.model.deliver(queue);
            }
            Act::Cancel(queue) => {
                self.readers[queue].cancel("c", &mut wakes);
                self.model.consuming[queue] = false;
            }
            Act::Get(queue) => {
                let reader = (queue + 1) % 3;
                let got = self.readers[reader].get(TERMS[queue].name, false, &mut wakes).unwrap();
                let expected = self.model.get(queue, reader);
                assert_eq!(got.as_ref().map(|got| id(&got.message)), expected);
                self.collect();
                self.tags[reader].extend(got.map(|got| (got.tag, id(&got.message))));
                self.tags[reader].sort_unstable();
            }
            Act::Settle { reader, which, how } => {
                self.collect();
                if which < self.tags[reader].len() {
                    let (tag, id) = self.tags[reader].remove(which);
                    self.readers[reader].settle(&[(tag, false)], how, &mut wakes).unwrap();
                    let index =
                        self.model.unacked[reader].iter().position(|unacked| unacked.id == id).unwrap();
                    let unacked = self.model.unacked[reader].remove(index);
                    wakes.run();
                    self.model.settle(reader, vec![unacked], how);
                }
            }
            Act::Close(reader) => {
                self.readers[reader].close(&mut wakes);
                self.readers[reader] = Self::reader(&self.session);
                self.tags[reader].clear();
                self.model.consuming[reader] = false;
                let all = std::mem::take(&mut self.model.unacked[reader]);
                wakes.run();
                self.model.settle(reader, all, Settle::Requeue);
            }
            Act::Purge(queue) => {
                self.stage.channel.purge_queue(TERMS[queue].name).unwrap();
                self.model.ready[queue].clear();
            }
            Act::Delete(queue) => {
                self.stage.channel.delete_queue(TERMS[queue].name, false, false, &mut wakes).unwrap();
                self.declare(queue);
                self.model.ready[queue].clear();
                self.model.life[queue] += 1;
                self.model.consuming[queue] = false;
            }
        }
    }

    /// Takes what the readers were sent.
    fn collect(&mut self) {
        for (reader, tags) in self.readers.iter().zip(&mut self.tags) {
            tags.extend(take(reader).iter().map(|delivery| (delivery.tag, id(&delivery.message))));
        }
    }

    fn check(&mut self) {
        self.model.send_letters();
        // What this act let to the head of a queue, and should have gone before, goes now.
        self.stage.broker.run_due();
        self.model.expire();
        self.collect();
        for (queue, terms) in TERMS.iter().enumerate() {
            assert_eq!(
                self.stage.ready(terms.name),
                self.model.ready[queue].len() as u64,
                "ready in {}",
                terms.name
            );
        }
        for (tags, unacked) in self.tags.iter().zip(&self.model.unacked) {
            let mut expected: Vec<_> = unacked.iter().map(|unacked| unacked.id).collect();
            let mut held: Vec<_> = tags.iter().map(|(_, id)| *id).collect();
            expected.sort_unstable();
            held.sort_unstable();
            assert_eq!(held, expected, "unacked");
        }
        let delayed = self.stage.broker.vhost("/").unwrap().delayed();
        assert_eq!(delayed.len(), self.model.delayed.len());
    }

    /// What is ready, message by message.
    fn check_ready(&mut self) {
        self.readers.clear();
        // Those first that give up to others.
        for queue in [1, 0, 2] {
            let expected: Vec<_> = std::iter::from_fn(|| self.model.get(queue, 0)).collect();
            self.model.send_letters();
            let name = TERMS[queue].name;
            let ready: Vec<_> =
                std::iter::from_fn(|| self.stage.get(name)).map(|message| id(&message)).collect();
            assert_eq!(ready, expected, "in {name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn each_message_is_in_exactly_one_place(acts in acts()) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
            world.check();
        }
        // Before the readers end: what they have unacked would come back.
        for queue in 0..TERMS.len() {
            world.act(&Act::Cancel(queue));
        }
        for reader in 0..TERMS.len() {
            world.collect();
            while !world.tags[reader].is_empty() {
                world.act(&Act::Settle { reader, which: 0, how: Settle::Ack });
            }
        }
        world.check();
        world.check_ready();
    }
}
