//! How messages go out: the ring of consumers, which take turns.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{Entry, Position, Queue, QueueKind, Reason, State, Wakes, not_found};
use crate::broker::consumer::{Consumer, Turn};
use crate::broker::outbox::Resumed;
use crate::error::{Error, Kind, Result};
use crate::message::Message;
use crate::wire::table::Value;

impl State {
    /// Puts a consumer behind those of its priority and before those of lower ones.
    fn line_up(&mut self, consumer: Arc<Consumer>) {
        let behind = self.ring.iter().rev().take_while(|other| other.priority < consumer.priority).count();
        self.ring.insert(self.ring.len() - behind, consumer);
    }
}

impl Entry {
    /// The message as a consumer sees it. One that came back says how often (`x-delivery-count`);
    /// `counted`, each does, as in RabbitMQ those that `basic.get` takes from a quorum queue.
    pub(in crate::broker) fn into_shown(self, counted: bool) -> Message {
        match self.returns {
            0 if !counted => self.message,
            returns => self.message.with_headers(|headers| {
                headers.insert("x-delivery-count", Value::I64(returns.into()));
            }),
        }
    }
}

impl Queue {
    /// Refuses consumers that a stream or a quorum queue cannot have.
    pub(in crate::broker) fn check_consumer(&self, no_ack: bool, prefetch: u32, global: bool) -> Result<()> {
        let operation = "basic.consume";
        if global && self.kind != QueueKind::Classic && (prefetch > 0 || !self.is_stream()) {
            let reason = format!("{} does not support global qos", self.label());
            return Err(Error::new(Kind::NotImplemented, operation, reason).on(self.label()));
        }
        if no_ack {
            return self.check_destructive(operation, "automatic acknowledgement");
        }
        if self.is_stream() && prefetch == 0 {
            let reason = format!("consumer prefetch count is not set for '{}'", self.label());
            return Err(Error::new(Kind::PreconditionFailed, operation, reason)
                .on(self.label())
                .advise("set a prefetch of at least 1 (basic.qos) before consuming from a stream"));
        }
        Ok(())
    }

    /// Hands out what can be: round robin among the consumers that accept, as RabbitMQ does.
    pub(super) fn dispatch(self: &Arc<Self>, state: &mut State, wakes: &mut Wakes) {
        while !state.frozen
            && state.lines.any()
            && let Some(consumer) = state.ring.pop_front()
        {
            let timeout = consumer.timeout.or(state.rules.consumer_timeout).filter(|_| !consumer.no_ack);
            let watched = timeout.is_some() || state.lines.any_mortal();
            let now = if watched { self.timers.now() } else { 0 };
            let mut outbox = consumer.outbox.lock();
            let alone = state.ring.front().is_none_or(|next| next.priority < consumer.priority);
            let turn = if alone { usize::MAX } else { 1 };
            let (mut given, mut tell, mut parked) = (0, false, false);
            // Nobody will acknowledge these, so they are settled when they are handed out.
            let mut settled = (consumer.no_ack && self.is_kept()).then(Vec::new);
            while given < turn && state.lines.any() {
                if state.lines.any_mortal()
                    && state.lines.first_expires().is_some_and(|expires| expires < now)
                {
                    // A message that has just come with a time to live of 0 is not meant: it may yet be taken.
                    self.drop_first(state, wakes);
                    continue;
                }
                if !outbox.accepts(consumer.slot) {
                    parked = true;
                    break;
                }
                if let Some((position, entry, redelivered)) = state.lines.pop() {
                    let (tag, first) = outbox.deliver(consumer.slot, position, entry, redelivered);
                    tell |= first;
                    given += 1;
                    if let Some(settled) = &mut settled {
                        settled.push(position);
                    }
                    if let Some(timeout) = timeout {
                        state.deadlines.add(self.timers.end(now, timeout), &consumer.outbox, tag);
                    }
                }
            }
            drop(outbox);
            state.counts.deliver(given as u64, consumer.no_ack);
            self.forget_all(settled.unwrap_or_default());
            if !consumer.no_ack {
                self.unacked.fetch_add(given as u64, Relaxed);
            }
            if timeout.is_some() {
                state.deadlines.sweep(self.unacked.load(Relaxed));
            }
            if tell {
                wakes.add(&consumer.outbox);
            }
            match parked {
                true => consumer.set_turn(Turn::Parked),
                false => state.line_up(consumer),
            }
        }
        state.lines.mark_delivered();
        if state.log.is_some() {
            self.read_on(state, wakes);
        }
        self.arm(state);
    }

    /// Takes back what was delivered and not acknowledged.
    pub(super) fn take_back(
        self: &Arc<Self>,
        state: &mut State,
        position: Position,
        mut entry: Entry,
        wakes: &mut Wakes,
    ) {
        entry.returns = entry.returns.saturating_add(1);
        match state.rules.delivery_limit {
            Some(limit) if u64::from(entry.returns) > limit => {
                self.give_up(state, position, entry, Reason::DeliveryLimit, wakes);
            }
            _ => state.lines.put_back(position, entry),
        }
    }

    /// Parked consumers take messages again.
    pub(in crate::broker) fn resume(self: &Arc<Self>, consumers: Resumed, wakes: &mut Wakes) {
        let mut state = self.state.lock();
        for consumer in consumers {
            if consumer.turn() == Turn::Parked {
                consumer.set_turn(Turn::InRing);
                state.line_up(consumer);
            }
        }
        self.dispatch(&mut state, wakes);
    }

    /// Adds a consumer to the ring.
    pub(in crate::broker) fn add_consumer(
        self: &Arc<Self>,
        consumer: &Arc<Consumer>,
        exclusive: bool,
        wakes: &mut Wakes,
    ) -> Result<()> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.deleted {
            return Err(not_found("basic.consume", &self.name, &self.vhost));
        }
        if state.exclusive || (exclusive && (state.single_active || !state.consumers.is_empty())) {
            let reason = format!("{} in exclusive use", self.label());
            return Err(Error::new(Kind::AccessRefused, "basic.consume", reason).on(self.label()));
        }
        if let Some(log) = &state.log {
            consumer.cursor.store(log.resolve(consumer.offset)?, Relaxed);
        }
        state.exclusive = exclusive;
        state.consumers.push(consumer.clone());
        if state.single_active && state.consumers.len() > 1 {
            consumer.set_turn(Turn::StandingBy);
            return Ok(());
        }
        consumer.set_turn(Turn::InRing);
        state.line_up(consumer.clone());
        self.dispatch(state, wakes);
        Ok(())
    }

    /// Takes a consumer out; true when it was the last one. Who else may now take messages gets them with
    /// [`Queue::go_on`], after what this one had is back.
    pub(in crate::broker) fn remove_consumer(self: &Arc<Self>, consumer: &Arc<Consumer>) -> bool {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let before = state.consumers.len();
        consumer.set_turn(Turn::Gone);
        state.consumers.retain(|other| !Arc::ptr_eq(other, consumer));
        state.ring.retain(|other| !Arc::ptr_eq(other, consumer));
        if let Some(next) = state.consumers.first()
            && next.turn() == Turn::StandingBy
        {
            next.set_turn(Turn::InRing);
            let next = next.clone();
            state.line_up(next);
        }
        if state.consumers.is_empty() {
            state.exclusive = false;
            state.used = self.timers.now();
            self.arm(state);
        }
        before > 0 && state.consumers.is_empty()
    }

    /// Hands out what can be.
    pub(in crate::broker) fn go_on(self: &Arc<Self>, wakes: &mut Wakes) {
        self.dispatch(&mut self.state.lock(), wakes);
    }
}
