//! Routing: which destinations a message published to an exchange goes to.
//!
//! | file | holds |
//! |---|---|
//! | [`mod.rs`](self) | [`Router`]: the bindings of one exchange, and the one door to the tables below |
//! | `kind.rs` | the exchange types and their names |
//! | `envelope.rs` | what routing looks at in a message |
//! | `direct.rs` | routing key equals binding key |
//! | `fanout.rs` | every binding |
//! | `topic.rs` | patterns of words with `*` and `#`, in a trie |
//! | `headers.rs` | header tables, indexed by the values they ask for |
//! | `x_match.rs` | the `x-match` argument and when a value matches |
//! | `hash_ring.rs` | buckets on a ring, one chosen by a consistent hash |
//! | `pick.rs` | one of the bindings, by a plain hash or at random |
//! | `erlang.rs` | the hash and the random numbers that RabbitMQ chooses with |
//! | `binding.rs` | what makes two bindings the same |
//! | `destinations.rs` | a counted set of destinations, and how each is emitted once |
//!
//! Nothing here knows a queue, a socket or a lock: a destination is any `D: Clone + Ord + Hash`, and
//! whoever shares a [`Router`] between threads guards it. The semantics are RabbitMQ 3.10's to 3.13's;
//! each file names the Erlang module it follows.

mod binding;
mod destinations;
mod direct;
mod envelope;
mod erlang;
mod fanout;
mod hash_ring;
mod headers;
mod kind;
mod pick;
mod topic;
mod x_match;

use std::fmt;
use std::hash::Hash;

use hashbrown::{HashMap, HashSet};

use crate::wire::table::{Table, Value};
use binding::Key;
use destinations::Distinct;
use direct::Direct;
use fanout::Fanout;
use hash_ring::HashRing;
use headers::Headers;
use pick::{Choice, Pick};
use topic::Topic;

pub use binding::Binding;
pub use envelope::Envelope;
pub use kind::{Kind, UnknownKind};

/// An exchange or a binding that its type does not allow; RabbitMQ closes the channel with 406
/// (PRECONDITION_FAILED) and the text that this displays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

/// The bindings of one exchange: what is bound, and where a message goes.
#[derive(Clone, Debug)]
pub struct Router<D> {
    kind: Kind,
    /// The same but for an `x-delayed-message` exchange.
    routes_as: Kind,
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
    HashRing(HashRing<D>),
    Pick(Pick<D>),
}

impl<D: Clone + Ord + Hash> Router<D> {
    /// An exchange of this type, without bindings.
    ///
    /// # Errors
    /// `x-consistent-hash` refuses arguments that do not say what to hash, `x-delayed-message` those that name no
    /// other type, in the words of RabbitMQ's plug-ins.
    pub fn new(kind: Kind, arguments: &Table) -> Result<Self, Invalid> {
        let routes_as = match kind {
            Kind::DelayedMessage => inner_kind(arguments)?,
            kind => kind,
        };
        let matcher = match routes_as {
            Kind::Direct => Matcher::Direct(Direct::default()),
            Kind::Fanout | Kind::RecentHistory => Matcher::Fanout(Fanout::default()),
            Kind::Topic => Matcher::Topic(Topic::default()),
            Kind::Headers => Matcher::Headers(Headers::default()),
            Kind::ConsistentHash => Matcher::HashRing(HashRing::new(arguments)?),
            Kind::ModulusHash => Matcher::Pick(Pick::new(Choice::Hash)),
            Kind::Random | Kind::LocalRandom => Matcher::Pick(Pick::new(Choice::Random)),
            // `inner_kind` gives none of these.
            Kind::DelayedMessage => return Err(not_a_delayed_type()),
        };
        Ok(Router { kind, routes_as, bindings: HashMap::new(), len: 0, matcher })
    }

    /// The type that this was made for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The type that it routes as: that inside an `x-delayed-message` exchange, otherwise its own.
    pub fn routes_as(&self) -> Kind {
        self.routes_as
    }

    /// Whether where a message goes depends on its routing keys alone.
    pub fn by_routing_key(&self) -> bool {
        match &self.matcher {
            Matcher::Direct(_) | Matcher::Fanout(_) | Matcher::Topic(_) => true,
            Matcher::Headers(_) => false,
            Matcher::HashRing(ring) => ring.by_routing_key(),
            Matcher::Pick(pick) => pick.by_routing_key(),
        }
    }

    /// Binds, and says whether the binding is new.
    ///
    /// A binding is its destination, routing key and arguments together (the order of the arguments
    /// does not count); to bind the same again changes nothing, to bind the same destination with
    /// another key or other arguments adds a binding.
    ///
    /// # Errors
    /// A headers exchange refuses an `x-match` that it does not know, by value or by type; a consistent hash exchange
    /// a key that is no number of at least 1; a local random exchange any key.
    pub fn bind(&mut self, routing_key: &str, arguments: &Table, destination: D) -> Result<bool, Invalid> {
        match &self.matcher {
            Matcher::Headers(_) => x_match::validate(arguments)?,
            Matcher::HashRing(_) => hash_ring::validate(routing_key)?,
            // The text is RabbitMQ's, quotes and all (rabbit_exchange_type_local_random).
            Matcher::Pick(_) if self.routes_as == Kind::LocalRandom && !routing_key.is_empty() => {
                return Err(Invalid(format!("Non empty binding '{routing_key}' key not permitted")));
            }
            _ => {}
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
    pub fn route<'a>(&'a self, envelope: &Envelope<'_>, mut emit: impl FnMut(&'a D)) {
        let key = envelope.routing_key;
        match &self.matcher {
            Matcher::Fanout(fanout) => fanout.route(&mut emit),
            Matcher::Headers(table) => {
                table.route(&envelope.properties.headers().unwrap_or_default(), &mut emit);
            }
            Matcher::HashRing(ring) => ring.route(envelope, &mut emit),
            Matcher::Pick(pick) => pick.route(envelope, &mut emit),
            // Nearly every message has one key, which needs no second look at the destinations.
            Matcher::Direct(direct) if envelope.more_keys.is_empty() => direct.route(key, &mut emit),
            Matcher::Topic(topic) if envelope.more_keys.is_empty() => topic.route(key, &mut emit),
            Matcher::Direct(direct) => {
                let mut distinct = Distinct::new(emit);
                envelope.keys().for_each(|key| direct.route(key, &mut |found| distinct.emit(found)));
            }
            Matcher::Topic(topic) => {
                let mut distinct = Distinct::new(emit);
                envelope.keys().for_each(|key| topic.route(key, &mut |found| distinct.emit(found)));
            }
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

impl<D: Clone + Ord + Hash> Matcher<D> {
    fn insert(&mut self, key: &Key, destination: &D) {
        match self {
            Matcher::Direct(direct) => direct.insert(key.routing_key(), destination),
            Matcher::Fanout(fanout) => fanout.insert(destination),
            Matcher::Topic(topic) => topic.insert(key.routing_key(), destination),
            Matcher::Headers(headers) => headers.insert(key.arguments(), destination),
            Matcher::HashRing(ring) => ring.insert(key.routing_key(), destination),
            Matcher::Pick(pick) => pick.insert(key.routing_key(), destination),
        }
    }

    fn remove(&mut self, key: &Key, destination: &D) {
        match self {
            Matcher::Direct(direct) => direct.remove(key.routing_key(), destination),
            Matcher::Fanout(fanout) => fanout.remove(destination),
            Matcher::Topic(topic) => topic.remove(key.routing_key(), destination),
            Matcher::Headers(headers) => headers.remove(key.arguments(), destination),
            Matcher::HashRing(ring) => ring.remove(destination),
            Matcher::Pick(pick) => pick.remove(key.routing_key(), destination),
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
            Matcher::HashRing(ring) => ring.is_empty(),
            Matcher::Pick(pick) => pick.is_empty(),
        }
    }
}

/// What an `x-delayed-message` exchange routes as. The texts are the plug-in's, and RabbitMQ's of an unknown type.
fn inner_kind(arguments: &Table) -> Result<Kind, Invalid> {
    let Some(Value::LongString(name)) = arguments.get("x-delayed-type") else {
        return Err(not_a_delayed_type());
    };
    let name = String::from_utf8_lossy(name);
    match name.parse() {
        Ok(Kind::DelayedMessage) => Err(not_a_delayed_type()),
        Ok(kind) => Ok(kind),
        Err(UnknownKind) => Err(Invalid(format!("unknown exchange type '{name}'"))),
    }
}

fn not_a_delayed_type() -> Invalid {
    Invalid("Invalid argument, 'x-delayed-type' must be an existing exchange type".into())
}

#[cfg(test)]
mod one_of;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
