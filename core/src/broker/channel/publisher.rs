//! Publishing: from exchange and routing key to the queues, in runs.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use super::Channel;
use super::access::Resource;
use super::resume::Again;
use crate::auth::Right;
use bytes::Bytes;

use crate::broker::arguments::check_expiration;
use crate::broker::carbon_copies::{CarbonCopies, without_bcc};
use crate::broker::delay::delay;
use crate::broker::history::History;
use crate::broker::names;
use crate::broker::outbox::Wakes;
use crate::broker::replies::PSEUDO_QUEUE;
use crate::broker::route::{Route, Routes};
use crate::broker::store::Origin;
use crate::broker::topology::Found;
use crate::error::{Error, Kind, Result};
use crate::message::{Body, Message, route_key, route_names};
use crate::routing::Envelope;
use crate::wire::properties::PropertiesView;

/// The route of `amq.warrenmq.extend` in the default exchange (see [`route_key`]).
const EXTEND: &[u8] = b"\x00\x13amq.warrenmq.extend";

/// A message to be published.
#[derive(Debug)]
pub struct Publish<'a> {
    /// The exchange; empty for the default one.
    pub exchange: &'a str,
    /// The routing key.
    pub routing_key: &'a str,
    /// Return it if no queue takes it.
    pub mandatory: bool,
    /// Encoded properties: flags and list.
    pub properties: &'a [u8],
    /// The body.
    pub body: Body<'a>,
}

/// A mandatory message that no queue took: reply code 312, `NO_ROUTE`.
#[derive(Debug)]
pub struct Returned {
    /// The message.
    pub message: Message,
    /// Its number among the channel's publishes: from 1 since `confirm.select`, or since the transaction began.
    pub number: u64,
}

/// Publishes whose fate is known.
#[derive(Debug)]
pub struct Confirmed {
    /// The number of the first; from 1 since `confirm.select`.
    pub first: u64,
    /// The number of the last.
    pub last: u64,
    /// The numbers of those among them that a full queue refused, in order: `basic.nack`.
    pub refused: Vec<u64>,
}

impl Confirmed {
    /// The same, all refused: what could not be stored.
    pub(in crate::broker) fn refuse_all(&mut self) {
        self.refused = (self.first..=self.last).collect();
    }
}

/// The store ended before it was known.
fn not_stored() -> Error {
    Error::new(Kind::ResourceError, "basic.publish", "the store was closed before all was on the disk")
}

/// Where a message goes.
struct Routed {
    route: Route,
    /// It is a direct reply.
    answers: bool,
    /// It has a header that receivers must not see.
    blind: bool,
    /// The exchanges that remember it.
    histories: Vec<Arc<History>>,
}

/// The publishing half of a channel.
#[derive(Default)]
pub(super) struct Publisher {
    routes: Routes,
    /// Messages for `route` that have not been handed to its queues: consecutive messages with one route
    /// take each queue's lock once.
    run: Vec<Message>,
    /// The number of the first of them.
    run_first: u64,
    route: Option<Route>,
    pub(super) returned: Vec<Returned>,
    /// The number of messages published since `confirm.select`, and of those confirmed.
    pub(super) confirms: Option<(u64, u64)>,
    /// That of the publish before those, where the publisher told it.
    pub(super) origin: Option<Origin>,
    /// Set while publishes are sent again.
    pub(super) again: Option<Box<Again>>,
    /// Numbers of those that a full queue refused.
    refused: Vec<u64>,
    /// Something that is to survive the broker was handed over, and nobody has waited for it yet.
    pub(super) unstored: bool,
    /// The hidden queue that this channel is answered by.
    pub(super) reply_queue: Option<Arc<str>>,
}

impl Publisher {
    pub(super) fn confirms_are_on(&self) -> bool {
        self.confirms.is_some()
    }

    /// The origin of the last publish.
    pub(super) fn last_origin(&self) -> Option<Origin> {
        let (published, _) = self.confirms?;
        self.origin.map(|before| before.plus(published))
    }
}

impl Channel {
    /// Routes a message. It is in its queues at the latest after [`Channel::flush`]. Says whether a queue
    /// takes it; if none does and it is mandatory, it is among [`Channel::take_returned`].
    pub fn publish(&mut self, publish: Publish<'_>, wakes: &mut Wakes) -> Result<bool> {
        let Publish { exchange, routing_key, mandatory, properties, body } = publish;
        names::check("basic.publish", "exchange", exchange)?;
        names::check("basic.publish", "routing key", routing_key)?;
        self.check_size(body.len() as u64)?;
        self.publish_routed(&route_key(exchange, routing_key), mandatory, properties, body, wakes)
    }

    /// The same with exchange and routing key as they stand at the wire (see [`route_key`]).
    pub fn publish_routed(
        &mut self,
        key: &[u8],
        mandatory: bool,
        properties: &[u8],
        body: Body<'_>,
        wakes: &mut Wakes,
    ) -> Result<bool> {
        let publisher = &mut self.publisher;
        if PropertiesView(properties).is_plain()
            && self.tx.is_none()
            && let Some(route) = publisher.routes.last(self.session.vhost.generation(), key)
            && publisher.route.as_ref().is_some_and(|current| Arc::ptr_eq(current, route))
        {
            // Like nearly every message: it concerns the broker as little, and goes to the same queues, as the one
            // before it, which waits in the run.
            if let Some((published, _)) = &mut publisher.confirms {
                *published += 1;
            }
            publisher.run.push(Message::by(publisher.last_origin(), false, key, properties, body));
            return Ok(true);
        }
        let Routed { route, answers, blind, histories } = self.route(key, properties)?;
        if let Some(user) = PropertiesView(properties).user_id()
            && user != &*self.session.user
            && !self.session.may_impersonate()
        {
            let authenticated = &self.session.user;
            let reason =
                format!("user_id property set to '{user}' but authenticated user was '{authenticated}'");
            return Err(Error::new(Kind::PreconditionFailed, "basic.publish", reason));
        }
        // Without one, this is a look at the flags.
        if let Some(expiration) = PropertiesView(properties).expiration() {
            check_expiration(expiration)?;
        }
        let with_reply_to;
        let mut properties = properties;
        if PropertiesView(properties).reply_to() == Some(PSEUDO_QUEUE) {
            with_reply_to = self.answerable(properties)?;
            properties = &with_reply_to;
        }
        match (&mut self.publisher.confirms, &mut self.tx) {
            (Some((published, _)), _) => *published += 1,
            (None, Some(tx)) => tx.published += 1,
            (None, None) => {}
        }
        let again = self.count_again();
        let view = PropertiesView(properties);
        let delay = if view.has_headers() && !answers { delay(view) } else { None };
        let seen_by_receivers;
        if blind && delay.is_none() {
            // A delayed message keeps it: it is routed later.
            seen_by_receivers = without_bcc(view);
            properties = &seen_by_receivers;
        }
        if !histories.is_empty() && delay.is_none() {
            let message = Message::new(key, properties, body.again());
            histories.iter().for_each(|history| history.record(&message));
        }
        // A delayed message is routed when it comes due: that nobody would take it now says nothing yet.
        if route.is_empty() && delay.is_none() {
            if self.publisher.confirms.is_some() {
                // The numbers of a run follow each other, so that a message in it is known by its place.
                self.flush(wakes);
            }
            if key == EXTEND {
                if again {
                    return Ok(true); // the delivery came from the broker that is gone
                }
                return self.extend_by_message(view).map(|()| true);
            }
            if mandatory {
                self.send_back(Message::new(key, properties, body));
            }
            return Ok(false);
        }
        let message = Message::by(self.publisher.last_origin(), again, key, properties, body);
        if answers && mandatory {
            // No queue that anybody declared took it, so RabbitMQ returns it although it is delivered.
            self.send_back(message.clone());
        }
        match &mut self.tx {
            // An answer is on its way at once even so: RabbitMQ delivers it while it routes.
            Some(tx) if !answers => tx.publish(message, route, mandatory, delay),
            _ if again => self.enqueue_again(message, route, delay, wakes),
            _ => self.enqueue(message, route, delay, wakes),
        }
        Ok(true)
    }

    /// Has a mandatory message returned, on a transactional channel at the commit.
    fn send_back(&mut self, message: Message) {
        match &mut self.tx {
            Some(tx) => tx.publish(message, Route::default(), true, None),
            None => {
                let number = self.publisher.confirms.map_or(0, |(published, _)| published);
                self.publisher.returned.push(Returned { message, number });
            }
        }
    }

    /// Adds a message to the run that waits for its queues, or to those that wait for the end of their delay.
    pub(super) fn enqueue(&mut self, message: Message, route: Route, delay: Option<u64>, wakes: &mut Wakes) {
        if let Some(delay) = delay {
            self.flush(wakes);
            self.publisher.unstored |= self.session.vhost.delayed.hold(&message, delay);
            return;
        }
        if !self.publisher.route.as_ref().is_some_and(|current| Arc::ptr_eq(current, &route)) {
            self.flush(wakes);
            self.publisher.route = Some(route);
        }
        if self.publisher.run.is_empty() {
            self.publisher.run_first = self.publisher.confirms.map_or(0, |(published, _)| published);
        }
        self.publisher.run.push(message);
    }

    /// Refuses a body that is longer than the broker takes (RabbitMQ's `max_message_size` and text).
    pub fn check_size(&self, size: u64) -> Result<()> {
        let limit = self.session.broker.options().max_message_size;
        if size <= limit as u64 {
            return Ok(());
        }
        let reason = format!("message size {size} is larger than configured max size {limit}");
        Err(Error::new(Kind::PreconditionFailed, "basic.publish", reason))
    }

    /// Where a message goes.
    fn route(&mut self, key: &[u8], properties: &[u8]) -> Result<Routed> {
        // Read before routing: a change meanwhile makes what is remembered here void, never wrong.
        let generation = self.session.vhost.generation();
        let properties = PropertiesView(properties);
        // Messages without headers pay a look at the flags.
        let copies =
            if properties.has_headers() { CarbonCopies::of(properties)? } else { CarbonCopies::default() };
        let CarbonCopies { keys, blind } = copies;
        if keys.is_empty()
            && let Some(route) = self.publisher.routes.get(generation, key)
        {
            return Ok(Routed { route, answers: false, blind, histories: Vec::new() });
        }
        let (exchange, routing_key) = route_names(key);
        self.permit("basic.publish", Right::Write, Resource::Exchange(exchange))?;
        for key in std::iter::once(routing_key).chain(keys.iter().map(|key| &**key)) {
            self.permit_topic("basic.publish", Right::Write, exchange, key)?;
        }
        let vhost = &self.session.vhost;
        if exchange.is_empty()
            && let Some(queue) = vhost.replies.find(routing_key, || vhost.hidden_queue(routing_key, None))?
        {
            return Ok(Routed { route: Arc::from([queue]), answers: true, blind, histories: Vec::new() });
        }
        let envelope = Envelope { routing_key, more_keys: &keys, properties };
        let Found { queues, by_routing_key, histories } = vhost.route(exchange, &envelope)?;
        let route = Route::from(queues);
        if by_routing_key && keys.is_empty() && histories.is_empty() {
            self.publisher.routes.put(generation, key, &route);
        }
        Ok(Routed { route, answers: false, blind, histories })
    }

    /// The properties with the secret name in `reply_to`.
    fn answerable(&self, properties: &[u8]) -> Result<Bytes> {
        let Some(queue) = &self.publisher.reply_queue else {
            let reason = "fast reply consumer does not exist";
            return Err(Error::new(Kind::PreconditionFailed, "basic.publish", reason)
                .on(PSEUDO_QUEUE)
                .advise("consume from amq.rabbitmq.reply-to on this channel before publishing"));
        };
        Ok(PropertiesView(properties).with_reply_to(queue))
    }

    /// How a client of any kind puts off when it must acknowledge a delivery (`x-consumer-timeout`): by a message to
    /// the default exchange with this routing key, whose headers name the `delivery-tag` on this channel and the new
    /// `timeout` in milliseconds.
    fn extend_by_message(&mut self, properties: PropertiesView<'_>) -> Result<()> {
        let number = |name| {
            let value = properties.header(name).and_then(|value| value.as_integer());
            value.and_then(|number| u64::try_from(number).ok()).ok_or_else(|| {
                let reason = format!("header '{name}' must be an integer of at least 0");
                Error::new(Kind::PreconditionFailed, "basic.publish", reason).on("amq.warrenmq.extend")
            })
        };
        let (tag, timeout) = (number("delivery-tag")?, number("timeout")?);
        self.extend(tag, timeout);
        Ok(())
    }

    /// Hands everything published so far to its queues.
    pub fn flush(&mut self, wakes: &mut Wakes) {
        let publisher = &mut self.publisher;
        if let Some(route) = publisher.route.take() {
            let Publisher { run, run_first, refused, unstored, .. } = publisher;
            *unstored |= route.iter().any(|queue| {
                queue.is_kept() && (queue.is_stream() || run.iter().any(Message::is_persistent))
            });
            let mut refuse = |index| refused.push(*run_first + index as u64);
            if let Some((last, others)) = route.split_last() {
                for queue in others {
                    queue.publish(run.iter().cloned(), &mut refuse, wakes);
                }
                last.publish(run.drain(..), &mut refuse, wakes);
            }
            run.clear();
        }
    }

    /// Mandatory messages that no queue took, since the last call.
    pub fn take_returned(&mut self) -> Vec<Returned> {
        std::mem::take(&mut self.publisher.returned)
    }

    /// From now on publishes are numbered and confirmed.
    ///
    /// # Errors
    /// `PreconditionFailed` on a transactional channel.
    pub fn confirm_select(&mut self) -> Result<()> {
        if self.tx.is_some() {
            let reason = "cannot switch from tx to confirm mode";
            return Err(Error::new(Kind::PreconditionFailed, "confirm.select", reason));
        }
        self.publisher.confirms.get_or_insert((0, 0));
        Ok(())
    }

    /// Hands everything over, and says how many publishes full queues have refused since the last call. For a channel
    /// without confirms.
    pub fn take_refused(&mut self, wakes: &mut Wakes) -> usize {
        self.flush(wakes);
        std::mem::take(&mut self.publisher.refused).len()
    }

    /// Publishes whose fate is known now. Those that have to be on the disk first, and those behind them, come out of
    /// the outbox when they are ([`Event::Confirmed`](crate::broker::Event::Confirmed)).
    pub fn take_confirmed(&mut self, wakes: &mut Wakes) -> Option<Confirmed> {
        self.flush(wakes);
        self.publisher.again.take_if(|again| again.left == 0);
        let mut refused = std::mem::take(&mut self.publisher.refused);
        let (published, confirmed) = self.publisher.confirms.as_mut()?;
        let first = *confirmed + 1;
        *confirmed = *published;
        refused.sort_unstable();
        refused.dedup();
        let confirmed = (first <= *published).then_some(Confirmed { first, last: *published, refused })?;
        let unstored = std::mem::take(&mut self.publisher.unstored);
        match &self.session.broker.options().store {
            Some(store) if unstored || self.outbox.awaits_store() => {
                self.outbox.confirm_when_stored(&**store, confirmed);
                None
            }
            _ => Some(confirmed),
        }
    }

    /// Whether confirms wait for the disk.
    pub fn awaits_store(&self) -> bool {
        self.outbox.awaits_store()
    }

    /// Has `then` called when everything that was handed over is on the disk, or could not be brought there. None of
    /// it need be: then says false, and calls nothing. For a channel without confirms.
    pub fn when_stored(&mut self, then: impl FnOnce(Result<()>) + Send + 'static) -> bool {
        match &self.session.broker.options().store {
            Some(store) if std::mem::take(&mut self.publisher.unstored) => {
                store.when_stored(Box::new(then));
                true
            }
            _ => false,
        }
    }

    /// Waits for that. May take as long as the disk is full.
    ///
    /// # Errors
    /// `ResourceError` when something could not be stored.
    pub fn wait_until_stored(&mut self) -> Result<()> {
        let (tell, told) = sync_channel(1);
        match self.when_stored(move |result| drop(tell.send(result))) {
            true => told.recv().unwrap_or_else(|_| Err(not_stored())),
            false => Ok(()),
        }
    }
}
