//! Dead letters: what a queue gives up goes to its dead-letter exchange, with its history in the headers
//! (<https://www.rabbitmq.com/docs/dlx>).

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::outbox::Wakes;
use super::queue::{DeadLetters, Position, Queue};
use super::vhost::Vhost;
use crate::message::{Message, route_key};
use crate::wire::properties::PropertiesView;
use crate::wire::table::{Table, Value};

/// Why a queue gave a message up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A consumer refused it.
    Rejected,
    /// Its time was over.
    Expired,
    /// The queue was full.
    MaxLength,
    /// It came back too often.
    DeliveryLimit,
}

impl Reason {
    /// As in `x-death`.
    const fn name(self) -> &'static str {
        match self {
            Reason::Rejected => "rejected",
            Reason::Expired => "expired",
            Reason::MaxLength => "maxlen",
            Reason::DeliveryLimit => "delivery_limit",
        }
    }
}

/// A message between its queue and the dead-letter exchange: it is sent when no lock is held any more.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) queue: Arc<Queue>,
    pub(super) vhost: Arc<Vhost>,
    pub(super) target: Arc<DeadLetters>,
    pub(super) message: Message,
    pub(super) reason: Reason,
    /// When it was given up, in seconds since 1970.
    pub(super) time: u64,
    /// Where it stood in the queue; None if the queue never took it.
    pub(super) position: Option<Position>,
}

impl Letter {
    /// Routes the message and hands it to its queues.
    pub(super) fn send(self, wakes: &mut Wakes) {
        let message = self.readdressed();
        let mut queues = self.vhost.route_from(message.exchange(), &message);
        let routed = !queues.is_empty();
        if self.reason != Reason::Rejected
            && let Some(Value::Array(deaths)) = message.properties().header("x-death")
        {
            queues.retain(|queue| !is_automatic_cycle(&queue.name, &deaths));
        }
        // What would go round for ever is dropped also where the queue keeps what finds no taker.
        let mut arrived = routed;
        for queue in queues {
            let mut refused = false;
            let there = queue.publish(std::iter::once(message.clone()), |_| refused = true, wakes);
            arrived &= there && !refused;
        }
        let Some(position) = self.position else { return };
        match &self.vhost.shelves {
            // The source forgets it when the target has it on the disk.
            Some(shelves) if arrived && self.target.at_least_once => {
                let queue = self.queue;
                shelves.store.when_stored(Box::new(move |stored| queue.left(position, stored.is_ok())));
            }
            _ => self.queue.left(position, arrived),
        }
    }

    /// The message under its new address, with this death in its headers (RabbitMQ's
    /// `rabbit_dead_letter:make_msg`): an expiration is taken off, CC only if there is a new routing key.
    fn readdressed(&self) -> Message {
        let old = &self.message;
        let properties = old.properties();
        let mut headers = properties.headers().unwrap_or_default();
        self.record(&mut headers);
        let key = match &self.target.routing_key {
            Some(key) => {
                headers.remove("CC");
                key
            }
            None => old.routing_key(),
        };
        let properties = properties.with_headers(&headers);
        let properties = PropertiesView(&properties).without_expiration();
        old.readdressed(&route_key(&self.target.exchange, key), &properties)
    }

    /// Adds this death to `x-death`: one entry for each queue and reason, the latest first.
    fn record(&self, headers: &mut Table) {
        let text = |text: &str| Value::LongString(text.to_owned().into());
        let (queue, reason) = (&*self.queue.name, self.reason.name());
        let mut others = match headers.remove("x-death") {
            Some(Value::Array(others)) => grouped(others),
            _ => Vec::new(),
        };
        let first = others.is_empty();
        let same = |death: &Value| match death {
            Value::Table(death) => {
                death.get("queue") == Some(&text(queue)) && death.get("reason") == Some(&text(reason))
            }
            _ => false,
        };
        let known = others.iter().position(same).map(|index| others.remove(index));
        let death = match known {
            Some(Value::Table(mut death)) => {
                let count = death.get("count").and_then(Value::as_integer).unwrap_or(0);
                death.insert("count", Value::I64(count.saturating_add(1)));
                death
            }
            _ => {
                let mut keys = vec![text(self.message.routing_key())];
                if let Some(Value::Array(more)) = headers.get("CC") {
                    keys.extend(more.iter().cloned());
                }
                let mut death = Table::default();
                death.insert("count", Value::I64(1));
                death.insert("exchange", text(self.message.exchange()));
                if let Some(expiration) = self.message.properties().expiration() {
                    death.insert("original-expiration", text(expiration));
                }
                death.insert("queue", text(queue));
                death.insert("reason", text(reason));
                death.insert("routing-keys", Value::Array(keys));
                death.insert("time", Value::Timestamp(self.time));
                death
            }
        };
        others.insert(0, Value::Table(death));
        headers.insert("x-death", Value::Array(others));
        if first {
            headers.insert("x-first-death-exchange", text(self.message.exchange()));
            headers.insert("x-first-death-queue", text(queue));
            headers.insert("x-first-death-reason", text(reason));
        }
    }
}

/// One entry for each queue and reason: brokers before RabbitMQ 3.6 wrote more, and publishers may
/// (RabbitMQ's `rabbit_dead_letter:group_by_queue_and_reason`).
fn grouped(deaths: Vec<Value>) -> Vec<Value> {
    let name = |death: &Table, key| match death.get(key) {
        Some(Value::LongString(name)) => name.clone(),
        _ => Bytes::new(),
    };
    let mut places: HashMap<_, usize> = HashMap::new();
    let mut kept: Vec<(Table, i64)> = Vec::with_capacity(deaths.len() + 1);
    for death in deaths {
        let Value::Table(death) = death else { continue };
        match places.entry((name(&death, "queue"), name(&death, "reason"))) {
            Entry::Occupied(place) => kept[*place.get()].1 += 1,
            Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push((death, 1));
            }
        }
    }
    let counted = |(mut death, count): (Table, i64)| {
        if death.get("count").is_none() {
            death.insert("count", Value::I64(count));
        }
        Value::Table(death)
    };
    kept.into_iter().map(counted).collect()
}

/// Whether the message comes to this queue again without anybody having refused it on the way: it would go round
/// for ever (RabbitMQ's `rabbit_dead_letter:is_cycle`).
fn is_automatic_cycle(queue: &str, deaths: &[Value]) -> bool {
    let is = |death: &Value, field, value: &str| match death {
        Value::Table(death) => {
            matches!(death.get(field), Some(Value::LongString(text)) if text[..] == *value.as_bytes())
        }
        _ => false,
    };
    let Some(last) = deaths.iter().position(|death| is(death, "queue", queue)) else { return false };
    !deaths[..=last].iter().any(|death| is(death, "reason", "rejected"))
}
