//! Consumers: as a queue's ring holds them ([`Consumer`]), and as their channel counts them ([`Slots`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::outbox::{Outbox, Resumed};
use super::queue::{Ahead, Offset, Queue};

/// A consumer in its queue's ring.
pub(super) struct Consumer {
    pub(super) tag: Arc<str>,
    pub(super) outbox: Arc<Outbox>,
    /// Its place on the channel.
    pub(super) slot: u32,
    pub(super) no_ack: bool,
    /// Those of a higher one are served first.
    pub(super) priority: i64,
    /// When its deliveries must be acknowledged, in milliseconds; None for what the queue says.
    pub(super) timeout: Option<u64>,
    /// Where it begins to read a stream.
    pub(super) offset: Offset,
    /// The next offset that it reads; changed only under the queue's lock.
    pub(super) cursor: AtomicU64,
    /// What it reads from where that is not in memory; changed only under the queue's lock.
    pub(super) ahead: Mutex<Ahead>,
    pub(super) queue: Arc<Queue>,
    /// That of its channel.
    pub(super) session: u64,
    turn: AtomicU8,
}

/// On what terms a consumer gets messages.
pub(super) struct Terms {
    pub(super) session: u64,
    pub(super) no_ack: bool,
    /// The most that may be unacked; 0 is no limit.
    pub(super) prefetch: u32,
    pub(super) priority: i64,
    /// `x-consumer-timeout`, in milliseconds.
    pub(super) timeout: Option<u64>,
    /// `x-stream-offset`
    pub(super) offset: Offset,
}

/// Where a consumer stands with its queue; changed only under the queue's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Turn {
    /// Not added yet, or removed.
    Gone,
    /// Its turn comes.
    InRing,
    /// It had no credit or no room when its turn came, and waits until its channel resumes it.
    Parked,
    /// Another consumer is the single active one.
    StandingBy,
}

impl Consumer {
    pub(super) fn turn(&self) -> Turn {
        match self.turn.load(Relaxed) {
            1 => Turn::InRing,
            2 => Turn::Parked,
            3 => Turn::StandingBy,
            _ => Turn::Gone,
        }
    }

    pub(super) fn set_turn(&self, turn: Turn) {
        self.turn.store(turn as u8, Relaxed);
    }
}

/// What a channel knows of one consumer, or of its `basic.get`s on one queue.
pub(super) struct Slot {
    pub(super) queue: Arc<Queue>,
    /// None for `basic.get`, and once the consumer was cancelled.
    consumer: Option<Arc<Consumer>>,
    /// It counts `basic.get`s, which the channel's limit does not (`rabbit_channel:notify_limiter`).
    get: bool,
    pub(super) no_ack: bool,
    /// The most that may be unacked; 0 is no limit.
    pub(super) prefetch: u32,
    pub(super) outstanding: u32,
    /// The queue took it out of its ring because it had no credit or no room.
    pub(super) parked: bool,
}

/// The consumers of a channel by their places, which are used again when nothing refers to them.
#[derive(Default)]
pub(super) struct Slots {
    slots: Vec<Option<Slot>>,
    /// Those that their queues have put aside, in the order in which they were.
    parked: Vec<u32>,
    /// Who was lent to last: those parked behind it go on first, so that on a channel with a limit all have turns.
    last: u32,
    /// Unacked over all consumers, those that were cancelled too.
    pub(super) outstanding: u32,
}

impl Slots {
    fn put(&mut self, slot: Slot) -> u32 {
        match self.slots.iter().position(Option::is_none) {
            Some(free) => {
                self.slots[free] = Some(slot);
                free as u32
            }
            None => {
                self.slots.push(Some(slot));
                self.slots.len() as u32 - 1
            }
        }
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    /// Makes a consumer with a place on this channel.
    pub(super) fn add(
        &mut self,
        queue: &Arc<Queue>,
        outbox: &Arc<Outbox>,
        tag: &Arc<str>,
        terms: Terms,
    ) -> Arc<Consumer> {
        let Terms { session, no_ack, prefetch, priority, timeout, offset } = terms;
        let slot = Slot {
            queue: queue.clone(),
            consumer: None,
            get: false,
            no_ack,
            prefetch,
            outstanding: 0,
            parked: false,
        };
        let index = self.put(slot);
        let consumer = Arc::new(Consumer {
            tag: tag.clone(),
            outbox: outbox.clone(),
            slot: index,
            no_ack,
            priority,
            timeout,
            offset,
            cursor: AtomicU64::new(0),
            ahead: Mutex::default(),
            queue: queue.clone(),
            session,
            turn: AtomicU8::new(Turn::Gone as u8),
        });
        if let Some(slot) = self.get_mut(index) {
            slot.consumer = Some(consumer.clone());
        }
        consumer
    }

    /// The place that counts `basic.get`s on this queue.
    pub(super) fn for_get(&mut self, queue: &Arc<Queue>) -> u32 {
        let known = self
            .slots
            .iter()
            .position(|slot| slot.as_ref().is_some_and(|slot| slot.get && Arc::ptr_eq(&slot.queue, queue)));
        known.map_or_else(
            || {
                self.put(Slot {
                    queue: queue.clone(),
                    consumer: None,
                    get: true,
                    no_ack: false,
                    prefetch: 0,
                    outstanding: 0,
                    parked: false,
                })
            },
            |index| index as u32,
        )
    }

    /// Counts one delivery out; true when it must be acknowledged.
    pub(super) fn lend(&mut self, index: u32) -> bool {
        match self.get_mut(index) {
            Some(slot) if !slot.no_ack => {
                slot.outstanding += 1;
                self.outstanding += u32::from(!slot.get);
                self.last = index;
                true
            }
            _ => false,
        }
    }

    /// Counts one delivery back.
    pub(super) fn give_back(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index as usize).and_then(Option::as_mut) {
            self.outstanding -= u32::from(!slot.get);
            slot.outstanding -= 1;
            self.free_if_unused(index);
        }
    }

    /// Takes the consumer off its place. The place stays until its last delivery is settled.
    pub(super) fn remove(&mut self, index: u32) -> Option<Arc<Consumer>> {
        let slot = self.get_mut(index)?;
        let consumer = slot.consumer.take();
        if std::mem::replace(&mut slot.parked, false) {
            self.parked.retain(|parked| *parked != index);
        }
        self.free_if_unused(index);
        consumer
    }

    fn free_if_unused(&mut self, index: u32) {
        let place = &mut self.slots[index as usize];
        if place.as_ref().is_some_and(|slot| slot.consumer.is_none() && slot.outstanding == 0) {
            *place = None;
        }
    }

    pub(super) fn park(&mut self, index: u32) {
        if let Some(slot) = self.get_mut(index)
            && !std::mem::replace(&mut slot.parked, true)
        {
            self.parked.push(index);
        }
    }

    pub(super) fn any_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    /// Those that were parked and have credit of their own.
    pub(super) fn unpark(&mut self, resumed: &mut Resumed) {
        if let Some(place) = self.parked.iter().position(|&index| index == self.last) {
            self.parked.rotate_left(place + 1);
        }
        let slots = &mut self.slots;
        self.parked.retain(|&index| {
            let Some(slot) = slots.get_mut(index as usize).and_then(Option::as_mut) else { return false };
            let credit = slot.no_ack || slot.prefetch == 0 || slot.outstanding < slot.prefetch;
            if credit {
                slot.parked = false;
                resumed.extend(slot.consumer.clone());
            }
            !credit
        });
    }
}
