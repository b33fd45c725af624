//! A session: what a connection is to the broker. It owns channels and exclusive queues.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Broker;
use super::channel::Channel;
use super::outbox::{Outlet, Wakes};
use super::queue::Queue;
use super::vhost::Vhost;

/// A user at work in a virtual host. When it is dropped, its exclusive queues are deleted.
pub struct Session(Arc<Shared>);

pub(super) struct Shared {
    pub(super) broker: Arc<Broker>,
    pub(super) vhost: Arc<Vhost>,
    pub(super) user: Box<str>,
    pub(super) id: u64,
    opened_at: u64,
    /// Guards nothing else; taken only while declaring and closing.
    exclusive: Mutex<Vec<Arc<Queue>>>,
}

impl Session {
    pub(super) fn new(broker: Arc<Broker>, vhost: Arc<Vhost>, user: &str, id: u64) -> Self {
        let opened_at = broker.options().clock.now_ms();
        Session(Arc::new(Shared {
            broker,
            vhost,
            user: user.into(),
            id,
            opened_at,
            exclusive: Mutex::default(),
        }))
    }

    /// Opens a channel whose deliveries are announced to `outlet`.
    pub fn channel(&self, outlet: Box<dyn Outlet>) -> Channel {
        Channel::new(self.0.clone(), outlet)
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
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut wakes = Wakes::default();
        for queue in std::mem::take(&mut *self.0.exclusive.lock()) {
            self.0.vhost.delete_queue(&queue, &mut wakes);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("user", &self.user()).field("vhost", &self.vhost().name()).finish()
    }
}
