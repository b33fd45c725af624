//! What storage asks of a file system, and the real one. Tests have one that forgets and fails.

#[cfg(test)]
pub(crate) mod simulated;

use std::fmt::Debug;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// A file system.
pub trait Disk: Send + Sync + Debug {
    /// Opens a file that is there, to read and write. Read-only where writing is not allowed.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Makes a file that is not there yet, to read and write.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// The names in a directory, in no order; none when it is not there.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Makes a directory with those above it, for its owner alone (mode 0700); it may be there already.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Gives a file a second name. Fails where the two are on different file systems, or have no such links.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file or directory another name; an empty directory of that name goes.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory that is empty.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Returns when the names in a directory are on the disk.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Returns when everything on the file system that `path` is on is on the disk. `Unsupported` where the
    /// system has no such call.
    fn sync_all(&self, path: &Path) -> io::Result<()>;
}

/// An open file.
pub trait File: Send + Sync + Debug {
    /// Reads as many bytes as there are, at most as `into` has room for; how many.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all the bytes. When it fails, some of them may be there.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Its length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// When it was last written to.
    fn modified(&self) -> io::Result<SystemTime>;
    /// Cuts it off or fills it with zeros.
    fn set_size(&self, size: u64) -> io::Result<()>;
    /// Returns when its contents are on the disk. `NotFound` when somebody removed the file: what is on the disk is
    /// lost all the same.
    fn sync(&self) -> io::Result<()>;
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut options = std::fs::OpenOptions::new();
        match options.read(true).write(true).open(path) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                Ok(Arc::new(std::fs::File::open(path)?))
            }
            other => Ok(Arc::new(other?)),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(std::fs::File::create_new(path)?))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::File::open(path)?.sync_all()
    }

    #[cfg(target_os = "linux")]
    fn sync_all(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(std::fs::File::open(path)?)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn sync_all(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl File for std::fs::File {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < into.len() {
            match std::os::unix::fs::FileExt::read_at(self, &mut into[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn modified(&self) -> io::Result<SystemTime> {
        self.metadata()?.modified()
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }

    fn sync(&self) -> io::Result<()> {
        match std::os::unix::fs::MetadataExt::nlink(&self.metadata()?) {
            0 => Err(io::ErrorKind::NotFound.into()),
            _ => self.sync_data(),
        }
    }
}
