//! The thread that writes, and the group commit: all that came while one round was under way goes to the disk
//! together in the next.
//!
//! A round takes who waits, writes every line that has something, syncs the files when somebody waits, and calls
//! those who do. What cannot be written stays where it is and is tried again; who waits keeps waiting. What
//! cannot be synced is given up: a second sync may succeed without having done anything
//! (<https://wiki.postgresql.org/wiki/Fsync_Errors>).

use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::disk::{Disk, File};
use super::folders::Folders;
use super::format::SegmentId;
use super::line::{Line, ReadAhead};
use super::{Options, Trouble, failed};
use crate::broker::store::Waiter;
use crate::condition::Condition;
use crate::error::{Error, Kind, Result};

/// How long messages that nobody waits for may stay in memory, so that many are written at once.
const GATHER: Duration = Duration::from_millis(2);
/// How long written messages that nobody waits for may stay unsynced.
const LINGER: Duration = Duration::from_secs(1);
/// With more files than this, one `syncfs` takes their place. On ext4 it takes as long as two or three `fdatasync`s
/// and hardly grows with the number of files (0.4 ms for 4 of them, which take 0.9 ms one by one; 0.7 ms for 16,
/// which take 3.4 ms). But it syncs what other programs have written, too, which can be any amount.
const MANY: usize = 16;

/// What the lines and the committer share.
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) folders: Folders,
    pub(super) options: Options,
    pub(super) ahead: ReadAhead,
    state: Mutex<State>,
    wake: Condition,
    /// Lines with more to write than they should have.
    behind: AtomicUsize,
}

/// What is to be done between two rounds, when no file changes.
type Moment = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    dirty: Vec<Arc<Line>>,
    waiters: Vec<Waiter>,
    moments: Vec<Moment>,
    hurry: bool,
    closing: bool,
    /// The thread is gone.
    ended: bool,
    committer: Waits,
}

/// What wakes the committer.
#[derive(Default, PartialEq, Eq)]
enum Waits {
    /// Nothing, as it works.
    #[default]
    No,
    /// Anything to write.
    ForWork,
    /// Somebody who waits, or cannot wait.
    ForHurry,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("disk", &self.disk)
            .field("folders", &self.folders)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(disk: Arc<dyn Disk>, folders: Folders, options: Options) -> Self {
        Shared {
            disk,
            folders,
            options,
            ahead: ReadAhead::default(),
            state: Mutex::default(),
            wake: Condition::default(),
            behind: AtomicUsize::new(0),
        }
    }

    /// The line has something to write.
    pub(super) fn dirty(&self, line: Arc<Line>) {
        let mut state = self.state.lock();
        if !state.ended {
            state.dirty.push(line);
            self.wake(&mut state, false);
        }
    }

    pub(super) fn is_behind(&self) -> bool {
        self.behind.load(Relaxed) > 0
    }

    /// A line has fallen behind, or caught up.
    pub(super) fn fall_behind(&self, behind: bool) {
        match behind {
            true => self.behind.fetch_add(1, Relaxed),
            false => self.behind.fetch_sub(1, Relaxed),
        };
    }

    /// Much waits to be written.
    pub(super) fn hurry(&self) {
        let mut state = self.state.lock();
        state.hurry = true;
        self.wake(&mut state, true);
    }

    pub(super) fn when_stored(&self, waiter: Waiter) {
        let mut state = self.state.lock();
        if state.ended {
            drop(state);
            std::thread::spawn(move || waiter(Err(closed())));
            return;
        }
        state.waiters.push(waiter);
        self.wake(&mut state, true);
    }

    /// Calls `act` on the committer's thread when everything that was asked for before is written, as far as it can
    /// be, and nothing else is. It is dropped uncalled when the store is closed.
    pub(super) fn between_rounds(&self, act: Moment) {
        let mut state = self.state.lock();
        if !state.ended {
            state.moments.push(act);
            self.wake(&mut state, true);
        }
    }

    /// Refuses what takes long once the store is to be closed.
    ///
    /// # Errors
    /// `ResourceError` then.
    pub(super) fn check_open(&self) -> Result<()> {
        if self.state.lock().closing { Err(closed()) } else { Ok(()) }
    }

    pub(super) fn begin_close(&self) {
        let mut state = self.state.lock();
        state.closing = true;
        self.wake(&mut state, true);
    }

    fn wake(&self, state: &mut State, hurry: bool) {
        if state.committer == Waits::ForWork || hurry && state.committer == Waits::ForHurry {
            state.committer = Waits::No;
            self.wake.notify_all();
        }
    }

    /// A file that may not be there yet, in a folder that may not be there yet.
    pub(super) fn open_or_create(&self, path: &Path) -> Result<Arc<dyn File>> {
        use std::io::ErrorKind::NotFound;
        let opened = match self.disk.open(path) {
            Err(error) if error.kind() == NotFound => match (self.disk.create(path), path.parent()) {
                (Err(error), Some(folder)) if error.kind() == NotFound => {
                    self.disk.create_dir(folder).map_err(failed("create", folder))?;
                    self.disk.create(path)
                }
                (created, _) => created,
            },
            opened => opened,
        };
        opened.map_err(failed("open", path))
    }
}

/// Calls who waits; one that panics is not to stop the store.
fn tell(waiter: Waiter, result: Result<()>) {
    if std::panic::catch_unwind(AssertUnwindSafe(|| waiter(result))).is_err() {
        tracing::error!("who waited for the disk panicked when told");
    }
}

pub(super) fn closed() -> Error {
    Error::new(Kind::ResourceError, "store", "the store is closed")
}

/// A segment that was written to.
#[derive(Debug)]
struct Written {
    line: Arc<Line>,
    id: SegmentId,
    file: Arc<dyn File>,
}

impl Written {
    /// Whether there is still a message in it that somebody may ask for.
    fn matters(&self) -> bool {
        self.line.has(&self.id)
    }

    fn abandon(&self) {
        self.line.abandon(&self.id);
    }
}

/// What was written since it was last synced.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    /// By address.
    files: HashMap<usize, Written>,
    dirs: BTreeSet<PathBuf>,
    since: Option<Instant>,
}

impl Unsynced {
    pub(super) fn file(&mut self, line: &Arc<Line>, id: SegmentId, file: Arc<dyn File>) {
        if !line.is_lasting() {
            return;
        }
        self.since.get_or_insert_with(Instant::now);
        self.files.entry(Arc::as_ptr(&file).addr()).or_insert_with(|| Written {
            line: line.clone(),
            id,
            file,
        });
    }

    /// A file was made in it.
    pub(super) fn dir(&mut self, path: &Path) {
        if !self.dirs.contains(path) {
            self.dirs.insert(path.to_owned());
        }
    }

    /// Syncs everything; the first error.
    fn sync(self, shared: &Shared) -> Result<()> {
        let Unsynced { mut files, dirs, .. } = self;
        files.retain(|_, written| written.matters());
        if files.len() + dirs.len() > MANY {
            let root = shared.folders.queues();
            match shared.disk.sync_all(root) {
                Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {}
                Err(error) => {
                    files.values().for_each(Written::abandon);
                    return Err(failed("sync", root)(error));
                }
                Ok(()) => return Ok(()),
            }
        }
        let mut result = Ok(());
        for written in files.values() {
            if let Err(error) = written.file.sync()
                && written.matters()
            {
                result = result.and(Err(failed("sync", written.line.folder())(error)));
                written.abandon();
            }
        }
        for dir in &dirs {
            let matters = || files.values().any(|file| file.line.folder() == dir && file.matters());
            if let Err(error) = shared.disk.sync_dir(dir) {
                if error.kind() == std::io::ErrorKind::NotFound && !matters() {
                    continue; // the queue was deleted meanwhile
                }
                result = result.and(Err(failed("sync", dir)(error)));
                files.values().for_each(Written::abandon);
            }
        }
        result
    }
}

/// A sync that nobody waits for.
struct Aside {
    thread: JoinHandle<()>,
    dirs: BTreeSet<PathBuf>,
}

/// The thread's own.
pub(super) struct Committer {
    shared: Arc<Shared>,
    trouble: Trouble,
    /// The store's own directory, until it was synced: its folders may be new, and nobody who opens it need wait for that.
    root: Option<PathBuf>,
    unsynced: Unsynced,
    /// Who waits for the next sync.
    waiters: Vec<Waiter>,
    aside: Option<Aside>,
    /// Lines that could not be written, and why.
    failed: Vec<Arc<Line>>,
    error: Option<Error>,
    retry: Option<Instant>,
    /// Lines that hold files and memory.
    awake: Vec<Arc<Line>>,
    /// When to look which of them may rest.
    rest: Option<Instant>,
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>, trouble: Trouble) -> Self {
        let root = shared.folders.queues().parent().map(Path::to_owned);
        Committer {
            shared,
            trouble,
            root,
            unsynced: Unsynced::default(),
            waiters: Vec::new(),
            aside: None,
            failed: Vec::new(),
            error: None,
            retry: None,
            awake: Vec::new(),
            rest: None,
        }
    }

    /// Works until the store is closed; what could not be brought to the disk by then.
    pub(super) fn run(mut self) -> Result<()> {
        loop {
            let (dirty, moments, closing) = self.wait();
            self.write(dirty, closing);
            moments.into_iter().for_each(|act| act());
            let due = self.unsynced.since.is_some_and(|since| since.elapsed() >= LINGER);
            if self.failed.is_empty() && (!self.waiters.is_empty() || due || closing) {
                if self.waiters.is_empty() && !closing {
                    self.sync_aside();
                } else {
                    self.sync(closing);
                }
            }
            if closing {
                return self.end();
            }
            self.let_rest();
        }
    }

    /// Syncs for those who wait.
    fn sync(&mut self, closing: bool) {
        if let Some(aside) = self.aside.take_if(|aside| closing || aside.thread.is_finished()) {
            let _ = aside.thread.join();
        }
        // What is being synced aside is nothing that they wait for, but for the names of files.
        self.unsynced.dirs.extend(self.aside.iter().flat_map(|aside| aside.dirs.clone()));
        self.unsynced.dirs.extend(self.root.clone());
        let result = mem::take(&mut self.unsynced).sync(&self.shared);
        match &result {
            Ok(()) => self.root = None,
            Err(error) => tracing::error!(%error, "what was not confirmed may be lost"),
        }
        self.waiters.drain(..).for_each(|waiter| tell(waiter, result.clone()));
    }

    /// Syncs what nobody waits for on another thread: it can be much, and meanwhile messages are written on.
    fn sync_aside(&mut self) {
        if self.aside.as_ref().is_some_and(|aside| !aside.thread.is_finished()) {
            self.unsynced.since = Some(Instant::now());
            return;
        }
        let (shared, unsynced) = (self.shared.clone(), mem::take(&mut self.unsynced));
        let dirs = unsynced.dirs.clone();
        let sync = move || {
            if let Err(error) = unsynced.sync(&shared) {
                tracing::error!(%error, "what was not confirmed may be lost");
            }
        };
        match std::thread::Builder::new().name("warrenmq-sync".into()).spawn(sync) {
            Ok(thread) => self.aside = Some(Aside { thread, dirs }),
            Err(error) => {
                tracing::warn!(%error, "messages that nobody waits for are left to the system to sync")
            }
        }
    }

    /// Sleeps until there is something to do; the lines to write, what to do afterwards, and whether it is the last
    /// time.
    fn wait(&mut self) -> (Vec<Arc<Line>>, Vec<Moment>, bool) {
        let shared = self.shared.clone();
        let mut state = shared.state.lock();
        let mut gathered = None;
        while !state.hurry && !state.closing && state.waiters.is_empty() && state.moments.is_empty() {
            let gather =
                (!state.dirty.is_empty()).then(|| *gathered.get_or_insert_with(|| Instant::now() + GATHER));
            let linger = self.unsynced.since.map(|since| since + LINGER).filter(|_| self.failed.is_empty());
            let until = [gather, linger, self.retry, self.rest].into_iter().flatten().min();
            if until.is_some_and(|until| until <= Instant::now()) {
                break;
            }
            state.committer = if gather.is_some() { Waits::ForHurry } else { Waits::ForWork };
            match until {
                Some(until) => drop(shared.wake.wait_until(&mut state, Some(until))),
                None => shared.wake.wait(&mut state),
            }
        }
        state.committer = Waits::No;
        state.hurry = false;
        self.waiters.append(&mut state.waiters);
        (mem::take(&mut state.dirty), mem::take(&mut state.moments), state.closing)
    }

    /// Writes these lines, and when it is time those that failed before.
    fn write(&mut self, mut dirty: Vec<Arc<Line>>, closing: bool) {
        let failed_before = self.error.is_some();
        if closing || self.retry.is_some_and(|at| at <= Instant::now()) {
            dirty.append(&mut self.failed);
            self.retry = None;
        }
        dirty.retain(|line| !self.failed.iter().any(|failed| Arc::ptr_eq(failed, line)));
        // A message that leaves one line can be a dead letter in another: it is in both until it is written there.
        dirty.iter().for_each(|line| line.gather());
        for line in &dirty {
            if line.wake() {
                self.awake.push(line.clone());
                self.rest.get_or_insert_with(|| Instant::now() + self.shared.options.rest);
            }
            let written = line.write(&mut self.unsynced);
            self.note(line, written);
        }
        let written = self.failed.is_empty();
        for line in dirty {
            let logged = line.log(written, &mut self.unsynced);
            if !written {
                self.try_again(&line);
            }
            self.note(&line, logged);
        }
        if self.failed.is_empty() {
            if self.error.take().is_some() {
                tracing::info!("messages can be written again");
                (self.trouble)(None);
            }
        } else if self.retry.is_none() {
            let after = self.shared.options.retry * if failed_before { 10 } else { 1 };
            self.retry = Some(Instant::now() + after);
        }
    }

    /// What fails is tried again.
    fn note(&mut self, line: &Arc<Line>, result: Result<()>) {
        let Err(error) = result else { return };
        if self.error.is_none() {
            tracing::error!(%error, "messages wait in memory until they can be written");
            (self.trouble)(Some(error.to_string()));
        }
        self.error = Some(error);
        self.try_again(line);
    }

    fn try_again(&mut self, line: &Arc<Line>) {
        if !self.failed.iter().any(|failed| Arc::ptr_eq(failed, line)) {
            self.failed.push(line.clone());
        }
    }

    /// Lets go of the files and the memory of lines that had nothing to write since the last look.
    fn let_rest(&mut self) {
        if self.rest.is_some_and(|at| at <= Instant::now()) {
            self.awake.retain(|line| !line.rest());
            let again = !self.awake.is_empty();
            self.rest = again.then(|| Instant::now() + self.shared.options.rest);
        }
    }

    fn end(mut self) -> Result<()> {
        let mut state = self.shared.state.lock();
        state.ended = true;
        self.waiters.append(&mut state.waiters);
        state.dirty.clear();
        state.moments.clear();
        drop(state);
        let error = self.error.take();
        for waiter in self.waiters.drain(..) {
            tell(waiter, Err(error.clone().unwrap_or_else(closed)));
        }
        error.map_or(Ok(()), Err)
    }
}
