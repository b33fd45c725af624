//! What comes in by the socket: read by the reader's task, or by a thread that waits for it.
//!
//! A thread that has just sent a request looks for the answer itself for some microseconds ([`Shared::look`]): to have
//! the task woken, and be woken by it, would cost more than the request and its answer do.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;

use super::connection::Shared;
use crate::error::{Error, Result};
use crate::server::socket::{Hush, Reader};
use crate::wire::{FrameKind, Method, next_frame};

/// The read buffer of a connection at rest, and how far it grows under load.
const BUFFER_MIN: usize = 8 << 10;
const BUFFER_MAX: usize = 1 << 20;
/// What a thread that looks takes at a time.
const LOOK: usize = 4 << 10;

/// The reading half of a socket.
pub(super) struct Intake {
    reader: Reader,
    buffer: BytesMut,
    /// By how much the buffer grows at the next read.
    size: usize,
    /// What a thread that looked has found, and the task has to see to.
    broken: Option<Error>,
    closed: bool,
}

/// Where a thread that looks finds it.
#[derive(Default)]
pub(super) struct Door(Mutex<Option<Arc<Mutex<Intake>>>>);

impl Door {
    pub(super) fn open(&self, reader: Reader, buffer: BytesMut) -> Arc<Mutex<Intake>> {
        let intake =
            Arc::new(Mutex::new(Intake { reader, buffer, size: BUFFER_MIN, broken: None, closed: false }));
        *self.0.lock() = Some(intake.clone());
        intake
    }

    /// Nobody reads any more; what was not read is not heard, as another connection may go on in place of this one.
    pub(super) fn close(&self) {
        if let Some(intake) = self.0.lock().take() {
            intake.lock().closed = true;
        }
    }
}

/// What a read brought.
pub(super) enum Brought {
    /// Some or none.
    Frames,
    /// What the broker must not send, or closes the connection with.
    Broken(Error),
    /// The other side has ended it.
    End,
}

impl Intake {
    /// Takes the frames that came with the handshake.
    ///
    /// # Errors
    /// What the broker must not send, or closes the connection with.
    pub(super) fn begin(&mut self, shared: &Arc<Shared>) -> Result<()> {
        batch(shared, &mut self.buffer)
    }

    /// Reads once, and takes the frames that are complete.
    ///
    /// # Errors
    /// Of the socket.
    pub(super) fn read(&mut self, shared: &Arc<Shared>) -> io::Result<Brought> {
        if let Some(error) = self.trouble() {
            return Ok(Brought::Broken(error));
        }
        if self.buffer.capacity() - self.buffer.len() < self.size / 2 {
            self.buffer.reserve(self.size);
        }
        let count = match self.reader.try_read(&mut self.buffer) {
            Ok(0) => return Ok(Brought::End),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Brought::Frames),
            Err(error) => return Err(error),
        };
        self.size = match count * 2 > self.size {
            true => (self.size * 2).min(BUFFER_MAX),
            false => (self.size / 2).max(BUFFER_MIN),
        };
        let taken = batch(shared, &mut self.buffer);
        if self.buffer.is_empty() && self.buffer.capacity() > self.size * 4 {
            self.buffer = BytesMut::new(); // a connection at rest keeps no large buffer
        }
        Ok(taken.map_or_else(Brought::Broken, |()| Brought::Frames))
    }

    /// What a thread that looked has found.
    pub(super) fn trouble(&mut self) -> Option<Error> {
        self.broken.take()
    }

    /// Reads a little, and takes the frames that are complete; whether there was something. The end is left to the task.
    fn look(&mut self, shared: &Arc<Shared>) -> bool {
        let mut bytes = [0; LOOK];
        let Ok(count @ 1..) = self.reader.glance(&mut bytes) else { return false };
        self.buffer.extend_from_slice(&bytes[..count]);
        self.broken = batch(shared, &mut self.buffer).err();
        if self.broken.is_some() {
            shared.line.attention.notify_one();
        }
        true
    }
}

impl Shared {
    /// As long as what this gives is kept, no other thread is woken by what comes.
    pub(super) fn begin_to_look(&self) -> Option<Hush> {
        let intake = self.intake.0.lock();
        intake.as_ref()?.try_lock()?.reader.hush()
    }

    /// Takes what has come in, if nobody else is at it.
    pub(super) fn look(self: &Arc<Self>) {
        let intake = self.intake.0.lock().clone();
        if let Some(intake) = &intake
            && let Some(mut intake) = intake.try_lock()
            && !self.paused.load(SeqCst)
        {
            while intake.broken.is_none() && !intake.closed && intake.look(self) {}
        }
    }
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
