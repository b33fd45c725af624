//! A channel of an embedded broker: the broker's own, behind a lock.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::Shared;
use super::consumer::{Inbox, Ready};
use crate::broker::{self, Binding, Session, Wakes};
use crate::client::driver::{
    Answer, BatchOutcome, BatchPublishing, ChannelDriver, ConnectionEvent, ConsumerDriver, Outcome,
    Publishing, now,
};
use crate::client::process;
use crate::client::{ConsumeOptions, ExchangeOptions, Get, Publish, QueueInfo, QueueOptions, Settle};
use crate::error::{Error, Kind, Result};
use crate::message::Body;

/// Bytes that a channel publishes between two looks at the memory that is in use: to look costs as much
/// as to publish.
const LOOK_EVERY: usize = 64 << 10;
pub(super) struct EmbeddedChannel {
    pub(super) outbox: Arc<broker::Outbox>,
    /// None once closed.
    door: Mutex<Option<broker::Channel>>,
    /// Bytes published since memory was last looked at.
    unlooked: AtomicUsize,
    /// Taken while the door is, by transactional channels only.
    tx: Mutex<Uncommitted>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) me: Weak<EmbeddedChannel>,
    pub(super) shared: Arc<Shared>,
}

impl EmbeddedChannel {
    pub(super) fn open(session: &Session, shared: &Arc<Shared>) -> Result<Arc<Self>> {
        let inbox = Arc::new(Inbox::default());
        let channel = session.channel(Box::new(Ready(inbox.clone())))?;
        Ok(Arc::new_cyclic(|me| EmbeddedChannel {
            outbox: channel.outbox().clone(),
            door: Mutex::new(Some(channel)),
            unlooked: AtomicUsize::new(0),
            tx: Mutex::default(),
            inbox,
            me: me.clone(),
            shared: shared.clone(),
        }))
    }

    /// Does something on the broker's channel; outlets are told after its lock is released.
    pub(super) fn act<T>(
        &self,
        operation: &'static str,
        act: impl FnOnce(&mut broker::Channel, &mut Wakes) -> Result<T>,
    ) -> Result<T> {
        self.shared.born.check(operation)?;
        let mut wakes = Wakes::default();
        let mut door = self.door.lock();
        let channel = door.as_mut().ok_or_else(|| channel_closed(operation))?;
        let result = act(channel, &mut wakes);
        drop(door);
        result
    }

    pub(super) fn shut(&self) {
        let mut wakes = Wakes::default();
        if let Some(mut channel) = self.door.lock().take() {
            channel.close(&mut wakes);
        }
        self.inbox.doorbell.ring();
    }

    /// Publishes and says whether a queue took it; once it is on the disk, if it is to be there.
    fn publish_now(&self, publish: Publish<'_>) -> Result<Publishing> {
        self.act("basic.publish", |channel, wakes| {
            let place = (publish.exchange, publish.routing_key);
            let routed = channel.publish(publish, wakes)?;
            if channel.is_transactional() {
                self.tx.lock().note(routed);
                return Ok(Publishing::Done(Outcome { confirmed: false, routed: true }));
            }
            let refused = channel.take_refused(wakes) > 0;
            channel.take_returned();
            if refused {
                return Err(nacked(place.0, place.1));
            }
            let outcome = Outcome { confirmed: true, routed };
            Ok(match stored(channel) {
                None => Publishing::Done(outcome),
                Some(stored) => Publishing::Pending(Box::pin(async move { stored.await.map(|()| outcome) })),
            })
        })
    }

    /// True when publishers are to wait; looks at the memory in use only now and then.
    fn over_limit(&self, bytes: usize) -> bool {
        if self.unlooked.fetch_add(bytes + 64, Relaxed) + bytes + 64 < LOOK_EVERY {
            return false;
        }
        let over = self.shared.broker.blocked().is_some();
        if !over {
            self.unlooked.store(0, Relaxed);
        }
        over
    }

    /// Lets a publish wait until there is memory again, with as many others as were allowed.
    fn wait_for_memory<T: Send + 'static>(
        &self,
        go_on: impl FnOnce(&EmbeddedChannel) -> Answer<T> + Send + 'static,
    ) -> Result<Answer<T>> {
        let shared = self.shared.clone();
        let me = self.me.upgrade().ok_or_else(|| channel_closed("basic.publish"))?;
        let others = shared.waiting.fetch_add(1, Relaxed);
        if others >= shared.max_waiting {
            shared.waiting.fetch_sub(1, Relaxed);
            let reason =
                format!("{} publishes wait already, the broker is short of memory", shared.max_waiting);
            return Err(Error::new(Kind::Backpressure, "basic.publish", reason)
                .advise("await publishes before making more, and consume what is queued"));
        }
        if others == 0 {
            let reason = shared.broker.blocked().unwrap_or_default();
            shared.tell(&ConnectionEvent::Blocked(reason.into()));
        }
        let waiting = Waiting(shared);
        let runtime = process::runtime()?;
        Ok(Box::pin(async move {
            let poll = runtime.spawn(async move {
                let waiting = waiting;
                while waiting.0.broker.blocked().is_some() && me.is_open() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                go_on(&me).await
            });
            poll.await.unwrap_or_else(|_| Err(channel_closed("basic.publish")))
        }))
    }
}

/// When what was published is on the disk; none where it need not be.
fn stored(channel: &mut broker::Channel) -> Option<Answer<()>> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let waits = channel.when_stored(move |result| drop(tell.send(result)));
    waits.then(|| -> Answer<()> {
        Box::pin(async { told.await.unwrap_or_else(|_| Err(channel_closed("basic.publish"))) })
    })
}

/// A full queue refused the message.
fn nacked(exchange: &str, routing_key: &str) -> Error {
    let place = match exchange {
        "" => format!("queue '{routing_key}'"),
        exchange => format!("exchange '{exchange}' with routing key '{routing_key}'"),
    };
    Error::new(Kind::Nacked, "basic.publish", "the broker refused the message")
        .on(place)
        .advise("a full queue with x-overflow=reject-publish does so; try again later")
}

fn nacked_of_batch(refused: usize, all: usize) -> Error {
    let reason = format!("the broker refused {refused} of {all} messages");
    Error::new(Kind::Nacked, "basic.publish", reason)
        .advise("a full queue with x-overflow=reject-publish does so; try again later")
}

/// What a transaction has published: how many messages, and which of them no queue takes.
#[derive(Default)]
struct Uncommitted {
    count: usize,
    unrouted: Vec<usize>,
}

impl Uncommitted {
    fn note(&mut self, routed: bool) {
        if !routed {
            self.unrouted.push(self.count);
        }
        self.count += 1;
    }
}

/// One that waits for memory; counted until it is done or given up.
struct Waiting(Arc<Shared>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Relaxed) == 1 {
            self.0.tell(&ConnectionEvent::Unblocked);
        }
    }
}

pub(super) fn channel_closed(operation: &'static str) -> Error {
    Error::new(Kind::Closed, operation, "the channel is closed")
        .advise("open a new one on an open connection")
}

/// A message that outlives the call which published it.
struct Kept {
    exchange: String,
    routing_key: String,
    mandatory: bool,
    properties: Bytes,
    body: Bytes,
}

impl Kept {
    fn new(publish: Publish<'_>) -> Self {
        Kept {
            exchange: publish.exchange.into(),
            routing_key: publish.routing_key.into(),
            mandatory: publish.mandatory,
            properties: Bytes::copy_from_slice(publish.properties),
            body: match publish.body {
                Body::Slice(slice) => Bytes::copy_from_slice(slice),
                Body::Owned(bytes) => bytes,
            },
        }
    }

    fn publish(&self) -> Publish<'_> {
        Publish {
            exchange: &self.exchange,
            routing_key: &self.routing_key,
            mandatory: self.mandatory,
            properties: &self.properties,
            body: Body::Owned(self.body.clone()),
        }
    }
}

impl ChannelDriver for EmbeddedChannel {
    fn is_open(&self) -> bool {
        self.door.lock().is_some()
    }

    fn declare_queue(&self, name: &str, passive: bool, options: QueueOptions) -> Answer<QueueInfo> {
        now(self.act("queue.declare", |channel, _| match passive {
            true => channel.check_queue(name),
            false => channel.declare_queue(name, options),
        }))
    }

    fn delete_queue(&self, name: &str, if_unused: bool, if_empty: bool) -> Answer<u64> {
        now(self.act("queue.delete", |channel, wakes| channel.delete_queue(name, if_unused, if_empty, wakes)))
    }

    fn purge_queue(&self, name: &str) -> Answer<u64> {
        now(self.act("queue.purge", |channel, _| channel.purge_queue(name)))
    }

    fn declare_exchange(
        &self,
        name: &str,
        kind: &str,
        passive: bool,
        options: ExchangeOptions,
    ) -> Answer<()> {
        now(self.act("exchange.declare", |channel, _| match passive {
            true => channel.check_exchange(name),
            false => channel.declare_exchange(name, kind, options),
        }))
    }

    fn delete_exchange(&self, name: &str, if_unused: bool) -> Answer<()> {
        now(self.act("exchange.delete", |channel, _| channel.delete_exchange(name, if_unused)))
    }

    fn bind_queue(&self, binding: Binding<'_>) -> Answer<()> {
        now(self.act("queue.bind", |channel, wakes| channel.bind_queue(binding, wakes)))
    }

    fn unbind_queue(&self, binding: Binding<'_>) -> Answer<()> {
        now(self.act("queue.unbind", |channel, _| channel.unbind_queue(binding)))
    }

    fn bind_exchange(&self, binding: Binding<'_>) -> Answer<()> {
        now(self.act("exchange.bind", |channel, wakes| channel.bind_exchange(binding, wakes)))
    }

    fn unbind_exchange(&self, binding: Binding<'_>) -> Answer<()> {
        now(self.act("exchange.unbind", |channel, _| channel.unbind_exchange(binding)))
    }

    fn qos(&self, count: u16, global: bool) -> Answer<()> {
        now(self.act("basic.qos", |channel, wakes| channel.qos(0, count, global, wakes)))
    }

    fn publish(&self, publish: Publish<'_>) -> Result<Publishing> {
        if !self.over_limit(publish.body.len()) {
            return self.publish_now(publish);
        }
        let kept = Kept::new(publish);
        self.wait_for_memory(move |channel| match channel.publish_now(kept.publish()) {
            Ok(Publishing::Done(outcome)) => now(Ok(outcome)),
            Ok(Publishing::Pending(answer)) => answer,
            Err(error) => now(Err(error)),
        })
        .map(Publishing::Pending)
    }

    fn publish_all(&self, batch: &mut dyn Iterator<Item = Publish<'_>>) -> Result<BatchPublishing> {
        if self.over_limit(LOOK_EVERY) {
            let kept: Vec<Kept> = batch.map(Kept::new).collect();
            let publish = move |channel: &EmbeddedChannel| match channel
                .publish_batch(&mut kept.iter().map(Kept::publish))
            {
                Ok(BatchPublishing::Done(outcome)) => now(Ok(outcome)),
                Ok(BatchPublishing::Pending(answer)) => answer,
                Err(error) => now(Err(error)),
            };
            return self.wait_for_memory(publish).map(BatchPublishing::Pending);
        }
        self.publish_batch(batch)
    }

    fn consume(&self, options: &ConsumeOptions<'_>) -> Answer<Arc<dyn ConsumerDriver>> {
        now(self.add_consumer(options))
    }

    fn get(&self, queue: &str, no_ack: bool) -> Answer<Option<Get>> {
        now(self.act("basic.get", |channel, wakes| channel.get(queue, no_ack, wakes)))
    }

    fn settle(&self, tags: &[(u64, bool)], how: Settle) -> Result<()> {
        self.act("basic.ack", |channel, wakes| channel.settle(tags, how, wakes))
    }

    fn recover(&self) -> Answer<()> {
        now(self.act("basic.recover", |channel, wakes| channel.recover(true, wakes)))
    }

    fn tx_select(&self) -> Answer<()> {
        now(self.act("tx.select", |channel, _| channel.tx_select()))
    }

    fn tx_commit(&self) -> Answer<Vec<usize>> {
        let committed = self.act("tx.commit", |channel, wakes| {
            channel.tx_commit(wakes)?;
            channel.take_returned();
            Ok((std::mem::take(&mut *self.tx.lock()).unrouted, stored(channel)))
        });
        match committed {
            Ok((unrouted, Some(stored))) => Box::pin(async move { stored.await.map(|()| unrouted) }),
            Ok((unrouted, None)) => now(Ok(unrouted)),
            Err(error) => now(Err(error)),
        }
    }

    fn tx_rollback(&self) -> Answer<()> {
        now(self.act("tx.rollback", |channel, _| {
            channel.tx_rollback()?;
            *self.tx.lock() = Uncommitted::default();
            Ok(())
        }))
    }

    fn close(&self) -> Answer<()> {
        if self.shared.born.check("channel.close").is_ok() {
            self.shut();
        }
        now(Ok(()))
    }
}
impl EmbeddedChannel {
    fn publish_batch(&self, batch: &mut dyn Iterator<Item = Publish<'_>>) -> Result<BatchPublishing> {
        self.act("basic.publish", |channel, wakes| {
            let mut outcome = BatchOutcome::default();
            for publish in batch {
                let routed = channel.publish(publish, wakes)?;
                if channel.is_transactional() {
                    self.tx.lock().note(routed);
                } else if !routed {
                    outcome.unrouted.push(outcome.confirmed);
                }
                outcome.confirmed += 1;
            }
            let refused = channel.take_refused(wakes);
            channel.take_returned();
            if refused > 0 {
                return Err(nacked_of_batch(refused, outcome.confirmed));
            }
            if channel.is_transactional() {
                return Ok(BatchPublishing::Done(BatchOutcome::default()));
            }
            Ok(match stored(channel) {
                None => BatchPublishing::Done(outcome),
                Some(stored) => {
                    BatchPublishing::Pending(Box::pin(async move { stored.await.map(|()| outcome) }))
                }
            })
        })
    }
}

impl fmt::Debug for EmbeddedChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("transport", &"inproc").field("open", &self.is_open()).finish()
    }
}
