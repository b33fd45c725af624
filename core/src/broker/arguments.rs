//! The arguments of `queue.declare` and `basic.consume`: which there are, for which types of queues, and what they
//! may be. Rules and texts are RabbitMQ 3.13's (`rabbit_amqqueue:check_declare_arguments` and
//! `check_consume_arguments`); what no list names is passed over, as there.

use super::queue::{QueueKind, QueueOptions, milliseconds};
use crate::error::{Error, Kind, Result};
use crate::wire::table::{Table, Value};
use crate::wire::term::Term;

/// An argument that the broker knows.
struct Argument {
    name: &'static str,
    /// The types of queues that have it; others refuse it.
    kinds: &'static [QueueKind],
    /// Says what is wrong with a value, as Erlang would print it. Also given all arguments.
    check: fn(&Value, &Table) -> Verdict,
}

type Verdict = std::result::Result<(), String>;

const fn argument(
    name: &'static str,
    kinds: &'static [QueueKind],
    check: fn(&Value, &Table) -> Verdict,
) -> Argument {
    Argument { name, kinds, check }
}

use QueueKind::{Classic, Quorum, Stream};

/// In the order in which RabbitMQ checks them, ours at the end.
const QUEUE: [Argument; 27] = [
    argument("x-expires", &[Classic, Quorum], positive_span),
    argument("x-message-ttl", &[Classic, Quorum], span),
    argument("x-dead-letter-exchange", &[Classic, Quorum], text),
    argument("x-dead-letter-routing-key", &[Classic, Quorum], dead_letter_key),
    argument("x-dead-letter-strategy", &[Quorum], dead_letter_strategy),
    argument("x-max-length", &[Classic, Quorum], natural),
    argument("x-max-length-bytes", &[Classic, Quorum, Stream], natural),
    argument("x-max-in-memory-length", &[Quorum], natural),
    argument("x-max-in-memory-bytes", &[Quorum], natural),
    argument("x-max-priority", &[Classic], priorities),
    argument("x-overflow", &[Classic, Quorum], overflow),
    argument("x-queue-mode", &[Classic], queue_mode),
    argument("x-queue-version", &[Classic], queue_version),
    argument("x-single-active-consumer", &[Classic, Quorum], flag),
    argument("x-queue-type", &[Classic, Quorum, Stream], queue_type),
    argument("x-quorum-initial-group-size", &[Quorum], positive),
    argument("x-max-age", &[Stream], max_age),
    argument("x-stream-max-segment-size-bytes", &[Stream], natural),
    argument("x-initial-cluster-size", &[Stream], positive),
    argument("x-queue-leader-locator", &[Quorum, Stream], leader_locator),
    argument("x-queue-master-locator", &[Classic], anything),
    // These are WarrenMQ's own where RabbitMQ has them for quorum queues or as plug-ins only, or not at all.
    argument("x-delivery-limit", &[Classic, Quorum, Stream], delivery_limit),
    argument("x-consumer-timeout", &[Classic, Quorum, Stream], positive),
    argument("x-message-deduplication", &[Classic, Quorum, Stream], flag),
    argument("x-deduplication-header", &[Classic, Quorum, Stream], text),
    argument("x-cache-size", &[Classic, Quorum, Stream], positive),
    argument("x-cache-ttl", &[Classic, Quorum, Stream], positive),
];

const CONSUMER: [Argument; 5] = [
    argument("x-priority", &[Classic, Quorum], integer),
    argument("x-cancel-on-ha-failover", &[Classic], flag),
    argument("x-stream-offset", &[Stream], stream_offset),
    argument("x-credit", &[Classic, Quorum, Stream], anything),
    argument("x-consumer-timeout", &[Classic, Quorum, Stream], positive),
];

/// The arguments in which two declarations of such a queue must agree; others are passed over.
pub(super) fn queue_arguments(kind: QueueKind) -> impl Iterator<Item = &'static str> {
    QUEUE.iter().filter(move |argument| argument.kinds.contains(&kind)).map(|argument| argument.name)
}

/// Refuses a queue that cannot be (406). `label` names it: `queue 'q' in vhost '/'`.
pub(super) fn check_queue(label: &str, options: &QueueOptions) -> Result<()> {
    const OPERATION: &str = "queue.declare";
    let arguments = &options.arguments;
    check_exchange_name(OPERATION, label, "x-dead-letter-exchange", arguments)?;
    // Which others there may be depends on the type.
    let is_type = |argument: &&Argument| argument.name == "x-queue-type";
    check_values(OPERATION, label, QUEUE.iter().filter(is_type), arguments)?;
    let kind = QueueKind::of(arguments);
    check_values(
        OPERATION,
        label,
        QUEUE.iter().filter(|argument| argument.kinds.contains(&kind)),
        arguments,
    )?;
    check_names(OPERATION, label, &QUEUE, kind, arguments)?;
    if kind == Classic {
        return Ok(());
    }
    let property = match () {
        () if options.auto_delete => "auto-delete",
        () if options.exclusive => "exclusive-owner",
        () if !options.durable => "non-durable",
        () => return check_stream(label, arguments),
    };
    let reason = format!("invalid property '{property}' for {label}");
    Err(Error::new(Kind::PreconditionFailed, OPERATION, reason).on(label))
}

/// Refuses an argument that names an exchange and is no text (406, as `rabbit_misc:r_arg`).
pub(super) fn check_exchange_name(
    operation: &'static str,
    label: &str,
    name: &str,
    arguments: &Table,
) -> Result<()> {
    match arguments.get(name) {
        None | Some(Value::LongString(_)) => Ok(()),
        Some(other) => {
            let reason = format!("invalid type '{}' for arg '{name}' in {label}", other.type_name());
            Err(Error::new(Kind::PreconditionFailed, operation, reason).on(label))
        }
    }
}

/// What `rabbit_stream_queue:declare` refuses.
fn check_stream(label: &str, arguments: &Table) -> Result<()> {
    let number = |name| arguments.get(name).and_then(Value::as_integer);
    let reason = if number("x-stream-max-segment-size-bytes").is_some_and(|bytes| bytes > 3_000_000_000) {
        "Exceeded max value for x-stream-max-segment-size-bytes"
    } else if number("x-stream-filter-size-bytes").is_some_and(|bytes| !(16..=255).contains(&bytes)) {
        "Invalid value for  x-stream-filter-size-bytes"
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::PreconditionFailed, "queue.declare", reason).on(label))
}

/// Refuses the arguments of a consumer of such a queue (406).
pub(super) fn check_consumer(label: &str, kind: QueueKind, arguments: &Table) -> Result<()> {
    const OPERATION: &str = "basic.consume";
    let known = CONSUMER.iter().filter(|argument| argument.kinds.contains(&kind));
    check_values(OPERATION, label, known, arguments)?;
    check_names(OPERATION, label, &CONSUMER, kind, arguments)
}

fn check_values<'a>(
    operation: &'static str,
    label: &str,
    known: impl Iterator<Item = &'a Argument>,
    arguments: &Table,
) -> Result<()> {
    for Argument { name, check, .. } in known {
        let Some(value) = arguments.get(name) else { continue };
        if let Err(term) = check(value, arguments) {
            let reason = format!("invalid arg '{name}' for {label}: {term}");
            return Err(Error::new(Kind::PreconditionFailed, operation, reason).on(label));
        }
    }
    Ok(())
}

/// Refuses what only queues of other types have.
fn check_names(
    operation: &'static str,
    label: &str,
    known: &[Argument],
    kind: QueueKind,
    arguments: &Table,
) -> Result<()> {
    for (name, _) in &arguments.0 {
        let elsewhere =
            known.iter().any(|argument| argument.name == &**name && !argument.kinds.contains(&kind));
        if elsewhere {
            let kind = kind.name();
            let reason = format!("invalid arg '{name}' for {label} of queue type rabbit_{kind}_queue");
            return Err(Error::new(Kind::PreconditionFailed, operation, reason).on(label));
        }
    }
    Ok(())
}

// --- what a value may be ---

fn anything(_: &Value, _: &Table) -> Verdict {
    Ok(())
}

fn number(value: &Value) -> std::result::Result<i64, String> {
    value.as_integer().ok_or_else(|| format!("\"expected integer, got {}\"", value.type_name()))
}

fn integer(value: &Value, _: &Table) -> Verdict {
    number(value).map(drop)
}

fn at_least_zero(value: &Value) -> std::result::Result<i64, String> {
    match number(value)? {
        negative @ ..0 => Err(format!("{{value_negative,{negative}}}")),
        number => Ok(number),
    }
}

fn natural(value: &Value, _: &Table) -> Verdict {
    at_least_zero(value).map(drop)
}

fn positive(value: &Value, _: &Table) -> Verdict {
    match at_least_zero(value)? {
        0 => Err("{value_zero,0}".into()),
        _ => Ok(()),
    }
}

/// Milliseconds, at most ten years.
fn span(value: &Value, _: &Table) -> Verdict {
    check_expiry(at_least_zero(value)?)
}

fn positive_span(value: &Value, arguments: &Table) -> Verdict {
    positive(value, arguments)?;
    span(value, arguments)
}

/// `rabbit_misc:check_expiry`.
fn check_expiry(ms: i64) -> Verdict {
    const TEN_YEARS: i64 = 3650 * 86_400_000;
    match ms {
        ..0 => Err(format!("{{value_negative,{ms}}}")),
        0..=TEN_YEARS => Ok(()),
        _ => Err(format!("{{value_too_large,{ms}}}")),
    }
}

fn priorities(value: &Value, _: &Table) -> Verdict {
    match at_least_zero(value)? {
        0..=255 => Ok(()),
        more => Err(format!("{{max_value_exceeded,{more}}}")),
    }
}

/// -1 is none.
fn delivery_limit(value: &Value, arguments: &Table) -> Verdict {
    match number(value)? {
        -1 => Ok(()),
        _ => natural(value, arguments),
    }
}

fn queue_version(value: &Value, _: &Table) -> Verdict {
    match at_least_zero(value)? {
        1 | 2 => Ok(()),
        other => Err(format!("\"unsupported queue version '{other}'\"")),
    }
}

fn flag(value: &Value, _: &Table) -> Verdict {
    match value {
        Value::Bool(_) => Ok(()),
        other => Err(unacceptable(other)),
    }
}

fn text(value: &Value, _: &Table) -> Verdict {
    text_of(value).map(drop)
}

fn text_of(value: &Value) -> std::result::Result<&[u8], String> {
    match value {
        Value::LongString(text) => Ok(text),
        other => Err(unacceptable(other)),
    }
}

fn unacceptable(value: &Value) -> String {
    format!("{{unacceptable_type,{}}}", value.type_name())
}

fn one_of(value: &Value, known: &[&str], otherwise: impl FnOnce(&str) -> String) -> Verdict {
    let text = String::from_utf8_lossy(text_of(value)?);
    match known.contains(&&*text) {
        true => Ok(()),
        false => Err(otherwise(&text)),
    }
}

fn dead_letter_key(value: &Value, arguments: &Table) -> Verdict {
    text(value, arguments)?;
    match arguments.get("x-dead-letter-exchange") {
        Some(_) => Ok(()),
        None => Err("routing_key_but_no_dlx_defined".into()),
    }
}

fn dead_letter_strategy(value: &Value, _: &Table) -> Verdict {
    one_of(value, &["at-most-once", "at-least-once"], |_| "invalid_dlx_strategy".into())
}

fn overflow(value: &Value, _: &Table) -> Verdict {
    one_of(value, &["drop-head", "reject-publish", "reject-publish-dlx"], |_| "invalid_overflow".into())
}

fn queue_mode(value: &Value, _: &Table) -> Verdict {
    one_of(value, &["default", "lazy"], |mode| format!("\"unsupported queue mode '{mode}'\""))
}

fn queue_type(value: &Value, _: &Table) -> Verdict {
    one_of(value, &["classic", "quorum", "stream"], |kind| format!("\"unsupported queue type '{kind}'\""))
}

fn leader_locator(value: &Value, _: &Table) -> Verdict {
    let known = ["client-local", "balanced", "random", "least-leaders"];
    one_of(value, &known, |_| "invalid_queue_locator_arg".into())
}

fn max_age(value: &Value, _: &Table) -> Verdict {
    let age = std::str::from_utf8(text_of(value)?).ok().and_then(milliseconds);
    // RabbitMQ's channel crashes (541) where there is no number at all.
    age.filter(|ms| *ms > 0).map(drop).ok_or_else(|| "invalid_max_age".into())
}

fn stream_offset(value: &Value, arguments: &Table) -> Verdict {
    match value {
        Value::LongString(text) if !matches!(&text[..], b"first" | b"last" | b"next") => {
            let invalid = |_| format!("{{invalid_stream_offset_arg,{{longstr,{}}}}}", Term(value));
            max_age(value, arguments).map_err(invalid)
        }
        _ => Ok(()),
    }
}

/// Refuses an `expiration` that is no number of milliseconds (406, as `rabbit_basic:parse_expiration`).
pub(super) fn check_expiration(expiration: &str) -> Result<()> {
    let digits = expiration.strip_prefix(['+', '-']).unwrap_or(expiration);
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    let verdict = match digits.split_at(count) {
        ("", _) => Err("no_integer".into()),
        (_, "") => check_expiry(expiration.parse().unwrap_or(i64::MAX)),
        (_, rest) => Err(format!("{{leftover_string,\"{}\"}}", rest.escape_default())),
    };
    verdict.map_err(|term| {
        let reason = format!("invalid expiration '{expiration}': {term}");
        Error::new(Kind::PreconditionFailed, "basic.publish", reason)
    })
}
