//! A broker's directory.
//!
//! | in it | is |
//! |---|---|
//! | `lock` | locked (`flock`) by the process that has the directory, whose number is in it, with its PID namespace; shared by those that look for a moment when nobody has it |
//! | `socket` | where that process listens for others, or one that is gone has listened |
//! | `format` | what this is, and the version of its layout |
//! | `definitions` | virtual hosts, users, queues and so on: [`DefinitionStore`](super::DefinitionStore) |
//! | `control` | a socket at which the process that has the directory takes requests, such as for a backup or what `warrenmq status` shows |
//! | `handover` | what the process that had the directory until now gave along to the next one |
//! | `transient` | what the broker has that is not durable, should its process be killed: [`memo`](super::memo) |
//! | `attached` | a file for each connection of another process, locked by it: [`attached`](super::attached) |
//! | `queues`, `trash` | messages: a folder for each queue, by its number; those that are being deleted |

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::place;
use crate::error::{Error, Kind, Result};
use crate::fork::Inherited;
use crate::namespace;

/// The version of the layout that is written; older ones are read.
const FORMAT: u32 = 1;
/// What `format` begins with; the version follows.
const TITLE: &str = "WarrenMQ data, format ";
/// How long one waits for processes that only read, and how often one looks.
const READ_WITHIN: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(2);

/// A directory that this process has to itself until this is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _inherited: Inherited,
    /// The lock goes with it.
    _lock: File,
    /// Of who only reads.
    _turn: Option<File>,
}

/// What a directory is taken for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// To host, or to change what is in it.
    Have,
    /// To look, for a moment.
    Read,
}

impl Directory {
    /// Takes a directory, and makes it where there is none, for its owner alone (mode 0700).
    ///
    /// # Errors
    /// `ResourceLocked` when another process has it (the error names that process); `InvalidArgument` when it is no
    /// directory of a broker but has something in it, or when a newer version wrote it; `AccessRefused` when it is
    /// another user's, `Unsupported` on a file system that machines share; `ResourceError` when it
    /// cannot be read or written.
    pub fn open(path: &Path) -> Result<Self> {
        place::check(path)?;
        create(path).map_err(|error| failed("cannot be made", path, error))?;
        Self::take(path)
    }

    /// Takes a directory that is there.
    ///
    /// # Errors
    /// As [`Directory::open`], and `NotFound` when there is none.
    pub fn existing(path: &Path) -> Result<Self> {
        if !path.join("format").exists() {
            return Err(none_there(path));
        }
        place::check(path)?;
        Self::take(path)
    }

    /// The same for who only reads, and not for long: whoever wants to have the directory meanwhile waits.
    ///
    /// # Errors
    /// As [`Directory::existing`].
    pub(crate) fn reading(path: &Path) -> Result<Self> {
        check_readable(path)?;
        let lock = lock(path, Use::Read)?;
        // Others who read are let in by that lock, and wait at this one.
        let format = path.join("format");
        let turn = File::open(&format).map_err(|error| failed("cannot be read", &format, error))?;
        patiently(|| flock(&turn, FlockOperation::NonBlockingLockExclusive).is_ok());
        Ok(Self::of(path, lock, Some(turn)))
    }

    fn take(path: &Path) -> Result<Self> {
        check_ours(path)?;
        let lock = lock(path, Use::Have)?;
        check_format(path)?;
        Ok(Self::of(path, lock, None))
    }

    fn of(path: &Path, lock: File, turn: Option<File>) -> Self {
        let inherited = Inherited::by_children(&lock);
        Directory { path: path.to_owned(), _inherited: inherited, _lock: lock, _turn: turn }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the definitions.
    pub fn definitions(&self) -> PathBuf {
        self.path.join("definitions")
    }
}

pub(super) const OPERATION: &str = "open";

pub(super) fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    Error::new(Kind::ResourceError, OPERATION, format!("{what}: {error}"))
        .on(path.display().to_string())
        .caused_by(error)
}

/// Makes a directory that outlives a loss of power.
fn create(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create(parent)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync(parent)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Refuses a directory where something else is: what is named by mistake is left alone.
fn check_ours(path: &Path) -> Result<()> {
    if path.join("format").exists() {
        return Ok(());
    }
    let cannot = |error| failed("cannot be read", path, error);
    for entry in path.read_dir().map_err(cannot)? {
        let name = entry.map_err(cannot)?.file_name();
        // A broker that was killed while it made the directory leaves these.
        if name != "lock" && name != "format.new" {
            let reason = format!("is no directory of a broker, and has something in it: {}", name.display());
            return Err(Error::new(Kind::InvalidArgument, OPERATION, reason).on(path.display().to_string()));
        }
    }
    Ok(())
}

/// Waits until this is so, as long as those may take who only read.
fn patiently(mut is_so: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !is_so() {
        if began.elapsed() > READ_WITHIN {
            return false;
        }
        sleep(PAUSE);
    }
    true
}

fn lock(directory: &Path, what_for: Use) -> Result<File> {
    let path = directory.join("lock");
    let cannot = |error| failed("cannot be locked", &path, error);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(cannot)?;
    let mut outcome = Ok(());
    let taken = patiently(|| {
        let shared = || flock(&file, FlockOperation::NonBlockingLockShared);
        outcome = match what_for {
            Use::Read => shared(),
            Use::Have => flock(&file, FlockOperation::NonBlockingLockExclusive),
        };
        // Who shares the lock only reads, and not for long.
        let only_read = what_for == Use::Have && outcome == Err(Errno::WOULDBLOCK) && shared().is_ok();
        if only_read {
            let _ = flock(&file, FlockOperation::Unlock);
        }
        !only_read
    });
    match outcome {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) if taken => return Err(in_use(directory)),
        Err(Errno::WOULDBLOCK) => {
            let reason = "is being read by other processes all the time";
            return Err(
                Error::new(Kind::ResourceLocked, OPERATION, reason).on(directory.display().to_string())
            );
        }
        Err(error) => return Err(cannot(error.into())),
    }
    if what_for == Use::Have {
        let (number, namespace) = (std::process::id(), namespace::own().unwrap_or_default());
        file.set_len(0).and_then(|()| writeln!(file, "{number}\n{namespace}")).map_err(cannot)?;
    }
    Ok(file)
}

/// The process that has a directory, or had it last, as people are told of it.
pub(crate) fn holder(directory: &Path) -> Option<String> {
    let text = std::fs::read_to_string(directory.join("lock")).ok()?;
    let mut lines = text.lines();
    Some(namespace::process(lines.next()?.parse().ok()?, lines.next()))
}

fn in_use(directory: &Path) -> Error {
    let owner = match holder(directory) {
        Some(owner) if owner == namespace::process(std::process::id(), None) => "this process".into(),
        Some(owner) => owner,
        None => "another process".into(),
    };
    Error::new(Kind::ResourceLocked, OPERATION, format!("is in use by {owner}"))
        .on(directory.display().to_string())
        .advise("one process at a time has a directory: connect to that one, or stop it")
}

/// Reads the version, or writes it into a new directory.
fn check_format(directory: &Path) -> Result<()> {
    let path = directory.join("format");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return write_format(directory).map_err(|error| failed("cannot be written", &path, error));
        }
        Err(error) => return Err(failed("cannot be read", &path, error)),
    };
    understand(directory, &text)
}

/// Whether this is a directory of a broker that this version reads, without taking it.
///
/// # Errors
/// `NotFound` when it is none; as [`Directory::open`].
pub(super) fn check_readable(directory: &Path) -> Result<()> {
    match std::fs::read_to_string(directory.join("format")) {
        Ok(text) => understand(directory, &text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(none_there(directory)),
        Err(error) => Err(failed("cannot be read", directory, error)),
    }
}

fn none_there(directory: &Path) -> Error {
    let reason = "there is no data of a broker in this directory";
    Error::new(Kind::NotFound, OPERATION, reason).on(directory.display().to_string())
}

fn understand(directory: &Path, text: &str) -> Result<()> {
    let refuse = |reason: String| {
        Err(Error::new(Kind::InvalidArgument, OPERATION, reason).on(directory.display().to_string()))
    };
    match text.trim().strip_prefix(TITLE).map(str::parse::<u32>) {
        Some(Ok(FORMAT)) => Ok(()),
        Some(Ok(newer)) => refuse(format!(
            "was written by a newer version: format {newer}, and this one knows those up to {FORMAT}"
        )),
        _ => refuse(format!("its file 'format' does not say '{TITLE}' and a number")),
    }
}

/// What the file `format` says.
pub(super) fn format_text() -> String {
    format!("{TITLE}{FORMAT}\n")
}

/// Whole or not at all, and there after a loss of power.
fn write_format(directory: &Path) -> io::Result<()> {
    let new = directory.join("format.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(format_text().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, directory.join("format"))?;
    sync(directory)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_new_directory_is_its_owner_s_alone_and_can_be_taken_again() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("some/where");
        drop(Directory::open(&path).unwrap());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(std::fs::read_to_string(path.join("format")).unwrap(), "WarrenMQ data, format 1\n");
        assert!(Directory::existing(&path).is_ok());
    }

    #[test]
    fn a_directory_has_one_owner_who_is_named_to_others() {
        let folder = TempDir::new().unwrap();
        let first = Directory::open(folder.path()).unwrap();
        assert_eq!(
            std::fs::read_to_string(folder.path().join("lock")).unwrap(),
            format!("{}\n{}\n", std::process::id(), namespace::own().unwrap())
        );
        let error = Directory::open(folder.path()).unwrap_err();
        assert_eq!((error.kind(), error.reason()), (Kind::ResourceLocked, "is in use by this process"));
        drop(first);
        assert!(Directory::open(folder.path()).is_ok());
    }

    #[test]
    fn who_only_reads_is_waited_for_and_does_not_keep_others_from_reading() {
        let folder = TempDir::new().unwrap();
        drop(Directory::open(folder.path()).unwrap());
        let reader = Directory::reading(folder.path()).unwrap();
        std::thread::scope(|scope| {
            let (tell, told) = std::sync::mpsc::channel();
            let host = scope.spawn(move || {
                tell.send(()).unwrap();
                Directory::open(folder.path()).map(|_| folder)
            });
            told.recv().unwrap();
            drop(reader);
            let folder = host.join().unwrap().unwrap();
            let host = Directory::open(folder.path()).unwrap();
            let error = Directory::reading(folder.path()).unwrap_err();
            assert_eq!((error.kind(), error.reason()), (Kind::ResourceLocked, "is in use by this process"));
            drop(host);
            assert!(Directory::reading(folder.path()).is_ok());
        });
    }

    #[test]
    fn a_directory_of_a_newer_version_is_refused_and_left_alone() {
        let folder = TempDir::new().unwrap();
        let format = folder.path().join("format");
        std::fs::write(&format, "WarrenMQ data, format 2\n").unwrap();
        let error = Directory::open(folder.path()).unwrap_err();
        assert!(error.reason().starts_with("was written by a newer version: format 2"), "{error}");
        assert_eq!(std::fs::read_to_string(format).unwrap(), "WarrenMQ data, format 2\n");
    }

    #[test]
    fn a_directory_with_something_else_in_it_is_refused_and_left_alone() {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("letter.txt"), "").unwrap();
        let error = Directory::open(folder.path()).unwrap_err();
        assert!(error.reason().ends_with("letter.txt"), "{error}");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
        assert_eq!(Directory::existing(folder.path()).unwrap_err().kind(), Kind::NotFound);
    }

    #[test]
    fn a_directory_that_was_only_half_made_is_made_whole() {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("lock"), "1\n").unwrap();
        std::fs::write(folder.path().join("format.new"), "Warr").unwrap();
        drop(Directory::open(folder.path()).unwrap());
        assert!(Directory::existing(folder.path()).is_ok());
    }
}
