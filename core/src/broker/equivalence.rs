//! Declaring again what exists: the two declarations must be equivalent (AMQP 0-9-1 reference,
//! `queue.declare` and `exchange.declare`). Texts as RabbitMQ's `rabbit_misc:assert_field_equivalence`
//! and `assert_args_equivalence`.

use std::fmt::Display;

use crate::error::{Error, Kind, Result};
use crate::wire::table::{Table, Value};

fn inequivalent(operation: &'static str, label: &str, field: &str, difference: &str) -> Error {
    Error::new(
        Kind::PreconditionFailed,
        operation,
        format!("inequivalent arg '{field}' for {label}: received {difference}"),
    )
    .on(label)
    .advise("declare it as it exists, or delete it first")
}

/// One field of a declaration.
pub(super) fn check_field<T: PartialEq + Display>(
    operation: &'static str,
    label: &impl Fn() -> String,
    field: &str,
    received: &T,
    current: &T,
) -> Result<()> {
    if received == current {
        return Ok(());
    }
    Err(inequivalent(operation, &label(), field, &format!("'{received}' but current is '{current}'")))
}

/// The `x-` arguments of a declaration.
pub(super) fn check_arguments(
    operation: &'static str,
    label: &impl Fn() -> String,
    received: &Table,
    current: &Table,
) -> Result<()> {
    let mut keys: Vec<&str> = received.0.iter().chain(&current.0).map(|(key, _)| &**key).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let (new, old) = (received.get(key), current.get(key));
        let same = match (new, old) {
            (Some(new), Some(old)) => same_value(new, old),
            _ => false, // the key is in one of them
        };
        if !same {
            let difference = format!("{} but current is {}", describe(new), describe(old));
            return Err(inequivalent(operation, &label(), key, &difference));
        }
    }
    Ok(())
}

/// Integers are the same whatever their width, as for RabbitMQ.
fn same_value(a: &Value, b: &Value) -> bool {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn integer(value: &Value) -> Option<i64> {
    Some(match value {
        Value::I8(n) => i64::from(*n),
        Value::U8(n) => i64::from(*n),
        Value::I16(n) => i64::from(*n),
        Value::U16(n) => i64::from(*n),
        Value::I32(n) => i64::from(*n),
        Value::U32(n) => i64::from(*n),
        Value::I64(n) => *n,
        _ => return None,
    })
}

fn describe(value: Option<&Value>) -> String {
    let Some(value) = value else { return "none".into() };
    let text = match value {
        Value::LongString(bytes) | Value::ByteArray(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::F32(number) => number.to_string(),
        Value::F64(number) => number.to_string(),
        Value::Timestamp(seconds) => seconds.to_string(),
        other => integer(other).map_or_else(|| format!("{other:?}"), |number| number.to_string()),
    };
    format!("the value '{text}' of type '{}'", type_name(value))
}

/// RabbitMQ's names of the types, as its texts show them (`rabbit_binary_parser`).
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::I8(_) => "byte",
        Value::U8(_) => "unsignedbyte",
        Value::I16(_) => "short",
        Value::U16(_) => "unsignedshort",
        Value::I32(_) => "signedint",
        Value::U32(_) => "unsignedint",
        Value::I64(_) => "long",
        Value::F32(_) => "float",
        Value::F64(_) => "double",
        Value::Decimal(..) => "decimal",
        Value::LongString(_) => "longstr",
        Value::ByteArray(_) => "binary",
        Value::Timestamp(_) => "timestamp",
        Value::Table(_) => "table",
        Value::Array(_) => "array",
        Value::Void => "void",
    }
}
