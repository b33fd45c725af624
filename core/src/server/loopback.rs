//! A connection without a socket and without a task: bytes in, bytes out, on the caller's thread.
//!
//! For whoever wants to see all that a connection does, in an order that is the same every time: tests, and
//! fuzzing with whole sequences of methods.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::BytesMut;

use super::Limits;
use super::connection::{Connection, End};
use super::handshake::{Client, Tuned};
use super::peer::Peer;
use super::socket::Writer;
use crate::broker::Broker;
use crate::error::Result;
use crate::wire::Table;

/// A connection that is open: its handshake is thought to have happened.
pub struct Loopback {
    /// None once it is closed.
    connection: Option<Connection>,
    /// Sent, and not complete yet.
    buffer: BytesMut,
    /// Received before it was closed.
    rest: Vec<u8>,
}

impl Loopback {
    /// Opens one, for a client with these capabilities. It agrees to `limits`, without heartbeats.
    ///
    /// # Errors
    /// Those of [`Broker::open`].
    pub fn open(
        broker: &Arc<Broker>,
        vhost: &str,
        user: &str,
        limits: &Limits,
        capabilities: Table,
    ) -> Result<Self> {
        let session = broker.open(vhost, user)?;
        let tuned = Tuned { channel_max: limits.channel_max, frame_max: limits.frame_max, heartbeat: 0 };
        let peer = Peer::Address(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let client = Client { capabilities, ..Client::default() };
        let connection = Connection::new(Writer::Memory(Default::default()), peer, session, tuned, client);
        Ok(Loopback { connection: Some(connection), buffer: BytesMut::new(), rest: Vec::new() })
    }

    /// Has the connection read these bytes, as if one read from a socket had brought them.
    pub fn send(&mut self, bytes: &[u8]) {
        let Some(connection) = &mut self.connection else { return };
        self.buffer.extend_from_slice(bytes);
        if let Some(end) = connection.batch(&mut self.buffer).break_value() {
            self.end(&end);
        }
    }

    /// What the connection has written since it was last asked; deliveries that other connections brought about
    /// are among it.
    pub fn receive(&mut self) -> Vec<u8> {
        if let Some(reason) = self.connection.as_ref().and_then(Connection::ended_by_broker) {
            self.end(&End::ByUs(reason, 0));
        }
        let mut received = std::mem::take(&mut self.rest);
        if let Some(connection) = &self.connection {
            received.append(&mut written(connection));
        }
        received
    }

    /// Ends it as if the socket were lost.
    pub fn cut(&mut self) {
        self.end(&End::Lost("cut".into()));
    }

    /// Whether it can still be used.
    pub fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    fn end(&mut self, end: &End) {
        if let Some(mut connection) = self.connection.take() {
            connection.end(end);
            connection.link.flush();
            self.rest.append(&mut written(&connection));
        }
    }
}

fn written(connection: &Connection) -> Vec<u8> {
    connection.link.flush();
    match &connection.link.socket {
        Writer::Memory(written) => std::mem::take(&mut *written.lock()),
        _ => Vec::new(),
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.cut();
    }
}

impl fmt::Debug for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loopback").field("open", &self.is_open()).finish_non_exhaustive()
    }
}
