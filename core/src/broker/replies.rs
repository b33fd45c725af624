//! Direct reply-to: answers that reach the asking channel without a queue that anyone declared
//! (<https://www.rabbitmq.com/docs/direct-reply-to>).
//!
//! The asker consumes from a pseudo-queue and names it as `reply_to`; in the message the broker puts a
//! name with a secret in its place. Behind that name stands an ordinary queue that no listing shows, so
//! that answers are bounded and counted like any other message.
//!
//! An asker that goes on with another broker keeps its name, so that who was asked before answers him there. An answer
//! that is there before the asker waits for him, if the broker has just begun.

use std::num::NonZeroU64;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};

use super::handover::PATIENCE;
use super::names;
use super::queue::Queue;
use super::timers::Timers;
use crate::error::Result;

/// The pseudo-queue that a client consumes from, and names as `reply_to`.
pub(super) const PSEUDO_QUEUE: &str = "amq.rabbitmq.reply-to";

/// What the names begin with that take its place.
const PREFIX: &str = "amq.rabbitmq.reply-to.";

/// How many askers are waited for.
const EARLY: usize = 10_000;

/// The hidden queues by their names.
pub(super) struct Replies {
    queues: RwLock<HashMap<Arc<str>, Arc<Queue>>>,
    /// Those of askers who are still to come. Taken before `queues`.
    early: Mutex<HashMap<Arc<str>, Arc<Queue>>>,
    /// When they are given up ([`PATIENCE`]); milliseconds since 1970.
    until: u64,
    timers: Arc<Timers>,
}

/// The name of a new asker, or of one who goes on if he has told who he is.
pub(super) fn name(publisher: Option<NonZeroU64>) -> String {
    publisher.map_or_else(|| names::generate(PREFIX), |publisher| format!("{PREFIX}{publisher:016x}"))
}

/// Whether somebody may go on under this name.
fn is_lasting(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|id| id.len() == 16 && u64::from_str_radix(id, 16).is_ok())
}

impl Replies {
    pub(super) fn new(timers: Arc<Timers>) -> Self {
        let until = timers.now().saturating_add(PATIENCE);
        Replies { queues: RwLock::default(), early: Mutex::default(), until, timers }
    }

    /// Adds the queue of an asker: the one that has answers already, or a new one.
    pub(super) fn add(&self, name: &str, new: impl FnOnce() -> Result<Arc<Queue>>) -> Result<Arc<Queue>> {
        let mut early = self.early.lock();
        let queue = early.remove(name).map_or_else(new, Ok)?;
        self.queues.write().insert(queue.name.clone(), queue.clone());
        Ok(queue)
    }

    pub(super) fn remove(&self, name: &str) {
        self.queues.write().remove(name);
    }

    /// The queue behind this name, if it is one of these and its asker is still there.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Queue>> {
        if !name.starts_with(PREFIX) {
            return None;
        }
        self.queues.read().get(name).cloned()
    }

    /// The same, or the queue `new` where the asker may be still to come.
    pub(super) fn find(
        &self,
        name: &str,
        new: impl FnOnce() -> Result<Arc<Queue>>,
    ) -> Result<Option<Arc<Queue>>> {
        let found = self.get(name);
        if found.is_some() || !is_lasting(name) {
            return Ok(found);
        }
        let mut early = self.early.lock();
        if self.timers.now() >= self.until {
            early.clear();
            return Ok(None);
        }
        if let Some(queue) = self.get(name).or_else(|| early.get(name).cloned()) {
            return Ok(Some(queue));
        }
        if early.len() >= EARLY {
            return Ok(None);
        }
        let queue = new()?;
        early.insert(queue.name.clone(), queue.clone());
        Ok(Some(queue))
    }
}
