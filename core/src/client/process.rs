//! What exists once per process: brokers by their `inproc:` names and their directories, and the runtime.
//!
//! After `fork` the child has a copy of the memory but none of the threads, so nothing of this may be
//! used there. The binding of a language that forks calls [`after_fork`] in the child; from then on
//! everything is made afresh, and what the parent had opened answers with an error.

use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

use super::twin;
use crate::broker::{Broker, Options};
use crate::error::{Error, Kind, Result};
use crate::fork;
use crate::host::Host;
use crate::server::round;
use crate::server::{Limits, LocalServer, Lookout, Porch};
use crate::storage::Directory;

/// One for each process of a line of forks. An array rather than one place behind a lock, because a lock
/// that another thread held at the moment of the fork would stay locked in the child for ever.
static PROCESSES: [OnceLock<Process>; fork::PROCESSES] = [const { OnceLock::new() }; fork::PROCESSES];

#[derive(Default)]
struct Process {
    brokers: Mutex<HashMap<String, Arc<Broker>>>,
    /// By their directories. Held while one is opened or closed.
    hosts: Mutex<HashMap<PathBuf, Arc<House>>>,
    runtime: OnceLock<Runtime>,
}

/// Few threads: language code runs elsewhere, these only move bytes.
const WORKERS: usize = 2;

fn process() -> &'static Process {
    PROCESSES[fork::place()].get_or_init(Process::default)
}

/// The broker of this name in this process; an empty name is always a new one.
///
/// It lives on when its last connection closes, so that who comes later finds the messages.
pub(super) fn broker(name: &str) -> Arc<Broker> {
    let make = || Broker::new(Options { name: format!("inproc://{name}"), ..Options::default() });
    match name {
        "" => make(),
        _ => process().brokers.lock().entry_ref(name).or_insert_with(make).clone(),
    }
}

/// The broker of a directory, which this process hosts while a connection of its own to it is open. Other processes
/// come in by the directory's socket.
#[derive(Debug)]
pub(super) struct Hosted {
    path: PathBuf,
    /// None once it was left.
    house: Option<Arc<House>>,
    born: Birthplace,
}

/// A host with its door.
#[derive(Debug)]
struct House {
    /// None once it is closed.
    door: Mutex<Option<LocalServer>>,
    lookout: Arc<Lookout>,
    host: Host,
}

impl House {
    fn open(path: &Path) -> Result<Self> {
        let runtime = runtime()?;
        let name = format!("local:{}", path.display());
        let directory = Directory::open(path)?;
        let _entered = runtime.enter();
        let porch = Porch::open(path)?;
        let host = Host::of(directory, Options { name, ..Options::default() })?;
        let door = LocalServer::at(porch, host.broker().clone(), Limits::default());
        let lookout = door.lookout();
        Ok(House { door: Mutex::new(Some(door)), lookout, host })
    }

    /// Closes the broker, gives the directory back, and then tells who is in by the door: one of them hosts it next.
    fn shut(&self) {
        let (Some(door), Ok(runtime)) = (self.door.lock().take(), runtime()) else { return };
        self.host.leave();
        self.host.broker().end_own_sessions();
        let door = wait(&runtime, door.end_sessions());
        if let Err(error) = self.host.give_back() {
            tracing::error!(%error, "not everything could be brought to the disk");
        }
        door.and_then(|door| wait(&runtime, door.stop()));
    }
}

/// Waits for what is done on a runtime, also on one of its own threads; none when the runtime ends meanwhile.
fn wait<T: Send + 'static>(runtime: &Handle, act: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    runtime.spawn(async move { tell.send(act.await) });
    let wait = || told.recv().ok();
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => round::block(wait),
        _ => wait(),
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.shut();
    }
}

/// To be called when the process is about to end while there may be connections that nobody will close, such as those
/// of the other language: closes those that have directories hosted here, and leaves these in good order. Waits for the
/// disk.
pub fn before_exit() {
    // Shut without the lock, which each connection takes that is closed by that.
    let houses: Vec<_> = process().hosts.lock().values().cloned().collect();
    houses.iter().for_each(|house| house.shut());
    twin::before_exit();
}

/// Opens a directory, or joins those who have it open in this process.
///
/// # Errors
/// As [`Host::open`], and [`Porch::open`].
pub(super) fn host(path: &Path) -> Result<Hosted> {
    let mut hosts = process().hosts.lock();
    let found = path.canonicalize().ok().and_then(|path| Some((hosts.get(&path)?.clone(), path)));
    let (house, path) = match found {
        Some(found) => found,
        None => {
            let house = Arc::new(House::open(path)?);
            let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            hosts.insert(path.clone(), house.clone());
            (house, path)
        }
    };
    Ok(Hosted { path, house: Some(house), born: Birthplace::here() })
}

impl Hosted {
    /// The broker.
    pub(super) fn broker(&self) -> Option<&Arc<Broker>> {
        self.house.as_ref().map(|house| house.host.broker())
    }

    /// For threads that wait for what other processes send.
    pub(super) fn lookout(&self) -> Option<Arc<Lookout>> {
        self.house.as_ref().map(|house| house.lookout.clone())
    }
}

impl Drop for Hosted {
    /// Who leaves last closes the directory, and nobody opens it meanwhile.
    fn drop(&mut self) {
        if self.born.check("close").is_err() {
            std::mem::forget(self.house.take()); // it is the parent's
            return;
        }
        let mut hosts = process().hosts.lock();
        self.house = None;
        if hosts.get(&self.path).is_some_and(|house| Arc::strong_count(house) == 1) {
            hosts.remove(&self.path);
        }
    }
}

/// The runtime on whose threads sockets are served; started when it is first needed.
///
/// # Errors
/// `ResourceError` when its threads cannot be started.
pub fn runtime() -> Result<Handle> {
    let process = process();
    if let Some(runtime) = process.runtime.get() {
        return Ok(runtime.handle().clone());
    }
    let runtime = round::observe(&mut Builder::new_multi_thread())
        .worker_threads(WORKERS)
        .thread_name("warrenmq")
        .enable_all()
        .build()
        .map_err(|error| {
            Error::new(Kind::ResourceError, "runtime", format!("cannot start threads: {error}"))
                .caused_by(error)
        })?;
    Ok(process.runtime.get_or_init(|| runtime).handle().clone())
}

/// To be called in the child of a fork, before anything else of this crate. The caller is to close these descriptors,
/// the child's copies of the parent's locks and sockets: as long as they are open, a parent that ends is not gone for
/// other processes.
#[must_use]
pub fn after_fork() -> Vec<RawFd> {
    let mut open = fork::after_fork();
    open.extend(twin::after_fork());
    open
}

/// The process in which something was opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Birthplace(usize);

impl Birthplace {
    pub(super) fn here() -> Self {
        Birthplace(fork::generation())
    }

    /// Refuses what was opened before a fork.
    pub(super) fn check(self, operation: &'static str) -> Result<()> {
        if self.0 == fork::generation() {
            return Ok(());
        }
        let reason = "this connection was opened before the process forked, and belongs to the parent";
        Err(Error::new(Kind::Forked, operation, reason).advise("open a new connection in the child process"))
    }
}
