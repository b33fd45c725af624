//! A queue's messages that are ready, in the order in which they are handed out: one line, or with
//! `x-max-priority` one for each priority (<https://www.rabbitmq.com/docs/priority>).

use std::sync::Arc;

use super::keep::{Budget, Overflow};
use super::line::{Carried, Line};
use crate::broker::store::{Journal, Recovered};
use crate::broker::timers::NEVER;
use crate::error::Result;
use crate::message::Message;

/// Where a message stands in its queue: its line in the highest 8 bits, its number there in the others.
pub(in crate::broker) type Position = u64;

const NUMBER_BITS: u32 = 56;

/// About what a message takes in memory beside its body.
const OVERHEAD: usize = 128;

/// The line of a position.
pub(super) fn line(position: Position) -> usize {
    (position >> NUMBER_BITS) as usize
}

/// The number of a position in its line.
pub(super) fn number(position: Position) -> u64 {
    position & ((1 << NUMBER_BITS) - 1)
}

/// The line of a queue with so many that a message belongs into.
pub(super) fn line_of(message: &Message, lines: usize) -> usize {
    let priority = match lines {
        1 => 0,
        _ => message.properties().priority().unwrap_or(0),
    };
    usize::from(priority).min(lines - 1)
}

/// A message and what this queue knows of it.
#[derive(Clone, Debug)]
pub(in crate::broker) struct Entry {
    pub(in crate::broker) message: Message,
    /// When it expires, in milliseconds since 1970; [`NEVER`] for most.
    pub(in crate::broker) expires: u64,
    /// How often it came back.
    pub(in crate::broker) returns: u16,
}

/// Sums over all lines.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) len: usize,
    /// Bytes of bodies.
    pub(super) bytes: u64,
    /// How many of those in memory can expire.
    pub(super) mortal: usize,
}

impl Totals {
    pub(super) fn add(&mut self, entry: &Entry) {
        self.len += 1;
        self.bytes += entry.message.body().len() as u64;
        self.mortal += usize::from(entry.expires != NEVER);
    }

    #[inline(always)]
    pub(super) fn subtract(&mut self, entry: &Entry) {
        self.len -= 1;
        self.bytes -= entry.message.body().len() as u64;
        self.mortal -= usize::from(entry.expires != NEVER);
    }
}

/// The lines by priority.
pub(super) struct Lines {
    lines: Box<[Line]>,
    /// No line above this one has messages.
    top: usize,
    /// Some of the messages may be on the disk only.
    kept: bool,
    totals: Totals,
    overflow: Option<Overflow>,
    /// Bytes from which on to ask whether there is too much in memory.
    ask_from: usize,
}

impl Lines {
    /// Lines for the priorities from 0 to `highest`, in memory as long as they are not too long.
    pub(super) fn new(highest: u8, overflow: Option<Overflow>) -> Self {
        let lines = (0..=highest).map(|_| Line::default()).collect();
        let ask_from = overflow.as_ref().map_or(usize::MAX, |overflow| overflow.budget().least());
        Lines { lines, top: 0, kept: false, totals: Totals::default(), overflow, ask_from }
    }

    /// Lines for the priorities from 0 on, each with what its journal had.
    pub(super) fn open(
        journals: impl Iterator<Item = (Arc<dyn Journal>, Recovered, Option<Carried>)>,
        budget: Budget,
    ) -> Self {
        let mut totals = Totals::default();
        let open = |(journal, found, carried)| Line::open(journal, found, true, carried, budget, &mut totals);
        let lines: Box<[Line]> = journals.map(open).collect();
        Lines { top: lines.len() - 1, lines, kept: true, totals, overflow: None, ask_from: usize::MAX }
    }

    /// Those of a queue that is not durable, which a host before this one gave along.
    pub(super) fn inherit(carried: Vec<Carried>, overflow: Option<Overflow>) -> Result<Self> {
        let (mut lines, mut totals) = (Vec::new(), Totals::default());
        for (line, carried) in carried.into_iter().enumerate() {
            let journal =
                overflow.as_ref().map(|overflow| overflow.reopen(line as u8)).transpose()?.flatten();
            lines.push(match (journal, &overflow) {
                (Some((journal, found)), Some(overflow)) => {
                    Line::open(journal, found, false, Some(carried), overflow.budget(), &mut totals)
                }
                _ => Line::of(carried, &mut totals),
            });
        }
        let (top, kept) = (lines.len() - 1, lines.iter().any(Line::is_kept));
        let asks = overflow.as_ref().filter(|_| !lines.iter().all(Line::is_kept));
        let ask_from = asks.map_or(usize::MAX, |overflow| overflow.budget().least());
        Ok(Lines { lines: lines.into(), top, kept, totals, overflow, ask_from })
    }

    /// Gives along what no journal has that outlives this process, each line by a journal that `open` gives. Whether
    /// there was something, and whether there is a backlog that may have such messages.
    pub(super) fn carry(&self, open: impl Fn(u8) -> Result<Arc<dyn Journal>>) -> Result<(bool, bool)> {
        let mut some = false;
        for (number, line) in (0..).zip(&self.lines) {
            if line.has_to_carry() {
                line.carry(&*open(number)?);
                some = true;
            }
        }
        Ok((some, self.lines.iter().any(Line::has_backlog)))
    }

    /// Where some of the messages of a queue that is not durable are.
    pub(super) fn overflow_id(&self) -> Option<u64> {
        self.overflow.as_ref().and_then(Overflow::id)
    }

    /// The journal of the line that a message belongs into, if it has one.
    pub(super) fn journal_of(&self, message: &Message) -> Option<Arc<dyn Journal>> {
        self.lines[line_of(message, self.lines.len())].journal()
    }

    /// Messages, those that cannot be read at the moment too.
    pub(super) fn len(&self) -> usize {
        self.totals.len
    }

    pub(super) fn bytes(&self) -> u64 {
        self.totals.bytes
    }

    /// Whether there is a message to take.
    #[inline]
    pub(super) fn any(&mut self) -> bool {
        self.totals.len > 0 && (!self.kept || self.first_line().is_some())
    }

    /// Whether some of those in memory can expire.
    pub(super) fn any_mortal(&self) -> bool {
        self.totals.mortal > 0
    }

    /// Whether all are in one line, whatever their priority.
    pub(super) fn single(&self) -> bool {
        self.lines.len() == 1
    }

    /// Adds a message that does not expire to a single line.
    #[inline]
    pub(super) fn push_plain(&mut self, message: Message) {
        self.lines[0].push(message, NEVER, &mut self.totals);
        self.look(0);
    }

    /// Adds a message behind those of its priority; where it stands.
    pub(super) fn push(&mut self, message: Message, expires: u64) -> Position {
        let line = line_of(&message, self.lines.len());
        self.top = self.top.max(line);
        let number = self.lines[line].next();
        self.lines[line].push(message, expires, &mut self.totals);
        self.look(line);
        (line as u64) << NUMBER_BITS | number
    }

    /// Looks whether there is too much in memory, with something added to this line.
    #[inline]
    fn look(&mut self, line: usize) {
        let bytes = self.totals.bytes as usize + self.totals.len * OVERHEAD;
        if bytes > self.ask_from {
            self.overflow(line, bytes);
        }
    }

    #[cold]
    fn overflow(&mut self, line: usize, bytes: usize) {
        let Some(overflow) = &mut self.overflow else { return };
        let budget = overflow.budget();
        if !budget.is_spent(bytes) {
            // To ask is to add up what all threads hold: not for each message.
            self.ask_from = (bytes + budget.least()).min(budget.line);
            return;
        }
        if !self.lines[line].is_kept() {
            match overflow.open(line as u8) {
                Some(journal) => self.lines[line].overflow(journal, budget),
                None => self.ask_from = bytes * 2,
            }
            self.kept = true;
        }
        if self.lines.iter().all(Line::is_kept) {
            self.ask_from = usize::MAX; // they look for themselves from now on
        }
    }

    /// The queue is deleted.
    pub(super) fn end(&self) {
        if let Some(overflow) = &self.overflow {
            overflow.delete();
        }
    }

    /// Puts a message back to its place.
    pub(super) fn put_back(&mut self, position: Position, entry: Entry) {
        let line = line(position);
        self.top = self.top.max(line);
        self.lines[line].put_back(number(position), entry, &mut self.totals);
    }

    /// The line whose turn it is.
    #[inline]
    fn first_line(&mut self) -> Option<usize> {
        while self.lines[self.top].is_empty() {
            self.top = self.top.checked_sub(1)?;
        }
        Some(self.top)
    }

    /// When the message expires whose turn it is.
    pub(super) fn first_expires(&mut self) -> Option<u64> {
        let line = self.first_line()?;
        self.lines[line].first_expires()
    }

    /// Takes the message whose turn it is, and says whether it was delivered before.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<(Position, Entry, bool)> {
        if self.top == 0
            && let Some((number, entry)) = self.lines[0].pop_plain(&mut self.totals)
        {
            return Some((number, entry, false));
        }
        self.pop_any()
    }

    fn pop_any(&mut self) -> Option<(Position, Entry, bool)> {
        let index = self.first_line()?;
        let (number, entry, before) = self.lines[index].pop(&mut self.totals)?;
        Some(((index as u64) << NUMBER_BITS | number, entry, before))
    }

    /// Has the journals know what may have been delivered; to be called after each run of deliveries.
    #[inline]
    pub(super) fn mark_delivered(&mut self) {
        if self.kept {
            self.lines.iter_mut().for_each(Line::mark_delivered);
        }
    }

    /// Has the journals know exactly what may have been delivered, always.
    pub(super) fn mark_exactly(&mut self) {
        self.lines.iter_mut().for_each(Line::mark_exactly);
    }

    /// Reads again what could not be read.
    pub(super) fn retry(&mut self) {
        for line in &mut self.lines {
            line.load(&mut self.totals);
        }
        self.top = self.lines.len() - 1;
    }

    /// Takes everything out, to be dropped where no lock is held.
    pub(super) fn clear(&mut self) -> impl Sized + use<> {
        self.totals = Totals::default();
        self.top = 0;
        self.lines.iter_mut().map(Line::clear).collect::<Vec<_>>()
    }
}
