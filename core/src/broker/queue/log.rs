//! A stream: messages that stay when they have been read (`x-queue-type: stream`,
//! <https://www.rabbitmq.com/docs/streams>). Each consumer reads on from an offset of its own; an acknowledgement
//! only gives it credit. Messages go when the stream is longer or they are older than it is to keep.
//!
//! RabbitMQ drops whole segments and so keeps somewhat more than it was told; here retention is exact.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::lines::Entry;
use super::{NEVER, Queue, State, Wakes};
use crate::broker::consumer::Turn;
use crate::broker::store::{Journal, Recovered, read_all};
use crate::error::{Error, Kind, Result};
use crate::message::Message;
use crate::wire::table::{Table, Value};

/// Where a consumer of a stream begins (`x-stream-offset`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::broker) enum Offset {
    First,
    /// With the last message there is.
    Last,
    /// With the next one that comes.
    #[default]
    Next,
    At(u64),
    /// With the first that came at this time (milliseconds since 1970) or later.
    Since(u64),
}

impl Offset {
    /// Reads `x-stream-offset` of `basic.consume`: `first`, `last`, `next`, a number, a timestamp, or a span before
    /// `now` such as `1h`.
    pub(in crate::broker) fn parse(arguments: &Table, now: u64) -> Result<Offset> {
        let invalid = || {
            let reason = "invalid arg 'x-stream-offset' in 'basic.consume'";
            Err(Error::new(Kind::PreconditionFailed, "basic.consume", reason)
                .advise("give first, last, next, an offset, a timestamp, or a span such as 1h"))
        };
        let text = match arguments.get("x-stream-offset") {
            None => return Ok(Offset::Next),
            Some(Value::Timestamp(seconds)) => return Ok(Offset::Since(seconds.saturating_mul(1000))),
            Some(Value::LongString(text)) => std::str::from_utf8(text).unwrap_or_default(),
            // A number before the first is the first, as in RabbitMQ.
            Some(value) => match value.as_integer() {
                Some(offset) => return Ok(Offset::At(offset.try_into().unwrap_or(0))),
                None => return invalid(),
            },
        };
        match text {
            "first" => Ok(Offset::First),
            "last" => Ok(Offset::Last),
            "next" => Ok(Offset::Next),
            span => match milliseconds(span) {
                Some(span) => Ok(Offset::Since(now.saturating_sub(span))),
                None => invalid(),
            },
        }
    }
}

/// A span as `x-max-age` has it: a number and one of Y, M, D, h, m, s.
pub(in crate::broker) fn milliseconds(span: &str) -> Option<u64> {
    let unit = span.chars().next_back()?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'D' => 86_400,
        'M' => 30 * 86_400,
        'Y' => 365 * 86_400,
        _ => return None,
    };
    span[..span.len() - unit.len_utf8()].parse::<u64>().ok()?.checked_mul(seconds * 1000)
}

/// The messages of a stream.
pub(super) struct Log {
    /// The offset of the first of `messages`; those behind it follow without gaps.
    first: u64,
    /// With the time at which each came; None in place of one that was damaged on the disk.
    messages: VecDeque<(Option<Message>, u64)>,
    bytes: u64,
    /// Where it is kept, if it is: all of it, whatever its messages' delivery mode, as in RabbitMQ.
    journal: Option<Arc<dyn Journal>>,
}

impl Log {
    pub(super) fn new() -> Self {
        Log { first: 0, messages: VecDeque::new(), bytes: 0, journal: None }
    }

    /// A stream with what its journal had.
    pub(super) fn open(journal: Arc<dyn Journal>, found: Recovered) -> Result<Self> {
        let mut log = Log { first: found.first, ..Log::new() };
        read_all(&*journal, found, |stored| {
            log.fill(stored.number);
            log.push(stored.message, stored.expires);
        })?;
        log.fill(found.next);
        log.journal = Some(journal);
        Ok(log)
    }

    /// Leaves gaps up to this offset.
    fn fill(&mut self, end: u64) {
        let came = self.messages.back().map_or(0, |(_, came)| *came);
        self.messages.extend((self.end()..end).map(|_| (None, came)));
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn end(&self) -> u64 {
        self.first + self.messages.len() as u64
    }

    fn push(&mut self, message: Message, now: u64) {
        self.bytes += message.body().len() as u64;
        if let Some(journal) = &self.journal {
            journal.append(self.end(), now, &message);
        }
        self.messages.push_back((Some(message), now));
    }

    fn pop(&mut self) {
        if let Some((message, _)) = self.messages.pop_front() {
            self.bytes -= message.map_or(0, |message| message.body().len() as u64);
            self.first += 1;
        }
    }

    /// The offset that a consumer begins with.
    pub(super) fn resolve(&self, offset: Offset) -> u64 {
        match offset {
            Offset::First => self.first,
            Offset::Last => self.end().saturating_sub(1).max(self.first),
            Offset::Next => self.end(),
            Offset::At(offset) => offset,
            Offset::Since(time) => {
                self.first + self.messages.partition_point(|(_, came)| *came < time) as u64
            }
        }
    }

    /// The message at this offset, or the first after it that is still there.
    fn read(&self, offset: u64) -> Option<(u64, Message)> {
        let offset = offset.max(self.first);
        let from = usize::try_from(offset - self.first).ok()?;
        let rest = (offset..).zip(self.messages.range(from.min(self.messages.len())..));
        rest.into_iter().find_map(|(offset, (message, _))| Some((offset, message.clone()?)))
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
        let State { log, duplicates, .. } = state;
        let Some(log) = log else { return };
        for message in messages {
            if !duplicates.as_mut().is_some_and(|duplicates| duplicates.seen(&message, now)) {
                log.push(message, now);
            }
        }
        self.retain(state, now);
        self.read_on(state, wakes);
    }

    /// Drops what a stream is not to keep.
    pub(super) fn retain(self: &Arc<Self>, state: &mut State, now: u64) {
        let State { log, rules, .. } = state;
        let Some(log) = log else { return };
        let first = log.first;
        let oldest = rules.max_age.map_or(0, |age| now.saturating_sub(age));
        // The last message stays, however long it is: its readers need an offset to go on from.
        while log.len() > 1 && rules.too_much(log.len(), log.bytes())
            || log.messages.front().is_some_and(|(_, came)| *came < oldest)
        {
            log.pop();
        }
        if let Some(journal) = &log.journal
            && log.first > first
        {
            journal.remove(std::slice::from_ref(&(first..log.first)));
        }
        let next = match (rules.max_age, log.messages.front()) {
            (Some(age), Some((_, came))) => came.saturating_add(age).saturating_add(1),
            _ => NEVER,
        };
        self.set_alarm(state, next);
    }

    /// Hands out to each consumer of a stream what it has credit for.
    pub(super) fn read_on(self: &Arc<Self>, state: &mut State, wakes: &mut Wakes) {
        let State { log, ring, .. } = state;
        let Some(log) = log else { return };
        for _ in 0..ring.len() {
            let Some(consumer) = ring.pop_front() else { return };
            let mut outbox = consumer.outbox.lock();
            let (mut given, mut tell, mut parked) = (0, false, false);
            while let Some((offset, message)) = log.read(consumer.cursor.load(Relaxed)) {
                if !outbox.accepts(consumer.slot) {
                    parked = true;
                    break;
                }
                let message = message.with_headers(|headers| {
                    headers.insert("x-stream-offset", Value::I64(offset as i64));
                });
                let entry = Entry { message, expires: NEVER, returns: 0 };
                tell |= outbox.deliver(consumer.slot, offset, entry, false).1;
                consumer.cursor.store(offset + 1, Relaxed);
                given += 1;
            }
            drop(outbox);
            self.unacked.fetch_add(given, Relaxed);
            if tell {
                wakes.add(&consumer.outbox);
            }
            match parked {
                true => consumer.set_turn(Turn::Parked),
                false => ring.push_back(consumer),
            }
        }
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
