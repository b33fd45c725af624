//! Copies of a directory, also while a broker has it, and back.
//!
//! A copy grows under another name (`.NAME.partial`), is synced, and only then gets its own, so that half of one is
//! never taken for a whole. An empty directory that is there already may be a mount, so the copy grows in it
//! (`NAME/.partial`) and moves up, `format` last, without which it is no directory of a broker. A copy is a directory
//! as any other: a broker may have it, and `warrenmq check` reads it.
//!
//! Of a running broker it has one moment of the messages, between two rounds of the committer, when each line is what
//! a crash would leave: everything that was confirmed is there. That moment takes as long as writing the files' sizes
//! down; nothing waits while they are copied, but files that are given up are removed afterwards. The definitions are
//! copied later than the messages, so that there are no messages of queues that they do not know.
//!
//! A sealed segment never changes, so on the same file system the copy shares it (a hard link).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, Weak};

use super::check;
use super::committer::closed;
use super::disk::{Disk, File, RealDisk};
use super::format::{SEAL_TAIL, Seal, SegmentId};
use super::line::{Extent, Line};
use super::{DefinitionStore, Directory, Messages, Options, directory, failed, reconcile};
use crate::broker::{Handover, Record};
use crate::error::{Error, Kind, Result};

/// Bytes that are copied at a time.
const CHUNK: usize = 1 << 20;
const PARTIAL: &str = ".partial";

/// What a copy has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files that were copied.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are shared with what was copied, as they do not change any more.
    pub shared: u64,
}

impl fmt::Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Copied { files, bytes, shared } = self;
        write!(f, "copied {files} files ({bytes} bytes), and {shared} more are shared")
    }
}

/// Copies a directory that is in use into `target`, which is new or empty: everything that was confirmed before.
///
/// # Errors
/// `PreconditionFailed` when something is in `target`; `InvalidArgument` when it has no name or is in the directory
/// itself; `ResourceError` when the disk fails or the store is closed meanwhile.
pub fn running(messages: &Messages, definitions: &DefinitionStore, target: &Path) -> Result<Copied> {
    let shared = &messages.shared;
    if let Some(own) = shared.folders.queues().parent()
        && resolved(target).starts_with(resolved(own))
    {
        let reason = "is in the directory of which it is to be a copy";
        return Err(Error::new(Kind::InvalidArgument, "back up", reason).on(target.display().to_string()));
    }
    let _kept = shared.folders.keep();
    make("back up", &*shared.disk, target, &|| shared.check_open(), |copy| {
        copy.messages(messages)?;
        definitions.at_rest(|file| copy.definitions(file))
    })
}

/// The same of a directory that this process has, but no broker.
///
/// # Errors
/// As [`running`], and `ResourceError` when what is there cannot be read.
pub fn resting(directory: &Directory, target: &Path) -> Result<Copied> {
    let definitions = DefinitionStore::open(&directory.definitions())?;
    let messages =
        Messages::open(Arc::new(RealDisk), directory.path().into(), Options::default(), Box::new(|_| {}))?;
    reconcile(&messages, &definitions, &Handover::default())?;
    let _lines = messages.open_all()?;
    running(&messages, &definitions, target)
}

/// Makes a directory, new or empty, of a backup that is whole and undamaged.
///
/// # Errors
/// `NotFound` when `backup` is none; `InvalidArgument` when a newer version wrote it; `ResourceLocked` when a broker
/// has one of the two; `PreconditionFailed` when something is in `target`; `ResourceError` when the backup is damaged
/// or the disk fails.
pub fn restore(backup: &Path, target: &Path) -> Result<Copied> {
    // On a disk that cannot be written there is no lock, nor who could have it.
    let _taken = match backup.join("lock").exists() {
        true => Some(Directory::existing(backup)?),
        false => directory::check_readable(backup).map(|()| None)?,
    };
    if target.join("format").exists() {
        drop(Directory::existing(target)?);
    }
    make("restore", &RealDisk, target, &|| Ok(()), |copy| {
        copy.folders(&backup.join("queues"))?;
        copy.definitions(&backup.join("definitions"))?;
        copy.verify(backup)
    })
}

/// Makes a directory of what `fill` brings. `go_on` is asked now and then.
pub(super) fn make(
    operation: &'static str,
    disk: &dyn Disk,
    target: &Path,
    go_on: &dyn Fn() -> Result<()>,
    fill: impl FnOnce(&mut Copy<'_>) -> Result<()>,
) -> Result<Copied> {
    let refuse =
        |kind, reason: &str| Err(Error::new(kind, operation, reason).on(target.display().to_string()));
    let Some((name, parent)) = target.file_name().zip(target.parent()) else {
        return refuse(Kind::InvalidArgument, "needs a name of its own");
    };
    let there = disk.list(target).map_err(failed("list", target))?;
    if there.iter().any(|name| name != PARTIAL) {
        return refuse(Kind::PreconditionFailed, "there is something in this directory already");
    }
    let inside = disk.sync_dir(target).is_ok();
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let into = match inside {
        true => target.join(PARTIAL),
        false => parent.join(format!(".{}{PARTIAL}", name.to_string_lossy())),
    };
    let mut copy =
        Copy { disk, into, go_on, files: Vec::new(), folders: Vec::new(), copied: Copied::default() };
    // What a process that was killed left behind.
    remove(disk, &copy.into).map_err(failed("remove", &copy.into))?;
    let made =
        copy.begin().and_then(|()| fill(&mut copy)).and_then(|()| copy.finish()).and_then(|()| {
            if inside { copy.move_up(target) } else { copy.rename(&copy.into, target, parent) }
        });
    if made.is_err() {
        let _ = remove(disk, &copy.into); // the next one does it
    }
    made.map(|()| copy.copied)
}

/// A copy that is being made.
pub(super) struct Copy<'a> {
    disk: &'a dyn Disk,
    into: PathBuf,
    go_on: &'a dyn Fn() -> Result<()>,
    /// All that it has so far.
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    copied: Copied,
}

impl Copy<'_> {
    fn begin(&self) -> Result<()> {
        let queues = self.into.join("queues");
        self.disk.create_dir(&queues).map_err(failed("create", &queues))
    }

    /// The messages of one moment. From before it nothing may be removed ([`Folders::keep`](super::folders::Folders)).
    pub(super) fn messages(&mut self, messages: &Messages) -> Result<()> {
        let (tell, told) = channel();
        let lines = messages.lines.clone();
        messages.shared.between_rounds(Box::new(move || {
            let lines = lines.lock();
            let lines = lines
                .values()
                .flatten()
                .filter_map(Weak::upgrade)
                .filter(|line| !line.is_deleted() && line.is_lasting());
            let moment: Vec<(Arc<Line>, Vec<Extent>)> =
                lines.map(|line| (line.clone(), line.extents())).collect();
            let _ = tell.send(moment); // nobody listens who has given up
        }));
        for (line, extents) in told.recv().map_err(|_| closed())? {
            let mark = line.mark_now()?;
            if extents.is_empty() && mark.is_none() {
                continue;
            }
            let to = self.folder(line.folder())?;
            for Extent { name, size, sealed } in extents {
                self.file(&line.folder().join(&name), &to.join(name), size, sealed)?;
            }
            if let Some((name, mark)) = mark {
                self.write(&to.join(name), &mark)?;
            }
        }
        Ok(())
    }

    /// All folders that are in this one, as they are.
    fn folders(&mut self, queues: &Path) -> Result<()> {
        for name in self.disk.list(queues).map_err(failed("list", queues))? {
            let from = queues.join(&name);
            let to = self.folder(&from)?;
            for file in self.disk.list(&from).map_err(failed("list", &from))? {
                let segment = name.parse().ok().and_then(|queue| SegmentId::parse(queue, &file));
                let sealed = segment.is_some_and(|(_, acks)| !acks);
                self.file(&from.join(&file), &to.join(&file), u64::MAX, sealed)?;
            }
        }
        Ok(())
    }

    /// The folder of the same name, made when it is first asked for.
    fn folder(&mut self, from: &Path) -> Result<PathBuf> {
        let to = self.into.join("queues").join(from.file_name().unwrap_or_default());
        if self.folders.last() != Some(&to) {
            self.disk.create_dir(&to).map_err(failed("create", &to))?;
            self.folders.push(to.clone());
        }
        Ok(to)
    }

    fn definitions(&mut self, from: &Path) -> Result<()> {
        let source = self.disk.open(from).map_err(failed("open", from))?;
        let size = source.size().map_err(failed("read", from))?;
        self.bytes(&*source, from, &self.into.join("definitions"), size)
    }

    /// The first `size` bytes of a file; a segment that may be sealed, whole if it is, and shared if it can be.
    fn file(&mut self, from: &Path, to: &Path, size: u64, sealed: bool) -> Result<()> {
        (self.go_on)()?;
        let source = match self.disk.open(from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Somebody removed it behind the broker's back.
                tracing::warn!(file = %from.display(), "a file is gone, and will not be in the copy");
                return Ok(());
            }
            source => source.map_err(failed("open", from))?,
        };
        let there = source.size().map_err(failed("read", from))?;
        let mut tail = [0; SEAL_TAIL];
        if sealed
            && source.read_at(&mut tail, there.saturating_sub(SEAL_TAIL as u64)).is_ok()
            && Seal::size(tail).is_some()
        {
            if self.disk.link(from, to).is_ok() {
                self.files.push(to.to_owned());
                self.copied.shared += 1;
                return Ok(());
            }
            return self.bytes(&*source, from, to, there);
        }
        self.bytes(&*source, from, to, size.min(there))
    }

    fn bytes(&mut self, source: &dyn File, from: &Path, to: &Path, size: u64) -> Result<()> {
        let target = self.create(to)?;
        let mut buffer = vec![0; CHUNK.min(size as usize)];
        let mut at = 0;
        while at < size {
            (self.go_on)()?;
            let piece = &mut buffer[..CHUNK.min((size - at) as usize)];
            let read = source.read_at(piece, at).map_err(failed("read", from))?;
            if read < piece.len() {
                return Err(failed("read", from)(io::ErrorKind::UnexpectedEof.into()));
            }
            target.write_at(piece, at).map_err(failed("write", to))?;
            at += read as u64;
        }
        self.copied.bytes += size;
        Ok(())
    }

    fn write(&mut self, to: &Path, contents: &[u8]) -> Result<()> {
        self.copied.bytes += contents.len() as u64;
        self.create(to)?.write_at(contents, 0).map_err(failed("write", to))
    }

    fn create(&mut self, to: &Path) -> Result<Arc<dyn File>> {
        self.copied.files += 1;
        self.files.push(to.to_owned());
        self.disk.create(to).map_err(failed("create", to))
    }

    /// Reads everything, as `backup` may have been damaged where it lay.
    fn verify(&self, backup: &Path) -> Result<()> {
        for folder in &self.folders {
            let found = check::folder(self.disk, folder, false)?.findings;
            if let Some(finding) = found.first() {
                let reason = format!("is damaged in {} places, the first: {finding}", found.len());
                return Err(Error::new(Kind::ResourceError, "restore", reason)
                    .on(backup.display().to_string())
                    .advise("look with 'warrenmq check', and mend what can be with --repair"));
            }
        }
        DefinitionStore::open(&self.into.join("definitions"))?.recorded().map(drop)
    }

    /// Brings all of it to the disk.
    fn finish(&mut self) -> Result<()> {
        self.write(&self.into.join("format"), directory::format_text().as_bytes())?;
        match self.disk.sync_all(&self.into) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.sync_each(),
            synced => synced,
        }
        .map_err(failed("sync", &self.into))
    }

    /// Moves what it has into `target`. When it fails half-way, `target` is none and has to be emptied by hand.
    fn move_up(&self, target: &Path) -> Result<()> {
        let mut names = self.disk.list(&self.into).map_err(failed("list", &self.into))?;
        names.sort_unstable_by_key(|name| name == "format");
        for name in names {
            self.rename(&self.into.join(&name), &target.join(&name), target)?;
        }
        let _ = self.disk.remove_dir(&self.into); // it is nothing to a broker
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path, parent: &Path) -> Result<()> {
        self.disk.rename(from, to).map_err(failed("rename", from))?;
        self.disk.sync_dir(parent).map_err(failed("sync", parent))
    }

    fn sync_each(&self) -> io::Result<()> {
        self.files.iter().try_for_each(|file| self.disk.open(file)?.sync())?;
        self.folders
            .iter()
            .chain([&self.into.join("queues"), &self.into])
            .try_for_each(|dir| self.disk.sync_dir(dir))
    }
}

/// Removes a file, or a folder with everything in it, if it is there.
fn remove(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    for name in disk.list(path)? {
        let path = path.join(name);
        match disk.list(&path) {
            Ok(_) => remove(disk, &path)?,
            Err(_) => disk.remove(&path)?,
        }
    }
    match disk.remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A path without links, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = absolute.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    match there {
        Some((above, real)) => real.join(absolute.strip_prefix(above).unwrap_or(Path::new(""))),
        None => absolute,
    }
}
