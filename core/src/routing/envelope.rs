//! What routing looks at in a message.

use crate::wire::properties::PropertiesView;

/// The address of a message, and what else an exchange may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The routing key that it was published with.
    pub routing_key: &'a str,
    /// Those of its headers `CC` and `BCC` ("sender-selected distribution"): each matches like the routing key.
    pub more_keys: &'a [Box<str>],
    /// Its properties; decoded only by exchanges that route by them.
    pub properties: PropertiesView<'a>,
}

impl<'a> Envelope<'a> {
    /// All routing keys, that of the publish first.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        std::iter::once(self.routing_key).chain(self.more_keys.iter().map(|key| &**key))
    }
}
