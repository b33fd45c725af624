//! Time, which tests can hold still and advance.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the broker takes its time from. Clones share the same time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until [`Clock::advance`] moves it.
    Held(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands at `unix_ms` milliseconds since 1970.
    pub fn held(unix_ms: u64) -> Self {
        Clock::Held(Arc::new(AtomicU64::new(unix_ms)))
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        match self {
            Clock::System => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
            }
            Clock::Held(ms) => ms.load(Ordering::Acquire),
        }
    }

    /// When `ms` milliseconds have passed since `since`, which was read from this clock in the midst of a millisecond:
    /// never early by a part of one, as in RabbitMQ, which counts microseconds.
    pub fn end_ms(&self, since: u64, ms: u64) -> u64 {
        let begun = u64::from(matches!(self, Clock::System));
        since.saturating_add(ms).saturating_add(begun)
    }

    /// Moves a held clock on; the machine's clock goes its own way.
    pub fn advance(&self, by: Duration) {
        if let Clock::Held(ms) = self {
            ms.fetch_add(by.as_millis() as u64, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_clock_moves_only_when_it_is_advanced() {
        let clock = Clock::held(1_000);
        let same = clock.clone();
        assert_eq!(clock.now_ms(), 1_000);
        clock.advance(Duration::from_secs(2));
        assert_eq!(same.now_ms(), 3_000);
    }

    #[test]
    fn a_time_that_began_within_a_millisecond_ends_in_another_one_later() {
        assert_eq!(Clock::System.end_ms(1_000, 200), 1_201);
        assert_eq!(Clock::System.end_ms(1_000, u64::MAX), u64::MAX);
        assert_eq!(Clock::held(1_000).end_ms(1_000, 200), 1_200);
    }
}
