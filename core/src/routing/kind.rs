//! The exchange types.

use std::fmt;
use std::str::FromStr;

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
    /// One destination by the hash of the routing key, a header or a property; the binding key is its weight
    /// (RabbitMQ's plug-in `rabbitmq_consistent_hash_exchange`).
    ConsistentHash,
    /// One destination by the hash of the routing key modulo their number (`rabbitmq_sharding`).
    ModulusHash,
    /// One destination at random (`rabbitmq_random_exchange`).
    Random,
    /// One queue of this node at random (RabbitMQ 3.13 and later).
    LocalRandom,
    /// Every binding, and the last messages for whoever binds later (`rabbitmq_recent_history_exchange`).
    RecentHistory,
    /// The type that the argument `x-delayed-type` names; delays are not routing's matter
    /// (the community plug-in `rabbitmq_delayed_message_exchange`).
    DelayedMessage,
}

impl Kind {
    /// Every type, for listings and for error texts.
    pub const ALL: [Kind; 10] = [
        Kind::Direct,
        Kind::Fanout,
        Kind::Topic,
        Kind::Headers,
        Kind::ConsistentHash,
        Kind::ModulusHash,
        Kind::Random,
        Kind::LocalRandom,
        Kind::RecentHistory,
        Kind::DelayedMessage,
    ];

    /// The name at the wire: `direct`, `x-consistent-hash` …
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Direct => "direct",
            Kind::Fanout => "fanout",
            Kind::Topic => "topic",
            Kind::Headers => "headers",
            Kind::ConsistentHash => "x-consistent-hash",
            Kind::ModulusHash => "x-modulus-hash",
            Kind::Random => "x-random",
            Kind::LocalRandom => "x-local-random",
            Kind::RecentHistory => "x-recent-history",
            Kind::DelayedMessage => "x-delayed-message",
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
