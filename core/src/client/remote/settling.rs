//! Settling: from the tags that a program knows to those of the host.

use std::sync::atomic::Ordering::SeqCst;

use super::channel::Channel;
use crate::client::Settle;
use crate::client::ledger::Tags;
use crate::error::Result;
use crate::wire::{Method, basic};

impl Channel {
    pub(super) fn settle(&self, tags: &[(u64, bool)], how: Settle) -> Result<()> {
        self.check(match how {
            Settle::Ack => "basic.ack",
            Settle::Reject | Settle::Requeue => "basic.nack",
        })?;
        {
            let _entered = self.connection.line.enter();
            // Held while the frames are added, so that they keep the order of the ledger.
            let mut ledger = self.ledger.lock();
            let tags = ledger.settle(tags);
            let is_transactional = ledger.is_transactional();
            let gone = self.send_settled(&tags, how);
            drop(ledger);
            if is_transactional {
                self.window.lock().settled_uncommitted(gone);
            }
        }
        self.connection.line.flush();
        Ok(())
    }

    /// The tag by which the broker knows a delivery. None when that went with a host that is gone: it comes again.
    pub(super) fn broker_tag(&self, tag: u64) -> Option<u64> {
        let base = self.tag_base.load(SeqCst);
        tag.checked_sub(base).filter(|tag| *tag > 0 || base == 0)
    }

    /// Whether some of them went with a host that is gone.
    pub(super) fn send_settled(&self, tags: &[(u64, bool)], how: Settle) -> bool {
        let known: Tags =
            tags.iter().filter_map(|&(tag, multiple)| Some((self.broker_tag(tag)?, multiple))).collect();
        self.connection.line.add(|out| {
            for &(tag, multiple) in &known {
                match how {
                    Settle::Ack => out.ack(self.number, tag, multiple),
                    Settle::Reject | Settle::Requeue => {
                        let requeue = how == Settle::Requeue;
                        let nack = basic::Nack { delivery_tag: tag, multiple, requeue };
                        out.method(self.number, &Method::BasicNack(nack));
                    }
                }
            }
        });
        known.len() < tags.len()
    }
}
