//! Signs of life, sent and expected (AMQP 0-9-1, section 4.2.7).

use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// What one socket's reader knows of them.
pub(super) struct Heartbeat {
    /// Every half of the time that was agreed on; none without.
    beat: Option<Interval>,
    patience: Duration,
    heard: Instant,
}

impl Heartbeat {
    /// One that is sent and expected within so many seconds; 0 is without.
    pub(super) fn new(seconds: u16) -> Self {
        let beat = (seconds > 0).then(|| {
            let mut beat = interval(Duration::from_millis(u64::from(seconds) * 500));
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beat
        });
        // Twice the time, as the specification has it: one may be under way.
        Heartbeat { beat, patience: 2 * Duration::from_secs(seconds.into()), heard: Instant::now() }
    }

    pub(super) fn beats(&self) -> bool {
        self.beat.is_some()
    }

    /// When the next one is to be sent. Nothing is lost when the future is dropped.
    pub(super) async fn due(&mut self) {
        match &mut self.beat {
            Some(beat) => drop(beat.tick().await),
            None => pending().await,
        }
    }

    /// The other side lives.
    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
    }

    pub(super) fn is_missed(&self) -> bool {
        self.heard.elapsed() > self.patience
    }
}
