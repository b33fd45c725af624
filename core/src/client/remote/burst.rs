//! Which writes are one of many, so that a thread had better come by for all of them now and then.
//!
//! In a burst a system call per message costs more than all else. But who waits for an answer after each write, and gets
//! it within some 25 µs, looks the same at first: there the thread finds one write only whenever it comes, a call takes
//! 100 µs, and who was seen to be no burst is believed ever longer.

use std::time::{Duration, Instant};

/// How many writes in a row, each soon after the one before, are taken for a burst.
const FEW: u32 = 32;
/// The same for a connection where that has been wrong.
const MANY: u32 = 1 << 14;
const SOON: Duration = Duration::from_micros(25);
/// So many writes in one are worth the thread that does it.
const WORTH: u32 = 4;

#[derive(Debug)]
pub(super) struct Burst {
    last: Instant,
    /// How many writes have followed each other soon.
    row: u32,
    /// How many make a burst.
    enough: u32,
}

impl Burst {
    pub(super) fn none(now: Instant) -> Self {
        Burst { last: now, row: 0, enough: FEW }
    }

    /// Notes a write; true when a burst begins by it.
    pub(super) fn begins(&mut self, now: Instant) -> bool {
        self.row = if now - self.last < SOON { self.row + 1 } else { 0 };
        self.last = now;
        let begins = self.row >= self.enough;
        if begins {
            self.row = 0;
        }
        begins
    }

    /// Whether it goes on, now that a thread has come by for so many writes, `first` or again.
    pub(super) fn goes_on(&mut self, writes: u32, first: bool) -> bool {
        match (writes >= WORTH, first) {
            (true, _) => self.enough = FEW,
            (false, true) => self.enough = (self.enough * 2).min(MANY),
            (false, false) => {}
        }
        writes >= WORTH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many writes, each so long after the one before, until a burst begins.
    fn until(burst: &mut Burst, apart: Duration) -> Option<u32> {
        (0..=MANY).find(|_| burst.begins(burst.last + apart))
    }

    #[test]
    fn writes_that_follow_each_other_soon_are_a_burst_as_long_as_it_is_worth_while() {
        let mut burst = Burst::none(Instant::now());
        assert_eq!(until(&mut burst, SOON), None);
        assert_eq!(until(&mut burst, SOON / 2), Some(FEW - 1));
        assert!(burst.goes_on(WORTH, true) && burst.goes_on(WORTH, false) && !burst.goes_on(0, false));
        assert_eq!(until(&mut burst, SOON / 2), Some(FEW - 1));
    }

    #[test]
    fn who_waits_for_an_answer_after_each_is_taken_for_a_burst_ever_more_seldom() {
        let mut burst = Burst::none(Instant::now());
        for enough in [FEW, 2 * FEW, 4 * FEW] {
            assert_eq!(until(&mut burst, SOON / 2), Some(enough - 1));
            assert!(!burst.goes_on(1, true));
        }
        for _ in 0..20 {
            assert!(!burst.goes_on(1, true));
        }
        assert_eq!(until(&mut burst, SOON / 2), Some(MANY - 1));
        assert!(burst.goes_on(WORTH, true));
        assert_eq!(until(&mut burst, SOON / 2), Some(FEW - 1));
    }
}
