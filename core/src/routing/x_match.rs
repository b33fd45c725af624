//! The rules of a headers binding: what `x-match` asks for, and when a value matches.
//!
//! Follows `rabbit_exchange_type_headers` (3.10 to 3.13), which compares what its parser made of the
//! two tables with Erlang's `==`.

use super::Invalid;
use crate::wire::table::{Table, Value};
use crate::wire::term::Term;

/// What `x-match` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct XMatch {
    /// One condition suffices (`any`), rather than all of them being needed.
    pub(super) any: bool,
    /// Names that start with `x-` are conditions too (`-with-x`, since 3.10).
    with_x: bool,
}

impl XMatch {
    /// `all` when there is none, or (as in bindings older than the validation) an unknown one.
    pub(super) fn of(arguments: &Table) -> Self {
        match arguments.get("x-match") {
            Some(Value::LongString(text)) => Self::parse(text),
            _ => None,
        }
        .unwrap_or(XMatch { any: false, with_x: false })
    }

    fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"all" => Some(XMatch { any: false, with_x: false }),
            b"any" => Some(XMatch { any: true, with_x: false }),
            b"all-with-x" => Some(XMatch { any: false, with_x: true }),
            b"any-with-x" => Some(XMatch { any: true, with_x: true }),
            _ => None,
        }
    }

    /// The arguments that are conditions; `x-match` never is.
    pub(super) fn conditions(self, arguments: &Table) -> impl Iterator<Item = (&str, &Value)> {
        arguments
            .0
            .iter()
            .map(|(name, value)| (&**name, value))
            .filter(move |(name, _)| *name != "x-match" && (self.with_x || !name.starts_with("x-")))
    }

    /// Whether a message with these headers matches; both sides are sorted by name.
    ///
    /// Without conditions `all` is met and `any` is not. A name that stands twice is compared in pairs.
    pub(super) fn matches(self, arguments: &Table, mut headers: &[(&str, &Value)]) -> bool {
        for (name, wanted) in self.conditions(arguments) {
            let before = headers.iter().take_while(|(other, _)| *other < name).count();
            headers = &headers[before..];
            let met = match headers.split_first() {
                Some(((other, value), rest)) if *other == name => {
                    headers = rest;
                    meets(wanted, value)
                }
                _ => false,
            };
            if met == self.any {
                return self.any;
            }
        }
        !self.any
    }
}

/// Refuses what [`XMatch`] would not understand, with RabbitMQ's text.
pub(super) fn validate(arguments: &Table) -> Result<(), Invalid> {
    match arguments.get("x-match") {
        None => Ok(()),
        Some(Value::LongString(text)) if XMatch::parse(text).is_some() => Ok(()),
        Some(value @ Value::LongString(_)) => Err(Invalid(format!(
            "Invalid x-match field value {}; expected all, any, all-with-x, or any-with-x",
            Term(value)
        ))),
        Some(value) => Err(Invalid(format!(
            "Invalid x-match field type {} (value {}); expected longstr",
            value.type_name(),
            Term(value)
        ))),
    }
}

/// Whether a header's value meets the one that the binding wants.
///
/// A void wants the header present, whatever its value. Numbers compare by value across widths,
/// floats and timestamps (1 = 1.0), long strings and byte arrays by their bytes. Inside tables and
/// arrays the types must be equal too.
fn meets(wanted: &Value, value: &Value) -> bool {
    match (wanted, value) {
        (Value::Void, _) => true,
        (Value::Table(table), Value::Array(array)) | (Value::Array(array), Value::Table(table)) => {
            // Both are the empty list in Erlang.
            table.is_empty() && array.is_empty()
        }
        _ => match (Scalar::of(wanted), Scalar::of(value)) {
            (Some(a), Some(b)) => a == b,
            (None, None) => wanted == value,
            _ => false,
        },
    }
}

/// A value without its width: equal, and of equal hash, exactly when Erlang's `==` holds.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum Scalar<'a> {
    Bool(bool),
    Integer(i128),
    /// The bits of a float that no integer here equals.
    Fraction(u64),
    Bytes(&'a [u8]),
}

impl<'a> Scalar<'a> {
    /// None for void, decimals, tables and arrays.
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        Some(match value {
            Value::Bool(x) => Scalar::Bool(*x),
            Value::I8(x) => Scalar::Integer((*x).into()),
            Value::U8(x) => Scalar::Integer((*x).into()),
            Value::I16(x) => Scalar::Integer((*x).into()),
            Value::U16(x) => Scalar::Integer((*x).into()),
            Value::I32(x) => Scalar::Integer((*x).into()),
            Value::U32(x) => Scalar::Integer((*x).into()),
            Value::I64(x) => Scalar::Integer((*x).into()),
            Value::Timestamp(x) => Scalar::Integer((*x).into()),
            Value::F32(x) => Scalar::float((*x).into()),
            Value::F64(x) => Scalar::float(*x),
            Value::LongString(x) | Value::ByteArray(x) => Scalar::Bytes(x),
            Value::Decimal(..) | Value::Table(_) | Value::Array(_) | Value::Void => return None,
        })
    }

    fn float(x: f64) -> Self {
        /// Beyond any 64-bit integer, and exact as `i128`.
        const LIMIT: f64 = (1u128 << 100) as f64;
        if x.fract() == 0.0 && x.abs() < LIMIT {
            Scalar::Integer(x as i128)
        } else {
            Scalar::Fraction(x.to_bits())
        }
    }
}
