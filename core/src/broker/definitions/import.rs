//! From definitions into a broker. In RabbitMQ's order (`rabbit_definitions:apply_defs`): users, virtual hosts,
//! permissions, exchanges, policies, queues, bindings.

use std::sync::Arc;

use hashbrown::HashMap;
use serde_json::Value;

use super::json::to_table;
use super::{
    BindingDefinition, Definitions, DestinationType, ExchangeDefinition, Parameter, QueueDefinition,
    VhostDefinition,
};
use crate::broker::Broker;
use crate::broker::Wakes;
use crate::broker::channel::{Binding, Channel};
use crate::broker::exchange::ExchangeOptions;
use crate::broker::outbox::Outlet;
use crate::broker::policy::Policy;
use crate::broker::queue::QueueOptions;
use crate::broker::session::Session;
use crate::error::{Error, Kind, Result};
use crate::routing;

const OPERATION: &str = "import definitions";

/// Nobody consumes while definitions are imported.
struct Deaf;

impl Outlet for Deaf {
    fn ready(&self) {}
}

/// A channel in each virtual host: what is declared here goes through the same door as everything else.
struct Doors<'a> {
    broker: &'a Arc<Broker>,
    open: HashMap<String, (Session, Channel)>,
}

impl Doors<'_> {
    fn to(&mut self, vhost: &str) -> Result<&mut Channel> {
        if !self.open.contains_key(vhost) {
            self.broker.existing(OPERATION, vhost)?;
            let session = self.broker.open_embedded(vhost)?;
            let channel = session.channel(Box::new(Deaf))?;
            self.open.insert(vhost.into(), (session, channel));
        }
        match self.open.get_mut(vhost) {
            Some((_, channel)) => Ok(channel),
            None => Err(Error::new(Kind::InternalError, OPERATION, "no channel")),
        }
    }
}

impl Broker {
    /// Adds what the definitions have, and changes users, virtual hosts, permissions and policies that are there
    /// already. Queues and exchanges that are there stay as they are, and those whose names begin with `amq.` are
    /// passed over, as in RabbitMQ.
    ///
    /// # Errors
    /// Whatever the first definition is refused for; those before it are in force.
    pub fn import(self: &Arc<Self>, definitions: &Definitions) -> Result<()> {
        for user in &definitions.users {
            let put = user.user().and_then(|user| self.users().put(user));
            put.map_err(|error| error.on(format!("user '{}'", user.name)))?;
        }
        for vhost in &definitions.vhosts {
            import_vhost(self, vhost)?;
        }
        for parameter in definitions.parameters.iter().filter(|parameter| parameter.component == LIMITS) {
            self.set_vhost_limits(&parameter.vhost, of_parameter(parameter, &parameter.value)?)?;
        }
        for permissions in &definitions.permissions {
            self.set_permissions(permissions.clone())?;
        }
        for permissions in &definitions.topic_permissions {
            self.set_topic_permissions(permissions.clone())?;
        }
        let mut doors = Doors { broker: self, open: HashMap::new() };
        for exchange in &definitions.exchanges {
            import_exchange(&mut doors, exchange)?;
        }
        for policy in &definitions.policies {
            self.set_policy(policy.clone())?;
        }
        for parameter in &definitions.parameters {
            import_parameter(self, parameter)?;
        }
        for queue in &definitions.queues {
            import_queue(&mut doors, queue)?;
        }
        for binding in &definitions.bindings {
            import_binding(&mut doors, binding)?;
        }
        Ok(())
    }
}

const LIMITS: &str = "vhost-limits";

fn import_vhost(broker: &Broker, vhost: &VhostDefinition) -> Result<()> {
    let mut metadata = vhost.metadata.clone();
    // RabbitMQ 3.12 writes it so where there is none.
    metadata.default_queue_type = metadata.default_queue_type.filter(|name| name != "undefined");
    match broker.vhost(&vhost.name) {
        None => broker.add_vhost(&vhost.name, metadata)?,
        Some(_) => broker.set_vhost_metadata(&vhost.name, metadata)?,
    }
    broker.set_vhost_limits(&vhost.name, vhost.limits)
}

fn of_parameter<T: for<'a> serde::Deserialize<'a>>(parameter: &Parameter, value: &Value) -> Result<T> {
    serde_json::from_value(value.clone()).map_err(|error| {
        let Parameter { vhost, component, name, .. } = parameter;
        Error::new(Kind::InvalidArgument, OPERATION, error.to_string())
            .on(format!("parameter {vhost}/{component}/{name}"))
            .caused_by(error)
    })
}

fn import_parameter(broker: &Broker, parameter: &Parameter) -> Result<()> {
    match parameter.component.as_str() {
        LIMITS => Ok(()),
        "operator_policy" => {
            let mut value = parameter.value.clone();
            if let Value::Object(fields) = &mut value {
                fields.insert("vhost".into(), parameter.vhost.as_str().into());
                fields.insert("name".into(), parameter.name.as_str().into());
            }
            broker.set_operator_policy(of_parameter::<Policy>(parameter, &value)?)
        }
        component => {
            tracing::warn!(component, name = parameter.name, "parameter passed over: not known here");
            Ok(())
        }
    }
}

fn passed_over(what: &str, name: &str) -> bool {
    let reserved = name.is_empty() || name.starts_with("amq.");
    if reserved {
        tracing::warn!(name, "definition of {what} passed over: the name is reserved");
    }
    reserved
}

fn import_exchange(doors: &mut Doors<'_>, exchange: &ExchangeDefinition) -> Result<()> {
    let known = doors.broker.existing(OPERATION, &exchange.vhost)?.has_exchange(&exchange.name);
    if passed_over("an exchange", &exchange.name) || known {
        return Ok(());
    }
    let options = ExchangeOptions {
        durable: exchange.durable,
        auto_delete: exchange.auto_delete,
        internal: exchange.internal,
        arguments: to_table(&exchange.arguments),
        ..ExchangeOptions::new(routing::Kind::Direct)
    };
    doors.to(&exchange.vhost)?.declare_exchange(&exchange.name, &exchange.r#type, options)
}

fn import_queue(doors: &mut Doors<'_>, queue: &QueueDefinition) -> Result<()> {
    let known = doors.broker.existing(OPERATION, &queue.vhost)?.has_queue(&queue.name);
    if passed_over("a queue", &queue.name) || known {
        return Ok(());
    }
    let options = QueueOptions {
        durable: queue.durable,
        exclusive: false,
        auto_delete: queue.auto_delete,
        arguments: to_table(&queue.arguments),
    };
    doors.to(&queue.vhost)?.declare_queue(&queue.name, options).map(drop)
}

fn import_binding(doors: &mut Doors<'_>, binding: &BindingDefinition) -> Result<()> {
    let arguments = to_table(&binding.arguments);
    let channel = doors.to(&binding.vhost)?;
    let described = Binding {
        source: &binding.source,
        destination: &binding.destination,
        routing_key: &binding.routing_key,
        arguments: &arguments,
    };
    match binding.destination_type {
        DestinationType::Queue => channel.bind_queue(described, &mut Wakes::default()),
        DestinationType::Exchange => channel.bind_exchange(described, &mut Wakes::default()),
    }
}
