//! Routing: which destinations a message published to an exchange goes to.
//!
//! | file | holds |
//! |---|---|
//! | [`mod.rs`](self) | [`Router`]: the bindings of one exchange, and the one door to the tables below |
//! | `direct.rs` | routing key equals binding key |
//! | `fanout.rs` | every binding |
//! | `topic.rs` | patterns of words with `*` and `#`, in a trie |
//! | `headers.rs` | header tables, indexed by the values they ask for |
//! | `x_match.rs` | the `x-match` argument and when a value matches |
//! | `term.rs` | values as RabbitMQ's error texts print them |
//! | `binding.rs` | what makes two bindings the same |
//! | `destinations.rs` | a counted set of destinations, and how each is emitted once |
//!
//! Nothing here knows a queue, a socket or a lock: a destination is any `D: Clone + Eq + Hash`, and
//! whoever shares a [`Router`] between threads guards it. The semantics are RabbitMQ 3.10's to 3.13's;
//! each file names the Erlang module it follows.

mod binding;
mod destinations;
mod direct;
mod fanout;
mod headers;
mod term;
mod topic;
mod x_match;

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::str::FromStr;

use hashbrown::{HashMap, HashSet};

use crate::wire::table::Table;
use binding::Key;
use direct::Direct;
use fanout::Fanout;
use headers::Headers;
use topic::Topic;

pub use binding::Binding;
pub use x_match::InvalidXMatch;

/// The exchange types, under their AMQP names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The routing key equals the binding key.
    Direct,
    /// Every binding matches.
    Fanout,
    /// The binding key is a pattern of words.
    Topic,
    /// The binding's arguments are compared with the message's headers.
    Headers,
}

impl Kind {
    /// Every type, for listings and for error texts.
    pub const ALL: [Kind; 4] = [Kind::Direct, Kind::Fanout, Kind::Topic, Kind::Headers];

    /// The name at the wire: `direct`, `fanout`, `topic` or `headers`.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Direct => "direct",
            Kind::Fanout => "fanout",
            Kind::Topic => "topic",
            Kind::Headers => "headers",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no exchange type that this broker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownKind;

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown exchange type")
    }
}

impl std::error::Error for UnknownKind {}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or(UnknownKind)
    }
}

/// The bindings of one exchange: what is bound, and where a message goes.
#[derive(Clone, Debug)]
pub struct Router<D> {
    /// Every binding, by destination so that a deleted queue takes only its own with it.
    bindings: HashMap<D, HashSet<Key>>,
    len: usize,
    matcher: Matcher<D>,
}

#[derive(Clone, Debug)]
enum Matcher<D> {
    Direct(Direct<D>),
    Fanout(Fanout<D>),
    Topic(Topic<D>),
    Headers(Headers<D>),
}

impl<D: Clone + Eq + Hash> Router<D> {
    /// An exchange of this type, without bindings.
    pub fn new(kind: Kind) -> Self {
        let matcher = match kind {
            Kind::Direct => Matcher::Direct(Direct::default()),
            Kind::Fanout => Matcher::Fanout(Fanout::default()),
            Kind::Topic => Matcher::Topic(Topic::default()),
            Kind::Headers => Matcher::Headers(Headers::default()),
        };
        Router { bindings: HashMap::new(), len: 0, matcher }
    }

    /// The type that this was made for.
    pub fn kind(&self) -> Kind {
        match self.matcher {
            Matcher::Direct(_) => Kind::Direct,
            Matcher::Fanout(_) => Kind::Fanout,
            Matcher::Topic(_) => Kind::Topic,
            Matcher::Headers(_) => Kind::Headers,
        }
    }

    /// Binds, and says whether the binding is new.
    ///
    /// A binding is its destination, routing key and arguments together (the order of the arguments
    /// does not count); to bind the same again changes nothing, to bind the same destination with
    /// another key or other arguments adds a binding.
    ///
    /// # Errors
    /// A headers exchange refuses an `x-match` that it does not know, by value or by type.
    pub fn bind(
        &mut self,
        routing_key: &str,
        arguments: &Table,
        destination: D,
    ) -> Result<bool, InvalidXMatch> {
        if let Matcher::Headers(_) = self.matcher {
            x_match::validate(arguments)?;
        }
        let key = Key::new(routing_key, arguments);
        if self.bindings.get(&destination).is_some_and(|keys| keys.contains(&key)) {
            return Ok(false);
        }
        self.matcher.insert(&key, &destination);
        self.bindings.entry(destination).or_default().insert(key);
        self.len += 1;
        Ok(true)
    }

    /// Removes one binding, and says whether it was there.
    pub fn unbind(&mut self, routing_key: &str, arguments: &Table, destination: &D) -> bool {
        let key = Key::new(routing_key, arguments);
        let Some(keys) = self.bindings.get_mut(destination) else {
            return false;
        };
        if !keys.remove(&key) {
            return false;
        }
        if keys.is_empty() {
            self.bindings.remove(destination);
        }
        self.matcher.remove(&key, destination);
        self.len -= 1;
        true
    }

    /// Removes every binding to `destination` and returns how many there were. The cost depends on
    /// that number, not on how many bindings the exchange has.
    pub fn remove_destination(&mut self, destination: &D) -> usize {
        let Some(keys) = self.bindings.remove(destination) else {
            return 0;
        };
        for key in &keys {
            self.matcher.remove(key, destination);
        }
        self.len -= keys.len();
        keys.len()
    }

    /// Emits every destination of a message, each once however many of its bindings match.
    ///
    /// `headers` is called only by a headers exchange, so that no other decodes them; a message
    /// without headers gives an empty table.
    pub fn route<'a, H: Borrow<Table>>(
        &'a self,
        routing_key: &str,
        headers: impl FnOnce() -> H,
        mut emit: impl FnMut(&'a D),
    ) {
        match &self.matcher {
            Matcher::Direct(direct) => direct.route(routing_key, &mut emit),
            Matcher::Fanout(fanout) => fanout.route(&mut emit),
            Matcher::Topic(topic) => topic.route(routing_key, &mut emit),
            Matcher::Headers(table) => table.route(headers().borrow(), &mut emit),
        }
    }

    /// The number of bindings.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when nothing is bound.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of different destinations.
    pub fn destination_count(&self) -> usize {
        self.bindings.len()
    }

    /// Every binding, in no particular order.
    pub fn bindings(&self) -> impl Iterator<Item = Binding<'_, D>> {
        self.bindings
            .iter()
            .flat_map(|(destination, keys)| keys.iter().map(move |key| key.binding(destination)))
    }

    /// The bindings to one destination, in no particular order.
    pub fn bindings_to<'a>(&'a self, destination: &'a D) -> impl Iterator<Item = Binding<'a, D>> {
        self.bindings.get(destination).into_iter().flatten().map(move |key| key.binding(destination))
    }
}

impl<D: Clone + Eq + Hash> Matcher<D> {
    fn insert(&mut self, key: &Key, destination: &D) {
        match self {
            Matcher::Direct(direct) => direct.insert(key.routing_key(), destination),
            Matcher::Fanout(fanout) => fanout.insert(destination),
            Matcher::Topic(topic) => topic.insert(key.routing_key(), destination),
            Matcher::Headers(headers) => headers.insert(key.arguments(), destination),
        }
    }

    fn remove(&mut self, key: &Key, destination: &D) {
        match self {
            Matcher::Direct(direct) => direct.remove(key.routing_key(), destination),
            Matcher::Fanout(fanout) => fanout.remove(destination),
            Matcher::Topic(topic) => topic.remove(key.routing_key(), destination),
            Matcher::Headers(headers) => headers.remove(key.arguments(), destination),
        }
    }
    /// Whether removals left nothing behind.
    #[cfg(test)]
    fn holds_nothing(&self) -> bool {
        match self {
            Matcher::Direct(direct) => direct.is_empty(),
            Matcher::Fanout(fanout) => fanout.is_empty(),
            Matcher::Topic(topic) => topic.is_empty(),
            Matcher::Headers(headers) => headers.is_empty(),
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
