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
            Form::AtLeast(minimum) => value.as_integer().is_some_and(|number| number >= minimum),
            Form::Octet => value.as_integer().is_some_and(|number| (0..=255).contains(&number)),
            Form::Text => matches!(value, Value::LongString(_)),
            Form::Flag => matches!(value, Value::Bool(_)),
        };
        if !fits {
            let reason = format!("invalid arg '{name}' for {label}: {value:?}");
            return Err(Error::new(Kind::PreconditionFailed, "queue.declare", reason).on(label));
        }
    }
    Ok(())
}
