//! Declaring again what exists: the two declarations must be equivalent (AMQP 0-9-1 reference,
//! `queue.declare` and `exchange.declare`). Texts as RabbitMQ's `rabbit_misc:assert_field_equivalence`
//! and `assert_args_equivalence`.

use std::fmt::Display;

use crate::error::{Error, Kind, Result};
use crate::wire::table::{Table, Value};
use crate::wire::term::Term;

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

/// The `x-` arguments of a declaration, those that `known` names.
pub(super) fn check_arguments<'a>(
    operation: &'static str,
    label: &impl Fn() -> String,
    known: impl Iterator<Item = &'a str>,
    received: &Table,
    current: &Table,
) -> Result<()> {
    for key in known {
        let difference = match (received.get(key), current.get(key)) {
            (None, None) => continue,
            (Some(new), Some(old)) if same_value(new, old) => continue,
            (Some(new), Some(old)) => format!("'{}' but current is '{}'", text(new), text(old)),
            // Classic is what a queue is that names no type.
            (Some(only), None) | (None, Some(only)) if key == "x-queue-type" && is_classic(only) => continue,
            (new, old) => format!("{} but current is {}", describe(new), describe(old)),
        };
        return Err(inequivalent(operation, &label(), key, &difference));
    }
    Ok(())
}

fn is_classic(value: &Value) -> bool {
    matches!(value, Value::LongString(text) if &text[..] == b"classic")
}

/// Numbers are the same whatever their width, as for RabbitMQ (`rabbit_misc:type_class`).
fn same_value(a: &Value, b: &Value) -> bool {
    let float = |value: &Value| match value {
        Value::F32(number) => Some(f64::from(*number)),
        Value::F64(number) => Some(*number),
        _ => None,
    };
    match (a.as_integer(), b.as_integer(), float(a), float(b)) {
        (Some(a), Some(b), ..) => a == b,
        (.., Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::LongString(bytes) | Value::ByteArray(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => Term(other).to_string(),
    }
}

fn describe(value: Option<&Value>) -> String {
    match value {
        None => "none".into(),
        Some(value) => format!("the value '{}' of type '{}'", text(value), value.type_name()),
    }
}
