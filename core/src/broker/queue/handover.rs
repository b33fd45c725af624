//! What of a queue goes from one host to the next, besides what is durable.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Queue;
use super::duplicates::Duplicates;
use super::keep::Shelves;
use super::line::Carried;
use crate::broker::arrived::Arrived;
use crate::broker::transient::ATTACHED;
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
    /// The attachment whose an exclusive queue is.
    pub(in crate::broker) owner: Option<u64>,
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

    /// Whether it is to be left as it is.
    pub(in crate::broker) fn is_frozen(&self) -> bool {
        self.state.lock().frozen
    }

    /// Gives along what the next host would not find otherwise, under numbers that `number` makes. None where there is
    /// nothing to be said of the queue.
    pub(in crate::broker) fn hand_over(
        &self,
        shelves: &Shelves,
        mut number: impl FnMut() -> u64,
    ) -> Result<Option<Inherited>> {
        let state = self.state.lock();
        let stays = self.owner.is_some_and(|owner| owner < ATTACHED); // who is no attachment does not come back
        if state.deleted || stays || state.log.is_some() {
            return Ok(None);
        }
        let (owner, overflow) = (self.owner, state.lines.overflow_id());
        let mut inherited = Inherited { overflow, owner, ..Inherited::default() };
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
