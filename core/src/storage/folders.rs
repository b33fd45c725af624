//! Where the folders of queues are, and the thread that empties the trash: removing a long file takes milliseconds
//! that neither a confirm nor whoever deletes a queue should wait for.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use parking_lot::{Mutex, MutexGuard};

use super::disk::Disk;
use super::failed;
use super::line::Line;
use crate::error::Result;

/// The folders of a store.
#[derive(Debug)]
pub(super) struct Folders {
    queues: PathBuf,
    rubbish: Sender<Rubbish>,
    /// Held while something is removed, and while nothing may be.
    removing: Arc<Mutex<()>>,
    sweeper: Mutex<Option<JoinHandle<()>>>,
}

/// What is not needed any more.
#[derive(Debug)]
pub(super) enum Rubbish {
    /// Files, removed in this order.
    Files([PathBuf; 2]),
    /// The folder of a queue, whose lines are told to forget it.
    Queue(u64, Vec<Arc<Line>>),
    /// Nothing more comes.
    End,
}

impl Folders {
    /// Makes the folders where they are missing, and begins to empty the trash. `dir` is yet to be synced.
    pub(super) fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self> {
        let (queues, trash) = (dir.join("queues"), dir.join("trash"));
        for folder in [&queues, &trash] {
            disk.create_dir(folder).map_err(failed("create", folder))?;
        }
        let (rubbish, receiver) = channel();
        let removing = Arc::default();
        let sweeper = Sweeper { disk, queues: queues.clone(), trash, removing: Arc::clone(&removing) };
        let thread = std::thread::Builder::new().name("warrenmq-trash".into());
        let sweeper = thread.spawn(move || sweeper.run(&receiver)).map_err(failed("start", dir))?;
        Ok(Folders { queues, rubbish, removing, sweeper: Mutex::new(Some(sweeper)) })
    }

    pub(super) fn queues(&self) -> &Path {
        &self.queues
    }

    pub(super) fn queue(&self, queue: u64) -> PathBuf {
        self.queues.join(queue.to_string())
    }

    /// Gives up files or a folder; returns at once.
    pub(super) fn discard(&self, rubbish: Rubbish) {
        // Nobody listens only after the end, and then the next opening does it.
        let _ = self.rubbish.send(rubbish);
    }

    /// What was given up stays as long as this is held.
    pub(super) fn keep(&self) -> MutexGuard<'_, ()> {
        self.removing.lock()
    }

    /// Waits until everything that was given up is gone.
    pub(super) fn close(&self) {
        self.discard(Rubbish::End);
        if let Some(sweeper) = self.sweeper.lock().take() {
            let _ = sweeper.join();
        }
    }
}

struct Sweeper {
    disk: Arc<dyn Disk>,
    queues: PathBuf,
    trash: PathBuf,
    removing: Arc<Mutex<()>>,
}

impl Sweeper {
    fn run(&self, rubbish: &Receiver<Rubbish>) {
        // What an earlier process did not get to.
        for name in self.disk.list(&self.trash).unwrap_or_default() {
            self.report(self.empty(&self.trash.join(name)));
        }
        let mut again = Vec::new();
        for rubbish in rubbish {
            let _removing = self.removing.lock();
            let end = matches!(rubbish, Rubbish::End);
            match rubbish {
                Rubbish::Files(paths) => again.push(paths),
                Rubbish::Queue(queue, lines) => {
                    lines.iter().for_each(|line| line.finish());
                    let result = self.throw_away(queue).and_then(|thrown| self.empty(&thrown));
                    self.report(result);
                }
                Rubbish::End => {}
            }
            again.retain(|paths: &[PathBuf; 2]| {
                let result = paths.iter().try_for_each(|path| self.remove(path));
                let failed = result.is_err();
                self.report(result);
                failed
            });
            if end {
                return;
            }
        }
    }

    /// Moves a queue's folder to the trash in one step, so that no crash leaves half of it.
    fn throw_away(&self, queue: u64) -> Result<PathBuf> {
        let from = self.queues.join(queue.to_string());
        for attempt in 0_u32.. {
            let to = self.trash.join(format!("{queue}-{attempt}"));
            match self.disk.rename(&from, &to) {
                Ok(()) => return Ok(to),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(to),
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                Err(error) => return Err(failed("rename", &from)(error)),
            }
        }
        Ok(from)
    }

    fn empty(&self, folder: &Path) -> Result<()> {
        for name in self.disk.list(folder).map_err(failed("list", folder))? {
            self.remove(&folder.join(name))?;
        }
        match self.disk.remove_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", folder)(error)),
            _ => Ok(()),
        }
    }

    fn remove(&self, path: &Path) -> Result<()> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
            _ => Ok(()),
        }
    }

    fn report(&self, result: Result<()>) {
        if let Err(error) = result {
            tracing::warn!(%error, "the space of what was deleted is not given back yet");
        }
    }
}
