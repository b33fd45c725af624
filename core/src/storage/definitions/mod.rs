//! The definitions of a broker on disk.
//!
//! | file | holds |
//! |---|---|
//! | here | group commit: changes that come while others are brought to the disk go there together |
//! | `tables` | what the database looks like |

mod tables;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use redb::{Database, ReadOnlyDatabase};

use crate::broker::{Change, Definition, Noted, Record, ids_of};
use crate::condition::Condition;
use crate::error::{Error, Kind, Result};
use crate::fork::Inherited;
use tables::{Failure, Found};

/// What of the file is kept in memory: it is read once at the start, and later only where something changes.
const CACHE: usize = 4 << 20;

/// After so long without a change the file is closed, and opened again for the next: to close it takes five syncs, which
/// who waits to have the directory would feel.
const REST: Duration = Duration::from_secs(1);

/// Definitions in a file. One thread commits what is noted, as the database has one writer at a time: while it waits
/// for the disk, the next commit gathers.
///
/// Changes whose commit failed are not tried again: whoever asked for them is told. They may be on disk all the same,
/// as nobody knows what a disk did that reported an error.
pub struct DefinitionStore {
    shared: Arc<Shared>,
    new: bool,
    /// What was there, until somebody takes it.
    found: Mutex<Option<Vec<Definition>>>,
    next_queue: AtomicU64,
    committer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    /// Guards nothing else; held to add changes and to take them all.
    waiting: Mutex<Waiting>,
    /// Rung when there is something to commit, and at the end.
    bell: Condition,
    file: Mutex<File>,
}

/// What is to be in the next commit.
#[derive(Default)]
struct Waiting {
    changes: Vec<Change>,
    noted: Noted,
    /// Nothing is committed until all of it is there.
    gathering: bool,
    ended: bool,
}

/// The file; closed while nothing changes, and after an error, as `redb` refuses everything then. It is opened again for
/// the next commit.
struct File {
    path: PathBuf,
    open: Box<dyn Fn() -> Result<Database, Failure> + Send>,
    database: Option<Database>,
}

impl DefinitionStore {
    /// Opens the definitions in a file, or makes a new one.
    ///
    /// # Errors
    /// `ResourceError`, naming the file: it cannot be read or written, it is damaged, or a newer version wrote it.
    pub fn open(path: &Path) -> Result<Self> {
        let at = path.to_owned();
        let inherited = Mutex::new(None); // the database locks the file
        let open = move || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.open(&at)?;
            let noted = Inherited::by_children(&file);
            let database = Database::builder().set_cache_size(CACHE).create_file(file)?;
            *inherited.lock() = Some(noted);
            if let Some(folder) = at.parent().filter(|folder| !folder.as_os_str().is_empty())
                && tables::next_queue(&database)?.is_none()
            {
                std::fs::File::open(folder)?.sync_all()?; // so that a new file is found after a loss of power
            }
            Ok(database)
        };
        // One that was closed can be read without a sync; one that was not has to be mended.
        let closed = Database::builder().set_cache_size(CACHE).open_read_only(path).ok();
        Self::with(path, Box::new(open), closed)
    }

    fn with(
        path: &Path,
        open: Box<dyn Fn() -> Result<Database, Failure> + Send>,
        closed: Option<ReadOnlyDatabase>,
    ) -> Result<Self> {
        let mut file = File { path: path.to_owned(), open, database: None };
        let Found { next_queue, definitions } = match closed.map(|closed| tables::found(&closed)) {
            Some(Ok(found)) => found,
            _ => file.with("open", tables::found)?,
        };
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            bell: Condition::default(),
            file: Mutex::new(file),
        });
        let thread = Builder::new().name("warrenmq-definitions".into());
        let committer = thread.spawn({
            let shared = shared.clone();
            move || shared.commit_all()
        });
        let committer = committer.map_err(|error| {
            Error::new(Kind::ResourceError, "open", format!("cannot start a thread: {error}"))
                .on(path.display().to_string())
                .caused_by(error)
        })?;
        Ok(DefinitionStore {
            shared,
            new: next_queue.is_none(),
            found: Mutex::new(Some(definitions)),
            next_queue: AtomicU64::new(next_queue.unwrap_or(1)),
            committer: Mutex::new(Some(committer)),
        })
    }

    /// Its file.
    pub fn path(&self) -> PathBuf {
        self.shared.file.lock().path.clone()
    }

    /// The numbers of the queues there are, and of the virtual hosts' delayed messages; and the first that was never
    /// given to a queue.
    ///
    /// # Errors
    /// `ResourceError` when they cannot be read.
    pub fn queue_numbers(&self) -> Result<(HashSet<u64>, u64)> {
        let next = self.next_queue.load(Relaxed);
        if let Some(found) = &*self.found.lock() {
            return Ok((numbers(found), next));
        }
        let found = self.shared.file.lock().with("open", tables::found)?;
        Ok((numbers(&found.definitions), next))
    }

    /// Nothing had ever been committed to it when it was opened.
    pub fn is_new(&self) -> bool {
        self.new
    }

    /// Brings everything that `fill` has a broker change to the disk in one commit, at its end: for many changes
    /// that make sense only together, while nobody else uses the broker.
    ///
    /// # Errors
    /// Those of `fill`, and `ResourceError` when the commit fails. Nothing is on disk then, and the broker, which
    /// has the changes, is not to be used.
    pub fn together(&self, fill: impl FnOnce() -> Result<()>) -> Result<()> {
        self.shared.waiting.lock().gathering = true;
        let filled = fill();
        let noted = {
            let mut waiting = self.shared.waiting.lock();
            waiting.gathering = false;
            if filled.is_err() {
                waiting.changes.clear();
            }
            (!waiting.changes.is_empty()).then(|| waiting.noted.clone())
        };
        self.shared.bell.notify_all();
        filled?;
        noted.map_or(Ok(()), |noted| noted.wait("commit"))
    }

    /// Closes the file for as long as `act` has it: it is whole then, with everything that was committed. What is to
    /// be committed waits.
    pub(super) fn at_rest<T>(&self, act: impl FnOnce(&Path) -> T) -> T {
        let mut file = self.shared.file.lock();
        file.database = None;
        act(&file.path)
    }

    /// Commits what is noted, and closes the file. What is noted later is lost.
    pub fn close(&self) {
        self.shared.waiting.lock().ended = true;
        self.shared.bell.notify_all();
        if let Some(committer) = self.committer.lock().take() {
            let _ = committer.join();
        }
    }
}

fn numbers(definitions: &[Definition]) -> HashSet<u64> {
    let numbers = |definition: &Definition| match definition {
        Definition::Queue(number, ..) => [Some(*number), Some(ids_of(*number))],
        Definition::Vhost(number, _) => [Some(*number), None],
        _ => [None, None],
    };
    definitions.iter().flat_map(numbers).flatten().collect()
}

impl Record for DefinitionStore {
    fn recorded(&self) -> Result<Vec<Definition>> {
        match self.found.lock().take() {
            Some(definitions) => Ok(definitions),
            None => Ok(self.shared.file.lock().with("restore", tables::found)?.definitions),
        }
    }

    fn note(&self, changes: Vec<Change>) -> Noted {
        let mut waiting = self.shared.waiting.lock();
        if waiting.ended {
            let noted = Noted::default();
            noted.settle(Err(Error::new(Kind::ResourceError, "commit", "the broker is stopping")));
            return noted;
        }
        waiting.changes.extend(changes);
        if waiting.gathering {
            let noted = Noted::default();
            noted.settle(Ok(()));
            return noted;
        }
        let noted = waiting.noted.clone();
        drop(waiting);
        self.shared.bell.notify_all();
        noted
    }

    fn queue_id(&self) -> u64 {
        self.next_queue.fetch_add(1, Relaxed)
    }
}

impl Shared {
    fn commit_all(&self) {
        while let Some((changes, noted)) = self.next() {
            let write = || self.file.lock().with("commit", |database| tables::write(database, &changes));
            // Whoever waits must hear of it, whatever happens to a damaged file.
            let result = catch_unwind(AssertUnwindSafe(write)).unwrap_or_else(|_| {
                Err(Error::new(Kind::InternalError, "commit", "writing the definitions panicked"))
            });
            if let Err(error) = &result {
                tracing::error!(%error, changes = changes.len(), "definitions are not kept");
            }
            noted.settle(result);
        }
        self.file.lock().database = None;
    }

    fn next(&self) -> Option<(Vec<Change>, Noted)> {
        let mut waiting = self.waiting.lock();
        let mut rest = Some(Instant::now() + REST);
        while waiting.changes.is_empty() || waiting.gathering {
            if waiting.ended {
                return None;
            }
            self.bell.wait_until(&mut waiting, rest);
            if rest.take_if(|rest| *rest <= Instant::now()).is_some() {
                MutexGuard::unlocked(&mut waiting, || self.file.lock().database = None);
            }
        }
        Some((std::mem::take(&mut waiting.changes), std::mem::take(&mut waiting.noted)))
    }
}

impl File {
    fn with<T>(
        &mut self,
        operation: &'static str,
        act: impl FnOnce(&Database) -> Result<T, Failure>,
    ) -> Result<T> {
        let database = match self.database.take() {
            Some(database) => Ok(database),
            None => (self.open)(),
        };
        let acted = database.and_then(|database| act(&database).map(|result| (result, database)));
        match acted {
            Ok((result, database)) => {
                self.database = Some(database);
                Ok(result)
            }
            Err(Failure(reason)) => {
                Err(Error::new(Kind::ResourceError, operation, reason).on(self.path.display().to_string()))
            }
        }
    }
}

impl Drop for DefinitionStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for DefinitionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefinitionStore").field("path", &self.shared.file.lock().path).finish_non_exhaustive()
    }
}
