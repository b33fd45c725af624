//! What a channel declares, deletes, binds and unbinds.

use tokio::runtime::{Handle, RuntimeFlavor};

use super::{Channel, count};
use crate::broker::{self, Binding, ExchangeOptions, QueueOptions, Wakes};
use crate::error::{Error, Kind, Result};
use crate::routing;
use crate::server::round;
use crate::wire::{Method, ShortString, exchange, queue};

/// Does what may wait for the disk, on a thread that others need not wait for.
#[cold]
pub(super) fn aside<T>(act: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => round::block(act),
        _ => act(),
    }
}

impl Channel {
    /// Does what may wait for the disk: the thread's other connections go on. Nothing of the link may be held.
    pub(super) fn stepping_aside<T>(&mut self, act: impl FnOnce(&mut broker::Channel) -> T) -> T {
        match self.broker.is_recorded() {
            true => aside(|| act(&mut self.broker)),
            false => act(&mut self.broker),
        }
    }

    /// Does it, and says what is to be answered, if anything.
    pub(super) fn arrange(&mut self, method: Method, wakes: &mut Wakes) -> Result<Option<Method>> {
        self.stepping_aside(|broker| arrange(broker, method, wakes))
    }
}

fn arrange(broker: &mut broker::Channel, method: Method, wakes: &mut Wakes) -> Result<Option<Method>> {
    let (nowait, answer) = match method {
        Method::ExchangeDeclare(m) => {
            if m.passive {
                broker.check_exchange(&m.exchange)?;
            } else {
                let options = ExchangeOptions {
                    durable: m.durable,
                    auto_delete: m.auto_delete,
                    internal: m.internal,
                    arguments: m.arguments,
                    ..ExchangeOptions::new(routing::Kind::Direct)
                };
                broker.declare_exchange(&m.exchange, &m.r#type, options)?;
            }
            (m.nowait, Method::ExchangeDeclareOk(exchange::DeclareOk {}))
        }
        Method::ExchangeDelete(m) => {
            broker.delete_exchange(&m.exchange, m.if_unused)?;
            (m.nowait, Method::ExchangeDeleteOk(exchange::DeleteOk {}))
        }
        Method::ExchangeBind(m) => {
            broker.bind_exchange(binding(&m.source, &m.destination, &m.routing_key, &m.arguments), wakes)?;
            (m.nowait, Method::ExchangeBindOk(exchange::BindOk {}))
        }
        Method::ExchangeUnbind(m) => {
            broker.unbind_exchange(binding(&m.source, &m.destination, &m.routing_key, &m.arguments))?;
            (m.nowait, Method::ExchangeUnbindOk(exchange::UnbindOk {}))
        }
        Method::QueueDeclare(m) => {
            let info = if m.passive {
                broker.check_queue(&m.queue)?
            } else {
                let options = QueueOptions {
                    durable: m.durable,
                    exclusive: m.exclusive,
                    auto_delete: m.auto_delete,
                    arguments: m.arguments,
                };
                broker.declare_queue(&m.queue, options)?
            };
            let declared = queue::DeclareOk {
                queue: ShortString::truncated(&info.name),
                message_count: count(info.messages),
                consumer_count: count(info.consumers),
            };
            (m.nowait, Method::QueueDeclareOk(declared))
        }
        Method::QueueBind(m) => {
            broker.bind_queue(binding(&m.exchange, &m.queue, &m.routing_key, &m.arguments), wakes)?;
            (m.nowait, Method::QueueBindOk(queue::BindOk {}))
        }
        Method::QueueUnbind(m) => {
            broker.unbind_queue(binding(&m.exchange, &m.queue, &m.routing_key, &m.arguments))?;
            (false, Method::QueueUnbindOk(queue::UnbindOk {}))
        }
        Method::QueueDelete(m) => {
            let message_count = count(broker.delete_queue(&m.queue, m.if_unused, m.if_empty, wakes)?);
            (m.nowait, Method::QueueDeleteOk(queue::DeleteOk { message_count }))
        }
        other => return Err(Error::new(Kind::CommandInvalid, other.name(), "unimplemented method")),
    };
    Ok((!nowait).then_some(answer))
}

fn binding<'a>(
    source: &'a str,
    destination: &'a str,
    routing_key: &'a str,
    arguments: &'a crate::wire::Table,
) -> Binding<'a> {
    Binding { source, destination, routing_key, arguments }
}
