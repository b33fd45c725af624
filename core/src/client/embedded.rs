//! `inproc:` — the broker in this process. Every call acts on it at once, on the caller's thread.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::driver::{
    Answer, BatchOutcome, BatchPublishing, Bell, ChannelDriver, ConnectionDriver, ConnectionEvent,
    ConsumerDriver, Listener, Outcome, Publishing, now,
};
use super::inbox::Doorbell;
use super::process::{self, Birthplace};
use super::{
    ConnectOptions, ConsumeOptions, Delivery, ExchangeOptions, Get, Publish, QueueInfo, QueueOptions, Settle,
};
use crate::broker::{self, Binding, Broker, Event, Outlet, Session, Wakes};
use crate::error::{Error, Kind, Result};
use crate::message::Body;
use crate::server::{Limits, Server};

/// Bytes that a channel publishes between two looks at the memory that is in use: to look costs as much
/// as to publish.
const LOOK_EVERY: usize = 64 << 10;

/// A connection to a broker in this process.
pub(super) struct Embedded {
    shared: Arc<Shared>,
}

struct Shared {
    broker: Arc<Broker>,
    /// None once closed. Channels take it only to open and to close.
    session: Mutex<Option<Session>>,
    channels: Mutex<Vec<Weak<EmbeddedChannel>>>,
    listeners: Mutex<Vec<Listener>>,
    /// They stop when they are dropped.
    servers: Mutex<Vec<Server>>,
    born: Birthplace,
    /// Publishes that wait for memory.
    waiting: AtomicUsize,
    max_waiting: usize,
}

fn closed(operation: &'static str) -> Error {
    Error::new(Kind::Closed, operation, "the connection is closed").advise("open a new one with connect()")
}

impl Embedded {
    pub(super) fn open(name: &str, options: &ConnectOptions) -> Result<Self> {
        let broker = process::broker(name);
        let session = broker.open("/", "guest")?;
        let shared = Shared {
            broker,
            session: Mutex::new(Some(session)),
            channels: Mutex::default(),
            listeners: Mutex::default(),
            servers: Mutex::default(),
            born: Birthplace::here(),
            waiting: AtomicUsize::new(0),
            max_waiting: options.max_in_flight,
        };
        Ok(Embedded { shared: Arc::new(shared) })
    }

    fn open_channel(&self) -> Result<Arc<dyn ChannelDriver>> {
        let shared = &self.shared;
        shared.born.check("channel.open")?;
        let inbox = Arc::new(Inbox::default());
        let session = shared.session.lock();
        let session = session.as_ref().ok_or_else(|| closed("channel.open"))?;
        let channel = session.channel(Box::new(Ready(inbox.clone())));
        let channel = Arc::new_cyclic(|me| EmbeddedChannel {
            outbox: channel.outbox().clone(),
            door: Mutex::new(Door { channel: Some(channel), unlooked: 0 }),
            inbox,
            me: me.clone(),
            shared: shared.clone(),
        });
        let mut channels = shared.channels.lock();
        channels.retain(|channel| channel.strong_count() > 0);
        channels.push(Arc::downgrade(&channel));
        Ok(channel)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    fn close(&self) {
        if self.born.check("close").is_err() {
            return; // the parent's locks may be held for ever in this copy of its memory
        }
        let Some(session) = self.session.lock().take() else { return };
        for channel in std::mem::take(&mut *self.channels.lock()) {
            if let Some(channel) = channel.upgrade() {
                channel.shut();
            }
        }
        drop(session);
        self.servers.lock().clear();
        for listener in std::mem::take(&mut *self.listeners.lock()) {
            listener(ConnectionEvent::Closed(None));
        }
    }
}

impl ConnectionDriver for Embedded {
    fn transport(&self) -> &'static str {
        "inproc"
    }

    fn is_open(&self) -> bool {
        self.shared.session.lock().is_some()
    }

    fn channel(&self) -> Answer<Arc<dyn ChannelDriver>> {
        now(self.open_channel())
    }

    fn listen(&self, address: &str) -> Answer<SocketAddr> {
        let shared = self.shared.clone();
        let address = address.to_owned();
        Box::pin(async move {
            shared.born.check("listen")?;
            if shared.session.lock().is_none() {
                return Err(closed("listen"));
            }
            let runtime = process::runtime()?;
            let broker = shared.broker.clone();
            let listening = runtime
                .spawn(async move { Server::listen(broker, &address, Limits::default()).await })
                .await
                .unwrap_or_else(|_| Err(closed("listen")))?;
            let address = listening.address();
            shared.servers.lock().push(listening);
            Ok(address)
        })
    }

    fn on_event(&self, listener: Listener) {
        self.shared.listeners.lock().push(listener);
    }

    fn close(&self) -> Answer<()> {
        self.shared.close();
        now(Ok(()))
    }
}

/// Tells a channel's reader.
struct Ready(Arc<Inbox>);

impl Outlet for Ready {
    fn ready(&self) {
        self.0.doorbell.ring();
    }
}

/// Deliveries of a channel on their way from its outbox to its consumers.
#[derive(Debug, Default)]
struct Inbox {
    doorbell: Doorbell,
    /// By the consumers' places on the channel. Taken before the channel's door, never after.
    mailboxes: Mutex<HashMap<u32, Arc<Mutex<Mailbox>>>>,
}

/// What was taken out of the outbox when another consumer of the channel asked.
#[derive(Debug, Default)]
struct Mailbox {
    deliveries: VecDeque<Delivery>,
    ended: Option<Error>,
}

struct EmbeddedChannel {
    outbox: Arc<broker::Outbox>,
    door: Mutex<Door>,
    inbox: Arc<Inbox>,
    me: Weak<EmbeddedChannel>,
    shared: Arc<Shared>,
}

struct Door {
    /// None once closed.
    channel: Option<broker::Channel>,
    /// Bytes published since memory was last looked at.
    unlooked: usize,
}

impl EmbeddedChannel {
    /// Does something on the broker's channel; outlets are told after its lock is released.
    fn act<T>(
        &self,
        operation: &'static str,
        act: impl FnOnce(&mut broker::Channel, &mut Wakes) -> Result<T>,
    ) -> Result<T> {
        self.shared.born.check(operation)?;
        let mut wakes = Wakes::default();
        let mut door = self.door.lock();
        let channel = door.channel.as_mut().ok_or_else(|| channel_closed(operation))?;
        let result = act(channel, &mut wakes);
        drop(door);
        result
    }

    fn shut(&self) {
        let mut wakes = Wakes::default();
        if let Some(mut channel) = self.door.lock().channel.take() {
            channel.close(&mut wakes);
        }
        self.inbox.doorbell.ring();
    }

    /// Publishes and says whether a queue took it; `NoRoute` when it is mandatory and none did.
    fn publish_now(&self, publish: Publish<'_>) -> Result<Outcome> {
        self.act("basic.publish", |channel, wakes| {
            let routed = channel.publish(publish, wakes)?;
            channel.flush(wakes);
            channel.take_returned();
            Ok(Outcome { confirmed: true, routed })
        })
    }

    /// True when publishers are to wait; looks at the memory in use only now and then.
    fn over_limit(&self, bytes: usize) -> bool {
        let mut door = self.door.lock();
        door.unlooked += bytes + 64;
        if door.unlooked < LOOK_EVERY {
            return false;
        }
        let over = self.shared.broker.over_memory_limit();
        if !over {
            door.unlooked = 0;
        }
        over
    }

    /// Lets a publish wait until there is memory again, with as many others as were allowed.
    fn wait_for_memory<T: Send + 'static>(
        &self,
        go_on: impl FnOnce(&EmbeddedChannel) -> Result<T> + Send + 'static,
    ) -> Result<Answer<T>> {
        let shared = self.shared.clone();
        let me = self.me.upgrade().ok_or_else(|| channel_closed("basic.publish"))?;
        if shared.waiting.fetch_add(1, Relaxed) >= shared.max_waiting {
            shared.waiting.fetch_sub(1, Relaxed);
            let reason =
                format!("{} publishes wait already, the broker is short of memory", shared.max_waiting);
            return Err(Error::new(Kind::Backpressure, "basic.publish", reason)
                .advise("await publishes before making more, and consume what is queued"));
        }
        let waiting = Waiting(shared);
        let runtime = process::runtime()?;
        Ok(Box::pin(async move {
            let poll = runtime.spawn(async move {
                let waiting = waiting;
                while waiting.0.broker.over_memory_limit() && me.is_open() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                go_on(&me)
            });
            poll.await.unwrap_or_else(|_| Err(channel_closed("basic.publish")))
        }))
    }
}

/// One that waits for memory; counted until it is done or given up.
struct Waiting(Arc<Shared>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

fn channel_closed(operation: &'static str) -> Error {
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
        self.door.lock().channel.is_some()
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
        now(self.act("queue.bind", |channel, _| channel.bind_queue(binding)))
    }

    fn unbind_queue(&self, binding: Binding<'_>) -> Answer<()> {
        now(self.act("queue.unbind", |channel, _| channel.unbind_queue(binding)))
    }

    fn bind_exchange(&self, binding: Binding<'_>) -> Answer<()> {
        now(self.act("exchange.bind", |channel, _| channel.bind_exchange(binding)))
    }

    fn unbind_exchange(&self, binding: Binding<'_>) -> Answer<()> {
        now(self.act("exchange.unbind", |channel, _| channel.unbind_exchange(binding)))
    }

    fn qos(&self, count: u16, global: bool) -> Answer<()> {
        now(self.act("basic.qos", |channel, wakes| channel.qos(0, count, global, wakes)))
    }

    fn publish(&self, publish: Publish<'_>) -> Result<Publishing> {
        if !self.over_limit(publish.body.len()) {
            return self.publish_now(publish).map(Publishing::Done);
        }
        let kept = Kept::new(publish);
        self.wait_for_memory(move |channel| channel.publish_now(kept.publish())).map(Publishing::Pending)
    }

    fn publish_all(&self, batch: &mut dyn Iterator<Item = Publish<'_>>) -> Result<BatchPublishing> {
        if self.over_limit(LOOK_EVERY) {
            let kept: Vec<Kept> = batch.map(Kept::new).collect();
            let publish =
                move |channel: &EmbeddedChannel| channel.publish_batch(&mut kept.iter().map(Kept::publish));
            return self.wait_for_memory(publish).map(BatchPublishing::Pending);
        }
        self.publish_batch(batch).map(BatchPublishing::Done)
    }

    fn consume(&self, options: &ConsumeOptions<'_>) -> Answer<Arc<dyn ConsumerDriver>> {
        now(self.add_consumer(options))
    }

    fn get(&self, queue: &str, no_ack: bool) -> Answer<Option<Get>> {
        now(self.act("basic.get", |channel, _| channel.get(queue, no_ack)))
    }

    fn settle(&self, tags: &[(u64, bool)], how: Settle) -> Result<()> {
        self.act("basic.ack", |channel, wakes| channel.settle(tags, how, wakes))
    }

    fn recover(&self) -> Answer<()> {
        now(self.act("basic.recover", |channel, wakes| channel.recover(true, wakes)))
    }

    fn close(&self) -> Answer<()> {
        if self.shared.born.check("channel.close").is_ok() {
            self.shut();
        }
        now(Ok(()))
    }
}

impl EmbeddedChannel {
    fn publish_batch(&self, batch: &mut dyn Iterator<Item = Publish<'_>>) -> Result<BatchOutcome> {
        self.act("basic.publish", |channel, wakes| {
            let mut outcome = BatchOutcome::default();
            for publish in batch {
                if !channel.publish(publish, wakes)? {
                    outcome.unrouted.push(outcome.confirmed);
                }
                outcome.confirmed += 1;
            }
            channel.flush(wakes);
            channel.take_returned();
            Ok(outcome)
        })
    }

    fn add_consumer(&self, options: &ConsumeOptions<'_>) -> Result<Arc<dyn ConsumerDriver>> {
        let channel = self.me.upgrade().ok_or_else(|| channel_closed("basic.consume"))?;
        // Held until the mailbox is there, so that nobody takes a delivery for which there is none.
        let mut mailboxes = self.inbox.mailboxes.lock();
        let registered = self.act("basic.consume", |channel, wakes| channel.consume(options, wakes))?;
        let mailbox = Arc::<Mutex<Mailbox>>::default();
        mailboxes.insert(registered.consumer, mailbox.clone());
        Ok(Arc::new(EmbeddedConsumer { channel, tag: registered.tag, mailbox }))
    }

    /// Moves up to `max` deliveries into `into`: those in the mailbox `mine`, then those in the outbox. What
    /// stands in the outbox for others goes into their mailboxes.
    fn sort(&self, max: usize, mine: &Arc<Mutex<Mailbox>>, into: &mut Vec<Delivery>) {
        let mailboxes = self.inbox.mailboxes.lock();
        let max = {
            let mut mailbox = mine.lock();
            let count = max.min(mailbox.deliveries.len());
            into.extend(mailbox.deliveries.drain(..count));
            max - count
        };
        let mut events = Vec::with_capacity(max.min(1024));
        let mut wakes = Wakes::default();
        self.outbox.take_some(max, &mut events, &mut wakes);
        let mut others = false;
        for event in events {
            match event {
                Event::Deliver(delivery) => {
                    let broker::Delivery { tag, consumer, redelivered, message } = delivery;
                    let delivery = Delivery { tag, redelivered, message };
                    match mailboxes.get(&consumer) {
                        Some(mailbox) if Arc::ptr_eq(mailbox, mine) => into.push(delivery),
                        Some(mailbox) => {
                            mailbox.lock().deliveries.push_back(delivery);
                            others = true;
                        }
                        None => {}
                    }
                }
                Event::Cancelled { consumer, tag } => {
                    if let Some(mailbox) = mailboxes.get(&consumer) {
                        let reason = "the queue was deleted";
                        let error = Error::new(Kind::Closed, "basic.consume", reason);
                        mailbox.lock().ended = Some(error.on(format!("consumer '{tag}'")));
                        others |= !Arc::ptr_eq(mailbox, mine);
                    }
                }
            }
        }
        drop(mailboxes);
        if others {
            self.inbox.doorbell.ring();
        }
    }
}

/// A consumer; ends when it is dropped.
struct EmbeddedConsumer {
    channel: Arc<EmbeddedChannel>,
    tag: Arc<str>,
    mailbox: Arc<Mutex<Mailbox>>,
}

impl EmbeddedConsumer {
    fn end(&self) -> Result<()> {
        let channel = &self.channel;
        let cancelled = channel.act("basic.cancel", |channel, wakes| Ok(channel.cancel(&self.tag, wakes)))?;
        if cancelled.is_some() {
            // Its place may be given to another consumer now: nothing of this one may be left in the outbox.
            let mut rest = Vec::new();
            channel.sort(usize::MAX, &self.mailbox, &mut rest);
            let mut mailbox = self.mailbox.lock();
            mailbox.deliveries.extend(rest);
            let error = Error::new(Kind::Closed, "basic.consume", "the consumer was cancelled");
            mailbox.ended = Some(error.on(format!("consumer '{}'", self.tag)));
        }
        channel.inbox.doorbell.ring();
        Ok(())
    }

    /// Where the doorbell knows this consumer's bell by.
    fn id(&self) -> u64 {
        Arc::as_ptr(&self.mailbox).addr() as u64
    }

    fn something(&self) -> bool {
        let mailbox = self.mailbox.lock();
        let mine = !mailbox.deliveries.is_empty() || mailbox.ended.is_some();
        drop(mailbox);
        mine || !self.channel.outbox.is_empty() || !self.channel.is_open()
    }
}

impl ConsumerDriver for EmbeddedConsumer {
    fn tag(&self) -> &str {
        &self.tag
    }

    fn take(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        self.channel.shared.born.check("basic.consume")?;
        let before = into.len();
        self.channel.sort(max, &self.mailbox, into);
        if into.len() > before {
            return Ok(());
        }
        if let Some(error) = &self.mailbox.lock().ended {
            return Err(error.clone());
        }
        match self.channel.is_open() {
            true => Ok(()),
            false => Err(channel_closed("basic.consume")),
        }
    }

    fn wait(&self, timeout: Option<Duration>) -> bool {
        self.channel.inbox.doorbell.wait(timeout, || self.something())
    }

    fn on_ready(&self, bell: Bell) {
        self.channel.inbox.doorbell.set(self.id(), bell.clone());
        if self.something() {
            bell();
        }
    }

    fn cancel(&self) -> Answer<()> {
        now(self.end())
    }
}

impl Drop for EmbeddedConsumer {
    fn drop(&mut self) {
        if self.channel.shared.born.check("basic.cancel").is_ok() {
            let _ = self.end(); // fails only when the channel is closed, and the consumer with it
            self.channel.inbox.doorbell.remove(self.id());
            self.channel.inbox.mailboxes.lock().retain(|_, mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
        }
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("transport", &"inproc").field("open", &self.is_open()).finish()
    }
}

impl fmt::Debug for EmbeddedChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("transport", &"inproc").field("open", &self.is_open()).finish()
    }
}

impl fmt::Debug for EmbeddedConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("tag", &self.tag).finish_non_exhaustive()
    }
}
