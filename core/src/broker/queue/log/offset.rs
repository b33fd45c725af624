//! Where a consumer of a stream begins to read.

use crate::error::{Error, Kind, Result};
use crate::wire::table::{Table, Value};

/// Where a consumer of a stream begins (`x-stream-offset`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::broker) enum Offset {
    First,
    /// With the last message there is.
    Last,
    /// With the next one that comes.
    #[default]
    Next,
    At(u64),
    /// With the first that came at this time (milliseconds since 1970) or later.
    Since(u64),
}

impl Offset {
    /// Reads `x-stream-offset` of `basic.consume`: `first`, `last`, `next`, a number, a timestamp, or a span before
    /// `now` such as `1h`.
    pub(in crate::broker) fn parse(arguments: &Table, now: u64) -> Result<Offset> {
        let invalid = || {
            let reason = "invalid arg 'x-stream-offset' in 'basic.consume'";
            Err(Error::new(Kind::PreconditionFailed, "basic.consume", reason)
                .advise("give first, last, next, an offset, a timestamp, or a span such as 1h"))
        };
        let text = match arguments.get("x-stream-offset") {
            None => return Ok(Offset::Next),
            Some(Value::Timestamp(seconds)) => return Ok(Offset::Since(seconds.saturating_mul(1000))),
            Some(Value::LongString(text)) => std::str::from_utf8(text).unwrap_or_default(),
            // A number before the first is the first, as in RabbitMQ.
            Some(value) => match value.as_integer() {
                Some(offset) => return Ok(Offset::At(offset.try_into().unwrap_or(0))),
                None => return invalid(),
            },
        };
        match text {
            "first" => Ok(Offset::First),
            "last" => Ok(Offset::Last),
            "next" => Ok(Offset::Next),
            span => match milliseconds(span) {
                Some(span) => Ok(Offset::Since(now.saturating_sub(span))),
                None => invalid(),
            },
        }
    }
}

/// A span as `x-max-age` has it: a number and one of Y, M, D, h, m, s.
pub(in crate::broker) fn milliseconds(span: &str) -> Option<u64> {
    let unit = span.chars().next_back()?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'D' => 86_400,
        'M' => 30 * 86_400,
        'Y' => 365 * 86_400,
        _ => return None,
    };
    span[..span.len() - unit.len_utf8()].parse::<u64>().ok()?.checked_mul(seconds * 1000)
}
