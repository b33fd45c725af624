//! What the broker says of itself in `connection.start`.

use bytes::Bytes;

use crate::broker::Broker;
use crate::wire::{Table, Value};

/// Clients choose their ways by these two: kombu, for one, takes per-consumer prefetch for granted of a
/// `RabbitMQ` of 3.3 or later only. The version is the profile's; our own name and version stand under `platform`
/// and `warrenmq`.
const PRODUCT: &str = "RabbitMQ";

/// A capability of clients of our own: of a message that no queue took they get back its number alone, in decimal as
/// the reply-text. It is counted as confirms are, or from the beginning of the transaction.
pub(crate) const NUMBERED_RETURNS: &str = "warrenmq_numbered_returns";

/// A property of clients of our own: the number of their attachment to the broker's directory.
pub(crate) const ATTACHMENT: &str = "warrenmq_attachment";

/// What RabbitMQ 3.13 announces (`rabbit_reader:server_capabilities`), and what only we do.
const CAPABILITIES: [&str; 10] = [
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
    NUMBERED_RETURNS,
];

/// The table `server-properties`.
pub(super) fn server_properties(broker: &Broker) -> Table {
    let text = |text: &str| Value::LongString(Bytes::copy_from_slice(text.as_bytes()));
    let capabilities = CAPABILITIES.map(|name| (Box::from(name), Value::Bool(true)));
    let mut table = Table::default();
    table.insert("capabilities", Value::Table(Table(capabilities.to_vec())));
    table.insert("cluster_name", text(&broker.options().name));
    table.insert("product", text(PRODUCT));
    table.insert("version", text(broker.options().profile.version()));
    table.insert("platform", text(concat!("WarrenMQ ", env!("CARGO_PKG_VERSION"))));
    table.insert("warrenmq", text(env!("CARGO_PKG_VERSION")));
    table.insert("copyright", text("the WarrenMQ authors"));
    table.insert("information", text("Licensed under MIT or Apache-2.0"));
    table
}
