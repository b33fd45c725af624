//! What makes the broker hold publishers back (<https://www.rabbitmq.com/docs/alarms>).

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// A resource that can run short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Alarm {
    /// Memory: also raised while more messages are held than [`super::Options::memory_limit`] allows.
    Memory = 1,
    /// Space on the disk.
    Disk = 2,
    /// Messages cannot be written to the disk, for whatever reason.
    Storage = 4,
}

/// The alarms that were raised.
#[derive(Debug, Default)]
pub(super) struct Alarms(AtomicU8);

impl Alarms {
    /// Raises or clears an alarm; true when that changed it.
    pub(super) fn set(&self, alarm: Alarm, raised: bool) -> bool {
        let bit = alarm as u8;
        let before = match raised {
            true => self.0.fetch_or(bit, Relaxed),
            false => self.0.fetch_and(!bit, Relaxed),
        };
        (before & bit != 0) != raised
    }

    /// What is short, besides the memory that `over_memory_limit` tells of; in the words of
    /// `connection.blocked` (`rabbit_reader:blocked_by_message`).
    pub(super) fn reason(&self, over_memory_limit: bool) -> Option<&'static str> {
        let raised = self.0.load(Relaxed) | (over_memory_limit as u8 * Alarm::Memory as u8);
        match raised {
            0 => None,
            1 => Some("low on memory"),
            raised if raised & Alarm::Memory as u8 == 0 => Some("low on disk"),
            _ => Some("low on memory & disk"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_names_what_is_short() {
        let alarms = Alarms::default();
        assert_eq!((alarms.reason(false), alarms.reason(true)), (None, Some("low on memory")));
        assert!(alarms.set(Alarm::Disk, true) && !alarms.set(Alarm::Disk, true));
        assert_eq!(alarms.reason(false), Some("low on disk"));
        assert_eq!(alarms.reason(true), Some("low on memory & disk"));
        assert!(alarms.set(Alarm::Disk, false));
        assert_eq!(alarms.reason(false), None);
    }
}
