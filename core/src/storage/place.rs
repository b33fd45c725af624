//! Where a broker's directory may be, and whose it has to be.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::statfs;

use super::directory::{OPERATION, failed};
use crate::error::{Error, Kind, Result};

/// What others may do in a directory that they can write in: put a socket of theirs in place of ours, for one.
const OTHERS_WRITE: u32 = 0o022;

/// File systems that machines share (`statfs(2)`): a lock does not reach from one to another on all of them, and a socket
/// on none.
const SHARED: [(u32, &str); 9] = [
    (0x6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x517b, "SMB"),
    (0x5346_414f, "AFS"),
    (0x7375_7245, "Coda"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x1983_0326, "BeeGFS"),
];

/// Refuses a directory, there or to be made, on a file system that machines share, or one of another user's; before
/// anything is written to it. Takes away what lets others write in it.
///
/// # Errors
/// `Unsupported`, `AccessRefused`; `ResourceError` when nobody can tell.
pub(super) fn check(path: &Path) -> Result<()> {
    let cannot = |error: io::Error| failed("cannot be looked at", path, error);
    let mut there = std::path::absolute(path).map_err(cannot)?;
    while !there.exists() && there.pop() {}
    let kind = statfs(&there).map_err(|error| cannot(error.into()))?.f_type;
    check_kind(path, kind as u32)?;
    if !path.is_dir() {
        return Ok(());
    }
    let found = path.metadata().map_err(cannot)?;
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != own {
        let reason = format!("belongs to another user: {}, and this process runs as {own}", found.uid());
        return Err(Error::new(Kind::AccessRefused, OPERATION, reason)
            .on(path.display().to_string())
            .advise("run as that user, or give the directory to this one (chown)"));
    }
    let mode = found.mode() & 0o7777;
    if mode & OTHERS_WRITE != 0 {
        let tightened = mode & !OTHERS_WRITE;
        tracing::warn!(
            directory = %path.display(),
            "others could write in it: its mode is now {tightened:04o} instead of {mode:04o}"
        );
        std::fs::set_permissions(path, PermissionsExt::from_mode(tightened)).map_err(cannot)?;
    }
    Ok(())
}

fn check_kind(path: &Path, kind: u32) -> Result<()> {
    let Some((_, name)) = SHARED.iter().find(|(shared, _)| *shared == kind) else { return Ok(()) };
    let reason =
        format!("is on a file system that machines share ({name}), where locks and sockets do not reach");
    Err(Error::new(Kind::Unsupported, OPERATION, reason)
        .on(path.display().to_string())
        .advise("use a directory on a disk of this machine; others come in by `warrenmq serve` and amqp://"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;
    use crate::storage::Directory;

    #[test]
    fn a_directory_on_a_file_system_that_machines_share_is_refused() {
        let error = check_kind(Path::new("/mnt/queues"), 0x6969).unwrap_err();
        assert_eq!((error.kind(), error.entity()), (Kind::Unsupported, "/mnt/queues"));
        assert!(error.to_string().contains("(NFS)") && error.to_string().contains("amqp://"), "{error}");
        assert!(check_kind(Path::new("/"), 0xef53).is_ok(), "ext4");
    }

    #[test]
    fn a_directory_of_another_user_is_refused_and_left_alone() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("  skipped: only root can give a directory away");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("theirs");
        std::fs::create_dir(&path).unwrap();
        chown(&path, Some(65_534), None).unwrap();
        let error = Directory::open(&path).unwrap_err();
        assert_eq!(error.kind(), Kind::AccessRefused);
        assert!(error.reason().contains("another user: 65534"), "{error}");
        assert_eq!(path.read_dir().unwrap().count(), 0);
        chown(&path, Some(0), None).unwrap();
        drop(Directory::open(&path).unwrap());
        chown(&path, Some(65_534), None).unwrap();
        assert_eq!(Directory::existing(&path).unwrap_err().kind(), Kind::AccessRefused);
    }

    #[test]
    fn others_cannot_write_in_a_directory_that_a_broker_has() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o775)).unwrap();
        drop(Directory::open(folder.path()).unwrap());
        assert_eq!(folder.path().metadata().unwrap().mode() & 0o777, 0o755);
    }
}
