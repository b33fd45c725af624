//! The channel that something acts on: a fixed one, or one that is opened when it is first needed and again
//! after an error closed it (AMQP closes a channel on error).

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use pyo3::prelude::*;
use warrenmq::client::{self, Answer, BatchOutcome, BatchPublishing, Outcome, Publish, Publishing};
use warrenmq::message::Body;
use warrenmq::{Kind, Result};

use crate::acks::Acks;
use crate::link::Link;

/// Where the channel of the moment stands.
pub(crate) struct Slot {
    pub(crate) link: Arc<Link>,
    /// Guards the replacement; held while publishing, which does not wait.
    open: Mutex<Option<Open>>,
    pub(crate) renewing: bool,
    /// In process a channel outlives errors, so that nobody needs to look before each publish.
    may_close: bool,
    /// To be told of messages that came back.
    pub(crate) returns: Mutex<Option<Py<PyAny>>>,
}

/// A channel with what its deliveries are acknowledged through.
#[derive(Clone)]
pub(crate) struct Open {
    pub(crate) channel: client::Channel,
    pub(crate) acks: Arc<Acks>,
}

impl Open {
    fn new(link: &Arc<Link>, channel: client::Channel) -> Self {
        // Whoever acts on the channel itself expects acks to leave at once.
        let acks = Arc::new(Acks::new(link, channel.clone(), 1, false));
        Open { channel, acks }
    }
}

impl Slot {
    /// Of one channel.
    pub(crate) fn fixed(link: Arc<Link>, channel: client::Channel) -> Self {
        let open = Open::new(&link, channel);
        Self::new(link, Some(open))
    }

    /// Of a channel that is replaced when it has to be.
    pub(crate) fn renewing(link: Arc<Link>) -> Self {
        Self::new(link, None)
    }

    fn new(link: Arc<Link>, open: Option<Open>) -> Self {
        let renewing = open.is_none();
        let may_close = !matches!(link.connection.transport(), "inproc" | "local");
        Slot { link, open: Mutex::new(open), renewing, may_close, returns: Mutex::default() }
    }

    /// The channel of the moment, opened if need be.
    pub(crate) async fn open(&self) -> Result<Open> {
        let usable = self.open.lock().clone().filter(|open| !self.renewing || open.channel.is_open());
        if let Some(open) = usable {
            return Ok(open);
        }
        let fresh = Open::new(&self.link, self.link.connection.channel().await?);
        let mut open = self.open.lock();
        match &*open {
            // Another thread was quicker.
            Some(other) if other.channel.is_open() => Ok(other.clone()),
            _ => Ok(open.insert(fresh).clone()),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        match &*self.open.lock() {
            Some(open) if !self.renewing => open.channel.is_open(),
            _ => self.link.connection.is_open(),
        }
    }

    /// Closes the channel, if there is one.
    pub(crate) async fn close(&self) -> Result<()> {
        let open = self.open.lock().clone();
        match open {
            Some(open) => open.channel.close().await,
            None => Ok(()),
        }
    }

    /// Publishes on the channel of the moment; `None` if it has to be opened first.
    #[inline]
    fn now<T>(&self, publish: impl FnOnce(&client::Channel) -> Result<T>) -> Option<Result<T>> {
        let open = self.open.lock();
        let channel = &open.as_ref()?.channel;
        if self.may_close && self.renewing && !channel.is_open() {
            return None;
        }
        match publish(channel) {
            Err(error) if error.kind() == Kind::Closed && self.renewing && self.link.connection.is_open() => {
                None
            }
            result => Some(result),
        }
    }

    /// Publishes a message.
    #[inline]
    pub(crate) fn publish(self: &Arc<Self>, message: &Outgoing<'_>) -> Result<Publishing> {
        if let Some(result) = self.now(|channel| channel.publish(message.publish())) {
            return result;
        }
        let (slot, kept) = (self.clone(), Kept::new(message));
        match self.try_at_once(Box::pin(async move { slot.publish_later(&kept).await })) {
            Ok(done) => done.map(Publishing::Done),
            Err(answer) => Ok(Publishing::Pending(answer)),
        }
    }

    async fn publish_later(&self, kept: &Kept) -> Result<Outcome> {
        let open = self.open().await?;
        let publishing = open.channel.publish(kept.publish())?;
        match publishing {
            Publishing::Done(outcome) => Ok(outcome),
            Publishing::Pending(answer) => answer.await,
        }
    }

    /// Publishes messages in order.
    pub(crate) fn publish_all(self: &Arc<Self>, batch: &[Outgoing<'_>]) -> Result<BatchPublishing> {
        if let Some(result) =
            self.now(|channel| channel.publish_all(&mut batch.iter().map(Outgoing::publish)))
        {
            return result;
        }
        let (slot, kept) = (self.clone(), batch.iter().map(Kept::new).collect::<Vec<_>>());
        match self.try_at_once(Box::pin(async move { slot.publish_all_later(&kept).await })) {
            Ok(done) => done.map(BatchPublishing::Done),
            Err(answer) => Ok(BatchPublishing::Pending(answer)),
        }
    }

    /// In process a channel opens at once, so that the first publish needs no runtime either.
    fn try_at_once<T>(&self, mut answer: Answer<T>) -> std::result::Result<Result<T>, Answer<T>> {
        if self.may_close {
            return Err(answer);
        }
        match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Ok(done),
            Poll::Pending => Err(answer),
        }
    }

    async fn publish_all_later(&self, batch: &[Kept]) -> Result<BatchOutcome> {
        let open = self.open().await?;
        let publishing = open.channel.publish_all(&mut batch.iter().map(|kept| kept.publish()))?;
        match publishing {
            BatchPublishing::Done(outcome) => Ok(outcome),
            BatchPublishing::Pending(answer) => answer.await,
        }
    }
}

/// A message that is published with the GIL held, from where Python has it.
pub(crate) struct Outgoing<'a> {
    pub(crate) exchange: &'a str,
    pub(crate) routing_key: &'a str,
    pub(crate) mandatory: bool,
    pub(crate) properties: &'a [u8],
    pub(crate) body: Body<'a>,
}

impl<'a> Outgoing<'a> {
    #[inline]
    fn publish(&self) -> Publish<'_> {
        let &Outgoing { exchange, routing_key, mandatory, properties, ref body } = self;
        Publish { exchange, routing_key, mandatory, properties, body: body.again() }
    }
}

/// A message that outlives the call that publishes it.
struct Kept {
    exchange: String,
    routing_key: String,
    mandatory: bool,
    properties: Vec<u8>,
    body: Bytes,
}

impl Kept {
    fn new(message: &Outgoing<'_>) -> Self {
        Kept {
            exchange: message.exchange.into(),
            routing_key: message.routing_key.into(),
            mandatory: message.mandatory,
            properties: message.properties.into(),
            body: message.body.again().into_owned(),
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
