//! Delayed messages: a publish with the header `x-delay` is routed that many milliseconds later, whatever the
//! exchange.
//!
//! As the community plug-in's `x-delayed-message` exchanges, which WarrenMQ also has; but the delay is a 64-bit
//! number, messages are routed in the exact order in which they are due, and they can be listed and cancelled.

mod held;

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

pub(super) use held::Held;

use super::arrived::Arrived;
use super::outbox::Wakes;
use super::store::{Journal, Origins, Recovered, read_all};
use super::timers::{NEVER, Timed, Timers};
use super::vhost::Vhost;
use crate::error::{Error, Kind, Result};
use crate::message::Message;
use crate::wire::properties::PropertiesView;
use crate::wire::table::Value;

/// A message that waits for its time.
#[derive(Clone, Debug)]
pub struct DelayedMessage {
    /// Identifies it in its virtual host.
    pub id: u64,
    /// When it is to be routed, in milliseconds since 1970.
    pub due: u64,
    /// The message.
    pub message: Message,
}

/// The delayed messages of a virtual host.
pub(super) struct Delayed {
    home: Weak<Vhost>,
    timers: Arc<Timers>,
    state: Mutex<State>,
}

struct State {
    held: Held,
    /// What came along from the host before.
    arrived: Arc<Arrived>,
    /// When the timers will call.
    alarm: u64,
    /// When what could not be read is to be tried again.
    retry: u64,
}

/// How many are routed before other timers have their turn.
const AT_ONCE: usize = 1000;
/// How long a message that could not be read waits, in milliseconds.
const RETRY: u64 = 1000;

/// A number under which a new virtual host's delayed messages are kept: larger than those of queues, and no number of
/// one before, as that one's messages may still be on their way out.
pub(super) fn new_number() -> Result<u64> {
    let random = getrandom::u64().map_err(|error| {
        Error::new(Kind::ResourceError, "add_vhost", format!("no random numbers: {error}"))
    })?;
    Ok(random | 1 << 63)
}

/// The delay that these properties ask for, in milliseconds. None for what is to be routed at once: no header, 0, or
/// the negative number that marks a message whose delay is over.
pub(super) fn delay(properties: PropertiesView<'_>) -> Option<u64> {
    let delay = properties.header("x-delay")?.as_integer()?;
    u64::try_from(delay).ok().filter(|delay| *delay > 0)
}

impl Delayed {
    pub(super) fn new(home: &Weak<Vhost>, timers: &Arc<Timers>, held: Held) -> Arc<Self> {
        let state = State { held, arrived: Arc::default(), alarm: NEVER, retry: 0 };
        let delayed =
            Arc::new(Delayed { home: home.clone(), timers: timers.clone(), state: Mutex::new(state) });
        delayed.arm(&mut delayed.state.lock());
        delayed
    }

    /// Keeps a message for `delay` milliseconds. True when it is to survive the broker.
    pub(super) fn hold(self: &Arc<Self>, message: &Message, delay: u64) -> bool {
        let due = self.timers.end(self.timers.now(), delay);
        // Receivers see that the delay is over: the plug-in turns the number's sign.
        let mut headers = message.properties().headers().unwrap_or_default();
        headers.insert("x-delay", Value::I64(-i64::try_from(delay).unwrap_or(i64::MAX)));
        let properties = message.properties().with_headers(&headers);
        let (origin, again, route) = (message.origin(), message.is_sent_again(), message.route());
        let message = Message::by(origin, again, route, &properties, message.shared_body());
        let mut state = self.state.lock();
        let kept = state.held.add(message, due, delay);
        self.arm(&mut state);
        kept
    }

    /// The origins of what was here when the broker was started, be it that it has been routed since, and may be this
    /// message.
    pub(super) fn origins(&self, message: &Message) -> Vec<Arc<dyn Origins>> {
        let state = self.state.lock();
        match message.is_persistent() {
            true => state.held.origins().into_iter().collect(),
            false => vec![state.arrived.clone()],
        }
    }

    /// Gives along to the next host those that are not to survive the broker. Whether there are any.
    pub(super) fn hand_over(&self, open: impl FnOnce() -> Result<Arc<dyn Journal>>) -> Result<bool> {
        let inventory = self.state.lock().held.transient();
        let mut transient = inventory.read();
        transient.retain(|one| !one.message.is_persistent());
        if transient.is_empty() {
            return Ok(false);
        }
        let journal = open()?;
        for (number, one) in (0..).zip(&transient) {
            journal.append(number, one.due, &one.message);
        }
        Ok(true)
    }

    /// Goes on with those that the host before this one gave along.
    pub(super) fn inherit(self: &Arc<Self>, journal: &dyn Journal, found: Recovered) -> Result<()> {
        let now = self.timers.now();
        let mut state = self.state.lock();
        let mut origins = Vec::new();
        read_all(journal, found, |stored| {
            origins.extend(stored.message.origin());
            state.held.add(stored.message, stored.expires, stored.expires.saturating_sub(now));
        })?;
        state.arrived = Arc::new(origins.into_iter().collect());
        self.arm(&mut state);
        Ok(())
    }

    /// A message that was taken out is elsewhere, or nowhere.
    fn forget(&self, id: u64) {
        self.state.lock().held.forget(id);
    }

    /// The virtual host is gone.
    pub(super) fn delete(&self) {
        self.state.lock().held.delete();
    }

    fn arm(self: &Arc<Self>, state: &mut State) {
        let next = state.held.first_due().max(state.retry);
        if next < state.alarm {
            state.alarm = next;
            let me: Weak<dyn Timed> = Arc::downgrade(self) as _;
            self.timers.set(next, me);
        }
    }

    /// Those that wait, in the order in which they are due.
    pub(super) fn list(&self) -> Vec<DelayedMessage> {
        let inventory = self.state.lock().held.inventory();
        inventory.read()
    }

    #[cfg(test)]
    pub(super) fn in_memory(&self) -> usize {
        self.state.lock().held.in_memory()
    }

    /// Takes one out. None when it is not there, or cannot be read.
    pub(super) fn cancel(&self, id: u64) -> Option<Message> {
        let message = match self.state.lock().held.take(id) {
            Ok(message) => message?,
            Err(error) => {
                tracing::error!(%error, "cannot read a delayed message that is to be cancelled");
                return None;
            }
        };
        self.forget(id);
        Some(message)
    }

    /// Routes the first of those that are due by now; false when there is none.
    fn route_first(&self, now: u64, vhost: &Vhost, wakes: &mut Wakes) -> bool {
        let Some(due) = self.state.lock().held.take_due(now) else { return false };
        let id = due.id;
        match due.read() {
            Ok(Some(message)) => {
                vhost.send_on(&message, wakes);
                self.forget(id); // not before: its queues have it now
            }
            Ok(None) => {} // it was damaged; the store has said so
            Err(error) => {
                tracing::error!(%error, "cannot read a delayed message that is due");
                let mut state = self.state.lock();
                state.held.put_back(&due);
                state.retry = now + RETRY;
                return false;
            }
        }
        true
    }
}

impl Timed for Delayed {
    fn due(self: Arc<Self>, now: u64, wakes: &mut Wakes) {
        let Some(vhost) = self.home.upgrade() else { return };
        let mut left = AT_ONCE;
        while left > 0 && self.route_first(now, &vhost, wakes) {
            left -= 1;
        }
        let mut state = self.state.lock();
        state.alarm = NEVER;
        self.arm(&mut state);
    }
}
