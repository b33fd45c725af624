//! What another process may ask of the one that has a directory: the socket `control` in it.
//!
//! A request is a word, for some with a space and more behind it, up to the end of what the asking side writes; the
//! answer is `done ` or `failed ` and what there is to say.
//!
//! | request | answer |
//! |---|---|
//! | `backup PATH` | a text for people |
//! | `status` | a [`Report`] as JSON |

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::doorway;
use crate::error::{Error, Kind, Result};
use crate::fork::Inherited;
use crate::status::Report;
use crate::storage::backup::Copied;

const NAME: &str = "control";
const BACKUP: &[u8] = b"backup ";
const STATUS: &[u8] = b"status";
/// Longer requests have no sense.
const LONGEST: u64 = 64 << 10;
/// How long who asks may take to say what, and to read a part of the answer: one is answered at a time.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a process that has a directory does for others.
pub(crate) trait Requests: Send + 'static {
    /// Copies the directory to this path.
    fn backup(&self, target: &Path) -> Result<Copied>;

    /// Says what there is.
    fn status(&self) -> Report;
}

/// Answers requests until it is dropped.
#[derive(Debug)]
pub(crate) struct Control {
    directory: PathBuf,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Listens in a directory that this process has, for this process's user and root.
    ///
    /// # Errors
    /// Where the file system has no sockets.
    pub(crate) fn listen(directory: &Path, requests: impl Requests) -> io::Result<Self> {
        let listener = doorway::listen(directory, NAME)?;
        let stopping = Arc::<AtomicBool>::default();
        let answer = {
            let stopping = stopping.clone();
            move || {
                let _inherited = Inherited::by_children(&listener);
                for stream in listener.incoming() {
                    if stopping.load(Relaxed) {
                        return;
                    }
                    if let Err(error) = stream.and_then(|stream| answer(stream, &requests)) {
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

fn answer(mut stream: UnixStream, requests: &impl Requests) -> io::Result<()> {
    let _inherited = Inherited::by_children(&stream);
    if !doorway::is_ours(doorway::user(&stream)?) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the process belongs to another user"));
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    Read::by_ref(&mut stream).take(LONGEST).read_to_end(&mut request)?;
    let answer = match (request.strip_prefix(BACKUP), &*request) {
        (Some(target), _) => match requests.backup(Path::new(OsStr::from_bytes(target))) {
            Ok(copied) => format!("done {copied}"),
            Err(error) => format!("failed {}: {}", error.entity(), error.reason()),
        },
        (None, STATUS) => format!("done {}", serde_json::to_string(&requests.status())?),
        _ => "failed this version does not know that request".into(),
    };
    stream.write_all(answer.as_bytes())
}

/// Has the process that has a directory copy it to `target`, an absolute path; what it says.
///
/// # Errors
/// `Unreachable` when nobody answers, `ResourceError` with the reason that it gives.
pub(crate) fn ask_backup(directory: &Path, target: &Path) -> Result<String> {
    ask("back up", directory, &[BACKUP, target.as_os_str().as_bytes()].concat(), None)
}

/// Asks the process that has a directory what there is.
///
/// # Errors
/// `Unreachable` when nobody answers, `Timeout` when it takes longer, `ResourceError` when it does not understand.
pub(crate) fn ask_status(directory: &Path, within: Duration) -> Result<Report> {
    const OPERATION: &str = "status";
    let answer = ask(OPERATION, directory, STATUS, Some(within))?;
    serde_json::from_str(&answer).map_err(|error| {
        Error::new(Kind::ResourceError, OPERATION, format!("another version has it: {error}"))
            .on(directory.display().to_string())
            .caused_by(error)
    })
}

fn ask(
    operation: &'static str,
    directory: &Path,
    request: &[u8],
    within: Option<Duration>,
) -> Result<String> {
    let ask = || {
        let mut stream = doorway::connect(directory, NAME)?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(within)?;
        stream.write_all(request)?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let error = |kind, reason: &str| Error::new(kind, operation, reason).on(directory.display().to_string());
    let answer = ask().map_err(|cause: io::Error| match (cause.kind(), within) {
        (io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut, Some(within)) => {
            error(Kind::Timeout, &format!("the process that has it does not answer within {within:?}"))
                .caused_by(cause)
        }
        _ => error(Kind::Unreachable, &format!("the process that has it does not answer: {cause}"))
            .advise("it may be starting or stopping: try again")
            .caused_by(cause),
    })?;
    match answer.split_once(' ') {
        Some(("done", said)) => Ok(said.to_owned()),
        Some(("failed", reason)) => Err(error(Kind::ResourceError, reason)),
        _ => Err(error(Kind::Unreachable, "the process that has it ended meanwhile")),
    }
}
