//! From an accepted socket to an open connection (AMQP 0-9-1 section 2.2.4; RabbitMQ's `rabbit_reader`).

use std::sync::Arc;

use bytes::BytesMut;
use tokio::time::{Instant, timeout_at};

use super::identity::{self, ATTACHMENT};
use super::peer::{Identity, Peer};
use super::socket::{Reader, Writer};
use super::{Limits, reply_text};
use crate::broker::{Broker, Session};
use crate::error::{Error, Kind, Result};
use crate::wire::frame::{FRAME_MIN_SIZE, Handshake, PROTOCOL_HEADER, read_protocol_header};
use crate::wire::{FrameKind, Method, Table, Value, connection, next_frame};

/// Somebody who wants to come in.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    pub(super) peer: Peer,
    pub(super) identity: Identity,
}

/// A connection that is open.
#[derive(Debug)]
pub(super) struct Greeted {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    pub(super) peer: Peer,
    /// What was read and not used yet.
    pub(super) buffer: BytesMut,
    pub(super) session: Session,
    pub(super) tuned: Tuned,
    pub(super) client: Client,
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tuned {
    pub(super) channel_max: u16,
    pub(super) frame_max: u32,
    /// Seconds; 0 is none.
    pub(super) heartbeat: u16,
}

/// What a client said of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    pub(super) capabilities: Table,
    /// It came in by a directory's socket, and has the rights of a program that the broker lives in.
    pub(super) is_owner: bool,
    /// By which it is attached to the broker's directory.
    pub(super) attachment: Option<u64>,
    /// What it calls the connection.
    pub(super) name: Option<String>,
    /// The library that it uses, with its version.
    pub(super) library: Option<String>,
}

impl Client {
    fn new(properties: &Table) -> Self {
        let text = |name| match properties.get(name) {
            Some(Value::LongString(text)) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        };
        let capabilities = match properties.get("capabilities") {
            Some(Value::Table(capabilities)) => capabilities.clone(),
            _ => Table::default(),
        };
        let library = match (text("product"), text("version")) {
            (Some(product), Some(version)) => Some(format!("{product} {version}")),
            (product, _) => product,
        };
        let attachment = match properties.get(ATTACHMENT) {
            Some(Value::I64(number)) => Some(number.cast_unsigned()),
            _ => None,
        };
        Client { capabilities, is_owner: false, attachment, name: text("connection_name"), library }
    }

    pub(super) fn has(&self, capability: &str) -> bool {
        self.capabilities.get(capability) == Some(&Value::Bool(true))
    }
}

/// Who has logged in.
enum User {
    Named(String),
    /// Somebody with the rights of a program that the broker lives in.
    Owner,
}

/// The socket while the handshake lasts: one frame at a time, and all of it by a deadline.
struct Greeter {
    visitor: Visitor,
    buffer: BytesMut,
    deadline: Instant,
}

/// Leads a client through the handshake. None when it went away, or was sent away in a way that the protocol
/// provides for, before its connection was open.
///
/// # Errors
/// Whatever ended the handshake; the client has been told as far as the protocol allows.
pub(super) async fn greet(
    visitor: Visitor,
    broker: &Arc<Broker>,
    limits: &Limits,
    deadline: Instant,
) -> Result<Option<Greeted>> {
    let mut greeter = Greeter { visitor, buffer: BytesMut::with_capacity(1024), deadline };
    if !greeter.protocol_header().await? {
        return Ok(None);
    }
    match greeter.negotiate(broker, limits).await {
        Ok(Some((session, tuned, client))) => {
            let Greeter { visitor: Visitor { reader, writer, peer, .. }, buffer, .. } = greeter;
            Ok(Some(Greeted { reader, writer, peer, buffer, session, tuned, client }))
        }
        Ok(None) => Ok(None),
        Err(error) => {
            greeter.refuse(&error).await;
            Err(error)
        }
    }
}

impl Greeter {
    /// True when the client speaks 0-9-1. Otherwise it is shown what we speak (section 4.2.2).
    async fn protocol_header(&mut self) -> Result<bool> {
        loop {
            match read_protocol_header(&self.buffer) {
                Handshake::Accepted => {
                    let _ = self.buffer.split_to(PROTOCOL_HEADER.len());
                    return Ok(true);
                }
                Handshake::Refused => {
                    let _ = self.visitor.writer.write_all(&PROTOCOL_HEADER).await;
                    self.visitor.writer.finish();
                    let start = &self.buffer[..self.buffer.len().min(8)];
                    let error = Error::new(
                        Kind::FrameError,
                        "handshake",
                        format!("not AMQP 0-9-1: '{}'", start.escape_ascii()),
                    );
                    // A TLS record of the handshake (RFC 8446, section 5.1).
                    return Err(match start.starts_with(&[0x16, 3]) {
                        true => error.advise("the client speaks TLS: have it connect to the port for that"),
                        false => error,
                    });
                }
                Handshake::Incomplete if !self.read().await? => return Ok(false),
                Handshake::Incomplete => {}
            }
        }
    }

    /// Reads more; false at the end of the stream.
    async fn read(&mut self) -> Result<bool> {
        match timeout_at(self.deadline, self.visitor.reader.read(&mut self.buffer)).await {
            Ok(Ok(count)) => {
                // As for an open connection: see there.
                self.visitor.writer.quickack();
                Ok(count > 0)
            }
            Ok(Err(error)) => {
                Err(Error::new(Kind::Closed, "handshake", format!("connection lost: {error}"))
                    .caused_by(error))
            }
            Err(_) => Err(Error::new(Kind::Timeout, "handshake", "not finished in time")),
        }
    }

    async fn send(&mut self, method: &Method) -> Result<()> {
        let mut out = BytesMut::new();
        method.encode(0, &mut out);
        match timeout_at(self.deadline, self.visitor.writer.write_all(&out)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Error::new(Kind::Closed, "handshake", "the client does not read")),
        }
    }

    /// The next method on channel 0; None at the end of the stream, or when the client says goodbye.
    async fn method(&mut self) -> Result<Option<Method>> {
        loop {
            // Before tuning no frame may be longer than every implementation can take (section 4.2.3).
            if let Some(frame) = next_frame(&self.buffer, FRAME_MIN_SIZE)? {
                let length = frame.total_len();
                let method = match (frame.kind, frame.channel) {
                    (FrameKind::Heartbeat, 0) => None,
                    (FrameKind::Method, 0) => Some(Method::decode(frame.payload)?),
                    (kind, channel) => {
                        let reason = format!("unexpected {kind:?} frame on channel {channel}");
                        return Err(Error::new(Kind::UnexpectedFrame, "handshake", reason));
                    }
                };
                let _ = self.buffer.split_to(length);
                match method {
                    None => continue,
                    Some(Method::ConnectionClose(_)) => {
                        self.send(&Method::ConnectionCloseOk(connection::CloseOk {})).await?;
                        return Ok(None);
                    }
                    method => return Ok(method),
                }
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    async fn negotiate(
        &mut self,
        broker: &Arc<Broker>,
        limits: &Limits,
    ) -> Result<Option<(Session, Tuned, Client)>> {
        self.send(&Method::ConnectionStart(connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties: identity::server_properties(broker),
            mechanisms: match self.visitor.identity {
                Identity::Unknown => "PLAIN AMQPLAIN".into(),
                Identity::Certificate(_) | Identity::Owner => "PLAIN AMQPLAIN EXTERNAL".into(),
            },
            locales: "en_US".into(),
        }))
        .await?;
        let start = match self.method().await? {
            Some(Method::ConnectionStartOk(start)) => start,
            other => return unexpected(other, "connection.start-ok"),
        };
        let mut client = Client::new(&start.client_properties);
        let Some(user) = self.login(&start, &client, broker).await? else { return Ok(None) };
        client.is_owner = matches!(user, User::Owner);

        self.send(&Method::ConnectionTune(connection::Tune {
            channel_max: limits.channel_max,
            frame_max: limits.frame_max,
            heartbeat: limits.heartbeat,
        }))
        .await?;
        let tuned = match self.method().await? {
            Some(Method::ConnectionTuneOk(tune)) => {
                agree(&tune, limits, broker.options().profile.frame_min())?
            }
            other => return unexpected(other, "connection.tune-ok"),
        };
        let open = match self.method().await? {
            Some(Method::ConnectionOpen(open)) => open,
            other => return unexpected(other, "connection.open"),
        };
        let session = match user {
            User::Named(user) => broker.open(&open.virtual_host, &user)?,
            User::Owner => broker.open_attached(&open.virtual_host, client.attachment)?,
        };
        session.introduce(self.visitor.peer.introduce(client.name.clone(), client.library.clone()));
        self.send(&Method::ConnectionOpenOk(connection::OpenOk { ..Default::default() })).await?;
        Ok(Some((session, tuned, client)))
    }

    /// Who it is. None when the login failed and the client does not understand `connection.close` at this
    /// point: it is cut off (<https://www.rabbitmq.com/docs/auth-notification>).
    async fn login(
        &mut self,
        start: &connection::StartOk,
        client: &Client,
        broker: &Arc<Broker>,
    ) -> Result<Option<User>> {
        let mechanism = &*start.mechanism;
        let peer = self.visitor.peer;
        let known = match (mechanism, &self.visitor.identity) {
            ("PLAIN", _) => authenticate(broker, plain(&start.response), peer).await,
            ("AMQPLAIN", _) => authenticate(broker, amqplain(&start.response), peer).await,
            ("EXTERNAL", Identity::Owner) => Ok(User::Owner),
            ("EXTERNAL", Identity::Certificate(Ok(user))) => {
                broker.users().admit(user, peer.is_local()).map(|()| User::Named(user.clone()))
            }
            ("EXTERNAL", Identity::Certificate(Err(why))) => {
                Err(Error::new(Kind::AccessRefused, "login", *why))
            }
            (other, _) => {
                let reason = format!("client used unrecognized authentication mechanism {other}");
                return Err(Error::new(Kind::CommandInvalid, "login", reason));
            }
        };
        match known {
            Ok(user) => Ok(Some(user)),
            Err(error) => {
                tracing::warn!(%peer, %error, "login refused");
                if client.has("authentication_failure_close") {
                    let reason = format!(
                        "Login was refused using authentication mechanism {mechanism}. \
                         For details see the broker logfile."
                    );
                    return Err(Error::new(Kind::AccessRefused, "login", reason).caused_by(error));
                }
                Ok(None)
            }
        }
    }

    /// Tells the client why it is sent away, and gives it the time to read it.
    async fn refuse(&mut self, error: &Error) {
        if matches!(error.kind(), Kind::Timeout | Kind::Closed) {
            return;
        }
        let close = connection::Close {
            reply_code: error.kind().code(),
            reply_text: reply_text(error),
            class_id: 0,
            method_id: 0,
        };
        if self.send(&Method::ConnectionClose(close)).await.is_ok() {
            self.visitor.writer.finish();
            // Closing with unread bytes in our buffer would reset the connection, and the reason be lost.
            while let Ok(true) = self.read().await {
                self.buffer.clear();
            }
        }
    }
}

fn unexpected<T>(got: Option<Method>, wanted: &str) -> Result<Option<T>> {
    match got {
        None => Ok(None),
        Some(method) => {
            let reason = format!("expected {wanted}, got {}", method.name());
            Err(Error::new(Kind::CommandInvalid, "handshake", reason))
        }
    }
}

/// The user, if that is the password. To try one may take long, which must not hold up other connections.
async fn authenticate(
    broker: &Arc<Broker>,
    credentials: Result<(String, Vec<u8>)>,
    peer: Peer,
) -> Result<User> {
    let (user, password) = credentials?;
    let from_loopback = peer.is_local();
    if broker.users().recognises(&user, &password) {
        return broker.users().admit(&user, from_loopback).map(|()| User::Named(user));
    }
    let broker = broker.clone();
    let trial =
        move || broker.users().authenticate(&user, &password, from_loopback).map(|()| User::Named(user));
    tokio::task::spawn_blocking(trial).await.unwrap_or_else(|error| {
        Err(Error::new(Kind::InternalError, "login", "the broker stops").caused_by(error))
    })
}

/// RFC 4616: authorisation identity, user and password between NULs.
fn plain(response: &[u8]) -> Result<(String, Vec<u8>)> {
    let mut parts = response.split(|&byte| byte == 0);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(user), Some(password), None) => {
            Ok((String::from_utf8_lossy(user).into_owned(), password.to_vec()))
        }
        _ => Err(Error::new(Kind::AccessRefused, "login", "malformed PLAIN response")),
    }
}

/// RabbitMQ's AMQPLAIN: a table's entries, without its length, with LOGIN and PASSWORD.
fn amqplain(response: &[u8]) -> Result<(String, Vec<u8>)> {
    let mut encoded = (response.len() as u32).to_be_bytes().to_vec();
    encoded.extend_from_slice(response);
    let table = Table::decode(&encoded).map_err(|error| {
        Error::new(Kind::AccessRefused, "login", "malformed AMQPLAIN response").caused_by(error)
    })?;
    match (table.get("LOGIN"), table.get("PASSWORD")) {
        (Some(Value::LongString(user)), Some(Value::LongString(password))) => {
            Ok((String::from_utf8_lossy(user).into_owned(), password.to_vec()))
        }
        _ => Err(Error::new(Kind::AccessRefused, "login", "AMQPLAIN response without LOGIN and PASSWORD")),
    }
}

/// Checks a client's tuning against ours, as `rabbit_reader:validate_negotiated_integer_value`.
fn agree(tune: &connection::TuneOk, limits: &Limits, frame_min: u32) -> Result<Tuned> {
    let check = |field: &str, client: u32, server: u32, minimum: u32| {
        let refuse = |comparison: &str, bound: u32| {
            let reason = format!("negotiated {field} = {client} is {comparison} allowed value ({bound})");
            Err(Error::new(Kind::NotAllowed, "connection.tune-ok", reason))
        };
        if client != 0 && client < minimum {
            refuse("lower than the minimum", minimum)
        } else if server != 0 && (client == 0 || client > server) {
            refuse("higher than the maximum", server)
        } else {
            Ok(())
        }
    };
    check("frame_max", tune.frame_max, limits.frame_max, frame_min)?;
    check("channel_max", tune.channel_max.into(), limits.channel_max.into(), 1)?;
    Ok(Tuned { channel_max: tune.channel_max, frame_max: tune.frame_max, heartbeat: tune.heartbeat })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_amqplain_name_user_and_password() {
        assert_eq!(plain(b"\0me\0secret").ok(), Some(("me".into(), b"secret".to_vec())));
        assert_eq!(plain(b"me secret").ok(), None);
        let response = b"\x05LOGINS\0\0\0\x02me\x08PASSWORDS\0\0\0\x06secret";
        assert_eq!(amqplain(response).ok(), Some(("me".into(), b"secret".to_vec())));
        assert_eq!(amqplain(b"\x05LOGINS\0\0\xff\x02me").ok(), None);
    }

    #[test]
    fn a_client_may_lower_what_is_offered_but_not_raise_it() {
        let limits = Limits::default();
        let tune = |frame_max, channel_max| connection::TuneOk { frame_max, channel_max, heartbeat: 7 };
        assert!(agree(&tune(4096, 1), &limits, 4096).is_ok());
        let text = |tune| agree(&tune, &limits, 4096).err().map(|error| error.reply_text());
        assert_eq!(
            text(tune(0, 1)).as_deref(),
            Some("NOT_ALLOWED - negotiated frame_max = 0 is higher than the maximum allowed value (131072)")
        );
        assert!(text(tune(4095, 1)).is_some());
        assert!(text(tune(4096, 2048)).is_some());
    }
}
