//! One segment of a line: what is known of it in memory, and how that is learnt again when it is opened.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;

use super::dead::Dead;
use super::disk::{Disk, File};
use super::format::{ENTRY, Entry, HEADER, Header, SPAN, Seal, SegmentId, VERSION};
use super::records::{Found, Record, Records, Window};
use super::{damaged, failed};
use crate::error::{Error, Kind, Result};

/// Bytes between two places whose numbers are remembered, so that reading may begin near any number: one message
/// anywhere costs about 20 microseconds, and the places a 4096th of what is on the disk.
pub(super) const STRIDE: u64 = 64 * 1024;
/// How much is read at a time when a segment is scanned.
const SCAN: usize = 1 << 20;

/// A segment. Numbers are those of the line.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: SegmentId,
    /// What the checksums begin with.
    pub(super) seed: u32,
    /// Of its format.
    version: u16,
    /// The number after the last.
    pub(super) end: u64,
    /// Bytes of header and records.
    pub(super) size: u64,
    /// Nothing is added any more.
    pub(super) sealed: bool,
    /// Where its ack log ends.
    pub(super) log_size: u64,
    records: u64,
    bytes: u64,
    dead: Dead,
    returns: BTreeMap<u64, u16>,
    /// Numbers with their offsets, ascending. Of a full segment that was opened there are none, until it is read.
    index: Vec<(u64, u64)>,
}

/// Records that are being added to a segment.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Bytes of the records.
    pub(super) size: u64,
    records: u64,
    bytes: u64,
    end: u64,
    gaps: Vec<Range<u64>>,
    index: Vec<(u64, u64)>,
}

impl Segment {
    /// One that has nothing but its header.
    pub(super) fn new(id: SegmentId) -> Self {
        Segment {
            id,
            seed: id.seed(),
            version: VERSION,
            end: id.first,
            size: HEADER as u64,
            sealed: false,
            log_size: 0,
            records: 0,
            bytes: 0,
            dead: Dead::default(),
            returns: BTreeMap::new(),
            index: Vec::new(),
        }
    }

    /// How many messages are there.
    pub(super) fn alive(&self) -> u64 {
        self.end - self.id.first - self.dead.count()
    }

    pub(super) fn is_alive(&self, number: u64) -> bool {
        (self.id.first..self.end).contains(&number) && !self.dead.contains(number - self.id.first)
    }

    /// The first message from `from` on; none when there is none.
    pub(super) fn next_alive(&self, from: u64) -> Option<u64> {
        let number = self.id.first + self.dead.next_alive(from.max(self.id.first) - self.id.first);
        (number < self.end).then_some(number)
    }

    pub(super) fn returns(&self, number: u64) -> u16 {
        self.returns.get(&number).copied().unwrap_or(0)
    }

    /// A place at or before `number`: the least number that may be there, and its offset.
    pub(super) fn place(&self, number: u64) -> (u64, u64) {
        match self.index.partition_point(|(at, _)| *at <= number) {
            0 => (self.id.first, HEADER as u64),
            after => self.index[after - 1],
        }
    }

    /// The last place that is known at or before this offset: the least number that may be there, and its offset.
    pub(super) fn place_before(&self, offset: u64) -> (u64, u64) {
        match self.index.partition_point(|(_, at)| *at <= offset) {
            0 => (self.id.first, HEADER as u64),
            after => self.index[after - 1],
        }
    }

    /// Remembers that the record of this number is there, unless the place before it is near.
    pub(super) fn learn(&mut self, number: u64, at: u64) {
        let behind = self.index.partition_point(|(_, known)| *known <= at);
        let before = behind.checked_sub(1).map_or(HEADER as u64, |index| self.index[index].1);
        if at >= before + STRIDE {
            self.index.insert(behind, (number, at));
        }
    }

    /// Whether a record may be added: of this size, with this number, to a segment of at most `limit` bytes (but
    /// any record fits into an empty one).
    pub(super) fn takes(&self, batch: &Batch, number: u64, size: usize, limit: u64) -> bool {
        let used = self.size + batch.size;
        let room = used == HEADER as u64 || used + size as u64 <= limit;
        !self.sealed && self.version == VERSION && room && number - self.id.first < SPAN
    }

    /// Notes a record that is about to be written.
    pub(super) fn plan(&self, batch: &mut Batch, number: u64, size: usize, body: usize) {
        let expected = self.end.max(batch.end);
        if number > expected {
            batch.gaps.push(expected..number);
        }
        let at = self.size + batch.size;
        let last = batch.index.last().or(self.index.last()).map_or(HEADER as u64, |(_, at)| *at);
        if at >= last + STRIDE {
            batch.index.push((number, at));
        }
        batch.end = number + 1;
        batch.size += size as u64;
        batch.records += 1;
        batch.bytes += body as u64;
    }

    /// What was planned is written.
    pub(super) fn add(&mut self, batch: Batch) {
        for gap in batch.gaps {
            self.bury(gap);
        }
        self.end = self.end.max(batch.end);
        self.size += batch.size;
        self.records += batch.records;
        self.bytes += batch.bytes;
        self.index.extend(batch.index);
    }

    /// What ends the file when nothing is added any more.
    pub(super) fn seal(&self) -> Vec<u8> {
        let dead = self.dead.words().to_vec();
        Seal { end: self.end, records: self.records, bytes: self.bytes, dead }.encode(self.seed)
    }

    /// Settles those of `numbers` that are here; the entry to log when any of them was still there.
    pub(super) fn settle(&mut self, numbers: &Range<u64>) -> Option<Entry> {
        let numbers = numbers.start.max(self.id.first)..numbers.end.min(self.end);
        if numbers.is_empty() || self.bury(numbers.clone()) == 0 {
            return None;
        }
        if !self.returns.is_empty() {
            self.returns.retain(|number, _| !numbers.contains(number));
        }
        let first = self.id.first;
        Some(Entry::Settled((numbers.start - first) as u32..(numbers.end - first) as u32))
    }

    /// Notes that a message came back; the entry to log when it is there.
    pub(super) fn note_returned(&mut self, number: u64, returns: u16) -> Option<Entry> {
        self.is_alive(number).then(|| {
            self.returns.insert(number, returns);
            Entry::Returned((number - self.id.first) as u32, returns)
        })
    }

    fn bury(&mut self, numbers: Range<u64>) -> u64 {
        self.dead.insert(numbers.start - self.id.first..numbers.end - self.id.first)
    }

    /// Learns what is in the segment of this name: the segment and the bytes of the bodies that are there. None
    /// when not even its header was ever written.
    pub(super) fn open(
        disk: &dyn Disk,
        folder: &Path,
        id: SegmentId,
        window: &mut Window,
    ) -> Result<Option<(Self, u64)>> {
        let path = folder.join(id.segment_name());
        let file = disk.open(&path).map_err(failed("open", &path))?;
        let size = file.size().map_err(failed("read", &path))?;
        let mut header = [0; HEADER];
        file.read_at(&mut header, 0).map_err(failed("read", &path))?;
        let mut segment = Segment::new(id);
        match SegmentId::read_header(&header) {
            Header::Segment(inside, version) => (segment.seed, segment.version) = (inside.seed(), version),
            Header::Newer(version) => return Err(newer(&path, version)),
            Header::Damaged if size <= HEADER as u64 => return Ok(None),
            Header::Damaged => {
                tracing::error!(file = %path.display(), offset = 0, "a segment's header is damaged")
            }
        }
        let seal = segment.read_seal(&*file, size).map_err(failed("read", &path))?;
        if let Some((seal, at)) = seal {
            segment.dead = Dead::from_words(seal.dead);
            (segment.end, segment.size, segment.sealed) = (seal.end, at, true);
            (segment.records, segment.bytes) = (seal.records, seal.bytes);
        } else {
            segment.size = size;
        }
        let end = segment.end;
        segment.read_log(disk, folder)?;
        if segment.sealed {
            // Numbers behind the seal are those of a file that was mended: what they were is lost.
            segment.bury(end..segment.end);
        }
        if segment.sealed && (segment.alive() == 0 || segment.alive() == segment.records) {
            let bytes = if segment.alive() == 0 { 0 } else { segment.bytes };
            return Ok(Some((segment, bytes)));
        }
        let bytes = segment.scan(disk, folder, &*file, window).map_err(failed("read", &path))?;
        Ok(Some((segment, bytes)))
    }

    /// The seal and where it begins.
    pub(super) fn read_seal(&self, file: &dyn File, size: u64) -> io::Result<Option<(Seal, u64)>> {
        let mut tail = [0; 8];
        file.read_at(&mut tail, size.saturating_sub(8))?;
        let Some(length) = Seal::size(tail).filter(|length| (*length + HEADER) as u64 <= size) else {
            return Ok(None);
        };
        let at = size - length as u64;
        let mut seal = vec![0; length];
        file.read_at(&mut seal, at)?;
        let fits = |seal: &Seal| {
            let span = seal.end.wrapping_sub(self.id.first);
            span <= SPAN && seal.dead.len() as u64 <= span.div_ceil(64)
        };
        Ok(Seal::decode(&seal, self.seed).filter(fits).map(|seal| (seal, at)))
    }

    fn read_log(&mut self, disk: &dyn Disk, folder: &Path) -> Result<()> {
        let path = folder.join(self.id.acks_name());
        let file = match disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed("open", &path)(error)),
        };
        let size = file.size().map_err(failed("read", &path))?;
        let mut log = vec![0; size as usize];
        let read = file.read_at(&mut log, 0).map_err(failed("read", &path))?;
        let mut bad = 0;
        for (index, entry) in log[..read].chunks_exact(ENTRY).enumerate() {
            let Some(entry) = Entry::decode(entry, self.seed) else {
                bad += 1;
                continue;
            };
            self.log_size = ((index + 1) * ENTRY) as u64;
            let first = self.id.first;
            match entry {
                Entry::Settled(numbers) if u64::from(numbers.end) <= SPAN => {
                    let numbers = first + u64::from(numbers.start)..first + u64::from(numbers.end);
                    // The messages may have been lost, as unlike acks they wait for nobody; their numbers are used.
                    self.end = self.end.max(numbers.end);
                    self.bury(numbers);
                }
                Entry::Returned(number, returns) => {
                    self.returns.insert(first + u64::from(number), returns);
                }
                Entry::Settled(_) => bad += 1,
            }
        }
        if bad > 0 {
            tracing::warn!(file = %path.display(), entries = bad, "acks cannot be read; their messages may come again");
        }
        Ok(())
    }

    /// Goes through all records; the bytes of the bodies that are there.
    fn scan(
        &mut self,
        disk: &dyn Disk,
        folder: &Path,
        file: &dyn File,
        window: &mut Window,
    ) -> io::Result<u64> {
        let (first, empty, mut batch) = (self.id.first, Segment::new(self.id), Batch::default());
        let (mut alive, mut lost) = (0, Vec::new());
        let ceiling = if self.sealed { self.end } else { first + SPAN };
        let bytes = HEADER as u64..self.size;
        let mut records = Records::new(file, self.seed, bytes, first..ceiling, window, SCAN);
        while let Some(found) = records.next()? {
            match found {
                Found::Message(Record { at, head }) => {
                    batch.size = at - HEADER as u64;
                    empty.plan(&mut batch, head.number, head.size, head.body());
                    if !self.dead.contains(head.number - first) {
                        alive += head.body() as u64;
                    }
                }
                Found::Damage(damage) => lost.push(damage),
                Found::Seal => {}
            }
        }
        for damage in lost {
            let torn = damage.last && !self.sealed;
            damaged::set_aside(disk, folder, &self.id, file, &damage.at, torn);
        }
        let missing = batch.end.max(first)..self.end.max(batch.end);
        if !self.sealed {
            self.size = HEADER as u64 + batch.size;
            self.end = missing.end;
            (self.records, self.bytes) = (batch.records, batch.bytes);
        }
        for gap in batch.gaps.into_iter().chain([missing]) {
            self.bury(gap);
        }
        self.index = batch.index;
        Ok(alive)
    }
}

fn newer(path: &Path, version: u16) -> Error {
    let reason =
        format!("version {version} of the format is newer than this program, which reads up to {VERSION}");
    Error::new(Kind::ResourceError, "open", reason)
        .on(path.display().to_string())
        .advise("open it with the version of WarrenMQ that wrote it, or a later one")
}
