//! Message properties ⇄ objects.

use std::ffi::CStr;

use warrenmq::wire::{Properties, ShortString, Table, Value as Field};
use warrenmq::{Error, Kind};

use crate::js::{Call, Env, Failure, Result, Type, Value};
use crate::table;

/// The header that holds a message back, in milliseconds.
const DELAY: &str = "x-delay";
/// JavaScript's numbers are exact to here.
const MAX_DELAY: u64 = (1 << 53) - 1;

fn unusable(name: &CStr, reason: &str) -> Failure {
    let reason = format!("{}: {reason}", name.to_string_lossy());
    Error::new(Kind::InvalidArgument, "encode", reason).into()
}

/// `encodeProperties(options, contentType, persistent)`: what `options` says, and where it says nothing of
/// these, this content type (or none) and whether the message is persistent. → a buffer.
pub(crate) fn encode<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let options = call.argument(0);
    let content_type = call.argument(1).optional(Value::string)?;
    let persistent = call.argument(2).boolean()?;
    let mut encoded = Vec::with_capacity(128);
    let properties = match options.is_nothing() {
        true => Properties::default(),
        false => read(options)?,
    };
    let properties = Properties {
        content_type: match (properties.content_type, content_type) {
            (None, Some(fallback)) => Some(ShortString::truncated(&fallback)),
            (given, _) => given,
        },
        delivery_mode: properties.delivery_mode.or(persistent.then_some(2)),
        ..properties
    };
    properties.encode(&mut encoded);
    call.env.buffer(&encoded)
}

fn read(options: Value<'_>) -> Result<Properties> {
    Ok(Properties {
        content_type: short(options, c"contentType")?,
        content_encoding: short(options, c"contentEncoding")?,
        headers: headers(options)?,
        delivery_mode: field(options, c"persistent", Value::boolean)?.map(|durable| 1 + u8::from(durable)),
        priority: field(options, c"priority", |value| value.integer(255))?.map(|priority| priority as u8),
        correlation_id: short(options, c"correlationId")?,
        reply_to: short(options, c"replyTo")?,
        expiration: field(options, c"expiration", |value| value.integer(u32::MAX.into()))?
            .map(|milliseconds| ShortString::truncated(&milliseconds.to_string())),
        message_id: short(options, c"messageId")?,
        timestamp: field(options, c"timestamp", |value| match value.kind()? {
            Type::Date => table::seconds(value, "timestamp"),
            _ => value.integer(1 << 53),
        })?,
        r#type: short(options, c"type")?,
        user_id: short(options, c"userId")?,
        app_id: short(options, c"appId")?,
        cluster_id: None,
    })
}

/// The headers, with the delay among them.
fn headers(options: Value<'_>) -> Result<Option<Table>> {
    let headers = options.get(c"headers")?.optional(|value| table::read(value, "headers"))?;
    let Some(delay) = field(options, c"delay", |value| value.integer(MAX_DELAY))? else { return Ok(headers) };
    let (mut headers, delay) = (headers.unwrap_or_default(), delay as i64);
    if headers.get(DELAY).is_some_and(|header| header.as_integer() != Some(delay)) {
        return Err(unusable(c"delay", "differs from the header x-delay; give one of them"));
    }
    // The smallest of the two types that hold it, as for any whole number in headers.
    headers.insert(DELAY, i32::try_from(delay).map_or(Field::I64(delay), Field::I32));
    Ok(Some(headers))
}

/// Reads one option; an error says which.
fn field<'a, T>(
    options: Value<'a>,
    name: &CStr,
    read: impl FnOnce(Value<'a>) -> Result<T>,
) -> Result<Option<T>> {
    options.get(name)?.optional(read).map_err(|failure| match failure {
        Failure::Error(error) => unusable(name, error.reason()),
        Failure::Thrown => Failure::Thrown,
    })
}

fn short(options: Value<'_>, name: &CStr) -> Result<Option<ShortString>> {
    let Some(text) = field(options, name, Value::string)? else { return Ok(None) };
    let short = ShortString::try_from(text.as_str());
    short.map(Some).map_err(|_| unusable(name, "longer than 255 bytes"))
}

/// `decodeProperties(encoded)` → an object with those that are present.
pub(crate) fn decode<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let env = call.env;
    let properties = Properties::decode(call.argument(0).bytes()?).map_err(|error| {
        Error::new(Kind::SyntaxError, "message.properties", "the sender's properties cannot be read")
            .caused_by(error)
    })?;
    let object = env.object()?;
    let texts = [
        ("contentType", properties.content_type),
        ("contentEncoding", properties.content_encoding),
        ("correlationId", properties.correlation_id),
        ("replyTo", properties.reply_to),
        ("messageId", properties.message_id),
        ("type", properties.r#type),
        ("userId", properties.user_id),
        ("appId", properties.app_id),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            object.set(name, env.string(&text)?)?;
        }
    }
    if let Some(headers) = &properties.headers {
        object.set("headers", table::write(env, headers)?)?;
    }
    for (name, octet) in [("deliveryMode", properties.delivery_mode), ("priority", properties.priority)] {
        if let Some(octet) = octet {
            object.set(name, env.number(octet.into())?)?;
        }
    }
    if let Some(expiration) = properties.expiration {
        object.set("expiration", expiration_value(env, &expiration)?)?;
    }
    if let Some(seconds) = properties.timestamp {
        object.set("timestamp", env.number(seconds as f64)?)?;
    }
    Ok(object)
}

/// Milliseconds; text that is no number, which some senders write, as it is.
fn expiration_value<'a>(env: Env<'a>, text: &str) -> Result<Value<'a>> {
    match text.parse::<u32>() {
        Ok(milliseconds) => env.number(milliseconds.into()),
        Err(_) => env.string(text),
    }
}
