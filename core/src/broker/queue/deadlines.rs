//! When deliveries must have been acknowledged (`x-consumer-timeout`).
//!
//! RabbitMQ closes the whole channel of a consumer that takes too long
//! (<https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout>). Here the one delivery goes back to
//! its queue, and a late acknowledgement of it is no error.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use hashbrown::HashMap;

use crate::broker::Outbox;
use crate::broker::timers::NEVER;

/// A delivery on a channel.
type Delivery = (Weak<Outbox>, u64);

/// The deadlines of a queue's deliveries. An acknowledgement does not strike its deadline out, so that acks
/// need not lock the queue: whether a delivery still waits is seen when its time comes.
#[derive(Default)]
pub(super) struct Deadlines {
    due: BTreeMap<(u64, u64), Delivery>,
    added: u64,
    /// Those that were put off, by channel and delivery tag.
    extended: HashMap<(usize, u64), u64>,
}

impl Deadlines {
    pub(super) fn first(&self) -> u64 {
        self.due.first_key_value().map_or(NEVER, |((due, _), _)| *due)
    }

    pub(super) fn add(&mut self, due: u64, outbox: &Arc<Outbox>, tag: u64) {
        self.due.insert((due, self.added), (Arc::downgrade(outbox), tag));
        self.added += 1;
    }

    /// Puts a deadline off (or draws it near).
    pub(super) fn extend(&mut self, due: u64, outbox: &Arc<Outbox>, tag: u64) {
        self.extended.insert((Arc::as_ptr(outbox) as usize, tag), due);
        self.add(due, outbox, tag);
    }

    /// Takes the next delivery whose time has come.
    pub(super) fn pop(&mut self, now: u64) -> Option<(Arc<Outbox>, u64)> {
        while self.first() <= now {
            let ((due, _), (outbox, tag)) = self.due.pop_first()?;
            let key = (Weak::as_ptr(&outbox) as usize, tag);
            match self.extended.get(&key) {
                // An alarm that an extension has replaced.
                Some(&later) if later != due => continue,
                Some(_) => drop(self.extended.remove(&key)),
                None => (),
            }
            if let Some(outbox) = outbox.upgrade() {
                return Some((outbox, tag));
            }
        }
        None
    }

    /// Forgets deliveries that were settled, when many are noted and few still wait. No outbox may be locked.
    pub(super) fn sweep(&mut self, unacked: u64) {
        if self.due.len() as u64 <= 2 * unacked + 1024 {
            return;
        }
        self.due.retain(|_, (outbox, tag)| outbox.upgrade().is_some_and(|outbox| outbox.lock().waits(*tag)));
        let due = &self.due;
        let known: hashbrown::HashSet<_> =
            due.values().map(|(outbox, tag)| (Weak::as_ptr(outbox) as usize, *tag)).collect();
        self.extended.retain(|key, _| known.contains(key));
    }
}
