//! A broker that lives in a directory.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;

use crate::broker::store::Store;
use crate::broker::{Alarm, Broker, Definitions, Options};
use crate::control::{Control, Requests};
use crate::error::{Error, Kind, Result};
use crate::status::Report;
use crate::storage::backup::{self, Copied};
use crate::storage::disk::RealDisk;
use crate::storage::{self, DefinitionStore, Directory, MemoFile, Messages, handover, reconcile};

/// A broker with its directory. Dropping it brings everything to the disk and gives the directory back.
#[derive(Debug)]
pub struct Host {
    broker: Arc<Broker>,
    messages: Arc<Messages>,
    definitions: Arc<DefinitionStore>,
    memo: Arc<MemoFile>,
    /// Others are attached, who go on with the next host.
    leaving: AtomicBool,
    path: PathBuf,
    /// Until it is given back.
    held: Mutex<Option<Held>>,
}

/// What makes this process the one that has the directory.
#[derive(Debug)]
struct Held {
    /// None where the file system has no sockets.
    _control: Option<Control>,
    /// Last, as everything else in the directory is to be closed before another process may have it.
    _directory: Directory,
}

impl Host {
    /// Opens the directory, with the virtual host `/` and the user `guest` if it is new.
    ///
    /// # Errors
    /// As [`Directory::open`]; `ResourceError` when what is in it cannot be read.
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        Self::of(Directory::open(path)?, options)
    }

    /// The same with a directory that was taken.
    ///
    /// # Errors
    /// `ResourceError` when what is in it cannot be read.
    pub fn of(directory: Directory, options: Options) -> Result<Self> {
        Self::with(directory, options, storage::Options::default(), None)
    }

    /// The same with definitions to be imported.
    ///
    /// # Errors
    /// As [`Host::open`] and [`Broker::import`].
    pub fn with(
        directory: Directory,
        options: Options,
        storage: storage::Options,
        import: Option<&Definitions>,
    ) -> Result<Self> {
        let definitions = Arc::new(DefinitionStore::open(&directory.definitions())?);
        let troubled = Arc::new(OnceLock::<Weak<Broker>>::new());
        let trouble = troubled.clone();
        let tell = move |reason: Option<String>| {
            if let Some(broker) = trouble.get().and_then(Weak::upgrade) {
                broker.set_alarm(Alarm::Storage, reason.is_some());
            }
        };
        let messages = Messages::open(Arc::new(RealDisk), directory.path().into(), storage, Box::new(tell))?;
        let messages = Arc::new(messages);
        let handover = handover::take(directory.path());
        reconcile(&messages, &definitions, &handover)?;
        let options = Options { store: Some(messages.clone()), ..options };
        let broker = Broker::inherit(options, definitions.clone(), &handover)?;
        let (memo, left) = MemoFile::open(directory.path())?;
        let memo = Arc::new(memo);
        broker.take_up(&left.transient, left.attached, memo.clone());
        let _ = troubled.set(Arc::downgrade(&broker));
        let desk = Desk {
            broker: broker.clone(),
            messages: messages.clone(),
            definitions: definitions.clone(),
            since: broker.options().clock.now_ms(),
        };
        let control = Control::listen(directory.path(), desk)
            .inspect_err(|error| tracing::warn!(%error, "other processes can ask nothing of this one"));
        let host = Host {
            broker,
            messages,
            definitions,
            memo,
            leaving: AtomicBool::new(false),
            path: directory.path().to_owned(),
            held: Mutex::new(Some(Held { _control: control.ok(), _directory: directory })),
        };
        host.definitions.together(|| match import {
            Some(definitions) => host.broker.import(definitions),
            None if host.definitions.is_new() => host.broker.furnish(),
            None => Ok(()),
        })?;
        Ok(host)
    }

    /// The broker.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Copies the directory as it is at one moment into `target`, which is new or empty: everything that was
    /// confirmed before. The broker works on meanwhile. Blocks.
    ///
    /// # Errors
    /// As [`backup::running`].
    pub fn backup(&self, target: &Path) -> Result<Copied> {
        backup::running(&self.messages, &self.definitions, target)
    }

    /// To be called before connections are closed for good. If processes are attached that will take the broker over,
    /// nothing is handed out any more, and [`Host::close`] gives along to the next host what is transient.
    pub fn leave(&self) {
        let own = std::process::id();
        if self.broker.sessions().iter().any(|session| session.client.is_beside(own)) {
            self.leaving.store(true, Relaxed);
            self.broker.freeze();
        }
    }

    /// As [`Host::close`], and gives the directory back: another process may have it.
    ///
    /// # Errors
    /// As [`Host::close`].
    pub fn give_back(&self) -> Result<()> {
        let closed = self.close();
        drop(self.held.lock().take());
        closed
    }

    /// Brings everything to the disk. What is published from now on is refused. To be called when sessions have ended, and
    /// what they had unacknowledged is in the queues again.
    ///
    /// # Errors
    /// `ResourceError` when something could not be written.
    pub fn close(&self) -> Result<()> {
        if self.leaving.swap(false, Relaxed) {
            self.memo.leave();
            let given = self.broker.hand_over().and_then(|handover| {
                handover::leave(&self.path, &handover).map_err(|error| {
                    Error::new(Kind::ResourceError, "hand over", error.to_string()).caused_by(error)
                })
            });
            if let Err(error) = given {
                tracing::error!(%error, "transient messages are given up");
            }
        } else {
            self.memo.discard();
        }
        let written = self.messages.close();
        self.definitions.close();
        written
    }
}

/// What other processes may ask of this one.
struct Desk {
    broker: Arc<Broker>,
    messages: Arc<Messages>,
    definitions: Arc<DefinitionStore>,
    /// Milliseconds since 1970.
    since: u64,
}

impl Requests for Desk {
    fn backup(&self, target: &Path) -> Result<Copied> {
        backup::running(&self.messages, &self.definitions, target)
    }

    fn status(&self) -> Report {
        Report::of(&self.broker, self.since)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Err(error) = self.give_back() {
            tracing::error!(%error, "not everything could be brought to the disk");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::ask_backup;
    use crate::error::Kind;

    #[test]
    fn a_host_copies_its_directory_when_it_is_asked_here_or_from_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        // Longer than the name of a socket may be.
        let path = folder.path().join("long".repeat(40));
        let host = Host::open(&path, Options::default()).unwrap();
        host.backup(&folder.path().join("here")).unwrap();
        let target = folder.path().join("elsewhere");
        assert!(ask_backup(&path, &target).unwrap().starts_with("copied 2 files"));
        let error = ask_backup(&path, &target).unwrap_err();
        assert!(error.reason().ends_with("there is something in this directory already"), "{error}");
        drop(host);
        assert_eq!(ask_backup(&path, &target).unwrap_err().kind(), Kind::Unreachable);
        assert!(!path.join("control").exists());
        for copy in ["here", "elsewhere"] {
            let copy = Host::open(&folder.path().join(copy), Options::default()).unwrap();
            assert!(copy.broker().users().get("guest").is_some());
        }
    }

    #[test]
    fn a_host_that_is_closed_makes_no_backup_and_leaves_nothing_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::open(&folder.path().join("data"), Options::default()).unwrap();
        host.close().unwrap();
        let error = host.backup(&folder.path().join("copy")).unwrap_err();
        assert_eq!(error.kind(), Kind::ResourceError);
        drop(host);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }
}
