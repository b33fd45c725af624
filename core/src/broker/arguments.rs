//! The `x-` arguments of declarations: which there are, and what they may be.

use crate::error::{Error, Kind, Result};
use crate::wire::table::{Table, Value};

/// What an argument's value must be.
#[derive(Clone, Copy)]
enum Form {
    /// An integer of at least this.
    AtLeast(i64),
    /// An integer from 0 to 255.
    Octet,
    Text,
    Flag,
}

/// The queue arguments of RabbitMQ (`rabbit_amqqueue:declare_args`), in the order in which it checks them.
const QUEUE: [(&str, Form); 16] = [
    ("x-expires", Form::AtLeast(1)),
    ("x-message-ttl", Form::AtLeast(0)),
    ("x-dead-letter-exchange", Form::Text),
    ("x-dead-letter-routing-key", Form::Text),
    ("x-dead-letter-strategy", Form::Text),
    ("x-max-length", Form::AtLeast(0)),
    ("x-max-length-bytes", Form::AtLeast(0)),
    ("x-max-in-memory-length", Form::AtLeast(0)),
    ("x-max-in-memory-bytes", Form::AtLeast(0)),
    ("x-max-priority", Form::Octet),
    ("x-overflow", Form::Text),
    ("x-queue-mode", Form::Text),
    ("x-single-active-consumer", Form::Flag),
    ("x-queue-type", Form::Text),
    ("x-queue-leader-locator", Form::Text),
    ("x-delivery-limit", Form::AtLeast(0)),
];

/// The arguments in which two declarations of a queue must agree; others are passed over.
pub(super) fn queue_arguments() -> impl Iterator<Item = &'static str> {
    QUEUE.iter().map(|(name, _)| *name)
}

/// Refuses values that an argument cannot have (406).
pub(super) fn check_queue_arguments(label: &str, arguments: &Table) -> Result<()> {
    for (name, form) in QUEUE {
        let Some(value) = arguments.get(name) else { continue };
        let fits = match form {
            Form::AtLeast(minimum) => integer(value).is_some_and(|number| number >= minimum),
            Form::Octet => integer(value).is_some_and(|number| (0..=255).contains(&number)),
            Form::Text => matches!(value, Value::LongString(_)),
            Form::Flag => matches!(value, Value::Bool(_)),
        };
        if !fits {
            let reason = format!("invalid arg '{name}' for {label}: {value:?}");
            return Err(Error::new(Kind::PreconditionFailed, "queue.declare", reason).on(label));
        }
        tracing::warn!("{label}: '{name}' is kept, but has no effect in this version");
    }
    Ok(())
}

/// An integer of whatever width.
pub(super) fn integer(value: &Value) -> Option<i64> {
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

/// RabbitMQ's names of the types, as its texts show them (`rabbit_binary_parser`).
pub(super) fn type_name(value: &Value) -> &'static str {
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
