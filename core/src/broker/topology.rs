//! What is declared in a virtual host: exchanges, queues, and the bindings between them.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::exchange::{Destination, Exchange, ExchangeOptions};
use super::queue::Queue;
use crate::routing::Kind;
use crate::wire::table::Table;

/// The names and bindings of a virtual host; guarded by its lock.
pub(super) struct Topology {
    pub(super) exchanges: HashMap<Arc<str>, Exchange>,
    pub(super) queues: HashMap<Arc<str>, Arc<Queue>>,
    /// Which exchanges have bindings to a destination, so that deleting it need not search them all.
    sources: HashMap<u64, HashSet<Arc<str>>>,
}

impl Topology {
    /// The exchanges that every virtual host has (AMQP 0-9-1 section 3.1.3; `amq.rabbitmq.trace` is RabbitMQ's).
    pub(super) fn new() -> Self {
        let predeclared = [
            ("amq.direct", Kind::Direct, false),
            ("amq.fanout", Kind::Fanout, false),
            ("amq.topic", Kind::Topic, false),
            ("amq.headers", Kind::Headers, false),
            ("amq.match", Kind::Headers, false),
            ("amq.rabbitmq.trace", Kind::Topic, true),
        ];
        let exchanges = predeclared.map(|(name, kind, internal)| {
            let exchange = Exchange::new(
                name,
                ExchangeOptions { durable: true, internal, ..ExchangeOptions::new(kind) },
            );
            (exchange.name.clone(), exchange)
        });
        Topology { exchanges: HashMap::from_iter(exchanges), queues: HashMap::new(), sources: HashMap::new() }
    }

    /// Queues that a message published to `exchange` reaches, each once. None when there is no such
    /// exchange. `headers` is called only where a headers exchange asks for them.
    ///
    /// What an exchange cannot route at all goes to its alternate exchange, if it has one
    /// (<https://www.rabbitmq.com/docs/ae>).
    pub(super) fn route(
        &self,
        exchange: &str,
        routing_key: &str,
        headers: &mut dyn FnMut() -> Table,
    ) -> Option<Vec<Arc<Queue>>> {
        if exchange.is_empty() {
            return Some(self.queues.get(routing_key).cloned().into_iter().collect());
        }
        let mut exchange = self.exchanges.get(exchange)?;
        let mut tried = HashSet::new();
        loop {
            let queues = self.route_from(exchange, routing_key, headers);
            if !queues.is_empty() || !tried.insert(exchange.id) {
                return Some(queues);
            }
            match exchange.alternate().and_then(|name| self.exchanges.get(name)) {
                Some(alternate) => exchange = alternate,
                None => return Some(queues),
            }
        }
    }

    fn route_from(
        &self,
        first: &Exchange,
        routing_key: &str,
        headers: &mut dyn FnMut() -> Table,
    ) -> Vec<Arc<Queue>> {
        let mut queues = Vec::new();
        let mut seen: HashSet<u64> = HashSet::from_iter([first.id]);
        let mut todo = vec![first];
        while let Some(exchange) = todo.pop() {
            exchange.router.route(routing_key, &mut *headers, |destination| match destination {
                // The router emits each destination once: only a second exchange can bring one again.
                Destination::Queue(queue) if seen.len() == 1 && todo.is_empty() => queues.push(queue.clone()),
                Destination::Queue(queue) => {
                    if !queues.iter().any(|other: &Arc<Queue>| other.id == queue.id) {
                        queues.push(queue.clone());
                    }
                }
                Destination::Exchange(id, name) => {
                    if seen.insert(*id) {
                        todo.extend(self.exchanges.get(name).filter(|exchange| exchange.id == *id));
                    }
                }
            });
        }
        queues
    }

    /// Remembers that `source` has a binding to `destination`.
    pub(super) fn bound(&mut self, source: &Arc<str>, destination: &Destination) {
        self.sources.entry(destination.id()).or_default().insert(source.clone());
    }

    /// After an unbind: forgets `source` if that was its last binding to `destination`, and deletes it if
    /// it was the last of all and the exchange is auto-delete.
    pub(super) fn unbound(&mut self, source: &str, destination: &Destination) {
        let Some(exchange) = self.exchanges.get(source) else { return };
        if exchange.router.bindings_to(destination).next().is_none()
            && let Some(sources) = self.sources.get_mut(&destination.id())
        {
            sources.remove(source);
        }
        self.delete_if_done(source);
    }

    fn delete_if_done(&mut self, exchange: &str) {
        let done = self
            .exchanges
            .get(exchange)
            .is_some_and(|exchange| exchange.options.auto_delete && exchange.router.is_empty());
        if done {
            self.remove_exchange(exchange);
        }
    }

    /// Removes an exchange with the bindings from it and to it.
    pub(super) fn remove_exchange(&mut self, name: &str) {
        let Some(exchange) = self.exchanges.remove(name) else { return };
        for binding in exchange.router.bindings() {
            if let Some(sources) = self.sources.get_mut(&binding.destination.id()) {
                sources.remove(name);
            }
        }
        self.remove_destination(&exchange.destination());
    }

    /// Removes all bindings to a destination, and the auto-delete exchanges that are done with it.
    pub(super) fn remove_destination(&mut self, destination: &Destination) {
        for source in self.sources.remove(&destination.id()).unwrap_or_default() {
            if let Some(exchange) = self.exchanges.get_mut(&source) {
                exchange.router.remove_destination(destination);
                self.delete_if_done(&source);
            }
        }
    }
}
