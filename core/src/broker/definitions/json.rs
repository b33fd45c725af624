//! Arguments between JSON and the protocol's tables, as RabbitMQ's `rabbit_misc:to_amqp_table` and
//! `amqp_table`.

use bytes::Bytes;
use serde_json::{Map, Value as Json};

use crate::wire::table::{Table, Value};

/// A JSON object as a table.
pub(in crate::broker) fn to_table(object: &Map<String, Json>) -> Table {
    Table(object.iter().map(|(key, value)| (key.as_str().into(), to_value(value))).collect())
}

fn to_value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Void,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::I64(integer),
            None => Value::F64(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::LongString(Bytes::copy_from_slice(text.as_bytes())),
        Json::Array(values) => Value::Array(values.iter().map(to_value).collect()),
        Json::Object(object) => Value::Table(to_table(object)),
    }
}

/// A table as a JSON object. Bytes that are no UTF-8 are shown as such text: JSON has no other.
pub(super) fn from_table(table: &Table) -> Map<String, Json> {
    table.0.iter().map(|(key, value)| (key.to_string(), from_value(value))).collect()
}

fn from_value(value: &Value) -> Json {
    match value {
        Value::Bool(flag) => Json::Bool(*flag),
        Value::F32(number) => f64::from(*number).into(),
        Value::F64(number) => (*number).into(),
        Value::Decimal(scale, mantissa) => (f64::from(*mantissa) / 10_f64.powi(i32::from(*scale))).into(),
        Value::LongString(bytes) | Value::ByteArray(bytes) => {
            String::from_utf8_lossy(bytes).into_owned().into()
        }
        Value::Timestamp(seconds) => (*seconds).into(),
        Value::Table(table) => Json::Object(from_table(table)),
        Value::Array(values) => values.iter().map(from_value).collect(),
        Value::Void => Json::Null,
        other => other.as_integer().into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_survive_the_way_to_a_table_and_back() {
        let object = json!({"n": 5, "f": 1.5, "s": "é", "t": true, "a": [1, {"x": null}]});
        let object = object.as_object().unwrap();
        assert_eq!(&from_table(&to_table(object)), object);
        assert_eq!(to_table(object).get("n"), Some(&Value::I64(5)));
    }
}
