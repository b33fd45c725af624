//! Field tables: the typed maps in headers and arguments.
//!
//! The type letters are RabbitMQ's (and Qpid's), not the 0-9-1 document's: see
//! <https://www.rabbitmq.com/amqp-0-9-1-errata>, section 3 "Field types".

use bytes::Bytes;

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

/// An AMQP field table: names (at most 255 bytes of UTF-8) and values in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table(pub Vec<(Box<str>, Value)>);

impl Table {
    /// The value under `name`; the first, should the name stand there twice.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| &**key == name).map(|(_, value)| value)
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
}
