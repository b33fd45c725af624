//! The delayed messages that wait. Of each there is an entry in memory, about 40 bytes; of those that are kept, the
//! messages themselves are on the disk, and in memory too only when they are due soon and there is room.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;

use super::DelayedMessage;
use crate::broker::queue::{Budget, Shelves};
use crate::broker::store::{Journal, Origins, Recovered, Store, read_all};
use crate::error::Result;
use crate::message::Message;

/// Milliseconds. What is due later need not be in memory.
const SOON: u64 = 60_000;

/// The messages that wait.
pub(in crate::broker) struct Held {
    /// When each is due, and its id: those of one time in the order in which they came.
    waiting: BTreeSet<(u64, u64)>,
    /// Those in memory by id, with the time they are due.
    near: HashMap<u64, (u64, Message)>,
    /// Bytes of memory that they take.
    in_memory: usize,
    next_id: u64,
    /// Some that are not to survive the broker are on the disk only, or have been.
    far_transient: bool,
    kept: Option<Kept>,
}

struct Kept {
    store: Arc<dyn Store>,
    budget: Budget,
    /// Has the times at which messages are due in place of those at which they expire.
    journal: Arc<dyn Journal>,
    id: u64,
}

impl Held {
    /// Those that are kept under this number.
    pub(in crate::broker) fn open(id: u64, shelves: Option<&Shelves>) -> Result<Self> {
        let mut held = Held {
            waiting: BTreeSet::new(),
            near: HashMap::new(),
            in_memory: 0,
            next_id: 1,
            far_transient: false,
            kept: None,
        };
        let Some(Shelves { store, budget }) = shelves else { return Ok(held) };
        let (journal, found) = store.open_line(id, 0)?;
        read_all(&*journal, found, |stored| {
            // What was not to survive had no other place.
            match stored.message.is_persistent() {
                true => _ = held.waiting.insert((stored.expires, stored.number)),
                false => journal.remove_one(stored.number),
            }
        })?;
        held.next_id = found.next.max(1);
        held.kept = Some(Kept { store: store.clone(), budget: *budget, journal, id });
        Ok(held)
    }

    /// Adds a message that is due at this time, `delay` milliseconds from now. True when it is to survive the broker.
    pub(super) fn add(&mut self, message: Message, due: u64, delay: u64) -> bool {
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.insert((due, id));
        let near = match &self.kept {
            Some(kept) => delay <= SOON && !kept.budget.is_spent(self.in_memory),
            None => true,
        };
        let kept = self.kept.as_ref().filter(|_| !near || message.is_persistent());
        if let Some(kept) = kept {
            kept.journal.append(id, due, &message);
        }
        self.far_transient |= !near && !message.is_persistent();
        let survives = kept.is_some() && message.is_persistent();
        if near {
            self.in_memory += message.footprint();
            self.near.insert(id, (due, message));
        }
        survives
    }

    pub(super) fn origins(&self) -> Option<Arc<dyn Origins>> {
        self.kept.as_ref().map(|kept| kept.journal.clone().origins())
    }

    /// When the first is due; the end of time where there is none.
    pub(super) fn first_due(&self) -> u64 {
        self.waiting.first().map_or(u64::MAX, |(due, _)| *due)
    }

    /// Takes out the first of those that are due by `now`; it is to be forgotten once it is elsewhere.
    pub(super) fn take_due(&mut self, now: u64) -> Option<Due> {
        let (due, id) = *self.waiting.first().filter(|(due, _)| *due <= now)?;
        self.waiting.pop_first();
        let journal = self.kept.as_ref().map(|kept| kept.journal.clone());
        Some(Due { id, due, near: self.leave(id), journal })
    }

    /// One that could not be read.
    pub(super) fn put_back(&mut self, due: &Due) {
        self.waiting.insert((due.due, due.id));
    }

    /// Takes one out that is to be forgotten.
    pub(super) fn take(&mut self, id: u64) -> Result<Option<Message>> {
        let found = match (self.near.get(&id), &self.kept) {
            (Some(near), _) => Some(near.clone()),
            (None, Some(kept)) => read(&*kept.journal, id)?,
            (None, None) => None,
        };
        let found = found.filter(|(due, _)| self.waiting.remove(&(*due, id)));
        self.leave(id);
        Ok(found.map(|(_, message)| message))
    }

    fn leave(&mut self, id: u64) -> Option<Message> {
        let (_, message) = self.near.remove(&id)?;
        self.in_memory -= message.footprint();
        Some(message)
    }

    /// One that was taken out is elsewhere, or nowhere.
    pub(super) fn forget(&self, id: u64) {
        if let Some(kept) = &self.kept {
            kept.journal.remove_one(id);
        }
    }

    /// Gives up the place where they are kept.
    pub(super) fn delete(&self) {
        if let Some(kept) = &self.kept {
            kept.store.delete_queue(kept.id);
        }
    }

    #[cfg(test)]
    pub(super) fn in_memory(&self) -> usize {
        self.near.len()
    }

    /// What there is now that is not to survive the broker, and maybe more.
    pub(super) fn transient(&self) -> Inventory {
        let inventory = self.inventory();
        if self.far_transient { inventory } else { Inventory { journal: None, ..inventory } }
    }

    /// What there is now, to be read where nobody waits.
    pub(super) fn inventory(&self) -> Inventory {
        Inventory {
            waiting: self.waiting.iter().copied().collect(),
            near: self.near.iter().map(|(id, (_, message))| (*id, message.clone())).collect(),
            journal: self.kept.as_ref().map(|kept| kept.journal.clone()),
        }
    }
}

/// A message that was taken out.
pub(super) struct Due {
    pub(super) id: u64,
    due: u64,
    near: Option<Message>,
    journal: Option<Arc<dyn Journal>>,
}

impl Due {
    /// The message, from wherever it is; none where it was damaged.
    pub(super) fn read(&self) -> Result<Option<Message>> {
        match (&self.near, &self.journal) {
            (Some(message), _) => Ok(Some(message.clone())),
            (None, Some(journal)) => Ok(read(&**journal, self.id)?.map(|(_, message)| message)),
            (None, None) => Ok(None),
        }
    }
}

/// Everything that waited at one moment.
pub(super) struct Inventory {
    waiting: Vec<(u64, u64)>,
    near: HashMap<u64, Message>,
    journal: Option<Arc<dyn Journal>>,
}

impl Inventory {
    /// In the order in which they are due. What went meanwhile, or cannot be read, is left out.
    pub(super) fn read(self) -> Vec<DelayedMessage> {
        let Inventory { waiting, near: mut messages, journal } = self;
        let far = || waiting.iter().map(|(_, id)| *id).filter(|id| !messages.contains_key(id));
        if let Some(journal) = journal
            && let (Some(first), Some(last)) = (far().min(), far().max())
        {
            let range = Recovered { first, next: last + 1, ..Recovered::default() };
            let read = read_all(&*journal, range, |stored| {
                messages.entry(stored.number).or_insert(stored.message);
            });
            if let Err(error) = read {
                tracing::error!(%error, "cannot read the delayed messages that are to be listed");
            }
        }
        let waiting = waiting.into_iter();
        let listed = waiting.filter_map(|(due, id)| {
            let message = messages.remove(&id)?;
            Some(DelayedMessage { id, due, message })
        });
        listed.collect()
    }
}

/// A message that is on the disk, and when it is due.
fn read(journal: &dyn Journal, id: u64) -> Result<Option<(u64, Message)>> {
    let mut found = Vec::new();
    journal.read(id, 1, &mut found)?;
    let found = found.into_iter().find(|stored| stored.number == id);
    Ok(found.map(|stored| (stored.expires, stored.message)))
}
