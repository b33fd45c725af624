//! How a virtual host has its changes recorded; the rules are those of [`record`](super::record).

use parking_lot::RwLockWriteGuard;
use serde_json::Map;

use super::changing::Held;
use super::definitions::{BindingDefinition, DestinationType, ExchangeDefinition, QueueDefinition};
use super::exchange::{Destination, Exchange};
use super::queue::{Queue, QueueOptions};
use super::record::{Change, Definition, Noted};
use super::topology::Topology;
use super::vhost::Vhost;
use crate::error::{Error, Kind, Result};
use crate::wire::table::Table;

impl Vhost {
    /// Waits until nobody else changes what has this name. Where nothing is recorded, the topology's lock does that.
    pub(super) fn hold(
        &self,
        kind: DestinationType,
        name: &str,
    ) -> Option<Held<'_, (DestinationType, Box<str>)>> {
        self.recorder.get().map(|_| self.changing.hold((kind, name.into())))
    }

    /// Notes changes under the topology's lock, which orders them among all others.
    pub(super) fn note(&self, topology: &Topology, changes: Vec<Change>) -> Option<Noted> {
        let record = self.recorder.get()?;
        // Everything in a virtual host that is deleted goes with it.
        (!topology.gone && !changes.is_empty()).then(|| record.note(changes))
    }

    /// Has a change brought to the disk, and lets go of the topology meanwhile.
    pub(super) fn record<'a>(
        &'a self,
        operation: &'static str,
        topology: RwLockWriteGuard<'a, Topology>,
        change: impl FnOnce() -> Change,
    ) -> Result<RwLockWriteGuard<'a, Topology>> {
        let Some(record) = self.recorder.get() else { return Ok(topology) };
        self.check_there(operation, &topology)?;
        let noted = record.note(vec![change()]);
        drop(topology);
        noted.wait(operation)?;
        let topology = self.topology.write();
        self.check_there(operation, &topology)?;
        Ok(topology)
    }

    /// Has it brought to the disk that something went along with what was deleted. That much is done: a failure is no
    /// failure of the operation, and is logged where it happens.
    pub(super) fn record_gone(
        &self,
        operation: &'static str,
        topology: RwLockWriteGuard<'_, Topology>,
        changes: Vec<Change>,
    ) {
        let noted = self.note(&topology, changes);
        drop(topology);
        let _ = noted.map(|noted| noted.wait(operation));
    }

    fn check_there(&self, operation: &'static str, topology: &Topology) -> Result<()> {
        match topology.gone {
            false => Ok(()),
            true => Err(Error::new(Kind::NotFound, operation, format!("vhost '{}' is deleted", self.name))),
        }
    }

    pub(super) fn queue_definition(&self, id: u64, name: &str, options: &QueueOptions) -> Definition {
        let definition = QueueDefinition {
            name: name.into(),
            vhost: self.name.to_string(),
            durable: true,
            auto_delete: options.auto_delete,
            arguments: Map::new(),
        };
        Definition::Queue(id, definition, options.arguments.clone())
    }

    pub(super) fn queue_deletion(&self, queue: &Queue) -> Change {
        Change::DeleteQueue(self.name.to_string(), queue.name.to_string())
    }

    pub(super) fn exchange_definition(&self, exchange: &Exchange) -> Definition {
        let options = &exchange.options;
        let definition = ExchangeDefinition {
            name: exchange.name.to_string(),
            vhost: self.name.to_string(),
            r#type: options.kind.name().into(),
            durable: true,
            auto_delete: options.auto_delete,
            internal: options.internal,
            arguments: Map::new(),
        };
        Definition::Exchange(definition, options.arguments.clone())
    }

    pub(super) fn exchange_deletion(&self, name: &str) -> Change {
        Change::DeleteExchange(self.name.to_string(), name.into())
    }

    /// What is to be recorded of exchanges that went; under the topology's lock.
    pub(super) fn exchange_deletions(&self, went: &[Exchange]) -> Vec<Change> {
        went.iter().for_each(|exchange| self.remember(|| self.no_exchange_trace(&exchange.name)));
        let durable = went.iter().filter(|exchange| exchange.options.durable);
        durable.map(|exchange| self.exchange_deletion(&exchange.name)).collect()
    }

    pub(super) fn binding_definition(
        &self,
        source: &str,
        destination: &Destination,
        routing_key: &str,
        arguments: &Table,
    ) -> (BindingDefinition, Table) {
        let (destination_type, destination) = destination.named();
        let definition = BindingDefinition {
            source: source.into(),
            vhost: self.name.to_string(),
            destination: destination.to_string(),
            destination_type,
            routing_key: routing_key.into(),
            arguments: Map::new(),
        };
        (definition, arguments.clone())
    }
}
