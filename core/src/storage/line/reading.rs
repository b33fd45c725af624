//! Reading messages back: from segments, and from what is not written yet.

use std::io;
use std::path::Path;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::super::damaged;
use super::super::disk::File;
use super::super::failed;
use super::super::format::{Head, SegmentId};
use super::super::records::{Found, Records, Window};
use super::super::segment::STRIDE;
use super::Line;
use super::ahead::Next;
use crate::broker::store::{Journal, Stored};
use crate::error::Result;

/// How much is read from a file at a time.
const CHUNK: std::ops::RangeInclusive<usize> = 16 << 10..=1 << 20;

/// Where reading stopped, so that it goes on there.
#[derive(Debug, Default)]
pub(super) struct Reader {
    window: Window,
    open: Option<Open>,
    /// Numbers with their offsets, of a segment that is being read.
    pub(super) seen: Vec<(u64, u64)>,
    pub(super) next: Next,
}

#[derive(Debug)]
struct Open {
    id: SegmentId,
    file: Arc<dyn File>,
    /// The least number that may be next, and where.
    place: (u64, u64),
}

/// A segment that has something to read.
pub(super) struct Piece {
    pub(super) id: SegmentId,
    seed: u32,
    /// The first message that is there.
    number: u64,
    /// A place at or before it.
    place: (u64, u64),
    /// Where its records end.
    size: u64,
    end: u64,
}

impl Line {
    pub(super) fn read_on(&self, from: u64, bytes: usize, into: &mut Vec<Stored>) -> Result<u64> {
        let mut reader = self.reader.lock();
        let start = from;
        let (mut from, mut left) = (from, bytes as u64);
        if let Some(ahead) = reader.take_ahead(from) {
            (from, left) = self.take_in(ahead, into);
        }
        while left > 0 {
            let Some(piece) = self.piece(from) else {
                let files = self.files.lock();
                from = read_unwritten(&files.records, from, &mut left, into);
                let pending = self.pending.lock();
                from = read_unwritten(&pending.records, from, &mut left, into);
                return Ok(if left == 0 { from } else { pending.end.max(from) });
            };
            let start = into.len();
            from = self.read_piece(&mut reader, &piece, &mut left, into)?;
            self.compare(&piece.id, &mut reader.seen, start, into);
        }
        if reader.expects(start, from, bytes) {
            self.shared.ahead.ask(&self.this);
        }
        Ok(from)
    }

    /// The first segment that has something from this number on.
    pub(super) fn piece(&self, from: u64) -> Option<Piece> {
        let files = self.files.lock();
        let index = files.segments.partition_point(|segment| segment.end <= from);
        files.segments.range(index..).find_map(|segment| {
            let number = segment.next_alive(from)?;
            let (id, seed, place) = (segment.id, segment.seed, segment.place(number));
            Some(Piece { id, seed, number, place, size: segment.size, end: segment.end })
        })
    }

    /// Reads from one segment; the number to go on from.
    pub(super) fn read_piece(
        &self,
        reader: &mut Reader,
        piece: &Piece,
        left: &mut u64,
        into: &mut Vec<Stored>,
    ) -> Result<u64> {
        let path = self.folder.join(piece.id.segment_name());
        let Reader { window, open, seen, .. } = reader;
        seen.clear();
        let open = match open.take_if(|open| open.id == piece.id) {
            Some(ready) => open.insert(ready),
            None => match self.shared.disk.open(&path) {
                Ok(file) => open.insert(Open { id: piece.id, file, place: piece.place }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.lose(&path, piece);
                    return Ok(piece.end);
                }
                Err(error) => return Err(failed("open", &path)(error)),
            },
        };
        let (least, at) =
            if open.place.0 <= piece.number { open.place.max(piece.place) } else { piece.place };
        let chunk = (*left as usize).clamp(*CHUNK.start(), *CHUNK.end());
        let mut records =
            Records::new(&*open.file, piece.seed, at..piece.size, least..piece.end, window, chunk);
        let mut next = least;
        while *left > 0 {
            match records.next().map_err(failed("read", &path))? {
                None => break,
                Some(Found::Message(record)) => {
                    if record.at >= seen.last().map_or(at, |(_, at)| *at) + STRIDE {
                        seen.push((record.head.number, record.at));
                    }
                    next = record.head.number + 1;
                    if record.head.number >= piece.number {
                        into.push(stored(record.head, records.bytes_of(&record)));
                        *left = left.saturating_sub(record.head.size as u64);
                    }
                }
                Some(Found::Damage(damage)) => {
                    damaged::set_aside(
                        &*self.shared.disk,
                        &self.folder,
                        &piece.id,
                        &*open.file,
                        &damage.at,
                        false,
                    );
                    self.remove(slice::from_ref(&damage.numbers));
                    next = damage.numbers.end;
                }
                Some(Found::Seal) => {}
            }
        }
        open.place = (next, records.at());
        Ok(if *left == 0 { next } else { piece.end })
    }

    /// The file is not there: everything in it was settled meanwhile, or somebody removed it.
    fn lose(&self, path: &Path, piece: &Piece) {
        let here = self.files.lock().segments.iter().any(|segment| segment.id == piece.id);
        if here && !self.deleted.load(Relaxed) {
            let (file, lost) = (path.display(), piece.number..piece.end);
            tracing::error!(%file, numbers = ?lost, "a segment is gone, and its messages with it");
            self.remove(slice::from_ref(&lost));
        }
    }

    /// Brings together what was read and what is known of the segment: has it remember the places that were seen,
    /// leaves out what was settled meanwhile, and says of the rest how often it came back.
    pub(super) fn compare(
        &self,
        id: &SegmentId,
        seen: &mut Vec<(u64, u64)>,
        start: usize,
        into: &mut Vec<Stored>,
    ) {
        let mut files = self.files.lock();
        let index = files.segments.partition_point(|segment| segment.id.first < id.first);
        let Some(segment) = files.segments.get_mut(index).filter(|segment| segment.id == *id) else {
            into.truncate(start);
            return;
        };
        seen.drain(..).for_each(|(number, at)| segment.learn(number, at));
        let mut at = 0;
        into.retain_mut(|stored| {
            at += 1;
            if at <= start {
                return true;
            }
            stored.returns = segment.returns(stored.number);
            segment.is_alive(stored.number)
        });
    }
}

/// Reads from encoded records in memory.
fn read_unwritten(records: &[u8], from: u64, left: &mut u64, into: &mut Vec<Stored>) -> u64 {
    let (mut next, mut rest) = (from, records);
    while *left > 0
        && let Some(head) = Head::read(rest)
    {
        let (record, others) = rest.split_at(head.size);
        if head.number >= from {
            into.push(stored(head, record));
            *left = left.saturating_sub(head.size as u64);
            next = head.number + 1;
        }
        rest = others;
    }
    next
}

fn stored(head: Head, record: &[u8]) -> Stored {
    Stored { number: head.number, expires: head.expires, returns: 0, message: head.message(record) }
}
