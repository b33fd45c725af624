//! A queue's messages that are ready, in the order in which they are handed out: one line, or with
//! `x-max-priority` one for each priority (<https://www.rabbitmq.com/docs/priority>).

use std::collections::{BTreeMap, VecDeque};

use crate::broker::timers::NEVER;
use crate::message::Message;

/// Where a message stands in its queue: its line in the highest 8 bits, its number there in the others.
pub(in crate::broker) type Position = u64;

const NUMBER_BITS: u32 = 56;

/// A message and what this queue knows of it.
#[derive(Clone, Debug)]
pub(in crate::broker) struct Entry {
    pub(in crate::broker) message: Message,
    /// When it expires, in milliseconds since 1970; [`NEVER`] for most.
    pub(in crate::broker) expires: u64,
    /// How often it came back.
    pub(in crate::broker) returns: u16,
}

/// One line. Deliveries leave in order, so what came back stands before all that is fresh.
#[derive(Default)]
struct Line {
    /// The number of the first of `fresh`; those behind it follow without gaps.
    head: u64,
    fresh: VecDeque<(Message, u64)>,
    returned: BTreeMap<u64, Entry>,
}

/// The lines by priority.
pub(super) struct Lines {
    lines: Box<[Line]>,
    /// No line above this one has messages.
    top: usize,
    len: usize,
    /// Bytes of bodies.
    bytes: u64,
    /// How many can expire.
    mortal: usize,
}

impl Lines {
    /// Lines for the priorities from 0 to `highest`.
    pub(super) fn new(highest: u8) -> Self {
        let lines = (0..=highest).map(|_| Line::default()).collect();
        Lines { lines, top: 0, len: 0, bytes: 0, mortal: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether some of them can expire.
    pub(super) fn any_mortal(&self) -> bool {
        self.mortal > 0
    }

    /// Whether all are in one line, whatever their priority.
    pub(super) fn single(&self) -> bool {
        self.lines.len() == 1
    }

    /// Adds a message that does not expire to a single line.
    #[inline]
    pub(super) fn push_plain(&mut self, message: Message) {
        self.len += 1;
        self.bytes += message.body().len() as u64;
        self.lines[0].fresh.push_back((message, NEVER));
    }

    /// Adds a message behind those of its priority.
    pub(super) fn push(&mut self, message: Message, expires: u64) {
        let priority = match self.single() {
            true => 0,
            false => message.properties().priority().unwrap_or(0),
        };
        let line = usize::from(priority).min(self.lines.len() - 1);
        self.top = self.top.max(line);
        self.len += 1;
        self.bytes += message.body().len() as u64;
        self.mortal += usize::from(expires != NEVER);
        self.lines[line].fresh.push_back((message, expires));
    }

    /// Puts a message back to its place.
    pub(super) fn put_back(&mut self, position: Position, entry: Entry) {
        let line = (position >> NUMBER_BITS) as usize;
        self.top = self.top.max(line);
        self.len += 1;
        self.bytes += entry.message.body().len() as u64;
        self.mortal += usize::from(entry.expires != NEVER);
        self.lines[line].returned.insert(position & ((1 << NUMBER_BITS) - 1), entry);
    }

    /// The line whose turn it is.
    #[inline]
    fn first_line(&mut self) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        while self.top > 0 && self.lines[self.top].is_empty() {
            self.top -= 1;
        }
        Some(self.top)
    }

    /// When the message expires whose turn it is.
    pub(super) fn first_expires(&mut self) -> Option<u64> {
        let line = self.first_line()?;
        let line = &self.lines[line];
        match line.returned.first_key_value() {
            Some((_, entry)) => Some(entry.expires),
            None => line.fresh.front().map(|(_, expires)| *expires),
        }
    }

    /// Takes the message whose turn it is, and says whether it was delivered before.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<(Position, Entry, bool)> {
        let line = &mut self.lines[0];
        if self.top > 0 || !line.returned.is_empty() {
            return self.pop_any();
        }
        // Of one line, what never came back: nearly every message of nearly every queue.
        let (message, expires) = line.fresh.pop_front()?;
        let number = line.head;
        line.head += 1;
        self.len -= 1;
        self.bytes -= message.body().len() as u64;
        self.mortal -= usize::from(expires != NEVER);
        Some((number, Entry { message, expires, returns: 0 }, false))
    }

    fn pop_any(&mut self) -> Option<(Position, Entry, bool)> {
        let index = self.first_line()?;
        let line = &mut self.lines[index];
        let (number, entry, before) = match line.returned.pop_first() {
            Some((number, entry)) => (number, entry, true),
            None => {
                let (message, expires) = line.fresh.pop_front()?;
                line.head += 1;
                (line.head - 1, Entry { message, expires, returns: 0 }, false)
            }
        };
        self.len -= 1;
        self.bytes -= entry.message.body().len() as u64;
        self.mortal -= usize::from(entry.expires != NEVER);
        Some(((index as u64) << NUMBER_BITS | number, entry, before))
    }

    /// Takes everything out, to be dropped where no lock is held.
    pub(super) fn clear(&mut self) -> impl Sized + use<> {
        (self.top, self.len, self.bytes, self.mortal) = (0, 0, 0, 0);
        let taken = self.lines.iter_mut().map(|line| {
            line.head += line.fresh.len() as u64;
            (std::mem::take(&mut line.fresh), std::mem::take(&mut line.returned))
        });
        taken.collect::<Vec<_>>()
    }
}

impl Line {
    fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.returned.is_empty()
    }
}
