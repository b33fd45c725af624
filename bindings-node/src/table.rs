//! Field tables ⇄ objects.
//!
//! | JavaScript | AMQP |
//! |---|---|
//! | string; boolean; null | long string; boolean; void |
//! | whole number | 32 bits where it fits, else 64 bits |
//! | other number; BigInt | double; 64 bits |
//! | Uint8Array, Buffer | byte array |
//! | Date | timestamp, in whole seconds |
//! | array; object | array; table |
//!
//! The other way, 64-bit integers beyond ±(2^53−1) become BigInts, long strings that are not UTF-8 become
//! Buffers, and decimals become numbers.

use warrenmq::wire::table::MAX_DEPTH;
use warrenmq::wire::{Table, Value as Field};
use warrenmq::{Error, Kind};

use crate::js::{Env, Failure, Result, Type, Value};

fn unusable(place: &str, reason: &str) -> Failure {
    Error::new(Kind::InvalidArgument, "encode", format!("{place}: {reason}")).into()
}

/// Reads an object; `place` is what it is called in errors.
pub(crate) fn read(value: Value<'_>, place: &str) -> Result<Table> {
    read_table(value, place, MAX_DEPTH)
}

/// Reads the arguments of a declaration; none for undefined.
pub(crate) fn arguments(value: Value<'_>) -> Result<Table> {
    Ok(value.optional(|value| read(value, "arguments"))?.unwrap_or_default())
}

fn read_table(value: Value<'_>, place: &str, depth: usize) -> Result<Table> {
    if value.kind()? != Type::Object {
        return Err(unusable(place, "an object was expected"));
    }
    let depth = depth.checked_sub(1).ok_or_else(|| unusable(place, "nested too deep, or in a circle"))?;
    let mut table = Table::default();
    for (name, value) in value.entries()? {
        if name.len() > 255 {
            return Err(unusable(place, "a name is longer than 255 bytes"));
        }
        if value.kind()? != Type::Nothing {
            let field = read_field(value, &format!("{place}.{name}"), depth)?;
            table.0.push((name.into(), field));
        }
    }
    Ok(table)
}

fn read_field(value: Value<'_>, place: &str, depth: usize) -> Result<Field> {
    Ok(match value.kind()? {
        Type::Null => Field::Void,
        Type::Boolean => Field::Bool(value.boolean()?),
        Type::Number => number(value.number()?, place)?,
        Type::BigInt => Field::I64(
            value
                .big_integer()
                .map_err(|_| unusable(place, "a BigInt of more than 64 bits has no AMQP form"))?,
        ),
        Type::String => Field::LongString(value.string()?.into()),
        Type::Bytes => Field::ByteArray(bytes::Bytes::copy_from_slice(
            value.bytes().map_err(|_| unusable(place, "of typed arrays only Uint8Array has an AMQP form"))?,
        )),
        Type::Date => Field::Timestamp(seconds(value, place)?),
        Type::Array => {
            let depth =
                depth.checked_sub(1).ok_or_else(|| unusable(place, "nested too deep, or in a circle"))?;
            let fields = value.elements()?.into_iter().enumerate();
            Field::Array(
                fields
                    .map(|(index, value)| read_field(value, &format!("{place}[{index}]"), depth))
                    .collect::<Result<_>>()?,
            )
        }
        Type::Object => Field::Table(read_table(value, place, depth)?),
        Type::Nothing => return Err(unusable(place, "undefined has no AMQP form; use null")),
        Type::Other => return Err(unusable(place, "functions and symbols have no AMQP form")),
    })
}

fn number(value: f64, place: &str) -> Result<Field> {
    if value.fract() != 0.0 || !value.is_finite() {
        return Ok(Field::F64(value));
    }
    if value.abs() >= (1u64 << 53) as f64 {
        return Err(unusable(place, "a whole number beyond 2^53-1 is not exact; use a BigInt"));
    }
    let value = value as i64;
    Ok(i32::try_from(value).map_or(Field::I64(value), Field::I32))
}

/// A Date in whole seconds since 1970.
pub(crate) fn seconds(value: Value<'_>, place: &str) -> Result<u64> {
    let seconds = value.milliseconds().map_or(-1.0, |milliseconds| (milliseconds / 1000.0).floor());
    match seconds >= 0.0 {
        true => Ok(seconds as u64),
        false => Err(unusable(place, "an AMQP timestamp is a valid date not before 1970")),
    }
}

/// Makes an object of a table.
pub(crate) fn write<'a>(env: Env<'a>, table: &Table) -> Result<Value<'a>> {
    let object = env.object()?;
    for (name, field) in &table.0 {
        object.set(name, write_field(env, field)?)?;
    }
    Ok(object)
}

fn write_field<'a>(env: Env<'a>, field: &Field) -> Result<Value<'a>> {
    match field {
        Field::Void => env.null(),
        Field::Bool(value) => env.boolean(*value),
        Field::I8(value) => env.number((*value).into()),
        Field::U8(value) => env.number((*value).into()),
        Field::I16(value) => env.number((*value).into()),
        Field::U16(value) => env.number((*value).into()),
        Field::I32(value) => env.number((*value).into()),
        Field::U32(value) => env.number((*value).into()),
        Field::I64(value) => env.integer(*value),
        Field::F32(value) => env.number((*value).into()),
        Field::F64(value) => env.number(*value),
        Field::Decimal(scale, mantissa) => env.number(f64::from(*mantissa) / 10f64.powi((*scale).into())),
        Field::LongString(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => env.string(text),
            Err(_) => env.buffer(bytes),
        },
        Field::ByteArray(bytes) => env.buffer(bytes),
        Field::Timestamp(seconds) => env.date(*seconds as f64 * 1000.0),
        Field::Table(table) => write(env, table),
        Field::Array(fields) => env.array(fields.iter().map(|field| write_field(env, field))),
    }
}
