//! The file `transient`: what the broker has that is not durable, for the next host, should this one be killed while
//! others are attached.
//!
//! Each change is a line of JSON, written at once and never synced: with the machine end all those for whom it is. The
//! file is written anew when most of it may be out of date.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::attached;
use super::directory::failed;
use crate::broker::{Memo, Trace, Transient};
use crate::error::Result;

const NAME: &str = "transient";
/// Bytes that may be out of date, besides as many as are not: reading them takes a millisecond.
const SLACK: u64 = 256 << 10;

/// The file of a process that has the directory.
#[derive(Debug)]
pub(crate) struct MemoFile {
    directory: PathBuf,
    /// None once there is nothing more to be noted. Guards nothing else; called under locks of the broker.
    written: Mutex<Option<Written>>,
}

#[derive(Debug)]
struct Written {
    file: File,
    length: u64,
    /// How long it was when it was written anew.
    anew: u64,
}

/// What the host before has left.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) transient: Transient,
    /// The numbers of the connections that are attached.
    pub(crate) attached: HashSet<u64>,
}

impl MemoFile {
    /// Begins a file with what was left in the one before, which counts if somebody is attached: with the last process
    /// ends what is transient.
    ///
    /// # Errors
    /// `ResourceError` when it cannot be written.
    pub(crate) fn open(directory: &Path) -> Result<(Self, Left)> {
        let attached = attached::all(directory);
        let transient = match attached.is_empty() {
            true => Transient::default(),
            false => read(directory),
        };
        let written = Written::anew(directory, &transient)
            .map_err(|error| failed("cannot be written", &directory.join(NAME), error))?;
        let memo = MemoFile { directory: directory.to_owned(), written: Mutex::new(Some(written)) };
        Ok((memo, Left { transient, attached }))
    }

    /// Leaves the file to the next host. Nothing is noted any more.
    pub(crate) fn leave(&self) {
        self.written.lock().take();
    }

    /// Nobody is to find it, unless it was left.
    pub(crate) fn discard(&self) {
        if self.written.lock().take().is_some() {
            let _ = std::fs::remove_file(self.directory.join(NAME)); // counts for nobody if nobody is attached
        }
    }
}

impl Memo for MemoFile {
    fn note(&self, change: &Trace) {
        let mut written = self.written.lock();
        let Some(file) = &mut *written else { return };
        if let Err(error) = file.add(change) {
            tracing::error!(%error, "what is not durable may be unknown to the next host");
        }
        if file.length > 2 * file.anew + SLACK {
            match Written::anew(&self.directory, &read(&self.directory)) {
                Ok(anew) => *file = anew,
                Err(_) => file.anew = file.length,
            }
        }
    }

    fn is_attached(&self, number: u64) -> bool {
        attached::is_open(&self.directory, number)
    }
}

impl Written {
    /// Whole or not at all.
    fn anew(directory: &Path, transient: &Transient) -> io::Result<Self> {
        let new = directory.join("transient.new");
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        let mut text = Vec::new();
        transient.changes().try_for_each(|change| line(&change, &mut text))?;
        let length = text.len() as u64;
        (&file).write_all(&text)?;
        std::fs::rename(&new, directory.join(NAME))?;
        Ok(Written { file, length, anew: length })
    }

    fn add(&mut self, change: &Trace) -> io::Result<()> {
        let mut text = Vec::with_capacity(256);
        line(change, &mut text)?;
        // After the last whole line, if the disk was full.
        self.file.write_all_at(&text, self.length)?;
        self.length += text.len() as u64;
        Ok(())
    }
}

fn line(change: &Trace, into: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer(&mut *into, change)?;
    into.push(b'\n');
    Ok(())
}

/// What the file says, as far as it can be read.
fn read(directory: &Path) -> Transient {
    let text = std::fs::read(directory.join(NAME)).unwrap_or_default();
    let mut transient = Transient::default();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for change in lines.map_while(|line| serde_json::from_slice(line).ok()) {
        transient.apply(change);
    }
    transient
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test that fails may panic
mod tests {
    use super::*;
    use crate::storage::Attachment;

    fn change(text: &str) -> Trace {
        serde_json::from_str(text).unwrap()
    }

    fn consumed(name: &str) -> Trace {
        change(&format!(r#"{{"Consumed": ["/", "{name}"]}}"#))
    }

    fn gone(name: &str) -> Trace {
        change(&format!(r#"{{"NoQueue": ["/", "{name}"]}}"#))
    }

    fn count(left: &Left) -> usize {
        left.transient.changes().count()
    }

    #[test]
    fn what_was_noted_counts_after_a_kill_if_somebody_is_attached() {
        let folder = tempfile::TempDir::new().unwrap();
        let attachment = Attachment::new(folder.path(), 1).unwrap();
        let (memo, left) = MemoFile::open(folder.path()).unwrap();
        assert_eq!((count(&left), &left.attached), (0, &HashSet::from([attachment.number()])));
        ["a", "b", "c"].iter().for_each(|name| memo.note(&consumed(name)));
        memo.note(&gone("b"));
        for _ in 0..2 {
            assert_eq!(count(&MemoFile::open(folder.path()).unwrap().1), 2);
        }
        assert!(memo.is_attached(attachment.number()));
        drop(attachment);
        assert_eq!(count(&MemoFile::open(folder.path()).unwrap().1), 0);
    }

    #[test]
    fn a_file_is_left_to_the_next_host_or_to_nobody() {
        let folder = tempfile::TempDir::new().unwrap();
        let _attachment = Attachment::new(folder.path(), 1).unwrap();
        let (memo, _) = MemoFile::open(folder.path()).unwrap();
        memo.note(&consumed("a"));
        memo.leave();
        memo.note(&consumed("b"));
        memo.discard();
        let (memo, left) = MemoFile::open(folder.path()).unwrap();
        assert_eq!(count(&left), 1);
        memo.discard();
        assert_eq!(count(&MemoFile::open(folder.path()).unwrap().1), 0);
    }

    #[test]
    fn the_file_does_not_grow_with_what_is_out_of_date() {
        let folder = tempfile::TempDir::new().unwrap();
        let _attachment = Attachment::new(folder.path(), 1).unwrap();
        let (memo, _) = MemoFile::open(folder.path()).unwrap();
        memo.note(&consumed("left"));
        for number in 0..20_000 {
            memo.note(&consumed(&number.to_string()));
            memo.note(&gone(&number.to_string()));
        }
        let length = folder.path().join(NAME).metadata().unwrap().len();
        assert!(length < 2 * SLACK, "{length}");
        assert_eq!(count(&MemoFile::open(folder.path()).unwrap().1), 1);
    }

    #[test]
    fn a_line_that_is_cut_short_ends_what_is_read() {
        let folder = tempfile::TempDir::new().unwrap();
        let _attachment = Attachment::new(folder.path(), 1).unwrap();
        let (memo, _) = MemoFile::open(folder.path()).unwrap();
        ["a", "b"].iter().for_each(|name| memo.note(&consumed(name)));
        let path = folder.path().join(NAME);
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 5]).unwrap();
        assert_eq!(count(&MemoFile::open(folder.path()).unwrap().1), 1);
    }
}
