//! Connections of another module of this process: each call is one of its table's.

mod calls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use calls::{Handle, value};
pub(super) use calls::{after_fork, before_exit};

use super::codec::decode;
use super::table::{Reply, Table};
use crate::broker::Binding;
use crate::client::driver::{
    Answer, BatchPublishing, Bell, ChannelDriver, ConnectionDriver, ConsumerDriver, Listener, Publishing,
};
use crate::client::{
    ConnectOptions, ConsumeOptions, Delivery, ExchangeOptions, Get, Publish, QueueInfo, QueueOptions, Settle,
};
use crate::error::{Error, Kind, Result};
use crate::message::{Body, Message};

/// A connection of the other module's.
#[derive(Debug)]
pub(super) struct Adopted {
    handle: Handle,
    transport: &'static str,
}

#[derive(Debug)]
struct Channel(Handle);

#[derive(Debug)]
struct Consumer {
    handle: Handle,
    tag: String,
}

impl Adopted {
    /// Has the other module open a connection.
    pub(super) async fn open(
        table: &'static Table,
        transport: &'static str,
        url: &str,
        options: &ConnectOptions,
    ) -> Result<Self> {
        let handle = Handle::connect(table, url, options).await?;
        Ok(Adopted { handle, transport })
    }
}

/// A channel that is lent.
#[cfg(test)]
pub(super) fn channel(table: &'static Table, thing: super::lent::Thing) -> Arc<dyn ChannelDriver> {
    Arc::new(Channel(Handle::of(table, super::owned::Owned::new(thing))))
}

impl ConnectionDriver for Adopted {
    fn transport(&self) -> &'static str {
        self.transport
    }

    fn is_open(&self) -> bool {
        self.handle.is_open()
    }

    fn channel(&self) -> Answer<Arc<dyn ChannelDriver>> {
        let opened = self.handle.opened();
        self.handle.call("channel.open", (), move |reply: Reply| {
            Ok(Arc::new(Channel(opened(reply.thing))) as Arc<dyn ChannelDriver>)
        })
    }

    fn listen(&self, address: &str) -> Answer<SocketAddr> {
        self.handle.call("listen", address, |reply: Reply| {
            let address: &str = decode(reply.bytes.as_ref())?;
            address.parse().map_err(|error| {
                Error::new(Kind::InternalError, "listen", "an address that cannot be read").caused_by(error)
            })
        })
    }

    fn listening(&self) -> Vec<SocketAddr> {
        let addresses: Vec<String> = self.handle.ask("listening", ()).unwrap_or_default();
        addresses.iter().filter_map(|address| address.parse().ok()).collect()
    }

    fn on_event(&self, listener: Listener) {
        self.handle.on_event(listener);
    }

    fn close(&self) -> Answer<()> {
        self.handle.call("close", (), value)
    }
}

impl Channel {
    fn change_binding(&self, operation: &'static str, binding: Binding<'_>) -> Answer<()> {
        let Binding { source, destination, routing_key, arguments } = binding;
        self.0.call(operation, (source, destination, routing_key, arguments), value)
    }
}

impl ChannelDriver for Channel {
    fn is_open(&self) -> bool {
        self.0.is_open()
    }

    fn declare_queue(&self, name: &str, passive: bool, options: QueueOptions) -> Answer<QueueInfo> {
        let QueueOptions { durable, exclusive, auto_delete, arguments } = options;
        self.0.call("queue.declare", (name, passive, durable, exclusive, auto_delete, arguments), value)
    }

    fn delete_queue(&self, name: &str, if_unused: bool, if_empty: bool) -> Answer<u64> {
        self.0.call("queue.delete", (name, if_unused, if_empty), value)
    }

    fn purge_queue(&self, name: &str) -> Answer<u64> {
        self.0.call("queue.purge", name, value)
    }

    fn declare_exchange(
        &self,
        name: &str,
        kind: &str,
        passive: bool,
        options: ExchangeOptions,
    ) -> Answer<()> {
        let ExchangeOptions { durable, auto_delete, internal, arguments, .. } = options;
        let arguments = (name, kind, passive, durable, auto_delete, internal, arguments);
        self.0.call("exchange.declare", arguments, value)
    }

    fn delete_exchange(&self, name: &str, if_unused: bool) -> Answer<()> {
        self.0.call("exchange.delete", (name, if_unused), value)
    }

    fn bind_queue(&self, binding: Binding<'_>) -> Answer<()> {
        self.change_binding("queue.bind", binding)
    }

    fn unbind_queue(&self, binding: Binding<'_>) -> Answer<()> {
        self.change_binding("queue.unbind", binding)
    }

    fn bind_exchange(&self, binding: Binding<'_>) -> Answer<()> {
        self.change_binding("exchange.bind", binding)
    }

    fn unbind_exchange(&self, binding: Binding<'_>) -> Answer<()> {
        self.change_binding("exchange.unbind", binding)
    }

    fn qos(&self, count: u16, global: bool) -> Answer<()> {
        self.0.call("basic.qos", (count, global), value)
    }

    fn publish(&self, publish: Publish<'_>) -> Result<Publishing> {
        self.0.publish(publish)
    }

    fn publish_all(&self, batch: &mut dyn Iterator<Item = Publish<'_>>) -> Result<BatchPublishing> {
        self.0.publish_all(batch)
    }

    fn consume(&self, options: &ConsumeOptions<'_>) -> Answer<Arc<dyn ConsumerDriver>> {
        let ConsumeOptions { queue, tag, no_ack, exclusive, arguments } = options;
        let opened = self.0.opened();
        self.0.call("basic.consume", (queue, tag, no_ack, exclusive, arguments), move |reply: Reply| {
            let tag = decode::<&str>(reply.bytes.as_ref())?.to_owned();
            Ok(Arc::new(Consumer { handle: opened(reply.thing), tag }) as Arc<dyn ConsumerDriver>)
        })
    }

    fn get(&self, queue: &str, no_ack: bool) -> Answer<Option<Get>> {
        self.0.call("basic.get", (queue, no_ack), fetched)
    }

    fn settle(&self, tags: &[(u64, bool)], how: Settle) -> Result<()> {
        self.0.settle(tags, how)
    }

    fn broker_tag(&self, tag: u64) -> Option<u64> {
        self.0.ask("broker_tag", tag).flatten()
    }

    fn recover(&self) -> Answer<()> {
        self.0.call("basic.recover", (), value)
    }

    fn tx_select(&self) -> Answer<()> {
        self.0.call("tx.select", (), value)
    }

    fn tx_commit(&self) -> Answer<Vec<usize>> {
        self.0.call("tx.commit", (), value)
    }

    fn tx_rollback(&self) -> Answer<()> {
        self.0.call("tx.rollback", (), value)
    }

    fn close(&self) -> Answer<()> {
        self.0.call("channel.close", (), value)
    }
}

fn fetched(reply: Reply) -> Result<Option<Get>> {
    type Fields<'a> = (u64, bool, u64, &'a [u8], &'a [u8], &'a [u8]);
    let Some((tag, redelivered, remaining, route, properties, short)) =
        decode::<Option<Fields<'_>>>(reply.bytes.as_ref())?
    else {
        return Ok(None);
    };
    let body = match reply.body.into_bytes() {
        Ok(long) => Body::Owned(long),
        Err(_) => Body::Slice(short),
    };
    Ok(Some(Get { tag, message: Message::new(route, properties, body), redelivered, remaining }))
}

impl ConsumerDriver for Consumer {
    fn tag(&self) -> &str {
        &self.tag
    }

    fn take(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        self.handle.take(max, into)
    }

    fn look(&self) -> bool {
        self.handle.look()
    }

    fn wait(&self, timeout: Option<Duration>) -> bool {
        self.handle.wait(timeout)
    }

    fn on_ready(&self, bell: Bell) {
        self.handle.on_ready(bell);
    }

    fn cancel(&self) -> Answer<()> {
        self.handle.call("basic.cancel", (), value)
    }
}
