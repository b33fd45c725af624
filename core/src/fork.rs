//! Which process this is in a line of forks, and the descriptors that a forked child must not keep.
//!
//! A lock is free, and a socket ended, only when every process that has it has closed it: a child that outlives its
//! parent would keep others from taking a directory over, and from noticing that the parent is gone.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

/// Processes in a line of forks that have a [`place`] of their own.
pub(crate) const PROCESSES: usize = 32;

/// Forks between the first process and this one.
static FORKS: AtomicUsize = AtomicUsize::new(0);

/// One list for each process: that of the parent may have been locked at the moment of the fork.
static OPEN: [Mutex<Vec<RawFd>>; PROCESSES] = [const { Mutex::new(Vec::new()) }; PROCESSES];

/// How many forks there are between the first process and this one.
pub(crate) fn generation() -> usize {
    FORKS.load(Relaxed)
}

/// This process's place among [`PROCESSES`].
pub(crate) fn place() -> usize {
    generation().min(PROCESSES - 1)
}

/// A descriptor on the list, until this is dropped, which must be before it is closed.
#[derive(Debug)]
pub(crate) struct Inherited {
    descriptor: RawFd,
    process: usize,
}

impl Inherited {
    pub(crate) fn by_children(descriptor: impl AsFd) -> Self {
        let descriptor = descriptor.as_fd().as_raw_fd();
        let process = place();
        OPEN[process].lock().push(descriptor);
        Inherited { descriptor, process }
    }
}

impl Drop for Inherited {
    fn drop(&mut self) {
        if self.process == place() {
            let mut open = OPEN[self.process].lock();
            if let Some(index) = open.iter().position(|open| *open == self.descriptor) {
                open.swap_remove(index);
            }
        }
    }
}

/// In the child of a fork, what the parent had open. None when the parent was just changing that.
pub(crate) fn after_fork() -> Vec<RawFd> {
    let parent = place();
    FORKS.fetch_add(1, Relaxed);
    OPEN[parent].try_lock().map(|mut open| std::mem::take(&mut *open)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_on_the_list_as_long_as_it_is_open() {
        let (one, other) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
        let list = || OPEN[0].lock().clone();
        let noted = Inherited::by_children(&one);
        assert!(list().contains(&one.as_raw_fd()) && !list().contains(&other.as_raw_fd()));
        drop(noted);
        assert!(!list().contains(&one.as_raw_fd()));
    }
}
