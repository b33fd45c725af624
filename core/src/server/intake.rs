//! What comes in by a connection's socket: read by the connection's task, or by a thread of this process that waits
//! for what it brings.
//!
//! A thread that has just answered a request of another process looks for the next one itself for some microseconds
//! ([`Sight::look`]): to have the task woken, and be woken by it, would cost more than the request and its answer do.

use std::fmt;
use std::io;
use std::mem;
use std::sync::{Arc, Weak};

use bytes::BytesMut;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::connection::{Connection, End};
use super::round;
use super::socket::{Hush, Reader};

/// The read buffer of a connection at rest, and how far it grows under load.
pub(super) const BUFFER_MIN: usize = 8 << 10;
pub(super) const BUFFER_MAX: usize = 256 << 10;
/// Reads up to this size are request and response, or a client that waits for a TCP acknowledgement.
const INTERACTIVE: usize = 4 << 10;
/// Connections that are looked at: those of which small requests came last.
const FEW: usize = 2;

/// The reading half of a connection.
pub(super) struct Intake {
    /// None once it is closed.
    reader: Option<Reader>,
    buffer: BytesMut,
    /// By how much the buffer grows at the next read.
    size: usize,
    pub(super) connection: Connection,
    /// What came last was a small request. Of more, one read takes as much as it can, which who looks does not.
    small: bool,
    /// Why it ends, which a thread that looked has found and the task has to see to.
    end: Option<End>,
}

/// What a read brought.
pub(super) enum Brought {
    /// There is no more, or a thread that looked was quicker.
    Nothing,
    /// A small request.
    Little,
    /// A good part of the buffer, with `crowded`.
    Much {
        crowded: bool,
    },
    End(End),
}

impl Intake {
    /// Takes the frames that came with the handshake.
    pub(super) fn open(reader: Reader, buffer: BytesMut, connection: Connection) -> Self {
        let mut intake =
            Intake { reader: Some(reader), buffer, size: BUFFER_MIN, connection, small: false, end: None };
        intake.end = intake.connection.batch(&mut intake.buffer).break_value();
        intake
    }

    /// Reads once, and takes the frames that are complete.
    pub(super) fn read(&mut self) -> Brought {
        if let Some(end) = self.end.take() {
            return Brought::End(end); // what follows is not heard
        }
        if self.buffer.capacity() - self.buffer.len() < self.size / 2 {
            self.buffer.reserve(self.size);
        }
        let Some(reader) = &mut self.reader else { return Brought::Nothing };
        let count = match reader.try_read(&mut self.buffer) {
            Ok(0) => {
                let reason = "the client closed the socket without connection.close";
                return Brought::End(End::Lost(reason.into()));
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Brought::Nothing,
            Err(error) => return Brought::End(End::Lost(error.to_string())),
        };
        let crowded = count * 2 > self.size;
        if crowded {
            self.size = (self.size * 2).min(BUFFER_MAX);
        }
        self.small = count <= INTERACTIVE;
        round::begin(self.small);
        match self.connection.batch(&mut self.buffer).break_value() {
            Some(end) => Brought::End(end),
            None if self.small => Brought::Little,
            None => Brought::Much { crowded },
        }
    }

    /// Reads a little, and takes the frames that are complete; whether there was something. Its end, and what has to
    /// wait, are left to the task.
    fn look(&mut self) -> bool {
        let mut bytes = [0; INTERACTIVE];
        let Some(reader) =
            self.reader.as_ref().filter(|_| self.small && self.end.is_none() && self.connection.is_free())
        else {
            return false;
        };
        let Ok(count @ 1..) = reader.glance(&mut bytes) else { return false };
        self.small = count < bytes.len();
        self.buffer.extend_from_slice(&bytes[..count]);
        self.end = self.connection.batch(&mut self.buffer).break_value();
        if self.end.is_some() || !self.connection.is_free() {
            self.connection.link.attention.notify_one();
        }
        true
    }

    /// Why it ends: what a thread that looked has found, or what the broker says.
    pub(super) fn end(&mut self) -> Option<End> {
        self.end.take().or_else(|| self.connection.ended_by_broker().map(|reason| End::ByUs(reason, 0)))
    }

    fn hush(&self) -> Option<Hush> {
        self.reader.as_ref().filter(|_| self.small)?.hush()
    }

    /// A connection at rest keeps no large buffer.
    pub(super) fn rest(&mut self) {
        if self.buffer.is_empty() && self.size > BUFFER_MIN {
            self.size = BUFFER_MIN;
            self.buffer = BytesMut::new();
        }
    }

    /// Ends it, and has nobody read any more; what does, and what it has read.
    pub(super) fn close(&mut self, end: &End) -> Option<(Reader, BytesMut)> {
        self.connection.end(end);
        Some((self.reader.take()?, mem::take(&mut self.buffer)))
    }
}

/// Where a thread that looks finds the connections of other processes from which small requests come.
#[derive(Default)]
pub(crate) struct Lookout(Mutex<SmallVec<[Weak<Mutex<Intake>>; FEW]>>);

impl Lookout {
    /// A small request came on this connection.
    pub(super) fn note(&self, intake: &Arc<Mutex<Intake>>) {
        let mut noted = self.0.lock();
        if noted.iter().any(|other| other.as_ptr() == Arc::as_ptr(intake)) {
            return;
        }
        noted.retain(|other| other.strong_count() > 0);
        noted.truncate(FEW - 1);
        noted.insert(0, Arc::downgrade(intake));
    }

    /// Looks at them from now on. Waits for nobody.
    pub(crate) fn begin(&self) -> Sight {
        let noted = self.0.try_lock();
        let intakes: SmallVec<[Arc<Mutex<Intake>>; FEW]> =
            noted.iter().flat_map(|noted| noted.iter()).filter_map(Weak::upgrade).collect();
        let _hushed = intakes.iter().filter_map(|intake| intake.try_lock()?.hush()).collect();
        Sight { intakes, _hushed }
    }
}

/// What a thread looks at. As long as it does, no other thread is woken by what comes.
pub(crate) struct Sight {
    intakes: SmallVec<[Arc<Mutex<Intake>>; FEW]>,
    _hushed: SmallVec<[Hush; FEW]>,
}

impl Sight {
    /// Takes what has come in, where nobody else is at it.
    pub(crate) fn look(&self) {
        for intake in &self.intakes {
            if let Some(mut intake) = intake.try_lock() {
                while intake.look() {}
            }
        }
    }
}

impl fmt::Debug for Lookout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookout").finish_non_exhaustive()
    }
}
