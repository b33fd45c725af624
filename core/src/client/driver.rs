//! What a transport provides. [`Connection`](super::Connection), [`Channel`](super::Channel) and
//! [`Consumer`](super::Consumer) are thin fronts of these.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{ConsumeOptions, Delivery, ExchangeOptions, Get, Publish, QueueInfo, QueueOptions, Settle};
use crate::broker::Binding;
use crate::error::{Error, Result};

/// A future of the client API. For `inproc:` it is ready at once, unless publishing has to wait for memory.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'static>>;

/// Something to be called from another thread; must not block.
pub type Bell = Arc<dyn Fn() + Send + Sync>;

/// An answer that is there already.
pub(super) fn now<T: Send + 'static>(value: Result<T>) -> Answer<T> {
    Box::pin(std::future::ready(value))
}

/// Goes on with a value, or answers with the error at once.
macro_rules! or_now {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return $crate::client::driver::now(Err(error)),
        }
    };
}

pub(super) use or_now;

/// A queue, as errors name it.
pub(super) fn on_queue(name: &str) -> String {
    format!("queue '{name}'")
}

/// An exchange, as errors name it.
pub(super) fn on_exchange(name: &str) -> String {
    format!("exchange '{name}'")
}

/// Both ends of a binding, as errors name them.
pub(super) fn ends(what: &str, binding: &Binding<'_>) -> String {
    format!("{what} '{}' and exchange '{}'", binding.destination, binding.source)
}

/// What happened to a published message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The broker has taken responsibility for it. Not so on a transactional channel, before the commit.
    pub confirmed: bool,
    /// At least one queue took it. On a transactional channel the commit tells.
    pub routed: bool,
}

/// A publish that has happened or is under way.
pub enum Publishing {
    /// It has happened.
    Done(Outcome),
    /// It will have, when this is ready.
    Pending(Answer<Outcome>),
}

impl fmt::Debug for Publishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Publishing::Done(outcome) => f.debug_tuple("Done").field(outcome).finish(),
            Publishing::Pending(_) => f.write_str("Pending"),
        }
    }
}

/// What happened to a batch of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchOutcome {
    /// How many the broker has taken responsibility for: all of them, or the call failed. On a transactional
    /// channel none, before the commit.
    pub confirmed: usize,
    /// Which of them no queue took, counted from 0.
    pub unrouted: Vec<usize>,
}

/// A batch that has been published or is under way.
pub enum BatchPublishing {
    /// It has been.
    Done(BatchOutcome),
    /// It will have been, when this is ready.
    Pending(Answer<BatchOutcome>),
}

impl fmt::Debug for BatchPublishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchPublishing::Done(outcome) => f.debug_tuple("Done").field(outcome).finish(),
            BatchPublishing::Pending(_) => f.write_str("Pending"),
        }
    }
}

/// What a connection tells its user unasked.
#[derive(Clone, Debug)]
pub enum ConnectionEvent {
    /// The broker takes no more publishes until `Unblocked`; the reason as it says it.
    Blocked(String),
    /// It takes them again.
    Unblocked,
    /// The process that hosted the broker is gone, and the connection goes on with who hosts it now. What was not
    /// acknowledged comes again. What was not confirmed was sent again, and is in a durable queue once if it is
    /// persistent; what the host before may have delivered without having stored it comes marked as redelivered.
    Reconnected,
    /// The process that hosts the broker gives no sign of life (`Timeout`, with its number). What was awaited of it has
    /// failed with this error, and so does what is asked of it now; all of that may take effect yet. Then comes
    /// `Responsive`, or, when that process ends, `Reconnected`.
    Unresponsive(Error),
    /// It gives them again.
    Responsive,
    /// The connection is closed: `None` when its user closed it.
    Closed(Option<Error>),
}

/// Called with each event of a connection, from any thread; must not block.
pub type Listener = Arc<dyn Fn(ConnectionEvent) + Send + Sync>;

pub(super) trait ConnectionDriver: Send + Sync + fmt::Debug {
    fn transport(&self) -> &'static str;
    fn is_open(&self) -> bool;
    fn channel(&self) -> Answer<Arc<dyn ChannelDriver>>;
    fn listen(&self, address: &str) -> Answer<SocketAddr>;
    fn listening(&self) -> Vec<SocketAddr> {
        Vec::new()
    }
    fn on_event(&self, listener: Listener);
    fn close(&self) -> Answer<()>;
}

pub(super) trait ChannelDriver: Send + Sync + fmt::Debug {
    fn is_open(&self) -> bool;
    fn declare_queue(&self, name: &str, passive: bool, options: QueueOptions) -> Answer<QueueInfo>;
    fn delete_queue(&self, name: &str, if_unused: bool, if_empty: bool) -> Answer<u64>;
    fn purge_queue(&self, name: &str) -> Answer<u64>;
    fn declare_exchange(&self, name: &str, kind: &str, passive: bool, options: ExchangeOptions)
    -> Answer<()>;
    fn delete_exchange(&self, name: &str, if_unused: bool) -> Answer<()>;
    fn bind_queue(&self, binding: Binding<'_>) -> Answer<()>;
    fn unbind_queue(&self, binding: Binding<'_>) -> Answer<()>;
    fn bind_exchange(&self, binding: Binding<'_>) -> Answer<()>;
    fn unbind_exchange(&self, binding: Binding<'_>) -> Answer<()>;
    fn qos(&self, count: u16, global: bool) -> Answer<()>;
    fn publish(&self, publish: Publish<'_>) -> Result<Publishing>;
    fn publish_all(&self, batch: &mut dyn Iterator<Item = Publish<'_>>) -> Result<BatchPublishing>;
    fn consume(&self, options: &ConsumeOptions<'_>) -> Answer<Arc<dyn ConsumerDriver>>;
    fn get(&self, queue: &str, no_ack: bool) -> Answer<Option<Get>>;
    fn settle(&self, tags: &[(u64, bool)], how: Settle) -> Result<()>;
    /// The tag by which the broker knows a delivery; none when it knows it no more.
    fn broker_tag(&self, tag: u64) -> Option<u64> {
        Some(tag)
    }
    fn recover(&self) -> Answer<()>;
    fn tx_select(&self) -> Answer<()>;
    fn tx_commit(&self) -> Answer<Vec<usize>>;
    fn tx_rollback(&self) -> Answer<()>;
    fn close(&self) -> Answer<()>;
}

pub(super) trait ConsumerDriver: Send + Sync + fmt::Debug {
    fn tag(&self) -> &str;
    fn take(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()>;
    /// Where what comes can be seen without a system call.
    fn look(&self) -> bool {
        false
    }
    fn wait(&self, timeout: Option<Duration>) -> bool;
    fn on_ready(&self, bell: Bell);
    fn cancel(&self) -> Answer<()>;
}
