//! One line of a queue's messages.
//!
//! In memory: those that came back, in order of their numbers, then those that were never delivered. Of a line that
//! is kept (`Kept`) each persistent message is in a journal, too; and when many wait, all that is beyond the [`Budget`]
//! is in the journal only, the backlog, and is read when its turn comes. So memory stays flat however long the
//! queue is.

mod carry;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::NEVER;
use super::keep::Budget;
use super::lines::{Entry, Totals};
use crate::broker::store::{Journal, Recovered, Stored};
use crate::message::Message;
pub(super) use carry::Carried;

/// Bytes that are read at a time.
const CHUNK: usize = 512 << 10;
/// Gaps between numbers up to this are filled; a longer one ends what is in memory.
const GAP: u64 = 4096;

/// After so many runs of deliveries that left nothing waiting, the mark of what was delivered is set ahead, and how far.
const STEADY: u32 = 8;
const AHEAD: u64 = 64;

/// One line. Deliveries leave in order, so what came back stands before all that is fresh.
#[derive(Default)]
pub(super) struct Line {
    /// The number of the first of `fresh`; those behind it follow without gaps.
    head: u64,
    /// None in place of one that was settled before the line was read from its journal. Never the first.
    fresh: VecDeque<(Option<Message>, u64)>,
    returned: BTreeMap<u64, Entry>,
    kept: Option<Box<Kept>>,
    /// What has come along from the host before, as far as the line has not been read up to there.
    carried: Option<Box<Carried>>,
}

/// What a line that is kept has besides.
struct Kept {
    journal: Arc<dyn Journal>,
    /// What is in the journal survives the broker. If not, it is only what does not fit into memory.
    durable: bool,
    backlog: Option<Backlog>,
    /// Bytes that `fresh` takes.
    in_memory: usize,
    budget: Budget,
    /// Behind the last number that is in the journal.
    end: u64,
    /// The journal knows that those below may have been delivered.
    delivered: u64,
    /// Those below may have been delivered by an earlier process.
    before: u64,
    /// Runs of deliveries, one after the other, that left nothing waiting.
    keeping_up: u32,
    /// The mark of what was delivered is never ahead.
    exact: bool,
    /// Below it, messages are from before: those that were not to survive are passed over.
    opened: u64,
}

/// Messages behind `fresh` that are on the disk only.
struct Backlog {
    /// Where to read on.
    from: u64,
    /// The next free number.
    next: u64,
    count: usize,
    bytes: u64,
}

impl Line {
    /// A line with what its journal had, and with what has come along from a host that handed over. Only then there is
    /// what was not to survive.
    pub(super) fn open(
        journal: Arc<dyn Journal>,
        found: Recovered,
        durable: bool,
        carried: Option<Carried>,
        budget: Budget,
        totals: &mut Totals,
    ) -> Self {
        let Recovered { first, next, delivered, count, bytes, .. } = found;
        totals.len += count as usize;
        totals.bytes += bytes;
        let opened = if carried.is_some() { 0 } else { next };
        let carried = carried.filter(|carried| !carried.is_empty()).map(Box::new);
        let next = carried.as_ref().map_or(next, |carried| carried.end().max(next));
        carried.iter().for_each(|carried| carried.count(totals));
        let some = count > 0 || carried.is_some();
        let backlog = some.then_some(Backlog { from: first, next, count: count as usize, bytes });
        let delivered = if durable { delivered } else { 0 };
        let kept = Kept {
            journal,
            durable,
            backlog,
            in_memory: 0,
            budget,
            end: next,
            delivered,
            before: delivered,
            keeping_up: 0,
            exact: false,
            opened,
        };
        let mut line = Line { head: next, kept: Some(Box::new(kept)), carried, ..Line::default() };
        line.load(totals);
        line
    }

    /// From now on this journal has what does not fit into memory.
    pub(super) fn overflow(&mut self, journal: Arc<dyn Journal>, budget: Budget) {
        let fresh = self.fresh.iter().filter_map(|(message, _)| message.as_ref());
        let in_memory = fresh.map(Message::footprint).sum();
        let kept = Kept {
            journal,
            durable: false,
            backlog: None,
            in_memory,
            budget,
            end: 0,
            delivered: 0,
            before: 0,
            keeping_up: 0,
            exact: false,
            opened: 0,
        };
        self.kept = Some(Box::new(kept));
    }

    /// The number of the next message.
    pub(super) fn next(&self) -> u64 {
        let backlog = self.kept.as_ref().and_then(|kept| kept.backlog.as_ref());
        backlog.map_or(self.head + self.fresh.len() as u64, |backlog| backlog.next)
    }

    pub(super) fn mark_exactly(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.exact = true;
        }
    }

    pub(super) fn journal(&self) -> Option<Arc<dyn Journal>> {
        self.kept.as_ref().map(|kept| kept.journal.clone())
    }

    pub(super) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Whether there are messages that can be taken.
    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.returned.is_empty()
    }

    /// Adds a message at the end.
    #[inline]
    pub(super) fn push(&mut self, message: Message, expires: u64, totals: &mut Totals) {
        totals.len += 1;
        totals.bytes += message.body().len() as u64;
        if self.kept.is_some() && !self.keep(&message, expires) {
            return;
        }
        totals.mortal += usize::from(expires != NEVER);
        self.fresh.push_back((Some(message), expires));
    }

    /// Keeps a message that is added to the end; true when it is to be in memory too.
    fn keep(&mut self, message: &Message, expires: u64) -> bool {
        let Some(kept) = &mut self.kept else { return true };
        let next = self.head + self.fresh.len() as u64;
        if kept.backlog.is_none() && kept.budget.is_spent(kept.in_memory) {
            kept.backlog = Some(Backlog { from: next, next, count: 0, bytes: 0 });
        }
        if let Some(backlog) = &mut kept.backlog {
            // Also what need not survive: there is no other place for it.
            kept.journal.append(backlog.next, expires, message);
            backlog.next += 1;
            backlog.count += 1;
            backlog.bytes += message.body().len() as u64;
            kept.end = backlog.next;
            return false;
        }
        if kept.durable && message.is_persistent() {
            kept.journal.append(next, expires, message);
            kept.end = next + 1;
        }
        kept.in_memory += message.footprint();
        true
    }

    /// Puts a message back to its place.
    pub(super) fn put_back(&mut self, number: u64, entry: Entry, totals: &mut Totals) {
        if let Some(kept) = &self.kept
            && kept.durable
        {
            kept.journal.returned(number, entry.returns);
        }
        totals.add(&entry);
        self.returned.insert(number, entry);
    }

    /// When the message expires whose turn it is.
    pub(super) fn first_expires(&self) -> Option<u64> {
        match self.returned.first_key_value() {
            Some((_, entry)) => Some(entry.expires),
            None => self.fresh.front().map(|(_, expires)| *expires),
        }
    }

    /// Takes the first message of a line in memory of which nothing came back: nearly every message of nearly
    /// every queue. None where that is not so.
    #[inline(always)]
    pub(super) fn pop_plain(&mut self, totals: &mut Totals) -> Option<(u64, Entry)> {
        if !self.returned.is_empty() || self.kept.is_some() {
            return None;
        }
        let (message, expires) = self.fresh.pop_front()?;
        let number = self.head;
        self.head += 1;
        let entry = Entry { message: message?, expires, returns: 0 };
        totals.subtract(&entry);
        Some((number, entry))
    }

    /// Takes the first message, and says whether it was delivered before.
    pub(super) fn pop(&mut self, totals: &mut Totals) -> Option<(u64, Entry, bool)> {
        let (number, entry, before) = match self.returned.pop_first() {
            Some((number, entry)) => (number, entry, true),
            None => {
                let (message, expires) = self.fresh.pop_front()?;
                let message = message?;
                if let Some(kept) = &mut self.kept {
                    kept.in_memory -= message.footprint();
                }
                self.head += 1;
                (self.head - 1, Entry { message, expires, returns: 0 }, false)
            }
        };
        totals.subtract(&entry);
        while let Some((None, _)) = self.fresh.front() {
            self.fresh.pop_front();
            self.head += 1;
        }
        if self.is_empty() {
            self.load(totals);
        }
        Some((number, entry, before))
    }

    /// Reads on in the backlog until there is a message to take, or none is left. Where the disk fails the line
    /// stands still; it is tried again with [`Lines::retry`](super::lines::Lines::retry).
    pub(super) fn load(&mut self, totals: &mut Totals) {
        while self.is_empty()
            && let Some(kept) = &mut self.kept
            && let Some(backlog) = &mut kept.backlog
        {
            let mut found = Vec::new();
            let first = backlog.from;
            match kept.journal.read(first, CHUNK, &mut found) {
                Ok(from) => backlog.from = from,
                Err(error) => {
                    tracing::error!(%error, "cannot read a queue's messages");
                    return;
                }
            }
            if found.is_empty() && backlog.from == first {
                backlog.from = backlog.next; // the numbers behind are of what has come along
            }
            let read = backlog.from == backlog.next;
            if found.into_iter().all(|stored| self.take_in(stored, totals)) && read {
                self.place_before(u64::MAX, totals);
            }
            self.release(first);
            self.end_backlog(totals);
        }
    }

    /// What has been read from number `first` on is in memory; where it is not to survive, it has no other place.
    fn release(&mut self, first: u64) {
        if let Some(Kept { durable: false, journal, backlog: Some(backlog), .. }) = self.kept.as_deref() {
            journal.remove(std::slice::from_ref(&(first..backlog.from)));
        }
    }

    /// Takes in what was read; false where a gap is too long.
    fn take_in(&mut self, stored: Stored, totals: &mut Totals) -> bool {
        let Stored { number, expires, returns, message } = stored;
        let reached = self.place_before(number, totals) && self.reaches(number);
        let Some(kept) = &mut self.kept else { return false };
        let Some(backlog) = &mut kept.backlog else { return false };
        if !reached {
            backlog.from = number;
            return false;
        }
        let bytes = message.body().len() as u64;
        backlog.count = backlog.count.saturating_sub(1);
        backlog.bytes = backlog.bytes.saturating_sub(bytes);
        if number < kept.opened && !message.is_persistent() {
            totals.len -= 1;
            totals.bytes -= bytes;
            kept.journal.remove_one(number);
            return true;
        }
        let before = number < kept.delivered;
        if let Some(carried) = &mut self.carried {
            carried.forget(number, totals);
        }
        self.place(number, Entry { message, expires, returns }, before, totals);
        true
    }

    /// When all of the backlog was read and `fresh` reaches to its end, there is none any more.
    fn end_backlog(&mut self, totals: &mut Totals) {
        let Some(kept) = &mut self.kept else { return };
        let Some(Backlog { from, next, count, bytes }) = kept.backlog else { return };
        if from < next {
            return;
        }
        // What was counted and is not there was damaged; the store has said so.
        totals.len -= count;
        totals.bytes -= bytes;
        if self.fresh.is_empty() {
            self.head = next;
        }
        let open = self.head + self.fresh.len() as u64 != next;
        kept.backlog = open.then_some(Backlog { from, next, count: 0, bytes: 0 });
    }

    /// Has the journal know what may have been delivered; to be called after each run of deliveries, and of messages
    /// that came.
    ///
    /// To tell it is a system call. So where for some time each message was delivered as it came, the mark is set
    /// ahead, over messages yet to come; as soon as one of them has to wait, it goes back to where it belongs.
    pub(super) fn mark_delivered(&mut self) {
        let Some(kept) = self.kept.as_mut().filter(|kept| kept.durable) else { return };
        let waiting = !self.fresh.is_empty() || kept.backlog.is_some();
        let end = self.head.max(kept.before);
        if end > kept.delivered {
            kept.keeping_up = if waiting { 0 } else { kept.keeping_up + 1 };
            // Of messages that are not kept there is nothing to know.
            let matters = kept.delivered < kept.end;
            let ahead = if matters && !kept.exact && kept.keeping_up > STEADY { AHEAD } else { 0 };
            kept.delivered = end + ahead;
            if matters {
                kept.journal.delivered(kept.delivered);
            }
        } else if waiting && end < kept.delivered {
            kept.keeping_up = 0;
            kept.delivered = end;
            kept.journal.delivered(end);
        }
    }

    /// Takes everything out, to be dropped where no lock is held.
    pub(super) fn clear(&mut self) -> impl Sized + use<> {
        let mut next = self.head + self.fresh.len() as u64;
        if let Some(kept) = &mut self.kept {
            next = kept.backlog.take().map_or(next, |backlog| backlog.next);
            let mut gone: Vec<_> = self.returned.keys().map(|number| *number..number + 1).collect();
            gone.push(self.head..next); // may be empty
            kept.journal.remove(&gone);
            kept.in_memory = 0;
        }
        self.head = next;
        (std::mem::take(&mut self.fresh), std::mem::take(&mut self.returned))
    }
}
