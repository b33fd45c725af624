//! The task that reads a connection: the one socket of a broker, or those of a directory's hosts one after another.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use bytes::BytesMut;

use super::connection::Shared;
use super::heartbeat::Heartbeat;
use super::intake::Brought;
use super::peer::Peer;
use super::revival::revive;
use crate::client::closed::is_shutdown;
use crate::client::driver::ConnectionEvent;
use crate::error::{Error, Kind};
use crate::server::socket::Reader;

/// Bytes of deliveries that nobody takes, beyond which the socket is left alone: consumers without a prefetch limit
/// have no other bound. Not while somebody waits for an answer or a confirm, as he may take nothing before he has it.
const LOAD_MAX: usize = 64 << 20;

/// Reads until the connection ends for good.
pub(super) async fn run(shared: Arc<Shared>, mut reader: Reader, mut buffer: BytesMut) {
    let end = loop {
        match (read(&shared, reader, buffer).await, &shared.peer) {
            (Some(End::Gone(why)), Peer::Host(directory)) if !shared.is_closing() => {
                match revive(&shared, directory).await {
                    Ok(again) => (reader, buffer) = again,
                    Err(error) => break Some(error.caused_by(why)),
                }
            }
            (Some(End::Gone(error) | End::Broken(error)), _) => break Some(error),
            (None, _) => break None,
        }
    };
    shared.finish(end);
}

/// Why the reading of a socket ended.
enum End {
    /// Somebody else may host the broker now.
    Gone(Error),
    /// It would go no better with another.
    Broken(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match is_shutdown(&error) {
            true => End::Gone(error),
            false => End::Broken(error),
        }
    }
}

/// Reads until the socket or the connection ends. It does not look for more before it sleeps, as the server does: the
/// threads that wait for what it brings need the processor (round trips over a third process took 113 µs so, and 85
/// without).
async fn read(shared: &Arc<Shared>, reader: Reader, buffer: BytesMut) -> Option<End> {
    let line = shared.line.clone();
    let socket = line.socket();
    let mut heartbeat = match shared.peer {
        Peer::Host(_) => Heartbeat::of_host(shared.options.host_timeout),
        Peer::Broker(_) => Heartbeat::agreed(shared.tuned.heartbeat),
    };
    let lost = |why: &dyn Display| {
        let reason = format!("the connection was lost: {why}");
        End::Gone(Error::new(Kind::Closed, "connection", reason).on(shared.peer.place()))
    };
    let intake = shared.intake.open(reader, buffer);
    let mut failed = intake.lock().begin(shared).err().map(End::from);
    while failed.is_none() && shared.end().is_none() {
        let paused = shared.load.bytes() > LOAD_MAX && !shared.awaits();
        shared.paused.store(paused, SeqCst);
        // Looked at once more, now that whoever begins to wait tells us.
        let paused = paused && !shared.awaits();
        tokio::select! {
            biased;
            _ = socket.readable(), if !paused => {
                // Also when a thread that looked has taken all of it.
                heartbeat.heard();
                if shared.note_life() {
                    shared.tell(&ConnectionEvent::Responsive);
                }
                let brought = intake.lock().read(shared);
                failed = match brought {
                    Ok(Brought::Frames) => None,
                    Ok(Brought::Broken(error)) => Some(error.into()),
                    Ok(Brought::End) => Some(lost(&shared.peer.gone())),
                    Err(error) => Some(lost(&error)),
                };
            }
            () = line.attention.notified() => {
                failed = intake.lock().trouble().map(End::from);
                if line.has_failed() {
                    failed.get_or_insert_with(|| lost(&"it takes no more"));
                }
            }
            () = shared.load.relief.notified(), if paused => {}
            drained = line.drained(), if line.is_full() => {
                failed = drained.err().map(|error| lost(&error));
            }
            () = heartbeat.due(), if heartbeat.beats() => {
                // A host sees that we are gone, and one that is stopped reads nothing.
                if let Peer::Broker(_) = shared.peer {
                    line.add(|out| out.heartbeat());
                    line.flush();
                }
                match (&shared.peer, heartbeat.is_missed()) {
                    _ if paused => heartbeat.heard(), // it may have been there, unread
                    (_, false) => {}
                    (Peer::Host(_), true) => shared.note_silence(),
                    (Peer::Broker(_), true) => {
                        failed = Some(lost(&format!("no sign of life for {} s", 2 * shared.tuned.heartbeat)));
                    }
                }
            }
        }
    }
    shared.intake.close();
    failed
}
