//! What of a stream is on the disk only: all that stands before its tail.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Weak};

use crate::broker::queue::keep::Budget;
use crate::broker::store::Journal;
use crate::error::Result;
use crate::message::Message;

/// Bytes that are read at a time.
const CHUNK: usize = 512 << 10;
/// And where there is no memory for so many.
const FEW: usize = 64 << 10;

/// What a consumer that is far back reads from; none when it is not. Under the queue's lock only.
pub(in crate::broker) type Ahead = Option<Arc<Chunk>>;

/// A piece of a stream. Those who read near each other share it.
pub(in crate::broker) struct Chunk {
    /// Everything that is there from offset `start` to before `end`.
    offsets: Range<u64>,
    messages: Vec<(u64, Message)>,
}

impl Chunk {
    /// The message at this offset, or the first after it, if that is in this piece.
    pub(super) fn read(&self, offset: u64) -> Option<(u64, Message)> {
        if !self.offsets.contains(&offset) {
            return None;
        }
        let index = self.messages.partition_point(|(at, _)| *at < offset);
        self.messages.get(index).cloned()
    }
}

/// What retention asks of a message.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    pub(super) offset: u64,
    pub(super) came: u64,
    /// Of its body.
    pub(super) bytes: u64,
}

/// The messages that are on the disk only.
pub(super) struct Older {
    /// Has all of the stream: the times at which messages came are in place of those at which they expire.
    pub(super) journal: Arc<dyn Journal>,
    /// Bytes of their bodies; with those found to be damaged since it was opened.
    pub(super) bytes: u64,
    pub(super) budget: Budget,
    /// Those that a consumer has.
    chunks: Vec<Weak<Chunk>>,
    /// Of the first messages, up to the offset `marked`.
    marks: VecDeque<Mark>,
    marked: u64,
}

impl Older {
    pub(super) fn new(journal: Arc<dyn Journal>, bytes: u64, budget: Budget) -> Self {
        Older { journal, bytes, budget, chunks: Vec::new(), marks: VecDeque::new(), marked: 0 }
    }

    /// Gets the piece with this offset, and says where to look then: here, or behind it if it was at hand already.
    pub(super) fn load(&mut self, offset: u64, ahead: &mut Ahead) -> Result<u64> {
        if let Some(chunk) = ahead.take() // before the next one takes its place in memory
            && chunk.offsets.contains(&offset)
        {
            return Ok(chunk.offsets.end);
        }
        *ahead = Some(self.chunk(offset)?);
        Ok(offset)
    }

    /// A piece with this offset: another consumer's, or a new one.
    fn chunk(&mut self, offset: u64) -> Result<Arc<Chunk>> {
        self.chunks.retain(|chunk| chunk.strong_count() > 0);
        let near = self.chunks.iter().filter_map(Weak::upgrade).find(|chunk| chunk.offsets.contains(&offset));
        if let Some(chunk) = near {
            return Ok(chunk);
        }
        let mut found = Vec::new();
        let bytes = if self.budget.is_spent(CHUNK) { FEW } else { CHUNK };
        let end = self.journal.read(offset, bytes, &mut found)?.max(offset + 1);
        let messages = found.into_iter().map(|stored| (stored.number, stored.message)).collect();
        let chunk = Arc::new(Chunk { offsets: offset..end, messages });
        self.chunks.push(Arc::downgrade(&chunk));
        Ok(chunk)
    }

    #[cfg(test)]
    pub(super) fn in_memory(&self) -> usize {
        self.chunks.iter().filter_map(Weak::upgrade).map(|chunk| chunk.messages.len()).sum()
    }

    /// What there is to know of the first message in this range; none where all were damaged.
    pub(super) fn first(&mut self, offsets: Range<u64>) -> Result<Option<Mark>> {
        loop {
            while self.marks.pop_front_if(|mark| mark.offset < offsets.start).is_some() {}
            let from = self.marked.max(offsets.start);
            if !self.marks.is_empty() || from >= offsets.end {
                return Ok(self.marks.front().copied().filter(|mark| mark.offset < offsets.end));
            }
            let mut found = Vec::new();
            self.marked = self.journal.read(from, CHUNK, &mut found)?.max(from + 1);
            self.marks.extend(found.iter().map(|stored| Mark {
                offset: stored.number,
                came: stored.expires,
                bytes: stored.message.body().len() as u64,
            }));
        }
    }

    /// The first offset of this range at which a message came at `time` or later; the end of the range where none did.
    pub(super) fn since(&self, time: u64, offsets: Range<u64>) -> Result<u64> {
        let Range { mut start, mut end } = offsets;
        while start < end {
            let middle = start + (end - start) / 2;
            let mut found = Vec::new();
            self.journal.read(middle, 1, &mut found)?;
            match found.first() {
                Some(stored) if stored.number < end && stored.expires < time => start = stored.number + 1,
                _ => end = middle,
            }
        }
        Ok(start)
    }
}
