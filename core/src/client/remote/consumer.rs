//! Consumers: from the mailbox to who takes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::channel::{Channel, Held, Subscription};
use crate::client::driver::{Answer, Bell, ConsumerDriver, now};
use crate::client::mailbox::Mailbox;
use crate::client::patience::Patience;
use crate::client::{Delivery, Settle};
use crate::error::Result;
use crate::wire::{Method, ShortString, basic};

/// A consumer; ends when it is dropped.
pub(super) struct Consumer {
    channel: Arc<Held>,
    mailbox: Arc<Mailbox>,
    patience: Patience,
}

impl Channel {
    /// Puts back what nobody can take any more.
    pub(super) fn give_back(&self, mailbox: &Mailbox) {
        let tags: Vec<_> = mailbox.leftovers().iter().map(|delivery| (delivery.tag, false)).collect();
        if !tags.is_empty() {
            let _ = self.settle(&tags, Settle::Requeue); // fails when the channel is closed, and they are back already
        }
    }
}

impl Consumer {
    /// One that the broker has registered: `consume` has its tag.
    pub(super) fn new(channel: Arc<Held>, consume: basic::Consume, prefetch: Option<u16>) -> Self {
        let connection = &channel.0.connection;
        let mailbox = Mailbox::new(&consume.consumer_tag, consume.no_ack, &connection.load, connection.born);
        let subscription = Subscription { mailbox: mailbox.clone(), consume, prefetch };
        channel.0.consumers.lock().insert(mailbox.tag.clone(), subscription);
        Consumer { channel, mailbox, patience: Patience::default() }
    }

    fn end(&self) -> Answer<()> {
        if self.mailbox.has_ended() {
            return now(Ok(()));
        }
        let consumer_tag = ShortString::truncated(&self.mailbox.tag);
        let method = Method::BasicCancel(basic::Cancel { consumer_tag, nowait: false });
        let entity = format!("consumer '{}'", self.mailbox.tag);
        let (channel, mailbox) = (self.channel.clone(), self.mailbox.clone());
        self.channel.0.call("basic.cancel", entity, &method, move |_| {
            channel.0.consumers.lock().remove(&mailbox.tag);
            mailbox.end_because("the consumer was cancelled");
            channel.0.give_back(&mailbox);
            Some(())
        })
    }
}

impl ConsumerDriver for Consumer {
    fn tag(&self) -> &str {
        &self.mailbox.tag
    }

    fn take(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        self.mailbox.take(max, into)
    }

    fn look(&self) -> bool {
        let connection = &self.channel.0.connection;
        self.patience.look(
            || connection.begin_to_look(),
            |_| {
                connection.look();
                self.mailbox.has_something()
            },
        )
    }

    fn wait(&self, timeout: Option<Duration>) -> bool {
        let hurried = timeout.is_some_and(|timeout| timeout.is_zero());
        !hurried && self.look() || self.mailbox.wait(timeout)
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
        if self.channel.0.connection.born.check("basic.cancel").is_err() {
            // In the child of a fork the locks inside may be held for ever.
            std::mem::forget((self.channel.clone(), self.mailbox.clone()));
            return;
        }
        self.mailbox.abandon();
        self.channel.0.give_back(&self.mailbox);
        drop(self.end()); // sent all the same; refused only when the channel is closed
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("tag", &self.mailbox.tag).finish_non_exhaustive()
    }
}
