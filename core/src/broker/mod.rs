//! The domain: virtual hosts, exchanges, bindings, queues, consumers and channels.
//!
//! Synchronous, in memory; knows no socket, file format, task or language. Everybody acts through a
//! [`Channel`], be it the AMQP server or a program in this process.
//!
//! # Lock order
//!
//! | lock | guards | held while |
//! |---|---|---|
//! | [`Vhost`]'s topology (read/write) | exchanges, bindings, the names of queues | declaring and binding (write), routing a message whose route is not in the channel's cache (read) |
//! | a [`Queue`]'s state | its waiting messages and its ring of consumers | enqueueing and handing out a batch: bounded, no I/O, no call into foreign code |
//! | an [`Outbox`]'s state | a channel's deliveries under way: credit, delivery tags, what is unacked, what is not yet taken | adding one run of deliveries, taking a batch, settling |
//!
//! A thread that holds one may take those below it, never one above, and never two of the same row.
//! An exchange's history ([`history`]) is a lock beside these: nothing is taken while it is held.
//! Sockets are written and waiters woken after all of them are released: whatever became deliverable
//! is noted in [`Wakes`], which calls each outlet once when it is dropped or [run](Wakes::run).

mod arguments;
mod carbon_copies;
mod channel;
mod consumer;
mod dead_letter;
mod delay;
mod equivalence;
mod exchange;
mod history;
mod names;
mod outbox;
mod queue;
mod replies;
mod route;
mod session;
mod timers;
mod topology;
mod vhost;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hashbrown::HashMap;
use parking_lot::RwLock;

pub use channel::{Binding, Channel, Confirmed, ConsumeOptions, Got, Publish, Registered, Returned};
pub use delay::DelayedMessage;
pub use exchange::{ExchangeInfo, ExchangeOptions};
pub use outbox::{Delivery, Event, Outbox, Outlet, Settle, Wakes};
pub use queue::{Queue, QueueInfo, QueueKind, QueueOptions, QueueStatus};
pub use session::Session;
pub use vhost::Vhost;

use timers::Timers;

use crate::auth::Users;
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};

/// What a broker can be told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name, as `cluster_name` in the server properties.
    pub name: String,
    /// Where it takes the time from.
    pub clock: Clock,
    /// Bytes of messages in memory above which publishers are held back. By default 40% of the
    /// machine's memory, as RabbitMQ's `vm_memory_high_watermark`.
    pub memory_limit: usize,
    /// The longest body that is taken, in bytes: 128 MiB, as RabbitMQ 3.8 to 3.13.
    pub max_message_size: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            name: "warrenmq".into(),
            clock: Clock::System,
            memory_limit: crate::memory::total() / 5 * 2,
            max_message_size: 128 << 20,
        }
    }
}

/// A broker: its virtual hosts and users. Lives until the last handle is gone.
pub struct Broker {
    options: Options,
    timers: Arc<Timers>,
    users: Users,
    vhosts: RwLock<HashMap<Box<str>, Arc<Vhost>>>,
    sessions: AtomicU64,
}

impl Broker {
    /// A broker with the virtual host `/` and the user `guest`.
    pub fn new(options: Options) -> Arc<Self> {
        let timers = Arc::new(Timers::new(options.clock.clone()));
        let root = Vhost::new("/", &timers);
        Arc::new(Broker {
            options,
            timers,
            users: Users::default(),
            vhosts: RwLock::new(HashMap::from_iter([(Box::from("/"), root)])),
            sessions: AtomicU64::new(1),
        })
    }

    /// What it was started with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Who may connect.
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// The virtual host of this name.
    pub fn vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        self.vhosts.read().get(name).cloned()
    }

    /// Opens a session of `user` in a virtual host: what a connection is to the broker.
    pub fn open(self: &Arc<Self>, vhost: &str, user: &str) -> Result<Session> {
        // The text is RabbitMQ's (rabbit_reader, `handle_method0(connection.open)`).
        let found = self.vhost(vhost).ok_or_else(|| {
            Error::new(Kind::NotAllowed, "connection.open", format!("vhost {vhost} not found"))
                .on(format!("vhost '{vhost}'"))
        })?;
        Ok(Session::new(self.clone(), found, user, self.sessions.fetch_add(1, Relaxed)))
    }

    /// Does what has become due: with a held [`Clock`], after it was advanced. With the machine's clock this
    /// happens by itself.
    pub fn run_due(&self) {
        self.timers.run();
    }

    /// True while publishers are to be held back: more messages are in memory than allowed.
    pub fn over_memory_limit(&self) -> bool {
        crate::memory::held() > self.options.memory_limit
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("name", &self.options.name).finish_non_exhaustive()
    }
}

/// Process-wide numbers for queues and exchanges, so that each has an identity beside its name.
fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Relaxed)
}
