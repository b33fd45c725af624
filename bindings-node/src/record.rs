//! How a delivery lies in a buffer of JavaScript's; `lib/slab.ts` reads it.
//!
//! ```text
//! | size | tag, low | tag, high | flags and route's length | properties' length | body's length |   32-bit words
//! | exchange and routing key as short strings | properties | body | up to 4 bytes to the next word |
//! ```

use warrenmq::message::{Body, Message, route_key};

use crate::js::{Call, Env, Result, Value};

/// Length of the words before the message.
const HEAD: usize = 24;

const REDELIVERED: u32 = 1;
/// The content type says JSON.
const JSON: u32 = 2;
/// It says text.
const TEXT: u32 = 4;
const ROUTE_SHIFT: u32 = 16;

/// Bytes that a message takes in a buffer.
pub(crate) fn size(message: &Message) -> usize {
    let length = HEAD + message.route().len() + message.encoded_properties().len() + message.body().len();
    length.next_multiple_of(4)
}

/// Writes a message to the start of `out`, which has room for its [`size`].
pub(crate) fn write(out: &mut [u8], tag: u64, redelivered: bool, message: &Message) {
    let (route, properties, body) = (message.route(), message.encoded_properties(), message.body());
    let flags =
        if redelivered { REDELIVERED } else { 0 } | content(message) | (route.len() as u32) << ROUTE_SHIFT;
    let words = [
        size(message) as u32,
        tag as u32,
        (tag >> 32) as u32,
        flags,
        properties.len() as u32,
        body.len() as u32,
    ];
    let (head, mut rest) = out.split_at_mut(HEAD);
    for (place, word) in head.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    for part in [route, properties, body] {
        let (place, after) = rest.split_at_mut(part.len());
        place.copy_from_slice(part);
        rest = after;
    }
}

fn content(message: &Message) -> u32 {
    match message.properties().content_type() {
        None => 0,
        Some(content_type) => {
            let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            match essence.as_str() {
                "application/json" => JSON,
                other if other.ends_with("+json") => JSON,
                other if other.starts_with("text/") => TEXT,
                _ => 0,
            }
        }
    }
}

/// A buffer with one message.
pub(crate) fn alone<'a>(env: Env<'a>, tag: u64, redelivered: bool, message: &Message) -> Result<Value<'a>> {
    let mut bytes = vec![0; size(message)];
    write(&mut bytes, tag, redelivered, message);
    env.buffer(&bytes)
}

/// `record(exchange, routingKey, properties, body)` → a buffer with a message that was not delivered.
pub(crate) fn of_message<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let (exchange, routing_key) = (call.argument(0).string()?, call.argument(1).string()?);
    let route = route_key(&exchange, &routing_key);
    let message = Message::new(&route, call.argument(2).bytes()?, Body::Slice(call.argument(3).bytes()?));
    alone(call.env, 0, false, &message)
}
