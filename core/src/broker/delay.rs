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
use super::queue::Shelves;
use super::store::{Journal, Store, read_all};
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
    /// When the timers will call.
    alarm: u64,
}

/// The messages that wait, in memory and where they are kept.
pub(super) struct Held {
    /// By the time they are due, those of one time in the order in which they came.
    messages: BTreeMap<(u64, u64), Message>,
    due: HashMap<u64, u64>,
    next_id: u64,
    kept: Option<Kept>,
}

struct Kept {
    store: Arc<dyn Store>,
    journal: Arc<dyn Journal>,
    id: u64,
}

impl Held {
    /// Those that are kept under this number.
    pub(super) fn open(id: u64, shelves: Option<&Shelves>) -> Result<Self> {
        let mut held = Held { messages: BTreeMap::new(), due: HashMap::new(), next_id: 1, kept: None };
        let Some(Shelves { store, .. }) = shelves else { return Ok(held) };
        let (journal, found) = store.open_line(id, 0)?;
        read_all(&*journal, found, |stored| held.add(stored.number, stored.expires, stored.message))?;
        held.next_id = found.next.max(1);
        held.kept = Some(Kept { store: store.clone(), journal, id });
        Ok(held)
    }

    fn add(&mut self, id: u64, due: u64, message: Message) {
        self.messages.insert((due, id), message);
        self.due.insert(id, due);
    }

    /// Takes one out that is to be forgotten; see [`Delayed::forget`].
    fn take(&mut self, id: u64) -> Option<Message> {
        let due = self.due.remove(&id)?;
        self.messages.remove(&(due, id))
    }
}

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
        let state = State { held, alarm: NEVER };
        let delayed =
            Arc::new(Delayed { home: home.clone(), timers: timers.clone(), state: Mutex::new(state) });
        delayed.arm(&mut delayed.state.lock());
        delayed
    }

    /// Keeps a message for `delay` milliseconds. True when it is to survive the broker.
    pub(super) fn hold(self: &Arc<Self>, message: Message, delay: u64) -> bool {
        let due = self.timers.now().saturating_add(delay);
        // Receivers see that the delay is over: the plug-in turns the number's sign.
        let message = message.with_headers(|headers| {
            headers.insert("x-delay", Value::I64(-i64::try_from(delay).unwrap_or(i64::MAX)));
        });
        let mut state = self.state.lock();
        let held = &mut state.held;
        let id = held.next_id;
        held.next_id += 1;
        let kept = held.kept.as_ref().filter(|_| message.is_persistent());
        if let Some(kept) = kept {
            kept.journal.append(id, due, &message);
        }
        let kept = kept.is_some();
        held.add(id, due, message);
        self.arm(&mut state);
        kept
    }

    /// A message that was taken out is elsewhere, or nowhere.
    fn forget(&self, id: u64) {
        if let Some(kept) = &self.state.lock().held.kept {
            kept.journal.remove_one(id);
        }
    }

    /// The virtual host is gone.
    pub(super) fn delete(&self) {
        if let Some(kept) = &self.state.lock().held.kept {
            kept.store.delete_queue(kept.id);
        }
    }

    fn arm(self: &Arc<Self>, state: &mut State) {
        if let Some(((first, _), _)) = state.held.messages.first_key_value()
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
        let held = state.held.messages.iter();
        held.map(|((due, id), message)| DelayedMessage { id: *id, due: *due, message: message.clone() })
            .collect()
    }

    /// Takes one out.
    pub(super) fn cancel(&self, id: u64) -> Option<Message> {
        let message = self.state.lock().held.take(id)?;
        self.forget(id);
        Some(message)
    }

    fn take_due(&self, now: u64) -> Option<(u64, Message)> {
        let held = &mut self.state.lock().held;
        let (&(_, id), _) = held.messages.first_key_value().filter(|((due, _), _)| *due <= now)?;
        Some((id, held.take(id)?))
    }
}

impl Timed for Delayed {
    fn due(self: Arc<Self>, now: u64, wakes: &mut Wakes) {
        let Some(vhost) = self.home.upgrade() else { return };
        while let Some((id, message)) = self.take_due(now) {
            vhost.send_on(&message, wakes);
            self.forget(id); // not before: its queues have it now
        }
        let mut state = self.state.lock();
        state.alarm = NEVER;
        self.arm(&mut state);
    }
}
