//! A stream: messages that stay when they have been read (`x-queue-type: stream`,
//! <https://www.rabbitmq.com/docs/streams>). Each consumer reads on from an offset of its own; an acknowledgement
//! only gives it credit. Messages go when the stream is longer or they are older than it is to keep.
//!
//! In memory: all of a stream that is not kept; of one that is, its tail, up to the [`Budget`], so that who reads near
//! the end never waits for the disk. What stands before the tail is read when somebody needs it ([`older`]). So memory
//! stays flat however long the stream is, and opening it reads nothing.
//!
//! RabbitMQ drops whole segments and so keeps somewhat more than it was told; here retention is exact, but for streams
//! of which much is to go at once: that goes bit by bit, so that nobody waits for long.

mod offset;
mod older;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

pub(in crate::broker) use offset::{Offset, milliseconds};
pub(in crate::broker) use older::Ahead;

use super::duplicates::{self, Id};
use super::keep::Budget;
use super::lapse::RETRY;
use super::lines::Entry;
use super::{NEVER, Queue, State, Wakes};
use crate::broker::consumer::Turn;
use crate::broker::store::{Journal, Recovered};
use crate::error::{Error, Kind, Result};
use crate::message::Message;
use crate::wire::table::Value;
use older::Older;

/// Bytes that retention drops before others have their turn.
const AT_ONCE: u64 = 4 << 20;

/// The messages of a stream.
pub(super) struct Log {
    /// The first offset that is there.
    first: u64,
    /// The newest messages, with the time at which each came.
    tail: VecDeque<(Message, u64)>,
    /// The offset of the first of `tail`; those behind it follow without gaps.
    start: u64,
    /// Bytes of the bodies in `tail`.
    bytes: u64,
    /// Bytes of memory that `tail` takes.
    in_memory: usize,
    /// Where it is kept, if it is: all of it, whatever its messages' delivery mode, as in RabbitMQ.
    older: Option<Older>,
}

impl Log {
    pub(super) fn new() -> Self {
        Log { first: 0, tail: VecDeque::new(), start: 0, bytes: 0, in_memory: 0, older: None }
    }

    /// A stream with what its journal had.
    pub(super) fn open(journal: Arc<dyn Journal>, found: Recovered, budget: Budget) -> Self {
        let older = Older::new(journal, found.bytes, budget);
        Log { first: found.first, start: found.next, older: Some(older), ..Log::new() }
    }

    pub(super) fn len(&self) -> usize {
        (self.end() - self.first) as usize
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes + self.older.as_ref().map_or(0, |older| older.bytes)
    }

    fn end(&self) -> u64 {
        self.start + self.tail.len() as u64
    }

    fn push(&mut self, message: Message, now: u64) {
        if let Some(older) = &self.older {
            older.journal.append(self.end(), now, &message);
        }
        self.bytes += message.body().len() as u64;
        self.in_memory += message.footprint();
        self.tail.push_back((message, now));
        while self.older.as_ref().is_some_and(|older| older.budget.is_spent(self.in_memory))
            && let Some(bytes) = self.shorten()
            && let Some(older) = &mut self.older
        {
            older.bytes += bytes;
        }
    }

    /// Takes the first message out of the tail; the bytes of its body.
    fn shorten(&mut self) -> Option<u64> {
        let (message, _) = self.tail.pop_front()?;
        let bytes = message.body().len() as u64;
        self.in_memory -= message.footprint();
        self.bytes -= bytes;
        self.start += 1;
        Some(bytes)
    }

    /// When the first message came, and the bytes of its body.
    fn oldest(&mut self) -> Result<Option<(u64, u64)>> {
        if self.first < self.start
            && let Some(older) = &mut self.older
        {
            if let Some(mark) = older.first(self.first..self.start)? {
                self.first = mark.offset;
                return Ok(Some((mark.came, mark.bytes)));
            }
            // What was counted and is not there was damaged; the store has said so.
            (self.first, older.bytes) = (self.start, 0);
        }
        Ok(self.tail.front().map(|(message, came)| (*came, message.body().len() as u64)))
    }

    /// Drops the first message, whose body has so many bytes.
    fn pop(&mut self, bytes: u64) {
        if self.first == self.start {
            self.shorten();
        } else if let Some(older) = &mut self.older {
            older.bytes = older.bytes.saturating_sub(bytes);
        }
        self.first += 1;
    }

    /// The offset that a consumer begins with.
    pub(super) fn resolve(&self, offset: Offset) -> Result<u64> {
        Ok(match offset {
            Offset::First => self.first,
            Offset::Last => self.end().saturating_sub(1).max(self.first),
            Offset::Next => self.end(),
            Offset::At(offset) => offset,
            Offset::Since(time) => match (&self.older, self.tail.partition_point(|(_, came)| *came < time)) {
                (Some(older), 0) => older.since(time, self.first..self.start)?,
                (_, before) => self.start + before as u64,
            },
        })
    }

    /// The message at this offset, or the first after it that is still there.
    fn read(&mut self, offset: u64, ahead: &mut Ahead) -> Result<Option<(u64, Message)>> {
        let mut offset = offset.max(self.first);
        loop {
            match (self.at_hand(offset, ahead), &mut self.older) {
                (None, Some(older)) if offset < self.start => {
                    offset = older.load(offset, ahead)?.min(self.start);
                }
                (found, _) => return Ok(found),
            }
        }
    }

    /// The same, as far as it is in memory.
    fn at_hand(&self, offset: u64, ahead: &Ahead) -> Option<(u64, Message)> {
        let Some(index) = offset.checked_sub(self.start) else {
            return ahead.as_ref()?.read(offset);
        };
        let (message, _) = self.tail.get(usize::try_from(index).ok()?)?;
        Some((offset, message.clone()))
    }
}

impl Queue {
    /// Adds messages to the end of a stream.
    pub(super) fn append(
        self: &Arc<Self>,
        state: &mut State,
        messages: impl Iterator<Item = Message>,
        wakes: &mut Wakes,
    ) {
        let now = self.timers.now();
        let State { log, duplicates: known, counts, .. } = state;
        let Some(log) = log else { return };
        for message in messages {
            let id = duplicates::look(known, &message, now);
            if let Id::Known = id {
                continue;
            }
            duplicates::remember(known, id, now, log.end());
            log.push(message, now);
            counts.published += 1;
        }
        self.retain(state, now);
        self.read_on(state, wakes);
    }

    /// Drops what a stream is not to keep.
    pub(super) fn retain(self: &Arc<Self>, state: &mut State, now: u64) {
        let State { log, rules, .. } = state;
        let Some(log) = log else { return };
        let before = log.first;
        let (mut gone, mut failed) = (0, None);
        let next = loop {
            // The last message stays, however long it is: its readers need an offset to go on from.
            let too_much = log.len() > 1 && rules.too_much(log.len(), log.bytes());
            if !too_much && rules.max_age.is_none() {
                break NEVER;
            }
            let (came, bytes) = match log.oldest() {
                Ok(Some(oldest)) => oldest,
                Ok(None) => break NEVER,
                Err(error) => {
                    failed = Some(error);
                    break NEVER;
                }
            };
            let until = rules.max_age.map_or(NEVER, |age| came.saturating_add(age));
            if !too_much && now <= until {
                break until.saturating_add(1);
            }
            if gone > AT_ONCE {
                break now;
            }
            log.pop(bytes);
            gone += bytes;
        };
        if let Some(older) = &log.older
            && log.first > before
        {
            older.journal.remove(std::slice::from_ref(&(before..log.first)));
        }
        self.set_alarm(state, next);
        if let Some(error) = failed {
            self.wait_for_disk(state, now, &error);
        }
    }

    /// A stream could not be read; to be tried again.
    fn wait_for_disk(self: &Arc<Self>, state: &mut State, now: u64, error: &Error) {
        let again = now + RETRY;
        if state.alarm > again {
            tracing::error!(%error, "cannot read a stream's messages");
        }
        self.set_alarm(state, again);
    }

    /// Hands out to each consumer of a stream what it has credit for.
    pub(super) fn read_on(self: &Arc<Self>, state: &mut State, wakes: &mut Wakes) {
        let mut failed = None;
        for _ in 0..state.ring.len() {
            let State { log, ring, counts, .. } = &mut *state;
            let Some(log) = log else { return };
            let Some(consumer) = ring.pop_front() else { break };
            let mut ahead = consumer.ahead.lock();
            let (mut given, mut tell, mut parked) = (0, false, false);
            while !parked {
                // Waits for the disk, if it must, before it locks the outbox.
                let mut next = match log.read(consumer.cursor.load(Relaxed), &mut ahead) {
                    Ok(Some(found)) => Some(found),
                    Ok(None) => break,
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                };
                let mut outbox = consumer.outbox.lock();
                while let Some((offset, message)) = next {
                    parked = !outbox.accepts(consumer.slot);
                    if parked {
                        break;
                    }
                    let message = message.with_headers(|headers| {
                        headers.insert("x-stream-offset", Value::I64(offset as i64));
                    });
                    let entry = Entry { message, expires: NEVER, returns: 0 };
                    tell |= outbox.deliver(consumer.slot, offset, entry, false).1;
                    consumer.cursor.store(offset + 1, Relaxed);
                    given += 1;
                    next = log.at_hand(offset + 1, &ahead);
                }
            }
            if consumer.cursor.load(Relaxed) >= log.start {
                *ahead = None;
            }
            drop(ahead);
            self.unacked.fetch_add(given, Relaxed);
            counts.deliver(given, false);
            if tell {
                wakes.add(&consumer.outbox);
            }
            match parked {
                true => consumer.set_turn(Turn::Parked),
                false => ring.push_back(consumer),
            }
        }
        if let Some(error) = failed {
            self.wait_for_disk(state, self.timers.now(), &error);
        }
    }

    /// How many messages of the stream are in memory.
    #[cfg(test)]
    pub(in crate::broker) fn in_memory(&self) -> usize {
        let state = self.state.lock();
        let log = state.log.as_ref();
        log.map_or(0, |log| log.tail.len() + log.older.as_ref().map_or(0, Older::in_memory))
    }

    /// Refuses what streams do not have (540, as RabbitMQ's `rabbit_stream_queue`).
    pub(in crate::broker) fn check_destructive(&self, operation: &'static str, what: &str) -> Result<()> {
        if !self.is_stream() {
            return Ok(());
        }
        let reason = format!("{what} not supported by stream queues {}", self.label());
        Err(Error::new(Kind::NotImplemented, operation, reason).on(self.label()))
    }
}
