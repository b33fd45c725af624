//! Deliveries that a transaction has settled and not committed yet.
//!
//! They are no longer unacked, so that no tag can be settled twice; but their consumers get no new credit
//! and their queues still count them, until the commit (as RabbitMQ's `rabbit_channel`, which tells limiter
//! and queues at `tx.commit`).

use super::{Batch, Settle, State, Unacked, unknown};
use crate::error::Result;

/// One such delivery.
pub(in crate::broker) struct Held {
    entry: Unacked,
    how: Settle,
}

impl State {
    /// Settles one delivery, or all up to and including it (tag 0: all there are), for a transaction.
    pub(in crate::broker) fn hold(
        &mut self,
        tag: u64,
        multiple: bool,
        how: Settle,
        held: &mut Vec<Held>,
    ) -> Result<()> {
        if multiple {
            let end = match tag {
                0 => self.unacked.len(),
                _ => self.index_of(tag)? + 1,
            };
            for entry in self.unacked.drain(..end) {
                match entry.is_hole() {
                    false => held.push(Held { entry, how }),
                    true => self.holes -= 1,
                }
            }
        } else {
            let index = self.index_of(tag)?;
            held.extend(self.unacked[index].settle().map(|entry| Held { entry, how }));
            self.holes += 1;
        }
        self.sweep();
        Ok(())
    }

    fn index_of(&self, tag: u64) -> Result<usize> {
        self.find(tag).filter(|&index| !self.unacked[index].is_hole()).ok_or_else(|| unknown(tag))
    }

    /// Settles for good what was held.
    pub(in crate::broker) fn settle_held(&mut self, held: Vec<Held>, batch: &mut Batch) {
        for Held { entry, how } in held {
            self.give_back(entry, how, batch);
        }
    }

    /// Forgets that what was held had been settled.
    pub(in crate::broker) fn restore(&mut self, held: Vec<Held>) {
        let waiting = self.unacked.drain(..).filter(|entry| !entry.is_hole());
        let mut all: Vec<Unacked> = waiting.chain(held.into_iter().map(|held| held.entry)).collect();
        all.sort_unstable_by_key(|entry| entry.tag);
        self.unacked = all.into();
        self.holes = 0;
    }
}
