//! A connection goes on with another process when the one that hosted the broker is gone.
//!
//! Who finds the directory's lock free takes the broker over, and is then its own client by the same socket as
//! everybody; who does not finds the one who did. Then channels, consumers and what was not durable are made anew;
//! calls that were not answered and publishes that were not confirmed are sent again; the new host is told
//! which these are, and keeps those that had been stored once ([`crate::broker::Resume`]). Deliveries that were not
//! settled come again, and the acknowledgements of those that were taken before are dropped.
//! Transactions are lost, which their commits say.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Instant, sleep, timeout_at};

use super::connection::Shared;
use super::dial::dial;
use super::handshake::{Dialled, Socket};
use crate::client::driver::ConnectionEvent;
use crate::client::process;
use crate::error::{Error, Kind, Result};
use crate::server::socket::Reader;

/// How long until one looks again who has the directory.
const PAUSE: Duration = Duration::from_millis(2);

/// Finds the new host, or becomes it, within the time that connecting may take; what to read from then on.
///
/// # Errors
/// `Closed` when nobody answers, and why this process cannot host.
pub(super) async fn revive(shared: &Arc<Shared>, directory: &Path) -> Result<(Reader, BytesMut)> {
    shared.line.go_down();
    let deadline = Instant::now() + shared.options.timeout;
    let Dialled { socket, frame_max, .. } = loop {
        match timeout_at(deadline, connect(shared, directory)).await {
            Ok(Ok(dialled)) => break dialled,
            Ok(Err(error)) if error.kind() != Kind::Unreachable => return Err(error),
            Ok(Err(_)) if Instant::now() < deadline && !shared.is_closing() => sleep(PAUSE).await,
            _ => {
                let reason = "the process that hosted the broker is gone, and nobody answers in its place";
                return Err(Error::new(Kind::Closed, "connection", reason).on(shared.peer.place()));
            }
        }
    };
    let Socket { reader, writer, buffer } = socket;
    let replay = || shared.all_channels().iter().for_each(|channel| channel.replay());
    shared.line.go_up(writer, frame_max, replay);
    shared.tell(&ConnectionEvent::Reconnected);
    Ok((reader, buffer))
}

async fn connect(shared: &Shared, directory: &Path) -> Result<Dialled> {
    match tokio::task::block_in_place(|| process::host(directory)) {
        Ok(hosted) => *shared.hosted.lock() = Some(hosted),
        Err(error) if error.kind() == Kind::ResourceLocked => {}
        Err(error) => return Err(error),
    }
    let mut dialled = dial(directory, &shared.options).await?;
    let topology = shared.topology.lock().methods();
    dialled.socket.arrange(&topology).await?;
    Ok(dialled)
}
