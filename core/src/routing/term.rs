//! Values as RabbitMQ's error texts print them.

use std::fmt::{self, Write};

use crate::wire::table::Value;

/// RabbitMQ's name of a field type (`rabbit_binary_parser`).
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

/// Prints a value as Erlang's `~p` prints what RabbitMQ parsed it to (without its line breaks, and with floats in Rust's shortest form).
pub(super) struct Term<'a>(pub(super) &'a Value);

impl fmt::Display for Term<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Bool(x) => write!(f, "{x}"),
            Value::I8(x) => write!(f, "{x}"),
            Value::U8(x) => write!(f, "{x}"),
            Value::I16(x) => write!(f, "{x}"),
            Value::U16(x) => write!(f, "{x}"),
            Value::I32(x) => write!(f, "{x}"),
            Value::U32(x) => write!(f, "{x}"),
            Value::I64(x) => write!(f, "{x}"),
            Value::Timestamp(x) => write!(f, "{x}"),
            Value::F32(x) => write!(f, "{:?}", f64::from(*x)),
            Value::F64(x) => write!(f, "{x:?}"),
            Value::Decimal(scale, mantissa) => write!(f, "{{{scale},{}}}", *mantissa as u32),
            Value::LongString(bytes) | Value::ByteArray(bytes) => binary(f, bytes),
            Value::Table(table) => list(f, &table.0, |f, (name, value)| {
                f.write_char('{')?;
                binary(f, name.as_bytes())?;
                write!(f, ",{},{}}}", type_name(value), Term(value))
            }),
            Value::Array(values) => {
                list(f, values, |f, value| write!(f, "{{{},{}}}", type_name(value), Term(value)))
            }
            Value::Void => f.write_str("undefined"),
        }
    }
}

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    item: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    f.write_char('[')?;
    for (index, each) in items.iter().enumerate() {
        if index > 0 {
            f.write_char(',')?;
        }
        item(f, each)?;
    }
    f.write_char(']')
}

/// `<<"text">>`, or `<<1,2,3>>` when a byte is not printable ASCII.
fn binary(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    if bytes.is_empty() || !bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
        return write!(f, "<<{}>>", numbers.join(","));
    }
    f.write_str("<<\"")?;
    for &byte in bytes {
        if matches!(byte, b'"' | b'\\') {
            f.write_char('\\')?;
        }
        f.write_char(byte.into())?;
    }
    f.write_str("\">>")
}
