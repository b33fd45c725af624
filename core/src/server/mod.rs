//! AMQP 0-9-1 connections.
//!
//! | file | holds |
//! |---|---|
//! | here | the listener: who may connect at all, and the end of everything |
//! | `socket`, `unix`, `tls` | a socket's two halves: plain, between processes, or with TLS |
//! | `peer` | who is at the other end |
//! | `certificates`, `distinguished_name` | what a TLS listener shows and trusts; the user whom a certificate names |
//! | `handshake` | protocol header, login, tuning, `connection.open` |
//! | `task` | what reads an open connection until it ends: heartbeats, closing |
//! | `intake` | from the socket to the connection, by that task or by a thread that waits for a request |
//! | `connection` | from its frames to its channels |
//! | `channel` | one channel's methods and contents, to [`crate::broker::Channel`]; `arrange` those that declare |
//! | `link` | the writing half, on which any thread may send what became deliverable |
//! | `output` | frames on their way to the socket |
//! | `round` | what small requests make deliverable goes out together |
//! | `attention` | looking for the next request before going to sleep |
//! | `resume` | how a client of ours says with which publishes a channel goes on |
//! | `identity` | what the broker says of itself |
//! | `loopback` | a connection without a socket, for tests |
//!
//! A connection is one task. It reads what is there, hands all of it to the broker, and writes what that
//! made deliverable, to its own socket and to those of the consumers: a message goes through without
//! another task being woken.

mod attention;
mod certificates;
mod channel;
mod connection;
mod distinguished_name;
mod handshake;
pub(crate) mod identity;
mod intake;
mod link;
mod loopback;
pub(crate) mod output;
mod peer;
pub(crate) mod resume;
pub(crate) mod round;
pub(crate) mod socket;
mod task;
pub(crate) mod tls;
mod unix;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, lookup_host};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::broker::Broker;
use crate::doorway;
use crate::error::{Error, Kind, Result};
use crate::fork::Inherited;
use crate::wire::term::Term;
use crate::wire::{Frame, ShortString, Value};
use handshake::Visitor;
use peer::{Identity, Peer};

pub(crate) use intake::{Lookout, Sight};
pub use loopback::Loopback;

pub use certificates::{LoginFrom, Tls, TlsOptions, Verify};

/// How long connections may take to end when the broker stops.
const PATIENCE: Duration = Duration::from_secs(3);

/// The largest frame between processes of one machine.
const LOCAL_FRAME_MAX: u32 = 1 << 20;

/// What is offered to clients at tuning, and how long things may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Channels per connection; RabbitMQ's default, 2047.
    pub channel_max: u16,
    /// Bytes in a frame; RabbitMQ's default, 131072.
    pub frame_max: u32,
    /// Seconds between signs of life, 0 for none; RabbitMQ's default, 60.
    pub heartbeat: u16,
    /// From accepting a connection to `connection.open`; RabbitMQ's default, 10 s.
    pub handshake: Duration,
    /// How long after a small request to look for the next one before going to sleep; by default 50 µs, zero
    /// for not at all. To wake a sleeping thread on an idle core takes about 15 µs, and request and response
    /// through a broker does so four times: 90 µs without this on an idle machine, 40 µs with it. On a busy one
    /// it costs next to nothing, as every look lets the threads of others go first.
    pub spin: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat: 60,
            handshake: Duration::from_secs(10),
            spin: Duration::from_micros(50),
        }
    }
}

/// A broker's AMQP port. Listens until it is stopped or dropped.
pub struct Server {
    address: SocketAddr,
    service: Service,
}

/// Has other processes of the same user come in to a broker by its directory. Listens until it is stopped or dropped.
pub struct LocalServer {
    service: Service,
    lookout: Arc<Lookout>,
}

/// The socket in a directory, where others can wait until there is a broker that has them come in.
pub struct Porch(Listener);

/// A task that accepts connections, with those that it accepted.
struct Service {
    ending: watch::Sender<Ending>,
    /// Ends with the last session.
    sessions: mpsc::Receiver<Infallible>,
    done: tokio::task::JoinHandle<()>,
}

/// Had by each connection as long as its session is open.
type InSession = mpsc::Sender<Infallible>;

/// How far a service has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It has not begun to.
    No,
    /// Sessions end, and nobody is told yet.
    Sessions,
    /// Everything does.
    All,
}

impl Service {
    fn start(listener: Listener, door: Door) -> Self {
        let (ending, ended) = watch::channel(Ending::No);
        let (in_session, sessions) = mpsc::channel(1);
        Service { ending, sessions, done: tokio::spawn(accept(listener, Arc::new(door), ended, in_session)) }
    }

    async fn end_sessions(&mut self) {
        let _ = self.ending.send(Ending::Sessions);
        if timeout(PATIENCE, self.sessions.recv()).await.is_err() {
            tracing::warn!("connections did not end in time");
        }
    }

    async fn stop(self) {
        let _ = self.ending.send(Ending::All);
        let _ = self.done.await;
    }
}

impl Porch {
    /// Listens in `directory`, whose lock the caller has. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// `ResourceError` when the socket cannot be made.
    pub fn open(directory: &Path) -> Result<Self> {
        let listen = || {
            let listener = doorway::listen(directory, doorway::AMQP)?;
            listener.set_nonblocking(true)?;
            UnixListener::from_std(listener)
        };
        let listener = listen().map_err(|error| {
            Error::new(Kind::ResourceError, "listen", format!("the socket cannot be made: {error}"))
                .on(directory.display().to_string())
                .caused_by(error)
        })?;
        Ok(Porch(Listener::Unix { _inherited: Inherited::by_children(&listener), listener }))
    }
}

impl LocalServer {
    /// Has those in who come to this porch: processes of this user's and root's. Who logs in by `EXTERNAL` may do
    /// everything, as a program that the broker lives in. Of `limits`, heartbeats and the size of frames do not count:
    /// who wants signs of life says so, and none are expected, as processes of one machine see each other end. Must be
    /// called on a tokio runtime.
    pub fn at(porch: Porch, broker: Arc<Broker>, limits: Limits) -> Self {
        let limits = Limits { heartbeat: 0, frame_max: LOCAL_FRAME_MAX, ..limits };
        let lookout = Arc::<Lookout>::default();
        let mut door = Door::new(broker, limits, None);
        door.lookout = Some(lookout.clone());
        LocalServer { service: Service::start(porch.0, door), lookout }
    }

    /// For threads of this process that wait for what the others send.
    pub(crate) fn lookout(&self) -> Arc<Lookout> {
        self.lookout.clone()
    }

    /// As [`Server::end_sessions`]. Who is told afterwards finds a directory that another process may have, or has.
    pub async fn end_sessions(mut self) -> Self {
        self.service.end_sessions().await;
        self
    }

    /// Closes the socket and every connection, as [`Server::stop`].
    pub async fn stop(self) {
        self.service.stop().await;
    }
}

enum Listener {
    Tcp { _inherited: Inherited, listener: TcpListener },
    Unix { _inherited: Inherited, listener: UnixListener },
}

enum Socket {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Listener {
    async fn accept(&self) -> std::io::Result<Socket> {
        match self {
            Listener::Tcp { listener, .. } => {
                listener.accept().await.map(|(socket, peer)| Socket::Tcp(socket, peer))
            }
            Listener::Unix { listener, .. } => {
                listener.accept().await.map(|(socket, _)| Socket::Unix(socket))
            }
        }
    }
}

impl Server {
    /// Listens on `HOST:PORT`; port 0 picks a free one. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// `InvalidArgument` for an address that cannot be read, `Unreachable` for one that cannot be had.
    pub async fn listen(broker: Arc<Broker>, address: &str, limits: Limits) -> Result<Server> {
        Self::open(Door::new(broker, limits, None), address).await
    }

    /// The same for clients that speak TLS.
    ///
    /// # Errors
    /// As [`Server::listen`].
    pub async fn listen_tls(broker: Arc<Broker>, address: &str, limits: Limits, tls: Tls) -> Result<Server> {
        Self::open(Door::new(broker, limits, Some(tls)), address).await
    }

    async fn open(mut door: Door, address: &str) -> Result<Server> {
        let cannot = |kind, error: std::io::Error| {
            Error::new(kind, "listen", error.to_string())
                .on(format!("'{address}'"))
                .advise("give HOST:PORT; port 0 picks a free one")
                .caused_by(error)
        };
        let candidates = lookup_host(address).await.map_err(|error| cannot(Kind::InvalidArgument, error))?;
        let listener = TcpListener::bind(&*candidates.collect::<Vec<_>>())
            .await
            .map_err(|error| cannot(Kind::Unreachable, error))?;
        let address = listener.local_addr().map_err(|error| cannot(Kind::Unreachable, error))?;
        let url = format!("{}://{address}", if door.tls.is_some() { "amqps" } else { "amqp" });
        door.broker.add_address(&url);
        door.url = Some(url);
        let listener = Listener::Tcp { _inherited: Inherited::by_children(&listener), listener };
        Ok(Server { address, service: Service::start(listener, door) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nobody in any more, pays what confirms are owed, and ends the session of every connection: what channels had
    /// unacknowledged is in its queues again. The other ends are told when it [stops](Server::stop).
    pub async fn end_sessions(mut self) -> Self {
        self.service.end_sessions().await;
        self
    }

    /// Closes the port and every connection, with `connection.close` (320, as RabbitMQ when it stops).
    pub async fn stop(self) {
        self.service.stop().await;
    }
}

/// What everybody meets who comes in by one port.
struct Door {
    broker: Arc<Broker>,
    limits: Limits,
    tls: Option<Tls>,
    /// As which the broker tells people of it.
    url: Option<String>,
    /// Where threads of this process look for requests, if there may be such.
    lookout: Option<Arc<Lookout>>,
}

impl Door {
    fn new(broker: Arc<Broker>, limits: Limits, tls: Option<Tls>) -> Self {
        Door { broker, limits, tls, url: None, lookout: None }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(url) = &self.url {
            self.broker.remove_address(url);
        }
    }
}

async fn accept(
    listener: Listener,
    door: Arc<Door>,
    mut ending: watch::Receiver<Ending>,
    in_session: InSession,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(socket) => {
                    connections.spawn(serve(socket, door.clone(), ending.clone(), in_session.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, usually: those who are here must go on.
                    tracing::error!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            // An error means that the handle was dropped.
            _ = ending.changed() => break,
        }
    }
    drop((listener, in_session));
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(PATIENCE, all).await.is_err() {
        tracing::warn!("connections did not close in time");
    }
}

async fn serve(socket: Socket, door: Arc<Door>, mut ending: watch::Receiver<Ending>, in_session: InSession) {
    let deadline = Instant::now() + door.limits.handshake;
    let greeted = async {
        let visitor = match socket {
            Socket::Tcp(socket, peer) => admit(socket, peer, door.tls.as_ref(), deadline).await?,
            Socket::Unix(socket) => admit_process(socket)?,
        };
        let peer = visitor.peer;
        tracing::debug!(%peer, "connection accepted");
        let greeted = handshake::greet(visitor, &door.broker, &door.limits, deadline).await?;
        if greeted.is_none() {
            tracing::debug!(%peer, "connection closed before it was open");
        }
        Ok::<_, Error>(greeted)
    };
    let greeted = tokio::select! {
        greeted = greeted => greeted,
        // Nobody waits for a client that takes its time.
        _ = ending.wait_for(|ending| *ending != Ending::No) => return,
    };
    match greeted {
        Ok(Some(greeted)) => task::run(greeted, &door, ending, in_session).await,
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "handshake failed"),
    }
}

/// Does the TLS handshake, where there is one to do.
async fn admit(
    socket: TcpStream,
    address: SocketAddr,
    tls: Option<&Tls>,
    deadline: Instant,
) -> Result<Visitor> {
    let peer = Peer::Address(address);
    // Replies are small and must not wait for the acknowledgement of the one before.
    let _ = socket.set_nodelay(true);
    let Some(tls) = tls else {
        let (reader, writer) = socket::plain(socket);
        return Ok(Visitor { reader, writer, peer, identity: Identity::Unknown });
    };
    let session = rustls::ServerConnection::new(tls.config.clone())
        .map_err(|error| tls::explain(std::io::Error::other(error)))?;
    match timeout_at(deadline, tls::handshake(&socket, session.into())).await {
        Ok(Ok(session)) => {
            let certificate = session.peer_certificates().and_then(<[_]>::first);
            let identity = Identity::Certificate(tls.user(certificate));
            let (reader, writer) = socket::secured(socket, session);
            Ok(Visitor { reader, writer, peer, identity })
        }
        Ok(Err(error)) => Err(tls::explain(error)),
        Err(_) => Err(Error::new(Kind::Timeout, "TLS handshake", "not finished in time")),
    }
}

/// Lets in whoever runs as the same user.
fn admit_process(socket: UnixStream) -> Result<Visitor> {
    let refuse = |reason: String| Error::new(Kind::AccessRefused, "handshake", reason);
    let peer = socket
        .peer_cred()
        .map_err(|error| refuse(format!("the kernel does not say whose the process is: {error}")))?;
    if !doorway::is_ours(peer.uid()) {
        return Err(refuse("the process belongs to another user".into()));
    }
    // 0 where it cannot be seen from here.
    let process = peer.pid().and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0);
    doorway::widen(&socket);
    let (reader, writer) = socket.into_std().and_then(socket::unix).map_err(|error| {
        Error::new(Kind::ResourceError, "handshake", format!("too many descriptors: {error}"))
    })?;
    Ok(Visitor { reader, writer, peer: Peer::Process(process), identity: Identity::Owner })
}

/// A frame that cannot be read; text as `rabbit_reader:frame_error`.
fn frame_error(frame: &Frame<'_>) -> Error {
    let reason = format!("{}: unknown_frame", snippet(frame));
    Error::new(Kind::FrameError, "frame", reason).on(format!("channel {}", frame.channel))
}

/// A frame that nobody waits for; text as `rabbit_reader:unexpected_frame`.
fn unexpected_frame(frame: &Frame<'_>) -> Error {
    Error::new(Kind::UnexpectedFrame, "frame", snippet(frame)).on(format!("channel {}", frame.channel))
}

fn snippet(frame: &Frame<'_>) -> String {
    let (which, start) = match frame.payload.get(..16) {
        Some(start) if frame.payload.len() > 16 => ("first 16", start),
        _ => ("all", frame.payload),
    };
    let start = Value::ByteArray(Bytes::copy_from_slice(start));
    format!("type {}, {which} octets = {}", frame.kind as u8, Term(&start))
}

/// An error as `close` methods say it: cut off as RabbitMQ does it (`rabbit_binary_generator:map_exception`).
fn reply_text(error: &Error) -> ShortString {
    let text = error.reply_text();
    ShortString::try_from(&*text).unwrap_or_else(|_| {
        ShortString::truncated(&format!("{}...", &text[..text.floor_char_boundary(ShortString::MAX - 3)]))
    })
}

impl fmt::Debug for Porch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Porch").finish_non_exhaustive()
    }
}

impl fmt::Debug for LocalServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalServer").finish_non_exhaustive()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}
