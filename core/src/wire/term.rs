//! Values as RabbitMQ's error texts print them.

use std::fmt::{self, Write};

use super::table::Value;

/// Prints a value as Erlang's `~p` prints what RabbitMQ parsed it to (without its line breaks, and with floats in Rust's shortest form).
pub(crate) struct Term<'a>(pub(crate) &'a Value);

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
                write!(f, ",{},{}}}", value.type_name(), Term(value))
            }),
            Value::Array(values) => {
                list(f, values, |f, value| write!(f, "{{{},{}}}", value.type_name(), Term(value)))
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
