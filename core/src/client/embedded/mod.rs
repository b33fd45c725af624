//! `inproc:`, `local:` — the broker in this process. Every call acts on it at once, on the caller's thread.
//!
//! | file | holds |
//! |---|---|
//! | here | the connection: a session of the broker |
//! | `channel` | declaring, publishing, settling; publishers that wait for memory |
//! | `consumer` | from the channel's outbox to its consumers |

mod channel;
mod consumer;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::ConnectOptions;
use super::driver::{Answer, ChannelDriver, ConnectionDriver, ConnectionEvent, Listener, now};
use super::listening::Listening;
use super::process::{self, Birthplace, Hosted};
use crate::broker::{Broker, Client, Session};
use crate::error::{Error, Kind, Result};
use crate::server::Lookout;
use channel::EmbeddedChannel;

/// A connection to a broker in this process.
pub(super) struct Embedded {
    shared: Arc<Shared>,
}

struct Shared {
    transport: &'static str,
    broker: Arc<Broker>,
    /// Where it lives, if in a directory; none once closed.
    hosted: Mutex<Option<Hosted>>,
    /// Where who waits may see what other processes send.
    lookout: Option<Arc<Lookout>>,
    /// None once closed. Channels take it only to open and to close.
    session: Mutex<Option<Session>>,
    channels: Mutex<Vec<Weak<EmbeddedChannel>>>,
    listeners: Mutex<Vec<Listener>>,
    listening: Listening,
    born: Birthplace,
    /// Publishes that wait for memory.
    waiting: AtomicUsize,
    max_waiting: usize,
}

fn closed(operation: &'static str) -> Error {
    Error::new(Kind::Closed, operation, "the connection is closed").advise("open a new one with connect()")
}

impl Embedded {
    pub(super) fn open(name: &str, options: &ConnectOptions) -> Result<Self> {
        Self::to(process::broker(name), "inproc", None, options)
    }

    pub(super) fn open_local(path: &Path, options: &ConnectOptions) -> Result<Self> {
        let hosted = process::host(path)?;
        let broker = hosted.broker().cloned().ok_or_else(|| closed("connect"))?;
        Self::to(broker, "local", Some(hosted), options)
    }

    fn to(
        broker: Arc<Broker>,
        transport: &'static str,
        hosted: Option<Hosted>,
        options: &ConnectOptions,
    ) -> Result<Self> {
        let session = broker.open_embedded("/")?;
        session.introduce(Client {
            process: Some(std::process::id()),
            address: None,
            name: options.name.clone(),
            library: Some(concat!("WarrenMQ ", env!("CARGO_PKG_VERSION")).into()),
        });
        let shared = Shared {
            transport,
            broker,
            lookout: hosted.as_ref().and_then(Hosted::lookout),
            hosted: Mutex::new(hosted),
            session: Mutex::new(Some(session)),
            channels: Mutex::default(),
            listeners: Mutex::default(),
            listening: Listening::default(),
            born: Birthplace::here(),
            waiting: AtomicUsize::new(0),
            max_waiting: options.max_in_flight,
        };
        let shared = Arc::new(shared);
        if let Some(session) = &*shared.session.lock() {
            let ended = Arc::downgrade(&shared);
            session.on_ended(Box::new(move || {
                if let Some(shared) = ended.upgrade() {
                    shared.close();
                }
            }));
        }
        Ok(Embedded { shared })
    }

    /// Listens on each of these addresses.
    pub(super) async fn listen_all(&self, addresses: &[String]) -> Result<()> {
        for address in addresses {
            self.shared.listen(address).await?;
        }
        Ok(())
    }

    fn open_channel(&self) -> Result<Arc<dyn ChannelDriver>> {
        let shared = &self.shared;
        shared.born.check("channel.open")?;
        let session = shared.session.lock();
        let channel = EmbeddedChannel::open(session.as_ref().ok_or_else(|| closed("channel.open"))?, shared)?;
        let mut channels = shared.channels.lock();
        channels.retain(|channel| channel.strong_count() > 0);
        channels.push(Arc::downgrade(&channel));
        Ok(channel)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    /// Tells the connection's listeners, with no lock held.
    fn tell(&self, event: &ConnectionEvent) {
        let listeners = self.listeners.lock().clone();
        listeners.iter().for_each(|listener| listener(event.clone()));
    }

    async fn listen(&self, address: &str) -> Result<SocketAddr> {
        self.born.check("listen")?;
        if self.session.lock().is_none() {
            return Err(closed("listen"));
        }
        self.listening.add(&self.broker, address).await
    }

    fn close(&self) {
        if self.born.check("close").is_err() {
            return; // the parent's locks may be held for ever in this copy of its memory
        }
        let Some(session) = self.session.lock().take() else { return };
        for channel in std::mem::take(&mut *self.channels.lock()) {
            if let Some(channel) = channel.upgrade() {
                channel.shut();
            }
        }
        let reason = session.ended();
        drop(session);
        self.listening.close();
        drop(self.hosted.lock().take());
        for listener in std::mem::take(&mut *self.listeners.lock()) {
            listener(ConnectionEvent::Closed(reason.clone()));
        }
    }
}

impl ConnectionDriver for Embedded {
    fn transport(&self) -> &'static str {
        self.shared.transport
    }

    fn is_open(&self) -> bool {
        self.shared.session.lock().is_some()
    }

    fn channel(&self) -> Answer<Arc<dyn ChannelDriver>> {
        now(self.open_channel())
    }

    fn listen(&self, address: &str) -> Answer<SocketAddr> {
        let shared = self.shared.clone();
        let address = address.to_owned();
        Box::pin(async move { shared.listen(&address).await })
    }

    fn listening(&self) -> Vec<SocketAddr> {
        if self.shared.born.check("listen").is_err() { Vec::new() } else { self.shared.listening.addresses() }
    }

    fn on_event(&self, listener: Listener) {
        self.shared.listeners.lock().push(listener);
    }

    fn close(&self) -> Answer<()> {
        self.shared.close();
        now(Ok(()))
    }
}
impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("transport", &self.transport())
            .field("open", &self.is_open())
            .finish()
    }
}
