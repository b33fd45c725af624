//! Where a durable queue's messages are kept, and what there is forgotten.

use std::ops::Range;
use std::sync::Arc;

use super::duplicates::Duplicates;
use super::handover::Inherited;
use super::lines::{Lines, Position, line, line_of, number};
use super::log::Log;
use super::{Queue, QueueKind};
use crate::broker::arrived::Arrived;
use crate::broker::store::{Journal, Origins, Recovered, Store};
use crate::error::Result;
use crate::memory;
use crate::message::Message;
use crate::wire::table::Table;

/// A store, and how much of what it keeps may be in memory too.
#[derive(Clone, Debug)]
pub(in crate::broker) struct Shelves {
    pub(in crate::broker) store: Arc<dyn Store>,
    pub(in crate::broker) budget: Budget,
}

/// A queue's place in a store.
#[derive(Debug)]
pub(super) struct Place {
    shelves: Shelves,
    /// The queue's number there.
    id: u64,
}

/// The number under which a queue's ids for de-duplication are kept.
pub(crate) const fn ids_of(queue: u64) -> u64 {
    queue | 1 << 62
}

/// The number under which a queue that is not durable has what does not fit into memory. No number of any other, and
/// none that outlives the broker.
pub(crate) const fn overflow_of(queue: u64) -> u64 {
    queue | 3 << 61
}

/// A number under which a queue's messages go along to the next host, counted from a random one on: what a host before
/// this one gave along may still be on its way out.
pub(in crate::broker) const fn carried_of(first: u32, index: u32) -> u64 {
    7 << 60 | (first as u64) << 28 | index as u64
}

/// The queue of which this is the overflow. None of what is carried along.
pub(in crate::broker) const fn queue_of_overflow(id: u64) -> Option<u64> {
    match id >> 60 {
        6 => Some(id & ((1 << 60) - 1)),
        _ => None,
    }
}

/// Whether what is kept under this number is an overflow, or carried along: there is no need to sync it.
pub(crate) const fn is_overflow(id: u64) -> bool {
    id >> 61 == 3
}

/// Bytes of messages in memory from which on new ones are on the disk only.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker) struct Budget {
    /// Of one line.
    pub(in crate::broker) line: usize,
    /// Of all there are. Beyond it each line has [`LITTLE`].
    pub(in crate::broker) all: usize,
}

/// What a line may have in memory whatever there is elsewhere.
const LITTLE: usize = 64 << 10;

impl Budget {
    /// A line with less need not ask.
    pub(in crate::broker) fn least(self) -> usize {
        self.line.min(LITTLE)
    }

    pub(in crate::broker) fn is_spent(self, line: usize) -> bool {
        line > self.line || (line > LITTLE && memory::held() > self.all)
    }
}

/// The journals of a queue, by line.
pub(super) struct Kept {
    place: Place,
    journals: Box<[Arc<dyn Journal>]>,
}

impl Shelves {
    pub(super) fn place(&self, id: u64) -> Place {
        Place { shelves: self.clone(), id }
    }

    /// Where a queue that is not durable may have what does not fit into memory.
    pub(super) fn overflow(&self, queue: u64) -> Overflow {
        Overflow { place: self.place(overflow_of(queue)), used: false }
    }
}

/// Where a queue has what does not fit into memory.
#[derive(Debug)]
pub(super) struct Overflow {
    place: Place,
    used: bool,
}

impl Overflow {
    pub(super) fn budget(&self) -> Budget {
        self.place.shelves.budget
    }

    /// The journal of a line. None while the disk fails: messages stay in memory.
    pub(super) fn open(&mut self, line: u8) -> Option<Arc<dyn Journal>> {
        match self.place.shelves.store.open_line(self.place.id, line) {
            Ok((journal, _)) => {
                self.used = true;
                Some(journal)
            }
            Err(error) => {
                tracing::error!(%error, "a long queue stays in memory");
                None
            }
        }
    }

    /// The one of a host before this one.
    fn inherited(place: Place) -> Self {
        Overflow { place, used: true }
    }

    /// The journal of a line that may have one already, and what is there.
    pub(super) fn reopen(&self, line: u8) -> Result<Option<(Arc<dyn Journal>, Recovered)>> {
        if !self.used {
            return Ok(None);
        }
        let opened = self.place.shelves.store.open_line(self.place.id, line)?;
        Ok(Some(opened).filter(|(_, found)| found.next > 0))
    }

    pub(super) fn id(&self) -> Option<u64> {
        self.used.then_some(self.place.id)
    }

    /// The queue is gone.
    pub(super) fn delete(&self) {
        if self.used {
            self.place.shelves.store.delete_queue(self.place.id);
        }
    }
}

/// What a queue begins with.
pub(super) struct Contents {
    pub(super) lines: Lines,
    pub(super) log: Option<Box<Log>>,
    pub(super) duplicates: Option<Box<Duplicates>>,
    pub(super) kept: Option<Kept>,
    pub(super) arrived: Option<Arc<Arrived>>,
}

impl Contents {
    /// Those of a queue with these arguments and the priorities from 0 to `highest`: what is kept at its place, or
    /// nothing.
    pub(super) fn open(
        kind: QueueKind,
        arguments: &Table,
        highest: u8,
        place: Option<Place>,
        overflow: impl FnOnce() -> Option<Overflow>,
        inherited: Option<&Inherited>,
    ) -> Result<Self> {
        let Some(place) = place else {
            let log = (kind == QueueKind::Stream).then(|| Box::new(Log::new()));
            let mut duplicates = Duplicates::open(arguments, None, &[])?;
            let mut arrived = None;
            let lines = match (overflow(), inherited) {
                (Some(overflow), Some(inherited)) => {
                    let shelves = overflow.place.shelves.clone();
                    let (carried, came) = inherited.carried(&shelves, highest)?;
                    arrived = Some(came);
                    inherited.remember(&shelves, &mut duplicates)?;
                    let before = inherited.overflow.map(|id| Overflow::inherited(shelves.place(id)));
                    Lines::inherit(carried, Some(before.unwrap_or(overflow)))?
                }
                (overflow, _) => Lines::new(highest, overflow),
            };
            return Ok(Contents { lines, log, duplicates, kept: None, arrived });
        };
        let open = |line| place.shelves.store.open_line(place.id, line);
        let found = (0..=highest).map(open).collect::<Result<Vec<_>>>()?;
        let journals = found.iter().map(|(journal, _)| journal.clone()).collect();
        // What came along is there, whatever the journals have.
        let end = |found: &Recovered| if inherited.is_some() { u64::MAX } else { found.end };
        let ends: Vec<u64> = found.iter().map(|(_, found)| end(found)).collect();
        let duplicates = Duplicates::open(arguments, Some(&place), &ends)?;
        let mut found = found.into_iter();
        let log = match kind {
            QueueKind::Stream => {
                found.next().map(|(journal, found)| Log::open(journal, found, place.shelves.budget))
            }
            _ => None,
        };
        let mut arrived = None;
        let mut lines = match log {
            Some(_) => Lines::new(0, None),
            None => {
                let carried = inherited.map(|one| one.carried(&place.shelves, highest)).transpose()?;
                let (carried, came) = carried.unzip();
                arrived = came;
                let mut carried = carried.into_iter().flatten();
                let found = found.map(|(journal, found)| (journal, found, carried.next()));
                Lines::open(found, place.shelves.budget)
            }
        };
        if duplicates.is_some() {
            lines.mark_exactly();
        }
        let kept = Some(Kept { place, journals });
        Ok(Contents { lines, log: log.map(Box::new), duplicates, kept, arrived })
    }
}

impl Place {
    /// Opens what a queue remembers of the ids of its messages.
    pub(super) fn open_ids(&self) -> Result<(Arc<dyn Journal>, Recovered)> {
        self.shelves.store.open_line(ids_of(self.id), 0)
    }
}

impl Kept {
    pub(super) fn delete(&self) {
        let Place { shelves, id } = &self.place;
        shelves.store.delete_queue(*id);
        shelves.store.delete_queue(ids_of(*id));
    }
}

impl Queue {
    /// Whether its persistent messages are on the disk.
    #[inline]
    pub(in crate::broker) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// The origins of what was here when the broker was started, where a message belongs that is sent again. One that
    /// is not to survive a broker was only if another host had given it along.
    pub(in crate::broker) fn origins(&self, message: &Message) -> Vec<Arc<dyn Origins>> {
        let outlives = self.is_kept() && (self.is_stream() || message.is_persistent());
        if !outlives && self.arrived.is_none() {
            return Vec::new();
        }
        let journal = match &self.kept {
            Some(kept) => Some(kept.journals[line_of(message, kept.journals.len())].clone()),
            None => self.state.lock().lines.journal_of(message),
        };
        let arrived = self.arrived.clone().filter(|_| !outlives).map(|arrived| arrived as _);
        journal.map(|journal| journal.origins()).into_iter().chain(arrived).collect()
    }

    /// A message is settled for good.
    pub(super) fn forget(&self, position: Position) {
        if let Some(kept) = &self.kept {
            kept.journals[line(position)].remove_one(number(position));
        }
    }

    /// Messages are settled for good.
    pub(super) fn forget_all(&self, mut positions: Vec<Position>) {
        let Some(kept) = &self.kept else { return };
        positions.sort_unstable();
        for positions in positions.chunk_by(|a, b| line(*a) == line(*b)) {
            kept.journals[line(positions[0])].remove(&runs(positions));
        }
    }
}

/// The runs in a line's ascending positions.
fn runs(positions: &[Position]) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for position in positions {
        let number = number(*position);
        match runs.last_mut() {
            Some(run) if run.end == number => run.end += 1,
            _ => runs.push(number..number + 1),
        }
    }
    runs
}
