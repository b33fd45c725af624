//! What happens at its time: expiry, delays, consumers that take too long.
//!
//! One thread for a broker, started when something is first to happen, asleep until the earliest of it is
//! due. With a held [`Clock`] there is no thread: [`Timers::run`] does what has become due.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::outbox::Wakes;
use crate::clock::Clock;
use crate::condition::Condition;

/// Never: later than any time.
pub(super) const NEVER: u64 = u64::MAX;

/// Something that can be told that its time has come.
pub(super) trait Timed: Send + Sync {
    /// Called with no lock of the broker held. May come early or for nothing: look at `now`, and set the
    /// next alarm.
    fn due(self: Arc<Self>, now: u64, wakes: &mut Wakes);
}

/// The alarms of a broker.
pub(super) struct Timers {
    clock: Clock,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    alarms: Mutex<Alarms>,
    /// Rung when an alarm was set that is earlier than all others, and at the end.
    bell: Condition,
}

#[derive(Default)]
struct Alarms {
    /// By the time they are due (milliseconds since 1970), and in the order in which they were set.
    due: BTreeMap<(u64, u64), Weak<dyn Timed>>,
    set: u64,
    /// Nobody is told yet.
    held: bool,
    running: bool,
    ended: bool,
}

impl Timers {
    pub(super) fn new(clock: Clock) -> Self {
        Timers { clock, shared: Arc::default() }
    }

    /// Milliseconds since 1970.
    pub(super) fn now(&self) -> u64 {
        self.clock.now_ms()
    }

    /// When `ms` milliseconds have passed since `since`: [`Clock::end_ms`].
    pub(super) fn end(&self, since: u64, ms: u64) -> u64 {
        self.clock.end_ms(since, ms)
    }

    /// Has `whom` told when `due` is reached.
    pub(super) fn set(&self, due: u64, whom: Weak<dyn Timed>) {
        if due == NEVER {
            return;
        }
        let mut alarms = self.shared.alarms.lock();
        let earliest = alarms.due.first_key_value().is_none_or(|((first, _), _)| due < *first);
        let number = alarms.set;
        alarms.set += 1;
        alarms.due.insert((due, number), whom);
        if earliest && !alarms.held {
            self.look_again(&mut alarms);
        }
    }

    /// Nobody is told of anything until [`Timers::release`]: while a broker is put together, what has expired must not
    /// be sent to places that are not there yet.
    pub(super) fn hold(&self) {
        self.shared.alarms.lock().held = true;
    }

    pub(super) fn release(&self) {
        let mut alarms = self.shared.alarms.lock();
        alarms.held = false;
        if !alarms.due.is_empty() {
            self.look_again(&mut alarms);
        }
    }

    fn look_again(&self, alarms: &mut Alarms) {
        if matches!(self.clock, Clock::Held(_)) {
            return;
        }
        if !std::mem::replace(&mut alarms.running, true) {
            let (clock, shared) = (self.clock.clone(), self.shared.clone());
            let thread = std::thread::Builder::new().name("warrenmq-timers".into());
            if let Err(error) = thread.spawn(move || shared.wait(&clock)) {
                tracing::error!("no thread for timers: {error}; nothing expires until one can be started");
                alarms.running = false;
            }
        }
        self.shared.bell.notify_all();
    }

    /// Tells all whose time has come.
    pub(super) fn run(&self) {
        self.shared.run(self.now());
    }
}

impl Shared {
    fn wait(&self, clock: &Clock) {
        loop {
            self.run(clock.now_ms());
            let mut alarms = self.alarms.lock();
            if alarms.ended {
                return;
            }
            match alarms.due.first_key_value().map(|((due, _), _)| *due) {
                None => self.bell.wait(&mut alarms),
                Some(due) => {
                    let left = due.saturating_sub(clock.now_ms());
                    // A machine that sleeps, or whose clock is set, must not be waited for the old way.
                    let longest = Duration::from_secs(60);
                    if left > 0 {
                        self.bell.wait_for(&mut alarms, Duration::from_millis(left).min(longest));
                    }
                }
            }
        }
    }

    fn run(&self, now: u64) {
        loop {
            let whom = {
                let mut alarms = self.alarms.lock();
                match alarms.due.first_key_value() {
                    Some(((due, _), _)) if *due <= now && !alarms.held => alarms.due.pop_first(),
                    _ => return,
                }
            };
            if let Some(whom) = whom.and_then(|(_, whom)| whom.upgrade()) {
                whom.due(now, &mut Wakes::default());
            }
        }
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        self.shared.alarms.lock().ended = true;
        self.shared.bell.notify_all();
    }
}
