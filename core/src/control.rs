//! What another process may ask of the one that has a directory: the socket `control` in it.
//!
//! A request is `backup ` and a path, up to the end of what the asking side writes; the answer is `done ` or
//! `failed ` and a text for people.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{Builder, JoinHandle};

use crate::doorway;
use crate::error::{Error, Kind, Result};
use crate::storage::backup::Copied;

const NAME: &str = "control";
const BACKUP: &[u8] = b"backup ";
/// Longer requests have no sense.
const LONGEST: u64 = 64 << 10;

/// Answers requests until it is dropped.
#[derive(Debug)]
pub(crate) struct Control {
    directory: PathBuf,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Listens in a directory that this process has. `backup` copies it.
    ///
    /// # Errors
    /// Where the file system has no sockets.
    pub(crate) fn listen(
        directory: &Path,
        backup: impl Fn(&Path) -> Result<Copied> + Send + 'static,
    ) -> io::Result<Self> {
        let listener = doorway::listen(directory, NAME)?;
        let stopping = Arc::<AtomicBool>::default();
        let answer = {
            let stopping = stopping.clone();
            move || {
                for stream in listener.incoming() {
                    if stopping.load(Relaxed) {
                        return;
                    }
                    if let Err(error) = stream.and_then(|stream| answer(stream, &backup)) {
                        tracing::warn!(%error, "a request could not be answered");
                    }
                }
            }
        };
        let thread = Builder::new().name("warrenmq-control".into()).spawn(answer)?;
        Ok(Control { directory: directory.to_owned(), stopping, thread: Some(thread) })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stopping.store(true, Relaxed);
        // Wakes it; it is gone already where nobody answers.
        let woken = doorway::connect(&self.directory, NAME).is_ok();
        let _ = std::fs::remove_file(self.directory.join(NAME));
        if let Some(thread) = self.thread.take_if(|_| woken) {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: UnixStream, backup: impl Fn(&Path) -> Result<Copied>) -> io::Result<()> {
    let mut request = Vec::new();
    Read::by_ref(&mut stream).take(LONGEST).read_to_end(&mut request)?;
    let answer = match request.strip_prefix(BACKUP) {
        Some(target) => match backup(Path::new(OsStr::from_bytes(target))) {
            Ok(copied) => format!("done {copied}"),
            Err(error) => format!("failed {}: {}", error.entity(), error.reason()),
        },
        None => "failed this version does not know that request".into(),
    };
    stream.write_all(answer.as_bytes())
}

/// Has the process that has a directory copy it to `target`, an absolute path; what it says.
///
/// # Errors
/// `Unreachable` when nobody answers, `ResourceError` with the reason that it gives.
pub(crate) fn ask_backup(directory: &Path, target: &Path) -> Result<String> {
    let ask = || {
        let mut stream = doorway::connect(directory, NAME)?;
        stream.set_nonblocking(false)?;
        stream.write_all(&[BACKUP, target.as_os_str().as_bytes()].concat())?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let error = |kind, reason: &str| Error::new(kind, "back up", reason).on(directory.display().to_string());
    let answer = ask().map_err(|cause: io::Error| {
        error(Kind::Unreachable, &format!("the process that has it does not answer: {cause}"))
            .advise("it may be starting or stopping: try again")
            .caused_by(cause)
    })?;
    match answer.split_once(' ') {
        Some(("done", copied)) => Ok(copied.to_owned()),
        Some(("failed", reason)) => Err(error(Kind::ResourceError, reason)),
        _ => Err(error(Kind::ResourceError, "the process that has it ended meanwhile")),
    }
}
