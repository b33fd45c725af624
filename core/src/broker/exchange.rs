//! An exchange: its declaration, and the router that holds its bindings.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::definitions::DestinationType;
use super::history::History;
use super::next_id;
use super::policy::Effective;
use super::queue::Queue;
use crate::error::{self, Error, Result};
use crate::routing::{Kind, Router};
use crate::wire::table::{Table, Value};

/// How an exchange is declared.
#[derive(Clone, Debug)]
pub struct ExchangeOptions {
    /// Which messages go where.
    pub kind: Kind,
    /// Survives the broker.
    pub durable: bool,
    /// Goes when the last binding from it does.
    pub auto_delete: bool,
    /// Takes messages from other exchanges only.
    pub internal: bool,
    /// `x-` arguments.
    pub arguments: Table,
}

impl ExchangeOptions {
    /// A transient exchange of this kind.
    pub fn new(kind: Kind) -> Self {
        ExchangeOptions {
            kind,
            durable: false,
            auto_delete: false,
            internal: false,
            arguments: Table::default(),
        }
    }
}

/// What listings say of an exchange.
#[derive(Clone, Debug)]
pub struct ExchangeInfo {
    /// The exchange's name.
    pub name: Arc<str>,
    /// How it was declared.
    pub options: ExchangeOptions,
    /// Bindings from it.
    pub bindings: usize,
    /// What policies say of it.
    pub effective: Effective,
}

/// What listings say of a binding.
#[derive(Clone, Debug)]
pub struct BindingInfo {
    /// The exchange that messages come from.
    pub source: Arc<str>,
    /// The queue or exchange that they go to.
    pub destination: Arc<str>,
    /// Which of the two that is.
    pub destination_type: DestinationType,
    /// The binding's key.
    pub routing_key: String,
    /// The binding's arguments.
    pub arguments: Table,
}

/// An exchange in the topology.
pub(super) struct Exchange {
    pub(super) id: u64,
    pub(super) name: Arc<str>,
    pub(super) options: ExchangeOptions,
    pub(super) router: Router<Destination>,
    /// What policies say of it.
    pub(super) effective: Effective,
    /// What it remembers, if its type does.
    pub(super) history: Option<Arc<History>>,
    /// Its deletion is being brought to the disk: nothing is bound to it any more.
    pub(super) leaving: bool,
}

impl Exchange {
    /// Fails where the type refuses the arguments (406).
    pub(super) fn new(name: &str, options: ExchangeOptions) -> Result<Self> {
        let router = Router::new(options.kind, &options.arguments).map_err(|invalid| {
            Error::new(error::Kind::PreconditionFailed, "exchange.declare", invalid.to_string())
        })?;
        let history = match router.routes_as() {
            Kind::RecentHistory => Some(Arc::new(History::new(&options.arguments)?)),
            _ => None,
        };
        let effective = Effective::default();
        let (id, name) = (next_id(), name.into());
        Ok(Exchange { id, name, router, history, options, effective, leaving: false })
    }

    /// The exchange that gets what this one cannot route. The argument counts before a policy
    /// (`rabbit_policy:get_arg`).
    pub(super) fn alternate(&self) -> Option<&str> {
        let key = "alternate-exchange";
        match self.options.arguments.get(key).or_else(|| self.effective.definition.get(key)) {
            Some(Value::LongString(name)) => std::str::from_utf8(name).ok(),
            _ => None,
        }
    }

    pub(super) fn destination(&self) -> Destination {
        Destination::Exchange(self.id, self.name.clone())
    }
}

/// What an exchange is bound to.
#[derive(Clone)]
pub(super) enum Destination {
    Queue(Arc<Queue>),
    Exchange(u64, Arc<str>),
}

impl Destination {
    /// Queues and exchanges are numbered together, and a name that is declared anew gets a new number.
    pub(super) fn id(&self) -> u64 {
        match self {
            Destination::Queue(queue) => queue.id,
            Destination::Exchange(id, _) => *id,
        }
    }

    /// What it is, and its name.
    pub(super) fn named(&self) -> (DestinationType, &Arc<str>) {
        match self {
            Destination::Queue(queue) => (DestinationType::Queue, &queue.name),
            Destination::Exchange(_, name) => (DestinationType::Exchange, name),
        }
    }
}

impl PartialEq for Destination {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Destination {}

/// By kind and name, as RabbitMQ orders bindings.
impl Ord for Destination {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |destination: &Self| match destination {
            Destination::Exchange(_, name) => (0, name.clone()),
            Destination::Queue(queue) => (1, queue.name.clone()),
        };
        key(self).cmp(&key(other)).then(self.id().cmp(&other.id()))
    }
}

impl PartialOrd for Destination {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Destination {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

/// The exchange type of this name (406 as RabbitMQ's `rabbit_exchange:check_type` since 3.12.14 and 3.13.3; before,
/// it closed the connection with 503).
pub(super) fn parse_kind(name: &str) -> Result<Kind> {
    name.parse().map_err(|_| {
        let known = Kind::ALL.map(Kind::name).join(", ");
        let reason = format!("unknown exchange type '{name}'");
        Error::new(error::Kind::PreconditionFailed, "exchange.declare", reason)
            .advise(format!("known types are {known}"))
    })
}
