//! A queue: messages in order, and a ring of consumers that take turns.
//!
//! What comes in is in [`admit`], how it goes out in [`ring`], what is given up in [`lapse`]. A message is at any
//! time in exactly one place: in the queue's [`Lines`], unacked in an outbox, or as a
//! [`Letter`](super::dead_letter::Letter) on its way to another queue.

mod admit;
mod deadlines;
mod duplicates;
mod handover;
mod keep;
mod lapse;
mod line;
mod lines;
mod log;
mod ring;
mod rules;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use duplicates::Duplicates;
pub(super) use lines::{Entry, Position};
pub(super) use log::{Ahead, Offset, milliseconds};
pub(super) use rules::DeadLetters;

use super::arrived::Arrived;
use super::consumer::{Consumer, Turn};
use super::dead_letter::Reason;
use super::outbox::{Event, Settle, Settled, Wakes};
use super::policy::Effective;
use super::timers::{NEVER, Timers};
use super::vhost::Vhost;
use super::{Outbox, next_id};
use crate::error::{Error, Kind, Result};
use crate::message::Message;
use crate::wire::table::{Table, Value};
use deadlines::Deadlines;
pub(super) use handover::Inherited;
pub(super) use keep::{Budget, Shelves, carried_of, queue_of_overflow};
use keep::{Contents, Kept};
pub(crate) use keep::{ids_of, is_overflow};
use lines::Lines;
use log::Log;
use rules::Rules;

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

/// What `queue.declare-ok` says.
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

/// What listings say of a queue.
#[derive(Clone, Debug)]
pub struct QueueStatus {
    /// As `queue.declare-ok` says it.
    pub info: QueueInfo,
    /// How it was declared.
    pub options: QueueOptions,
    /// Its type.
    pub kind: QueueKind,
    /// What policies say of it: their names, and the settings that come of them.
    pub effective: Effective,
    /// Bytes of the bodies of the messages that are ready.
    pub message_bytes: u64,
    /// What it has done since the broker was started.
    pub counts: QueueCounts,
}

/// Messages that have gone through a queue since the broker was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Numbers the queues of this broker: another one that gets the same name later has another.
    pub id: u64,
    /// Those that it took.
    pub published: u64,
    /// Deliveries, those that came again too.
    pub delivered: u64,
    /// Deliveries that were acknowledged. Those that need no acknowledgement are not among them.
    pub acknowledged: u64,
}

/// Counted under the queue's lock, which is held anyway. What was acknowledged follows from these, so that
/// acknowledging, which often needs no lock, costs nothing more.
#[derive(Default)]
struct Counts {
    published: u64,
    delivered: u64,
    /// Deliveries that are to be acknowledged.
    lent: u64,
    /// Those that were rejected or came back.
    returned: u64,
}

impl Counts {
    /// Counts deliveries of one run.
    fn deliver(&mut self, count: u64, no_ack: bool) {
        self.delivered += count;
        self.lent += if no_ack { 0 } else { count };
    }
}

/// The type of a queue (`x-queue-type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueKind {
    /// The default.
    #[default]
    Classic,
    /// Replicated in RabbitMQ. On one node: a durable queue that is confirmed once it is on disk, and whose
    /// messages count their deliveries.
    Quorum,
    /// A log that is read again and again.
    Stream,
}

impl QueueKind {
    /// Its name, as in `x-queue-type`.
    pub const fn name(self) -> &'static str {
        match self {
            QueueKind::Classic => "classic",
            QueueKind::Quorum => "quorum",
            QueueKind::Stream => "stream",
        }
    }

    /// The type that the arguments of a declaration ask for.
    pub(crate) fn of(arguments: &Table) -> Self {
        match arguments.get("x-queue-type") {
            Some(Value::LongString(name)) if &name[..] == b"quorum" => QueueKind::Quorum,
            Some(Value::LongString(name)) if &name[..] == b"stream" => QueueKind::Stream,
            _ => QueueKind::Classic,
        }
    }
}

/// A queue. Data under a short lock, not a task: whoever publishes or settles does the handing out.
pub struct Queue {
    pub(super) id: u64,
    /// Its number in the store, when it is durable and the broker has one.
    pub(super) stored_id: Option<u64>,
    pub(super) name: Arc<str>,
    /// The name of its virtual host.
    pub(super) vhost: Arc<str>,
    /// Its virtual host: where its dead letters are routed.
    home: Weak<Vhost>,
    timers: Arc<Timers>,
    pub(super) options: QueueOptions,
    pub(super) kind: QueueKind,
    /// Unless told otherwise.
    delivery_limit: Option<u64>,
    /// The key of the session that owns it, when it is exclusive.
    pub(super) owner: Option<u64>,
    /// It goes with its last consumer, and has had one.
    consumed: AtomicBool,
    /// Counted apart from the state, so that acks that free nobody's credit need not lock the queue.
    unacked: AtomicU64,
    /// Where its messages are kept, if they are.
    kept: Option<Kept>,
    /// What came along from the host before, if anything did.
    arrived: Option<Arc<Arrived>>,
    state: Mutex<State>,
}

struct State {
    deleted: bool,
    /// The broker is about to be handed over.
    frozen: bool,
    counts: Counts,
    lines: Lines,
    /// The messages of a stream, which has no lines.
    log: Option<Box<Log>>,
    consumers: Vec<Arc<Consumer>>,
    /// Those that may have credit, in turn.
    ring: VecDeque<Arc<Consumer>>,
    /// One consumer has it to itself (`basic.consume` with exclusive set).
    exclusive: bool,
    rules: Rules,
    /// No rule, no de-duplication, and one line: publishing is putting at the end. What [`State::is_plain`] says,
    /// which for each message would be too slow.
    plain: bool,
    /// Only the first of the consumers gets anything (`x-single-active-consumer`).
    single_active: bool,
    duplicates: Option<Box<Duplicates>>,
    deadlines: Deadlines,
    /// Given up, but kept until the dead-letter target has them (at-least-once).
    leaving: BTreeMap<Position, Leaving>,
    /// When it was last declared, consumed from or polled, for `x-expires`; milliseconds since 1970.
    used: u64,
    /// When the timers will call; [`NEVER`] if they need not.
    alarm: u64,
}

impl State {
    /// Messages that are ready, or kept until another queue has them.
    fn len(&self) -> usize {
        self.lines.len() + self.leaving.len() + self.log.as_ref().map_or(0, |log| log.len())
    }

    /// Bytes of the bodies of those that are ready.
    fn bytes(&self) -> u64 {
        self.log.as_ref().map_or(self.lines.bytes(), |log| log.bytes())
    }

    fn is_plain(&self) -> bool {
        self.rules.plain() && self.duplicates.is_none() && self.lines.single() && self.log.is_none()
    }
}

struct Leaving {
    entry: Entry,
    reason: Reason,
    /// A letter is under way; if not, it found no taker and is to be tried again.
    sent: bool,
}

impl Queue {
    pub(super) fn new(
        name: &str,
        home: &Vhost,
        options: QueueOptions,
        policy: &Table,
        owner: Option<u64>,
        stored_id: Option<u64>,
        inherited: Option<&Inherited>,
    ) -> Result<Arc<Self>> {
        let arguments = &options.arguments;
        let highest = arguments.get("x-max-priority").and_then(Value::as_integer).unwrap_or(0);
        let highest = highest.clamp(0, 255) as u8;
        let kind = QueueKind::of(arguments);
        let place = stored_id.and_then(|id| home.shelves.as_ref().map(|shelves| shelves.place(id)));
        let id = next_id();
        let overflow = || home.shelves.as_ref().map(|shelves| shelves.overflow(id));
        let Contents { lines, log, duplicates, kept, arrived } =
            Contents::open(kind, arguments, highest, place, overflow, inherited)?;
        let limit = home.delivery_limit.filter(|_| kind == QueueKind::Quorum);
        let rules = Rules::new(kind, arguments, policy, limit);
        let mut state = State {
            deleted: false,
            frozen: false,
            counts: Counts::default(),
            plain: false,
            lines,
            log,
            consumers: Vec::new(),
            ring: VecDeque::new(),
            exclusive: false,
            rules,
            single_active: arguments.get("x-single-active-consumer") == Some(&Value::Bool(true)),
            duplicates,
            deadlines: Deadlines::default(),
            leaving: BTreeMap::new(),
            used: home.timers.now(),
            alarm: NEVER,
        };
        state.plain = state.is_plain();
        let queue = Arc::new(Queue {
            id,
            stored_id,
            name: name.into(),
            vhost: home.name.clone(),
            home: home.me.clone(),
            timers: home.timers.clone(),
            kind,
            options,
            owner,
            delivery_limit: limit,
            consumed: AtomicBool::new(false),
            unacked: AtomicU64::new(0),
            kept,
            arrived,
            state: Mutex::new(state),
        });
        let mut state = queue.state.lock();
        queue.retain(&mut state, queue.timers.now());
        queue.arm(&mut state);
        drop(state);
        Ok(queue)
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
        self.info_of(&self.state.lock())
    }

    fn info_of(&self, state: &State) -> QueueInfo {
        QueueInfo {
            name: self.name.clone(),
            messages: state.len() as u64,
            unacked: self.unacked.load(Relaxed),
            consumers: state.consumers.len() as u64,
        }
    }

    /// What listings say; `effective` is what policies say of it.
    pub(super) fn status(&self, effective: Effective) -> QueueStatus {
        let state = self.state.lock();
        QueueStatus {
            info: self.info_of(&state),
            options: self.options.clone(),
            kind: self.kind,
            effective,
            message_bytes: state.bytes(),
            counts: self.counts_of(&state),
        }
    }

    /// The sessions of its consumers, one for each.
    pub(super) fn consumers_of(&self) -> Vec<u64> {
        self.state.lock().consumers.iter().map(|consumer| consumer.session).collect()
    }

    fn counts_of(&self, state: &State) -> QueueCounts {
        let Counts { published, delivered, lent, returned } = state.counts;
        let acknowledged = lent.saturating_sub(returned + self.unacked.load(Relaxed));
        QueueCounts { id: self.id, published, delivered, acknowledged }
    }

    /// Follows another policy from now on: an effective one, with keys such as `message-ttl`. Messages that are
    /// there keep the times at which they expire.
    pub(super) fn configure(self: &Arc<Self>, policy: &Table, wakes: &mut Wakes) {
        let mut state = self.state.lock();
        state.rules = Rules::new(self.kind, &self.options.arguments, policy, self.delivery_limit);
        state.plain = state.is_plain();
        self.trim(&mut state, wakes);
        self.retain(&mut state, self.timers.now());
        self.dispatch(&mut state, wakes);
    }

    pub(super) fn is_stream(&self) -> bool {
        self.kind == QueueKind::Stream
    }

    /// Whether this is the first consumer of a queue that goes with its last one.
    pub(super) fn is_first_consumed(&self) -> bool {
        self.options.auto_delete && !self.consumed.swap(true, Relaxed)
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

    /// Declaring a queue again is using it (<https://www.rabbitmq.com/docs/ttl#queue-ttl>).
    pub(super) fn touch(&self) {
        self.state.lock().used = self.timers.now();
    }

    /// Takes the first message for `basic.get`, numbering and remembering it on the channel of `outbox`:
    /// delivery tag, message, whether it was delivered before, and how many are left.
    pub(super) fn get(
        self: &Arc<Self>,
        outbox: &Arc<Outbox>,
        no_ack: bool,
        wakes: &mut Wakes,
    ) -> Option<(u64, Message, bool, u64)> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.used = self.timers.now();
        self.drop_expired(state, state.used, wakes);
        let (position, entry, redelivered) = state.lines.pop()?;
        let redelivered = redelivered || entry.message.is_sent_again();
        state.counts.deliver(1, no_ack);
        match no_ack {
            true => self.forget(position),
            false => state.lines.mark_delivered(),
        }
        let tag = {
            let mut outbox = outbox.lock();
            let place = if no_ack { u32::MAX } else { outbox.slots.for_get(self) };
            outbox.track(place, position, &entry)
        };
        if !no_ack {
            self.unacked.fetch_add(1, Relaxed);
            if let Some(timeout) = state.rules.consumer_timeout {
                state.deadlines.add(self.timers.end(state.used, timeout), outbox, tag);
            }
        }
        self.arm(state);
        Some((tag, entry.into_shown(self.kind == QueueKind::Quorum), redelivered, state.lines.len() as u64))
    }

    /// Counts deliveries as settled, and puts back or gives up what is to be.
    pub(super) fn settled(self: &Arc<Self>, settled: Settled, wakes: &mut Wakes) {
        let Settled { count, entries, acked, .. } = settled;
        self.unacked.fetch_sub(count, Relaxed);
        if self.is_stream() {
            return;
        }
        self.forget_all(acked);
        if entries.is_empty() {
            return;
        }
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.deleted {
            return;
        }
        state.counts.returned += entries.len() as u64;
        for (position, entry, how) in entries {
            match how {
                Settle::Requeue => self.take_back(state, position, entry, wakes),
                Settle::Reject | Settle::Ack => self.give_up(state, position, entry, Reason::Rejected, wakes),
            }
        }
        // What came back can be too much, or too late (`rabbit_amqqueue_process:requeue_and_run`).
        self.trim(state, wakes);
        if state.lines.any_mortal() {
            self.drop_expired(state, self.timers.now(), wakes);
        }
        self.dispatch(state, wakes);
    }

    /// Drops what is ready; how many that were.
    pub(super) fn purge(&self) -> u64 {
        let mut state = self.state.lock();
        let count = state.lines.len();
        let taken = state.lines.clear();
        drop(state); // freeing many messages takes long; nobody need wait for it
        drop(taken);
        count as u64
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
        let mut state = self.state.lock();
        state.deleted = true;
        state.ring.clear();
        state.consumers.iter().for_each(|consumer| consumer.set_turn(Turn::Gone));
        let consumers = std::mem::take(&mut state.consumers);
        let count = state.len();
        state.lines.end();
        let messages = (state.lines.clear(), std::mem::take(&mut state.leaving), state.log.take());
        drop(state);
        drop(messages);
        if let Some(kept) = &self.kept {
            kept.delete();
        }
        for consumer in consumers {
            let mut outbox = consumer.outbox.lock();
            if outbox.slots.remove(consumer.slot).is_some()
                && outbox.push(Event::Cancelled { consumer: consumer.slot, tag: consumer.tag.clone() })
            {
                wakes.add(&consumer.outbox);
            }
        }
        count as u64
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
