//! A channel: the only door to the broker.
//!
//! The AMQP server, the client in this process and whatever else acts on queues does so through a
//! [`Channel`], so that rules, limits and confirms exist once. Publishing is in [`publisher`], what
//! declares and binds in `declare`, transactions in `tx`, going on
//! after another broker in [`resume`], what consumes here.

mod access;
mod declare;
mod publisher;
mod resume;
mod tx;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

pub use declare::Binding;
pub use publisher::{Confirmed, Publish, Returned};
pub use resume::Resume;

use super::arguments::check_consumer;
use super::consumer::{Consumer, Terms, Turn};
use super::names;
use super::outbox::{Batch, Outbox, Outlet, Settle, Wakes, resume};
use super::queue::{Offset, Queue};
use super::replies::{self, PSEUDO_QUEUE};
use super::session::Shared;
use crate::auth::{Right, Seat};
use crate::error::{Error, Kind, Result};
use crate::message::Message;
use crate::wire::table::{Table, Value};
use access::{Remembered, Resource};
use publisher::Publisher;
use tx::Tx;

/// A channel of a session. Closing or dropping it puts back what it had not acknowledged.
pub struct Channel {
    session: Arc<Shared>,
    remembered: Remembered,
    /// Its places among the channels that limits allow.
    _seats: Vec<Seat>,
    outbox: Arc<Outbox>,
    publisher: Publisher,
    /// Set on a transactional channel.
    tx: Option<Box<Tx>>,
    consumers: Vec<Arc<Consumer>>,
    /// For consumers to come (`basic.qos` without global).
    prefetch: u32,
    /// What an empty queue name stands for (AMQP 0-9-1 reference, `queue.bind`).
    last_queue: Option<Arc<str>>,
    closed: bool,
}

/// How a consumer is registered.
#[derive(Clone, Debug, Default)]
pub struct ConsumeOptions<'a> {
    /// The queue; empty for the one that this channel declared last.
    pub queue: &'a str,
    /// The consumer's tag; empty for one that the broker makes up.
    pub tag: &'a str,
    /// Deliveries need no acknowledgement.
    pub no_ack: bool,
    /// Nobody else may consume from the queue.
    pub exclusive: bool,
    /// `x-priority` (<https://www.rabbitmq.com/docs/consumer-priority>) and what else consumers of the queue's type have.
    pub arguments: Table,
}

/// A consumer that was registered.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Its place on the channel, which its deliveries carry.
    pub consumer: u32,
    /// Its tag.
    pub tag: Arc<str>,
}

/// What `basic.get` found.
#[derive(Debug)]
pub struct Got {
    /// The delivery tag.
    pub tag: u64,
    /// The message.
    pub message: Message,
    /// It was delivered before.
    pub redelivered: bool,
    /// How many messages are left in the queue.
    pub remaining: u64,
}

impl Channel {
    pub(super) fn new(session: Arc<Shared>, outlet: Box<dyn Outlet>, seats: Vec<Seat>) -> Self {
        session.channels.fetch_add(1, Relaxed);
        Channel {
            session,
            remembered: Remembered::default(),
            _seats: seats,
            outbox: Outbox::new(outlet),
            publisher: Publisher::default(),
            tx: None,
            consumers: Vec::new(),
            prefetch: 0,
            last_queue: None,
            closed: false,
        }
    }

    /// Where its deliveries come out.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Deliveries that wait for their acknowledgement.
    pub fn unacked(&self) -> usize {
        self.outbox.lock().unacked()
    }

    /// Limits what is unacked: of each consumer to come, or with `global` of the channel as a whole
    /// (<https://www.rabbitmq.com/docs/consumer-prefetch>). 0 is no limit.
    pub fn qos(&mut self, size: u32, count: u16, global: bool, wakes: &mut Wakes) -> Result<()> {
        if size != 0 {
            let reason = format!("prefetch_size!=0 ({size})");
            return Err(Error::new(Kind::NotImplemented, "basic.qos", reason));
        }
        if global && count != 0 {
            self.session.broker.options().profile.permit_global_prefetch()?;
        }
        if !global {
            self.prefetch = count.into();
        }
        let resumed = {
            let mut outbox = self.outbox.lock();
            // The channel's limit goes when one per consumer is set (rabbit_channel, `basic.qos`).
            outbox.set_prefetch(if global { count.into() } else { 0 });
            outbox.resume()
        };
        resume(resumed, wakes);
        Ok(())
    }

    /// Registers a consumer. Its first deliveries may be in the outbox when this returns.
    pub fn consume(&mut self, options: &ConsumeOptions<'_>, wakes: &mut Wakes) -> Result<Registered> {
        // Those whose queues were deleted.
        self.consumers.retain(|consumer| consumer.turn() != Turn::Gone);
        if self.consumers.iter().any(|consumer| &*consumer.tag == options.tag) {
            let reason = format!("attempt to reuse consumer tag '{}'", options.tag);
            return Err(Error::new(Kind::NotAllowed, "basic.consume", reason));
        }
        let tag: Arc<str> = match options.tag {
            "" => names::generate("amq.ctag-").into(),
            tag => tag.into(),
        };
        let queue = match options.queue {
            PSEUDO_QUEUE => self.reply_queue(options)?,
            name => {
                let name = self.queue_name("basic.consume", name)?;
                self.permit("basic.consume", Right::Read, Resource::Queue(&name))?;
                self.session.vhost.queue(&name, self.session.key, "basic.consume")?
            }
        };
        check_consumer(&queue.label(), queue.kind, &options.arguments)?;
        let priority = options.arguments.get("x-priority").and_then(Value::as_integer).unwrap_or(0);
        let terms = Terms {
            session: self.session.id,
            no_ack: options.no_ack,
            prefetch: self.prefetch,
            priority,
            timeout: timeout(&options.arguments),
            offset: Offset::parse(&options.arguments, self.session.vhost.timers.now())?,
        };
        let global = self.outbox.lock().prefetch() > 0;
        queue.check_consumer(options.no_ack, self.prefetch, global)?;
        let consumer = self.outbox.lock().slots.add(&queue, &self.outbox, &tag, terms);
        if let Err(error) = queue.add_consumer(&consumer, options.exclusive, wakes) {
            self.outbox.lock().slots.remove(consumer.slot);
            return Err(error);
        }
        if queue.is_first_consumed() {
            let vhost = &self.session.vhost;
            vhost.remember(|| vhost.consumption_trace(&queue));
        }
        let registered = Registered { consumer: consumer.slot, tag };
        self.consumers.push(consumer);
        Ok(registered)
    }

    /// The hidden queue behind direct reply-to. One consumer per channel may ask for it (RabbitMQ's
    /// `rabbit_channel`, "reply consumer already set").
    fn reply_queue(&mut self, options: &ConsumeOptions<'_>) -> Result<Arc<Queue>> {
        let refuse =
            |reason| Err(Error::new(Kind::PreconditionFailed, "basic.consume", reason).on(PSEUDO_QUEUE));
        if !options.no_ack {
            return refuse("reply consumer cannot acknowledge");
        }
        if self.publisher.reply_queue.is_some() {
            return refuse("reply consumer already set");
        }
        let name = replies::name(self.publisher.origin.map(|origin| origin.publisher));
        let (vhost, session) = (&self.session.vhost, self.session.id);
        let queue = vhost.replies.add(&name, || vhost.hidden_queue(&name, Some(session)))?;
        self.publisher.reply_queue = Some(queue.name.clone());
        Ok(queue)
    }

    /// Whether what is declared, bound and deleted may have to wait for the disk.
    pub(crate) fn is_recorded(&self) -> bool {
        self.session.vhost.recorder.get().is_some()
    }

    /// Ends a consumer; what it has not acknowledged stays with the channel. That there is no such
    /// consumer is no error. Its place on the channel, if there was one.
    pub fn cancel(&mut self, tag: &str, wakes: &mut Wakes) -> Option<u32> {
        let index = self.consumers.iter().position(|consumer| &*consumer.tag == tag)?;
        let consumer = self.consumers.swap_remove(index);
        self.withdraw(&consumer, wakes);
        Some(consumer.slot)
    }

    fn withdraw(&mut self, consumer: &Arc<Consumer>, wakes: &mut Wakes) {
        let queue = &consumer.queue;
        let last = queue.remove_consumer(consumer);
        self.outbox.lock().slots.remove(consumer.slot);
        if self.publisher.reply_queue.as_ref() == Some(&queue.name) {
            self.session.vhost.replies.remove(&queue.name);
            self.publisher.reply_queue = None;
        } else if last && queue.goes_unused() {
            self.session.vhost.drop_queue(queue, wakes);
            self.session.disown(queue);
        } else {
            queue.go_on(wakes);
        }
    }

    /// Fetches one message (`basic.get`).
    pub fn get(&mut self, queue: &str, no_ack: bool, wakes: &mut Wakes) -> Result<Option<Got>> {
        let name = self.queue_name("basic.get", queue)?;
        self.permit("basic.get", Right::Read, Resource::Queue(&name))?;
        let queue = self.session.vhost.queue(&name, self.session.key, "basic.get")?;
        queue.check_destructive("basic.get", "basic.get")?;
        let got = queue.get(&self.outbox, no_ack, wakes);
        Ok(got.map(|(tag, message, redelivered, remaining)| Got { tag, message, redelivered, remaining }))
    }

    /// Settles deliveries: each tag alone, or with true all up to it (tag 0: all there are). Those before
    /// an unknown tag are settled even so. On a transactional channel this takes effect at the commit.
    pub fn settle(&mut self, tags: &[(u64, bool)], how: Settle, wakes: &mut Wakes) -> Result<()> {
        match self.tx {
            None => self.settle_now(tags, how, wakes),
            Some(_) => self.hold(tags, how),
        }
    }

    fn settle_now(&mut self, tags: &[(u64, bool)], how: Settle, wakes: &mut Wakes) -> Result<()> {
        let mut batch = Batch::new();
        let (result, resumed) = {
            let mut outbox = self.outbox.lock();
            let result =
                tags.iter().try_for_each(|&(tag, multiple)| outbox.settle(tag, multiple, how, &mut batch));
            (result, outbox.resume())
        };
        let refused = batch.iter().filter(|_| how != Settle::Ack).try_for_each(|settled| {
            settled.queue.check_destructive("basic.nack", "basic.nack and basic.reject")
        });
        give_back(batch, wakes);
        resume(resumed, wakes);
        result.and(refused)
    }

    /// Puts off when a delivery must be acknowledged (`x-consumer-timeout`): `after` milliseconds from now. Says
    /// whether it still waits.
    pub fn extend(&mut self, tag: u64, after: u64) -> bool {
        let queue = self.outbox.lock().queue_of(tag);
        if let Some(queue) = &queue {
            queue.extend(&self.outbox, tag, after);
        }
        queue.is_some()
    }

    /// Puts everything unacknowledged back (`basic.recover` with requeue; without it, RabbitMQ has none).
    pub fn recover(&mut self, requeue: bool, wakes: &mut Wakes) -> Result<()> {
        match requeue {
            true => self.settle_now(&[(0, true)], Settle::Requeue, wakes),
            false => Err(Error::new(Kind::NotImplemented, "basic.recover", "requeue=false")),
        }
    }

    /// Ends the channel: its consumers go, what was not acknowledged goes back to its queues, what was not
    /// committed is rolled back.
    pub fn close(&mut self, wakes: &mut Wakes) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.session.channels.fetch_sub(1, Relaxed);
        if self.tx.is_some() {
            let _ = self.tx_rollback();
        }
        self.flush(wakes);
        let consumers = std::mem::take(&mut self.consumers);
        for consumer in &consumers {
            // Its ring first: what is put back below must not come to this channel again.
            consumer.queue.remove_consumer(consumer);
        }
        let mut batch = Batch::new();
        self.outbox.lock().close(&mut batch);
        give_back(batch, wakes);
        for consumer in &consumers {
            self.outbox.lock().slots.remove(consumer.slot);
            let queue = &consumer.queue;
            if queue.goes_unused() {
                self.session.vhost.drop_queue(queue, wakes);
                self.session.disown(queue);
            } else {
                queue.go_on(wakes);
            }
        }
        if let Some(queue) = self.publisher.reply_queue.take() {
            self.session.vhost.replies.remove(&queue);
        }
    }
}

/// `x-consumer-timeout`, in milliseconds. 0 is none: a delivery that lapses at once would come again for ever.
fn timeout(arguments: &Table) -> Option<u64> {
    arguments
        .get("x-consumer-timeout")
        .and_then(Value::as_integer)
        .and_then(|after| u64::try_from(after).ok())
        .filter(|after| *after > 0)
}

fn give_back(batch: Batch, wakes: &mut Wakes) {
    for settled in batch {
        settled.queue.clone().settled(settled, wakes);
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.close(&mut Wakes::default());
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("consumers", &self.consumers.len()).finish_non_exhaustive()
    }
}
