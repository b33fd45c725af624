//! A broker with what was recorded of another one before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::bind::Target;
use super::definitions::{BindingDefinition, DestinationType};
use super::exchange::{ExchangeOptions, parse_kind};
use super::handover::Handover;
use super::policy::Side;
use super::queue::{Inherited, QueueOptions};
use super::record::{Definition, Record};
use super::{Broker, Options};
use crate::error::Result;
use crate::wire::table::Table;

impl Broker {
    /// A broker with everything that `record` has, which from then on keeps what changes. Where it has nothing,
    /// there are no virtual hosts and no users: see [`Broker::furnish`] and [`Broker::import`].
    ///
    /// # Errors
    /// `ResourceError` when what is recorded cannot be read; whatever something in it is refused for.
    pub fn restore(options: Options, record: Arc<dyn Record>) -> Result<Arc<Self>> {
        Self::inherit(options, record, &Handover::default())
    }

    /// The same, with what the host before this one gave along.
    ///
    /// # Errors
    /// As [`Broker::restore`].
    pub fn inherit(options: Options, record: Arc<dyn Record>, handover: &Handover) -> Result<Arc<Self>> {
        let broker = Self::empty(options);
        broker.timers.hold();
        let inherited = handover.of_durable();
        let mut limits = Vec::new();
        let recorded = record.recorded()?;
        let mut progress = Progress::of(&recorded);
        for definition in recorded {
            progress.note(&definition);
            if let Definition::Vhost(_, vhost) = &definition {
                limits.push((vhost.name.clone(), vhost.limits));
            }
            broker.put_back(definition, &inherited)?;
        }
        broker.put_back_handed(handover)?;
        // Last, as what is there may be more than they allow.
        for (vhost, limits) in limits {
            broker.set_vhost_limits(&vhost, limits)?;
        }
        broker.recorder.start(record);
        broker.timers.release();
        progress.end();
        Ok(broker)
    }

    fn put_back(&self, definition: Definition, inherited: &HashMap<(&str, &str), &Inherited>) -> Result<()> {
        const OPERATION: &str = "restore";
        match definition {
            Definition::Vhost(number, vhost) => self.add_numbered_vhost(number, &vhost.name, vhost.metadata),
            Definition::User(user) => self.users.put(user.user()?),
            Definition::Permissions(permissions) => self.set_permissions(permissions),
            Definition::TopicPermissions(permissions) => self.set_topic_permissions(permissions),
            Definition::Policy(Side::User, policy) => self.set_policy(policy),
            Definition::Policy(Side::Operator, policy) => self.set_operator_policy(policy),
            Definition::Exchange(exchange, arguments) => {
                let options = ExchangeOptions {
                    kind: parse_kind(&exchange.r#type)?,
                    durable: true,
                    auto_delete: exchange.auto_delete,
                    internal: exchange.internal,
                    arguments,
                };
                self.existing(OPERATION, &exchange.vhost)?.restore_exchange(&exchange.name, options)
            }
            Definition::Queue(id, queue, arguments) => {
                let options = QueueOptions {
                    durable: true,
                    exclusive: false,
                    auto_delete: queue.auto_delete,
                    arguments,
                };
                let inherited = inherited.get(&(&*queue.vhost, &*queue.name)).copied();
                self.existing(OPERATION, &queue.vhost)?.restore_queue(
                    Some(id),
                    &queue.name,
                    options,
                    None,
                    inherited,
                )
            }
            Definition::Binding(binding, arguments) => self.bind_again(&binding, &arguments),
        }
    }

    pub(super) fn bind_again(&self, binding: &BindingDefinition, arguments: &Table) -> Result<()> {
        let target = match binding.destination_type {
            DestinationType::Queue => Target::Queue(&binding.destination),
            DestinationType::Exchange => Target::Exchange(&binding.destination),
        };
        let vhost = self.existing("restore", &binding.vhost)?;
        vhost.restore_binding(&binding.source, target, &binding.routing_key, arguments)
    }
}

/// Tells people who wait how far it is. A queue takes some 50 µs, more where its files are not in memory.
struct Progress {
    queues: usize,
    all: usize,
    begun: Instant,
    said: Instant,
}

impl Progress {
    fn of(recorded: &[Definition]) -> Self {
        let all = recorded.iter().filter(|definition| matches!(definition, Definition::Queue(..))).count();
        let now = Instant::now();
        Progress { queues: 0, all, begun: now, said: now }
    }

    fn note(&mut self, next: &Definition) {
        if let Definition::Queue(..) = next {
            if self.said.elapsed() >= Duration::from_secs(1) {
                tracing::info!("restoring: {} of {} queues", self.queues, self.all);
                self.said = Instant::now();
            }
            self.queues += 1;
        }
    }

    fn end(self) {
        let took = self.begun.elapsed();
        if took >= Duration::from_secs(1) {
            tracing::info!("restored {} queues in {:.1} s", self.all, took.as_secs_f64());
        }
    }
}
