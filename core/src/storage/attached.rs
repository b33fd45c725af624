//! The folder `attached`: which connections of other processes to the directory's broker are open.
//!
//! Each has a file with its number for a name, which it has locked: the kernel knows when its process has ended, be it
//! killed, and that one which is stopped has not. So the next host knows whom it has to wait for, and for how long.

use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::directory::failed;
use crate::broker::ATTACHED;
use crate::error::{Error, Kind, Result};
use crate::fork::Inherited;

const NAME: &str = "attached";

/// Says that a connection is open, until this is dropped.
#[derive(Debug)]
pub struct Attachment {
    number: u64,
    path: PathBuf,
    _inherited: Inherited,
    /// The lock goes with it.
    _file: File,
}

/// A random number for an attachment.
///
/// # Errors
/// `ResourceError` when the system has no random numbers.
pub(crate) fn attachment_number() -> Result<u64> {
    let random = getrandom::u64()
        .map_err(|error| Error::new(Kind::ResourceError, "connect", format!("no random numbers: {error}")))?;
    Ok(random | ATTACHED)
}

impl Attachment {
    /// One to a directory that has a host.
    ///
    /// # Errors
    /// `ResourceError` when its file cannot be made.
    pub fn new(directory: &Path, number: u64) -> Result<Self> {
        let folder = directory.join(NAME);
        let cannot = |error: io::Error| failed("cannot be made", &folder, error);
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(cannot(error)),
            _ => {}
        }
        let path = path(&folder, number);
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(cannot)?;
            flock(&file, FlockOperation::LockExclusive).map_err(|error| cannot(error.into()))?;
            // A host that begins removes those that nobody has locked.
            if file.metadata().map_err(cannot)?.nlink() > 0 {
                let _inherited = Inherited::by_children(&file);
                return Ok(Attachment { number, path, _inherited, _file: file });
            }
        }
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path); // at worst the next host does
    }
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016x}"))
}

/// Whether a connection is open. Removes what one that is not has left.
pub(super) fn is_open(directory: &Path, number: u64) -> bool {
    let path = path(&directory.join(NAME), number);
    let Ok(file) = File::open(&path) else { return false };
    let is_open = flock(&file, FlockOperation::NonBlockingLockExclusive).is_err();
    if !is_open {
        let _ = std::fs::remove_file(&path);
    }
    is_open
}

/// Those that are open.
pub(super) fn all(directory: &Path) -> HashSet<u64> {
    let names = std::fs::read_dir(directory.join(NAME)).into_iter().flatten().flatten();
    let numbers = names.filter_map(|entry| u64::from_str_radix(entry.file_name().to_str()?, 16).ok());
    numbers.filter(|number| is_open(directory, *number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_known_as_long_as_it_is_open_and_nothing_is_left_of_one_that_is_not() {
        let folder = tempfile::TempDir::new().unwrap();
        assert!(all(folder.path()).is_empty());
        let (one, other) =
            (Attachment::new(folder.path(), 1).unwrap(), Attachment::new(folder.path(), u64::MAX).unwrap());
        assert_eq!(all(folder.path()), HashSet::from([one.number(), other.number()]));
        let number = one.number();
        drop(one);
        assert!(!is_open(folder.path(), number) && is_open(folder.path(), other.number()));
        // As of a process that was killed.
        std::fs::write(path(&folder.path().join(NAME), number), "").unwrap();
        assert_eq!(all(folder.path()), HashSet::from([other.number()]));
        drop(other);
        assert_eq!(folder.path().join(NAME).read_dir().unwrap().count(), 0);
    }
}
