//! What a queue gives up, and when: messages whose time is over, deliveries that nobody acknowledges, in the
//! end the queue itself.

use std::sync::{Arc, Weak};

use super::{Entry, Leaving, NEVER, Position, Queue, Reason, State, Wakes};
use crate::broker::Outbox;
use crate::broker::dead_letter::Letter;
use crate::broker::outbox::{Resumed, resume};
use crate::broker::timers::Timed;
use crate::message::Message;

/// How long a message that found no taker (at-least-once), or that could not be read, waits for the next attempt,
/// in milliseconds.
pub(super) const RETRY: u64 = 1000;

impl Queue {
    /// Drops from the head what has expired. What stands behind a message that lives longer waits for its turn, as
    /// in RabbitMQ (<https://www.rabbitmq.com/docs/ttl#per-message-ttl-caveats>).
    pub(super) fn drop_expired(self: &Arc<Self>, state: &mut State, now: u64, wakes: &mut Wakes) {
        while state.lines.any_mortal() && state.lines.first_expires().is_some_and(|expires| expires <= now) {
            self.drop_first(state, wakes);
        }
    }

    pub(super) fn drop_first(self: &Arc<Self>, state: &mut State, wakes: &mut Wakes) {
        if let Some((position, entry, _)) = state.lines.pop() {
            self.give_up(state, position, entry, Reason::Expired, wakes);
        }
    }

    /// Parts with a message: to the dead-letter exchange if there is one.
    pub(super) fn give_up(
        self: &Arc<Self>,
        state: &mut State,
        position: Position,
        entry: Entry,
        reason: Reason,
        wakes: &mut Wakes,
    ) {
        let Some(target) = &state.rules.dead_letters else { return self.forget(position) };
        let message = entry.message.clone();
        if target.at_least_once {
            state.leaving.insert(position, Leaving { entry, reason, sent: true });
        }
        self.send_letter(state, Some(position), message, reason, wakes);
    }

    pub(super) fn send_letter(
        self: &Arc<Self>,
        state: &State,
        position: Option<Position>,
        message: Message,
        reason: Reason,
        wakes: &mut Wakes,
    ) {
        if let Some(target) = state.rules.dead_letters.clone()
            && let Some(vhost) = self.home.upgrade()
        {
            let time = self.timers.now() / 1000;
            wakes.post(Letter { queue: self.clone(), vhost, target, message, reason, time, position });
        }
    }

    /// What became of a letter: with true its target has it.
    pub(in crate::broker) fn left(self: &Arc<Self>, position: Position, arrived: bool) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if arrived || !state.leaving.contains_key(&position) {
            state.leaving.remove(&position);
            self.forget(position);
        } else if let Some(leaving) = state.leaving.get_mut(&position) {
            leaving.sent = false;
            let due = self.timers.now() + RETRY;
            self.set_alarm(state, due);
        }
    }

    /// Puts off when a delivery is to be acknowledged: `after` milliseconds from now.
    pub(in crate::broker) fn extend(self: &Arc<Self>, outbox: &Arc<Outbox>, tag: u64, after: u64) {
        let mut guard = self.state.lock();
        let due = self.timers.end(self.timers.now(), after);
        guard.deadlines.extend(due, outbox, tag);
        self.arm(&mut guard);
    }

    /// Has the timers call when the next thing here is due. Most queues know no time, and do nothing here.
    #[inline]
    pub(super) fn arm(self: &Arc<Self>, state: &mut State) {
        let mut next = state.deadlines.first();
        if state.lines.any_mortal() {
            next = next.min(state.lines.first_expires().unwrap_or(NEVER));
        }
        if let Some(expires) = state.rules.expires
            && state.consumers.is_empty()
        {
            next = next.min(self.timers.end(state.used, expires));
        }
        if state.lines.len() > 0 && !state.lines.any() {
            next = next.min(self.timers.now() + RETRY);
        }
        if next < state.alarm {
            self.set_alarm(state, next);
        }
    }

    pub(super) fn set_alarm(self: &Arc<Self>, state: &mut State, due: u64) {
        if due < state.alarm {
            state.alarm = due;
            let me: Weak<dyn Timed> = Arc::downgrade(self) as _;
            self.timers.set(due, me);
        }
    }

    /// Letters for the messages that found no taker.
    fn send_again(self: &Arc<Self>, state: &mut State, wakes: &mut Wakes) {
        let stranded = state.leaving.iter_mut().filter(|(_, leaving)| !leaving.sent);
        let letters: Vec<_> = stranded
            .map(|(position, leaving)| {
                leaving.sent = true;
                (*position, leaving.entry.message.clone(), leaving.reason)
            })
            .collect();
        for (position, message, reason) in letters {
            self.send_letter(state, Some(position), message, reason, wakes);
        }
    }

    /// Requeues the deliveries that were not acknowledged in time.
    fn time_out(self: &Arc<Self>, state: &mut State, now: u64, wakes: &mut Wakes) -> Resumed {
        let mut resumed = Resumed::new();
        while let Some((outbox, tag)) = state.deadlines.pop(now) {
            let lapsed = outbox.lock().lapse(tag);
            if let Some((position, entry)) = lapsed {
                state.counts.returned += 1;
                self.unacked.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
                self.take_back(state, position, entry, wakes);
                resumed.extend(outbox.lock().resume());
            }
        }
        self.trim(state, wakes);
        resumed
    }
}

impl Timed for Queue {
    fn due(self: Arc<Self>, now: u64, wakes: &mut Wakes) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.alarm = NEVER;
        if state.deleted {
            return;
        }
        if state.consumers.is_empty()
            && state.rules.expires.is_some_and(|expires| self.timers.end(state.used, expires) <= now)
        {
            drop(guard);
            if let Some(vhost) = self.home.upgrade() {
                vhost.drop_queue(&self, wakes);
            }
            return;
        }
        state.lines.retry();
        self.drop_expired(state, now, wakes);
        self.retain(state, now);
        self.send_again(state, wakes);
        let resumed = self.time_out(state, now, wakes);
        self.dispatch(state, wakes);
        drop(guard);
        resume(resumed, wakes);
    }
}
