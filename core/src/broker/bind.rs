//! Binding queues and exchanges to exchanges, and letting go of them.

use super::definitions::DestinationType;
use super::exchange::Destination;
use super::outbox::Wakes;
use super::queue::{QueueKind, not_found};
use super::record::{Change, Definition};
use super::topology::Topology;
use super::transient::Trace;
use super::vhost::Vhost;
use crate::auth::limit;
use crate::error::{Error, Kind, Result};
use crate::routing;
use crate::wire::table::Table;

/// One end of a binding, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    Queue(&'a str),
    Exchange(&'a str),
}

impl Target<'_> {
    fn kind(&self) -> DestinationType {
        match self {
            Target::Queue(_) => DestinationType::Queue,
            Target::Exchange(_) => DestinationType::Exchange,
        }
    }

    fn name(&self) -> &str {
        match self {
            Target::Queue(name) | Target::Exchange(name) => name,
        }
    }
}

impl Vhost {
    fn destination(
        &self,
        topology: &Topology,
        operation: &'static str,
        target: Target<'_>,
        session: u64,
    ) -> Result<Destination> {
        match target {
            Target::Queue(name) => {
                let queue =
                    topology.queues.get(name).ok_or_else(|| not_found(operation, name, &self.name))?;
                queue.check_access(session, operation)?;
                Ok(Destination::Queue(queue.clone()))
            }
            Target::Exchange(name) => {
                let exchange =
                    topology.exchanges.get(name).ok_or_else(|| self.no_exchange(operation, name))?;
                Ok(exchange.destination())
            }
        }
    }

    /// Binds a queue or an exchange to an exchange. A new one is given what the exchange remembers.
    pub(super) fn bind(
        &self,
        source: &str,
        target: Target<'_>,
        routing_key: &str,
        arguments: &Table,
        session: u64,
        wakes: &mut Wakes,
    ) -> Result<()> {
        let operation = match target {
            Target::Queue(_) => "queue.bind",
            Target::Exchange(_) => "exchange.bind",
        };
        let _held = self.hold(target.kind(), target.name());
        let mut guard = self.topology.write();
        let topology = &mut *guard;
        // Of two that are missing RabbitMQ names the source (`rabbit_binding:not_found_or_absent_errs`).
        if topology.exchanges.get(source).is_none_or(|exchange| exchange.leaving) {
            return Err(self.no_exchange(operation, source));
        }
        let destination = self.destination(topology, operation, target, session)?;
        let exchange =
            topology.exchanges.get_mut(source).ok_or_else(|| self.no_exchange(operation, source))?;
        if exchange.router.routes_as() == routing::Kind::LocalRandom && routing_key.is_empty() {
            check_local(&destination)?;
        }
        let new = exchange
            .router
            .bind(routing_key, arguments, destination.clone())
            .map_err(|error| Error::new(Kind::PreconditionFailed, operation, error.to_string()))?;
        if !new {
            return Ok(());
        }
        let (name, history) = (exchange.name.clone(), exchange.history.clone());
        if let Err(error) = self.check_bindings(operation, topology) {
            // Whether it is new shows only once it is there.
            if let Some(exchange) = topology.exchanges.get_mut(&name) {
                exchange.router.unbind(routing_key, arguments, &destination);
            }
            return Err(error);
        }
        topology.bound(&name, &destination);
        self.changed();
        let noted = match ends_last(topology, source, &destination) {
            true => {
                let (definition, arguments) =
                    self.binding_definition(source, &destination, routing_key, arguments);
                self.note(topology, vec![Change::Put(Definition::Binding(definition, arguments))])
            }
            false => {
                let trace = || self.binding_trace(source, &destination, routing_key, arguments);
                self.remember(|| Trace::Binding(trace()));
                None
            }
        };
        drop(guard);
        if let Some(noted) = noted
            && let Err(error) = noted.wait(operation)
        {
            let mut topology = self.topology.write();
            if let Some(exchange) = topology.exchanges.get_mut(source)
                && exchange.router.unbind(routing_key, arguments, &destination)
            {
                topology.unbound(source, &destination);
                self.changed();
            }
            return Err(error);
        }
        for message in history.map(|history| history.messages()).unwrap_or_default() {
            let queues = match &destination {
                Destination::Queue(queue) => vec![queue.clone()],
                Destination::Exchange(_, name) => self.route_from(name, &message),
            };
            for queue in queues {
                queue.publish(std::iter::once(message.clone()), |_| (), wakes);
            }
        }
        Ok(())
    }

    /// Binds what was bound before the broker was started.
    pub(super) fn restore_binding(
        &self,
        source: &str,
        target: Target<'_>,
        routing_key: &str,
        arguments: &Table,
    ) -> Result<()> {
        let owner = match target {
            Target::Queue(name) => self.topology.read().queues.get(name).and_then(|queue| queue.owner),
            Target::Exchange(_) => None,
        };
        let nobody = 0; // sessions are numbered from 1
        let session = owner.unwrap_or(nobody);
        self.bind(source, target, routing_key, arguments, session, &mut Wakes::default())
    }

    /// Refuses more bindings than the virtual host may have.
    fn check_bindings(&self, operation: &'static str, topology: &Topology) -> Result<()> {
        let Some(limit) = limit(self.limits().max_bindings) else { return Ok(()) };
        let bindings: usize = topology.exchanges.values().map(|exchange| exchange.router.len()).sum();
        if bindings as u64 <= limit {
            return Ok(());
        }
        let reason = format!("cannot bind: binding limit in vhost '{}' ({limit}) is reached", self.name);
        Err(Error::new(Kind::PreconditionFailed, operation, reason))
    }

    /// Removes a binding. That there is none, or not even its ends, is no error.
    pub(super) fn unbind(
        &self,
        source: &str,
        target: Target<'_>,
        routing_key: &str,
        arguments: &Table,
        session: u64,
    ) -> Result<()> {
        let operation = match target {
            Target::Queue(_) => "queue.unbind",
            Target::Exchange(_) => "exchange.unbind",
        };
        let _held = self.hold(target.kind(), target.name());
        let mut topology = self.topology.write();
        let destination = match self.destination(&topology, operation, target, session) {
            Err(error) if error.kind() == Kind::NotFound => return Ok(()),
            destination => destination?,
        };
        let Some(exchange) = topology.exchanges.get_mut(source) else { return Ok(()) };
        let id = exchange.id;
        if !exchange.router.unbind(routing_key, arguments, &destination) {
            return Ok(());
        }
        topology.unbound(source, &destination);
        self.changed();
        if ends_last(&topology, source, &destination) {
            let (definition, table) = self.binding_definition(source, &destination, routing_key, arguments);
            let recorded = self.record(operation, topology, || Change::DeleteBinding(definition, table));
            topology =
                recorded.inspect_err(|_| self.put_back(id, source, routing_key, arguments, &destination))?;
        } else {
            let trace = || self.binding_trace(source, &destination, routing_key, arguments);
            self.remember(|| Trace::NoBinding(trace()));
        }
        let mut went = Vec::new();
        topology.delete_if_done(source, &mut went);
        let changes = self.exchange_deletions(&went);
        self.record_gone(operation, topology, changes);
        Ok(())
    }

    /// Binds again what could not be unbound for good, unless one of the ends went meanwhile.
    fn put_back(
        &self,
        id: u64,
        source: &str,
        routing_key: &str,
        arguments: &Table,
        destination: &Destination,
    ) {
        let mut guard = self.topology.write();
        let topology = &mut *guard;
        let there = match destination {
            Destination::Queue(queue) => topology.has(queue),
            Destination::Exchange(id, name) => {
                topology.exchanges.get(name).is_some_and(|exchange| exchange.id == *id)
            }
        };
        if let Some(exchange) =
            topology.exchanges.get_mut(source).filter(|exchange| there && exchange.id == id)
            && exchange.router.bind(routing_key, arguments, destination.clone()) == Ok(true)
        {
            let name = exchange.name.clone();
            topology.bound(&name, destination);
            self.changed();
        }
    }
}

/// Whether a binding between these survives the broker.
fn ends_last(topology: &Topology, source: &str, destination: &Destination) -> bool {
    topology.exchanges.get(source).is_some_and(|exchange| exchange.options.durable)
        && topology.is_durable(destination)
}

/// What an `x-local-random` exchange may be bound to; texts as `rabbit_exchange_type_local_random`.
fn check_local(destination: &Destination) -> Result<()> {
    let reason = match destination {
        Destination::Exchange(..) => "Destination not found".to_owned(),
        Destination::Queue(queue) => match queue.kind {
            QueueKind::Classic => return Ok(()),
            other => format!("Queue type rabbit_{}_queue not valid for this exchange type", other.name()),
        },
    };
    Err(Error::new(Kind::PreconditionFailed, "queue.bind", reason))
}
