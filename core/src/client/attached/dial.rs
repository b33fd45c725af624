//! From a directory to a socket whose handshake is done.

use std::io;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use tokio::net::UnixStream;

use crate::client::ConnectOptions;
use crate::client::closed::refused;
use crate::doorway;
use crate::error::{Error, Kind, Result};
use crate::server::identity::NUMBERED_RETURNS;
use crate::server::socket::{self, Reader, Writer};
use crate::wire::frame::PROTOCOL_HEADER;
use crate::wire::{FrameKind, Method, ShortString, Table, Value, channel, connection, next_frame};

const OPERATION: &str = "connect";

/// What a client of ours understands.
const CAPABILITIES: [&str; 6] = [
    "publisher_confirms",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "authentication_failure_close",
    NUMBERED_RETURNS,
];

/// A connection that is open.
pub(super) struct Dialled {
    pub(super) socket: Socket,
    pub(super) frame_max: u32,
    pub(super) channel_max: u16,
}

/// A socket on which one method is sent and answered at a time.
pub(super) struct Socket {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    /// What was read and not used yet.
    pub(super) buffer: BytesMut,
}

/// Connects to the socket in a directory, and logs in as who we are. To be called on the runtime.
///
/// # Errors
/// `Unreachable` when nobody listens there, or goes away before the connection is open; what the other side refuses.
pub(super) async fn dial(directory: &Path, options: &ConnectOptions) -> Result<Dialled> {
    let socket =
        doorway::connect(directory, doorway::AMQP).and_then(UnixStream::from_std).map_err(unreachable)?;
    let (reader, writer) = socket::unix(socket);
    Socket { reader, writer, buffer: BytesMut::with_capacity(1024) }.shake_hands(options).await
}

fn unreachable(error: io::Error) -> Error {
    Error::new(Kind::Unreachable, OPERATION, format!("nobody answers: {error}")).caused_by(error)
}

fn unexpected(method: &Method) -> Error {
    Error::new(Kind::UnexpectedFrame, OPERATION, format!("{} was not expected", method.name()))
}

impl Socket {
    /// Does what these methods say, on a channel that is closed again. What the broker refuses is left out.
    ///
    /// # Errors
    /// `Unreachable` when the other side goes away.
    pub(super) async fn arrange(&mut self, methods: &[Method]) -> Result<()> {
        const CHANNEL: u16 = 1;
        if methods.is_empty() {
            return Ok(());
        }
        let open = Method::ChannelOpen(channel::Open::default());
        self.ask(CHANNEL, &open).await?;
        for method in methods {
            if let Method::ChannelClose(close) = self.ask(CHANNEL, method).await? {
                tracing::warn!(method = method.name(), reason = %close.reply_text, "not restored");
                self.send(CHANNEL, &[Method::ChannelCloseOk(channel::CloseOk {})]).await?;
                self.ask(CHANNEL, &open).await?;
            }
        }
        let close = channel::Close { reply_code: 200, ..channel::Close::default() };
        self.ask(CHANNEL, &Method::ChannelClose(close)).await.map(drop)
    }

    async fn ask(&mut self, channel: u16, method: &Method) -> Result<Method> {
        self.send(channel, std::slice::from_ref(method)).await?;
        self.method().await
    }

    async fn shake_hands(mut self, options: &ConnectOptions) -> Result<Dialled> {
        self.writer.write_all(&PROTOCOL_HEADER).await.map_err(unreachable)?;
        match self.method().await? {
            Method::ConnectionStart(start) if understands(&start.server_properties) => {}
            Method::ConnectionStart(_) => {
                let reason = "the process that has the directory runs another version";
                return Err(Error::new(Kind::Unsupported, OPERATION, reason)
                    .advise("use one version of WarrenMQ for all processes of a directory"));
            }
            other => return Err(unexpected(&other)),
        }
        self.send(
            0,
            &[Method::ConnectionStartOk(connection::StartOk {
                client_properties: properties(options),
                mechanism: ShortString::truncated("EXTERNAL"),
                response: Bytes::new(),
                locale: ShortString::truncated("en_US"),
            })],
        )
        .await?;
        let tune = match self.method().await? {
            Method::ConnectionTune(tune) => tune,
            other => return Err(unexpected(&other)),
        };
        let connection::Tune { channel_max, frame_max, .. } = tune;
        let virtual_host = ShortString::truncated("/");
        self.send(
            0,
            &[
                Method::ConnectionTuneOk(connection::TuneOk { channel_max, frame_max, heartbeat: 0 }),
                Method::ConnectionOpen(connection::Open { virtual_host, ..connection::Open::default() }),
            ],
        )
        .await?;
        match self.method().await? {
            Method::ConnectionOpenOk(_) => {}
            other => return Err(unexpected(&other)),
        }
        Ok(Dialled { socket: self, frame_max, channel_max })
    }

    async fn send(&self, channel: u16, methods: &[Method]) -> Result<()> {
        let mut out = BytesMut::new();
        methods.iter().for_each(|method| method.encode(channel, &mut out));
        self.writer.write_all(&out).await.map_err(unreachable)
    }

    /// The next method.
    async fn method(&mut self) -> Result<Method> {
        loop {
            if let Some(frame) = next_frame(&self.buffer, 0)? {
                let length = frame.total_len();
                let method = match frame.kind {
                    FrameKind::Method => Some(Method::decode(frame.payload)?),
                    _ => None,
                };
                let _ = self.buffer.split_to(length);
                match method {
                    Some(Method::ConnectionClose(close)) => {
                        return Err(refused(close.reply_code, &close.reply_text, OPERATION, ""));
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

fn understands(server: &Table) -> bool {
    match server.get("capabilities") {
        Some(Value::Table(capabilities)) => capabilities.get(NUMBERED_RETURNS) == Some(&Value::Bool(true)),
        _ => false,
    }
}

fn properties(options: &ConnectOptions) -> Table {
    let text = |text: &str| Value::LongString(Bytes::copy_from_slice(text.as_bytes()));
    let mut table = Table::default();
    let capabilities = CAPABILITIES.map(|name| (Box::from(name), Value::Bool(true)));
    table.insert("capabilities", Value::Table(Table(capabilities.to_vec())));
    table.insert("product", text("WarrenMQ"));
    table.insert("version", text(env!("CARGO_PKG_VERSION")));
    table.insert("process", Value::I64(std::process::id().into()));
    if let Some(name) = &options.name {
        table.insert("connection_name", text(name));
    }
    table
}
