//! What makes two bindings the same.
//!
//! RabbitMQ keys its route table by (source, routing key, destination, arguments) after sorting the
//! arguments by name (`rabbit_binding:binding_action/3`), so their order does not count.

use std::hash::{Hash, Hasher};
use std::mem::discriminant;

use crate::wire::table::{Table, Value};

/// One binding of an exchange, as a listing shows it.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a, D> {
    /// The queue or exchange that gets the messages.
    pub destination: &'a D,
    /// The binding key; a pattern at a topic exchange.
    pub routing_key: &'a str,
    /// The arguments, sorted by name.
    pub arguments: &'a Table,
}

/// A binding without its destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    routing_key: Box<str>,
    arguments: Arguments,
}

impl Key {
    pub(super) fn new(routing_key: &str, arguments: &Table) -> Self {
        Key { routing_key: routing_key.into(), arguments: Arguments::new(arguments) }
    }

    pub(super) fn routing_key(&self) -> &str {
        &self.routing_key
    }

    pub(super) fn arguments(&self) -> &Arguments {
        &self.arguments
    }

    pub(super) fn binding<'a, D>(&'a self, destination: &'a D) -> Binding<'a, D> {
        Binding { destination, routing_key: &self.routing_key, arguments: &self.arguments.0 }
    }
}

/// A table sorted by name that can key a map: floats count as their bits, since a binding whose
/// argument is not a number must still be found again.
#[derive(Clone, Debug)]
pub(super) struct Arguments(Table);

impl Arguments {
    fn new(table: &Table) -> Self {
        let mut sorted = table.clone();
        sorted.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        Arguments(sorted)
    }

    pub(super) fn table(&self) -> &Table {
        &self.0
    }
}

impl PartialEq for Arguments {
    fn eq(&self, other: &Self) -> bool {
        same_table(&self.0, &other.0)
    }
}

impl Eq for Arguments {}

impl Hash for Arguments {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_table(&self.0, state);
    }
}

fn same_table(a: &Table, b: &Table) -> bool {
    a.0.len() == b.0.len() && a.0.iter().zip(&b.0).all(|((k, v), (l, w))| k == l && same(v, w))
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::F32(x), Value::F32(y)) => x.to_bits() == y.to_bits(),
        (Value::F64(x), Value::F64(y)) => x.to_bits() == y.to_bits(),
        (Value::Table(x), Value::Table(y)) => same_table(x, y),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        _ => a == b,
    }
}

fn hash_table<H: Hasher>(table: &Table, state: &mut H) {
    state.write_usize(table.0.len());
    for (name, value) in &table.0 {
        name.hash(state);
        hash_value(value, state);
    }
}

fn hash_value<H: Hasher>(value: &Value, state: &mut H) {
    discriminant(value).hash(state);
    match value {
        Value::Bool(x) => x.hash(state),
        Value::I8(x) => x.hash(state),
        Value::U8(x) => x.hash(state),
        Value::I16(x) => x.hash(state),
        Value::U16(x) => x.hash(state),
        Value::I32(x) => x.hash(state),
        Value::U32(x) => x.hash(state),
        Value::I64(x) => x.hash(state),
        Value::F32(x) => x.to_bits().hash(state),
        Value::F64(x) => x.to_bits().hash(state),
        Value::Decimal(scale, mantissa) => (scale, mantissa).hash(state),
        Value::LongString(x) | Value::ByteArray(x) => x.hash(state),
        Value::Timestamp(x) => x.hash(state),
        Value::Table(x) => hash_table(x, state),
        Value::Array(x) => x.iter().for_each(|x| hash_value(x, state)),
        Value::Void => {}
    }
}
