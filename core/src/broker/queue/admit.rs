//! What a queue does with a message that it is given.

use std::sync::Arc;

use super::duplicates::{self, Id};
use super::rules::Overflow;
use super::{NEVER, Queue, Reason, State, Wakes};
use crate::message::Message;

impl Queue {
    /// Adds messages, and hands out what consumers take. Calls `refuse` with the index of each that the queue does not
    /// take because it is full. False when the queue was deleted meanwhile.
    pub(in crate::broker) fn publish(
        self: &Arc<Self>,
        messages: impl Iterator<Item = Message>,
        mut refuse: impl FnMut(usize),
        wakes: &mut Wakes,
    ) -> bool {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.deleted {
            return false;
        }
        if state.log.is_some() {
            self.append(state, messages, wakes);
            return true;
        }
        let mut refused = 0;
        let mut count = 0;
        for (index, message) in messages.enumerate() {
            count += 1;
            // Most queues have no rules that a new message could offend, and most messages do not expire.
            if state.plain && !message.properties().has_expiration() {
                state.lines.push_plain(message);
            } else if !self.admit(state, message, wakes) {
                refused += 1;
                refuse(index);
            }
        }
        state.counts.published += count - refused;
        self.dispatch(state, wakes);
        true
    }

    /// One message by the rules, each before the next as in RabbitMQ's `rabbit_amqqueue_process`
    /// (`maybe_deliver_or_enqueue`): a queue for one message takes ten when a consumer takes them from it.
    fn admit(self: &Arc<Self>, state: &mut State, message: Message, wakes: &mut Wakes) -> bool {
        let now = self.timers.now();
        let id = duplicates::look(&mut state.duplicates, &message, now);
        if let Id::Known = id {
            return true;
        }
        let rules = &state.rules;
        if rules.overflow != Overflow::DropHead
            && rules.too_much(state.lines.len() + 1, state.lines.bytes() + message.body().len() as u64)
        {
            if rules.overflow == Overflow::RejectPublishDlx {
                self.send_letter(state, None, message, Reason::MaxLength, wakes);
            }
            return false;
        }
        let own = message.properties().expiration().and_then(|text| text.parse::<u64>().ok());
        let ttl = own.into_iter().chain(rules.message_ttl).min();
        let expires = ttl.map_or(NEVER, |ttl| self.timers.end(now, ttl));
        let position = state.lines.push(message, expires);
        duplicates::remember(&mut state.duplicates, id, now, position);
        self.dispatch(state, wakes);
        self.trim(state, wakes);
        if ttl == Some(0) {
            // Nobody took it at once.
            self.drop_expired(state, expires, wakes);
        }
        true
    }

    /// Drops from the head what is too much.
    pub(super) fn trim(self: &Arc<Self>, state: &mut State, wakes: &mut Wakes) {
        if state.rules.overflow != Overflow::DropHead {
            return;
        }
        while state.rules.too_much(state.lines.len(), state.lines.bytes())
            && let Some((position, entry, _)) = state.lines.pop()
        {
            self.give_up(state, position, entry, Reason::MaxLength, wakes);
        }
    }
}
