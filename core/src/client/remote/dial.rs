//! From a directory to a connection with who hosts it.

use std::path::Path;

use bytes::Bytes;

use super::handshake::{Dialled, Login, Socket, properties, unreachable};
use super::heartbeat::Heartbeat;
use crate::client::ConnectOptions;
use crate::doorway;
use crate::error::{Error, Kind, Result};
use crate::server::socket;
use crate::wire::Value;

/// Connects to the socket in a directory, and logs in as who we are. To be called on the runtime.
///
/// # Errors
/// `Unreachable` when nobody listens there, or goes away before the connection is open; what the other side refuses;
/// `Unsupported` when it is of another version.
pub(super) async fn dial(directory: &Path, options: &ConnectOptions) -> Result<Dialled> {
    let socket = doorway::connect(directory, doorway::AMQP).and_then(socket::unix);
    let (reader, writer) = socket.map_err(unreachable)?;
    let mut properties = properties(options);
    properties.insert("process", Value::I64(std::process::id().into()));
    let login = Login {
        mechanism: "EXTERNAL",
        response: Bytes::new(),
        virtual_host: "/".into(),
        properties,
        heartbeat: Some(Heartbeat::wanted(options.host_timeout)),
        channel_max: 0,
        frame_max: 0,
    };
    let dialled = Socket::new(reader, writer).log_in(&login).await?;
    if !dialled.numbers_returns {
        let reason = "the process that has the directory runs another version";
        return Err(Error::new(Kind::Unsupported, "connect", reason)
            .advise("use one version of WarrenMQ for all processes of a directory"));
    }
    Ok(dialled)
}
