//! What a fork leaves behind.
//!
//! The child has the parent's memory but none of its threads, so a lock that another thread held stays
//! locked for ever. Nothing that was opened before the fork may be touched or dropped in the child.

use std::fmt;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use pyo3::prelude::*;
use warrenmq::{Error, Kind, Result, client};

use crate::signals;

/// Forks between the first process and this one.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// To be called in the child of a fork before anything else of this module.
#[pyfunction]
#[expect(unsafe_code, reason = "descriptors of the parent are known by their numbers only")]
pub(crate) fn after_fork(py: Python<'_>) -> PyResult<()> {
    FORKS.fetch_add(1, Relaxed);
    for descriptor in client::after_fork() {
        // SAFETY: it was open in the parent, hence is here, and nothing of this process will use or close it: what the
        // parent had opened is neither touched nor dropped.
        drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
    }
    signals::this_is_the_main_thread(py)
}

/// The process in which something was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Birthplace(u32);

impl Birthplace {
    pub(crate) fn here() -> Self {
        Birthplace(FORKS.load(Relaxed))
    }

    /// Refuses what was made before a fork.
    #[inline]
    pub(crate) fn check(self, operation: &'static str) -> Result<()> {
        if self.0 == FORKS.load(Relaxed) { Ok(()) } else { Err(forked(operation)) }
    }
}

#[cold]
fn forked(operation: &'static str) -> Error {
    let reason = "this connection was opened before the process forked, and belongs to the parent";
    Error::new(Kind::Forked, operation, reason).advise("open a new connection in the child process")
}

/// A value of the process that made it: any other can neither reach nor drop it.
pub(crate) struct Ours<T> {
    value: Option<T>,
    born: Birthplace,
}

impl<T> Ours<T> {
    pub(crate) fn new(value: T) -> Self {
        Ours { value: Some(value), born: Birthplace::here() }
    }

    /// The value, in the process that made it.
    #[inline]
    pub(crate) fn get(&self, operation: &'static str) -> Result<&T> {
        self.born.check(operation)?;
        self.value.as_ref().ok_or_else(|| forked(operation))
    }
}

impl<T> Drop for Ours<T> {
    fn drop(&mut self) {
        if self.born.check("drop").is_err() {
            std::mem::forget(self.value.take());
        }
    }
}

impl<T> fmt::Debug for Ours<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ours").field("born", &self.born).finish_non_exhaustive()
    }
}
