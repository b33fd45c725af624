//! What is on disk.
//!
//! | where | what |
//! |---|---|
//! | `directory` | a broker's directory: its layout, its version, and that one process has it |
//! | `place` | where that may be, and whose it has to be |
//! | `definitions` | virtual hosts, users, permissions, policies, exchanges, queues and bindings, in `redb` |
//! | `handover` | what a host gives along to the next one |
//! | `memo` | what is not durable, for the next host when this one is killed |
//! | `attached` | which connections of other processes are open |
//! | `reconcile` | that messages and definitions belong together |
//! | `format` | every byte of every file of messages |
//! | [`disk`] | what is asked of a file system |
//! | `folders` | where queues are; the trash |
//! | `line` | one line of a queue: segments of messages, and what became of them |
//! | `segment`, `records`, `dead` | one segment; its records on disk; the numbers that are gone |
//! | `damaged` | what cannot be read |
//! | `committer` | the thread that writes and syncs |
//! | [`check`] | looks through the folder of a queue and mends it |
//! | [`backup`] | copies of a directory, also while a broker has it, and back |
//!
//! A message is appended to its line's buffer, under a lock that is held for a copy. The committer writes the
//! buffers of all lines into their segments, syncs the files when somebody waits for that, and only then calls who
//! waits. A settled message becomes an entry of its segment's ack log; a segment of which nothing is left is
//! removed.

mod attached;
pub mod backup;
pub mod check;
mod committer;
mod damaged;
mod dead;
mod definitions;
mod directory;
pub mod disk;
mod folders;
mod format;
pub(crate) mod handover;
mod line;
mod memo;
mod place;
mod reconcile;
mod records;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use crate::broker::store::{Journal, Recovered, Store, Waiter};
use crate::error::{Error, Kind, Result};
pub use attached::Attachment;
pub(crate) use attached::attachment_number;
use committer::{Committer, Shared};
pub use definitions::DefinitionStore;
pub use directory::Directory;
pub(crate) use directory::holder;
use disk::{Disk, RealDisk};
use folders::{Folders, Rubbish};
use format::SegmentId;
use line::Line;
pub(crate) use memo::MemoFile;
pub use reconcile::reconcile;

/// Called with the reason when messages cannot be written, and with none when they can be again.
pub type Trouble = Box<dyn Fn(Option<String>) + Send + Sync>;

/// How messages are kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of a segment file, about; a longer message has a segment of its own.
    pub segment_bytes: u64,
    /// When to try again what could not be written; ten times as long from the second time on.
    pub retry: Duration,
    /// A line that had nothing to write for so long, or up to twice as long, gives back its open files and buffers.
    pub rest: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options { segment_bytes: 64 << 20, retry: Duration::from_millis(100), rest: Duration::from_secs(5) }
    }
}

/// The lines that are open, by their queues.
type Lines = HashMap<u64, Vec<Weak<Line>>>;

/// A line with its queue, and what is there.
type Opened = (u64, Arc<dyn Journal>, Recovered);

/// The messages of durable queues in a directory. Dropping it closes it.
#[derive(Debug)]
pub struct Messages {
    shared: Arc<Shared>,
    lines: Arc<Mutex<Lines>>,
    committer: Mutex<Option<JoinHandle<Result<()>>>>,
}

impl Messages {
    /// Opens the directory, which belongs to this process alone.
    ///
    /// # Errors
    /// `ResourceError` when its folders cannot be made.
    pub fn open(disk: Arc<dyn Disk>, dir: PathBuf, options: Options, trouble: Trouble) -> Result<Self> {
        let folders = Folders::open(disk.clone(), &dir)?;
        let shared = Arc::new(Shared::new(disk, folders, options));
        let committer = Committer::new(shared.clone(), trouble);
        let thread = std::thread::Builder::new().name("warrenmq-storage".into());
        let committer = thread.spawn(move || committer.run()).map_err(failed("start", &dir))?;
        Ok(Messages { shared, lines: Arc::default(), committer: Mutex::new(Some(committer)) })
    }

    /// The numbers of the queues that have a folder, ascending: for whoever knows which of them are still wanted.
    ///
    /// # Errors
    /// `ResourceError` when the directory cannot be read.
    pub fn queues(&self) -> Result<Vec<u64>> {
        let path = self.shared.folders.queues();
        let names = self.shared.disk.list(path).map_err(failed("list", path))?;
        let mut queues: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
        queues.sort_unstable();
        Ok(queues)
    }

    /// Opens every line that has a file, for who wants them all and knows no queue.
    ///
    /// # Errors
    /// `ResourceError` when one cannot be read.
    fn open_all(&self) -> Result<Vec<Opened>> {
        let mut journals = Vec::new();
        for queue in self.queues()? {
            let folder = self.shared.folders.queue(queue);
            let names = self.shared.disk.list(&folder).map_err(failed("list", &folder))?;
            let lines = names.iter().filter_map(|name| Some(SegmentId::parse(queue, name)?.0.line));
            for line in lines.collect::<BTreeSet<u8>>() {
                let (journal, found) = self.open_line(queue, line)?;
                journals.push((queue, journal, found));
            }
        }
        Ok(journals)
    }
}

/// How many messages there are of each queue, by its number, and the bytes of their bodies, in a directory that this
/// process has, but no broker.
///
/// # Errors
/// `ResourceError` when one cannot be read.
pub(crate) fn at_rest(directory: &Directory) -> Result<HashMap<u64, (u64, u64)>> {
    let messages =
        Messages::open(Arc::new(RealDisk), directory.path().into(), Options::default(), Box::new(|_| {}))?;
    let mut found = HashMap::new();
    for (queue, _, recovered) in messages.open_all()? {
        let (count, bytes) = found.entry(queue).or_default();
        *count += recovered.count;
        *bytes += recovered.bytes;
    }
    Ok(found)
}

impl Store for Messages {
    fn open_line(&self, queue: u64, line: u8) -> Result<(Arc<dyn Journal>, Recovered)> {
        let (line, recovered) = Line::open(self.shared.clone(), queue, line)?;
        self.lines.lock().entry(queue).or_default().push(Arc::downgrade(&line));
        Ok((line, recovered))
    }

    fn delete_queue(&self, queue: u64) {
        let lines = self.lines.lock().remove(&queue).unwrap_or_default();
        let lines: Vec<Arc<Line>> = lines.iter().filter_map(Weak::upgrade).collect();
        lines.iter().for_each(|line| line.forget());
        self.shared.folders.discard(Rubbish::Queue(queue, lines));
    }

    fn when_stored(&self, waiter: Waiter) {
        self.shared.when_stored(waiter);
    }

    fn is_behind(&self) -> bool {
        self.shared.is_behind()
    }

    fn close(&self) -> Result<()> {
        self.shared.begin_close();
        let Some(committer) = self.committer.lock().take() else { return Ok(()) };
        let result = committer.join();
        self.shared.folders.close();
        result.unwrap_or_else(|_| Err(Error::new(Kind::InternalError, "store", "the committer panicked")))
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "not everything could be written");
        }
    }
}

/// The house's error for one of the file system.
fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| {
        Error::new(Kind::ResourceError, operation, error.to_string())
            .on(path.display().to_string())
            .caused_by(error)
    }
}
