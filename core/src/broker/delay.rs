//! Delayed messages: a publish with the header `x-delay` is routed that many milliseconds later, whatever the
//! exchange.
//!
//! As the community plug-in's `x-delayed-message` exchanges, which WarrenMQ also has; but the delay is a 64-bit
//! number, messages are routed in the exact order in which they are due, and they can be listed and cancelled.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::outbox::Wakes;
use super::timers::{NEVER, Timed, Timers};
use super::vhost::Vhost;
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
    /// By the time they are due, those of one time in the order in which they came.
    held: BTreeMap<(u64, u64), Message>,
    due: HashMap<u64, u64>,
    next_id: u64,
    /// When the timers will call.
    alarm: u64,
}

/// The delay that these properties ask for, in milliseconds. None for what is to be routed at once: no header, 0, or
/// the negative number that marks a message whose delay is over.
pub(super) fn delay(properties: PropertiesView<'_>) -> Option<u64> {
    let delay = properties.header("x-delay")?.as_integer()?;
    u64::try_from(delay).ok().filter(|delay| *delay > 0)
}

impl Delayed {
    pub(super) fn new(home: &Weak<Vhost>, timers: &Arc<Timers>) -> Arc<Self> {
        let state = State { held: BTreeMap::new(), due: HashMap::new(), next_id: 1, alarm: NEVER };
        Arc::new(Delayed { home: home.clone(), timers: timers.clone(), state: Mutex::new(state) })
    }

    /// Keeps a message for `delay` milliseconds.
    pub(super) fn hold(self: &Arc<Self>, message: Message, delay: u64) {
        let due = self.timers.now().saturating_add(delay);
        // Receivers see that the delay is over: the plug-in turns the number's sign.
        let message = message.with_headers(|headers| {
            headers.insert("x-delay", Value::I64(-i64::try_from(delay).unwrap_or(i64::MAX)));
        });
        let mut state = self.state.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.held.insert((due, id), message);
        state.due.insert(id, due);
        self.arm(&mut state);
    }

    fn arm(self: &Arc<Self>, state: &mut State) {
        if let Some(((first, _), _)) = state.held.first_key_value()
            && *first < state.alarm
        {
            state.alarm = *first;
            let me: Weak<dyn Timed> = Arc::downgrade(self) as _;
            self.timers.set(state.alarm, me);
        }
    }

    /// Those that wait, in the order in which they are due.
    pub(super) fn list(&self) -> Vec<DelayedMessage> {
        let state = self.state.lock();
        let held = state.held.iter();
        held.map(|((due, id), message)| DelayedMessage { id: *id, due: *due, message: message.clone() })
            .collect()
    }

    /// Takes one out.
    pub(super) fn cancel(&self, id: u64) -> Option<Message> {
        let mut state = self.state.lock();
        let due = state.due.remove(&id)?;
        state.held.remove(&(due, id))
    }

    fn take_due(&self, now: u64) -> Option<Message> {
        let mut state = self.state.lock();
        let first = state.held.first_entry().filter(|first| first.key().0 <= now)?;
        let ((_, id), message) = first.remove_entry();
        state.due.remove(&id);
        Some(message)
    }
}

impl Timed for Delayed {
    fn due(self: Arc<Self>, now: u64, wakes: &mut Wakes) {
        let Some(vhost) = self.home.upgrade() else { return };
        while let Some(message) = self.take_due(now) {
            vhost.send_on(&message, wakes);
        }
        let mut state = self.state.lock();
        state.alarm = NEVER;
        self.arm(&mut state);
    }
}
