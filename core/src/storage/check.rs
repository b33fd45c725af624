//! Looks through the folder of a queue that nobody has open, and mends what can be.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::dead::Dead;
use super::disk::{Disk, File};
use super::format::{self, ENTRY, Entry, HEADER, Header, SPAN, Seal, SegmentId};
use super::records::{Found, Record, Records, Window};
use super::segment::{Batch, Segment};
use super::{damaged, failed};
use crate::error::{Error, Kind, Result};

/// What is in a queue's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Segment files.
    pub segments: u64,
    /// Messages that wait.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Messages that are settled and whose space is not given back yet.
    pub settled: u64,
    /// What is not as it should be.
    pub findings: Vec<Finding>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub file: PathBuf,
    /// Where in the file.
    pub offset: u64,
    /// What.
    pub text: String,
    /// It was mended: what cannot be read is in a file of its own, and the rest as it should be.
    pub mended: bool,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mended = if self.mended { "; mended" } else { "" };
        write!(f, "{}, offset {}: {}{mended}", self.file.display(), self.offset, self.text)
    }
}

/// Reads everything in the folder of a queue, whose name is the queue's number. Nobody may have it open. With
/// `repair`, segments and ack logs are written anew without what cannot be read, which is copied beside them
/// first.
///
/// # Errors
/// `InvalidArgument` when it is no such folder, `ResourceError` when the disk fails.
pub fn folder(disk: &dyn Disk, path: &Path, repair: bool) -> Result<Report> {
    let number = path.file_name().and_then(|name| name.to_str()?.parse().ok());
    let queue = number.ok_or_else(|| {
        Error::new(Kind::InvalidArgument, "check", "the folder of a queue is named by its number")
            .on(path.display().to_string())
    })?;
    let names = disk.list(path).map_err(failed("list", path))?;
    let mut check =
        Check { disk, folder: path, repair, report: Report::default(), window: Window::default() };
    let mut segments = BTreeSet::new();
    let mut logs = BTreeSet::new();
    for (id, acks) in names.iter().filter_map(|name| SegmentId::parse(queue, name)) {
        if acks { &mut logs } else { &mut segments }.insert((id.line, id.first, id.stamp));
    }
    let id = |(line, first, stamp)| SegmentId { queue, line, first, stamp };
    let mut ends = BTreeMap::new();
    for key in &segments {
        let id = id(*key);
        let next = check.segment(&id)?;
        let before = ends.insert(id.line, next).unwrap_or(0);
        if before > id.first {
            let text = format!("begins with message {} although the one before ends at {before}", id.first);
            check.find(&path.join(id.segment_name()), 0, text, false);
        }
    }
    for key in logs.difference(&segments) {
        check.orphan(&path.join(id(*key).acks_name()))?;
    }
    for line in 0..=255 {
        let name = format::delivered_name(line);
        if names.contains(&name) {
            check.mark(&path.join(name), ends.get(&line).copied().unwrap_or(0))?;
        }
    }
    Ok(check.report)
}

struct Check<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    repair: bool,
    report: Report,
    window: Window,
}

impl Check<'_> {
    fn find(&mut self, file: &Path, offset: u64, text: impl Into<String>, mended: bool) {
        self.report.findings.push(Finding { file: file.to_owned(), offset, text: text.into(), mended });
    }

    /// Checks a segment with its acks; the number after its last.
    fn segment(&mut self, id: &SegmentId) -> Result<u64> {
        let path = self.folder.join(id.segment_name());
        let file = self.disk.open(&path).map_err(failed("open", &path))?;
        let size = file.size().map_err(failed("read", &path))?;
        self.report.segments += 1;
        let before = self.report.findings.len();
        let mut header = [0; HEADER];
        file.read_at(&mut header, 0).map_err(failed("read", &path))?;
        let seed = match SegmentId::read_header(&header) {
            Header::Segment(inside, _) => inside.seed(),
            Header::Newer(version) => {
                self.find(
                    &path,
                    0,
                    format!("a newer program wrote it, in version {version} of the format"),
                    false,
                );
                return Ok(id.first);
            }
            Header::Damaged => {
                self.find(&path, 0, "the header is damaged", self.repair);
                id.seed()
            }
        };
        let mut segment = Segment::new(*id);
        (segment.seed, segment.size) = (seed, size);
        let seal = segment.read_seal(&*file, size).map_err(failed("read", &path))?;
        let end = seal.as_ref().map_or(size, |(_, at)| *at);
        let (valid, lost) = self.records(&segment, &*file, end).map_err(failed("read", &path))?;
        for at in &lost {
            let text = format!("{} bytes are no valid record", at.end - at.start);
            self.find(&path, at.start, text, self.repair);
        }
        let mut whole = Segment::new(*id);
        let mut batch = Batch::default();
        valid.iter().for_each(|record| {
            whole.plan(&mut batch, record.head.number, record.head.size, record.head.body())
        });
        whole.add(batch);
        if let Some((seal, at)) = &seal
            && lost.is_empty()
            && !agrees(seal, &valid)
        {
            self.find(&path, *at, "the seal does not agree with the records", self.repair);
        }
        if self.repair && self.report.findings.len() > before {
            for at in &lost {
                damaged::set_aside(self.disk, self.folder, id, &*file, at, false);
            }
            self.rewrite(&path, &whole, &*file, &valid, seal.is_some()).map_err(failed("write", &path))?;
        }
        let settled = self.acks(id, seed)?;
        for record in &valid {
            if settled.contains(record.head.number - id.first) {
                self.report.settled += 1;
            } else {
                self.report.messages += 1;
                self.report.bytes += record.head.body() as u64;
            }
        }
        Ok(whole.end)
    }

    /// The valid records, and the places of what is none.
    fn records(
        &mut self,
        segment: &Segment,
        file: &dyn File,
        end: u64,
    ) -> io::Result<(Vec<Record>, Vec<Range<u64>>)> {
        let (mut valid, mut lost) = (Vec::new(), Vec::new());
        let (first, bytes) = (segment.id.first, HEADER as u64..end);
        let mut records =
            Records::new(file, segment.seed, bytes, first..first + SPAN, &mut self.window, 1 << 20);
        while let Some(found) = records.next()? {
            match found {
                Found::Message(record) => valid.push(record),
                Found::Damage(damage) => lost.push(damage.at),
                Found::Seal => {}
            }
        }
        Ok((valid, lost))
    }

    /// Writes a segment anew with these records of the old file.
    fn rewrite(
        &self,
        path: &Path,
        whole: &Segment,
        old: &dyn File,
        valid: &[Record],
        sealed: bool,
    ) -> io::Result<()> {
        let temporary = path.with_extension("mending");
        match self.disk.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.disk.create(&temporary)?;
        file.write_at(&whole.id.header(), 0)?;
        let mut at = HEADER as u64;
        let mut bytes = Vec::new();
        for record in valid {
            bytes.resize(record.head.size, 0);
            old.read_at(&mut bytes, record.at)?;
            format::put_checksum(&mut bytes, whole.seed);
            file.write_at(&bytes, at)?;
            at += bytes.len() as u64;
        }
        if sealed {
            file.write_at(&whole.seal(), at)?;
        }
        file.sync()?;
        self.disk.rename(&temporary, path)?;
        self.disk.sync_dir(self.folder)
    }

    /// The numbers that a segment's ack log settles, counted from its first.
    fn acks(&mut self, id: &SegmentId, seed: u32) -> Result<Dead> {
        let path = self.folder.join(id.acks_name());
        let file = match self.disk.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Dead::default()),
            file => file.map_err(failed("open", &path))?,
        };
        let size = file.size().map_err(failed("read", &path))?;
        let mut log = vec![0; size as usize];
        file.read_at(&mut log, 0).map_err(failed("read", &path))?;
        let (mut settled, mut mended, mut bad) = (Dead::default(), Vec::new(), None);
        for (index, bytes) in log.chunks(ENTRY).enumerate() {
            match Some(bytes)
                .filter(|bytes| bytes.len() == ENTRY)
                .and_then(|bytes| Entry::decode(bytes, seed))
            {
                Some(entry) => {
                    mended.extend(entry.encode(id.seed()));
                    if let Entry::Settled(numbers) = entry {
                        settled.insert(u64::from(numbers.start)..u64::from(numbers.end).min(SPAN));
                    }
                }
                None => bad = bad.or(Some((index * ENTRY) as u64)),
            }
        }
        if let Some(offset) = bad {
            let entries = log.len().div_ceil(ENTRY) - mended.len() / ENTRY;
            let text = format!("{entries} acks cannot be read; their messages may come again");
            self.find(&path, offset, text, self.repair);
        }
        if self.repair && mended != log {
            let write = || {
                file.write_at(&mended, 0)?;
                file.set_size(mended.len() as u64)?;
                file.sync()
            };
            write().map_err(failed("write", &path))?;
        }
        Ok(settled)
    }

    fn orphan(&mut self, path: &Path) -> Result<()> {
        if self.repair {
            self.disk.remove(path).map_err(failed("remove", path))?;
        }
        self.find(path, 0, "acks of a segment that is not there", self.repair);
        Ok(())
    }

    /// Checks the mark of what was delivered; one that cannot be read becomes `all`.
    fn mark(&mut self, path: &Path, all: u64) -> Result<()> {
        let file = self.disk.open(path).map_err(failed("open", path))?;
        let mut mark = [0; 16];
        let read = file.read_at(&mut mark, 0).map_err(failed("read", path))?;
        if read > 0 && format::read_delivered_mark(&mark).is_none() {
            if self.repair {
                file.write_at(&format::delivered_mark(all), 0)
                    .and_then(|()| file.sync())
                    .map_err(failed("write", path))?;
            }
            self.find(
                path,
                0,
                "how far messages were delivered cannot be read; all count as delivered",
                self.repair,
            );
        }
        Ok(())
    }
}

/// Whether a seal tells of just these records.
fn agrees(seal: &Seal, valid: &[Record]) -> bool {
    let bytes: u64 = valid.iter().map(|record| record.head.body() as u64).sum();
    let end = valid.last().map(|record| record.head.number + 1);
    seal.records == valid.len() as u64 && seal.bytes == bytes && end.is_none_or(|end| end <= seal.end)
}
