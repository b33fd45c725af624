//! Properties, tables and names: ours ⇄ lapin's.
//!
//! lapin keeps a table sorted by name, so that the order of entries is lost on this transport, and of a
//! name that stands there twice the last value remains. Everything else survives in both directions.

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, DecimalValue, FieldTable, ShortString as Theirs};

use crate::error::{Error, Kind, Result};
use crate::wire::{Properties, ShortString, Table, Value};

/// A name as lapin has it.
///
/// # Errors
/// `InvalidArgument` when it is longer than the 255 bytes that AMQP can carry.
pub(super) fn short(operation: &'static str, what: &str, text: &str) -> Result<Theirs> {
    Theirs::try_new(text).map_err(|_| {
        let reason = format!("the {what} is {} bytes long, AMQP takes at most 255", text.len());
        Error::new(Kind::InvalidArgument, operation, reason)
    })
}

/// A table as lapin has it. Names longer than 255 bytes are cut, as our own codec does.
pub(super) fn table(table: &Table) -> FieldTable {
    let mut entries = FieldTable::default();
    for (name, value) in &table.0 {
        entries.insert(theirs(&ShortString::truncated(name)), their_value(value));
    }
    entries
}

/// Encoded properties as lapin has them.
///
/// # Errors
/// `InvalidArgument` when they are malformed.
pub(super) fn properties(encoded: &[u8]) -> Result<BasicProperties> {
    if encoded == [0, 0] {
        return Ok(BasicProperties::default());
    }
    let ours = Properties::decode(encoded).map_err(|error| {
        let reason = format!("malformed properties: {error}");
        Error::new(Kind::InvalidArgument, "basic.publish", reason).caused_by(error)
    })?;
    let mut all = BasicProperties::default();
    macro_rules! carry {
        ($($field:ident, $with:ident, $convert:expr;)*) => {
            $(if let Some(value) = &ours.$field {
                all = all.$with($convert(value));
            })*
        };
    }
    carry! {
        content_type, with_content_type, theirs;
        content_encoding, with_content_encoding, theirs;
        headers, with_headers, table;
        delivery_mode, with_delivery_mode, u8::clone;
        priority, with_priority, u8::clone;
        correlation_id, with_correlation_id, theirs;
        reply_to, with_reply_to, theirs;
        expiration, with_expiration, theirs;
        message_id, with_message_id, theirs;
        timestamp, with_timestamp, u64::clone;
        r#type, with_type, theirs;
        user_id, with_user_id, theirs;
        app_id, with_app_id, theirs;
        cluster_id, with_cluster_id, theirs;
    }
    Ok(all)
}

/// lapin's properties, encoded into `out`, which is empty.
pub(super) fn encode(theirs: &BasicProperties, out: &mut Vec<u8>) {
    let text = |value: &Option<Theirs>| value.as_ref().map(ours);
    let properties = Properties {
        content_type: text(theirs.content_type()),
        content_encoding: text(theirs.content_encoding()),
        headers: theirs.headers().as_ref().map(our_table),
        delivery_mode: *theirs.delivery_mode(),
        priority: *theirs.priority(),
        correlation_id: text(theirs.correlation_id()),
        reply_to: text(theirs.reply_to()),
        expiration: text(theirs.expiration()),
        message_id: text(theirs.message_id()),
        timestamp: *theirs.timestamp(),
        r#type: text(theirs.kind()),
        user_id: text(theirs.user_id()),
        app_id: text(theirs.app_id()),
        cluster_id: text(theirs.cluster_id()),
    };
    properties.encode(out);
}

fn theirs(text: &ShortString) -> Theirs {
    Theirs::from(text.as_str()) // no longer than a short string may be, or it were none
}

fn ours(text: &Theirs) -> ShortString {
    ShortString::truncated(text.as_str())
}

fn their_value(value: &Value) -> AMQPValue {
    match value {
        Value::Bool(v) => AMQPValue::Boolean(*v),
        Value::I8(v) => AMQPValue::ShortShortInt(*v),
        Value::U8(v) => AMQPValue::ShortShortUInt(*v),
        Value::I16(v) => AMQPValue::ShortInt(*v),
        Value::U16(v) => AMQPValue::ShortUInt(*v),
        Value::I32(v) => AMQPValue::LongInt(*v),
        Value::U32(v) => AMQPValue::LongUInt(*v),
        Value::I64(v) => AMQPValue::LongLongInt(*v),
        Value::F32(v) => AMQPValue::Float(*v),
        Value::F64(v) => AMQPValue::Double(*v),
        // The spec has the mantissa unsigned, RabbitMQ and we signed: the same four octets.
        Value::Decimal(scale, mantissa) => {
            AMQPValue::DecimalValue(DecimalValue { scale: *scale, value: *mantissa as u32 })
        }
        Value::LongString(v) => AMQPValue::LongString(v.to_vec().into()),
        Value::ByteArray(v) => AMQPValue::ByteArray(v.to_vec().into()),
        Value::Timestamp(v) => AMQPValue::Timestamp(*v),
        Value::Table(v) => AMQPValue::FieldTable(table(v)),
        Value::Array(v) => AMQPValue::FieldArray(v.iter().map(their_value).collect::<Vec<_>>().into()),
        Value::Void => AMQPValue::Void,
    }
}

fn our_table(table: &FieldTable) -> Table {
    Table(table.inner().iter().map(|(name, value)| (name.as_str().into(), our_value(value))).collect())
}

fn our_value(value: &AMQPValue) -> Value {
    match value {
        AMQPValue::Boolean(v) => Value::Bool(*v),
        AMQPValue::ShortShortInt(v) => Value::I8(*v),
        AMQPValue::ShortShortUInt(v) => Value::U8(*v),
        AMQPValue::ShortInt(v) => Value::I16(*v),
        AMQPValue::ShortUInt(v) => Value::U16(*v),
        AMQPValue::LongInt(v) => Value::I32(*v),
        AMQPValue::LongUInt(v) => Value::U32(*v),
        AMQPValue::LongLongInt(v) => Value::I64(*v),
        AMQPValue::Float(v) => Value::F32(*v),
        AMQPValue::Double(v) => Value::F64(*v),
        AMQPValue::DecimalValue(v) => Value::Decimal(v.scale, v.value as i32),
        // Has no letter at the wire: lapin never reads one.
        AMQPValue::ShortString(v) => Value::LongString(Bytes::copy_from_slice(v.as_str().as_bytes())),
        AMQPValue::LongString(v) => Value::LongString(Bytes::copy_from_slice(v.as_bytes())),
        AMQPValue::ByteArray(v) => Value::ByteArray(Bytes::copy_from_slice(v.as_slice())),
        AMQPValue::Timestamp(v) => Value::Timestamp(*v),
        AMQPValue::FieldTable(v) => Value::Table(our_table(v)),
        AMQPValue::FieldArray(v) => Value::Array(v.as_slice().iter().map(our_value).collect()),
        AMQPValue::Void => Value::Void,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test that fails may panic
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let bytes = || vec(any::<u8>(), 0..20).prop_map(Bytes::from);
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i8>().prop_map(Value::I8),
            any::<u8>().prop_map(Value::U8),
            any::<i16>().prop_map(Value::I16),
            any::<u16>().prop_map(Value::U16),
            any::<i32>().prop_map(Value::I32),
            any::<u32>().prop_map(Value::U32),
            any::<i64>().prop_map(Value::I64),
            any::<f32>().prop_map(Value::F32),
            any::<f64>().prop_map(Value::F64),
            (any::<u8>(), any::<i32>()).prop_map(|(scale, mantissa)| Value::Decimal(scale, mantissa)),
            bytes().prop_map(Value::LongString),
            bytes().prop_map(Value::ByteArray),
            any::<u64>().prop_map(Value::Timestamp),
            Just(Value::Void),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..6).prop_map(Value::Array),
                entries(inner).prop_map(Value::Table)
            ]
        })
    }

    /// Tables in the order of their names, as lapin keeps them.
    fn entries(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Table> {
        btree_map("\\PC{0,9}", value, 0..6).prop_map(|entries: BTreeMap<String, Value>| {
            Table(entries.into_iter().map(|(name, value)| (name.into(), value)).collect())
        })
    }

    prop_compose! {
        fn all_properties()(
            texts in vec(option::of("\\PC{0,9}"), 10),
            headers in option::of(entries(value())),
            octets in any::<(Option<u8>, Option<u8>)>(),
            timestamp in any::<Option<u64>>(),
        ) -> Properties {
            let text = |index: usize| texts[index].as_deref().map(ShortString::truncated);
            Properties {
                content_type: text(0), content_encoding: text(1), headers,
                delivery_mode: octets.0, priority: octets.1,
                correlation_id: text(2), reply_to: text(3), expiration: text(4), message_id: text(5),
                timestamp, r#type: text(6), user_id: text(7), app_id: text(8), cluster_id: text(9),
            }
        }
    }

    proptest! {
        #[test]
        fn properties_survive_the_way_to_lapin_and_back(ours in all_properties()) {
            let mut encoded = Vec::new();
            ours.encode(&mut encoded);
            let mut again = Vec::new();
            encode(&properties(&encoded).unwrap(), &mut again);
            prop_assert_eq!(again, encoded);
        }
    }

    #[test]
    fn malformed_properties_and_long_names_are_refused() {
        assert_eq!(properties(&[0x80, 0, 9]).unwrap_err().kind(), Kind::InvalidArgument);
        assert_eq!(
            short("queue.declare", "queue name", &"x".repeat(256)).unwrap_err().kind(),
            Kind::InvalidArgument
        );
    }
}
