//! A connection: channels by their numbers, events, closing.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::runtime::Handle as Runtime;
use tokio::sync::watch;
use tokio::time::timeout;

use super::channel::{Channel, Held, Reply};
use super::dial::dial;
use super::handshake::{Dialled, Socket};
use super::intake::Door;
use super::line::Line;
use super::methods::Handle;
use super::peer::Peer;
use super::reader;
use super::silence::Silence;
use crate::broker::Broker;
use crate::client::ConnectOptions;
use crate::client::closed::{closed, refused};
use crate::client::driver::{
    Answer, ChannelDriver, ConnectionDriver, ConnectionEvent, Listener, now, or_now,
};
use crate::client::in_flight::InFlight;
use crate::client::listening::Listening;
use crate::client::mailbox::Load;
use crate::client::process::{Birthplace, Hosted};
use crate::error::{Error, Kind, Result};
use crate::storage::{Attachment, attachment_number};
use crate::wire::{Method, ShortString, connection};

/// How long closing waits for the channels to be closed.
const FLUSH: Duration = Duration::from_secs(15);

/// How long the broker may take to say that it closed the connection.
const GOODBYE: Duration = Duration::from_secs(5);

/// A connection to a broker in another process.
pub(in crate::client) struct Remote {
    shared: Arc<Shared>,
}

/// What a connection's channels and its reader know of it.
pub(super) struct Shared {
    pub(super) born: Birthplace,
    pub(super) peer: Peer,
    pub(super) options: ConnectOptions,
    /// The broker, once this process has taken it over.
    pub(super) hosted: Mutex<Option<Hosted>>,
    /// By which the next host knows it; none of a broker that has no directory, or where it cannot be made.
    pub(super) attachment: Mutex<Option<Attachment>>,
    pub(super) runtime: Runtime,
    pub(super) line: Arc<Line>,
    pub(super) intake: Door,
    pub(super) in_flight: Arc<InFlight>,
    /// What waits in the consumers' mailboxes.
    pub(super) load: Arc<Load>,
    /// The reader has stopped until less waits.
    pub(super) paused: AtomicBool,
    /// What was agreed on with the first broker.
    pub(super) tuned: connection::TuneOk,
    /// The broker says which message it was that no queue took.
    pub(super) numbers_returns: bool,
    channels: Mutex<HashMap<u16, Arc<Channel>>>,
    /// Set once it is closed: by its user, or with the error that it was lost by.
    end: Mutex<Option<Option<Error>>>,
    ended: watch::Sender<bool>,
    closing: AtomicBool,
    listeners: Mutex<Vec<Listener>>,
    pub(super) silence: Silence,
    listening: Listening,
}

impl Remote {
    /// Connects to who hosts a directory. To be called on the runtime.
    ///
    /// # Errors
    /// `Unreachable` when nobody listens there; what the broker refuses.
    pub(in crate::client) async fn open(directory: &Path, options: &ConnectOptions) -> Result<Self> {
        let number = attachment_number()?;
        let dialled = dial(directory, Some(number), options, None).await?;
        // Not before there is a host: the next one takes those for attached to the one before that are so when it begins.
        let attachment = Attachment::new(directory, number)
            .inspect_err(|error| tracing::warn!(%error, "exclusive queues end with who hosts now"));
        Ok(Self::start(Peer::Host(directory.to_owned()), attachment.ok(), dialled, options))
    }

    /// Goes on with a connection to a broker at this place, as errors name it. To be called on the runtime.
    pub(in crate::client) fn to_broker(place: String, dialled: Dialled, options: &ConnectOptions) -> Self {
        Self::start(Peer::Broker(place), None, dialled, options)
    }

    fn start(peer: Peer, attachment: Option<Attachment>, dialled: Dialled, options: &ConnectOptions) -> Self {
        let Dialled { socket, tuned, numbers_returns } = dialled;
        let Socket { reader, writer, buffer } = socket;
        let runtime = Runtime::current();
        let shared = Arc::new(Shared {
            born: Birthplace::here(),
            peer,
            options: options.clone(),
            hosted: Mutex::default(),
            attachment: Mutex::new(attachment),
            intake: Door::default(),
            line: Line::new(writer, tuned.frame_max, runtime.clone()),
            runtime,
            in_flight: InFlight::new(options.max_in_flight),
            load: Arc::default(),
            paused: AtomicBool::new(false),
            tuned,
            numbers_returns,
            channels: Mutex::default(),
            end: Mutex::default(),
            ended: watch::Sender::new(false),
            closing: AtomicBool::new(false),
            listeners: Mutex::default(),
            silence: Silence::default(),
            listening: Listening::default(),
        });
        shared.runtime.spawn(reader::run(shared.clone(), reader, buffer));
        Remote { shared }
    }
}

impl Shared {
    /// How it ended, once it has: `Some(None)` when its user closed it.
    pub(super) fn end(&self) -> Option<Option<Error>> {
        self.end.lock().clone()
    }

    /// How long an answer is waited for at the end: not at all when none is to be expected.
    pub(super) fn patience(&self, most: Duration) -> Duration {
        if self.silence().is_some() { Duration::ZERO } else { most }
    }

    /// The broker, if this process has taken it over.
    fn broker(&self) -> Option<Arc<Broker>> {
        self.hosted.lock().as_ref().and_then(|hosted| hosted.broker().cloned())
    }

    /// Lets AMQP clients in where that was asked for, if this process hosts now and has not done so.
    pub(super) fn listen_as_host(self: &Arc<Self>) {
        if self.options.listen.is_empty() || !self.listening.addresses().is_empty() {
            return;
        }
        if let Some(broker) = self.broker() {
            let shared = self.clone();
            self.runtime.spawn(async move {
                shared.listening.take_over(&broker, &shared.options.listen).await;
                if shared.end().is_some() {
                    shared.listening.close();
                }
            });
        }
    }

    /// Its user closes it.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(SeqCst)
    }

    fn is_open(&self) -> bool {
        self.born.check("connection").is_ok() && self.end.lock().is_none()
    }

    pub(super) fn channel(&self, number: u16) -> Option<Arc<Channel>> {
        self.channels.lock().get(&number).cloned()
    }

    /// A channel's number may be used again.
    pub(super) fn forget(&self, number: u16) {
        self.channels.lock().remove(&number);
    }

    pub(super) fn all_channels(&self) -> Vec<Arc<Channel>> {
        self.channels.lock().values().cloned().collect()
    }

    /// Has the reader go on, should it have stopped: who awaits something may take nothing before it has it.
    pub(super) fn awaits_answer(&self) {
        if self.paused.load(SeqCst) {
            self.line.attention.notify_one();
        }
    }

    /// Whether an answer or a confirm is awaited.
    pub(super) fn awaits(&self) -> bool {
        !self.in_flight.is_empty() || self.channels.lock().values().any(|channel| channel.awaits())
    }

    fn open_channel(self: &Arc<Self>) -> Answer<Arc<dyn ChannelDriver>> {
        let channel = {
            let mut channels = self.channels.lock();
            let most = if self.tuned.channel_max == 0 { u16::MAX } else { self.tuned.channel_max };
            let Some(number) = (1..=most).find(|number| !channels.contains_key(number)) else {
                let reason = "the connection has as many channels as the broker allows";
                return now(Err(Error::new(Kind::ResourceError, "channel.open", reason)));
            };
            let channel = or_now!(Channel::new(number, self));
            channels.insert(number, channel.clone());
            channel
        };
        let held = Arc::new(Held(channel.clone()));
        let open = channel.open(None);
        channel.call("channel.open", String::new(), &open, move |reply| match reply {
            Reply::Method(Method::ChannelOpenOk(_)) => {
                held.0.opened();
                Some(Arc::new(Handle(held)) as Arc<dyn ChannelDriver>)
            }
            _ => None,
        })
    }

    /// Takes a method of the connection itself.
    pub(super) fn method(&self, method: &Method) -> Result<()> {
        match method {
            Method::ConnectionBlocked(blocked) => {
                self.tell(&ConnectionEvent::Blocked(blocked.reason.as_str().into()));
            }
            Method::ConnectionUnblocked(_) => self.tell(&ConnectionEvent::Unblocked),
            Method::ConnectionClose(close) => {
                self.line.add(|out| out.method(0, &Method::ConnectionCloseOk(connection::CloseOk {})));
                self.line.flush();
                let id = u32::from(close.class_id) << 16 | u32::from(close.method_id);
                for channel in self.all_channels() {
                    channel.blame(id, close.reply_code, &close.reply_text, false);
                }
                return Err(refused(close.reply_code, &close.reply_text, "connection", &self.peer.place()));
            }
            Method::ConnectionCloseOk(_) => self.finish(None),
            other => {
                let reason = format!("{} was not expected", other.name());
                return Err(Error::new(Kind::UnexpectedFrame, "connection", reason));
            }
        }
        Ok(())
    }

    pub(super) fn tell(&self, event: &ConnectionEvent) {
        let listeners = self.listeners.lock().clone();
        listeners.iter().for_each(|listener| listener(event.clone()));
    }

    /// Notes once how it ended; while it is being closed, only that counts. Tells listeners and everybody who waits.
    pub(super) fn finish(&self, how: Option<Error>) {
        let how = how.filter(|_| !self.closing.load(SeqCst));
        {
            let mut end = self.end.lock();
            if end.is_some() {
                return;
            }
            *end = Some(how.clone());
        }
        self.line.finish();
        self.tell(&ConnectionEvent::Closed(how));
        let channels = std::mem::take(&mut *self.channels.lock());
        channels.values().for_each(|channel| channel.shut());
        self.listeners.lock().clear();
        self.listening.close();
        drop(self.attachment.lock().take());
        drop(self.hosted.lock().take());
        self.ended.send_replace(true);
        self.line.attention.notify_one();
    }

    /// Closes the channels, each when what was published on it is confirmed, and then the connection.
    async fn close(self: Arc<Self>) {
        if self.closing.swap(true, SeqCst) {
            return;
        }
        let closing: Vec<_> =
            self.all_channels().into_iter().map(|channel| self.runtime.spawn(channel.close())).collect();
        let flushed = async {
            for closed in closing {
                let _ = closed.await;
            }
        };
        let _ = timeout(self.patience(FLUSH), flushed).await; // a broker that blocks the connection does not answer
        if self.end().is_none() {
            let close = connection::Close {
                reply_code: 200,
                reply_text: ShortString::truncated("OK"),
                ..connection::Close::default()
            };
            self.line.add(|out| out.method(0, &Method::ConnectionClose(close)));
            self.line.flush();
            let mut ended = self.ended.subscribe();
            self.paused.store(false, SeqCst);
            self.line.attention.notify_one();
            let _ = timeout(self.patience(GOODBYE), ended.wait_for(|ended| *ended)).await;
        }
        self.finish(None);
    }
}

impl ConnectionDriver for Remote {
    fn transport(&self) -> &'static str {
        self.shared.peer.transport()
    }

    fn is_open(&self) -> bool {
        self.shared.is_open()
    }

    fn channel(&self) -> Answer<Arc<dyn ChannelDriver>> {
        if let Err(error) = self.shared.born.check("channel.open") {
            return now(Err(error));
        }
        match self.shared.end() {
            Some(end) => now(Err(closed("connection", "channel.open", end.as_ref()))),
            None => self.shared.open_channel(),
        }
    }

    fn listen(&self, address: &str) -> Answer<SocketAddr> {
        or_now!(self.shared.born.check("listen"));
        let address = address.to_owned();
        let Some(broker) = self.shared.broker() else {
            return now(Err(self.shared.peer.cannot_listen().on(format!("'{address}'"))));
        };
        let shared = self.shared.clone();
        Box::pin(async move { shared.listening.add(&broker, &address).await })
    }

    fn listening(&self) -> Vec<SocketAddr> {
        if self.shared.born.check("listen").is_err() { Vec::new() } else { self.shared.listening.addresses() }
    }

    fn on_event(&self, listener: Listener) {
        self.shared.listeners.lock().push(listener);
    }

    fn close(&self) -> Answer<()> {
        if self.shared.born.check("close").is_err() {
            return now(Ok(()));
        }
        let closing = self.shared.runtime.spawn(self.shared.clone().close());
        Box::pin(async move {
            let _ = closing.await;
            Ok(())
        })
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if self.shared.born.check("close").is_err() {
            // In the child of a fork the locks inside may be held for ever.
            std::mem::forget(self.shared.clone());
            return;
        }
        self.shared.runtime.spawn(self.shared.clone().close());
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("transport", &self.transport())
            .field("open", &self.is_open())
            .finish()
    }
}
