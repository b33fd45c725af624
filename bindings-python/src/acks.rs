//! Acknowledgements on their way back. They gather here and leave together: when enough have gathered, with
//! the consumer's next look for messages, or after a few milliseconds.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use warrenmq::client::{self, Settle};
use warrenmq::{Error, Kind, Result};

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
    gathered: Mutex<Gathered>,
}

#[derive(Default)]
struct Gathered {
    tags: Vec<(u64, bool)>,
    /// Everything up to this tag was settled in one go.
    through: u64,
    /// The clock is running.
    armed: bool,
    closed: bool,
    /// Why those before could not be sent: for whoever comes next.
    failed: Option<Error>,
}

impl Acks {
    pub(crate) fn new(link: &Arc<Link>, channel: client::Channel, together: usize, own: bool) -> Self {
        let gathered = Mutex::default();
        let gathering = Arc::new(Gathering { _link: link.clone(), channel, own, together, gathered });
        link.watch(&gathering);
        Acks(Ours::new(gathering))
    }

    /// Refuses what was received before a fork.
    #[inline]
    pub(crate) fn check(&self, operation: &'static str) -> Result<()> {
        self.0.get(operation).map(drop)
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
            crate::answer::leave(Box::pin(async move { drop(channel.close().await) }));
        }
    }
}
