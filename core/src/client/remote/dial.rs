//! From a directory to a connection with who hosts it.

use std::path::Path;

use bytes::Bytes;

use super::handshake::{Dialled, Login, Socket, properties, unreachable};
use super::heartbeat::Heartbeat;
use crate::client::ConnectOptions;
use crate::doorway;
use crate::error::{Error, Kind, Result};
use crate::server::identity::ATTACHMENT;
use crate::server::socket;
use crate::wire::Value;
use crate::wire::connection::TuneOk;

/// Connects to the socket in a directory, and logs in as who we are: by the number of an attachment to it, if there is one
/// or is to be one, and by what was agreed on with the host before, if there was one. To be called on the runtime.
///
/// # Errors
/// `Unreachable` when nobody listens there, or goes away before the connection is open; what the other side refuses;
/// `Unsupported` when it is of another version; `NotAllowed` when it has other limits than the host before.
pub(super) async fn dial(
    directory: &Path,
    attachment: Option<u64>,
    options: &ConnectOptions,
    tuned: Option<TuneOk>,
) -> Result<Dialled> {
    let socket = doorway::connect(directory, doorway::AMQP).and_then(socket::unix);
    let (reader, writer) = socket.map_err(unreachable)?;
    let mut properties = properties(options);
    properties.insert("process", Value::I64(std::process::id().into()));
    if let Some(number) = attachment {
        properties.insert(ATTACHMENT, Value::I64(number.cast_signed()));
    }
    let login = Login {
        mechanism: "EXTERNAL",
        response: Bytes::new(),
        virtual_host: "/".into(),
        properties,
        heartbeat: Some(Heartbeat::wanted(options.host_timeout)),
        channel_max: 0,
        frame_max: 0,
        tuned,
    };
    let dialled = Socket::new(reader, writer).log_in(&login).await?;
    if !dialled.numbers_returns {
        let reason = "the process that has the directory runs another version";
        return Err(Error::new(Kind::Unsupported, "connect", reason)
            .advise("use one version of WarrenMQ for all processes of a directory"));
    }
    Ok(dialled)
}
