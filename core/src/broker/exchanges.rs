//! Declaring and deleting exchanges in a virtual host. RabbitMQ's rules and texts.

use super::arguments;
use super::definitions::DestinationType;
use super::equivalence::{check_arguments, check_field};
use super::exchange::{Exchange, ExchangeOptions};
use super::policy::Subject;
use super::record::Change;
use super::topology::Topology;
use super::transient::Trace;
use super::vhost::Vhost;
use crate::error::{Error, Kind, Result};
use crate::routing;

impl Vhost {
    /// Declares an exchange. An existing one must have been declared alike.
    pub(super) fn declare_exchange(&self, name: &str, options: ExchangeOptions) -> Result<()> {
        let _held = self.hold(DestinationType::Exchange, name);
        let mut topology = self.topology.write();
        if let Some(exchange) = topology.exchanges.get(name) {
            return self.check_exchange(exchange, &options);
        }
        if name.starts_with("amq.") {
            return Err(self.reserved("exchange.declare", "exchange", name));
        }
        let label = format!("exchange '{name}' in vhost '{}'", self.name);
        let operation = "exchange.declare";
        arguments::check_exchange_name(operation, &label, "alternate-exchange", &options.arguments)?;
        let exchange = Exchange::new(name, options)?;
        if exchange.options.durable {
            let recorded = || Change::Put(self.exchange_definition(&exchange));
            topology = self.record(operation, topology, recorded)?;
        }
        if !exchange.options.durable {
            self.remember(|| {
                let (place, trace) = self.exchange_trace(&exchange.name, &exchange.options);
                Trace::Exchange(place, trace)
            });
        }
        self.insert_exchange(&mut topology, exchange);
        Ok(())
    }

    fn insert_exchange(&self, topology: &mut Topology, mut exchange: Exchange) {
        exchange.effective = self.policies.read().effective(Subject::Exchange(&exchange.name));
        topology.exchanges.insert(exchange.name.clone(), exchange);
        self.changed();
    }

    /// Adds an exchange that was declared before the broker was started.
    pub(super) fn restore_exchange(&self, name: &str, options: ExchangeOptions) -> Result<()> {
        let exchange = Exchange::new(name, options)?;
        self.insert_exchange(&mut self.topology.write(), exchange);
        Ok(())
    }

    fn check_exchange(&self, exchange: &Exchange, wanted: &ExchangeOptions) -> Result<()> {
        let current = &exchange.options;
        let label = || format!("exchange '{}' in vhost '{}'", exchange.name, self.name);
        let operation = "exchange.declare";
        check_field(operation, &label, "type", &atom(wanted.kind), &atom(current.kind))?;
        check_field(operation, &label, "durable", &wanted.durable, &current.durable)?;
        check_field(operation, &label, "auto_delete", &wanted.auto_delete, &current.auto_delete)?;
        check_field(operation, &label, "internal", &wanted.internal, &current.internal)?;
        let known = ["alternate-exchange"].into_iter();
        check_arguments(operation, &label, known, &wanted.arguments, &current.arguments)
    }

    /// Fails unless there is such an exchange (passive declare).
    pub(super) fn check_exchange_exists(&self, name: &str) -> Result<()> {
        match self.topology.read().exchanges.contains_key(name) {
            true => Ok(()),
            false => Err(self.no_exchange("exchange.declare", name)),
        }
    }

    /// Deletes an exchange. That there is none is no error (RabbitMQ's errata, "exchange.delete").
    pub(super) fn delete_exchange(&self, name: &str, if_unused: bool) -> Result<()> {
        const OPERATION: &str = "exchange.delete";
        let label = || format!("exchange '{name}' in vhost '{}'", self.name);
        if name.starts_with("amq.") {
            let reason = format!("deletion of system {} not allowed", label());
            return Err(Error::new(Kind::AccessRefused, OPERATION, reason).on(label()));
        }
        let _held = self.hold(DestinationType::Exchange, name);
        let mut topology = self.topology.write();
        let Some(exchange) = topology.exchanges.get_mut(name) else { return Ok(()) };
        if if_unused && !exchange.router.is_empty() {
            let reason = format!("{} in use", label());
            return Err(Error::new(Kind::PreconditionFailed, OPERATION, reason).on(label()));
        }
        if exchange.options.durable {
            exchange.leaving = true;
            let recorded = self.record(OPERATION, topology, || self.exchange_deletion(name));
            topology = recorded.inspect_err(|_| {
                if let Some(exchange) = self.topology.write().exchanges.get_mut(name) {
                    exchange.leaving = false;
                }
            })?;
        }
        let mut went = Vec::new();
        topology.remove_exchange(name, &mut went);
        self.changed();
        let mut changes = self.exchange_deletions(&went);
        changes.retain(|change| !matches!(change, Change::DeleteExchange(_, other) if other == name));
        self.record_gone(OPERATION, topology, changes);
        Ok(())
    }
}

/// The name of a type as RabbitMQ's text has it: an Erlang atom, which needs quotes for its hyphens.
fn atom(kind: routing::Kind) -> String {
    let name = kind.name();
    if name.contains('-') { format!("'{name}'") } else { name.into() }
}
