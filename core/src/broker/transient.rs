//! What a broker has that is not durable, remembered for the next host of its directory, should this one be killed.
//!
//! Who is attached to a host is to notice nothing of its end but a pause. So the next one begins with the same exchanges,
//! queues and bindings, empty, whoever declared them. That each process declares again what it had declared would not
//! do: consumers come back before the declarer and find no queue, publishers reach nobody, what the killed host itself
//! had declared is gone, and what somebody has deleted since is there again.
//!
//! A queue of one connection, and one that goes with its last consumer, wait for [those who are absent](super::absent).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Broker;
use super::absent::Absent;
use super::bind::Target;
use super::definitions::DestinationType;
use super::exchange::{Destination, ExchangeOptions, parse_kind};
use super::handover::Arguments;
use super::queue::{Queue, QueueOptions};
use super::vhost::Vhost;
use crate::error::Result;
use crate::wire::table::Table;

const OPERATION: &str = "take over";

/// The first number of an attachment; those of sessions, which know their queues alike, are below.
pub(crate) const ATTACHED: u64 = 1 << 63;

/// Keeps what is to be remembered, and knows who is attached. Implemented by `storage`.
pub(crate) trait Memo: Send + Sync + fmt::Debug {
    /// Notes a change, after all that were noted before. Does not wait for the disk: it may be called under any lock of
    /// the broker.
    fn note(&self, change: &Trace);

    /// Whether the connection of this number, which was attached to the host before, is open: its process lives.
    fn is_attached(&self, number: u64) -> bool;
}

/// Virtual host and name.
pub(super) type Place = (String, String);

/// A change of what is not durable. Each is complete: one that is noted twice is no error.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Trace {
    /// An exchange is there.
    Exchange(Place, ExchangeTrace),
    /// A queue is there.
    Queue(Place, QueueTrace),
    /// A binding is there.
    Binding(BindingTrace),
    /// A queue that goes with its last consumer, durable or not, has had one.
    Consumed(Place),
    /// An exchange is gone, durable or not, with its bindings.
    NoExchange(Place),
    /// A queue is gone, with its bindings.
    NoQueue(Place),
    /// A binding is gone.
    NoBinding(BindingTrace),
    /// A virtual host is gone with everything in it.
    NoVhost(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ExchangeTrace {
    r#type: String,
    auto_delete: bool,
    internal: bool,
    arguments: Arguments,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct QueueTrace {
    auto_delete: bool,
    /// Whose it is, if it is exclusive.
    owner: Option<u64>,
    arguments: Arguments,
}

/// Ordered by its destination, with which it goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct BindingTrace {
    vhost: String,
    destination_type: DestinationType,
    destination: String,
    source: String,
    routing_key: String,
    arguments: Arguments,
}

/// What is there after some changes.
#[derive(Debug, Default)]
pub(crate) struct Transient {
    exchanges: BTreeMap<Place, ExchangeTrace>,
    queues: BTreeMap<Place, QueueTrace>,
    bindings: BTreeSet<BindingTrace>,
    consumed: BTreeSet<Place>,
}

impl Transient {
    /// Follows a change.
    pub(crate) fn apply(&mut self, change: Trace) {
        match change {
            Trace::Exchange(place, exchange) => {
                self.exchanges.insert(place, exchange);
            }
            Trace::Queue(place, queue) => {
                self.consumed.remove(&place);
                self.queues.insert(place, queue);
            }
            Trace::Binding(binding) => {
                self.bindings.insert(binding);
            }
            Trace::Consumed(place) => {
                self.consumed.insert(place);
            }
            Trace::NoExchange(place) => {
                self.exchanges.remove(&place);
                self.bindings.retain(|one| one.vhost != place.0 || one.source != place.1);
                self.forget_destination(DestinationType::Exchange, place);
            }
            Trace::NoQueue(place) => {
                self.queues.remove(&place);
                self.consumed.remove(&place);
                self.forget_destination(DestinationType::Queue, place);
            }
            Trace::NoBinding(binding) => {
                self.bindings.remove(&binding);
            }
            Trace::NoVhost(vhost) => {
                self.exchanges.retain(|place, _| place.0 != vhost);
                self.queues.retain(|place, _| place.0 != vhost);
                self.bindings.retain(|binding| binding.vhost != vhost);
                self.consumed.retain(|place| place.0 != vhost);
            }
        }
    }

    fn forget_destination(&mut self, destination_type: DestinationType, place: Place) {
        let (vhost, destination) = place;
        let first = BindingTrace {
            vhost,
            destination_type,
            destination,
            source: String::new(),
            routing_key: String::new(),
            arguments: Arguments::default(),
        };
        let is_to = |binding: &&BindingTrace| {
            (&binding.vhost, binding.destination_type, &binding.destination)
                == (&first.vhost, destination_type, &first.destination)
        };
        let gone: Vec<_> = self.bindings.range(&first..).take_while(is_to).cloned().collect();
        for binding in gone {
            self.bindings.remove(&binding);
        }
    }

    /// The changes that lead here from nothing.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Trace> {
        let exchanges = self.exchanges.iter().map(|(place, one)| Trace::Exchange(place.clone(), one.clone()));
        let queues = self.queues.iter().map(|(place, one)| Trace::Queue(place.clone(), one.clone()));
        let bindings = self.bindings.iter().cloned().map(Trace::Binding);
        let consumed = self.consumed.iter().cloned().map(Trace::Consumed);
        exchanges.chain(queues).chain(bindings).chain(consumed)
    }
}

impl Broker {
    /// Puts back what is not durable and not there yet, and remembers from now on what changes. What belonged to
    /// connections waits for those of them that are `attached`.
    pub(crate) fn take_up(self: &Arc<Self>, left: &Transient, attached: HashSet<u64>, memo: Arc<dyn Memo>) {
        let missing = |result: Result<()>| {
            result.unwrap_or_else(|error| tracing::warn!(%error, "not restored"));
        };
        left.exchanges.iter().for_each(|(place, one)| missing(self.put_back_exchange(place, one)));
        left.queues.iter().for_each(|(place, one)| missing(self.put_back_queue(place, one)));
        left.bindings.iter().for_each(|one| missing(self.put_back_binding(one)));
        self.recorder.remember(memo.clone());
        let found = |(vhost, name): &Place| {
            let vhost = self.vhost(vhost)?;
            let queue = vhost.topology.read().queues.get(&**name).cloned()?;
            Some((vhost, queue))
        };
        let placed =
            |vhost: Arc<Vhost>| vhost.all_queues().into_iter().map(move |queue| (vhost.clone(), queue));
        let queues = self.all_vhosts().into_iter().flat_map(placed).collect();
        let consumed = left.consumed.iter().filter_map(found).collect();
        let absent = Absent::new(memo, &self.timers, attached, queues, consumed);
        *self.absent.lock() = Some(absent);
    }

    pub(super) fn put_back_exchange(&self, (vhost, name): &Place, exchange: &ExchangeTrace) -> Result<()> {
        let vhost = self.existing(OPERATION, vhost)?;
        if vhost.has_exchange(name) {
            return Ok(());
        }
        let options = ExchangeOptions {
            kind: parse_kind(&exchange.r#type)?,
            durable: false,
            auto_delete: exchange.auto_delete,
            internal: exchange.internal,
            arguments: exchange.arguments.table()?,
        };
        vhost.restore_exchange(name, options)
    }

    fn put_back_queue(&self, (vhost, name): &Place, queue: &QueueTrace) -> Result<()> {
        let vhost = self.existing(OPERATION, vhost)?;
        if vhost.has_queue(name) {
            return Ok(());
        }
        let options = QueueOptions {
            durable: false,
            exclusive: queue.owner.is_some(),
            auto_delete: queue.auto_delete,
            arguments: queue.arguments.table()?,
        };
        vhost.restore_queue(None, name, options, queue.owner, None)
    }

    fn put_back_binding(&self, binding: &BindingTrace) -> Result<()> {
        let vhost = self.existing(OPERATION, &binding.vhost)?;
        let target = match binding.destination_type {
            DestinationType::Queue => Target::Queue(&binding.destination),
            DestinationType::Exchange => Target::Exchange(&binding.destination),
        };
        vhost.restore_binding(&binding.source, target, &binding.routing_key, &binding.arguments.table()?)
    }
}

impl Vhost {
    /// Notes a change, where changes are remembered; under the topology's lock, which orders them.
    pub(super) fn remember(&self, change: impl FnOnce() -> Trace) {
        if let Some(memo) = self.recorder.memo() {
            memo.note(&change());
        }
    }

    fn place(&self, name: &str) -> Place {
        (self.name.to_string(), name.into())
    }

    pub(super) fn exchange_trace(&self, name: &str, options: &ExchangeOptions) -> (Place, ExchangeTrace) {
        let ExchangeOptions { kind, auto_delete, internal, arguments, .. } = options;
        let trace = ExchangeTrace {
            r#type: kind.name().into(),
            auto_delete: *auto_delete,
            internal: *internal,
            arguments: Arguments::of(arguments),
        };
        (self.place(name), trace)
    }

    pub(super) fn queue_trace(&self, queue: &Queue) -> Trace {
        let QueueOptions { auto_delete, arguments, .. } = &queue.options;
        let arguments = Arguments::of(arguments);
        let trace = QueueTrace { auto_delete: *auto_delete, owner: queue.owner, arguments };
        Trace::Queue(self.place(&queue.name), trace)
    }

    pub(super) fn binding_trace(
        &self,
        source: &str,
        destination: &Destination,
        routing_key: &str,
        arguments: &Table,
    ) -> BindingTrace {
        let (destination_type, destination) = destination.named();
        BindingTrace {
            vhost: self.name.to_string(),
            destination_type,
            destination: destination.to_string(),
            source: source.into(),
            routing_key: routing_key.into(),
            arguments: Arguments::of(arguments),
        }
    }

    pub(super) fn consumption_trace(&self, queue: &Queue) -> Trace {
        Trace::Consumed(self.place(&queue.name))
    }

    pub(super) fn no_queue_trace(&self, queue: &Queue) -> Trace {
        Trace::NoQueue(self.place(&queue.name))
    }

    pub(super) fn no_exchange_trace(&self, name: &str) -> Trace {
        Trace::NoExchange(self.place(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Place {
        ("/".into(), name.into())
    }

    fn queue(name: &str) -> Trace {
        let trace = QueueTrace { auto_delete: true, owner: Some(1), arguments: Arguments::default() };
        Trace::Queue(place(name), trace)
    }

    fn binding(source: &str, destination_type: DestinationType, destination: &str) -> BindingTrace {
        BindingTrace {
            vhost: "/".into(),
            destination_type,
            destination: destination.into(),
            source: source.into(),
            routing_key: "key".into(),
            arguments: Arguments::default(),
        }
    }

    /// What is there after these changes, as text.
    fn after(changes: &[Trace]) -> Vec<String> {
        let mut transient = Transient::default();
        changes.iter().for_each(|change| transient.apply(change.clone()));
        transient.changes().map(|change| serde_json::to_string(&change).unwrap_or_default()).collect()
    }

    #[test]
    fn what_goes_takes_its_bindings_along_and_those_of_no_other() {
        use DestinationType::{Exchange, Queue};
        let bindings = [
            binding("e", Queue, "a"),
            binding("f", Queue, "a"),
            binding("e", Queue, "b"),
            binding("f", Exchange, "e"),
            binding("f", Exchange, "a"),
        ];
        let mut changes = vec![queue("a"), queue("b"), Trace::Consumed(place("a"))];
        changes.extend(bindings.iter().cloned().map(Trace::Binding));
        changes.push(Trace::NoQueue(place("a")));
        let [_, _, third, fourth, fifth] = bindings.clone();
        let left = [queue("b"), Trace::Binding(fifth.clone()), Trace::Binding(fourth), Trace::Binding(third)];
        assert_eq!(after(&changes), after(&left));
        changes.push(Trace::NoExchange(place("e")));
        assert_eq!(after(&changes), after(&[queue("b"), Trace::Binding(fifth.clone())]));
        changes.push(Trace::NoBinding(fifth));
        assert_eq!(after(&changes), after(&[queue("b")]));
        changes.push(Trace::NoVhost("/".into()));
        assert!(after(&changes).is_empty());
    }

    #[test]
    fn a_queue_that_is_declared_anew_has_had_no_consumer() {
        let consumed = [queue("a"), Trace::Consumed(place("a"))];
        assert_eq!(after(&consumed).len(), 2);
        assert_eq!(after(&[&consumed[..], &[queue("a")]].concat()), after(&[queue("a")]));
    }
}
