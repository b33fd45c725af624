//! Transactions: publishes and acknowledgements that take effect together (AMQP 0-9-1 reference, `tx`;
//! <https://www.rabbitmq.com/docs/semantics#tx>). Texts as RabbitMQ's `rabbit_channel`.

use super::publisher::Returned;
use super::{Channel, give_back};
use crate::broker::outbox::{Batch, Held, Settle, Wakes, resume};
use crate::broker::route::Route;
use crate::error::{Error, Kind, Result};
use crate::message::Message;

/// What a transactional channel has done since its last commit or rollback.
#[derive(Default)]
pub(super) struct Tx {
    /// How many were published; not all of them need be among `publishes`.
    pub(super) published: u64,
    publishes: Vec<Publish>,
    settled: Vec<Held>,
}

/// A message and where it was routed to when it was published: bindings that change before the commit
/// do not matter to it.
struct Publish {
    number: u64,
    message: Message,
    route: Route,
    mandatory: bool,
    delay: Option<u64>,
}

impl Tx {
    pub(super) fn publish(&mut self, message: Message, route: Route, mandatory: bool, delay: Option<u64>) {
        self.publishes.push(Publish { number: self.published, message, route, mandatory, delay });
    }
}

impl Channel {
    /// From now on publishes and acknowledgements wait for [`Channel::tx_commit`].
    ///
    /// # Errors
    /// `PreconditionFailed` on a channel with confirms.
    pub fn tx_select(&mut self) -> Result<()> {
        if self.publisher.confirms_are_on() {
            return refuse("tx.select", "cannot switch from confirm to tx mode");
        }
        self.tx.get_or_insert_default();
        Ok(())
    }

    /// Has all that was published and settled take effect, and begins anew. It is on the disk when
    /// [`Channel::wait_until_stored`] says so. Mandatory messages whose
    /// queues are all gone are then among [`Channel::take_returned`].
    ///
    /// # Errors
    /// `PreconditionFailed` on a channel without transactions; and when a full queue refused a message, all else
    /// having taken effect.
    pub fn tx_commit(&mut self, wakes: &mut Wakes) -> Result<()> {
        let Tx { publishes, settled, .. } = self.take_tx("tx.commit")?;
        for Publish { number, message, route, mandatory, delay } in publishes {
            let reached = delay.is_some() || route.iter().any(|queue| self.session.vhost.still_has(queue));
            if mandatory && !reached {
                self.publisher.returned.push(Returned { message: message.clone(), number });
            }
            if reached {
                self.enqueue(message, route, delay, wakes);
            }
        }
        let refused = self.take_refused(wakes);
        let mut batch = Batch::new();
        let resumed = {
            let mut outbox = self.outbox.lock();
            outbox.settle_held(settled, &mut batch);
            outbox.resume()
        };
        give_back(batch, wakes);
        resume(resumed, wakes);
        match refused {
            0 => Ok(()),
            _ => refuse("tx.commit", "partial tx completion"),
        }
    }

    /// Forgets what was published and settled since the last commit, and begins anew. What had been
    /// settled is unacked again; it is not delivered again.
    ///
    /// # Errors
    /// `PreconditionFailed` on a channel without transactions.
    pub fn tx_rollback(&mut self) -> Result<()> {
        let Tx { settled, .. } = self.take_tx("tx.rollback")?;
        self.outbox.lock().restore(settled);
        Ok(())
    }

    fn take_tx(&mut self, operation: &'static str) -> Result<Tx> {
        match &mut self.tx {
            Some(tx) => Ok(std::mem::take(&mut **tx)),
            None => refuse(operation, "channel is not transactional"),
        }
    }

    /// Whether its publishes and acknowledgements wait for a commit.
    pub fn is_transactional(&self) -> bool {
        self.tx.is_some()
    }

    /// Notes what a transaction settles. Those before an unknown tag are noted even so.
    pub(super) fn hold(&mut self, tags: &[(u64, bool)], how: Settle) -> Result<()> {
        let Some(tx) = &mut self.tx else { return Ok(()) };
        let mut outbox = self.outbox.lock();
        tags.iter().try_for_each(|&(tag, multiple)| outbox.hold(tag, multiple, how, &mut tx.settled))
    }
}

fn refuse<T>(operation: &'static str, reason: &str) -> Result<T> {
    Err(Error::new(Kind::PreconditionFailed, operation, reason))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test that fails may panic
mod tests {
    use super::*;
    use crate::broker::{
        Broker, ConsumeOptions, Event, Options, Outlet, Publish, QueueInfo, QueueOptions, Session,
    };
    use crate::message::Body;
    use crate::wire::{Table, Value};

    struct Deaf;

    impl Outlet for Deaf {
        fn ready(&self) {}
    }

    struct Bench {
        other: Channel,
        tx: Channel,
        wakes: Wakes,
        _session: Session,
    }

    impl Bench {
        fn new() -> Self {
            let session = Broker::new(Options::default()).open("/", "guest").unwrap();
            let mut other = session.channel(Box::new(Deaf)).unwrap();
            for name in ["a", "b"] {
                other.declare_queue(name, QueueOptions::default()).unwrap();
            }
            let mut tx = session.channel(Box::new(Deaf)).unwrap();
            tx.tx_select().unwrap();
            Bench { other, tx, wakes: Wakes::default(), _session: session }
        }

        fn publish(&mut self, queue: &str) -> bool {
            let publish = Publish {
                exchange: "",
                routing_key: queue,
                mandatory: true,
                properties: &[0, 0],
                body: Body::Slice(b"x"),
            };
            let routed = self.tx.publish(publish, &mut self.wakes).unwrap();
            self.tx.flush(&mut self.wakes);
            routed
        }

        fn commit(&mut self) -> usize {
            self.tx.tx_commit(&mut self.wakes).unwrap();
            self.tx.take_returned().len()
        }

        /// Ready and unacked.
        fn counts(&mut self, queue: &str) -> (u64, u64) {
            let QueueInfo { messages, unacked, .. } = self.other.check_queue(queue).unwrap();
            (messages, unacked)
        }

        /// Puts `count` messages into `a` and has them delivered to the transactional channel.
        fn deliver(&mut self, count: u64, prefetch: u16) {
            for _ in 0..count {
                self.publish("a");
            }
            self.commit();
            self.tx.qos(0, prefetch, false, &mut self.wakes).unwrap();
            self.tx
                .consume(&ConsumeOptions { queue: "a", ..ConsumeOptions::default() }, &mut self.wakes)
                .unwrap();
        }

        fn delivered(&mut self) -> Vec<u64> {
            let mut events = Vec::new();
            self.tx.outbox().take(usize::MAX, &mut events, &mut self.wakes);
            let tags = events.into_iter().map(|event| match event {
                Event::Deliver(delivery) => delivery.tag,
                Event::Cancelled { .. } | Event::Confirmed(_) => 0,
            });
            tags.collect()
        }
    }

    #[test]
    fn publishes_to_several_queues_appear_together_at_the_commit() {
        let mut bench = Bench::new();
        assert!(bench.publish("a") && bench.publish("b") && bench.publish("a"));
        assert_eq!((bench.counts("a"), bench.counts("b")), ((0, 0), (0, 0)));
        bench.commit();
        assert_eq!((bench.counts("a"), bench.counts("b")), ((2, 0), (1, 0)));
        bench.commit();
        assert_eq!(bench.counts("a"), (2, 0), "a commit leaves nothing for the next one");
    }

    #[test]
    fn a_rollback_drops_publishes_and_what_they_would_have_returned() {
        let mut bench = Bench::new();
        bench.publish("a");
        assert!(!bench.publish("nowhere"));
        bench.tx.tx_rollback().unwrap();
        assert_eq!(bench.commit(), 0);
        assert_eq!(bench.counts("a"), (0, 0));
    }

    #[test]
    fn mandatory_messages_come_back_at_the_commit_also_when_their_queue_went_meanwhile() {
        let mut bench = Bench::new();
        assert!(!bench.publish("nowhere"));
        assert!(bench.publish("a"));
        bench.other.delete_queue("a", false, false, &mut Wakes::default()).unwrap();
        assert!(bench.tx.take_returned().is_empty());
        assert_eq!(bench.commit(), 2);
    }

    #[test]
    fn a_commit_that_a_full_queue_refuses_says_so() {
        let mut bench = Bench::new();
        let mut arguments = Table::default();
        arguments.insert("x-max-length", Value::I32(1));
        arguments.insert("x-overflow", Value::LongString("reject-publish".into()));
        bench.other.declare_queue("full", QueueOptions { arguments, ..QueueOptions::default() }).unwrap();
        ["full", "full", "a"].into_iter().for_each(|queue| assert!(bench.publish(queue)));
        let error = bench.tx.tx_commit(&mut bench.wakes).unwrap_err();
        assert_eq!(error.reply_text(), "PRECONDITION_FAILED - partial tx completion");
        assert_eq!((bench.counts("full"), bench.counts("a")), ((1, 0), (1, 0)));
    }

    #[test]
    fn acknowledgements_free_credit_and_count_only_at_the_commit() {
        let mut bench = Bench::new();
        bench.deliver(3, 2);
        assert_eq!(bench.delivered(), [1, 2]);
        bench.tx.settle(&[(1, false)], Settle::Ack, &mut bench.wakes).unwrap();
        assert_eq!((bench.counts("a"), bench.tx.unacked()), ((1, 2), 1));
        assert!(bench.delivered().is_empty());
        bench.commit();
        assert_eq!((bench.counts("a"), bench.delivered()), ((0, 2), vec![3]));
    }

    #[test]
    fn refusals_and_requeues_wait_too_and_a_tag_is_settled_once() {
        let mut bench = Bench::new();
        bench.deliver(3, 0);
        bench.delivered();
        bench.tx.settle(&[(2, false)], Settle::Reject, &mut bench.wakes).unwrap();
        let again = bench.tx.settle(&[(2, false)], Settle::Ack, &mut bench.wakes).unwrap_err();
        assert_eq!(again.reply_text(), "PRECONDITION_FAILED - unknown delivery tag 2");
        bench.tx.settle(&[(0, true)], Settle::Requeue, &mut bench.wakes).unwrap();
        assert_eq!((bench.counts("a"), bench.tx.unacked()), ((0, 3), 0));
        bench.commit();
        // The two that went back came again at once: the consumer is still there.
        assert_eq!((bench.counts("a"), bench.delivered()), ((0, 2), vec![4, 5]));
    }

    #[test]
    fn a_rollback_makes_what_was_settled_unacked_again_and_delivers_nothing() {
        let mut bench = Bench::new();
        bench.deliver(4, 0);
        bench.delivered();
        bench.tx.settle(&[(3, false), (2, true)], Settle::Ack, &mut bench.wakes).unwrap();
        bench.tx.tx_rollback().unwrap();
        assert_eq!((bench.counts("a"), bench.tx.unacked()), ((0, 4), 4));
        assert!(bench.delivered().is_empty());
        bench.tx.settle(&[(4, true)], Settle::Ack, &mut bench.wakes).unwrap();
        bench.commit();
        assert_eq!((bench.counts("a"), bench.tx.unacked()), ((0, 0), 0));
    }

    #[test]
    fn recover_leaves_what_the_transaction_has_settled() {
        let mut bench = Bench::new();
        bench.deliver(2, 0);
        bench.delivered();
        bench.tx.settle(&[(1, false)], Settle::Ack, &mut bench.wakes).unwrap();
        bench.tx.recover(true, &mut bench.wakes).unwrap();
        assert_eq!(bench.delivered(), [3]);
        bench.commit();
        assert_eq!(bench.counts("a"), (0, 1));
    }

    #[test]
    fn closing_the_channel_rolls_back() {
        let mut bench = Bench::new();
        bench.deliver(2, 0);
        bench.delivered();
        bench.publish("b");
        bench.tx.settle(&[(0, true)], Settle::Ack, &mut bench.wakes).unwrap();
        bench.tx.close(&mut Wakes::default());
        assert_eq!((bench.counts("a"), bench.counts("b")), ((2, 0), (0, 0)));
    }

    #[test]
    fn transactions_and_confirms_exclude_each_other() {
        let mut bench = Bench::new();
        let text = |result: Result<()>| result.unwrap_err().reply_text();
        assert_eq!(
            text(bench.tx.confirm_select()),
            "PRECONDITION_FAILED - cannot switch from tx to confirm mode"
        );
        bench.other.confirm_select().unwrap();
        assert_eq!(
            text(bench.other.tx_select()),
            "PRECONDITION_FAILED - cannot switch from confirm to tx mode"
        );
        let refused = "PRECONDITION_FAILED - channel is not transactional";
        assert_eq!(text(bench.other.tx_commit(&mut Wakes::default())), refused);
        assert_eq!(text(bench.other.tx_rollback()), refused);
        bench.tx.tx_select().unwrap();
    }
}
