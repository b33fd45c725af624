//! How much may be published and not yet confirmed.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Error, Kind, Result};

/// Bytes that may wait for their confirms, besides the number of messages that
/// [`ConnectOptions`](crate::client::ConnectOptions) gives.
const MAX_BYTES: usize = 64 << 20;

/// What a message costs besides its body while it waits.
const OVERHEAD: usize = 512;

/// What one connection has under way.
#[derive(Debug)]
pub(super) struct InFlight {
    /// Messages and bytes.
    now: Mutex<(usize, usize)>,
    max_messages: usize,
}

/// A place among the messages under way, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    of: Arc<InFlight>,
    messages: usize,
    bytes: usize,
}

impl InFlight {
    pub(super) fn new(max_messages: usize) -> Arc<Self> {
        Arc::new(InFlight { now: Mutex::default(), max_messages })
    }

    /// Lets in messages with this many bytes of bodies together. What is more than the bounds allow at all
    /// is let in when nothing else is under way.
    ///
    /// # Errors
    /// `Backpressure`.
    pub(super) fn enter(self: &Arc<Self>, messages: usize, bodies: usize) -> Result<Ticket> {
        let bytes = bodies + messages * OVERHEAD;
        let mut now = self.now.lock();
        let (after_messages, after_bytes) = (now.0 + messages, now.1 + bytes);
        if now.0 > 0 && (after_messages > self.max_messages || after_bytes > MAX_BYTES) {
            let reason = format!("{} publishes ({} KiB) are not confirmed yet", now.0, now.1 >> 10);
            return Err(Error::new(Kind::Backpressure, "basic.publish", reason)
                .advise("await publishes before making more"));
        }
        *now = (after_messages, after_bytes);
        Ok(Ticket { of: self.clone(), messages, bytes })
    }
}

impl InFlight {
    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.now.lock().0 == 0
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut now = self.of.now.lock();
        now.0 -= self.messages;
        now.1 -= self.bytes;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test that fails may panic
mod tests {
    use super::*;

    #[test]
    fn messages_and_bytes_are_bounded_and_given_back() {
        let in_flight = InFlight::new(2);
        let first = in_flight.enter(1, 10).unwrap();
        let second = in_flight.enter(1, 10).unwrap();
        assert_eq!(in_flight.enter(1, 0).unwrap_err().kind(), Kind::Backpressure);
        drop(first);
        assert_eq!(in_flight.enter(1, MAX_BYTES).unwrap_err().kind(), Kind::Backpressure);
        drop(second);
        drop(in_flight.enter(1, MAX_BYTES).unwrap());
        in_flight.enter(100, 0).unwrap();
    }
}
