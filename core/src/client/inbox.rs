//! Who is told that deliveries wait.

use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::driver::Bell;
use crate::condition::Condition;

/// A thread that waits, or a bell that is rung, when something comes.
#[derive(Default)]
pub(super) struct Doorbell {
    state: Mutex<State>,
    rung: Condition,
}

#[derive(Default)]
struct State {
    /// Counts rings, so that none between a look at the box and the wait is missed.
    rings: u64,
    bells: Vec<(u64, Bell)>,
}

impl Doorbell {
    /// Something has come.
    pub(super) fn ring(&self) {
        let bells: SmallVec<[Bell; 2]> = {
            let mut state = self.state.lock();
            state.rings += 1;
            self.rung.notify_all();
            state.bells.iter().map(|(_, bell)| bell.clone()).collect()
        };
        bells.iter().for_each(|bell| bell());
    }

    /// Rings `bell` too from now on, in place of the one that `owner` had.
    pub(super) fn set(&self, owner: u64, bell: Bell) {
        let mut state = self.state.lock();
        state.bells.retain(|(other, _)| *other != owner);
        state.bells.push((owner, bell));
    }

    /// Rings the bell of `owner` no more.
    pub(super) fn remove(&self, owner: u64) {
        self.state.lock().bells.retain(|(other, _)| *other != owner);
    }

    /// Blocks until `ready` says so; it is asked again after every ring. False when the time ran out.
    pub(super) fn wait(&self, timeout: Option<Duration>, ready: impl Fn() -> bool) -> bool {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let seen = self.state.lock().rings;
            if ready() {
                return true;
            }
            let mut state = self.state.lock();
            while state.rings == seen {
                if !self.rung.wait_until(&mut state, deadline) {
                    drop(state);
                    return ready();
                }
            }
        }
    }
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doorbell").finish_non_exhaustive()
    }
}
