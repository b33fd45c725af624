//! Waiting for what another thread brings about.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{self, PoisonError};
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

/// A condition variable for parking_lot's locks that leaves nothing behind in the child of a fork.
///
/// parking_lot's own has all threads of the process that wait in one table. A child has that table too, with its
/// parent's threads in it, on stacks that the child's own threads are given: whoever then notified somebody in the same
/// row crashed. The standard library's knows nobody who waits.
#[derive(Default)]
pub struct Condition {
    waiting: AtomicUsize,
    /// Counts notifications.
    count: sync::Mutex<u64>,
    told: sync::Condvar,
}

impl Condition {
    /// Wakes all who wait. Whoever calls has changed what they wait for since, with the lock that they gave.
    pub fn notify_all(&self) {
        // They are counted with that lock held, so those who saw what was before are seen here.
        if self.waiting.load(Relaxed) > 0 {
            *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            self.told.notify_all();
        }
    }

    /// Waits until it is notified, without the lock.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        self.wait_until(guard, None);
    }

    /// The same for at most so long; false when it was not notified.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, timeout: Duration) -> bool {
        self.wait_until(guard, Instant::now().checked_add(timeout))
    }

    /// The same until a time, if there is one; false when it was not notified.
    pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, deadline: Option<Instant>) -> bool {
        self.waiting.fetch_add(1, Relaxed);
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = *count;
        let notified = MutexGuard::unlocked(guard, move || {
            while *count == seen {
                count = match deadline {
                    None => self.told.wait(count).unwrap_or_else(PoisonError::into_inner),
                    Some(deadline) => {
                        let left = deadline.saturating_duration_since(Instant::now());
                        if left.is_zero() {
                            return false;
                        }
                        self.told.wait_timeout(count, left).unwrap_or_else(PoisonError::into_inner).0
                    }
                };
            }
            true
        });
        self.waiting.fetch_sub(1, Relaxed);
        notified
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::thread;

    #[test]
    fn whoever_waits_hears_of_every_change() {
        let (turn, changed) = (Mutex::new(0), Condition::default());
        let play = |mine: i32| {
            for _ in 0..1000 {
                let mut turn = turn.lock();
                while *turn % 2 != mine {
                    changed.wait(&mut turn);
                }
                *turn += 1;
                drop(turn);
                changed.notify_all();
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| play(0));
            scope.spawn(|| play(1));
        });
        assert_eq!(*turn.lock(), 2000);
    }

    #[test]
    fn waiting_ends_with_its_time() {
        let (lock, changed) = (Mutex::new(()), Condition::default());
        assert!(!changed.wait_for(&mut lock.lock(), Duration::from_millis(1)));
        assert!(!changed.wait_until(&mut lock.lock(), Some(Instant::now())));
        assert!(lock.try_lock().is_some());
    }
}
