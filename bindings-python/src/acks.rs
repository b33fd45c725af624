//! Acknowledgements on their way back. They gather here and leave together: when enough have gathered, with
//! the consumer's next look for messages, or after a few milliseconds.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use warrenmq::client::{self, Settle};
use warrenmq::{Error, Kind, Result};

use crate::answer::leave;
use crate::fork::Ours;
use crate::link::Link;

/// How long an acknowledgement may wait for company.
const IDLE: Duration = Duration::from_millis(5);

/// The way back of the deliveries of one channel.
pub(crate) struct Acks(Ours<Arc<Gathering>>);

pub(crate) struct Gathering {
    /// Kept open for as long as there is something to acknowledge.
    _link: Arc<Link>,
    channel: client::Channel,
    /// The channel is one consumer's own, and closes with it.
    own: bool,
    /// How many gather at most.
    together: usize,
    /// The number of the transaction that settles now, from 1, which it stays on a channel without transactions.
    transaction: AtomicU64,
    gathered: Mutex<Gathered>,
}

#[derive(Default)]
struct Gathered {
    tags: Vec<(u64, bool)>,
    /// Everything up to this tag was settled in one go.
    through: u64,
    /// What `through` was at the last commit or rollback.
    through_before: u64,
    /// The transactions that were rolled back.
    undone: BTreeSet<u64>,
    /// The clock is running.
    armed: bool,
    closed: bool,
    /// Why those before could not be sent: for whoever comes next.
    failed: Option<Error>,
}

impl Acks {
    pub(crate) fn new(link: &Arc<Link>, channel: client::Channel, together: usize, own: bool) -> Self {
        let gathered = Mutex::default();
        let transaction = AtomicU64::new(1);
        let gathering =
            Arc::new(Gathering { _link: link.clone(), channel, own, together, transaction, gathered });
        link.watch(&gathering);
        Acks(Ours::new(gathering))
    }

    /// What to mark a message with that is settled now. Refuses what was received before a fork.
    #[inline]
    pub(crate) fn mark(&self, operation: &'static str) -> Result<u64> {
        Ok(self.0.get(operation)?.transaction.load(Relaxed))
    }

    /// Whether what has this mark (0 for none) is settled: not if that was in a transaction that was rolled back.
    pub(crate) fn is_settled(&self, mark: u64) -> bool {
        let undone =
            || self.0.get("basic.ack").is_ok_and(|inner| inner.gathered.lock().undone.contains(&mark));
        mark != 0 && !undone()
    }

    /// A transaction ends. When it was rolled back, what it settled is unsettled again.
    pub(crate) fn end_transaction(&self, rolled_back: bool) {
        let Ok(inner) = self.0.get("tx") else { return };
        let mut gathered = inner.gathered.lock();
        let ended = inner.transaction.fetch_add(1, Relaxed);
        if rolled_back {
            gathered.undone.insert(ended);
            gathered.through = gathered.through_before;
        }
        gathered.through_before = gathered.through;
    }

    /// Acknowledges a delivery, with `multiple` all up to it.
    #[inline]
    pub(crate) fn ack(&self, tag: u64, multiple: bool) -> Result<()> {
        let inner = self.0.get("basic.ack")?;
        let mut gathered = inner.gathered.lock();
        gathered.check("basic.ack", tag)?;
        gathered.tags.push((tag, multiple));
        if multiple {
            gathered.through = tag;
        }
        if gathered.tags.len() >= inner.together {
            let tags = std::mem::take(&mut gathered.tags);
            drop(gathered);
            return inner.channel.settle(&tags, Settle::Ack);
        }
        if !std::mem::replace(&mut gathered.armed, true) {
            drop(gathered);
            inner.arm()?;
        }
        Ok(())
    }

    /// Refuses a delivery, with `multiple` all up to it, after what was acknowledged before.
    pub(crate) fn refuse(
        &self,
        operation: &'static str,
        tag: u64,
        multiple: bool,
        how: Settle,
    ) -> Result<()> {
        let inner = self.0.get(operation)?;
        inner.flush()?;
        {
            let mut gathered = inner.gathered.lock();
            gathered.check(operation, tag)?;
            if multiple {
                gathered.through = tag;
            }
        }
        inner.channel.settle(&[(tag, multiple)], how)
    }

    /// Puts off when a delivery must be acknowledged. That it could not be is told to whoever comes next.
    pub(crate) fn extend(&self, tag: u64, milliseconds: u64) -> Result<()> {
        let inner = self.0.get("extend")?;
        inner.gathered.lock().check("extend", tag)?;
        let inner = inner.clone();
        leave(Box::pin(async move {
            if let Err(error) = inner.channel.extend(tag, milliseconds).await {
                inner.gathered.lock().failed = Some(error);
            }
        }));
        Ok(())
    }

    /// Sends what has gathered.
    #[inline]
    pub(crate) fn flush(&self) -> Result<()> {
        self.0.get("basic.ack")?.flush()
    }

    /// Ends a consumer's own channel: what was not acknowledged goes back. Does nothing to a shared one.
    pub(crate) async fn close(&self) -> Result<()> {
        let inner = self.0.get("channel.close")?;
        let flushed = inner.flush();
        if inner.own {
            inner.gathered.lock().closed = true;
            inner.channel.close().await?;
        }
        flushed
    }
}

impl Gathered {
    #[inline]
    fn check(&mut self, operation: &'static str, tag: u64) -> Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.closed {
            let reason = "the consumer ended, and what it had not acknowledged went back to its queue";
            return Err(Error::new(Kind::Closed, operation, reason));
        }
        if tag <= self.through {
            return Err(settled(operation));
        }
        Ok(())
    }
}

/// The error for what was settled before.
#[cold]
pub(crate) fn settled(operation: &'static str) -> Error {
    let reason = "this message was acknowledged, rejected or put back already";
    Error::new(Kind::PreconditionFailed, operation, reason).advise("settle each message once")
}

impl Gathering {
    pub(crate) fn flush(&self) -> Result<()> {
        let tags = {
            let mut gathered = self.gathered.lock();
            if let Some(error) = gathered.failed.take() {
                return Err(error);
            }
            if gathered.tags.is_empty() {
                return Ok(());
            }
            std::mem::take(&mut gathered.tags)
        };
        self.channel.settle(&tags, Settle::Ack)
    }

    /// Starts the clock.
    fn arm(self: &Arc<Self>) -> Result<()> {
        let me: Weak<Gathering> = Arc::downgrade(self);
        client::runtime()?.spawn(async move {
            tokio::time::sleep(IDLE).await;
            if let Some(inner) = me.upgrade() {
                inner.gathered.lock().armed = false;
                if let Err(error) = inner.flush() {
                    inner.gathered.lock().failed = Some(error);
                }
            }
        });
        Ok(())
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        let _ = self.flush();
        if self.own && !self.gathered.lock().closed {
            let channel = self.channel.clone();
            leave(Box::pin(async move { drop(channel.close().await) }));
        }
    }
}
