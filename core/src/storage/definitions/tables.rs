//! The tables of the definitions, in a `redb` database. The whole of its format is here.
//!
//! | table | key | value |
//! |---|---|---|
//! | `about` | `format`, `next queue` | the version of this format; the first queue number that was never given |
//! | `vhosts` | name | JSON |
//! | `users` | name | JSON |
//! | `permissions` | virtual host, user | JSON |
//! | `topic permissions` | virtual host, user, exchange | JSON |
//! | `policies`, `operator policies` | virtual host, name | JSON |
//! | `exchanges` | virtual host, name | JSON, arguments |
//! | `queues` | virtual host, name | number, JSON, arguments |
//! | `bindings` | virtual host, source, `queue` or `exchange`, destination, routing key, arguments | nothing |
//! | `bindings by destination` | virtual host, `queue` or `exchange`, destination, source, routing key, arguments | nothing |
//!
//! JSON is that of RabbitMQ's definitions, without arguments: these are the protocol's encoded tables, as JSON does not
//! know all of their types. Those of a binding are sorted by name, as their order does not count.

use redb::{
    Database, Key, ReadTransaction, ReadableDatabase, ReadableTable, Table as Rows, TableDefinition,
    WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::broker::{BindingDefinition, Change, Definition, DestinationType, Side};
use crate::wire::table::Table;

/// The version of the format that is written; older ones are read.
const FORMAT: u64 = 1;

const ABOUT: TableDefinition<&str, u64> = TableDefinition::new("about");
const VHOSTS: TableDefinition<&str, (u64, &str)> = TableDefinition::new("vhosts");
const USERS: TableDefinition<&str, &str> = TableDefinition::new("users");
const PERMISSIONS: TableDefinition<Pair, &str> = TableDefinition::new("permissions");
const TOPIC_PERMISSIONS: TableDefinition<Triple, &str> = TableDefinition::new("topic permissions");
const POLICIES: TableDefinition<Pair, &str> = TableDefinition::new("policies");
const OPERATOR_POLICIES: TableDefinition<Pair, &str> = TableDefinition::new("operator policies");
const EXCHANGES: TableDefinition<Pair, (&str, &[u8])> = TableDefinition::new("exchanges");
const QUEUES: TableDefinition<Pair, (u64, &str, &[u8])> = TableDefinition::new("queues");
const BINDINGS: TableDefinition<Bound, ()> = TableDefinition::new("bindings");
const BY_DESTINATION: TableDefinition<Bound, ()> = TableDefinition::new("bindings by destination");

type Pair = (&'static str, &'static str);
type Triple = (&'static str, &'static str, &'static str);
type Bound = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static [u8]);

/// Why a database could not be read or written.
#[derive(Debug)]
pub(super) struct Failure(pub(super) String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure(error.to_string())
    }
}

type Result<T, E = Failure> = std::result::Result<T, E>;

/// What is in a database.
pub(super) struct Found {
    /// The first queue number that was never given. None: nothing was ever committed to this database.
    pub(super) next_queue: Option<u64>,
    /// Each before what needs it.
    pub(super) definitions: Vec<Definition>,
}

pub(super) fn found(database: &impl ReadableDatabase) -> Result<Found> {
    let next_queue = next_queue(database)?;
    let definitions = next_queue.map_or(Ok(Vec::new()), |_| read(database))?;
    Ok(Found { next_queue, definitions })
}

/// As [`Found::next_queue`].
pub(super) fn next_queue(database: &impl ReadableDatabase) -> Result<Option<u64>> {
    let reading = database.begin_read()?;
    // A database where something was committed has all tables.
    if reading.list_tables()?.next().is_none() {
        return Ok(None);
    }
    let about = reading.open_table(ABOUT)?;
    match about.get("format")?.map(|format| format.value()) {
        Some(format) if format <= FORMAT => {}
        Some(newer) => {
            return Err(Failure(format!(
                "written by a newer version: format {newer}, and this one knows those up to {FORMAT}"
            )));
        }
        None => return Err(Failure("no database of definitions: it has no format".into())),
    }
    Ok(Some(about.get("next queue")?.map_or(1, |next| next.value())))
}

/// What is in a database where something was committed, and so has all tables.
fn read(database: &impl ReadableDatabase) -> Result<Vec<Definition>> {
    let reading = database.begin_read()?;
    let mut found = Vec::new();
    let into = &mut found;
    each(&reading, VHOSTS, into, |_, (number, json)| Ok(Definition::Vhost(number, parse(json)?)))?;
    each(&reading, USERS, into, |_, json| Ok(Definition::User(parse(json)?)))?;
    each(&reading, PERMISSIONS, into, |_, json| Ok(Definition::Permissions(parse(json)?)))?;
    each(&reading, TOPIC_PERMISSIONS, into, |_, json| Ok(Definition::TopicPermissions(parse(json)?)))?;
    each(&reading, POLICIES, into, |_, json| Ok(Definition::Policy(Side::User, parse(json)?)))?;
    each(&reading, OPERATOR_POLICIES, into, |_, json| Ok(Definition::Policy(Side::Operator, parse(json)?)))?;
    each(&reading, EXCHANGES, into, |_, (json, arguments)| {
        Ok(Definition::Exchange(parse(json)?, Table::decode(arguments)?))
    })?;
    each(&reading, QUEUES, into, |_, (number, json, arguments)| {
        Ok(Definition::Queue(number, parse(json)?, Table::decode(arguments)?))
    })?;
    each(&reading, BINDINGS, into, |(vhost, source, kind, destination, routing_key, arguments), ()| {
        let definition = BindingDefinition {
            source: source.into(),
            vhost: vhost.into(),
            destination: destination.into(),
            destination_type: if kind == QUEUE { DestinationType::Queue } else { DestinationType::Exchange },
            routing_key: routing_key.into(),
            arguments: Default::default(),
        };
        Ok(Definition::Binding(definition, Table::decode(arguments)?))
    })?;
    Ok(found)
}

fn each<K: Key + 'static, V: redb::Value + 'static>(
    reading: &ReadTransaction,
    table: TableDefinition<'_, K, V>,
    into: &mut Vec<Definition>,
    definition: impl Fn(K::SelfType<'_>, V::SelfType<'_>) -> Result<Definition>,
) -> Result<()> {
    for row in reading.open_table(table)?.range::<K::SelfType<'_>>(..)? {
        let (key, value) = row?;
        into.push(definition(key.value(), value.value())?);
    }
    Ok(())
}

/// Commits changes, all or none of them, and returns when they are on disk.
pub(super) fn write(database: &Database, changes: &[Change]) -> Result<()> {
    let writing = database.begin_write()?;
    {
        let mut tables = Tables::open(&writing)?;
        tables.about.insert("format", FORMAT)?;
        changes.iter().try_for_each(|change| tables.apply(change))?;
    }
    Ok(writing.commit()?)
}

struct Tables<'a> {
    about: Rows<'a, &'static str, u64>,
    vhosts: Rows<'a, &'static str, (u64, &'static str)>,
    users: Rows<'a, &'static str, &'static str>,
    permissions: Rows<'a, Pair, &'static str>,
    topic_permissions: Rows<'a, Triple, &'static str>,
    policies: Rows<'a, Pair, &'static str>,
    operator_policies: Rows<'a, Pair, &'static str>,
    exchanges: Rows<'a, Pair, (&'static str, &'static [u8])>,
    queues: Rows<'a, Pair, (u64, &'static str, &'static [u8])>,
    bindings: Rows<'a, Bound, ()>,
    by_destination: Rows<'a, Bound, ()>,
}

impl<'a> Tables<'a> {
    fn open(writing: &'a WriteTransaction) -> Result<Self> {
        Ok(Tables {
            about: writing.open_table(ABOUT)?,
            vhosts: writing.open_table(VHOSTS)?,
            users: writing.open_table(USERS)?,
            permissions: writing.open_table(PERMISSIONS)?,
            topic_permissions: writing.open_table(TOPIC_PERMISSIONS)?,
            policies: writing.open_table(POLICIES)?,
            operator_policies: writing.open_table(OPERATOR_POLICIES)?,
            exchanges: writing.open_table(EXCHANGES)?,
            queues: writing.open_table(QUEUES)?,
            bindings: writing.open_table(BINDINGS)?,
            by_destination: writing.open_table(BY_DESTINATION)?,
        })
    }

    fn policies(&mut self, side: Side) -> &mut Rows<'a, Pair, &'static str> {
        match side {
            Side::User => &mut self.policies,
            Side::Operator => &mut self.operator_policies,
        }
    }

    fn apply(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::Put(definition) => self.put(definition)?,
            Change::DeleteVhost(name) => self.delete_vhost(name)?,
            Change::DeleteUser(name) => {
                self.users.remove(name.as_str())?;
                self.permissions.retain(|(_, user), _| user != name)?;
                self.topic_permissions.retain(|(_, user, _), _| user != name)?;
            }
            Change::DeletePermissions(vhost, user) => {
                self.permissions.remove((vhost.as_str(), user.as_str()))?;
            }
            Change::DeleteTopicPermissions(vhost, user, Some(exchange)) => {
                self.topic_permissions.remove((vhost.as_str(), user.as_str(), exchange.as_str()))?;
            }
            Change::DeleteTopicPermissions(vhost, user, None) => {
                let after = after(user);
                let all = (vhost.as_str(), user.as_str(), "")..(vhost.as_str(), after.as_str(), "");
                self.topic_permissions.retain_in(all, |_, _| false)?;
            }
            Change::DeletePolicy(side, vhost, name) => {
                self.policies(*side).remove((vhost.as_str(), name.as_str()))?;
            }
            Change::DeleteExchange(vhost, name) => {
                self.exchanges.remove((vhost.as_str(), name.as_str()))?;
                self.delete_bindings_to(vhost, EXCHANGE, name)?;
                self.delete_bindings_from(vhost, name)?;
            }
            Change::DeleteQueue(vhost, name) => {
                self.queues.remove((vhost.as_str(), name.as_str()))?;
                self.delete_bindings_to(vhost, QUEUE, name)?;
            }
            Change::DeleteBinding(binding, arguments) => {
                let arguments = sorted(arguments);
                self.bindings.remove(forward(binding, &arguments))?;
                self.by_destination.remove(backward(binding, &arguments))?;
            }
        }
        Ok(())
    }

    fn put(&mut self, definition: &Definition) -> Result<()> {
        match definition {
            Definition::Vhost(number, vhost) => {
                self.vhosts.insert(vhost.name.as_str(), (*number, json(vhost)?.as_str()))?;
            }
            Definition::User(user) => {
                self.users.insert(user.name.as_str(), json(user)?.as_str())?;
            }
            Definition::Permissions(permissions) => {
                let key = (permissions.vhost.as_str(), permissions.user.as_str());
                self.permissions.insert(key, json(permissions)?.as_str())?;
            }
            Definition::TopicPermissions(permissions) => {
                let (vhost, user) = (permissions.vhost.as_str(), permissions.user.as_str());
                let key = (vhost, user, permissions.exchange.as_str());
                self.topic_permissions.insert(key, json(permissions)?.as_str())?;
            }
            Definition::Policy(side, policy) => {
                let key = (policy.vhost.as_str(), policy.name.as_str());
                self.policies(*side).insert(key, json(policy)?.as_str())?;
            }
            Definition::Exchange(exchange, arguments) => {
                let key = (exchange.vhost.as_str(), exchange.name.as_str());
                self.exchanges.insert(key, (json(exchange)?.as_str(), encoded(arguments).as_slice()))?;
            }
            Definition::Queue(number, queue, arguments) => {
                let key = (queue.vhost.as_str(), queue.name.as_str());
                let next = self.about.get("next queue")?.map_or(1, |next| next.value());
                self.about.insert("next queue", next.max(number + 1))?;
                self.queues.insert(key, (*number, json(queue)?.as_str(), encoded(arguments).as_slice()))?;
            }
            Definition::Binding(binding, arguments) => {
                let arguments = sorted(arguments);
                self.bindings.insert(forward(binding, &arguments), ())?;
                self.by_destination.insert(backward(binding, &arguments), ())?;
            }
        }
        Ok(())
    }

    fn delete_vhost(&mut self, name: &str) -> Result<()> {
        let after = after(name);
        let (first, end) = (name, after.as_str());
        self.vhosts.remove(name)?;
        for pairs in [&mut self.permissions, &mut self.policies, &mut self.operator_policies] {
            pairs.retain_in((first, "")..(end, ""), |_, _| false)?;
        }
        self.topic_permissions.retain_in((first, "", "")..(end, "", ""), |_, _| false)?;
        self.exchanges.retain_in((first, "")..(end, ""), |_, _| false)?;
        self.queues.retain_in((first, "")..(end, ""), |_, _| false)?;
        let nothing = b"".as_slice();
        for bindings in [&mut self.bindings, &mut self.by_destination] {
            let all = (first, "", "", "", "", nothing)..(end, "", "", "", "", nothing);
            bindings.retain_in(all, |_, _| false)?;
        }
        Ok(())
    }

    fn delete_bindings_from(&mut self, vhost: &str, source: &str) -> Result<()> {
        let (after, nothing) = (after(source), b"".as_slice());
        let all = (vhost, source, "", "", "", nothing)..(vhost, after.as_str(), "", "", "", nothing);
        for row in self.bindings.extract_from_if(all, |_, ()| true)? {
            let (key, _) = row?;
            let (_, _, kind, destination, routing_key, arguments) = key.value();
            self.by_destination.remove((vhost, kind, destination, source, routing_key, arguments))?;
        }
        Ok(())
    }

    fn delete_bindings_to(&mut self, vhost: &str, kind: &str, destination: &str) -> Result<()> {
        let (after, nothing) = (after(destination), b"".as_slice());
        let all = (vhost, kind, destination, "", "", nothing)..(vhost, kind, after.as_str(), "", "", nothing);
        for row in self.by_destination.extract_from_if(all, |_, ()| true)? {
            let (key, _) = row?;
            let (_, _, _, source, routing_key, arguments) = key.value();
            self.bindings.remove((vhost, source, kind, destination, routing_key, arguments))?;
        }
        Ok(())
    }
}

const QUEUE: &str = "queue";
const EXCHANGE: &str = "exchange";

type BoundRef<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str, &'a [u8]);

fn kind(binding: &BindingDefinition) -> &'static str {
    match binding.destination_type {
        DestinationType::Queue => QUEUE,
        DestinationType::Exchange => EXCHANGE,
    }
}

fn forward<'a>(binding: &'a BindingDefinition, arguments: &'a [u8]) -> BoundRef<'a> {
    let BindingDefinition { vhost, source, destination, routing_key, .. } = binding;
    (vhost, source, kind(binding), destination, routing_key, arguments)
}

fn backward<'a>(binding: &'a BindingDefinition, arguments: &'a [u8]) -> BoundRef<'a> {
    let BindingDefinition { vhost, source, destination, routing_key, .. } = binding;
    (vhost, kind(binding), destination, source, routing_key, arguments)
}

/// The next name in order: what begins with a name ends before it.
fn after(name: &str) -> String {
    format!("{name}\0")
}

fn encoded(arguments: &Table) -> Vec<u8> {
    let mut bytes = Vec::new();
    arguments.encode(&mut bytes);
    bytes
}

fn sorted(arguments: &Table) -> Vec<u8> {
    let mut arguments = arguments.clone();
    arguments.0.sort_by(|(a, _), (b, _)| a.cmp(b));
    encoded(&arguments)
}

fn json(definition: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string(definition)?)
}

fn parse<T: DeserializeOwned>(json: &str) -> Result<T> {
    Ok(serde_json::from_str(json)?)
}

#[cfg(test)]
pub(super) fn pretend_newer(database: &Database) -> Result<()> {
    let writing = database.begin_write()?;
    writing.open_table(ABOUT)?.insert("format", FORMAT + 1)?;
    Ok(writing.commit()?)
}
