//! A virtual host: what is in it, its policies and its queues. RabbitMQ's rules and texts.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::Options;
use super::arguments::{self, queue_arguments};
use super::carbon_copies::{CarbonCopies, stripped};
use super::changing::Changing;
use super::definitions::DestinationType;
use super::delay::{Delayed, DelayedMessage, Held};
use super::equivalence::{check_arguments, check_field};
use super::exchange::{BindingInfo, Destination, Exchange, ExchangeInfo};
use super::outbox::Wakes;
use super::policy::{Policies, Policy, Side, Subject};
use super::queue::{Budget, Inherited, Queue, QueueKind, QueueOptions, QueueStatus, Shelves, not_found};
use super::record::{Change, Recorder};
use super::replies::Replies;
use super::timers::Timers;
use super::topology::{Found, Topology};
use super::vhosts::{VhostInfo, VhostLimits, VhostMetadata};
use crate::auth::{Seats, limit};
use crate::error::{Error, Kind, Result};
use crate::message::Message;
use crate::routing::{self, Envelope};
use crate::wire::table::{Table, Value};

/// A namespace of exchanges, queues and bindings.
pub struct Vhost {
    pub(super) name: Arc<str>,
    /// Under which its delayed messages are kept.
    pub(super) number: u64,
    pub(super) topology: RwLock<Topology>,
    /// Counts changes of the topology: a route that was found under one number holds as long as it stands.
    generation: AtomicU64,
    pub(super) replies: Replies,
    /// Guards nothing else; nothing is called under it.
    pub(super) settings: RwLock<Settings>,
    /// Changed only under the topology's lock, so that whatever is declared follows the policies there are.
    pub(super) policies: RwLock<Policies>,
    /// Held while a change of policies is carried out: queues follow one after the other, outside of the
    /// topology's lock, and must not follow an older change last.
    changing_policies: Mutex<()>,
    pub(super) connections: Seats,
    /// Of quorum queues that are not told otherwise.
    pub(super) delivery_limit: Option<u64>,
    pub(super) delayed: Arc<Delayed>,
    /// Where messages are kept, if they are.
    pub(super) shelves: Option<Shelves>,
    pub(super) timers: Arc<Timers>,
    pub(super) recorder: Recorder,
    /// What is being declared, deleted, bound or unbound.
    pub(super) changing: Changing<(DestinationType, Box<str>)>,
    pub(super) me: Weak<Vhost>,
}

/// What an operator sets.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) metadata: VhostMetadata,
    pub(super) limits: VhostLimits,
}

impl Vhost {
    pub(super) fn new(
        name: &str,
        number: u64,
        timers: &Arc<Timers>,
        recorder: Recorder,
        options: &Options,
    ) -> Result<Arc<Self>> {
        let budget = Budget { line: options.queue_memory, all: options.memory_limit / 2 };
        let shelves = options.store.clone().map(|store| Shelves { store, budget });
        let delayed = Held::open(number, shelves.as_ref())?;
        Ok(Arc::new_cyclic(|me| Vhost {
            name: name.into(),
            number,
            topology: RwLock::new(Topology::new()),
            generation: AtomicU64::new(0),
            replies: Replies::new(timers.clone()),
            settings: RwLock::default(),
            policies: RwLock::default(),
            changing_policies: Mutex::default(),
            connections: Seats::default(),
            delivery_limit: options.delivery_limit,
            delayed: Delayed::new(me, timers, delayed),
            shelves,
            timers: timers.clone(),
            recorder,
            changing: Changing::default(),
            me: me.clone(),
        }))
    }

    pub(super) fn limits(&self) -> VhostLimits {
        self.settings.read().limits
    }

    /// What an operator has set, and how many connections there are.
    pub fn info(&self) -> VhostInfo {
        let settings = self.settings.read();
        VhostInfo {
            name: self.name.to_string(),
            metadata: settings.metadata.clone(),
            limits: settings.limits,
            connections: self.connections.taken(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Every queue.
    pub fn queues(&self) -> Vec<QueueStatus> {
        let queues: Vec<_> = self.topology.read().queues.values().cloned().collect();
        let policies = self.policies.read();
        let subject = |queue: &Queue| policies.effective(Subject::Queue(&queue.name, queue.kind));
        queues.iter().map(|queue| queue.status(subject(queue))).collect()
    }

    /// The sessions of all consumers, one for each.
    pub(super) fn consumers_of(&self) -> Vec<u64> {
        let queues: Vec<_> = self.topology.read().queues.values().cloned().collect();
        queues.iter().flat_map(|queue| queue.consumers_of()).collect()
    }

    /// The messages that wait for the end of their delay, in the order in which they are due.
    pub fn delayed(&self) -> Vec<DelayedMessage> {
        self.delayed.list()
    }

    /// Takes a delayed message out, so that it is never routed.
    pub fn cancel_delayed(&self, id: u64) -> Option<Message> {
        self.delayed.cancel(id)
    }

    /// Every exchange but the default one.
    pub fn exchanges(&self) -> Vec<ExchangeInfo> {
        let topology = self.topology.read();
        let info = |exchange: &Exchange| ExchangeInfo {
            name: exchange.name.clone(),
            options: exchange.options.clone(),
            bindings: exchange.router.len(),
            effective: exchange.effective.clone(),
        };
        topology.exchanges.values().map(info).collect()
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What was remembered of routes and permissions is void.
    pub(super) fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn no_exchange(&self, operation: &'static str, name: &str) -> Error {
        Error::new(Kind::NotFound, operation, format!("no exchange '{name}' in vhost '{}'", self.name))
            .on(format!("exchange '{name}' in vhost '{}'", self.name))
            .advise("declare the exchange first, or check its name")
    }

    /// Where a message goes that somebody publishes.
    pub(super) fn route(&self, exchange: &str, envelope: &Envelope<'_>) -> Result<Found> {
        let topology = self.topology.read();
        if let Some(found) = topology.exchanges.get(exchange)
            && found.options.internal
        {
            let reason = format!("cannot publish to internal exchange '{exchange}' in vhost '{}'", self.name);
            return Err(Error::new(Kind::AccessRefused, "basic.publish", reason)
                .on(format!("exchange '{exchange}' in vhost '{}'", self.name)));
        }
        let mut found =
            topology.route(exchange, envelope).ok_or_else(|| self.no_exchange("basic.publish", exchange))?;
        if exchange.is_empty() {
            found.queues.extend(envelope.more_keys.iter().filter_map(|key| self.replies.get(key)));
        }
        Ok(found)
    }

    /// Whether there is a topic exchange of this name.
    pub(super) fn is_topic(&self, exchange: &str) -> bool {
        let topology = self.topology.read();
        topology.exchanges.get(exchange).is_some_and(|exchange| exchange.options.kind == routing::Kind::Topic)
    }

    /// Whether there is an exchange of this name.
    pub(super) fn has_exchange(&self, name: &str) -> bool {
        self.topology.read().exchanges.contains_key(name)
    }

    /// Whether there is a queue of this name.
    pub(super) fn has_queue(&self, name: &str) -> bool {
        self.topology.read().queues.contains_key(name)
    }

    /// The queues for a message that the broker itself sends on through `exchange`; none where there is none.
    pub(super) fn route_from(&self, exchange: &str, message: &Message) -> Vec<Arc<Queue>> {
        let properties = message.properties();
        // Who published it was told of what is wrong with these headers.
        let copies = CarbonCopies::of(properties).unwrap_or_default();
        let envelope = Envelope { routing_key: message.routing_key(), more_keys: &copies.keys, properties };
        let found = self.topology.read().route(exchange, &envelope);
        found.map_or_else(Vec::new, |found| {
            found.histories.iter().for_each(|history| history.record(&stripped(message)));
            found.queues
        })
    }

    /// Routes a message that the broker itself sends on.
    pub(super) fn send_on(&self, message: &Message, wakes: &mut Wakes) {
        let queues = self.route_from(message.exchange(), message);
        let message = stripped(message);
        for queue in queues {
            queue.publish(std::iter::once(message.clone()), |_| (), wakes);
        }
    }

    /// Every binding but those of the default exchange.
    pub fn bindings(&self) -> Vec<BindingInfo> {
        let topology = self.topology.read();
        let bindings = topology.exchanges.values().flat_map(|exchange| {
            exchange.router.bindings().map(|binding| {
                let (destination_type, destination) = binding.destination.named();
                BindingInfo {
                    source: exchange.name.clone(),
                    destination: destination.clone(),
                    destination_type,
                    routing_key: binding.routing_key.to_owned(),
                    arguments: binding.arguments.clone(),
                }
            })
        });
        bindings.collect()
    }

    // --- policies ---

    /// Every policy of a side, by name.
    pub(super) fn policies(&self, side: Side) -> Vec<Policy> {
        self.policies.read().list(side)
    }

    /// Changes the policies, which is to be recorded so, and has exchanges and queues follow those that apply to them
    /// then.
    pub(super) fn change_policies(
        &self,
        operation: &'static str,
        change: impl FnOnce(&mut Policies) -> Result<()>,
        recorded: Change,
        wakes: &mut Wakes,
    ) -> Result<()> {
        let _one = self.changing_policies.lock();
        let before = self.policies.read().clone();
        let mut after = before.clone();
        change(&mut after)?;
        let mut concerned = Vec::new();
        {
            let mut topology = self.record(operation, self.topology.write(), || recorded)?;
            let mut policies = self.policies.write();
            *policies = after;
            for exchange in topology.exchanges.values_mut() {
                exchange.effective = policies.effective(Subject::Exchange(&exchange.name));
            }
            for queue in topology.queues.values() {
                let subject = Subject::Queue(&queue.name, queue.kind);
                let after = policies.effective(subject).definition;
                if after != before.effective(subject).definition {
                    concerned.push((queue.clone(), after));
                }
            }
            self.changed(); // of routes, through alternate exchanges
        }
        for (queue, definition) in concerned {
            queue.configure(&definition, wakes);
        }
        Ok(())
    }

    // --- queues ---

    /// A queue that nobody has declared, for the answers that a session's channel awaits.
    pub(super) fn hidden_queue(&self, name: &str, session: Option<u64>) -> Result<Arc<Queue>> {
        Queue::new(name, self, QueueOptions::default(), &Table::default(), session, None, None)
    }

    /// The queue of this name, for a session that may use it.
    pub(super) fn queue(&self, name: &str, session: u64, operation: &'static str) -> Result<Arc<Queue>> {
        let queue = self.topology.read().queues.get(name).cloned();
        let queue = queue.ok_or_else(|| not_found(operation, name, &self.name))?;
        queue.check_access(session, operation)?;
        Ok(queue)
    }

    /// Whether this very queue is still there, and not another of its name.
    pub(super) fn still_has(&self, queue: &Queue) -> bool {
        self.topology.read().has(queue)
    }

    /// A declaration without a type is one of the default type, where the queue can be of that
    /// (`rabbit_amqqueue:augment_declare_args`).
    pub(super) fn with_default_type(&self, mut options: QueueOptions) -> QueueOptions {
        const TYPE: &str = "x-queue-type";
        if options.arguments.get(TYPE).is_none()
            && let Some(kind) = &self.settings.read().metadata.default_queue_type
            && (kind == "classic" || (options.durable && !options.exclusive && !options.auto_delete))
        {
            options.arguments.insert(TYPE, Value::LongString(Bytes::copy_from_slice(kind.as_bytes())));
        }
        options
    }

    /// Declares a queue; true when it is new. An existing one must have been declared alike.
    pub(super) fn declare_queue(
        &self,
        name: &str,
        options: QueueOptions,
        session: u64,
    ) -> Result<(Arc<Queue>, bool)> {
        const OPERATION: &str = "queue.declare";
        let _held = self.hold(DestinationType::Queue, name);
        let topology = self.topology.write();
        if let Some(queue) = topology.queues.get(name) {
            queue.check_access(session, OPERATION)?;
            check_queue(queue, &options)?;
            return Ok((queue.clone(), false));
        }
        // Those that are on their way to the disk do not count yet: as in RabbitMQ, several at a time can exceed it.
        if let Some(limit) = limit(self.limits().max_queues)
            && topology.queues.len() as u64 >= limit
        {
            let (queue, vhost) = (name, &self.name);
            let reason = format!(
                "cannot declare queue '{queue}': queue limit in vhost '{vhost}' ({limit}) is reached"
            );
            return Err(Error::new(Kind::PreconditionFailed, OPERATION, reason));
        }
        arguments::check_queue(&format!("queue '{name}' in vhost '{}'", self.name), &options)?;
        let owner = options.exclusive.then_some(session);
        let stored_id = self.recorder.get().filter(|_| options.durable).map(|record| record.queue_id());
        let mut topology = match stored_id {
            None => topology,
            Some(id) => {
                self.record(OPERATION, topology, || Change::Put(self.queue_definition(id, name, &options)))?
            }
        };
        let inserted = self.insert_queue(&mut topology, name, options, owner, stored_id, None);
        match &inserted {
            Ok(queue) if !queue.options.durable => self.remember(|| self.queue_trace(queue)),
            Err(_) if stored_id.is_some() => {
                self.note(&topology, vec![Change::DeleteQueue(self.name.to_string(), name.into())]);
            }
            _ => {}
        }
        Ok((inserted?, true))
    }

    fn insert_queue(
        &self,
        topology: &mut Topology,
        name: &str,
        options: QueueOptions,
        owner: Option<u64>,
        stored_id: Option<u64>,
        inherited: Option<&Inherited>,
    ) -> Result<Arc<Queue>> {
        let kind = QueueKind::of(&options.arguments);
        let effective = self.policies.read().effective(Subject::Queue(name, kind));
        let queue = Queue::new(name, self, options, &effective.definition, owner, stored_id, inherited)?;
        topology.queues.insert(queue.name.clone(), queue.clone());
        self.changed();
        Ok(queue)
    }

    /// Adds a queue that was declared before the broker was started: one with a number in the store is durable.
    pub(super) fn restore_queue(
        &self,
        stored_id: Option<u64>,
        name: &str,
        options: QueueOptions,
        owner: Option<u64>,
        inherited: Option<&Inherited>,
    ) -> Result<()> {
        let mut topology = self.topology.write();
        self.insert_queue(&mut topology, name, options, owner, stored_id, inherited).map(drop)
    }

    pub(super) fn reserved(&self, operation: &'static str, what: &str, name: &str) -> Error {
        Error::new(
            Kind::AccessRefused,
            operation,
            format!("{what} name '{name}' contains reserved prefix 'amq.*'"),
        )
        .on(format!("{what} '{name}' in vhost '{}'", self.name))
    }

    /// Deletes a queue, if it is still the one of its name; how many messages were ready.
    pub(super) fn delete_queue(&self, queue: &Arc<Queue>, wakes: &mut Wakes) -> Result<u64> {
        const OPERATION: &str = "queue.delete";
        let _held = self.hold(DestinationType::Queue, &queue.name);
        let mut topology = self.topology.write();
        if topology.has(queue) && queue.stored_id.is_some() {
            topology = self.record(OPERATION, topology, || self.queue_deletion(queue))?;
        }
        if topology.has(queue) {
            let went = self.take_out(&mut topology, queue);
            self.record_gone(OPERATION, topology, went);
        }
        Ok(queue.delete(wakes))
    }

    /// Deletes a queue whose time has come, if it is still the one of its name: nobody waits for the disk.
    pub(super) fn drop_queue(&self, queue: &Arc<Queue>, wakes: &mut Wakes) {
        {
            let mut topology = self.topology.write();
            if topology.has(queue) {
                let mut changes = self.take_out(&mut topology, queue);
                changes.extend(queue.stored_id.map(|_| self.queue_deletion(queue)));
                self.note(&topology, changes);
            }
        }
        queue.delete(wakes);
    }

    /// Takes a queue out of the topology; what else is to be recorded.
    fn take_out(&self, topology: &mut Topology, queue: &Arc<Queue>) -> Vec<Change> {
        let mut went = Vec::new();
        topology.queues.remove(&queue.name);
        topology.remove_destination(&Destination::Queue(queue.clone()), &mut went);
        self.changed();
        self.remember(|| self.no_queue_trace(queue));
        self.exchange_deletions(&went)
    }

    /// Deletes every queue.
    pub(super) fn delete_queues(&self, wakes: &mut Wakes) {
        let queues: Vec<_> = self.topology.read().queues.values().cloned().collect();
        for queue in queues {
            self.drop_queue(&queue, wakes);
        }
    }
}

impl fmt::Debug for Vhost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vhost").field("name", &self.name).finish_non_exhaustive()
    }
}

fn check_queue(queue: &Queue, wanted: &QueueOptions) -> Result<()> {
    let current = &queue.options;
    if wanted.exclusive != current.exclusive {
        return Err(queue.locked("queue.declare"));
    }
    let label = || queue.label();
    let operation = "queue.declare";
    check_field(operation, &label, "durable", &wanted.durable, &current.durable)?;
    check_field(operation, &label, "auto_delete", &wanted.auto_delete, &current.auto_delete)?;
    check_arguments(operation, &label, queue_arguments(queue.kind), &wanted.arguments, &current.arguments)
}
