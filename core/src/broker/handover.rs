//! What a broker gives along to the next one of the same store, besides what is durable, when the process that hosts it
//! ends while others use it: they are to notice nothing but a pause.
//!
//! Messages that are in memory only are written then, unsynced, by journals of their own; what a queue has beyond its
//! memory stays where it is. An exclusive queue waits for its owner ([`absent`](super::absent)).

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::definitions::{BindingDefinition, DestinationType};
use super::history::History;
use super::queue::{Inherited, Queue, QueueOptions, Shelves, carried_of, queue_of_overflow};
use super::store::read_all;
use super::transient::{ExchangeTrace, Place};
use super::vhost::Vhost;
use super::{Broker, skip_id};
use crate::error::{Error, Kind, Result};
use crate::wire::table::Table;

const OPERATION: &str = "hand over";

/// What is given along.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Handover {
    /// Those that are not durable.
    exchanges: Vec<(Place, ExchangeTrace)>,
    queues: Vec<HandedQueue>,
    bindings: Vec<(BindingDefinition, Arguments)>,
    histories: Vec<HandedHistory>,
    /// Where delayed messages are, by virtual hosts.
    delayed: Vec<(String, u64)>,
}

/// Where the messages are that an exchange remembers.
#[derive(Debug, Serialize, Deserialize)]
struct HandedHistory {
    vhost: String,
    exchange: String,
    number: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct HandedQueue {
    vhost: String,
    name: String,
    /// Whether it goes with its last consumer, and its arguments. None of one that is durable: it is known.
    declared: Option<(bool, Arguments)>,
    inherited: Inherited,
}

/// A table as it was encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Arguments(String);

impl Arguments {
    pub(super) fn of(table: &Table) -> Self {
        let mut encoded = Vec::new();
        table.encode(&mut encoded);
        Arguments(BASE64_STANDARD.encode(encoded))
    }

    pub(super) fn table(&self) -> Result<Table> {
        let unreadable = |why: String| Error::new(Kind::ResourceError, OPERATION, why);
        let encoded = BASE64_STANDARD.decode(&self.0).map_err(|error| unreadable(error.to_string()))?;
        Table::decode(&encoded).map_err(|error| unreadable(error.to_string()))
    }
}

impl Handover {
    /// What came along of durable queues, by their virtual hosts and names.
    pub(super) fn of_durable(&self) -> HashMap<(&str, &str), &Inherited> {
        let durable = self.queues.iter().filter(|queue| queue.declared.is_none());
        durable.map(|queue| ((&*queue.vhost, &*queue.name), &queue.inherited)).collect()
    }

    /// The numbers in the store under which something came along.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        let queues = self.queues.iter().flat_map(|queue| queue.inherited.numbers());
        let histories = self.histories.iter().map(|history| history.number);
        queues.chain(histories).chain(self.delayed.iter().map(|(_, number)| *number))
    }
}

impl Broker {
    /// From now on nothing is handed out, and nothing goes because nobody uses it: what is there is about to be handed
    /// over.
    pub fn freeze(&self) {
        for vhost in self.all_vhosts() {
            vhost.all_queues().iter().for_each(|queue| queue.freeze());
        }
    }

    /// Writes what is to be given along, and says what that is. To be called when all connections are closed.
    ///
    /// # Errors
    /// `ResourceError` when the store cannot take it.
    pub fn hand_over(&self) -> Result<Handover> {
        let first = getrandom::u32().map_err(|error| {
            Error::new(Kind::ResourceError, OPERATION, format!("no random numbers: {error}"))
        })?;
        self.timers.hold(); // what falls due now is the next host's
        let mut index = 0;
        let mut number = || {
            index += 1;
            carried_of(first, index)
        };
        let mut handover = Handover::default();
        for vhost in self.all_vhosts() {
            vhost.hand_over(&mut handover, &mut number)?;
        }
        Ok(handover)
    }

    pub(super) fn put_back_handed(&self, handover: &Handover) -> Result<()> {
        handover.numbers().filter_map(queue_of_overflow).for_each(skip_id);
        for (place, exchange) in &handover.exchanges {
            self.put_back_exchange(place, exchange)?;
        }
        for queue in &handover.queues {
            if let Some((auto_delete, arguments)) = &queue.declared {
                let options = QueueOptions {
                    durable: false,
                    exclusive: queue.inherited.owner.is_some(),
                    auto_delete: *auto_delete,
                    arguments: arguments.table()?,
                };
                let vhost = self.existing(OPERATION, &queue.vhost)?;
                let Inherited { owner, .. } = queue.inherited;
                vhost.restore_queue(None, &queue.name, options, owner, Some(&queue.inherited))?;
            }
        }
        for (binding, arguments) in &handover.bindings {
            self.bind_again(binding, &arguments.table()?)?;
        }
        for HandedHistory { vhost, exchange, number } in &handover.histories {
            let vhost = self.existing(OPERATION, vhost)?;
            let history = vhost.histories().into_iter().find(|(name, _)| **name == **exchange);
            if let (Some((_, history)), Some(Shelves { store, .. })) = (history, &vhost.shelves) {
                let (journal, found) = store.open_line(*number, 0)?;
                read_all(&*journal, found, |stored| history.record(&stored.message))?;
                store.delete_queue(*number);
            }
        }
        for (vhost, number) in &handover.delayed {
            let vhost = self.existing(OPERATION, vhost)?;
            if let Some(Shelves { store, .. }) = &vhost.shelves {
                let (journal, found) = store.open_line(*number, 0)?;
                vhost.delayed.inherit(&*journal, found)?;
                store.delete_queue(*number);
            }
        }
        Ok(())
    }

    pub(super) fn all_vhosts(&self) -> Vec<Arc<Vhost>> {
        self.vhosts.read().values().cloned().collect()
    }
}

impl Vhost {
    pub(super) fn all_queues(&self) -> Vec<Arc<Queue>> {
        self.topology.read().queues.values().cloned().collect()
    }

    /// What exchanges remember, by their names.
    fn histories(&self) -> Vec<(Arc<str>, Arc<History>)> {
        let topology = self.topology.read();
        let histories = topology
            .exchanges
            .values()
            .map(|exchange| Some((exchange.name.clone(), exchange.history.clone()?)));
        histories.flatten().collect()
    }

    fn hand_over(&self, handover: &mut Handover, number: &mut impl FnMut() -> u64) -> Result<()> {
        let Some(shelves) = &self.shelves else { return Ok(()) };
        let vhost = || self.name.to_string();
        let (mut ended, mut transient) = (HashSet::new(), HashSet::new());
        let delayed = number();
        if self.delayed.hand_over(|| shelves.store.open_line(delayed, 0).map(|(journal, _)| journal))? {
            handover.delayed.push((vhost(), delayed));
        }
        for (exchange, history) in self.histories() {
            let number = number();
            let (journal, _) = shelves.store.open_line(number, 0)?;
            for (index, message) in (0..).zip(history.messages()) {
                journal.append(index, u64::MAX, &message);
            }
            handover.histories.push(HandedHistory { vhost: vhost(), exchange: exchange.to_string(), number });
        }
        for queue in self.all_queues() {
            let QueueOptions { durable, auto_delete, arguments, .. } = &queue.options;
            let inherited = queue.hand_over(shelves, &mut *number)?;
            if !durable {
                let place = (DestinationType::Queue, queue.name.clone());
                if inherited.is_some() { &mut transient } else { &mut ended }.insert(place);
            }
            if let Some(inherited) = inherited {
                let declared = (!durable).then(|| (*auto_delete, Arguments::of(arguments)));
                let name = queue.name.to_string();
                handover.queues.push(HandedQueue { vhost: vhost(), name, declared, inherited });
            }
        }
        for exchange in self.exchanges().into_iter().filter(|exchange| !exchange.options.durable) {
            transient.insert((DestinationType::Exchange, exchange.name.clone()));
            handover.exchanges.push(self.exchange_trace(&exchange.name, &exchange.options));
        }
        for binding in self.bindings() {
            let source = (DestinationType::Exchange, binding.source);
            let destination = (binding.destination_type, binding.destination);
            let is_recorded = !transient.contains(&destination) && !transient.contains(&source);
            if is_recorded || ended.contains(&destination) {
                continue;
            }
            let definition = BindingDefinition {
                source: source.1.to_string(),
                vhost: vhost(),
                destination: destination.1.to_string(),
                destination_type: destination.0,
                routing_key: binding.routing_key,
                arguments: serde_json::Map::new(),
            };
            handover.bindings.push((definition, Arguments::of(&binding.arguments)));
        }
        Ok(())
    }
}
