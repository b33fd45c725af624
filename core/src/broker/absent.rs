//! Connections that were attached to a host that is gone and have not come to the next one yet.
//!
//! What belongs to one of them waits as long as its process lives, be it stopped, and goes when that has ended: as with a
//! broker that had not ended itself. Once nobody is absent any more, what goes with its last consumer goes if none of
//! those that it had has come back.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::outbox::Wakes;
use super::queue::Queue;
use super::timers::{Timed, Timers};
use super::transient::Memo;
use super::vhost::Vhost;

/// How often one looks whether they are still there, in milliseconds.
const LOOK: u64 = 250;
/// How long consumers may take to be registered again after the last connection has come, in milliseconds. In practice
/// they come with it.
const GRACE: u64 = 5_000;

pub(super) type Placed = (Arc<Vhost>, Arc<Queue>);

/// Who is waited for.
pub(super) struct Absent {
    memo: Arc<dyn Memo>,
    timers: Arc<Timers>,
    me: Weak<Absent>,
    /// Guards nothing else; nothing of the broker is called under it but timers.
    state: Mutex<State>,
}

struct State {
    /// By the numbers of their connections, what belongs to them.
    connections: HashMap<u64, Vec<Placed>>,
    /// What has had consumers, and goes with the last of them.
    consumed: Vec<Placed>,
    /// When those are there that come, once everybody has come or gone; milliseconds since 1970.
    settled: Option<u64>,
}

impl State {
    /// Whether there is anybody to come, or anything to go.
    fn is_awaited(&self) -> bool {
        !self.connections.is_empty() || !self.consumed.is_empty()
    }
}

impl Absent {
    /// Waits for the connections that are `attached`. Of these queues, those of other connections go at once.
    pub(super) fn new(
        memo: Arc<dyn Memo>,
        timers: &Arc<Timers>,
        attached: HashSet<u64>,
        queues: Vec<Placed>,
        consumed: Vec<Placed>,
    ) -> Arc<Self> {
        let mut connections: HashMap<u64, Vec<Placed>> =
            attached.into_iter().map(|number| (number, Vec::new())).collect();
        let mut gone = Vec::new();
        for (vhost, queue) in queues {
            let Some(owner) = queue.owner else { continue };
            connections.get_mut(&owner).unwrap_or(&mut gone).push((vhost, queue));
        }
        let state = Mutex::new(State { connections, consumed, settled: None });
        let absent = Arc::new_cyclic(|me| Absent { memo, timers: timers.clone(), me: me.clone(), state });
        drop_all(gone, &mut Wakes::default());
        if absent.state.lock().is_awaited() {
            absent.look_again(LOOK);
        }
        absent
    }

    fn look_again(&self, after: u64) {
        self.timers.set(self.timers.now().saturating_add(after), self.me.clone());
    }

    /// A connection has come; what belongs to it.
    pub(super) fn back(&self, number: u64) -> Vec<Arc<Queue>> {
        let queues = self.state.lock().connections.remove(&number).unwrap_or_default();
        queues.into_iter().map(|(_, queue)| queue).collect()
    }
}

impl Timed for Absent {
    fn due(self: Arc<Self>, now: u64, wakes: &mut Wakes) {
        let mut gone = Vec::new();
        {
            let mut state = self.state.lock();
            let State { connections, consumed, settled } = &mut *state;
            for (_, queues) in connections.extract_if(|number, _| !self.memo.is_attached(*number)) {
                gone.extend(queues);
            }
            match *settled {
                _ if !connections.is_empty() => self.look_again(LOOK),
                None => {
                    *settled = Some(now.saturating_add(GRACE));
                    self.look_again(GRACE);
                }
                Some(settled) if now < settled => self.look_again(settled - now),
                Some(_) => gone.extend(consumed.drain(..).filter(|(_, queue)| queue.goes_unused())),
            }
        }
        drop_all(gone, wakes);
    }
}

fn drop_all(queues: Vec<Placed>, wakes: &mut Wakes) {
    queues.into_iter().for_each(|(vhost, queue)| vhost.drop_queue(&queue, wakes));
}
