//! A connection goes on with another process when the one that hosted the broker is gone.
//!
//! Who finds the directory's lock free takes the broker over, and is then its own client by the same socket as
//! everybody; who does not finds the one who did. What is not durable is there as it was (`broker::transient`). Channels
//! and consumers are made anew; calls that were not answered and publishes that were not confirmed are sent again; the
//! new host is told which these are, and keeps those that had been stored once ([`crate::broker::Resume`]). Deliveries
//! that were not settled come again, and the acknowledgements of those that were taken before are dropped.
//! Transactions are lost, which their commits say.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{sleep, timeout};

use super::connection::Shared;
use super::dial::dial;
use super::handshake::{Dialled, Socket};
use super::heartbeat::Heartbeat;
use crate::client::driver::ConnectionEvent;
use crate::client::process;
use crate::error::{Error, Kind, Result};
use crate::server::round;
use crate::server::socket::Reader;
use crate::storage::Attachment;

/// How long until one looks again who has the directory.
const PAUSE: Duration = Duration::from_millis(2);

/// Finds the new host, or becomes it; what to read from then on. However long another process that has the directory
/// takes before it answers: only its end makes the directory free.
///
/// # Errors
/// Why this process cannot host, `Closed` when its user closes the connection meanwhile.
pub(super) async fn revive(shared: &Arc<Shared>, directory: &Path) -> Result<(Reader, BytesMut)> {
    shared.line.go_down();
    let mut heartbeat = Heartbeat::of_host(shared.options.host_timeout);
    let mut found = pin!(find(shared, directory));
    let Dialled { socket, tuned, .. } = loop {
        tokio::select! {
            found = &mut found => break found?,
            () = heartbeat.due(), if heartbeat.beats() => {
                if heartbeat.is_missed() {
                    shared.note_silence();
                }
            }
        }
    };
    shared.note_life();
    let Socket { reader, writer, buffer } = socket;
    let replay = || shared.all_channels().iter().for_each(|channel| channel.replay());
    shared.line.go_up(writer, tuned.frame_max, replay);
    shared.listen_as_host();
    shared.tell(&ConnectionEvent::Reconnected);
    Ok((reader, buffer))
}

async fn find(shared: &Shared, directory: &Path) -> Result<Dialled> {
    while !shared.is_closing() {
        match timeout(shared.options.timeout, connect(shared, directory)).await {
            Ok(Err(error)) if error.kind() != Kind::Unreachable => return Err(error),
            Ok(Ok(dialled)) => return Ok(dialled),
            Ok(Err(_)) => sleep(PAUSE).await,
            Err(_) => {} // it may be stopped, and its socket one that nobody serves
        }
    }
    Err(Error::new(Kind::Closed, "connection", "it was closed while nobody hosted the broker")
        .on(shared.peer.place()))
}

async fn connect(shared: &Shared, directory: &Path) -> Result<Dialled> {
    match round::block(|| process::host(directory)) {
        Ok(hosted) => *shared.hosted.lock() = Some(hosted),
        Err(error) if error.kind() == Kind::ResourceLocked => {}
        Err(error) => return Err(error),
    }
    let attachment = shared.attachment.lock().as_ref().map(Attachment::number);
    match dial(directory, attachment, &shared.options, Some(shared.tuned.clone())).await {
        Err(error) if error.kind() != Kind::Unreachable => {
            dial(directory, attachment, &shared.options, None).await
        }
        dialled => dialled,
    }
}
