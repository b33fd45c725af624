//! What is declared in a virtual host: exchanges, queues, and the bindings between them.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use smallvec::{SmallVec, smallvec};

use super::exchange::{Destination, Exchange, ExchangeOptions};
use super::history::History;
use super::queue::Queue;
use crate::routing::{Envelope, Kind};

/// The names and bindings of a virtual host; guarded by its lock.
pub(super) struct Topology {
    pub(super) exchanges: HashMap<Arc<str>, Exchange>,
    pub(super) queues: HashMap<Arc<str>, Arc<Queue>>,
    /// Which exchanges have bindings to a destination, so that deleting it need not search them all.
    sources: HashMap<u64, HashSet<Arc<str>>>,
    /// The virtual host is deleted, or about to be.
    pub(super) gone: bool,
}

/// Where a message goes.
pub(super) struct Found {
    /// The queues, each once.
    pub(super) queues: Vec<Arc<Queue>>,
    /// Exchange and routing key alone decided.
    pub(super) by_routing_key: bool,
    /// The exchanges on the way that remember the message.
    pub(super) histories: Vec<Arc<History>>,
}

impl Found {
    fn each_once(&mut self) {
        self.queues.sort_unstable_by_key(|queue| queue.id);
        self.queues.dedup_by_key(|queue| queue.id);
    }
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
        let exchanges = predeclared.into_iter().filter_map(|(name, kind, internal)| {
            let options = ExchangeOptions { durable: true, internal, ..ExchangeOptions::new(kind) };
            // These types refuse nothing.
            Exchange::new(name, options).ok().map(|exchange| (exchange.name.clone(), exchange))
        });
        Topology {
            exchanges: exchanges.collect(),
            queues: HashMap::new(),
            sources: HashMap::new(),
            gone: false,
        }
    }

    /// Whether this very queue is there, and not another of its name.
    pub(super) fn has(&self, queue: &Queue) -> bool {
        self.queues.get(&queue.name).is_some_and(|current| current.id == queue.id)
    }

    /// Where a message published to `exchange` goes. None when there is no such exchange.
    pub(super) fn route(&self, exchange: &str, envelope: &Envelope<'_>) -> Option<Found> {
        if exchange.is_empty() {
            let queues = envelope.keys().filter_map(|key| self.queues.get(key).cloned()).collect();
            let mut found = Found { queues, by_routing_key: true, histories: Vec::new() };
            if !envelope.more_keys.is_empty() {
                found.each_once();
            }
            return Some(found);
        }
        Some(self.route_from(self.exchanges.get(exchange)?, envelope))
    }

    fn route_from(&self, first: &Exchange, envelope: &Envelope<'_>) -> Found {
        let mut found = Found { queues: Vec::new(), by_routing_key: true, histories: Vec::new() };
        let mut seen: SmallVec<[u64; 8]> = smallvec![first.id];
        let mut todo: SmallVec<[&Exchange; 8]> = smallvec![first];
        while let Some(exchange) = todo.pop() {
            found.by_routing_key &= exchange.router.by_routing_key();
            if let Some(history) = &exchange.history {
                found.histories.push(history.clone());
            }
            let mut matched = false;
            exchange.router.route(envelope, |destination| {
                matched = true;
                match destination {
                    Destination::Queue(queue) => found.queues.push(queue.clone()),
                    Destination::Exchange(id, name) => {
                        if !seen.contains(id) {
                            seen.push(*id);
                            todo.extend(self.exchanges.get(name).filter(|exchange| exchange.id == *id));
                        }
                    }
                }
            });
            // What matches nothing at an exchange goes to its alternate, wherever on the way the exchange stands
            // (rabbit_exchange:process_alternate; <https://www.rabbitmq.com/docs/ae>).
            if !matched
                && let Some(alternate) = exchange.alternate().and_then(|name| self.exchanges.get(name))
                && !seen.contains(&alternate.id)
            {
                seen.push(alternate.id);
                todo.push(alternate);
            }
        }
        // A router emits each destination once: only a second exchange can bring one again.
        if seen.len() > 1 {
            found.each_once();
        }
        found
    }

    /// Whether what is bound survives the broker.
    pub(super) fn is_durable(&self, destination: &Destination) -> bool {
        match destination {
            Destination::Queue(queue) => queue.options.durable,
            Destination::Exchange(_, name) => {
                self.exchanges.get(name).is_some_and(|exchange| exchange.options.durable)
            }
        }
    }

    /// Remembers that `source` has a binding to `destination`.
    pub(super) fn bound(&mut self, source: &Arc<str>, destination: &Destination) {
        self.sources.entry(destination.id()).or_default().insert(source.clone());
    }

    /// After an unbind: forgets `source` if that was its last binding to `destination`.
    pub(super) fn unbound(&mut self, source: &str, destination: &Destination) {
        let Some(exchange) = self.exchanges.get(source) else { return };
        if exchange.router.bindings_to(destination).next().is_none()
            && let Some(sources) = self.sources.get_mut(&destination.id())
        {
            sources.remove(source);
        }
    }

    /// Removes an exchange that is auto-delete and has no bindings left. Those that went, it or others after it, are
    /// added to `went`.
    pub(super) fn delete_if_done(&mut self, exchange: &str, went: &mut Vec<Exchange>) {
        let done = self
            .exchanges
            .get(exchange)
            .is_some_and(|exchange| exchange.options.auto_delete && exchange.router.is_empty());
        if done {
            self.remove_exchange(exchange, went);
        }
    }

    /// Removes an exchange with the bindings from it and to it; `went` as above.
    pub(super) fn remove_exchange(&mut self, name: &str, went: &mut Vec<Exchange>) {
        let Some(exchange) = self.exchanges.remove(name) else { return };
        for binding in exchange.router.bindings() {
            if let Some(sources) = self.sources.get_mut(&binding.destination.id()) {
                sources.remove(name);
            }
        }
        let destination = exchange.destination();
        went.push(exchange);
        self.remove_destination(&destination, went);
    }

    /// Removes all bindings to a destination, and the auto-delete exchanges that are done with it; `went` as above.
    pub(super) fn remove_destination(&mut self, destination: &Destination, went: &mut Vec<Exchange>) {
        for source in self.sources.remove(&destination.id()).unwrap_or_default() {
            if let Some(exchange) = self.exchanges.get_mut(&source) {
                exchange.router.remove_destination(destination);
                self.delete_if_done(&source, went);
            }
        }
    }
}
