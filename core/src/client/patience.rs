//! Looking for what may come any moment, before sleep.
//!
//! To wake a thread that sleeps takes 10 to 30 µs; a request to another thread and its answer wake two. Who has found
//! for a while that what it waits for comes sooner than that looks for it instead. Every look lets others go first; who
//! looks in vain, or on a busy machine, does so ever more seldom.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// How long one looks: longer than a call of another process takes when one of the two does not look yet. With 50 µs
/// neither found anything before the other began to look, too, and calls took 75 to 130 µs instead of 26.
const SPAN: Duration = Duration::from_micros(200);
/// In vain so many times in a row, and looking is left out 2, 4, 8 … and at last 64 times.
const VAIN: u32 = 6;
/// Threads that may look at a time: request and response take two.
const FEW: usize = 2;

static LOOKING: AtomicUsize = AtomicUsize::new(0);

/// Whether looking is worth while in one place.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Times in a row that nothing came.
    vain: AtomicU32,
    /// Times that looking is still left out.
    left_out: AtomicU32,
}

impl Patience {
    /// Looks whether something is there, for a short time if that has been worth while; `prepare` gives what to keep
    /// meanwhile.
    pub(super) fn look<T>(&self, prepare: impl FnOnce() -> T, there: impl Fn(&T) -> bool) -> bool {
        let (others, begin) = (LOOKING.fetch_add(1, Relaxed), Instant::now());
        let found = others < FEW && self.look_alone(prepare, there, || begin.elapsed());
        LOOKING.fetch_sub(1, Relaxed);
        found
    }

    fn look_alone<T>(
        &self,
        prepare: impl FnOnce() -> T,
        there: impl Fn(&T) -> bool,
        elapsed: impl Fn() -> Duration,
    ) -> bool {
        if self.left_out.fetch_update(Relaxed, Relaxed, |times| times.checked_sub(1)).is_ok() {
            return false;
        }
        let kept = prepare();
        let found = loop {
            if there(&kept) {
                break true;
            }
            if elapsed() >= SPAN {
                break false;
            }
            thread::yield_now();
        };
        // Where others want the processor, who lets them go first comes back late; who sleeps is woken sooner.
        if found && elapsed() < 2 * SPAN {
            self.vain.store(0, Relaxed);
        } else {
            let vain = (self.vain.load(Relaxed) + 1).min(VAIN);
            self.vain.store(vain, Relaxed);
            self.left_out.store(1 << vain, Relaxed);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn who_looks_in_vain_looks_ever_more_seldom_until_something_comes_again() {
        let (patience, looks) = (Patience::default(), Cell::new(0));
        let (soon, late) = (|| Duration::ZERO, || 2 * SPAN);
        let leaves_out = |times: u32| {
            looks.set(0);
            let nothing = |&(): &()| {
                looks.set(looks.get() + 1);
                false
            };
            for _ in 0..times {
                assert!(!patience.look_alone(|| (), nothing, late));
            }
            assert_eq!(looks.get(), 0, "left out {times} times");
        };
        for times in [2, 4, 8, 16, 32, 64, 64] {
            assert!(!patience.look_alone(|| (), |&()| false, late));
            leaves_out(times);
        }
        let third = |&(): &()| looks.replace(looks.get() + 1) == 2;
        assert!(patience.look_alone(|| (), third, soon));
        assert!(patience.look_alone(|| (), |&()| true, late), "there, but the processor is wanted by others");
        leaves_out(2);
        assert!(patience.look_alone(|| (), |&()| true, soon));
    }
}
