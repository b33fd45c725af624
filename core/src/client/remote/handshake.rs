//! From a socket to a connection that is open: AMQP 0-9-1, section 2.2.4.

use std::io;

use bytes::{Bytes, BytesMut};

use crate::client::ConnectOptions;
use crate::client::closed::{is_shutdown, refused};
use crate::error::{Error, Kind, Result};
use crate::server::identity::NUMBERED_RETURNS;
use crate::server::socket::{Reader, Writer};
use crate::wire::frame::PROTOCOL_HEADER;
use crate::wire::{FrameKind, Method, ShortString, Table, Value, connection, next_frame};

const OPERATION: &str = "connect";

/// Where a broker sets no limit to frames.
const FRAME_MAX: u32 = 128 << 10;

/// What a client of ours understands.
const CAPABILITIES: [&str; 6] = [
    "publisher_confirms",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "authentication_failure_close",
    NUMBERED_RETURNS,
];

/// Who comes, and with what limits; 0 is none.
pub(in crate::client) struct Login {
    pub(in crate::client) mechanism: &'static str,
    pub(in crate::client) response: Bytes,
    pub(in crate::client) virtual_host: String,
    pub(in crate::client) properties: Table,
    /// Seconds; none leaves it to the broker.
    pub(in crate::client) heartbeat: Option<u16>,
    pub(in crate::client) channel_max: u16,
    pub(in crate::client) frame_max: u32,
    /// What was agreed on with another broker like this one: then everything is said at once, as each answer that is
    /// waited for takes long where many come at a time.
    pub(in crate::client) tuned: Option<connection::TuneOk>,
}

impl Login {
    fn agree(&self, tune: &connection::Tune) -> connection::TuneOk {
        connection::TuneOk {
            channel_max: agreed(tune.channel_max, self.channel_max),
            frame_max: match agreed(tune.frame_max, self.frame_max) {
                0 => FRAME_MAX,
                agreed => agreed,
            },
            heartbeat: match self.heartbeat {
                None => tune.heartbeat,
                Some(0) => 0, // whoever wants none has none
                Some(wanted) => agreed(tune.heartbeat, wanted),
            },
        }
    }
}

/// A connection that is open, and what was agreed on.
pub(in crate::client) struct Dialled {
    pub(super) socket: Socket,
    pub(super) tuned: connection::TuneOk,
    /// The broker says which message it was that no queue took.
    pub(super) numbers_returns: bool,
}

/// A socket whose connection is not open yet.
pub(in crate::client) struct Socket {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    /// What was read and not used yet.
    pub(super) buffer: BytesMut,
}

pub(super) fn unreachable(error: io::Error) -> Error {
    Error::new(Kind::Unreachable, OPERATION, format!("nobody answers: {error}")).caused_by(error)
}

fn unexpected(method: &Method) -> Error {
    Error::new(Kind::UnexpectedFrame, OPERATION, format!("{} was not expected", method.name()))
}

/// The lower of two limits of which 0 is none.
fn agreed<T: Ord + Default>(theirs: T, ours: T) -> T {
    if theirs == T::default() || ours == T::default() { theirs.max(ours) } else { theirs.min(ours) }
}

impl Socket {
    pub(in crate::client) fn new(reader: Reader, writer: Writer) -> Self {
        Socket { reader, writer, buffer: BytesMut::with_capacity(1024) }
    }

    /// Says who comes, and agrees on the limits.
    ///
    /// # Errors
    /// `Unreachable` when the other side goes away, `NotImplemented` when it speaks another version of AMQP, `NotAllowed`
    /// when it wants other limits than were agreed on before, what it refuses, and what it must not say.
    pub(in crate::client) async fn log_in(mut self, login: &Login) -> Result<Dialled> {
        let virtual_host = ShortString::try_from(&*login.virtual_host).map_err(|_| {
            Error::new(Kind::InvalidArgument, OPERATION, "the virtual host's name is longer than 255 bytes")
        })?;
        let start_ok = Method::ConnectionStartOk(connection::StartOk {
            client_properties: login.properties.clone(),
            mechanism: ShortString::truncated(login.mechanism),
            response: login.response.clone(),
            locale: ShortString::truncated("en_US"),
        });
        let open = Method::ConnectionOpen(connection::Open { virtual_host, ..connection::Open::default() });
        let mut first = BytesMut::from(&PROTOCOL_HEADER[..]);
        if let Some(tuned) = &login.tuned {
            let tune_ok = Method::ConnectionTuneOk(tuned.clone());
            [&start_ok, &tune_ok, &open].into_iter().for_each(|method| method.encode(0, &mut first));
        }
        self.writer.write_all(&first).await.map_err(unreachable)?;
        let numbers_returns = match self.method().await? {
            Method::ConnectionStart(start) => does_number_returns(&start.server_properties),
            other => return Err(unexpected(&other)),
        };
        if login.tuned.is_none() {
            self.send(0, &[start_ok]).await?;
        }
        let tuned = match self.method().await? {
            Method::ConnectionTune(tune) => login.agree(&tune),
            other => return Err(unexpected(&other)),
        };
        match &login.tuned {
            None => self.send(0, &[Method::ConnectionTuneOk(tuned.clone()), open]).await?,
            Some(before) if *before == tuned => {}
            Some(_) => {
                return Err(Error::new(Kind::NotAllowed, OPERATION, "other limits hold than before"));
            }
        }
        match self.method().await? {
            Method::ConnectionOpenOk(_) => {}
            other => return Err(unexpected(&other)),
        }
        Ok(Dialled { socket: self, tuned, numbers_returns })
    }

    async fn send(&self, channel: u16, methods: &[Method]) -> Result<()> {
        let mut out = BytesMut::new();
        methods.iter().for_each(|method| method.encode(channel, &mut out));
        self.writer.write_all(&out).await.map_err(unreachable)
    }

    /// The next method.
    async fn method(&mut self) -> Result<Method> {
        loop {
            if let Some(&[b'A', b'M', b'Q', b'P', version @ ..]) = self.buffer.first_chunk::<8>() {
                let [_, major, minor, revision] = version;
                let reason = format!("it speaks AMQP {major}-{minor}-{revision}");
                return Err(Error::new(Kind::NotImplemented, OPERATION, reason));
            }
            if !b"AMQP".starts_with(&self.buffer[..self.buffer.len().min(4)])
                && let Some(frame) = next_frame(&self.buffer, 0)?
            {
                let length = frame.total_len();
                let method = match frame.kind {
                    FrameKind::Method => Some(Method::decode(frame.payload)?),
                    _ => None,
                };
                let _ = self.buffer.split_to(length);
                match method {
                    Some(Method::ConnectionClose(close)) => {
                        let refusal = refused(close.reply_code, &close.reply_text, OPERATION, "");
                        return Err(match is_shutdown(&refusal) {
                            true => unreachable(io::Error::other(refusal)), // another may come in its place
                            false => refusal,
                        });
                    }
                    Some(method) => return Ok(method),
                    None => continue,
                }
            }
            match self.reader.read(&mut self.buffer).await {
                Ok(0) => return Err(unreachable(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(unreachable(error)),
            }
        }
    }
}

fn does_number_returns(server: &Table) -> bool {
    match server.get("capabilities") {
        Some(Value::Table(capabilities)) => capabilities.get(NUMBERED_RETURNS) == Some(&Value::Bool(true)),
        _ => false,
    }
}

/// What we say of ourselves.
pub(in crate::client) fn properties(options: &ConnectOptions) -> Table {
    let text = |text: &str| Value::LongString(Bytes::copy_from_slice(text.as_bytes()));
    let mut table = Table::default();
    let capabilities = CAPABILITIES.map(|name| (Box::from(name), Value::Bool(true)));
    table.insert("capabilities", Value::Table(Table(capabilities.to_vec())));
    table.insert("product", text("WarrenMQ"));
    table.insert("version", text(env!("CARGO_PKG_VERSION")));
    if let Some(name) = &options.name {
        table.insert("connection_name", text(name));
    }
    table
}
