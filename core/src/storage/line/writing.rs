//! Bringing to the files what waits; only the committer does.

use std::io;
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::super::committer::Unsynced;
use super::super::disk::File;
use super::super::failed;
use super::super::folders::Rubbish;
use super::super::format::{self, Entry, Head, SegmentId};
use super::super::segment::{Batch, Segment};
use super::{Files, KEEP, Line};
use crate::error::Result;
use crate::memory;

impl Line {
    /// Takes what was settled: the first step of a round.
    pub(in super::super) fn gather(&self) {
        let mut files = self.files.lock();
        let mut pending = self.pending.lock();
        pending.dirty = false; // what comes from now on is for the next round
        take(&mut pending.settled, &mut files.settled);
        take(&mut pending.returned, &mut files.returned);
    }

    /// Writes the messages that wait: the second step. What cannot be written stays, for the next time.
    pub(in super::super) fn write(self: &Arc<Self>, unsynced: &mut Unsynced) -> Result<()> {
        let mut files = self.files.lock();
        self.take_records(&mut files);
        if self.deleted.load(Relaxed) {
            files.clear();
            return Ok(());
        }
        self.doubt(unsynced)?;
        files.settle();
        let size = files.records.len();
        let written = self.write_records(&mut files, unsynced);
        files.note_returned();
        shrink(&mut files.records, size);
        written
    }

    /// Logs what was gathered, unless messages that may have taken its place could not be written, and removes what
    /// has become empty: the third step.
    pub(in super::super) fn log(self: &Arc<Self>, written: bool, unsynced: &mut Unsynced) -> Result<()> {
        let mut files = self.files.lock();
        if self.deleted.load(Relaxed) {
            return Ok(());
        }
        let logged = if written { self.write_logs(&mut files) } else { Ok(()) };
        // Also what could not be logged makes room by being removed.
        let dropped = self.drop_dead(&mut files, unsynced);
        logged.and(dropped)
    }

    /// Has segments synced that an earlier process wrote to.
    fn doubt(self: &Arc<Self>, unsynced: &mut Unsynced) -> Result<()> {
        let next = || self.pending.lock().unsure.first().copied();
        while let Some(id) = next() {
            let path = self.folder.join(id.segment_name());
            match self.shared.disk.open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {} // all in it is settled
                file => unsynced.file(self, id, file.map_err(failed("open", &path))?),
            }
            self.keep_names(unsynced);
            self.pending.lock().unsure.retain(|other| *other != id);
        }
        Ok(())
    }

    fn take_records(&self, files: &mut Files) {
        let mut pending = self.pending.lock();
        pending.hurried = false;
        if mem::take(&mut pending.behind) {
            self.shared.fall_behind(false);
        }
        take(&mut pending.records, &mut files.records);
    }

    fn write_records(self: &Arc<Self>, files: &mut Files, unsynced: &mut Unsynced) -> Result<()> {
        let mut records = mem::take(&mut files.records);
        let mut done = 0;
        let result = loop {
            if done == records.len() {
                break Ok(());
            }
            match self.write_some(files, &mut records[done..], unsynced) {
                Ok(written) => done += written,
                Err(error) => break Err(error),
            }
        };
        memory::give_back(done);
        records.drain(..done);
        files.records = records;
        result
    }

    /// Writes as many of the records as the last segment takes, or begins another; how many bytes it wrote.
    fn write_some(
        self: &Arc<Self>,
        files: &mut Files,
        records: &mut [u8],
        unsynced: &mut Unsynced,
    ) -> Result<usize> {
        let limit = self.shared.options.segment_bytes;
        let mut batch = Batch::default();
        let mut number = None;
        if let Some(segment) = files.segments.back() {
            while let Some(head) = Head::read(&records[batch.size as usize..]) {
                number.get_or_insert(head.number);
                if !segment.takes(&batch, head.number, head.size, limit) {
                    break;
                }
                let at = batch.size as usize;
                format::put_checksum(&mut records[at..at + head.size], segment.seed);
                segment.plan(&mut batch, head.number, head.size, head.body());
            }
        }
        let size = batch.size as usize;
        if size == 0 {
            let first = number.or(Head::read(records).map(|head| head.number)).unwrap_or(0);
            self.begin_segment(files, first, unsynced)?;
            return Ok(0);
        }
        let file = self.active(files, unsynced)?;
        let Some(segment) = files.segments.back_mut() else { return Ok(0) };
        let id = segment.id;
        if let Err(error) = file.write_at(&records[..size], segment.size) {
            return Err(failed("write", &self.folder.join(id.segment_name()))(error));
        }
        segment.add(batch);
        unsynced.file(self, id, file);
        Ok(size)
    }

    /// The last segment's file.
    fn active(&self, files: &mut Files, unsynced: &mut Unsynced) -> Result<Arc<dyn File>> {
        if let (None, Some(segment)) = (&files.active, files.segments.back_mut()) {
            let path = self.folder.join(segment.id.segment_name());
            let file = match self.shared.disk.open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    segment.sealed = true; // somebody removed it; the next try begins another
                    return Err(failed("open", &path)(error));
                }
                file => file.map_err(failed("open", &path))?,
            };
            // What a crash left behind the last whole record is not to be found behind a shorter one.
            file.set_size(segment.size).map_err(failed("write", &path))?;
            files.active = Some(file);
            self.keep_names(unsynced);
        }
        files.active.clone().ok_or_else(|| failed("open", &self.folder)(io::ErrorKind::NotFound.into()))
    }

    /// Seals the last segment and begins another.
    fn begin_segment(self: &Arc<Self>, files: &mut Files, first: u64, unsynced: &mut Unsynced) -> Result<()> {
        if files.segments.back().is_some_and(|segment| !segment.sealed) {
            let file = self.active(files, unsynced)?;
            if let Some(segment) = files.segments.back_mut() {
                let path = self.folder.join(segment.id.segment_name());
                file.write_at(&segment.seal(), segment.size).map_err(failed("write", &path))?;
                segment.sealed = true;
                unsynced.file(self, segment.id, file);
            }
        }
        self.make_mark()?;
        let id = SegmentId { queue: self.queue, line: self.line, first, stamp: stamp() };
        let path = self.folder.join(id.segment_name());
        let file = match self.shared.disk.create(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.shared.disk.create_dir(&self.folder).map_err(failed("create", &self.folder))?;
                self.shared.disk.create(&path)
            }
            file => file,
        };
        let file = file.map_err(failed("create", &path))?;
        if let Err(error) = file.write_at(&id.header(), 0) {
            // The next try takes another name.
            let _ = self.shared.disk.remove(&path);
            return Err(failed("write", &path)(error));
        }
        unsynced.file(self, id, file.clone());
        self.keep_names(unsynced);
        // Two segments with the same first number would be one too many.
        if let Some(empty) = files.segments.pop_back_if(|last| last.end == last.id.first) {
            self.discard(&empty);
        }
        files.segments.push_back(Segment::new(id));
        files.active = Some(file);
        files.emptied = true;
        Ok(())
    }

    /// Gives up segments that have no message any more; the last one, which keeps the line's numbers, when it is
    /// long, and then for another.
    fn drop_dead(self: &Arc<Self>, files: &mut Files, unsynced: &mut Unsynced) -> Result<()> {
        if !mem::take(&mut files.emptied) {
            return Ok(());
        }
        let renewed = match files.segments.back() {
            Some(last) if last.alive() == 0 && last.size > self.shared.options.segment_bytes / 16 => {
                let first = last.end;
                self.begin_segment(files, first, unsynced)
            }
            _ => Ok(()),
        };
        let keep = files.segments.back().map_or(0, |last| last.id.first);
        files.segments.retain(|segment| {
            let stays = segment.alive() > 0 || segment.id.first == keep;
            if !stays {
                self.discard(segment);
            }
            stays
        });
        let Files { segments, unlogged, log, .. } = files;
        unlogged.retain(|(first, _)| segments.iter().any(|segment| segment.id.first == *first));
        log.take_if(|(first, _)| segments.iter().all(|segment| segment.id.first != *first));
        renewed
    }

    /// The names of files and folder must be on the disk before anything is said to be: also those that an earlier
    /// process made, as it may not have got so far.
    fn keep_names(&self, unsynced: &mut Unsynced) {
        if !self.is_lasting() {
            return;
        }
        unsynced.dir(&self.folder);
        unsynced.dir(self.shared.folders.queues());
    }

    fn discard(&self, segment: &Segment) {
        // First the messages: without its acks a segment's messages would come back.
        let names = [segment.id.segment_name(), segment.id.acks_name()];
        self.shared.folders.discard(Rubbish::Files(names.map(|name| self.folder.join(name))));
    }

    fn write_logs(&self, files: &mut Files) -> Result<()> {
        let mut unlogged = mem::take(&mut files.unlogged);
        unlogged.sort_by_key(|(first, _)| *first);
        while let Some(first) = unlogged.first().map(|(first, _)| *first) {
            let count = unlogged.partition_point(|(of, _)| *of == first);
            if let Err(error) = self.write_log(files, first, &unlogged[..count]) {
                files.unlogged = unlogged;
                return Err(error);
            }
            unlogged.drain(..count);
        }
        files.unlogged = unlogged;
        Ok(())
    }

    fn write_log(&self, files: &mut Files, first: u64, entries: &[(u64, Entry)]) -> Result<()> {
        let Some(segment) = files.segments.iter_mut().find(|segment| segment.id.first == first) else {
            return Ok(());
        };
        let path = self.folder.join(segment.id.acks_name());
        let file = match files.log.take_if(|(of, _)| *of == first) {
            Some((_, file)) => file,
            None => self.shared.open_or_create(&path)?,
        };
        let bytes: Vec<u8> = entries.iter().flat_map(|(_, entry)| entry.encode(segment.seed)).collect();
        file.write_at(&bytes, segment.log_size).map_err(failed("write", &path))?;
        segment.log_size += bytes.len() as u64;
        files.log = Some((first, file));
        Ok(())
    }

    /// Whether the line still has this segment.
    pub(in super::super) fn has(&self, id: &SegmentId) -> bool {
        !self.deleted.load(Relaxed) && self.files.lock().segments.iter().any(|segment| segment.id == *id)
    }

    /// The segment could not be synced: what was written last may or may not be there, so nothing is added to it.
    pub(in super::super) fn abandon(&self, id: &SegmentId) {
        let mut files = self.files.lock();
        if let Some(segment) = files.segments.back_mut().filter(|segment| segment.id == *id) {
            segment.sealed = true;
            files.active = None;
        }
    }
}

impl Files {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        memory::give_back(self.records.len());
        *self = Files::default();
    }

    /// Settles what was asked for. Messages that are not written yet need not be any more.
    fn settle(&mut self) {
        if self.settled.is_empty() {
            return;
        }
        merge(&mut self.settled);
        let before = self.records.len();
        leave_out(&mut self.records, &self.settled);
        memory::give_back(before - self.records.len());
        for numbers in self.settled.drain(..) {
            let mut index = self.segments.partition_point(|segment| segment.end <= numbers.start);
            while let Some(segment) =
                self.segments.get_mut(index).filter(|segment| segment.id.first < numbers.end)
            {
                if let Some(entry) = segment.settle(&numbers) {
                    self.unlogged.push((segment.id.first, entry));
                    self.emptied |= segment.alive() == 0;
                }
                index += 1;
            }
        }
    }

    /// Notes what came back, but for messages that are still to be written.
    fn note_returned(&mut self) {
        let Files { segments, returned, unlogged, .. } = self;
        let written = segments.back().map_or(0, |segment| segment.end);
        returned.retain(|(number, returns)| {
            let index = segments.partition_point(|segment| segment.end <= *number);
            if let Some(segment) = segments.get_mut(index)
                && let Some(entry) = segment.note_returned(*number, *returns)
            {
                unlogged.push((segment.id.first, entry));
            }
            *number >= written
        });
    }
}

/// Sorts ranges and joins those that touch.
fn merge(ranges: &mut Vec<Range<u64>>) {
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, last| {
        let touch = next.start <= last.end;
        if touch {
            last.end = last.end.max(next.end);
        }
        touch
    });
}

/// Removes the records with these numbers, which are merged.
fn leave_out(records: &mut Vec<u8>, numbers: &[Range<u64>]) {
    let (mut kept, mut at, mut settled) = (0, 0, numbers.iter().peekable());
    while let Some(head) = Head::read(&records[at..]) {
        while settled.next_if(|range| range.end <= head.number).is_some() {}
        if settled.peek().is_none_or(|range| head.number < range.start) {
            if kept != at {
                records.copy_within(at..at + head.size, kept);
            }
            kept += head.size;
        }
        at += head.size;
    }
    records.truncate(kept);
}

/// Moves all of `from` behind what is in `into`; mostly nothing is, and both keep their memory.
fn take<T>(from: &mut Vec<T>, into: &mut Vec<T>) {
    if into.is_empty() {
        mem::swap(from, into);
    } else {
        into.append(from);
    }
}

/// Gives back memory when a burst is over.
fn shrink(buffer: &mut Vec<u8>, used: usize) {
    if buffer.is_empty() && buffer.capacity() > KEEP && used < buffer.capacity() / 4 {
        buffer.shrink_to(KEEP);
    }
}

fn stamp() -> u32 {
    getrandom::u32().unwrap_or_else(|_| std::process::id())
}
