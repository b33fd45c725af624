//! A publisher that goes on with another broker of the same store, as the one before has ended.
//!
//! What it had not heard of it sends again, first of all. Some of that may be stored, or have come along in memory: a
//! message is kept with its [`Origin`], so that each queue that lacks it gets it, and no other. Others may have been delivered without having
//! been stored: whatever is sent again and not found is redelivered. So nobody sees a message twice without the mark.

use std::sync::Arc;
use std::time::SystemTime;

use hashbrown::HashMap;

use super::Channel;
use super::publisher::Publisher;
use crate::broker::outbox::Wakes;
use crate::broker::queue::Queue;
use crate::broker::route::Route;
use crate::broker::store::{Origin, Origins};
use crate::message::Message;

/// How a publisher goes on, told before `confirm.select`. One that begins has nothing settled, and sends nothing again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Whose publishes follow, and how many of his are settled: confirms count from there on.
    pub settled: Origin,
    /// How many publishes follow that were sent before.
    pub again: u64,
    /// When the first of them was sent, or earlier.
    pub since: SystemTime,
}

/// What is known while publishes are sent again.
pub(super) struct Again {
    pub(super) left: u64,
    settled: u64,
    since: SystemTime,
    /// Of lines, by their addresses. They are forgotten with this.
    origins: HashMap<usize, Arc<dyn Origins>>,
}

impl Again {
    /// Whether the line to which these belong has a message already. Where the disk fails it has not.
    fn has(&mut self, origins: Vec<Arc<dyn Origins>>, origin: Origin) -> bool {
        origins.into_iter().any(|origins| {
            let origins = self.origins.entry(Arc::as_ptr(&origins).addr()).or_insert(origins);
            origins.contain(origin, self.settled, self.since).unwrap_or_else(|error| {
                tracing::error!(%error, "a message that is sent again may be stored twice");
                false
            })
        })
    }
}

impl Channel {
    /// From `confirm.select` on, publishes are kept with their origin.
    pub fn resume(&mut self, resume: Resume) {
        let Resume { settled, again, since } = resume;
        let again = Again { left: again, settled: settled.sequence, since, origins: HashMap::new() };
        self.publisher.origin = Some(settled);
        self.publisher.again = (again.left > 0).then(|| Box::new(again));
    }

    /// Whether the next publish is looked for, which waits for the disk.
    pub fn is_sent_again(&self) -> bool {
        self.publisher.again.as_ref().is_some_and(|again| again.left > 0)
    }

    /// Counts a publish; whether it was sent before.
    pub(super) fn count_again(&mut self) -> bool {
        let Publisher { again, confirms: Some(_), .. } = &mut self.publisher else { return false };
        let Some(again) = again.as_mut().filter(|again| again.left > 0) else { return false };
        again.left -= 1;
        true
    }

    /// Hands a message that was sent before to those of its queues that lack it. At once: the messages of a run are not
    /// looked for.
    pub(super) fn enqueue_again(
        &mut self,
        message: Message,
        mut route: Route,
        delay: Option<u64>,
        wakes: &mut Wakes,
    ) {
        let origin = self.publisher.last_origin();
        if let (Some(again), Some(origin)) = (&mut self.publisher.again, origin) {
            let lacking: Vec<Arc<Queue>> = match delay {
                // It knows those, too, that it has let go.
                Some(_) if again.has(self.session.vhost.delayed.origins(&message), origin) => {
                    self.publisher.unstored = true;
                    return;
                }
                Some(_) => route.to_vec(),
                None => {
                    let lacks = |queue: &&Arc<Queue>| !again.has(queue.origins(&message), origin);
                    route.iter().filter(lacks).cloned().collect()
                }
            };
            if lacking.len() < route.len() {
                // It was written, and may not be on the disk.
                self.publisher.unstored = true;
                route = Route::from(lacking);
            }
        }
        if !route.is_empty() || delay.is_some() {
            self.enqueue(message, route, delay, wakes);
            self.flush(wakes);
        }
    }
}
