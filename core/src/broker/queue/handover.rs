//! What of a queue goes from one host to the next, besides what is durable; and whose an exclusive queue is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

use serde::{Deserialize, Serialize};

use super::Queue;
use super::duplicates::Duplicates;
use super::keep::Shelves;
use super::line::Carried;
use crate::broker::arrived::Arrived;
use crate::error::Result;

/// What of a queue came along from the host before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::broker) struct Inherited {
    /// Where a queue that is not durable had what did not fit into memory.
    pub(in crate::broker) overflow: Option<u64>,
    /// Where that is which was in memory only.
    pub(in crate::broker) carried: Option<u64>,
    /// Where a queue that is not durable has the ids that it remembers.
    pub(in crate::broker) ids: Option<u64>,
    /// The process whose an exclusive queue is.
    pub(in crate::broker) owner: Option<u32>,
}

impl Inherited {
    /// Where something of it is.
    pub(in crate::broker) fn numbers(&self) -> impl Iterator<Item = u64> + use<> {
        [self.overflow, self.carried, self.ids].into_iter().flatten()
    }

    /// By lines, with the publishes that they came by.
    pub(super) fn carried(&self, shelves: &Shelves, highest: u8) -> Result<(Vec<Carried>, Arc<Arrived>)> {
        let Some(id) = self.carried else {
            return Ok(((0..=highest).map(|_| Carried::default()).collect(), Arc::default()));
        };
        let read = |line| {
            let (journal, found) = shelves.store.open_line(id, line)?;
            Carried::read(&*journal, found)
        };
        let carried: Vec<Carried> = (0..=highest).map(read).collect::<Result<_>>()?;
        shelves.store.delete_queue(id);
        let arrived = carried.iter().flat_map(Carried::origins).collect();
        Ok((carried, Arc::new(arrived)))
    }

    /// Has a queue that is not durable remember again what it remembered.
    pub(super) fn remember(&self, shelves: &Shelves, duplicates: &mut Option<Box<Duplicates>>) -> Result<()> {
        if let (Some(id), Some(duplicates)) = (self.ids, duplicates) {
            let (journal, found) = shelves.store.open_line(id, 0)?;
            duplicates.inherit(&*journal, found)?;
            shelves.store.delete_queue(id);
        }
        Ok(())
    }
}

/// Whose an exclusive queue is.
pub(super) struct Owner {
    /// The session; [`Owner::TO_COME`] as long as it is still to come.
    session: AtomicU64,
    /// The process that goes on with the next host, or that is still to come.
    process: AtomicU32,
}

impl Owner {
    /// Sessions are numbered from 1.
    const TO_COME: u64 = 0;

    pub(super) fn session(session: u64) -> Self {
        Owner { session: session.into(), process: AtomicU32::default() }
    }

    pub(super) fn to_come(process: u32) -> Self {
        Owner { session: Self::TO_COME.into(), process: process.into() }
    }

    pub(super) fn is(&self, session: u64) -> bool {
        self.session.load(SeqCst) == session
    }

    pub(super) fn is_to_come(&self) -> bool {
        self.is(Self::TO_COME)
    }
}

impl Queue {
    /// Nothing is handed out any more, and it does not go with its last consumer or its owner: the next host is to find
    /// it as it is.
    pub(in crate::broker) fn freeze(&self) {
        self.state.lock().frozen = true;
    }

    /// Whether it goes now that it has no consumer.
    pub(in crate::broker) fn goes_unused(&self) -> bool {
        self.options.auto_delete && {
            let state = self.state.lock();
            state.consumers.is_empty() && !state.frozen
        }
    }

    /// Leaves an exclusive queue to the next host, where this process goes on with it; false when there is none.
    pub(in crate::broker) fn leave_to(&self, process: u32) -> bool {
        let Some(owner) = self.owner.as_ref().filter(|_| self.state.lock().frozen) else { return false };
        owner.process.store(process, SeqCst);
        true
    }

    /// Gives an exclusive queue to its owner, if this is the one who is still to come: a session of this process.
    pub(in crate::broker) fn claim(&self, session: u64, process: Option<u32>) -> bool {
        self.owner.as_ref().is_some_and(|owner| {
            process == Some(owner.process.load(SeqCst))
                && owner.session.compare_exchange(Owner::TO_COME, session, SeqCst, SeqCst).is_ok()
        })
    }

    /// Gives along what the next host would not find otherwise, under numbers that `number` makes. None where there is
    /// nothing to be said of the queue.
    pub(in crate::broker) fn hand_over(
        &self,
        shelves: &Shelves,
        mut number: impl FnMut() -> u64,
    ) -> Result<Option<Inherited>> {
        let state = self.state.lock();
        let owner = self.owner.as_ref().map(|owner| owner.process.load(SeqCst));
        if state.deleted || owner == Some(0) || state.log.is_some() {
            return Ok(None);
        }
        let mut inherited = Inherited { overflow: state.lines.overflow_id(), owner, ..Inherited::default() };
        let id = number();
        let open = |line| shelves.store.open_line(id, line).map(|(journal, _)| journal);
        let (some, backlog) = state.lines.carry(open)?;
        inherited.carried = some.then_some(id);
        if let Some(duplicates) = state.duplicates.as_ref().filter(|_| !self.is_kept()) {
            let id = number();
            let (journal, _) = shelves.store.open_line(id, 0)?;
            duplicates.hand_over(&*journal);
            inherited.ids = Some(id);
        }
        let says = some || backlog || state.duplicates.is_some() || !self.is_kept();
        Ok(says.then_some(inherited))
    }
}
