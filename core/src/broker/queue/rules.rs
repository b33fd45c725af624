//! What a queue does with its messages, from its arguments and the policies that apply to it.

use std::sync::Arc;

use super::QueueKind;
use super::log::milliseconds;
use crate::wire::table::{Table, Value};

/// What happens to a message that a full queue is given (`x-overflow`,
/// <https://www.rabbitmq.com/docs/maxlength>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Overflow {
    /// It is taken, and the one at the head is dropped.
    #[default]
    DropHead,
    /// It is refused: its publisher's confirm is a nack.
    RejectPublish,
    /// The same, and it is dead-lettered.
    RejectPublishDlx,
}

/// Where the messages go that a queue gives up (<https://www.rabbitmq.com/docs/dlx>).
#[derive(Debug, PartialEq, Eq)]
pub(in crate::broker) struct DeadLetters {
    pub(in crate::broker) exchange: Box<str>,
    /// None: under the routing keys that they came with.
    pub(in crate::broker) routing_key: Option<Box<str>>,
    /// The queue keeps a message until its target has it (`x-dead-letter-strategy`).
    pub(in crate::broker) at_least_once: bool,
}

/// The rules of a queue. Times are milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) message_ttl: Option<u64>,
    pub(super) expires: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) max_length_bytes: Option<u64>,
    pub(super) overflow: Overflow,
    pub(super) dead_letters: Option<Arc<DeadLetters>>,
    /// A message that comes back more often is given up.
    pub(super) delivery_limit: Option<u64>,
    pub(super) consumer_timeout: Option<u64>,
    /// How long a stream keeps a message.
    pub(super) max_age: Option<u64>,
}

/// Whether a policy counts before the argument of this key (`policy_precedence` of RabbitMQ 3.13's
/// `rabbit_quorum_queue` and `rabbit_stream_queue`).
fn policy_wins(kind: QueueKind, key: &str) -> bool {
    match kind {
        QueueKind::Classic => false,
        QueueKind::Quorum => matches!(key, "overflow" | "expires"),
        QueueKind::Stream => matches!(key, "max-age" | "max-length-bytes"),
    }
}

impl Rules {
    /// `delivery_limit` is that of a queue that is not told one.
    ///
    /// Reads arguments (`x-message-ttl`) and a policy (`message-ttl`). Where both speak, the smaller number and
    /// otherwise the argument holds (<https://www.rabbitmq.com/docs/parameters#how-policies-work>;
    /// RabbitMQ's `rabbit_queue_type_util:args_policy_lookup`); in a few cases the policy ([`policy_wins`]).
    pub(super) fn new(
        kind: QueueKind,
        arguments: &Table,
        policy: &Table,
        delivery_limit: Option<u64>,
    ) -> Self {
        let either = |key: &str| {
            let (argument, policy) = (arguments.get(&format!("x-{key}")), policy.get(key));
            if policy_wins(kind, key) { policy.or(argument) } else { argument.or(policy) }
        };
        let text = |key: &str| match either(key) {
            Some(Value::LongString(text)) => std::str::from_utf8(text).ok(),
            _ => None,
        };
        let number = |key: &str| {
            let value = |table: &Table, key: &str| table.get(key).and_then(Value::as_integer);
            let (argument, policy) = (value(arguments, &format!("x-{key}")), value(policy, key));
            let argument = argument.filter(|_| policy.is_none() || !policy_wins(kind, key));
            argument.into_iter().chain(policy).filter_map(|number| u64::try_from(number).ok()).min()
        };
        let overflow = match text("overflow") {
            Some("reject-publish") => Overflow::RejectPublish,
            Some("reject-publish-dlx") => Overflow::RejectPublishDlx,
            _ => Overflow::DropHead,
        };
        let dead_letters = text("dead-letter-exchange").map(|exchange| {
            Arc::new(DeadLetters {
                exchange: exchange.into(),
                routing_key: text("dead-letter-routing-key").map(Into::into),
                // At least once needs room at the source: with drop-head RabbitMQ falls back, too.
                at_least_once: text("dead-letter-strategy") == Some("at-least-once")
                    && overflow == Overflow::RejectPublish,
            })
        });
        Rules {
            message_ttl: number("message-ttl"),
            expires: number("expires"),
            max_length: number("max-length"),
            max_length_bytes: number("max-length-bytes"),
            overflow,
            dead_letters,
            // Told to be without end (-1), it is; told nothing, it is the broker's.
            delivery_limit: match either("delivery-limit") {
                Some(_) => number("delivery-limit"),
                None => delivery_limit,
            },
            consumer_timeout: number("consumer-timeout").filter(|after| *after > 0),
            max_age: text("max-age").and_then(milliseconds),
        }
    }

    /// Whether a message that does not expire by itself can just be put at the end.
    pub(super) fn plain(&self) -> bool {
        self.message_ttl.is_none() && self.max_length.is_none() && self.max_length_bytes.is_none()
    }

    /// Whether so many messages and bytes are more than the queue may have.
    pub(super) fn too_much(&self, messages: usize, bytes: u64) -> bool {
        self.max_length.is_some_and(|most| messages as u64 > most)
            || self.max_length_bytes.is_some_and(|most| bytes > most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &'static str) -> Value {
        Value::LongString(text.into())
    }

    fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
        let mut table = Table::default();
        for (key, value) in entries {
            table.insert(key, value);
        }
        table
    }

    #[test]
    fn of_an_argument_and_a_policy_the_smaller_number_or_the_argument_counts() {
        let arguments = table([("x-expires", Value::I32(9)), ("x-overflow", text("reject-publish"))]);
        let policy = table([("expires", Value::I32(10)), ("overflow", text("drop-head"))]);
        let rules = Rules::new(QueueKind::Classic, &arguments, &policy, None);
        assert_eq!((rules.expires, rules.overflow), (Some(9), Overflow::RejectPublish));
    }

    #[test]
    fn of_a_quorum_queue_s_expiry_and_overflow_and_a_stream_s_retention_the_policy_counts() {
        let arguments = table([("x-expires", Value::I32(9)), ("x-overflow", text("reject-publish"))]);
        let policy = table([("expires", Value::I32(10)), ("overflow", text("drop-head"))]);
        let rules = Rules::new(QueueKind::Quorum, &arguments, &policy, None);
        assert_eq!((rules.expires, rules.overflow), (Some(10), Overflow::DropHead));
        let rules = Rules::new(QueueKind::Quorum, &arguments, &Table::default(), None);
        assert_eq!(
            (rules.expires, rules.overflow),
            (Some(9), Overflow::RejectPublish),
            "where there is none"
        );

        let arguments = table([("x-max-age", text("1s")), ("x-max-length-bytes", Value::I32(9))]);
        let policy = table([("max-age", text("1h")), ("max-length-bytes", Value::I32(10))]);
        let rules = Rules::new(QueueKind::Stream, &arguments, &policy, None);
        assert_eq!((rules.max_age, rules.max_length_bytes), (Some(3_600_000), Some(10)));
    }
}
