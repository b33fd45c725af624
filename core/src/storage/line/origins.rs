//! Which publishes a line's messages came by, for who sends again what may have been stored already.
//!
//! Learnt from the newest segment backwards, piece by piece and as far as somebody asks. A publisher's messages stand
//! in a line in the order of their sequence, so nearly always the last piece has all that is asked for. Where
//! a publisher has nothing older in the line, the time at which a segment was last written to is the bound.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::super::failed;
use super::super::format::{HEADER, SegmentId};
use super::super::records::{Found, Records, Window};
use super::Line;
use crate::broker::store::{self, Origin};
use crate::error::Result;

/// About how many bytes are looked at at a time.
const PIECE: u64 = 1 << 20;

/// The origins of what a line had.
pub(super) struct Origins {
    line: Arc<Line>,
    /// Held while a piece is read. Taken before the line's locks.
    known: Mutex<Known>,
}

struct Known {
    /// The first number of the segment that was looked at last, and the offset from which on it was.
    place: (u64, u64),
    sequences: HashMap<NonZeroU64, BTreeSet<u64>>,
}

/// A piece of a segment.
struct Piece {
    id: SegmentId,
    seed: u32,
    bytes: Range<u64>,
    numbers: Range<u64>,
}

impl Origins {
    /// Those of this line. It has written nothing since it was opened that would be asked for: who published that is
    /// its own client.
    pub(super) fn of(line: Arc<Line>) -> Self {
        Origins { line, known: Mutex::new(Known { place: (u64::MAX, 0), sequences: HashMap::new() }) }
    }

    /// Learns of one more piece; false when what is left is older than `since`, or nothing is.
    fn learn(&self, known: &mut Known, since: SystemTime) -> Result<bool> {
        let line = &*self.line;
        let Some(piece) = line.piece_before(known.place) else { return Ok(false) };
        let path = line.folder.join(piece.id.segment_name());
        let file = match line.shared.disk.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                known.place = (piece.id.first, HEADER as u64);
                return Ok(true);
            }
            file => file.map_err(failed("open", &path))?,
        };
        if file.modified().map_err(failed("read", &path))? < since {
            return Ok(false);
        }
        if known.place.0 != piece.id.first {
            line.sync_again(piece.id);
        }
        let mut window = Window::default();
        let Piece { id, seed, bytes, numbers } = piece;
        let mut records = Records::new(&*file, seed, bytes.clone(), numbers, &mut window, PIECE as usize);
        while let Some(found) = records.next().map_err(failed("read", &path))? {
            // Damage is the business of who reads the messages.
            if let Found::Message(record) = found
                && let Some(Origin { publisher, sequence }) = record.head.origin(records.bytes_of(&record))
            {
                known.sequences.entry(publisher).or_default().insert(sequence);
            }
        }
        known.place = (id.first, bytes.start);
        Ok(true)
    }
}

impl store::Origins for Origins {
    fn contain(&self, origin: Origin, settled: u64, since: SystemTime) -> Result<bool> {
        let mut known = self.known.lock();
        loop {
            let sequences = known.sequences.get(&origin.publisher);
            if sequences.is_some_and(|sequences| sequences.contains(&origin.sequence)) {
                return Ok(true);
            }
            let complete = sequences.and_then(BTreeSet::first).is_some_and(|first| *first <= settled);
            if complete || !self.learn(&mut known, since)? {
                return Ok(false);
            }
        }
    }
}

impl Line {
    /// The piece that ends at a place, or else is the last one of the segment before it.
    fn piece_before(&self, (first, offset): (u64, u64)) -> Option<Piece> {
        let files = self.files.lock();
        files.segments.iter().rev().skip_while(|segment| segment.id.first > first).find_map(|segment| {
            let end = if segment.id.first == first { offset } else { segment.size };
            let (number, start) = segment.place_before(end.saturating_sub(PIECE));
            let (id, seed, numbers) = (segment.id, segment.seed, number..segment.end);
            (start < end).then_some(Piece { id, seed, bytes: start..end, numbers })
        })
    }

    /// What this segment has is said to be on the disk, and may not be.
    fn sync_again(&self, id: SegmentId) {
        let mut pending = self.pending.lock();
        pending.unsure.push(id);
        self.touch(&mut pending);
    }
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origins").field("line", &self.line.folder).finish_non_exhaustive()
    }
}
