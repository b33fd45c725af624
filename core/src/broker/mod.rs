//! The domain: virtual hosts, exchanges, bindings, queues, consumers and channels.
//!
//! Synchronous; knows no socket, file format, task or language. Everybody acts through a
//! [`Channel`], be it the AMQP server or a program in this process.
//!
//! # Lock order
//!
//! | lock | guards | held while |
//! |---|---|---|
//! | names that are being changed, where changes are [recorded](record) | that one change of a name is carried out at a time | it is brought to the disk |
//! | the broker's virtual hosts, its sessions, its [`Users`] | who there is | a look-up or a change by name; never two of these, but a virtual host's own below them |
//! | a virtual host's change of policies | that one is carried out at a time | a policy is set or cleared |
//! | [`Vhost`]'s topology (read/write) | exchanges, bindings, the names of queues | declaring and binding (write), routing a message whose route is not in the channel's cache (read) |
//! | a virtual host's settings and its policies (read/write) | limits, default queue type; what applies to which name | declaring, listing; changed when an operator does |
//! | a [`Queue`]'s state | its waiting messages and its ring of consumers | enqueueing and handing out a batch: bounded, no call into foreign code, no I/O but to read the next messages of a long queue or stream that is on the disk |
//! | an [`Outbox`]'s state | a channel's deliveries under way: credit, delivery tags, what is unacked, what is not yet taken | adding one run of deliveries, taking a batch, settling |
//!
//! A thread that holds one may take those below it, never one above, and never two of the same row.
//! An exchange's history (`history`), the timers (`timers`), the delayed messages (`delay`) and who is absent (`absent`)
//! have locks beside these: nothing else is taken while one is held, but a delayed message and who waits for the absent
//! set their alarms. The locks of a store and of a memo (`transient`) are below all of them; a store calls back
//! ([`store::Waiter`]) with none held, and a memo writes a line without syncing it.
//!
//! Sockets are written, waiters woken and dead letters sent after all of them are released: what is to be done then
//! is noted in [`Wakes`], which does it when it is dropped or [run](Wakes::run). So a queue that gives a message up
//! knows nothing of the queue that gets it.

mod absent;
mod alarms;
mod arguments;
mod arrived;
mod bind;
mod carbon_copies;
mod changing;
mod channel;
mod consumer;
mod dead_letter;
mod definitions;
mod delay;
mod equivalence;
mod exchange;
mod exchanges;
mod handover;
mod history;
mod lasting;
mod names;
mod outbox;
mod permissions;
mod policy;
mod profile;
mod queue;
mod record;
mod replies;
mod restore;
mod route;
mod session;
pub mod store;
mod timers;
mod topology;
mod transient;
mod vhost;
mod vhosts;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};

pub use alarms::Alarm;
pub use channel::{Binding, Channel, Confirmed, ConsumeOptions, Got, Publish, Registered, Resume, Returned};
pub use definitions::{
    BindingDefinition, Definitions, DestinationType, ExchangeDefinition, Parameter, QueueDefinition,
    UserDefinition, VhostDefinition,
};
pub use delay::DelayedMessage;
pub use exchange::{BindingInfo, ExchangeInfo, ExchangeOptions};
pub use handover::Handover;
pub use outbox::{Delivery, Event, Outbox, Outlet, Settle, Wakes};
pub use policy::{ApplyTo, Effective, Policy, Side};
pub use profile::Profile;
pub use queue::{Queue, QueueCounts, QueueInfo, QueueKind, QueueOptions, QueueStatus};
pub use record::{Change, Definition, Noted, Record};
pub use session::{Client, Session, SessionInfo};
pub use vhost::Vhost;
pub use vhosts::{VhostInfo, VhostLimits, VhostMetadata};

pub(crate) use queue::{ids_of, is_overflow};
pub(crate) use record::Recorder;
pub(crate) use transient::{ATTACHED, Memo, Trace, Transient};

use changing::Changing;
use timers::Timers;

use crate::auth::{Permissions, Seats, User, Users};
use crate::clock::Clock;
use crate::error::Result;

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
    /// Whose rules hold where versions of RabbitMQ differ.
    pub profile: Profile,
    /// The longest body that is taken, in bytes: as [`Profile::max_message_size`] says.
    pub max_message_size: usize,
    /// How often a quorum queue that does not say so itself delivers a message again before it gives up: as
    /// [`Profile::delivery_limit`] says. None is without end.
    pub delivery_limit: Option<u64>,
    /// Users who may connect from this machine only: by default `guest`, as RabbitMQ's `loopback_users`.
    pub loopback_users: Vec<String>,
    /// Connections over all virtual hosts; none is no limit (RabbitMQ's `connection_max`).
    pub max_connections: Option<u64>,
    /// Channels over all connections; none is no limit (RabbitMQ's `channel_max_per_node`).
    pub max_channels: Option<u64>,
    /// Where durable queues keep their persistent messages; none: in memory like all others.
    pub store: Option<Arc<dyn store::Store>>,
    /// Bytes of messages that such a queue has in memory, for each of its priorities, before the next ones are on the
    /// disk only; a stream, of its newest messages; a virtual host, of delayed messages.
    pub queue_memory: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options::like(Profile::default())
    }
}

impl Options {
    /// As usual for a version of RabbitMQ.
    pub fn like(profile: Profile) -> Self {
        Options {
            name: "warrenmq".into(),
            clock: Clock::System,
            memory_limit: crate::memory::total() / 5 * 2,
            profile,
            max_message_size: profile.max_message_size(),
            delivery_limit: profile.delivery_limit(),
            loopback_users: vec!["guest".into()],
            max_connections: None,
            max_channels: None,
            store: None,
            queue_memory: 32 << 20,
        }
    }
}

/// A broker: its virtual hosts and users. Lives until the last handle is gone.
pub struct Broker {
    options: Options,
    timers: Arc<Timers>,
    users: Users,
    vhosts: RwLock<HashMap<Box<str>, Arc<Vhost>>>,
    /// The virtual hosts that are being added, deleted or set up.
    changing: Changing<Box<str>>,
    recorder: Recorder,
    /// Taken when a session begins and ends, and to list or end them.
    sessions: Mutex<HashMap<u64, Weak<session::Shared>>>,
    next_session: AtomicU64,
    connections: Seats,
    channels: Seats,
    alarms: alarms::Alarms,
    /// Where clients come in. Guards nothing else.
    addresses: Mutex<Vec<String>>,
    /// Who was attached to the host before; none where there was none. Guards nothing else.
    absent: Mutex<Option<Arc<absent::Absent>>>,
}

impl Broker {
    /// A broker with the virtual host `/` and the user `guest`.
    pub fn new(options: Options) -> Arc<Self> {
        let broker = Self::empty(options);
        let furnished = broker.furnish();
        debug_assert!(furnished.is_ok(), "{furnished:?}");
        broker
    }

    /// Adds the virtual host `/` and the user `guest`, who may do everything in it.
    ///
    /// # Errors
    /// `ResourceError` when they cannot be [recorded](Record); `PreconditionFailed` when there is such a virtual host.
    pub fn furnish(&self) -> Result<()> {
        self.users.put(User::guest())?;
        self.add_vhost("/", VhostMetadata::default())?;
        self.set_permissions(Permissions::all("guest", "/"))
    }

    /// A broker without virtual hosts and users, for one that gets its definitions from elsewhere.
    pub fn empty(options: Options) -> Arc<Self> {
        let recorder = Recorder::default();
        let users = Users::none(options.loopback_users.clone()).recorded_by(recorder.clone());
        let timers = Arc::new(Timers::new(options.clock.clone()));
        Arc::new(Broker {
            options,
            timers,
            users,
            vhosts: RwLock::default(),
            changing: Changing::default(),
            recorder,
            sessions: Mutex::default(),
            next_session: AtomicU64::new(1),
            connections: Seats::default(),
            channels: Seats::default(),
            alarms: alarms::Alarms::default(),
            addresses: Mutex::default(),
            absent: Mutex::default(),
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

    /// Where clients come in, as URLs.
    pub fn addresses(&self) -> Vec<String> {
        self.addresses.lock().clone()
    }

    /// Notes a place where clients come in.
    pub(crate) fn add_address(&self, url: &str) {
        self.addresses.lock().push(url.into());
    }

    pub(crate) fn remove_address(&self, url: &str) {
        let mut addresses = self.addresses.lock();
        if let Some(index) = addresses.iter().position(|known| known == url) {
            addresses.remove(index);
        }
    }

    /// Does what has become due: with a held [`Clock`], after it was advanced. With the machine's clock this
    /// happens by itself.
    pub fn run_due(&self) {
        self.timers.run();
    }

    /// Why publishers are to be held back now, in the words of `connection.blocked`: more messages are in
    /// memory than allowed, or an alarm was raised.
    pub fn blocked(&self) -> Option<&'static str> {
        self.alarms.reason(crate::memory::held() > self.options.memory_limit)
    }

    /// Whether publishers are to wait a moment, as messages come faster than they can be written.
    pub fn is_behind(&self) -> bool {
        self.options.store.as_ref().is_some_and(|store| store.is_behind())
    }

    /// Raises or clears an alarm by hand. While one is raised, connections that publish are told so
    /// (`connection.blocked`) and no longer read, and publishing in this process waits.
    pub fn set_alarm(&self, alarm: Alarm, raised: bool) {
        if self.alarms.set(alarm, raised) {
            tracing::warn!(?alarm, raised, "resource alarm");
        }
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("name", &self.options.name).finish_non_exhaustive()
    }
}

/// Process-wide numbers for queues and exchanges, so that each has an identity beside its name.
fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Relaxed)
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// What is kept under this number of another process belongs to something of this one now.
fn skip_id(id: u64) {
    NEXT_ID.fetch_max(id + 1, Relaxed);
}
