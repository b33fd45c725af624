//! A session: what a connection is to the broker. It owns channels and exclusive queues.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::Broker;
use super::channel::Channel;
use super::outbox::{Outlet, Wakes};
use super::queue::Queue;
use super::vhost::Vhost;
use crate::auth::{Grants, Seat};
use crate::error::{Error, Kind, Result};

/// A user at work in a virtual host. When it is dropped, its exclusive queues are deleted, but for
/// those that go along to the next host.
pub struct Session(Arc<Shared>);

pub(super) struct Shared {
    pub(super) broker: Arc<Broker>,
    pub(super) vhost: Arc<Vhost>,
    pub(super) user: Box<str>,
    pub(super) authority: Authority,
    pub(super) id: u64,
    /// What its exclusive queues know it by: its number, or if it can come back to another host that of its attachment.
    pub(super) key: u64,
    opened_at: u64,
    client: OnceLock<Client>,
    /// Those that are open.
    pub(super) channels: AtomicU64,
    /// Guards nothing else; taken only while declaring and closing.
    exclusive: Mutex<Vec<Arc<Queue>>>,
    /// Guards nothing else, and nothing is called under it.
    ending: Mutex<Ending>,
}

/// By what right a session acts.
pub(super) enum Authority {
    /// It is the program's own that the broker lives in: it may do everything, and nothing is checked.
    Host,
    /// It may do what its user may, and has its places among the connections that limits allow.
    User { impersonator: bool, _seats: [Seat; 3] },
}

#[derive(Default)]
struct Ending {
    reason: Option<Error>,
    tell: Option<Box<dyn FnOnce() + Send>>,
}

/// What listings say of a session.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// Numbers the broker's sessions, from 1.
    pub id: u64,
    /// The user's name.
    pub user: String,
    /// The virtual host's name.
    pub vhost: Arc<str>,
    /// When it was opened, in milliseconds since 1970.
    pub opened_at: u64,
    /// Who it is of.
    pub client: Client,
    /// Channels that are open.
    pub channels: u64,
    /// Consumers of its channels.
    pub consumers: u64,
}

/// Who a session is of, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The number of its process, on this machine; none where that cannot be seen from the broker's PID namespace.
    pub process: Option<u32>,
    /// Where it comes from, over a network: `ADDRESS:PORT`.
    pub address: Option<String>,
    /// What the program calls the connection.
    pub name: Option<String>,
    /// The library that it uses, with its version.
    pub library: Option<String>,
}

impl Client {
    /// Whether it is another process of this machine than the one of this number.
    pub(crate) fn is_beside(&self, process: u32) -> bool {
        self.address.is_none() && self.process != Some(process)
    }

    /// Whether it is the process of this number.
    fn is_within(&self, process: u32) -> bool {
        self.address.is_none() && self.process == Some(process)
    }
}

impl Session {
    pub(super) fn new(
        broker: Arc<Broker>,
        vhost: Arc<Vhost>,
        user: &str,
        authority: Authority,
        id: u64,
        attachment: Option<u64>,
    ) -> Self {
        let opened_at = broker.options().clock.now_ms();
        Session(Arc::new(Shared {
            broker,
            vhost,
            user: user.into(),
            authority,
            id,
            key: attachment.unwrap_or(id),
            opened_at,
            client: OnceLock::new(),
            channels: AtomicU64::new(0),
            exclusive: Mutex::default(),
            ending: Mutex::default(),
        }))
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Opens a channel whose deliveries are announced to `outlet`.
    ///
    /// # Errors
    /// `NotAllowed` when the user, or the broker, has as many channels as are allowed.
    pub fn channel(&self, outlet: Box<dyn Outlet>) -> Result<Channel> {
        let refuse = |reason: String| Error::new(Kind::NotAllowed, "channel.open", reason).on("channel");
        let shared = &self.0;
        let mut seats = Vec::new();
        if matches!(shared.authority, Authority::User { .. }) {
            // Texts as RabbitMQ's rabbit_reader.
            let broker = &shared.broker;
            let user = &shared.user;
            seats.push(broker.users().take_channel(user).map_err(|limit| {
                refuse(format!(
                    "number of channels opened for user '{user}' has reached the maximum allowed user limit of ({limit})"
                ))
            })?);
            seats.push(broker.channels.take(broker.options().max_channels).map_err(|limit| {
                refuse(format!(
                    "number of channels opened on node '{}' has reached the maximum allowed limit of ({limit})",
                    broker.options().name
                ))
            })?);
        }
        Ok(Channel::new(shared.clone(), outlet, seats))
    }

    /// Says who it is of, once.
    pub fn introduce(&self, client: Client) {
        let _ = self.0.client.set(client);
    }

    /// Has `tell` called once, when the broker ends the session of its own accord, with no lock held; at once if
    /// it has done so already. Must not block.
    pub fn on_ended(&self, tell: Box<dyn FnOnce() + Send>) {
        let mut ending = self.0.ending.lock();
        match ending.reason {
            None => ending.tell = Some(tell),
            Some(_) => {
                drop(ending);
                tell();
            }
        }
    }

    /// Why the broker has ended the session, if it has: its connection is to be closed with this.
    pub fn ended(&self) -> Option<Error> {
        self.0.ending.lock().reason.clone()
    }

    /// The broker.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.0.broker
    }

    /// The virtual host.
    pub fn vhost(&self) -> &Arc<Vhost> {
        &self.0.vhost
    }

    /// When it was opened, in milliseconds since 1970.
    pub fn opened_at(&self) -> u64 {
        self.0.opened_at
    }

    /// The user's name.
    pub fn user(&self) -> &str {
        &self.0.user
    }
}

impl Shared {
    /// Notes a queue that is to be deleted with the session.
    pub(super) fn owns(&self, queue: &Arc<Queue>) {
        self.exclusive.lock().push(queue.clone());
    }

    /// Forgets a queue that was deleted before.
    pub(super) fn disown(&self, queue: &Queue) {
        self.exclusive.lock().retain(|other| other.id != queue.id);
    }

    /// What its user may do here, now. None for a session that may do everything.
    pub(super) fn grants(&self) -> Option<Arc<Grants>> {
        match self.authority {
            Authority::Host => None,
            Authority::User { .. } => {
                Some(self.broker.users().grants(&self.user, &self.vhost.name).unwrap_or_default())
            }
        }
    }

    /// Whether it is of the process of this number.
    pub(super) fn is_within(&self, process: u32) -> bool {
        self.client.get().is_some_and(|client| client.is_within(process))
    }

    /// It may publish in the name of others.
    pub(super) fn may_impersonate(&self) -> bool {
        matches!(self.authority, Authority::User { impersonator: true, .. })
    }

    /// Ends it from the broker's side; the first reason counts.
    pub(super) fn end(&self, reason: Error) {
        let tell = {
            let mut ending = self.ending.lock();
            ending.reason.get_or_insert(reason);
            ending.tell.take()
        };
        if let Some(tell) = tell {
            tell();
        }
    }

    pub(super) fn info(&self, consumers: u64) -> SessionInfo {
        SessionInfo {
            id: self.id,
            user: self.user.to_string(),
            vhost: self.vhost.name.clone(),
            opened_at: self.opened_at,
            client: self.client.get().cloned().unwrap_or_default(),
            channels: self.channels.load(Relaxed),
            consumers,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.broker.sessions.lock().remove(&self.0.id);
        let mut wakes = Wakes::default();
        for queue in std::mem::take(&mut *self.0.exclusive.lock()) {
            // At the end of a host it waits at the next one.
            if !queue.is_frozen() {
                self.0.vhost.drop_queue(&queue, &mut wakes);
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("user", &self.user()).field("vhost", &self.vhost().name()).finish()
    }
}
