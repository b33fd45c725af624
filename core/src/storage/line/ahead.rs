//! Reading ahead: who reads a long line from one end to the other finds the next piece read already.
//!
//! Of the time that it takes to drain a backlog, a third goes into reading: copying, checking, making messages. That is
//! done under the queue's lock, so another thread does it, while what was read before is handed out.

use std::mem;
use std::sync::mpsc::{Sender, channel};
use std::sync::{OnceLock, Weak};

use super::super::format::SegmentId;
use super::Line;
use super::reading::Reader;
use crate::broker::store::Stored;

/// Who reads less at a time does not read on and on.
const LEAST: usize = 64 << 10;

/// The thread that reads ahead for all lines. It is started when it is first needed, and ends with the store.
#[derive(Debug, Default)]
pub(in super::super) struct ReadAhead(OnceLock<Option<Sender<Weak<Line>>>>);

impl ReadAhead {
    /// Has the line read what it expects to be asked for.
    pub(super) fn ask(&self, line: &Weak<Line>) {
        let thread = self.0.get_or_init(|| {
            let (ask, asked) = channel::<Weak<Line>>();
            let read =
                move || asked.iter().filter_map(|line| line.upgrade()).for_each(|line| line.read_ahead());
            // Without it everything is read when it is asked for.
            std::thread::Builder::new().name("warrenmq-read".into()).spawn(read).ok().map(|_| ask)
        });
        if let Some(thread) = thread {
            let _ = thread.send(line.clone());
        }
    }
}

/// What is likely to be read next.
#[derive(Debug, Default)]
pub(super) struct Next {
    /// Where the last reading stopped.
    stopped: u64,
    /// From where on to read ahead, and how many bytes.
    wanted: Option<(u64, usize)>,
    ahead: Option<Ahead>,
}

/// What was read before it was asked for, out of one segment.
#[derive(Debug)]
pub(super) struct Ahead {
    from: u64,
    segment: SegmentId,
    found: Vec<Stored>,
    seen: Vec<(u64, u64)>,
    /// The number to go on from.
    next: u64,
    /// Bytes that were asked for and are not there.
    left: u64,
}

impl Reader {
    /// What was read ahead from this number on, if it was.
    pub(super) fn take_ahead(&mut self, from: u64) -> Option<Ahead> {
        self.next.wanted = None;
        self.next.ahead.take().filter(|ahead| ahead.from == from)
    }

    /// Notes where reading began and stopped; whether to read ahead from there.
    pub(super) fn expects(&mut self, start: u64, stop: u64, bytes: usize) -> bool {
        let goes_on = mem::replace(&mut self.next.stopped, stop) == start;
        self.next.wanted = (goes_on && bytes >= LEAST).then_some((stop, bytes));
        self.next.wanted.is_some()
    }
}

impl Line {
    fn read_ahead(&self) {
        let mut reader = self.reader.lock();
        let Some((from, bytes)) = reader.next.wanted.take() else { return };
        let Some(piece) = self.piece(from) else { return };
        let (mut found, mut left) = (Vec::new(), bytes as u64);
        // Who asks for it meets the error himself.
        let Ok(next) = self.read_piece(&mut reader, &piece, &mut left, &mut found) else { return };
        let seen = mem::take(&mut reader.seen);
        reader.next.ahead = Some(Ahead { from, segment: piece.id, found, seen, next, left });
    }

    /// Takes what was read ahead, as far as it is still there; the number to go on from, and the bytes still wanted.
    pub(super) fn take_in(&self, mut ahead: Ahead, into: &mut Vec<Stored>) -> (u64, u64) {
        let start = into.len();
        into.append(&mut ahead.found);
        self.compare(&ahead.segment, &mut ahead.seen, start, into);
        (ahead.next, ahead.left)
    }
}
