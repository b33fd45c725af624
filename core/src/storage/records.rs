//! The records of a segment, read one after the other, and found again behind damaged ones.

use std::io;
use std::ops::Range;

use super::disk::File;
use super::format::{self, HEAD, Head};

/// Goes through the records of a segment.
#[derive(Debug)]
pub(super) struct Records<'a> {
    file: &'a dyn File,
    seed: u32,
    /// Where the next record is.
    at: u64,
    /// Where the last one ends.
    end: u64,
    /// What the next number may be; the upper bound is only a seal's.
    numbers: Range<u64>,
    window: &'a mut Window,
    chunk: usize,
}

/// A piece of the file, kept so that its memory serves the next reader too.
#[derive(Debug, Default)]
pub(super) struct Window {
    bytes: Vec<u8>,
    from: u64,
    size: usize,
}

/// What is there.
#[derive(Debug)]
pub(super) enum Found {
    Message(Record),
    /// What follows is the seal, and the end.
    Seal,
    Damage(Damage),
}

/// Where a record is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) at: u64,
    pub(super) head: Head,
}

/// Bytes that are no valid record.
#[derive(Clone, Debug)]
pub(super) struct Damage {
    pub(super) at: Range<u64>,
    /// The numbers that are missing because of it.
    pub(super) numbers: Range<u64>,
    /// No valid record follows.
    pub(super) last: bool,
}

impl<'a> Records<'a> {
    /// From `bytes.start`, where a record begins or the file ends; `numbers` are those that may come. Reads
    /// about `chunk` bytes at a time.
    pub(super) fn new(
        file: &'a dyn File,
        seed: u32,
        bytes: Range<u64>,
        numbers: Range<u64>,
        window: &'a mut Window,
        chunk: usize,
    ) -> Self {
        window.size = 0;
        Records { file, seed, at: bytes.start, end: bytes.end, numbers, window, chunk }
    }

    /// Where the next record is.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// What is next; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Found>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let Some(head) = self.parse(self.at)? else { return self.find_next().map(Some) };
        if head.seal {
            self.at = self.end;
            return Ok(Some(Found::Seal));
        }
        let record = Record { at: self.at, head };
        self.at += head.size as u64;
        self.numbers.start = head.number + 1;
        Ok(Some(Found::Message(record)))
    }

    /// The bytes of the record that was found last.
    pub(super) fn bytes_of(&self, record: &Record) -> &[u8] {
        let from = (record.at - self.window.from) as usize;
        &self.window.bytes[from..from + record.head.size]
    }

    /// The head of the record there; none when there is no valid one.
    fn parse(&mut self, at: u64) -> io::Result<Option<Head>> {
        let numbers = self.numbers.clone();
        let fits = |head: &Head| {
            numbers.contains(&head.number)
                || head.seal && (numbers.start..=numbers.end).contains(&head.number)
        };
        let Some(head) = self.bytes(at, HEAD)?.and_then(Head::read).filter(fits) else { return Ok(None) };
        let seed = self.seed;
        Ok(self.bytes(at, head.size)?.filter(|record| format::is_valid(record, seed)).map(|_| head))
    }

    /// Passes over what is no record, byte by byte, until there is one again.
    fn find_next(&mut self) -> io::Result<Found> {
        let start = self.at;
        while self.at + 1 < self.end {
            self.at += 1;
            if let Some(head) = self.parse(self.at)? {
                let numbers = self.numbers.start..head.number;
                return Ok(Found::Damage(Damage { at: start..self.at, numbers, last: false }));
            }
        }
        self.at = self.end;
        Ok(Found::Damage(Damage { at: start..self.end, numbers: self.numbers.clone(), last: true }))
    }

    /// So many bytes from there; none when there are fewer.
    fn bytes(&mut self, at: u64, size: usize) -> io::Result<Option<&[u8]>> {
        let end = at + size as u64;
        if end > self.end {
            return Ok(None);
        }
        let window = &mut *self.window;
        if at < window.from || end > window.from + window.size as u64 {
            let wanted = size.max(self.chunk).min((self.end - at) as usize);
            if window.bytes.len() < wanted {
                window.bytes.resize(wanted, 0);
            }
            window.size = 0;
            window.size = self.file.read_at(&mut window.bytes[..wanted], at)?;
            window.from = at;
            if window.size < size {
                return Ok(None);
            }
        }
        let from = (at - window.from) as usize;
        Ok(Some(&window.bytes[from..from + size]))
    }
}
