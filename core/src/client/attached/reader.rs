//! The task that reads a connection: the one socket of a broker, or those of a directory's hosts one after another.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use bytes::{Buf, BytesMut};

use super::connection::Shared;
use super::heartbeat::Heartbeat;
use super::peer::Peer;
use super::revival::revive;
use crate::client::closed::is_shutdown;
use crate::client::driver::ConnectionEvent;
use crate::error::{Error, Kind, Result};
use crate::server::socket::Reader;
use crate::wire::{FrameKind, Method, next_frame};

/// The read buffer of a connection at rest, and how far it grows under load.
const BUFFER_MIN: usize = 8 << 10;
const BUFFER_MAX: usize = 1 << 20;
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
async fn read(shared: &Arc<Shared>, mut reader: Reader, mut buffer: BytesMut) -> Option<End> {
    let line = shared.line.clone();
    let mut size = BUFFER_MIN;
    let mut heartbeat = match shared.peer {
        Peer::Host(_) => Heartbeat::of_host(shared.options.host_timeout),
        Peer::Broker(_) => Heartbeat::agreed(shared.heartbeat),
    };
    let lost = |why: &dyn Display| {
        let reason = format!("the connection was lost: {why}");
        End::Gone(Error::new(Kind::Closed, "connection", reason).on(shared.peer.place()))
    };
    let mut failed = batch(shared, &mut buffer).err().map(End::from);
    while failed.is_none() && shared.end().is_none() {
        let paused = shared.load.bytes() > LOAD_MAX && !shared.awaits();
        shared.paused.store(paused, SeqCst);
        // Looked at once more, now that whoever begins to wait tells us.
        let paused = paused && !shared.awaits();
        if buffer.capacity() - buffer.len() < size / 2 {
            buffer.reserve(size);
        }
        tokio::select! {
            biased;
            read = reader.read(&mut buffer), if !paused => match read {
                Ok(0) => failed = Some(lost(&shared.peer.gone())),
                Ok(count) => {
                    heartbeat.heard();
                    if shared.note_life() {
                        shared.tell(&ConnectionEvent::Responsive);
                    }
                    size = match count * 2 > size {
                        true => (size * 2).min(BUFFER_MAX),
                        false => (size / 2).max(BUFFER_MIN),
                    };
                    failed = batch(shared, &mut buffer).err().map(End::from);
                    if buffer.is_empty() && buffer.capacity() > size * 4 {
                        buffer = BytesMut::new(); // a connection at rest keeps no large buffer
                    }
                }
                Err(error) => failed = Some(lost(&error)),
            },
            () = line.attention.notified() => {
                if line.has_failed() {
                    failed = Some(lost(&"it takes no more"));
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
                        failed = Some(lost(&format!("no sign of life for {} s", 2 * shared.heartbeat)));
                    }
                }
            }
        }
    }
    failed
}

/// Takes all complete frames out of the buffer.
fn batch(shared: &Arc<Shared>, buffer: &mut BytesMut) -> Result<()> {
    let mut at = 0;
    while let Some(frame) = next_frame(&buffer[at..], 0)? {
        if let Some(channel) = shared.channel(frame.channel) {
            at += channel.frames(&buffer[at..])?;
            continue;
        }
        at += frame.total_len();
        // What comes on a channel that is closed is not heard.
        if frame.channel == 0 && frame.kind == FrameKind::Method {
            shared.method(&Method::decode(frame.payload)?)?;
        }
    }
    buffer.advance(at);
    Ok(())
}
