//! Counting what a limit allows: connections and channels.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many there are of something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seats(Arc<AtomicU64>);

/// One of them; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat(Seats);

/// A limit as RabbitMQ's definitions have it: a negative number is none.
pub(crate) fn limit(configured: Option<i64>) -> Option<u64> {
    configured.and_then(|number| u64::try_from(number).ok())
}

impl Seats {
    /// Takes a seat if fewer than `limit` are taken.
    ///
    /// # Errors
    /// The limit, when it is reached.
    pub(crate) fn take(&self, limit: Option<u64>) -> Result<Seat, u64> {
        let limit = limit.unwrap_or(u64::MAX);
        let free = |taken: u64| (taken < limit).then(|| taken + 1);
        match self.0.fetch_update(Relaxed, Relaxed, free) {
            Ok(_) => Ok(Seat(self.clone())),
            Err(_) => Err(limit),
        }
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_when_it_is_given_back() {
        let seats = Seats::default();
        let first = seats.take(Some(1)).unwrap();
        assert_eq!(seats.take(Some(1)).unwrap_err(), 1);
        drop(first);
        assert!(seats.take(Some(1)).is_ok());
        assert_eq!(seats.take(Some(0)).unwrap_err(), 0);
        assert_eq!(limit(Some(-1)), None);
    }
}
