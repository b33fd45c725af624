//! Consumers: deliveries from lapin's stream to a mailbox.
//!
//! How much waits there is bounded by the prefetch. Without acknowledgements AMQP has no flow control
//! short of not reading the socket, on which confirms and heartbeats come too: then it is not bounded.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use lapin::message::Delivery as Incoming;
use lapin::options::BasicCancelOptions;

use super::channel::{Channel, Command};
use super::values;
use crate::client::driver::{Answer, Bell, ConsumerDriver, now};
use crate::client::mailbox::Mailbox;
use crate::client::{Delivery, Settle};
use crate::error::{Error, Kind, Result};
use crate::message::{Body, Message, route_key};

/// How many deliveries are moved at a time.
const BATCH: usize = 256;

/// A message as lapin gives it.
pub(super) fn message(incoming: Incoming) -> Message {
    let mut properties = Vec::with_capacity(64);
    values::encode(&incoming.properties, &mut properties);
    let route = route_key(incoming.exchange.as_str(), incoming.routing_key.as_str());
    Message::new(&route, &properties, Body::Owned(Bytes::from(incoming.data)))
}

/// A consumer; ends when it is dropped.
pub(super) struct Consumer {
    channel: Arc<Channel>,
    mailbox: Arc<Mailbox>,
}

/// Puts back what nobody can take any more.
fn give_back(mailbox: &Mailbox, channel: &Channel) {
    let mut ledger = channel.state.ledger.lock();
    let tags: Vec<_> = mailbox.leftovers().iter().map(|delivery| (delivery.tag, false)).collect();
    if !tags.is_empty() {
        // Fails when the channel is closed, and then they have gone back already.
        let _ = channel.send("basic.nack", Command::Settle(ledger.settle(&tags), Settle::Requeue));
    }
}

impl Consumer {
    /// Starts the task that fills the mailbox; to be called within the runtime.
    pub(super) fn start(channel: Arc<Channel>, stream: lapin::Consumer, no_ack: bool) -> Self {
        let born = channel.state.connection.born;
        let mailbox = Mailbox::new(stream.tag().as_str(), no_ack, &Arc::default(), born);
        channel.state.add_mailbox(&mailbox);
        tokio::spawn(fill(stream, channel.clone(), mailbox.clone()));
        Consumer { channel, mailbox }
    }

    fn end(&self) -> Answer<()> {
        if !self.mailbox.cancel() {
            return now(Ok(()));
        }
        let tag = self.mailbox.tag.clone();
        self.channel.call("basic.cancel", format!("consumer '{tag}'"), move |channel| async move {
            channel.basic_cancel((&*tag).into(), BasicCancelOptions::default()).await
        })
    }
}

/// Moves what comes, until nothing can come any more.
async fn fill(mut stream: lapin::Consumer, channel: Arc<Channel>, mailbox: Arc<Mailbox>) {
    let mut come = Vec::new();
    let ended = loop {
        let ended = poll_fn(|cx| drain(&mut stream, &mut come, cx)).await;
        mailbox.put(&channel.state.ledger, come.drain(..));
        if let Some(ended) = ended {
            break ended;
        }
    };
    match ended {
        Err(error) => {
            let error = channel.state.failed(&error, "basic.consume", "").await;
            let closed = channel.state.closed_error("basic.consume");
            mailbox.end(if error.kind() == Kind::Closed { error } else { closed });
        }
        Ok(()) => {
            let reason = match mailbox.is_cancelled() {
                _ if !channel.state.is_open() => None,
                true => Some("the consumer was cancelled"),
                false => Some("the queue was deleted"),
            };
            let cancelled = |reason| Error::new(Kind::Closed, "basic.consume", reason);
            mailbox.end(reason.map_or_else(|| channel.state.closed_error("basic.consume"), cancelled));
        }
    }
    give_back(&mailbox, &channel);
}

/// Takes what is there; ready with at least one delivery, or with how the stream ended.
fn drain(
    stream: &mut lapin::Consumer,
    come: &mut Vec<Delivery>,
    cx: &mut Context<'_>,
) -> Poll<Option<lapin::Result<()>>> {
    while come.len() < BATCH {
        match Pin::new(&mut *stream).poll_next(cx) {
            Poll::Ready(Some(Ok(incoming))) => {
                let (tag, redelivered) = (incoming.delivery_tag, incoming.redelivered);
                come.push(Delivery { tag, redelivered, message: message(incoming) });
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
            Poll::Ready(None) => return Poll::Ready(Some(Ok(()))),
            Poll::Pending if come.is_empty() => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(None)
}

impl ConsumerDriver for Consumer {
    fn tag(&self) -> &str {
        &self.mailbox.tag
    }

    fn take(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        self.mailbox.take(max, into)
    }

    fn wait(&self, timeout: Option<Duration>) -> bool {
        self.mailbox.wait(timeout)
    }

    fn on_ready(&self, bell: Bell) {
        self.mailbox.on_ready(bell);
    }

    fn cancel(&self) -> Answer<()> {
        self.end()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if self.channel.state.connection.born.check("basic.cancel").is_err() {
            // In the child of a fork the locks inside may be held for ever.
            std::mem::forget((self.channel.clone(), self.mailbox.clone()));
            return;
        }
        self.mailbox.abandon();
        give_back(&self.mailbox, &self.channel);
        drop(self.end()); // sent all the same; refused only when the channel is closed
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("tag", &self.mailbox.tag).finish_non_exhaustive()
    }
}
