//! A queue: messages in order, and a ring of consumers that take turns.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::consumer::{Consumer, Turn};
use super::next_id;
use super::outbox::{Event, Resumed, Wakes};
use crate::error::{Error, Kind, Result};
use crate::message::Message;
use crate::wire::table::Table;

/// How a queue is declared.
#[derive(Clone, Debug, Default)]
pub struct QueueOptions {
    /// Survives the broker.
    pub durable: bool,
    /// Belongs to the connection that declares it, and goes with it.
    pub exclusive: bool,
    /// Goes when its last consumer does.
    pub auto_delete: bool,
    /// `x-` arguments.
    pub arguments: Table,
}

/// What `queue.declare-ok` and listings say.
#[derive(Clone, Debug)]
pub struct QueueInfo {
    /// The queue's name.
    pub name: Arc<str>,
    /// Messages that are ready to be delivered.
    pub messages: u64,
    /// Messages that are delivered and not yet acknowledged.
    pub unacked: u64,
    /// Its consumers.
    pub consumers: u64,
}

/// A queue. Data under a short lock, not a task: whoever publishes or settles does the handing out.
pub struct Queue {
    pub(super) id: u64,
    pub(super) name: Arc<str>,
    pub(super) vhost: Arc<str>,
    pub(super) options: QueueOptions,
    /// The session that owns it, when it is exclusive.
    pub(super) owner: Option<u64>,
    /// Counted apart from the state, so that acks that free nobody's credit need not lock the queue.
    unacked: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    deleted: bool,
    /// The position of the first of `ready`; those behind it follow without gaps.
    head: u64,
    ready: VecDeque<Message>,
    /// What came back, by position. Deliveries leave in order, so these stand before all of `ready`.
    returned: BTreeMap<u64, Message>,
    consumers: Vec<Arc<Consumer>>,
    /// Those that may have credit, in turn.
    ring: VecDeque<Arc<Consumer>>,
    /// One consumer has it to itself (`basic.consume` with exclusive set).
    exclusive: bool,
}

impl State {
    fn len(&self) -> usize {
        self.ready.len() + self.returned.len()
    }

    fn pop(&mut self) -> Option<(u64, Message, bool)> {
        if let Some((position, message)) = self.returned.pop_first() {
            return Some((position, message, true));
        }
        let message = self.ready.pop_front()?;
        self.head += 1;
        Some((self.head - 1, message, false))
    }

    /// Puts a consumer behind those of its priority and before those of lower ones.
    fn line_up(&mut self, consumer: Arc<Consumer>) {
        let behind = self.ring.iter().rev().take_while(|other| other.priority < consumer.priority).count();
        self.ring.insert(self.ring.len() - behind, consumer);
    }

    /// Hands out what can be: round robin among the consumers that accept, as RabbitMQ does.
    fn dispatch(&mut self, unacked: &AtomicU64, wakes: &mut Wakes) {
        while self.len() > 0
            && let Some(consumer) = self.ring.pop_front()
        {
            let mut outbox = consumer.outbox.lock();
            let alone = self.ring.front().is_none_or(|next| next.priority < consumer.priority);
            let turn = if alone { usize::MAX } else { 1 };
            let (mut given, mut tell, mut parked) = (0, false, false);
            while given < turn && self.len() > 0 {
                if !outbox.accepts(consumer.slot) {
                    parked = true;
                    break;
                }
                if let Some((position, message, redelivered)) = self.pop() {
                    tell |= outbox.deliver(consumer.slot, position, message, redelivered);
                    given += 1;
                }
            }
            drop(outbox);
            if !consumer.no_ack {
                unacked.fetch_add(given as u64, Relaxed);
            }
            if tell {
                wakes.add(&consumer.outbox);
            }
            match parked {
                true => consumer.set_turn(Turn::Parked),
                false => self.line_up(consumer),
            }
        }
    }
}

impl Queue {
    pub(super) fn new(name: &str, vhost: &Arc<str>, options: QueueOptions, owner: Option<u64>) -> Arc<Self> {
        Arc::new(Queue {
            id: next_id(),
            name: name.into(),
            vhost: vhost.clone(),
            options,
            owner,
            unacked: AtomicU64::new(0),
            state: Mutex::default(),
        })
    }

    /// The queue's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// As error texts name it.
    pub(super) fn label(&self) -> String {
        format!("queue '{}' in vhost '{}'", self.name, self.vhost)
    }

    /// Counts of messages and consumers.
    pub fn info(&self) -> QueueInfo {
        let state = self.state.lock();
        QueueInfo {
            name: self.name.clone(),
            messages: state.len() as u64,
            unacked: self.unacked.load(Relaxed),
            consumers: state.consumers.len() as u64,
        }
    }

    /// Refuses any session but the owner's (405, as RabbitMQ's `rabbit_amqqueue:check_exclusive_access`).
    pub(super) fn check_access(&self, session: u64, operation: &'static str) -> Result<()> {
        match self.owner {
            Some(owner) if owner != session => Err(self.locked(operation)),
            _ => Ok(()),
        }
    }

    pub(super) fn locked(&self, operation: &'static str) -> Error {
        let reason = format!(
            "cannot obtain exclusive access to locked {}. It could be originally declared on another connection \
             or the exclusive property value does not match that of the original declaration.",
            self.label()
        );
        Error::new(Kind::ResourceLocked, operation, reason).on(self.label())
    }

    /// Adds messages and hands out what consumers take. False when the queue was deleted meanwhile.
    pub(super) fn publish(&self, messages: impl Iterator<Item = Message>, wakes: &mut Wakes) -> bool {
        let mut state = self.state.lock();
        if state.deleted {
            return false;
        }
        state.ready.extend(messages);
        state.dispatch(&self.unacked, wakes);
        true
    }

    /// Takes the first message for `basic.get`, numbering and remembering it on the channel of `outbox`:
    /// delivery tag, message, whether it was delivered before, and how many are left.
    pub(super) fn get(
        self: &Arc<Self>,
        outbox: &super::Outbox,
        no_ack: bool,
    ) -> Option<(u64, Message, bool, u64)> {
        let mut state = self.state.lock();
        let (position, message, redelivered) = state.pop()?;
        let mut outbox = outbox.lock();
        let place = if no_ack { u32::MAX } else { outbox.slots.for_get(self) };
        let tag = outbox.track(place, position, &message);
        if !no_ack {
            self.unacked.fetch_add(1, Relaxed);
        }
        Some((tag, message, redelivered, state.len() as u64))
    }

    /// Counts deliveries as settled, and puts back those that are to be requeued.
    pub(super) fn settled(&self, count: u64, requeued: Vec<(u64, Message)>, wakes: &mut Wakes) {
        self.unacked.fetch_sub(count, Relaxed);
        if requeued.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        if !state.deleted {
            state.returned.extend(requeued);
            state.dispatch(&self.unacked, wakes);
        }
    }

    /// Parked consumers take messages again.
    pub(super) fn resume(&self, consumers: Resumed, wakes: &mut Wakes) {
        let mut state = self.state.lock();
        for consumer in consumers {
            if consumer.turn() == Turn::Parked {
                consumer.set_turn(Turn::InRing);
                state.line_up(consumer);
            }
        }
        state.dispatch(&self.unacked, wakes);
    }

    /// Adds a consumer to the ring.
    pub(super) fn add_consumer(
        &self,
        consumer: &Arc<Consumer>,
        exclusive: bool,
        wakes: &mut Wakes,
    ) -> Result<()> {
        let mut state = self.state.lock();
        if state.deleted {
            return Err(not_found("basic.consume", &self.name, &self.vhost));
        }
        if state.exclusive || (exclusive && !state.consumers.is_empty()) {
            let reason = format!("{} in exclusive use", self.label());
            return Err(Error::new(Kind::AccessRefused, "basic.consume", reason).on(self.label()));
        }
        state.exclusive = exclusive;
        consumer.set_turn(Turn::InRing);
        state.consumers.push(consumer.clone());
        state.line_up(consumer.clone());
        state.dispatch(&self.unacked, wakes);
        Ok(())
    }

    /// Takes a consumer out; true when it was the last one.
    pub(super) fn remove_consumer(&self, consumer: &Arc<Consumer>) -> bool {
        let mut state = self.state.lock();
        let before = state.consumers.len();
        consumer.set_turn(Turn::Gone);
        state.consumers.retain(|other| !Arc::ptr_eq(other, consumer));
        state.ring.retain(|other| !Arc::ptr_eq(other, consumer));
        if state.consumers.is_empty() {
            state.exclusive = false;
        }
        before > 0 && state.consumers.is_empty()
    }

    /// Drops what is ready; how many that were.
    pub(super) fn purge(&self) -> u64 {
        let mut state = self.state.lock();
        let returned = std::mem::take(&mut state.returned);
        let ready = std::mem::take(&mut state.ready);
        state.head += ready.len() as u64;
        drop(state); // freeing many messages takes long; nobody need wait for it
        (returned.len() + ready.len()) as u64
    }

    /// Whether it may be deleted on these terms.
    pub(super) fn check_unneeded(&self, if_unused: bool, if_empty: bool) -> Result<()> {
        let state = self.state.lock();
        let obstacle = match () {
            () if if_unused && !state.consumers.is_empty() => "in use",
            () if if_empty && state.len() > 0 => "not empty",
            () => return Ok(()),
        };
        let reason = format!("{} {obstacle}", self.label());
        Err(Error::new(Kind::PreconditionFailed, "queue.delete", reason).on(self.label()))
    }

    /// Ends the queue: its consumers are told. How many messages were ready.
    pub(super) fn delete(&self, wakes: &mut Wakes) -> u64 {
        let (consumers, returned, ready) = {
            let mut state = self.state.lock();
            state.deleted = true;
            state.ring.clear();
            state.consumers.iter().for_each(|consumer| consumer.set_turn(Turn::Gone));
            (
                std::mem::take(&mut state.consumers),
                std::mem::take(&mut state.returned),
                std::mem::take(&mut state.ready),
            )
        };
        for consumer in consumers {
            let mut outbox = consumer.outbox.lock();
            if outbox.slots.remove(consumer.slot).is_some()
                && outbox.push(Event::Cancelled { consumer: consumer.slot, tag: consumer.tag.clone() })
            {
                wakes.add(&consumer.outbox);
            }
        }
        (returned.len() + ready.len()) as u64
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `NOT_FOUND - no queue 'x' in vhost '/'`.
pub(super) fn not_found(operation: &'static str, queue: &str, vhost: &str) -> Error {
    Error::new(Kind::NotFound, operation, format!("no queue '{queue}' in vhost '{vhost}'"))
        .on(format!("queue '{queue}' in vhost '{vhost}'"))
        .advise("declare the queue first, or check its name")
}
