//! Sender-selected distribution: the headers `CC` and `BCC` hold more routing keys, and receivers do not see `BCC`
//! (<https://www.rabbitmq.com/docs/sender-selected>; RabbitMQ's `rabbit_basic:header_routes` and
//! `strip_bcc_header`).

use bytes::Bytes;

use crate::error::{Error, Kind, Result};
use crate::message::Message;
use crate::wire::properties::PropertiesView;
use crate::wire::table::{Table, Value};

/// What the two headers of a message say.
#[derive(Debug, Default)]
pub(super) struct CarbonCopies {
    /// The routing keys beside the one that the message was published with.
    pub(super) keys: Vec<Box<str>>,
    /// There is a `BCC`, to be taken off.
    pub(super) blind: bool,
}

impl CarbonCopies {
    /// Refuses headers that are not arrays (406); what is no long string in them is passed over.
    pub(super) fn of(properties: PropertiesView<'_>) -> Result<Self> {
        let mut copies = CarbonCopies::default();
        let [open, blind] = properties.headers_named(["CC", "BCC"]);
        copies.blind = blind.is_some();
        for (name, value) in [("CC", open), ("BCC", blind)] {
            match value {
                None => {}
                Some(Value::Array(keys)) => copies.keys.extend(keys.iter().filter_map(text).map(Box::from)),
                Some(other) => {
                    let (name, value) = (format!("\"{name}\""), other.type_name());
                    let reason = format!("invalid message: {{unacceptable_type_in_header,{name},{value}}}");
                    return Err(Error::new(Kind::PreconditionFailed, "basic.publish", reason));
                }
            }
        }
        Ok(copies)
    }
}

/// No binding has a key that is not UTF-8.
fn text(key: &Value) -> Option<&str> {
    match key {
        Value::LongString(key) => std::str::from_utf8(key).ok(),
        _ => None,
    }
}

/// The properties as receivers see them.
pub(super) fn without_bcc(properties: PropertiesView<'_>) -> Bytes {
    let mut headers = properties.headers().unwrap_or_default();
    strip(&mut headers);
    properties.with_headers(&headers)
}

/// The message as receivers see it.
pub(super) fn stripped(message: &Message) -> Message {
    match message.properties().header("BCC") {
        None => message.clone(),
        Some(_) => message.with_headers(strip),
    }
}

fn strip(headers: &mut Table) {
    headers.remove("BCC");
}
