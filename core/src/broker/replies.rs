//! Direct reply-to: answers that reach the asking channel without a queue that anyone declared
//! (<https://www.rabbitmq.com/docs/direct-reply-to>).
//!
//! The asker consumes from a pseudo-queue and names it as `reply_to`; in the message the broker puts a
//! name with a secret in its place. Behind that name stands an ordinary queue that no listing shows, so
//! that answers are bounded and counted like any other message.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::RwLock;

use super::queue::Queue;

/// The pseudo-queue that a client consumes from, and names as `reply_to`.
pub(super) const PSEUDO_QUEUE: &str = "amq.rabbitmq.reply-to";

/// What the names begin with that take its place.
pub(super) const PREFIX: &str = "amq.rabbitmq.reply-to.";

/// The hidden queues by their names.
#[derive(Default)]
pub(super) struct Replies(RwLock<HashMap<Arc<str>, Arc<Queue>>>);

impl Replies {
    pub(super) fn add(&self, queue: &Arc<Queue>) {
        self.0.write().insert(queue.name.clone(), queue.clone());
    }

    pub(super) fn remove(&self, name: &str) {
        self.0.write().remove(name);
    }

    /// The queue behind this name, if it is one of these and its asker is still there.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Queue>> {
        if !name.starts_with(PREFIX) {
            return None;
        }
        self.0.read().get(name).cloned()
    }
}
