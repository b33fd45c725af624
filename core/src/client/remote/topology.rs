//! What a connection has declared that ends with the host of the broker: what is not durable, and what leads there.

use crate::broker::Binding;
use crate::wire::{Method, ShortString};

/// The methods that make it anew, in the order in which it was made.
#[derive(Debug, Default)]
pub(super) struct Topology(Vec<Method>);

impl Topology {
    pub(super) fn methods(&self) -> Vec<Method> {
        self.0.clone()
    }

    /// Notes a queue under the name that the broker gave it.
    pub(super) fn queue(&mut self, mut declare: Method, name: &ShortString) {
        if let Method::QueueDeclare(declare) = &mut declare {
            declare.queue = name.clone();
        }
        self.add(declare);
    }

    /// Notes what was done, if it has to be done again.
    pub(super) fn add(&mut self, method: Method) {
        let ends = match &method {
            Method::QueueDeclare(queue) => !queue.passive && (queue.exclusive || !queue.durable),
            Method::ExchangeDeclare(exchange) => !exchange.passive && !exchange.durable,
            Method::QueueBind(bind) => self.has_queue(&bind.queue) || self.has_exchange(&bind.exchange),
            Method::ExchangeBind(bind) => {
                self.has_exchange(&bind.destination) || self.has_exchange(&bind.source)
            }
            _ => false,
        };
        if ends && !self.0.contains(&method) {
            self.0.push(method);
        }
    }

    fn has_queue(&self, name: &str) -> bool {
        self.0.iter().any(|method| matches!(method, Method::QueueDeclare(queue) if queue.queue == *name))
    }

    fn has_exchange(&self, name: &str) -> bool {
        self.0.iter().any(|method| matches!(method, Method::ExchangeDeclare(one) if one.exchange == *name))
    }

    pub(super) fn forget_queue(&mut self, name: &str) {
        self.0.retain(|method| match method {
            Method::QueueDeclare(queue) => queue.queue != *name,
            Method::QueueBind(bind) => bind.queue != *name,
            _ => true,
        });
    }

    pub(super) fn forget_exchange(&mut self, name: &str) {
        self.0.retain(|method| match method {
            Method::ExchangeDeclare(exchange) => exchange.exchange != *name,
            Method::QueueBind(bind) => bind.exchange != *name,
            Method::ExchangeBind(bind) => bind.destination != *name && bind.source != *name,
            _ => true,
        });
    }

    pub(super) fn unbind_queue(&mut self, binding: &Binding<'_>) {
        self.0.retain(|method| match method {
            Method::QueueBind(bind) => {
                bind.queue != *binding.destination
                    || bind.exchange != *binding.source
                    || bind.routing_key != *binding.routing_key
                    || bind.arguments != *binding.arguments
            }
            _ => true,
        });
    }

    pub(super) fn unbind_exchange(&mut self, binding: &Binding<'_>) {
        self.0.retain(|method| match method {
            Method::ExchangeBind(bind) => {
                bind.destination != *binding.destination
                    || bind.source != *binding.source
                    || bind.routing_key != *binding.routing_key
                    || bind.arguments != *binding.arguments
            }
            _ => true,
        });
    }
}
