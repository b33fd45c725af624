//! A connection: connecting, events, closing.

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_core::Stream;
use lapin::tcp::AsyncTcpStream;
use lapin::{ConnectionProperties, ConnectionStatus, Event};
use parking_lot::Mutex;
use rustix::net::Shutdown;
use tokio::runtime::Handle as Runtime;
use tokio::time::timeout;

use super::address::Address;
use super::channel::{Channel, State};
use super::errors;
use super::methods::Handle;
use super::tls::ClientTls;
use crate::client::ConnectOptions;
use crate::client::closed::closed;
use crate::client::driver::{Answer, ChannelDriver, ConnectionDriver, ConnectionEvent, Listener, now};
use crate::client::in_flight::InFlight;
use crate::client::process::{self, Birthplace};
use crate::error::{Error, Kind, Result};

/// How long closing waits for the channels to be closed.
const FLUSH: Duration = Duration::from_secs(15);

/// How long the broker may take to say that it closed the connection, before the socket is shut.
const GOODBYE: Duration = Duration::from_secs(5);

/// A connection to a broker elsewhere.
pub(in crate::client) struct Amqp {
    shared: Arc<Shared>,
    lapin: Arc<lapin::Connection>,
}

/// What a connection's channels and tasks know of it.
pub(super) struct Shared {
    pub(super) born: Birthplace,
    pub(super) in_flight: Arc<InFlight>,
    runtime: Runtime,
    socket: Socket,
    status: ConnectionStatus,
    /// Set once it is closed: by its user, or with the error that it was lost by.
    end: Mutex<Option<Option<Error>>>,
    closing: AtomicBool,
    channels: Mutex<Vec<Weak<State>>>,
    listeners: Mutex<Vec<Listener>>,
}

impl Amqp {
    pub(in crate::client) async fn open(url: &str, options: &ConnectOptions) -> Result<Self> {
        let address = Address::parse(url)?;
        let options = options.clone();
        let runtime = process::runtime()?;
        // On our runtime, as the caller may have none; a lost task is one that panicked.
        let opening = runtime.spawn(connect(address, options, runtime.clone()));
        opening.await.unwrap_or_else(|lost| {
            Err(Error::new(Kind::InternalError, "connect", "connecting failed").caused_by(lost))
        })
    }
}

async fn connect(mut address: Address, options: ConnectOptions, runtime: Runtime) -> Result<Amqp> {
    let limit = address.timeout.unwrap_or(options.timeout);
    let socket = Socket::default();
    let place = address.to_string();
    let failed = |kind, reason: String| Error::new(kind, "connect", reason).on(format!("'{place}'"));
    let tls = ClientTls::load(std::mem::take(&mut address.tls))?;
    let dialling = async {
        let found = tokio::net::lookup_host((&*address.uri.authority.host, address.uri.authority.port)).await;
        let found: Vec<SocketAddr> = found
            .map_err(|error| {
                failed(Kind::Unreachable, format!("the host is not known: {error}"))
                    .advise("check the host's name in the URL")
                    .caused_by(error)
            })?
            .collect();
        dial(&address, &options, limit, found, tls, socket.clone())
            .await
            .map_err(|error| explain(&error, &address, &socket))
    };
    let lapin = match timeout(limit, dialling).await {
        Ok(dialled) => dialled?,
        Err(_) => {
            let reason = match socket.stage() {
                Stage::Dialling => "no answer",
                Stage::Dialled => "it was reached, but did not go on to greet",
            };
            socket.cut(); // ends lapin's thread, should it wait for the greeting
            return Err(failed(Kind::Timeout, format!("{reason} within {limit:?}"))
                .advise("check host and port, and that nothing in between drops the packets"));
        }
    };
    let shared = Arc::new(Shared {
        born: Birthplace::here(),
        in_flight: InFlight::new(options.max_in_flight),
        runtime,
        socket,
        status: lapin.status().clone(),
        end: Mutex::default(),
        closing: AtomicBool::new(false),
        channels: Mutex::default(),
        listeners: Mutex::default(),
    });
    tokio::spawn(listen_to(Box::pin(lapin.events_listener()), Arc::downgrade(&shared), place));
    Ok(Amqp { shared, lapin: Arc::new(lapin) })
}

/// Opens the socket and has lapin do the handshakes.
async fn dial(
    address: &Address,
    options: &ConnectOptions,
    limit: Duration,
    found: Vec<SocketAddr>,
    tls: ClientTls,
    socket: Socket,
) -> lapin::Result<lapin::Connection> {
    let mut properties = ConnectionProperties::default()
        .with_client_property("product".into(), "WarrenMQ".into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into());
    if let Some(name) = &options.name {
        properties = properties.with_connection_name(name.as_bytes().into());
    }
    let encrypt = address.is_tls();
    lapin::Connection::connector(
        address.uri.clone(),
        lapin::runtime::default_runtime()?,
        async move |uri, runtime| {
            // Limited here too, or lapin's thread would wait on for as long as the system does.
            let connected = timeout(limit, AsyncTcpStream::connect(&runtime, found.clone())).await;
            let stream = connected.map_err(std::io::Error::from)??;
            if let AsyncTcpStream::Plain(stream) = &stream {
                socket.keep(stream.get_ref().as_fd().try_clone_to_owned()?);
            }
            if !encrypt {
                return Ok(stream);
            }
            let name = tls.name(&uri.authority.host);
            match tls.credulous()? {
                Some(connector) => Ok(stream.into_rustls(&connector, name).await?),
                None => Ok(stream.into_tls(name, tls.config().as_ref()).await?),
            }
        },
        properties,
    )
    .await
}

/// Why connecting failed, and what to do.
fn explain(error: &lapin::Error, address: &Address, socket: &Socket) -> Error {
    let place = format!("'{address}'");
    let failed = |kind, reason: String, advice: &str| {
        Error::new(kind, "connect", reason).on(&place).advise(advice).caused_by(error.clone())
    };
    let io = match error.kind() {
        lapin::ErrorKind::IOError(io) => io,
        lapin::ErrorKind::InvalidProtocolVersion(version) => {
            let reason = format!("it speaks AMQP {version}");
            return failed(Kind::Unreachable, reason, "use a broker that speaks AMQP 0-9-1");
        }
        lapin::ErrorKind::ParsingError(_) => {
            let reason = "what it answers is not AMQP 0-9-1".into();
            return failed(Kind::Unreachable, reason, "check that the port is that of an AMQP broker");
        }
        _ => {
            let user = &address.uri.authority.userinfo.username;
            let vhost = &address.uri.vhost;
            let refused = errors::translate(error, "connect", &place);
            return match refused.kind() {
                Kind::AccessRefused => refused.advise(format!("check the password of user '{user}'")),
                Kind::NotAllowed | Kind::InvalidPath | Kind::NotFound => refused.advise(format!(
                    "check that virtual host '{vhost}' is there and that user '{user}' may use it"
                )),
                _ => refused,
            };
        }
    };
    match (socket.stage(), address.is_tls()) {
        (Stage::Dialling, _) => {
            let advice = "check host and port, and that the broker runs";
            failed(Kind::Unreachable, format!("cannot connect: {io}"), advice)
        }
        (Stage::Dialled, true) => {
            let advice = "check that the port is the TLS port, and that the certificate is valid for the host; \
                          ?cacertfile=FILE trusts more certificates";
            failed(Kind::Unreachable, format!("the handshake failed: {io}"), advice)
        }
        (Stage::Dialled, false) => {
            let advice = "check that the port is that of an AMQP 0-9-1 broker, without TLS";
            failed(Kind::Unreachable, format!("the handshake failed: {io}"), advice)
        }
    }
}

/// The socket below lapin, to be shut when the other side no longer answers: nothing else ends lapin's
/// thread then.
#[derive(Clone, Default)]
struct Socket(Arc<Mutex<Option<OwnedFd>>>);

/// How far connecting has come.
enum Stage {
    Dialling,
    Dialled,
}

impl Socket {
    fn keep(&self, socket: OwnedFd) {
        *self.0.lock() = Some(socket);
    }

    fn stage(&self) -> Stage {
        if self.0.lock().is_some() { Stage::Dialled } else { Stage::Dialling }
    }

    fn cut(&self) {
        if let Some(socket) = self.0.lock().take() {
            let _ = rustix::net::shutdown(socket, Shutdown::Both); // fails when it is shut already
        }
    }
}

/// Passes on what happens to a connection, until it is gone.
async fn listen_to(
    mut events: Pin<Box<dyn Stream<Item = Event> + Send>>,
    shared: Weak<Shared>,
    place: String,
) {
    while let Some(event) = poll_fn(|cx| events.as_mut().poll_next(cx)).await {
        let Some(shared) = shared.upgrade() else { return };
        match event {
            Event::ConnectionBlocked(reason) => shared.tell(&ConnectionEvent::Blocked(reason)),
            Event::ConnectionUnblocked => shared.tell(&ConnectionEvent::Unblocked),
            Event::Error(error) if error.is_amqp_soft_error() => {
                shared.channels().iter().for_each(|channel| channel.maybe_broken(&error));
            }
            // While it is being closed, only that counts.
            Event::Error(error) if !shared.closing.load(SeqCst) => {
                shared.finish(Some(errors::translate(&error, "connection", &format!("'{place}'"))));
            }
            _ => {}
        }
    }
}

impl Shared {
    /// How it ended, once it has: `Some(None)` when its user closed it.
    pub(super) fn end(&self) -> Option<Option<Error>> {
        self.end.lock().clone()
    }

    fn is_open(&self) -> bool {
        self.born.check("connection").is_ok() && self.end.lock().is_none() && self.status.connected()
    }

    fn channels(&self) -> Vec<Arc<State>> {
        let mut channels = self.channels.lock();
        channels.retain(|channel| channel.strong_count() > 0);
        channels.iter().filter_map(Weak::upgrade).collect()
    }

    fn tell(&self, event: &ConnectionEvent) {
        let listeners = self.listeners.lock().clone();
        listeners.iter().for_each(|listener| listener(event.clone()));
    }

    /// Notes once how it ended; tells listeners and consumers.
    fn finish(&self, how: Option<Error>) {
        {
            let mut end = self.end.lock();
            if end.is_some() {
                return;
            }
            *end = Some(how.clone());
        }
        self.tell(&ConnectionEvent::Closed(how));
        self.channels().iter().for_each(|channel| channel.end_consumers());
        self.listeners.lock().clear();
    }
}

async fn open_channel(shared: Arc<Shared>, lapin: Arc<lapin::Connection>) -> Result<Arc<dyn ChannelDriver>> {
    let channel = lapin.create_channel().await.map_err(|error| match shared.end() {
        Some(end) => closed("connection", "channel.open", end.as_ref()),
        None => errors::translate(&error, "channel.open", ""),
    })?;
    let channel = Channel::start(shared.clone(), channel);
    shared.channels.lock().push(Arc::downgrade(&channel.state));
    Ok(Arc::new(Handle(channel)))
}

/// Closes the channels, each when what was published on it is confirmed, and then the connection.
async fn close(shared: Arc<Shared>, lapin: Arc<lapin::Connection>) -> Result<()> {
    if shared.closing.swap(true, SeqCst) {
        return Ok(());
    }
    let closing: Vec<_> = shared.channels().iter().map(|channel| channel.close()).collect();
    let flushed = async {
        for closed in closing {
            closed.await;
        }
    };
    let _ = timeout(FLUSH, flushed).await; // a broker that blocks the connection does not answer
    if shared.status.connected() {
        let _ = timeout(GOODBYE, lapin.close(200, "OK".into())).await;
    }
    shared.finish(None);
    shared.socket.cut();
    Ok(())
}

impl ConnectionDriver for Amqp {
    fn transport(&self) -> &'static str {
        "amqp"
    }

    fn is_open(&self) -> bool {
        self.shared.is_open()
    }

    fn channel(&self) -> Answer<Arc<dyn ChannelDriver>> {
        let shared = self.shared.clone();
        if let Err(error) = shared.born.check("channel.open") {
            return now(Err(error));
        }
        if let Some(end) = shared.end() {
            return now(Err(closed("connection", "channel.open", end.as_ref())));
        }
        let opening = shared.runtime.spawn(open_channel(shared.clone(), self.lapin.clone()));
        Box::pin(
            async move { opening.await.unwrap_or_else(|_| Err(closed("connection", "channel.open", None))) },
        )
    }

    fn listen(&self, address: &str) -> Answer<SocketAddr> {
        let reason = "this connection leads to another broker, which listens by itself";
        now(Err(Error::new(Kind::Unsupported, "listen", reason)
            .on(format!("'{address}'"))
            .advise("listen on a connection to inproc://NAME")))
    }

    fn on_event(&self, listener: Listener) {
        self.shared.listeners.lock().push(listener);
    }

    fn close(&self) -> Answer<()> {
        if self.shared.born.check("close").is_err() {
            return now(Ok(()));
        }
        let closing = self.shared.runtime.spawn(close(self.shared.clone(), self.lapin.clone()));
        Box::pin(async move { closing.await.unwrap_or(Ok(())) })
    }
}

impl Drop for Amqp {
    fn drop(&mut self) {
        if self.shared.born.check("close").is_err() {
            // In the child of a fork the locks inside may be held for ever.
            std::mem::forget((self.shared.clone(), self.lapin.clone()));
            return;
        }
        self.shared.runtime.spawn(close(self.shared.clone(), self.lapin.clone()));
    }
}

impl fmt::Debug for Amqp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("transport", &"amqp").field("open", &self.is_open()).finish()
    }
}
