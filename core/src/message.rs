//! A message as the broker holds it: one allocation, shared by all the queues it is in.
//!
//! ```text
//! | exchange (short string) | routing key (short string) | properties | body, when short | origin, if known |
//! ```
//!
//! Everything is kept as it came over the wire, because that is how it leaves again: a delivery
//! repeats exchange and routing key side by side, then the content header with the properties, then
//! the body. Nothing is decoded on the way; who needs a property reads that one field
//! ([`Message::properties`]).

use std::num::NonZeroU64;

use bytes::Bytes;
use smallvec::SmallVec;
use triomphe::ThinArc;

use crate::memory;
use crate::wire::properties::PropertiesView;
use crate::wire::table::Table;

/// Bodies up to this size are copied beside the properties; longer ones stay where they were read.
///
/// A slice of the read buffer would keep the whole buffer alive for as long as the message waits,
/// and a copy of this size costs less than a second allocation with its reference count.
pub const INLINE_BODY: usize = 4096;

/// A message; clones share it.
#[derive(Clone)]
pub struct Message(ThinArc<Head, u8>);

struct Head {
    /// Length of exchange and routing key, as two short strings.
    route: u16,
    /// Length of the properties: flags and list.
    properties: u32,
    sent_again: bool,
    /// An [`Origin`] stands at the end.
    has_origin: bool,
    /// The body when it is longer than [`INLINE_BODY`].
    body: Option<Box<Bytes>>,
    /// What this message was counted with in [`memory`].
    footprint: usize,
}

impl Drop for Head {
    fn drop(&mut self) {
        memory::give_back(self.footprint);
    }
}

/// Which publish a message came by: whose, and the how manieth of his.
///
/// Clients tell it that go on with another broker of the same store, and then send again what was not confirmed: kept
/// with a message, it says which of that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// No two publishers have one number: it is random.
    pub publisher: NonZeroU64,
    /// Counts the publishes of the publisher, from 1.
    pub sequence: u64,
}

impl Origin {
    /// Bytes of it, encoded.
    pub(crate) const SIZE: usize = 16;

    /// That of the publisher's publish `count` later.
    #[must_use]
    pub fn plus(self, count: u64) -> Self {
        Origin { sequence: self.sequence.wrapping_add(count), ..self }
    }

    pub(crate) fn encode(self) -> [u8; Self::SIZE] {
        (u128::from(self.publisher.get()) | u128::from(self.sequence) << 64).to_le_bytes()
    }

    /// What was encoded; none when these bytes are no origin.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let both = u128::from_le_bytes(bytes.try_into().ok()?);
        Some(Origin { publisher: NonZeroU64::new(both as u64)?, sequence: (both >> 64) as u64 })
    }
}

/// The body that a message is made of.
#[derive(Debug)]
pub enum Body<'a> {
    /// Bytes that are copied.
    Slice(&'a [u8]),
    /// Bytes that may be kept as they are.
    Owned(Bytes),
}

impl Body<'_> {
    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same body for another message.
    pub fn again(&self) -> Body<'_> {
        match self {
            Body::Slice(bytes) => Body::Slice(bytes),
            Body::Owned(bytes) => Body::Owned(bytes.clone()),
        }
    }

    /// To be kept.
    pub fn into_owned(self) -> Bytes {
        match self {
            Body::Slice(bytes) => Bytes::copy_from_slice(bytes),
            Body::Owned(bytes) => bytes,
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Body::Slice(bytes) => bytes,
            Body::Owned(bytes) => bytes,
        }
    }
}

/// Exchange and routing key as two short strings, one after the other: as a delivery repeats them,
/// and the key under which a channel remembers where they lead.
pub type RouteKey = SmallVec<[u8; 128]>;

/// Encodes exchange and routing key as two short strings. Each is at most 255 bytes long, which the
/// wire guarantees and the client checks.
pub fn route_key(exchange: &str, routing_key: &str) -> RouteKey {
    let mut route = RouteKey::new();
    for name in [exchange, routing_key] {
        debug_assert!(name.len() <= 255);
        route.push(name.len() as u8);
        route.extend_from_slice(name.as_bytes());
    }
    route
}

/// Exchange and routing key out of a [`route_key`].
pub fn route_names(route: &[u8]) -> (&str, &str) {
    let (exchange, rest) = route[1..].split_at(route[0] as usize);
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    (text(exchange), text(&rest[1..]))
}

impl Message {
    /// A message with this route (see [`route_key`]), encoded properties (flags and list; not empty) and body.
    pub fn new(route: &[u8], properties: &[u8], body: Body<'_>) -> Self {
        Self::by(None, false, route, properties, body)
    }

    /// The same with the publish that it came by. One that its publisher sends again, as he does not know what became
    /// of it, may have been delivered before, and says so whenever it is delivered, as do messages that are made of it.
    #[inline(always)]
    pub fn by(
        origin: Option<Origin>,
        sent_again: bool,
        route: &[u8],
        properties: &[u8],
        body: Body<'_>,
    ) -> Self {
        let (inline, kept) = match body {
            Body::Slice(slice) if slice.len() > INLINE_BODY => {
                (&[][..], Some(Box::new(Bytes::copy_from_slice(slice))))
            }
            Body::Owned(bytes) if bytes.len() > INLINE_BODY => (&[][..], Some(Box::new(bytes))),
            ref short => (short.as_slice(), None),
        };
        let mut bytes = SmallVec::<[u8; 1024]>::new();
        bytes.reserve(route.len() + properties.len() + inline.len() + Origin::SIZE);
        bytes.extend_from_slice(route);
        bytes.extend_from_slice(properties);
        bytes.extend_from_slice(inline);
        if let Some(origin) = origin {
            bytes.extend_from_slice(&origin.encode());
        }

        let footprint =
            size_of::<Head>() + 16 + bytes.len() + kept.as_ref().map_or(0, |body| body.len() + 64);
        memory::take(footprint);
        let head = Head {
            route: route.len() as u16,
            properties: properties.len() as u32,
            sent_again,
            has_origin: origin.is_some(),
            body: kept,
            footprint,
        };
        Message(ThinArc::from_header_and_slice(head, &bytes))
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }

    /// Exchange and routing key, encoded as two short strings.
    pub fn route(&self) -> &[u8] {
        &self.0.slice[..self.head().route as usize]
    }

    /// The exchange that it was published to; empty for the default exchange.
    pub fn exchange(&self) -> &str {
        route_names(self.route()).0
    }

    /// The routing key that it was published with.
    pub fn routing_key(&self) -> &str {
        route_names(self.route()).1
    }

    /// The properties as they came: flags and list.
    pub fn encoded_properties(&self) -> &[u8] {
        let start = self.head().route as usize;
        &self.0.slice[start..start + self.head().properties as usize]
    }

    /// The properties, each read when it is asked for.
    pub fn properties(&self) -> PropertiesView<'_> {
        PropertiesView(self.encoded_properties())
    }

    /// Whether it is to survive the broker, in a durable queue (delivery mode 2).
    pub fn is_persistent(&self) -> bool {
        self.properties().delivery_mode() == Some(2)
    }

    /// Whether its publisher sent it again ([`Message::by`]).
    pub fn is_sent_again(&self) -> bool {
        self.head().sent_again
    }

    /// Which publish it came by, if its publisher told. Messages that are made of it have none.
    pub fn origin(&self) -> Option<Origin> {
        if !self.head().has_origin {
            return None;
        }
        Origin::decode(self.0.slice.last_chunk::<{ Origin::SIZE }>()?)
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        match &self.head().body {
            Some(body) => body,
            None => {
                let Head { route, properties, has_origin, .. } = self.head();
                let end = self.0.slice.len() - usize::from(*has_origin) * Origin::SIZE;
                &self.0.slice[*route as usize + *properties as usize..end]
            }
        }
    }

    /// The body when it is kept apart, so that it can be sent or handed on without a copy.
    pub fn long_body(&self) -> Option<&Bytes> {
        self.head().body.as_deref()
    }

    /// The same message with its headers changed.
    pub fn with_headers(&self, change: impl FnOnce(&mut Table)) -> Message {
        let mut headers = self.properties().headers().unwrap_or_default();
        change(&mut headers);
        self.with_properties(&self.properties().with_headers(&headers))
    }

    /// The same message with other properties, encoded as flags and list.
    pub fn with_properties(&self, properties: &[u8]) -> Message {
        self.readdressed(self.route(), properties)
    }

    /// The same message with another route and other properties.
    pub fn readdressed(&self, route: &[u8], properties: &[u8]) -> Message {
        Message::by(None, self.is_sent_again(), route, properties, self.shared_body())
    }

    /// The body for another message: a long one is shared.
    pub fn shared_body(&self) -> Body<'_> {
        match self.long_body() {
            Some(body) => Body::Owned(body.clone()),
            None => Body::Slice(self.body()),
        }
    }

    /// Bytes of memory that it takes.
    pub fn footprint(&self) -> usize {
        self.head().footprint
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("exchange", &self.exchange())
            .field("routing_key", &self.routing_key())
            .field("body", &format_args!("{} bytes", self.body().len()))
            .finish()
    }
}
