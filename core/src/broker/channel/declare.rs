//! What a channel declares, binds and deletes.

use std::borrow::Cow;
use std::sync::Arc;

use super::Channel;
use super::access::Resource;
use crate::auth::Right;
use crate::broker::bind::Target;
use crate::broker::exchange::{ExchangeOptions, parse_kind};
use crate::broker::names;
use crate::broker::outbox::Wakes;
use crate::broker::queue::{Queue, QueueInfo, QueueKind, QueueOptions, not_found};
use crate::broker::replies::PSEUDO_QUEUE;
use crate::error::{Error, Kind, Result};
use crate::wire::table::{Table, Value};

/// A binding from an exchange, to a queue or to another exchange.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// The exchange that messages come from.
    pub source: &'a str,
    /// The queue or exchange that they go to.
    pub destination: &'a str,
    /// The binding's key.
    pub routing_key: &'a str,
    /// The binding's arguments.
    pub arguments: &'a Table,
}

/// A queue's binding with nothing left out.
struct Expanded<'a> {
    source: Cow<'a, str>,
    queue: Cow<'a, str>,
    key: Cow<'a, str>,
}

impl Channel {
    /// The queue's name, or for an empty one that of the queue which this channel declared last.
    pub(super) fn queue_name<'a>(&self, operation: &'static str, name: &'a str) -> Result<Cow<'a, str>> {
        names::check(operation, "queue name", name)?;
        match (name, &self.last_queue) {
            ("", Some(last)) => Ok(Cow::Owned(last.to_string())),
            ("", None) => Err(Error::new(Kind::NotFound, operation, "no previously declared queue")),
            _ => Ok(Cow::Borrowed(name)),
        }
    }

    /// Declares a queue; an empty name has the broker make one up.
    pub fn declare_queue(&mut self, name: &str, options: QueueOptions) -> Result<QueueInfo> {
        let name = &*names::stripped(name);
        names::check("queue.declare", "queue name", name)?;
        let session = &self.session;
        if let Some(info) = self.reply_queue_info(name) {
            return Ok(info);
        }
        let options = session.vhost.with_default_type(options);
        // An exclusive queue cannot outlive its connection, so it is never durable (rabbit_channel, `queue.declare`).
        let options = QueueOptions { durable: options.durable && !options.exclusive, ..options };
        if name.starts_with(PSEUDO_QUEUE) {
            return Err(not_found("queue.declare", name, &session.vhost.name));
        }
        if name.starts_with("amq.") {
            return Err(session.vhost.reserved("queue.declare", "queue", name));
        }
        let generated;
        let name = match name {
            "" if !matches!(QueueKind::of(&options.arguments), QueueKind::Classic) => {
                let kind = QueueKind::of(&options.arguments).name();
                let reason = format!("Cannot declare a server-named queue for type rabbit_{kind}_queue");
                return Err(Error::new(Kind::PreconditionFailed, "queue.declare", reason));
            }
            "" => {
                generated = names::generate("amq.gen-");
                &generated
            }
            name => name,
        };
        let exclusive = options.exclusive;
        if !self.session.vhost.has_queue(name) {
            self.session.broker.options().profile.permit_queue(&options)?;
        }
        self.permit("queue.declare", Right::Configure, Resource::Queue(name))?;
        if let Some(Value::LongString(dead_letters)) = options.arguments.get("x-dead-letter-exchange")
            && !self.session.vhost.has_queue(name)
        {
            self.permit("queue.declare", Right::Read, Resource::Queue(name))?;
            let exchange = String::from_utf8_lossy(dead_letters);
            self.permit("queue.declare", Right::Write, Resource::Exchange(&exchange))?;
        }
        let session = &self.session;
        let (queue, new) = session.vhost.declare_queue(name, options, session.key)?;
        if new && exclusive {
            session.owns(&queue);
        }
        Ok(self.declared(&queue))
    }

    /// Fails unless there is such a queue (passive declare).
    pub fn check_queue(&mut self, name: &str) -> Result<QueueInfo> {
        let name = &*names::stripped(name);
        if let Some(info) = self.reply_queue_info(name) {
            return Ok(info);
        }
        let name = self.queue_name("queue.declare", name)?;
        let session = &self.session;
        let queue = session.vhost.queue(&name, session.key, "queue.declare")?;
        Ok(self.declared(&queue))
    }

    /// What a declare of a direct reply-to address answers: that somebody waits there.
    fn reply_queue_info(&self, name: &str) -> Option<QueueInfo> {
        let known = name == PSEUDO_QUEUE || self.session.vhost.replies.get(name).is_some();
        known.then(|| QueueInfo { name: name.into(), messages: 0, unacked: 0, consumers: 1 })
    }

    fn declared(&mut self, queue: &Arc<Queue>) -> QueueInfo {
        self.last_queue = Some(queue.name.clone());
        queue.touch();
        queue.info()
    }

    /// Deletes a queue; how many messages were ready. That there is none is no error.
    pub fn delete_queue(
        &mut self,
        name: &str,
        if_unused: bool,
        if_empty: bool,
        wakes: &mut Wakes,
    ) -> Result<u64> {
        let name = &*names::stripped(name);
        let name = self.queue_name("queue.delete", name)?;
        self.permit("queue.delete", Right::Configure, Resource::Queue(&name))?;
        let session = &self.session;
        let queue = match session.vhost.queue(&name, session.key, "queue.delete") {
            Ok(queue) => queue,
            Err(error) if error.kind() == Kind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        queue.check_unneeded(if_unused, if_empty)?;
        let count = session.vhost.delete_queue(&queue, wakes)?;
        session.disown(&queue);
        Ok(count)
    }

    /// Drops what is ready in a queue; how many messages that were.
    pub fn purge_queue(&mut self, name: &str) -> Result<u64> {
        let name = self.queue_name("queue.purge", name)?;
        self.permit("queue.purge", Right::Read, Resource::Queue(&name))?;
        let queue = self.session.vhost.queue(&name, self.session.key, "queue.purge")?;
        queue.check_destructive("queue.purge", "queue.purge")?;
        Ok(queue.purge())
    }

    /// Binds a queue to an exchange. With an empty queue name and an empty key, the key is the name of
    /// the queue that this channel declared last (AMQP 0-9-1 reference, `queue.bind`).
    pub fn bind_queue(&mut self, binding: Binding<'_>, wakes: &mut Wakes) -> Result<()> {
        const OPERATION: &str = "queue.bind";
        let Expanded { source, queue, key } = self.expand(OPERATION, binding)?;
        let target = Target::Queue(&queue);
        self.permit_binding(OPERATION, &source, target, &key)?;
        // What this channel published before comes first.
        self.flush(wakes);
        self.session.vhost.bind(&source, target, &key, binding.arguments, self.session.key, wakes)
    }

    /// Removes a queue's binding.
    pub fn unbind_queue(&mut self, binding: Binding<'_>) -> Result<()> {
        const OPERATION: &str = "queue.unbind";
        let Expanded { source, queue, key } = self.expand(OPERATION, binding)?;
        let target = Target::Queue(&queue);
        self.permit_binding(OPERATION, &source, target, &key)?;
        self.session.vhost.unbind(&source, target, &key, binding.arguments, self.session.key)
    }

    fn expand<'a>(&self, operation: &'static str, binding: Binding<'a>) -> Result<Expanded<'a>> {
        names::check(operation, "routing key", binding.routing_key)?;
        let queue = match names::stripped(binding.destination) {
            Cow::Borrowed(name) => self.queue_name(operation, name)?,
            Cow::Owned(name) => self.queue_name(operation, &name)?.into_owned().into(),
        };
        let key = match (binding.destination, binding.routing_key) {
            ("", "") => queue.clone(),
            (_, key) => Cow::Borrowed(key),
        };
        Ok(Expanded { source: names::stripped(binding.source), queue, key })
    }

    /// Refuses a binding that the user has no permission for (rabbit_channel, `binding_action`).
    fn permit_binding(
        &mut self,
        operation: &'static str,
        source: &str,
        target: Target<'_>,
        routing_key: &str,
    ) -> Result<()> {
        match target {
            Target::Queue(name) => self.permit(operation, Right::Write, Resource::Queue(name))?,
            Target::Exchange(name) => {
                self.permit(operation, Right::Write, Resource::Exchange(name))?;
                not_default(operation, name)?;
            }
        }
        not_default(operation, source)?;
        self.permit(operation, Right::Read, Resource::Exchange(source))?;
        self.permit_topic(operation, Right::Read, source, routing_key)
    }

    /// Declares an exchange of the type named `kind`.
    pub fn declare_exchange(&mut self, name: &str, kind: &str, options: ExchangeOptions) -> Result<()> {
        let name = &*names::stripped(name);
        names::check("exchange.declare", "exchange name", name)?;
        let kind = parse_kind(kind)?;
        not_default("exchange.declare", name)?;
        self.permit("exchange.declare", Right::Configure, Resource::Exchange(name))?;
        if let Some(Value::LongString(alternate)) = options.arguments.get("alternate-exchange")
            && !self.session.vhost.has_exchange(name)
        {
            self.permit("exchange.declare", Right::Read, Resource::Exchange(name))?;
            let alternate = String::from_utf8_lossy(alternate);
            self.permit("exchange.declare", Right::Write, Resource::Exchange(&alternate))?;
        }
        self.session.vhost.declare_exchange(name, ExchangeOptions { kind, ..options })
    }

    /// Fails unless there is such an exchange (passive declare).
    pub fn check_exchange(&mut self, name: &str) -> Result<()> {
        let name = &*names::stripped(name);
        not_default("exchange.declare", name)?;
        self.session.vhost.check_exchange_exists(name)
    }

    /// Deletes an exchange. That there is none is no error.
    pub fn delete_exchange(&mut self, name: &str, if_unused: bool) -> Result<()> {
        let name = &*names::stripped(name);
        not_default("exchange.delete", name)?;
        self.permit("exchange.delete", Right::Configure, Resource::Exchange(name))?;
        self.session.vhost.delete_exchange(name, if_unused)
    }

    /// Binds an exchange to another one (RabbitMQ's extension: <https://www.rabbitmq.com/docs/e2e>).
    pub fn bind_exchange(&mut self, binding: Binding<'_>, wakes: &mut Wakes) -> Result<()> {
        const OPERATION: &str = "exchange.bind";
        let Binding { routing_key, arguments, .. } = binding;
        let source = &*names::stripped(binding.source);
        let destination = &*names::stripped(binding.destination);
        names::check(OPERATION, "routing key", routing_key)?;
        let target = Target::Exchange(destination);
        self.permit_binding(OPERATION, source, target, routing_key)?;
        self.flush(wakes);
        self.session.vhost.bind(source, target, routing_key, arguments, self.session.key, wakes)
    }

    /// Removes an exchange's binding.
    pub fn unbind_exchange(&mut self, binding: Binding<'_>) -> Result<()> {
        const OPERATION: &str = "exchange.unbind";
        let Binding { routing_key, arguments, .. } = binding;
        let source = &*names::stripped(binding.source);
        let destination = &*names::stripped(binding.destination);
        let target = Target::Exchange(destination);
        self.permit_binding(OPERATION, source, target, routing_key)?;
        self.session.vhost.unbind(source, target, routing_key, arguments, self.session.key)
    }
}

fn not_default(operation: &'static str, exchange: &str) -> Result<()> {
    match exchange {
        "" => {
            Err(Error::new(Kind::AccessRefused, operation, "operation not permitted on the default exchange"))
        }
        _ => Ok(()),
    }
}
