//! Signs of life, sent and expected (AMQP 0-9-1, section 4.2.7).

use std::future::pending;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// The least time that a host is given: it beats every half second at most.
const LEAST: Duration = Duration::from_secs(2);

/// What one socket's reader knows of them.
pub(super) struct Heartbeat {
    /// None without.
    beat: Option<Interval>,
    /// How often it beat since something was heard. Time alone would also count that in which we were stopped ourselves.
    silent: u32,
    /// At which of these it is missed.
    missed: u32,
}

impl Heartbeat {
    /// One that is sent and expected within so many seconds; 0 is without.
    pub(super) fn agreed(seconds: u16) -> Self {
        // Every half of the time; twice the time is waited, as the specification has it: one may be under way.
        Self::every((seconds > 0).then(|| Duration::from_millis(u64::from(seconds) * 500)), 5)
    }

    /// One that is expected of a host, and missed within this time.
    pub(super) fn of_host(within: Option<Duration>) -> Self {
        Self::every(within.map(|_| Self::patience(within) / 4), 4)
    }

    /// How long a host may be silent at most.
    pub(super) fn patience(within: Option<Duration>) -> Duration {
        within.unwrap_or_default().max(LEAST)
    }

    /// The seconds to agree on with a host, so that it beats often enough for that.
    pub(super) fn wanted(within: Option<Duration>) -> u16 {
        within.map_or(0, |_| u16::try_from(Self::patience(within).as_secs() / 2).unwrap_or(u16::MAX))
    }

    fn every(time: Option<Duration>, missed: u32) -> Self {
        let beat = time.map(|time| {
            let mut beat = interval(time);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beat.reset(); // the first one is due after that time
            beat
        });
        Heartbeat { beat, silent: 0, missed }
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
        self.silent = 0;
    }

    /// Counts one that was due. Whether the other side has been silent for too long.
    pub(super) fn is_missed(&mut self) -> bool {
        self.silent = self.silent.saturating_add(1);
        self.silent >= self.missed
    }
}
