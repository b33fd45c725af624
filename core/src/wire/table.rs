//! Field tables: the typed maps in headers and arguments.
//!
//! The type letters are RabbitMQ's (and Qpid's), not the 0-9-1 document's: see
//! <https://www.rabbitmq.com/amqp-0-9-1-errata>, section 3 "Field types".

use bytes::Bytes;

use super::output::{put_long_string, put_short_string, put_sized};
use super::reader::Reader;
use super::{DecodeError, Output};

/// How deep tables and arrays may be nested in a table. RabbitMQ has no limit; the deepest that its own headers
/// reach (`x-death`) is 3. A limit keeps a hostile table from exhausting the stack.
pub const MAX_DEPTH: usize = 128;

/// One value of a table or an array. Letters in brackets are the type octets on the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `t`
    Bool(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l` (RabbitMQ also reads `L`)
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: scale and mantissa
    Decimal(u8, i32),
    /// `S`: a long string, bytes that need not be UTF-8
    LongString(Bytes),
    /// `x`
    ByteArray(Bytes),
    /// `T`: seconds since 1970
    Timestamp(u64),
    /// `F`
    Table(Table),
    /// `A`
    Array(Vec<Value>),
    /// `V`
    Void,
}

impl Value {
    /// RabbitMQ's name of the type, as its error texts show it (`rabbit_binary_parser`).
    pub fn type_name(&self) -> &'static str {
        match self {
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

    /// An integer of whatever width.
    pub fn as_integer(&self) -> Option<i64> {
        Some(match self {
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
}

/// An AMQP field table: names (at most 255 bytes of UTF-8) and values in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table(pub Vec<(Box<str>, Value)>);

impl Table {
    /// The value under `name`; the first, should the name stand there twice.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| &**key == name).map(|(_, value)| value)
    }

    /// Takes out the value under `name`.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(key, _)| &**key == name)?;
        Some(self.0.remove(index).1)
    }

    /// True when there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an entry, or replaces the value of that name.
    pub fn insert(&mut self, name: &str, value: Value) {
        match self.0.iter_mut().find(|(key, _)| &**key == name) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name.into(), value)),
        }
    }

    /// Reads a whole encoded table, its four octets of length included.
    ///
    /// # Errors
    /// `Truncated`, `TrailingBytes`, `NotUtf8` (a name), `UnknownFieldType`, `NestedTooDeep`.
    pub fn decode(encoded: &[u8]) -> Result<Table, DecodeError> {
        let mut reader = Reader(encoded);
        let table = Table::read(&mut reader)?;
        reader.finish().map(|()| table)
    }

    /// Writes the table with its four octets of length. Names are cut to 255 octets.
    pub fn encode(&self, out: &mut impl Output) {
        put_sized(out, |out| {
            for (name, value) in &self.0 {
                put_short_string(out, name);
                value.encode(out);
            }
        });
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Table, DecodeError> {
        read_entries(reader, MAX_DEPTH)
    }
}

impl Value {
    /// Writes the type letter and the value.
    pub fn encode(&self, out: &mut impl Output) {
        match self {
            Value::Bool(v) => out.put(&[b't', u8::from(*v)]),
            Value::I8(v) => out.put(&[b'b', *v as u8]),
            Value::U8(v) => out.put(&[b'B', *v]),
            Value::I16(v) => put_number(out, b's', v.to_be_bytes()),
            Value::U16(v) => put_number(out, b'u', v.to_be_bytes()),
            Value::I32(v) => put_number(out, b'I', v.to_be_bytes()),
            Value::U32(v) => put_number(out, b'i', v.to_be_bytes()),
            Value::I64(v) => put_number(out, b'l', v.to_be_bytes()),
            Value::F32(v) => put_number(out, b'f', v.to_be_bytes()),
            Value::F64(v) => put_number(out, b'd', v.to_be_bytes()),
            Value::Decimal(scale, mantissa) => {
                out.put(&[b'D', *scale]);
                out.put(&mantissa.to_be_bytes());
            }
            Value::LongString(v) => {
                out.put(b"S");
                put_long_string(out, v);
            }
            Value::ByteArray(v) => {
                out.put(b"x");
                put_long_string(out, v);
            }
            Value::Timestamp(v) => put_number(out, b'T', v.to_be_bytes()),
            Value::Table(v) => {
                out.put(b"F");
                v.encode(out);
            }
            Value::Array(values) => {
                out.put(b"A");
                put_sized(out, |out| values.iter().for_each(|value| value.encode(out)));
            }
            Value::Void => out.put(b"V"),
        }
    }

    fn read(reader: &mut Reader<'_>, depth: usize) -> Result<Value, DecodeError> {
        Ok(match reader.u8()? {
            // RabbitMQ takes every octet but 0 for true.
            b't' => Value::Bool(reader.u8()? != 0),
            b'b' => Value::I8(reader.array().map(i8::from_be_bytes)?),
            b'B' => Value::U8(reader.u8()?),
            b's' => Value::I16(reader.array().map(i16::from_be_bytes)?),
            b'u' => Value::U16(reader.u16()?),
            b'I' => Value::I32(reader.array().map(i32::from_be_bytes)?),
            b'i' => Value::U32(reader.u32()?),
            b'l' | b'L' => Value::I64(reader.array().map(i64::from_be_bytes)?),
            b'f' => Value::F32(reader.array().map(f32::from_be_bytes)?),
            b'd' => Value::F64(reader.array().map(f64::from_be_bytes)?),
            b'D' => Value::Decimal(reader.u8()?, reader.array().map(i32::from_be_bytes)?),
            b'S' => Value::LongString(reader.long_string()?),
            b'x' => Value::ByteArray(reader.long_string()?),
            b'T' => Value::Timestamp(reader.u64()?),
            b'F' => Value::Table(read_entries(reader, deeper(depth)?)?),
            b'A' => {
                let depth = deeper(depth)?;
                let mut inside = Reader(reader.long_bytes()?);
                let mut values = Vec::new();
                while !inside.0.is_empty() {
                    values.push(Value::read(&mut inside, depth)?);
                }
                Value::Array(values)
            }
            b'V' => Value::Void,
            letter => return Err(DecodeError::UnknownFieldType(letter)),
        })
    }
}

fn put_number<const N: usize>(out: &mut impl Output, letter: u8, bytes: [u8; N]) {
    out.put(&[letter]);
    out.put(&bytes);
}

fn deeper(depth: usize) -> Result<usize, DecodeError> {
    depth.checked_sub(1).ok_or(DecodeError::NestedTooDeep)
}

fn read_entries(reader: &mut Reader<'_>, depth: usize) -> Result<Table, DecodeError> {
    let mut inside = Reader(reader.long_bytes()?);
    let mut entries = Vec::new();
    while !inside.0.is_empty() {
        let name = inside.short_str()?;
        entries.push((name.into(), Value::read(&mut inside, depth)?));
    }
    Ok(Table(entries))
}

/// Walks an encoded table (four octets of length, then entries) without allocating; what it accepts,
/// [`Table::decode`] accepts.
pub(super) fn check(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    check_entries(reader, MAX_DEPTH)
}

/// The value under `name` in an encoded table, without decoding the others. `None` also where the table is
/// malformed before that entry or in it.
pub(super) fn find(encoded: &[u8], name: &str) -> Option<Value> {
    let mut inside = Reader(Reader(encoded).long_bytes().ok()?);
    loop {
        if inside.short_bytes().ok()? == name.as_bytes() {
            return Value::read(&mut inside, MAX_DEPTH).ok();
        }
        check_value(&mut inside, MAX_DEPTH).ok()?;
    }
}

/// The values under several names, found in one walk; see [`find`].
pub(super) fn find_all<const N: usize>(encoded: &[u8], names: [&str; N]) -> [Option<Value>; N] {
    let mut found = [const { None }; N];
    let mut inside = Reader(Reader(encoded).long_bytes().unwrap_or_default());
    while let Ok(name) = inside.short_bytes() {
        let wanted = names.iter().position(|wanted| wanted.as_bytes() == name);
        let read = match wanted {
            Some(index) if found[index].is_none() => {
                Value::read(&mut inside, MAX_DEPTH).map(|value| found[index] = Some(value))
            }
            _ => check_value(&mut inside, MAX_DEPTH),
        };
        if read.is_err() {
            break;
        }
    }
    found
}

fn check_entries(reader: &mut Reader<'_>, depth: usize) -> Result<(), DecodeError> {
    let mut inside = Reader(reader.long_bytes()?);
    while !inside.0.is_empty() {
        inside.skip_short_str()?;
        check_value(&mut inside, depth)?;
    }
    Ok(())
}

fn check_value(reader: &mut Reader<'_>, depth: usize) -> Result<(), DecodeError> {
    let fixed = match reader.u8()? {
        b'V' => 0,
        b't' | b'b' | b'B' => 1,
        b's' | b'u' => 2,
        b'I' | b'i' | b'f' => 4,
        b'D' => 5,
        b'l' | b'L' | b'd' | b'T' => 8,
        b'S' | b'x' => return reader.long_bytes().map(drop),
        b'F' => return check_entries(reader, deeper(depth)?),
        b'A' => {
            let depth = deeper(depth)?;
            let mut inside = Reader(reader.long_bytes()?);
            while !inside.0.is_empty() {
                check_value(&mut inside, depth)?;
            }
            return Ok(());
        }
        letter => return Err(DecodeError::UnknownFieldType(letter)),
    };
    reader.take(fixed).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arrays in an array in …, under one name.
    fn nested(levels: usize) -> Vec<u8> {
        let array = (0..levels).fold(Value::Void, |inside, _| Value::Array(vec![inside]));
        let mut encoded = Vec::new();
        Table(vec![("deep".into(), array)]).encode(&mut encoded);
        encoded
    }

    #[test]
    fn nesting_is_limited() {
        for (levels, fits) in [(MAX_DEPTH, true), (MAX_DEPTH + 1, false), (10 * MAX_DEPTH, false)] {
            let encoded = nested(levels);
            assert_eq!(Table::decode(&encoded).is_ok(), fits);
            assert_eq!(check(&mut Reader(&encoded)).is_ok(), fits);
            assert_eq!(find(&encoded, "deep").is_some(), fits);
            assert_eq!(find(&encoded, "absent"), None);
            let [absent, deep] = find_all(&encoded, ["absent", "deep"]);
            assert_eq!((absent, deep.is_some()), (None, fits));
        }
    }

    #[test]
    fn a_length_that_is_not_there_is_an_error_and_not_an_allocation() {
        for value in [&b"S\xFF\xFF\xFF\xFFabc"[..], b"x\x7F\xFF\xFF\xFF", b"A\x80\0\0\0", b"F\0\0\0\x09"] {
            let encoded = [&[0, 0, 0, value.len() as u8 + 2, 1, b'k'], value].concat();
            assert_eq!(Table::decode(&encoded), Err(DecodeError::Truncated));
        }
        assert_eq!(Table::decode(&[0xFF; 8]), Err(DecodeError::Truncated));
    }

    #[test]
    fn letters_are_read_as_rabbitmq_reads_them() {
        let ones = [0xFF; 8];
        for (letter, octets, expected) in [
            (b't', 1, Value::Bool(true)),
            (b'b', 1, Value::I8(-1)),
            (b'B', 1, Value::U8(255)),
            (b's', 2, Value::I16(-1)),
            (b'u', 2, Value::U16(65_535)),
            (b'I', 4, Value::I32(-1)),
            (b'i', 4, Value::U32(u32::MAX)),
            (b'l', 8, Value::I64(-1)),
            (b'L', 8, Value::I64(-1)),
            (b'D', 5, Value::Decimal(255, -1)),
            (b'T', 8, Value::Timestamp(u64::MAX)),
            (b'V', 0, Value::Void),
        ] {
            let entry = [&[1, b'a', letter], &ones[..octets]].concat();
            let encoded = [&(entry.len() as u32).to_be_bytes(), &entry[..]].concat();
            let table = Table::decode(&encoded);
            assert_eq!(table.map(|table| table.get("a").cloned()), Ok(Some(expected)));
            assert_eq!(check(&mut Reader(&encoded)), Ok(()));
        }
        for letter in [b'U', b'c', b'Z', 0] {
            let encoded = [0, 0, 0, 3, 1, b'a', letter];
            assert_eq!(Table::decode(&encoded), Err(DecodeError::UnknownFieldType(letter)));
        }
    }

    #[test]
    fn names_too_long_for_the_wire_are_cut_between_characters() {
        let mut encoded = Vec::new();
        Table(vec![("é".repeat(200).into(), Value::Void)]).encode(&mut encoded);
        let name = Table::decode(&encoded).map(|table| table.0[0].0.len());
        assert_eq!(name, Ok(254));
    }
}
