//! Deliveries of an embedded broker: out of a channel's outbox, to the consumer that they are for.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::channel::{EmbeddedChannel, channel_closed};
use crate::broker::{self, Event, Outlet, Wakes};
use crate::client::driver::{Answer, Bell, ChannelDriver, ConsumerDriver, now};
use crate::client::inbox::Doorbell;
use crate::client::patience::Patience;
use crate::client::{ConsumeOptions, Delivery};
use crate::error::{Error, Kind, Result};
use crate::server::Sight;

/// Tells a channel's reader.
pub(super) struct Ready(pub(super) Arc<Inbox>);

impl Outlet for Ready {
    fn ready(&self) {
        self.0.doorbell.ring();
    }
}

/// Deliveries of a channel on their way from its outbox to its consumers.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) doorbell: Doorbell,
    /// By the consumers' places on the channel. Taken before the channel's door, never after.
    mailboxes: Mutex<HashMap<u32, Arc<Mutex<Mailbox>>>>,
}

/// What was taken out of the outbox when another consumer of the channel asked.
#[derive(Debug, Default)]
struct Mailbox {
    deliveries: VecDeque<Delivery>,
    ended: Option<Error>,
}
impl EmbeddedChannel {
    pub(super) fn add_consumer(&self, options: &ConsumeOptions<'_>) -> Result<Arc<dyn ConsumerDriver>> {
        let channel = self.me.upgrade().ok_or_else(|| channel_closed("basic.consume"))?;
        // Held until the mailbox is there, so that nobody takes a delivery for which there is none.
        let mut mailboxes = self.inbox.mailboxes.lock();
        let registered = self.act("basic.consume", |channel, wakes| channel.consume(options, wakes))?;
        let mailbox = Arc::<Mutex<Mailbox>>::default();
        mailboxes.insert(registered.consumer, mailbox.clone());
        let patience = Patience::default();
        Ok(Arc::new(EmbeddedConsumer { channel, tag: registered.tag, mailbox, patience }))
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
                Event::Confirmed(_) => {} // only for channels with confirms, which these are not
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
    patience: Patience,
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

    fn look(&self) -> bool {
        let shared = &self.channel.shared;
        let lookout = shared.lookout.as_ref().filter(|_| shared.born.check("look").is_ok());
        let begin = || lookout.map(|lookout| lookout.begin());
        self.patience.look(begin, |sight| {
            sight.iter().for_each(Sight::look);
            self.something()
        })
    }

    fn wait(&self, timeout: Option<Duration>) -> bool {
        let hurried = timeout.is_some_and(|timeout| timeout.is_zero());
        if !hurried && self.look() {
            return true;
        }
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
impl fmt::Debug for EmbeddedConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("tag", &self.tag).finish_non_exhaustive()
    }
}
