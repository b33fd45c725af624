//! One line of a queue: its segments, and what waits to be written to them.
//!
//! Locks, in this order: that of the origins, `reader`, `files`, `pending`. Callers take `pending` for no longer than a copy of their
//! message; the committer holds `files` while it writes, and none while it syncs.

mod ahead;
mod extents;
mod origins;
mod reading;
mod writing;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::committer::Shared;
use super::disk::File;
use super::failed;
use super::format::{self, Entry, SegmentId};
use super::records::Window;
use super::segment::Segment;
use crate::broker::is_overflow;
use crate::broker::store::{self, Journal, Recovered, Stored};
use crate::error::Result;
use crate::memory;
use crate::message::Message;
pub(super) use ahead::ReadAhead;
pub(super) use extents::Extent;
use origins::Origins;
use reading::Reader;

/// Bytes that may wait before the committer is told to hurry.
const HURRY: usize = 1 << 20;
/// And before publishers are told to wait, so that memory stays flat when the disk is slower than they are.
const BEHIND: usize = 8 << 20;
/// Memory that a line's buffers keep when they are empty.
const KEEP: usize = 256 << 10;

/// A line of a queue.
#[derive(Debug)]
pub(super) struct Line {
    this: Weak<Line>,
    shared: Arc<Shared>,
    queue: u64,
    line: u8,
    folder: PathBuf,
    /// The queue is deleted: nothing is written any more.
    deleted: AtomicBool,
    /// It may hold files and memory, and the committer knows.
    awake: AtomicBool,
    /// It had something to write since the committer looked.
    worked: AtomicBool,
    reader: Mutex<Reader>,
    files: Mutex<Files>,
    pending: Mutex<Pending>,
    /// The file of the mark of what was delivered, once it was needed.
    mark: Mutex<Option<Arc<dyn File>>>,
    /// It could not be written when it was last tried.
    unmarked: AtomicBool,
    /// Where somebody asks for them.
    origins: Mutex<Weak<Origins>>,
}

/// What was asked for and is not written yet.
#[derive(Debug, Default)]
struct Pending {
    /// Encoded messages without checksums.
    records: Vec<u8>,
    settled: Vec<Range<u64>>,
    returned: Vec<(u64, u16)>,
    /// Segments that an earlier process wrote to and may not have synced.
    unsure: Vec<SegmentId>,
    /// The next free number.
    end: u64,
    /// The committer knows that there is something.
    dirty: bool,
    hurried: bool,
    behind: bool,
}

/// The files, and what is being written to them. What fails to be written stays here.
#[derive(Debug, Default)]
struct Files {
    segments: VecDeque<Segment>,
    /// The last segment's file, once it was written to.
    active: Option<Arc<dyn File>>,
    /// The ack log that was written to last, with the first number of its segment.
    log: Option<(u64, Arc<dyn File>)>,
    records: Vec<u8>,
    settled: Vec<Range<u64>>,
    returned: Vec<(u64, u16)>,
    /// Entries for the ack logs, each with the first number of its segment.
    unlogged: Vec<(u64, Entry)>,
    /// A segment may have lost its last message.
    emptied: bool,
}

impl Line {
    /// Opens the line: learns what is there.
    pub(super) fn open(shared: Arc<Shared>, queue: u64, line: u8) -> Result<(Arc<Line>, Recovered)> {
        let folder = shared.folders.queue(queue);
        let disk = &*shared.disk;
        let mut names: Vec<(SegmentId, bool)> = disk
            .list(&folder)
            .map_err(failed("list", &folder))?
            .iter()
            .filter_map(|name| SegmentId::parse(queue, name))
            .filter(|(id, _)| id.line == line)
            .collect();
        names.sort_unstable_by_key(|(id, acks)| (*acks, id.first, id.stamp));

        let (mut segments, mut bytes, mut window) = (VecDeque::new(), 0, Window::default());
        for (id, acks) in names {
            let stays = if acks {
                segments.iter().any(|segment: &Segment| segment.id == id)
            } else {
                let opened = Segment::open(disk, &folder, id, &mut window)?;
                let stays = opened.is_some();
                segments.extend(opened.map(|(segment, alive)| {
                    bytes += alive;
                    segment
                }));
                stays
            };
            if !stays {
                let path = folder.join(if acks { id.acks_name() } else { id.segment_name() });
                if let Err(error) = disk.remove(&path) {
                    tracing::warn!(file = %path.display(), %error, "what a crash left behind cannot be removed");
                }
            }
        }

        let delivered = read_mark(&shared, &folder, line)?;
        let written = segments.back().map_or(0, |segment| segment.end);
        let next = written.max(delivered.unwrap_or(0));
        let recovered = Recovered {
            first: segments.iter().find_map(|segment| segment.next_alive(0)).unwrap_or(next),
            next,
            end: segments.back().map_or(next, |segment| segment.end),
            delivered: delivered.unwrap_or(next),
            count: segments.iter().map(Segment::alive).sum(),
            bytes,
        };
        let line = Arc::new_cyclic(|this| Line {
            this: this.clone(),
            shared,
            queue,
            line,
            folder,
            deleted: AtomicBool::new(false),
            awake: AtomicBool::new(false),
            worked: AtomicBool::new(false),
            reader: Mutex::default(),
            files: Mutex::new(Files { segments, emptied: true, ..Files::default() }),
            pending: Mutex::new(Pending { end: next, ..Pending::default() }),
            mark: Mutex::default(),
            unmarked: AtomicBool::new(false),
            origins: Mutex::default(),
        });
        Ok((line, recovered))
    }

    /// Whether it is to survive the broker: if not, it is written and never synced.
    pub(super) fn is_lasting(&self) -> bool {
        !is_overflow(self.queue)
    }

    /// The queue is deleted: nothing more is to be written. Something may still be under way.
    pub(super) fn forget(&self) {
        self.deleted.store(true, Relaxed);
    }

    /// Returns when nothing is under way any more, so that the folder is not made anew when it is gone.
    pub(super) fn finish(&self) {
        *self.mark.lock() = None;
        self.files.lock().clear();
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// It has something to write; whether it was at rest.
    pub(super) fn wake(&self) -> bool {
        self.worked.store(true, Relaxed);
        !self.awake.swap(true, Relaxed)
    }

    /// Lets go of files and memory when there was nothing to write since the last call; whether it did.
    pub(super) fn rest(&self) -> bool {
        if self.worked.swap(false, Relaxed) {
            return false;
        }
        if let Some(mut reader) = self.reader.try_lock() {
            *reader = Reader::default();
        }
        *self.mark.lock() = None;
        let mut files = self.files.lock();
        (files.active, files.log) = (None, None);
        files.records.shrink_to_fit();
        self.pending.lock().records.shrink_to_fit();
        self.awake.store(false, Relaxed);
        true
    }

    /// Tells the committer. Under the lock, so that nobody else can take the line for known before it is.
    fn touch(&self, pending: &mut Pending) {
        if !pending.dirty {
            pending.dirty = true;
            if let Some(line) = self.this.upgrade() {
                self.shared.dirty(line);
            }
        }
        if pending.records.len() > HURRY && !pending.hurried {
            pending.hurried = true;
            self.shared.hurry();
        }
        if pending.records.len() > BEHIND && !pending.behind {
            pending.behind = true;
            self.shared.fall_behind(true);
        }
    }

    fn write_mark(&self, end: u64) -> Result<()> {
        self.with_mark(|file| file.write_at(&format::delivered_mark(end), 0))
    }

    /// Makes room for the mark before there are messages, as on a full disk it could not be written.
    fn make_mark(&self) -> Result<()> {
        self.with_mark(|file| match file.size()? {
            0 => file.write_at(&format::delivered_mark(0), 0),
            _ => Ok(()),
        })
    }

    fn with_mark(&self, act: impl FnOnce(&dyn File) -> io::Result<()>) -> Result<()> {
        let path = self.folder.join(format::delivered_name(self.line));
        let mut mark = self.mark.lock();
        if self.deleted.load(Relaxed) {
            return Ok(());
        }
        let file = match &*mark {
            Some(file) => file,
            None => {
                let file = self.shared.open_or_create(&path)?;
                mark.insert(file)
            }
        };
        act(&**file).map_err(failed("write", &path))
    }
}

/// What the mark says; none when it cannot be read.
fn read_mark(shared: &Shared, folder: &Path, line: u8) -> Result<Option<u64>> {
    let path = folder.join(format::delivered_name(line));
    let file = match shared.disk.open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Some(0)),
        file => file.map_err(failed("open", &path))?,
    };
    let mut mark = [0; 16];
    match file.read_at(&mut mark, 0).map_err(failed("read", &path))? {
        0 => Ok(Some(0)),
        _ => Ok(format::read_delivered_mark(&mark)),
    }
}

impl Journal for Line {
    fn append(&self, number: u64, expires: u64, message: &Message) {
        let mut pending = self.pending.lock();
        debug_assert!(number >= pending.end, "{number} comes after {}", pending.end);
        let before = pending.records.len();
        format::put_message(&mut pending.records, number, expires, message);
        memory::take(pending.records.len() - before);
        pending.end = number + 1;
        self.touch(&mut pending);
    }

    fn remove(&self, numbers: &[Range<u64>]) {
        let mut pending = self.pending.lock();
        for numbers in numbers {
            match pending.settled.last_mut() {
                Some(last) if last.end == numbers.start => last.end = numbers.end,
                _ => pending.settled.push(numbers.clone()),
            }
        }
        self.touch(&mut pending);
    }

    fn returned(&self, number: u64, returns: u16) {
        let mut pending = self.pending.lock();
        pending.returned.push((number, returns));
        self.touch(&mut pending);
    }

    fn delivered(&self, end: u64) {
        match self.write_mark(end) {
            Ok(()) => self.unmarked.store(false, Relaxed),
            Err(_) if self.unmarked.swap(true, Relaxed) => {} // said already
            Err(error) => {
                tracing::warn!(queue = self.queue, %error, "after a crash, messages may come again without being marked as redelivered");
            }
        }
    }

    fn read(&self, from: u64, bytes: usize, into: &mut Vec<Stored>) -> Result<u64> {
        self.read_on(from, bytes, into)
    }

    fn origins(self: Arc<Self>) -> Arc<dyn store::Origins> {
        let mut known = self.origins.lock();
        known.upgrade().unwrap_or_else(|| {
            let origins = Arc::new(Origins::of(self.clone()));
            *known = Arc::downgrade(&origins);
            origins
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.pending.get_mut().behind {
            self.shared.fall_behind(false);
        }
        memory::give_back(self.pending.get_mut().records.len() + self.files.get_mut().records.len());
    }
}
