//! What of a line goes along to the next process that hosts the broker, when this one hands over: the messages that are
//! in no journal that outlives it. They go by a journal of their own, under the numbers that they have.

use std::collections::BTreeMap;

use super::{GAP, Line, NEVER, Totals};
use crate::broker::queue::lines::Entry;
use crate::broker::store::{Journal, Origin, Recovered, read_all};
use crate::error::Result;
use crate::message::Message;

/// Messages that have come along, by their numbers, and have no place in the line yet.
#[derive(Default)]
pub(in crate::broker::queue) struct Carried(BTreeMap<u64, (Entry, bool)>);

impl Carried {
    /// Those that were given along.
    pub(in crate::broker::queue) fn read(journal: &dyn Journal, found: Recovered) -> Result<Self> {
        let mut carried = BTreeMap::new();
        read_all(journal, found, |stored| {
            let entry = Entry { message: stored.message, expires: stored.expires, returns: stored.returns };
            carried.insert(stored.number, (entry, stored.number < found.delivered));
        })?;
        Ok(Carried(carried))
    }

    /// The publishes that they came by.
    pub(in crate::broker::queue) fn origins(&self) -> impl Iterator<Item = Origin> {
        self.0.values().filter_map(|(entry, _)| entry.message.origin())
    }

    /// Behind the last number.
    pub(super) fn end(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(number, _)| number + 1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn count(&self, totals: &mut Totals) {
        totals.len += self.0.len();
        totals.bytes += self.0.values().map(|(entry, _)| entry.message.body().len() as u64).sum::<u64>();
    }

    /// One that is in the line's own journal, too, as it once stood in a backlog.
    pub(super) fn forget(&mut self, number: u64, totals: &mut Totals) {
        if let Some((entry, _)) = self.0.remove(&number) {
            totals.len -= 1;
            totals.bytes -= entry.message.body().len() as u64;
        }
    }
}

impl Line {
    fn outlives(&self, message: &Message) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.durable) && message.is_persistent()
    }

    /// Whether there is something to be given along.
    pub(in crate::broker::queue) fn has_to_carry(&self) -> bool {
        let mut fresh = self.fresh.iter().filter_map(|(message, _)| message.as_ref());
        fresh.any(|message| !self.outlives(message))
            || self.returned.values().any(|entry| !self.outlives(&entry.message))
    }

    /// Whether messages are on the disk only.
    pub(in crate::broker::queue) fn has_backlog(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.backlog.is_some())
    }

    /// Gives along what has to be.
    pub(in crate::broker::queue) fn carry(&self, journal: &dyn Journal) {
        for (&number, entry) in self.returned.iter().filter(|(_, entry)| !self.outlives(&entry.message)) {
            journal.append(number, entry.expires, &entry.message);
            journal.returned(number, entry.returns);
        }
        for (number, (message, expires)) in (self.head..).zip(&self.fresh) {
            if let Some(message) = message.as_ref().filter(|message| !self.outlives(message)) {
                journal.append(number, *expires, message);
            }
        }
        journal.delivered(self.head);
    }

    /// A line in memory of what has come along.
    pub(in crate::broker::queue) fn of(carried: Carried, totals: &mut Totals) -> Self {
        carried.count(totals);
        let mut line = Line { head: carried.end(), carried: Some(Box::new(carried)), ..Line::default() };
        line.place_before(u64::MAX, totals);
        line
    }

    /// Gives those their places that stand before this number; false where a gap is too long.
    pub(super) fn place_before(&mut self, end: u64, totals: &mut Totals) -> bool {
        while let Some(carried) = &mut self.carried {
            let Some((&number, _)) = carried.0.first_key_value().filter(|(number, _)| **number < end) else {
                break;
            };
            if !self.reaches(number) {
                return false;
            }
            let Some((entry, before)) = self.carried.as_mut().and_then(|carried| carried.0.remove(&number))
            else {
                break;
            };
            self.place(number, entry, before, totals);
        }
        self.carried.take_if(|carried| carried.is_empty());
        true
    }

    /// Whether a message with this number can stand behind those in memory.
    pub(super) fn reaches(&self, number: u64) -> bool {
        self.fresh.is_empty() || number - (self.head + self.fresh.len() as u64) <= GAP
    }

    /// Puts a message behind all others; `before` says that it may have been delivered.
    pub(super) fn place(&mut self, number: u64, entry: Entry, before: bool, totals: &mut Totals) {
        let Entry { message, expires, .. } = &entry;
        totals.mortal += usize::from(*expires != NEVER);
        if before {
            self.returned.insert(number, entry);
            if self.fresh.is_empty() {
                self.head = number + 1;
            }
            return;
        }
        if let Some(kept) = &mut self.kept {
            kept.in_memory += message.footprint();
        }
        match self.fresh.is_empty() {
            true => self.head = number,
            false => {
                let behind = self.head + self.fresh.len() as u64;
                self.fresh.extend((behind..number).map(|_| (None, NEVER)));
            }
        }
        self.fresh.push_back((Some(entry.message), entry.expires));
    }
}
