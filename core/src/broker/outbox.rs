//! A channel as its queues see it: where deliveries go, and how many more it takes.
//!
//! A queue puts a delivery straight into the consumer's outbox, under the queue's lock and then this
//! one; the connection's writer, or the reader in this process, takes them out in batches. There is no
//! task and no mailbox between publisher and consumer.

mod held;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

use super::channel::Confirmed;
use super::consumer::{Consumer, Slots};
use super::dead_letter::Letter;
use super::queue::{Entry, Position, Queue};
use super::store::Store;
use crate::error::{Error, Kind, Result};
use crate::message::Message;
pub(super) use held::Held;

/// Bodies that wait to be taken, in bytes: beyond it a queue keeps its messages and the consumer is
/// parked until the outbox has been emptied. A consumer that does not read slows only itself.
const BYTES_WAITING: usize = 1 << 20;
/// And the same in messages.
const EVENTS_WAITING: usize = 8192;

/// What comes out of an outbox.
#[derive(Debug)]
pub enum Event {
    /// A message for a consumer.
    Deliver(Delivery),
    /// The broker ended a consumer, because its queue is gone.
    Cancelled {
        /// The consumer's place on the channel.
        consumer: u32,
        /// The consumer's tag.
        tag: Arc<str>,
    },
    /// Publishes of this channel are on the disk, or were refused. In a box, as events are to be small: thousands of
    /// deliveries wait in an outbox.
    Confirmed(Box<Confirmed>),
}

/// A message on its way to a consumer.
#[derive(Debug)]
pub struct Delivery {
    /// Numbers deliveries on one channel, from 1.
    pub tag: u64,
    /// The consumer's place on the channel, as [`super::Channel::consume`] returned it.
    pub consumer: u32,
    /// It was delivered before.
    pub redelivered: bool,
    /// The message.
    pub message: Message,
}

/// Whom to tell that an outbox has something.
pub trait Outlet: Send + Sync {
    /// Called when an empty outbox has become non-empty, once until it was emptied again, with no lock
    /// of the broker held. Must neither block nor panic.
    fn ready(&self);
}

/// A delivery that waits for its acknowledgement.
struct Unacked {
    tag: u64,
    /// Its place in the queue, to which a requeue puts it back.
    position: Position,
    expires: u64,
    consumer: u32,
    returns: u16,
    /// It was not acknowledged in time and is back in its queue. What is left is its consumer's credit, which
    /// a late acknowledgement frees: who is too slow gets nothing more meanwhile.
    lapsed: bool,
    /// None once it is settled: a hole that goes when those before it are settled, or when holes prevail.
    message: Option<Message>,
}

impl Unacked {
    fn is_hole(&self) -> bool {
        self.message.is_none() && !self.lapsed
    }

    /// Leaves a hole in the delivery's place; None where there is one.
    fn settle(&mut self) -> Option<Unacked> {
        if self.is_hole() {
            return None;
        }
        Some(Unacked { message: self.message.take(), lapsed: std::mem::take(&mut self.lapsed), ..*self })
    }
}

/// The channel's end of its queues; shared by the channel and by the consumers in the queues' rings.
pub struct Outbox {
    state: Mutex<State>,
    outlet: Box<dyn Outlet>,
}

pub(super) struct State {
    /// How many confirms wait for the disk.
    unstored: usize,
    closed: bool,
    /// The outlet has been told and has not yet emptied the events.
    armed: bool,
    next_tag: u64,
    events: VecDeque<Event>,
    bytes: usize,
    unacked: VecDeque<Unacked>,
    holes: usize,
    /// Limit over all consumers of the channel (`basic.qos` with global set); 0 is none.
    prefetch: u32,
    pub(super) slots: Slots,
}

/// What one consumer, or `basic.get` on one queue, gave back in one call.
pub(super) struct Settled {
    pub(super) queue: Arc<Queue>,
    pub(super) count: u64,
    /// Those that are not acknowledged, in the order of their tags.
    pub(super) entries: Vec<(Position, Entry, Settle)>,
    /// Those that are, if the queue's messages are kept.
    pub(super) acked: Vec<Position>,
}

/// How deliveries are given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// Done.
    Ack,
    /// Refused, and not to be tried again.
    Reject,
    /// Back to their places in their queues.
    Requeue,
}

pub(super) type Batch = SmallVec<[Settled; 2]>;
pub(super) type Resumed = SmallVec<[Arc<Consumer>; 4]>;

impl Outbox {
    pub(super) fn new(outlet: Box<dyn Outlet>) -> Arc<Self> {
        let state = State {
            unstored: 0,
            closed: false,
            armed: false,
            next_tag: 1,
            events: VecDeque::new(),
            bytes: 0,
            unacked: VecDeque::new(),
            holes: 0,
            prefetch: 0,
            slots: Slots::default(),
        };
        Arc::new(Outbox { state: Mutex::new(state), outlet })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Moves what waits into `into`, up to about `bytes` of bodies; says whether more waits. Consumers
    /// that were parked because the outbox was full go on.
    pub fn take(&self, bytes: usize, into: &mut Vec<Event>, wakes: &mut Wakes) -> bool {
        self.empty(wakes, |state| {
            if state.bytes <= bytes {
                state.bytes = 0;
                into.extend(state.events.drain(..));
                return;
            }
            let mut taken = 0;
            while taken < bytes
                && let Some(event) = state.events.pop_front()
            {
                taken += weight(&event);
                into.push(event);
            }
            state.bytes = state.bytes.saturating_sub(taken);
        })
    }

    /// Moves at most `count` events into `into`; says whether more wait.
    pub fn take_some(&self, count: usize, into: &mut Vec<Event>, wakes: &mut Wakes) -> bool {
        self.empty(wakes, |state| {
            let count = count.min(state.events.len());
            let mut bytes = 0;
            into.extend(state.events.drain(..count).inspect(|event| bytes += weight(event)));
            state.bytes = state.bytes.saturating_sub(bytes);
        })
    }

    /// Moves what was delivered before this tag into `into`.
    pub fn take_before(&self, tag: u64, into: &mut Vec<Event>, wakes: &mut Wakes) {
        self.empty(wakes, |state| {
            let earlier =
                |event: &mut Event| !matches!(event, Event::Deliver(delivery) if delivery.tag > tag);
            while let Some(event) = state.events.pop_front_if(earlier) {
                state.bytes = state.bytes.saturating_sub(weight(&event));
                into.push(event);
            }
        });
    }

    fn empty(&self, wakes: &mut Wakes, take: impl FnOnce(&mut State)) -> bool {
        let (more, resumed) = {
            let mut state = self.state.lock();
            take(&mut state);
            state.armed = !state.events.is_empty();
            (state.armed, state.resume())
        };
        resume(resumed, wakes);
        more
    }

    /// Whether confirms wait for the disk: later ones must not overtake them, as a client may be told of several at
    /// once.
    pub(super) fn awaits_store(&self) -> bool {
        self.state.lock().unstored > 0
    }

    /// Confirms publishes when they are on the disk, or refuses them when they could not be brought there.
    pub(super) fn confirm_when_stored(self: &Arc<Self>, store: &dyn Store, mut confirmed: Confirmed) {
        self.state.lock().unstored += 1;
        let outbox = self.clone();
        store.when_stored(Box::new(move |stored| {
            if let Err(error) = stored {
                tracing::error!(%error, "publishes refused");
                confirmed.refuse_all();
            }
            let tell = {
                let mut state = outbox.state.lock();
                state.unstored -= 1;
                state.push(Event::Confirmed(Box::new(confirmed)))
            };
            if tell {
                outbox.outlet.ready();
            }
        }));
    }

    /// Whether something waits to be taken.
    pub fn is_empty(&self) -> bool {
        self.state.lock().events.is_empty()
    }
}

/// Puts consumers back into the rings of their queues: those of one queue together, so that they are in turn
/// before the first of them gets anything.
pub(super) fn resume(mut resumed: Resumed, wakes: &mut Wakes) {
    while let Some(queue) = resumed.first().map(|consumer| consumer.queue.clone()) {
        let (here, elsewhere) =
            resumed.into_iter().partition(|consumer| Arc::ptr_eq(&consumer.queue, &queue));
        queue.resume(here, wakes);
        resumed = elsewhere;
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

fn weight(event: &Event) -> usize {
    match event {
        Event::Deliver(delivery) => delivery.message.body().len(),
        Event::Cancelled { .. } | Event::Confirmed(_) => 0,
    }
}

impl State {
    /// Whether the consumer takes one more message now; if not, it is parked until [`State::resume`].
    pub(super) fn accepts(&mut self, consumer: u32) -> bool {
        let room = !self.closed && self.bytes < BYTES_WAITING && self.events.len() < EVENTS_WAITING;
        let prefetch = self.prefetch;
        let outstanding = self.slots.outstanding;
        let Some(slot) = self.slots.get_mut(consumer) else { return false };
        // The channel's limit stops also those who acknowledge nothing (`rabbit_limiter`, `can_send`).
        let credit = (slot.no_ack || slot.prefetch == 0 || slot.outstanding < slot.prefetch)
            && (prefetch == 0 || outstanding < prefetch);
        let accepts = room && credit;
        if !accepts {
            self.slots.park(consumer);
        }
        accepts
    }

    /// Adds a delivery for a consumer that [`State::accepts`] it: its tag, and whether the outlet must be told.
    pub(super) fn deliver(
        &mut self,
        consumer: u32,
        position: Position,
        entry: Entry,
        redelivered: bool,
    ) -> (u64, bool) {
        let tag = self.track(consumer, position, &entry);
        let redelivered = redelivered || entry.message.is_sent_again();
        let message = entry.into_shown(false);
        self.bytes += message.body().len();
        (tag, self.push(Event::Deliver(Delivery { tag, consumer, redelivered, message })))
    }

    /// Numbers a delivery and, unless its consumer acknowledges nothing, remembers it.
    pub(super) fn track(&mut self, consumer: u32, position: Position, entry: &Entry) -> u64 {
        let tag = self.next_tag;
        self.next_tag += 1;
        if self.slots.lend(consumer) {
            self.unacked.push_back(Unacked {
                tag,
                position,
                expires: entry.expires,
                consumer,
                returns: entry.returns,
                lapsed: false,
                message: Some(entry.message.clone()),
            });
        }
        tag
    }

    /// Adds an event; true when the outlet must be told.
    pub(super) fn push(&mut self, event: Event) -> bool {
        if self.closed {
            return false;
        }
        self.events.push_back(event);
        !std::mem::replace(&mut self.armed, true)
    }

    /// The consumers that were parked and have credit and room again.
    pub(super) fn resume(&mut self) -> Resumed {
        let mut resumed = Resumed::new();
        // Half empty before anyone goes on, so that a reader and a publisher do not take turns at one message each.
        if !self.slots.any_parked()
            || self.closed
            || self.bytes > BYTES_WAITING / 2
            || self.events.len() > EVENTS_WAITING / 2
        {
            return resumed;
        }
        if self.prefetch != 0 && self.slots.outstanding >= self.prefetch {
            return resumed;
        }
        self.slots.unpark(&mut resumed);
        resumed
    }

    /// The limit over the whole channel; 0 is none.
    pub(super) fn prefetch(&self) -> u32 {
        self.prefetch
    }

    /// Limits what is unacked over the whole channel.
    pub(super) fn set_prefetch(&mut self, prefetch: u32) {
        self.prefetch = prefetch;
    }

    fn find(&self, tag: u64) -> Option<usize> {
        let first = self.unacked.front()?.tag;
        let guess = tag.checked_sub(first)? as usize;
        // Tags run on without gaps unless holes were swept or some consumers acknowledge nothing.
        if self.unacked.get(guess).is_some_and(|entry| entry.tag == tag) {
            return Some(guess);
        }
        self.unacked.binary_search_by_key(&tag, |entry| entry.tag).ok()
    }

    /// Settles one delivery, or all up to and including it. A tag of 0 with `multiple` means all.
    /// Fails as RabbitMQ does when the tag is unknown (AMQP 0-9-1 reference, `basic.ack`).
    pub(super) fn settle(&mut self, tag: u64, multiple: bool, how: Settle, batch: &mut Batch) -> Result<()> {
        if multiple {
            let end = match tag {
                0 => self.unacked.len(),
                _ => self.find(tag).filter(|&i| !self.unacked[i].is_hole()).ok_or_else(|| unknown(tag))? + 1,
            };
            for _ in 0..end {
                if let Some(entry) = self.unacked.pop_front() {
                    self.holes -= usize::from(entry.is_hole());
                    self.give_back(entry, how, batch);
                }
            }
        } else {
            let index = self.find(tag).ok_or_else(|| unknown(tag))?;
            let entry = self.unacked[index].settle().ok_or_else(|| unknown(tag))?;
            self.holes += 1;
            self.give_back(entry, how, batch);
        }
        self.sweep();
        Ok(())
    }

    #[inline]
    fn sweep(&mut self) {
        while self.unacked.front().is_some_and(Unacked::is_hole) {
            self.unacked.pop_front();
            self.holes -= 1;
        }
        // One delivery that is never acked must not keep a hole for each of the millions behind it.
        if self.holes > 1024 && self.holes > self.unacked.len() / 2 {
            self.unacked.retain(|entry| !entry.is_hole());
            self.holes = 0;
        }
    }

    fn give_back(&mut self, entry: Unacked, how: Settle, batch: &mut Batch) {
        if entry.is_hole() {
            return;
        }
        let Unacked { position, expires, returns, consumer, message, .. } = entry;
        // Of one that lapsed, and is in its queue again, only the consumer's credit comes back.
        if let Some(message) = message
            && let Some(slot) = self.slots.get_mut(consumer)
        {
            // The queue is cloned once for a batch: for each ack it would cost as much as all else here.
            let index = match batch.iter().rposition(|settled| Arc::ptr_eq(&settled.queue, &slot.queue)) {
                Some(index) => index,
                None => {
                    batch.push(Settled {
                        queue: slot.queue.clone(),
                        count: 0,
                        entries: Vec::new(),
                        acked: Vec::new(),
                    });
                    batch.len() - 1
                }
            };
            batch[index].count += 1;
            if how != Settle::Ack {
                batch[index].entries.push((position, Entry { message, expires, returns }, how));
            } else if slot.queue.is_kept() {
                batch[index].acked.push(position);
            }
        }
        self.slots.give_back(consumer);
    }

    /// Ends the outbox: what was not settled is given back, what was not taken is forgotten.
    pub(super) fn close(&mut self, batch: &mut Batch) {
        self.closed = true;
        self.events.clear();
        self.bytes = 0;
        let _ = self.settle(0, true, Settle::Requeue, batch);
    }

    /// Takes back a delivery that was not acknowledged in time. Its consumer's credit stays taken.
    pub(super) fn lapse(&mut self, tag: u64) -> Option<(Position, Entry)> {
        let index = self.find(tag)?;
        let delivery = &mut self.unacked[index];
        let message = delivery.message.take()?;
        delivery.lapsed = true;
        let Unacked { position, expires, returns, .. } = *delivery;
        Some((position, Entry { message, expires, returns }))
    }

    /// The queue that a delivery came from, while it waits for its acknowledgement.
    pub(super) fn queue_of(&mut self, tag: u64) -> Option<Arc<Queue>> {
        let delivery = &self.unacked[self.find(tag)?];
        delivery.message.as_ref()?;
        let consumer = delivery.consumer;
        Some(self.slots.get_mut(consumer)?.queue.clone())
    }

    /// Whether a delivery waits for its acknowledgement.
    pub(super) fn waits(&self, tag: u64) -> bool {
        self.find(tag).is_some_and(|index| self.unacked[index].message.is_some())
    }

    /// Deliveries that wait for their acknowledgement.
    pub(super) fn unacked(&self) -> usize {
        self.unacked.len() - self.holes
    }
}

fn unknown(tag: u64) -> Error {
    Error::new(Kind::PreconditionFailed, "basic.ack", format!("unknown delivery tag {tag}"))
        .advise("acknowledge each delivery once, on the channel that it came by")
}

/// What remains to be done once the broker's locks are released: outlets to be told, dead letters to be sent.
#[derive(Default)]
pub struct Wakes {
    outboxes: SmallVec<[Arc<Outbox>; 4]>,
    letters: Vec<Letter>,
}

impl Wakes {
    pub(super) fn add(&mut self, outbox: &Arc<Outbox>) {
        self.outboxes.push(outbox.clone());
    }

    pub(super) fn post(&mut self, letter: Letter) {
        self.letters.push(letter);
    }

    /// Does it.
    ///
    /// A letter can have its target give up others; they are sent after it, in the order in which they were posted.
    ///
    /// An outlet that is told takes from its outbox, which can make room for more deliveries and so wake
    /// others. Those wait until it is done, so that a long row of consumers cannot exhaust the stack.
    pub fn run(&mut self) {
        thread_local! {
            static WAITING: RefCell<Option<Vec<Arc<Outbox>>>> = const { RefCell::new(None) };
        }
        while !self.letters.is_empty() {
            for letter in std::mem::take(&mut self.letters) {
                letter.send(self);
            }
        }
        if self.outboxes.is_empty() {
            return;
        }
        let outermost = WAITING.with_borrow_mut(|waiting| match waiting {
            Some(waiting) => {
                waiting.extend(self.outboxes.drain(..));
                false
            }
            None => {
                *waiting = Some(Vec::new());
                true
            }
        });
        if !outermost {
            return;
        }
        for outbox in self.outboxes.drain(..) {
            outbox.outlet.ready();
        }
        while let Some(outbox) = WAITING.with_borrow_mut(|waiting| waiting.as_mut().and_then(Vec::pop)) {
            outbox.outlet.ready();
        }
        WAITING.set(None);
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        self.run();
    }
}

impl fmt::Debug for Wakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wakes").field(&self.outboxes.len()).finish()
    }
}
