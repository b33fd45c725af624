//! The calls of a channel.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use lapin::ExchangeKind;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicQosOptions, ExchangeBindOptions, ExchangeDeclareOptions,
    ExchangeDeleteOptions, ExchangeUnbindOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
    QueuePurgeOptions,
};
use lapin::types::{FieldTable, ShortString};
use tokio::sync::oneshot;

use super::channel::{Channel, Command};
use super::consumer::{Consumer, message};
use super::publisher::{Batch, Outgoing, Reply};
use super::values::{self, short};
use crate::broker::Binding;
use crate::client::driver::{
    Answer, BatchPublishing, ChannelDriver, ConsumerDriver, Publishing, ends, now, on_exchange, on_queue,
    or_now,
};
use crate::client::{ConsumeOptions, ExchangeOptions, Get, Publish, QueueInfo, QueueOptions, Settle};
use crate::error::Result;

/// A handle of a channel.
#[derive(Debug)]
pub(super) struct Handle(pub(super) Arc<Channel>);

fn queue_name(operation: &'static str, name: &str) -> Result<ShortString> {
    short(operation, "queue name", name)
}

fn exchange_name(operation: &'static str, name: &str) -> Result<ShortString> {
    short(operation, "exchange name", name)
}

/// A binding as lapin has it: destination, source, key and arguments.
struct Bound(ShortString, ShortString, ShortString, FieldTable);

impl Bound {
    fn new(operation: &'static str, binding: &Binding<'_>) -> Result<Self> {
        Ok(Bound(
            short(operation, "destination's name", binding.destination)?,
            exchange_name(operation, binding.source)?,
            short(operation, "routing key", binding.routing_key)?,
            values::table(binding.arguments),
        ))
    }
}

impl ChannelDriver for Handle {
    fn is_open(&self) -> bool {
        self.0.state.is_open()
    }

    fn declare_queue(&self, name: &str, passive: bool, options: QueueOptions) -> Answer<QueueInfo> {
        let operation = "queue.declare";
        let entity = on_queue(name);
        let name = or_now!(queue_name(operation, name));
        let arguments = values::table(&options.arguments);
        let QueueOptions { durable, exclusive, auto_delete, .. } = options;
        let options = QueueDeclareOptions { passive, durable, exclusive, auto_delete, nowait: false };
        self.0.call(operation, entity, move |channel| async move {
            let queue = channel.queue_declare(name, options, arguments).await?;
            Ok(QueueInfo {
                name: queue.name().as_str().into(),
                messages: queue.message_count().into(),
                unacked: 0, // not told at the wire
                consumers: queue.consumer_count().into(),
            })
        })
    }

    fn delete_queue(&self, name: &str, if_unused: bool, if_empty: bool) -> Answer<u64> {
        let operation = "queue.delete";
        let entity = on_queue(name);
        let name = or_now!(queue_name(operation, name));
        let options = QueueDeleteOptions { if_unused, if_empty, nowait: false };
        self.0.call(operation, entity, move |channel| async move {
            channel.queue_delete(name, options).await.map(u64::from)
        })
    }

    fn purge_queue(&self, name: &str) -> Answer<u64> {
        let operation = "queue.purge";
        let entity = on_queue(name);
        let name = or_now!(queue_name(operation, name));
        self.0.call(operation, entity, move |channel| async move {
            channel.queue_purge(name, QueuePurgeOptions::default()).await.map(u64::from)
        })
    }

    fn declare_exchange(
        &self,
        name: &str,
        kind: &str,
        passive: bool,
        options: ExchangeOptions,
    ) -> Answer<()> {
        let operation = "exchange.declare";
        let entity = on_exchange(name);
        let name = or_now!(exchange_name(operation, name));
        let kind = or_now!(short(operation, "exchange type", kind));
        let arguments = values::table(&options.arguments);
        let ExchangeOptions { durable, auto_delete, internal, .. } = options;
        let options = ExchangeDeclareOptions { passive, durable, auto_delete, internal, nowait: false };
        self.0.call(operation, entity, move |channel| async move {
            channel.exchange_declare(name, ExchangeKind::Custom(kind.into()), options, arguments).await
        })
    }

    fn delete_exchange(&self, name: &str, if_unused: bool) -> Answer<()> {
        let operation = "exchange.delete";
        let entity = on_exchange(name);
        let name = or_now!(exchange_name(operation, name));
        let options = ExchangeDeleteOptions { if_unused, nowait: false };
        self.0.call(
            operation,
            entity,
            move |channel| async move { channel.exchange_delete(name, options).await },
        )
    }

    fn bind_queue(&self, binding: Binding<'_>) -> Answer<()> {
        let Bound(to, from, key, arguments) = or_now!(Bound::new("queue.bind", &binding));
        self.0.call("queue.bind", ends("queue", &binding), move |channel| async move {
            channel.queue_bind(to, from, key, QueueBindOptions::default(), arguments).await
        })
    }

    fn unbind_queue(&self, binding: Binding<'_>) -> Answer<()> {
        let Bound(to, from, key, arguments) = or_now!(Bound::new("queue.unbind", &binding));
        self.0.call("queue.unbind", ends("queue", &binding), move |channel| async move {
            channel.queue_unbind(to, from, key, arguments).await
        })
    }

    fn bind_exchange(&self, binding: Binding<'_>) -> Answer<()> {
        let Bound(to, from, key, arguments) = or_now!(Bound::new("exchange.bind", &binding));
        self.0.call("exchange.bind", ends("exchange", &binding), move |channel| async move {
            channel.exchange_bind(to, from, key, ExchangeBindOptions::default(), arguments).await
        })
    }

    fn unbind_exchange(&self, binding: Binding<'_>) -> Answer<()> {
        let Bound(to, from, key, arguments) = or_now!(Bound::new("exchange.unbind", &binding));
        self.0.call("exchange.unbind", ends("exchange", &binding), move |channel| async move {
            channel.exchange_unbind(to, from, key, ExchangeUnbindOptions::default(), arguments).await
        })
    }

    fn qos(&self, count: u16, global: bool) -> Answer<()> {
        self.0.call("basic.qos", String::new(), move |channel| async move {
            channel.basic_qos(count, BasicQosOptions { global }).await
        })
    }

    fn publish(&self, publish: Publish<'_>) -> Result<Publishing> {
        let ticket = self.0.state.connection.in_flight.enter(1, publish.body.len())?;
        let message = Outgoing::new(publish)?;
        let (answer, answered) = oneshot::channel();
        self.0.send("basic.publish", Command::Publish(vec![(message, Reply::One(answer, ticket))]))?;
        Ok(Publishing::Pending(self.0.await_answer("basic.publish", answered)))
    }

    fn publish_all(&self, batch: &mut dyn Iterator<Item = Publish<'_>>) -> Result<BatchPublishing> {
        let messages = batch.map(Outgoing::new).collect::<Result<Vec<_>>>()?;
        let bytes = messages.iter().map(|message| message.body.len()).sum();
        let ticket = self.0.state.connection.in_flight.enter(messages.len(), bytes)?;
        let (answer, answered) = oneshot::channel();
        let batch = Batch::new(messages.len(), answer, ticket);
        let part = |(place, message)| (message, Reply::Part(batch.clone(), place));
        self.0
            .send("basic.publish", Command::Publish(messages.into_iter().enumerate().map(part).collect()))?;
        Ok(BatchPublishing::Pending(self.0.await_answer("basic.publish", answered)))
    }

    fn consume(&self, options: &ConsumeOptions<'_>) -> Answer<Arc<dyn ConsumerDriver>> {
        let operation = "basic.consume";
        let entity = on_queue(options.queue);
        let name = or_now!(queue_name(operation, options.queue));
        let tag = or_now!(short(operation, "consumer tag", options.tag));
        let arguments = values::table(&options.arguments);
        let ConsumeOptions { no_ack, exclusive, .. } = *options;
        let options = BasicConsumeOptions { no_ack, exclusive, no_local: false, nowait: false };
        let mine = self.0.clone();
        self.0.call(operation, entity, move |channel| async move {
            let stream = channel.basic_consume(name, tag, options, arguments).await?;
            Ok(Arc::new(Consumer::start(mine, stream, no_ack)) as Arc<dyn ConsumerDriver>)
        })
    }

    fn get(&self, name: &str, no_ack: bool) -> Answer<Option<Get>> {
        let operation = "basic.get";
        let entity = on_queue(name);
        let name = or_now!(queue_name(operation, name));
        let state = self.0.state.clone();
        self.0.call(operation, entity, move |channel| async move {
            let Some(got) = channel.basic_get(name, BasicGetOptions { no_ack }).await? else {
                return Ok(None);
            };
            let (tag, redelivered) = (got.delivery.delivery_tag, got.delivery.redelivered);
            let remaining = got.message_count.into();
            state.ledger.lock().deliver(tag, no_ack);
            Ok(Some(Get { tag, message: message(got.delivery), redelivered, remaining }))
        })
    }

    fn settle(&self, tags: &[(u64, bool)], how: Settle) -> Result<()> {
        let operation = match how {
            Settle::Ack => "basic.ack",
            Settle::Reject | Settle::Requeue => "basic.nack",
        };
        // Held while the command is left, so that the frames keep the order of the ledger.
        let mut ledger = self.0.state.ledger.lock();
        self.0.send(operation, Command::Settle(ledger.settle(tags), how))
    }

    /// By a `basic.nack` of everything known. `basic.recover` has no tag, so that what is in the mailboxes
    /// could not be told from what came after it, and lapin drops deliveries that need no acknowledgement.
    fn recover(&self) -> Answer<()> {
        let state = &self.0.state;
        let mut ledger = state.ledger.lock();
        if let Some(last) = ledger.requeue_all() {
            state.empty_mailboxes();
            let requeue = Command::Settle([(last, true)].into_iter().collect(), Settle::Requeue);
            or_now!(self.0.send("basic.recover", requeue));
        }
        drop(ledger);
        // Answered when it was sent.
        self.0.call("basic.recover", String::new(), |_| async { Ok(()) })
    }

    fn tx_select(&self) -> Answer<()> {
        let state = self.0.state.clone();
        self.0.call("tx.select", String::new(), |channel| async move {
            channel.tx_select().await?;
            state.ledger.lock().begin();
            state.transactional.store(true, SeqCst);
            Ok(())
        })
    }

    fn tx_commit(&self) -> Answer<Vec<usize>> {
        let (answer, answered) = oneshot::channel();
        or_now!(self.0.send("tx.commit", Command::Commit(answer)));
        self.0.await_answer("tx.commit", answered)
    }

    fn tx_rollback(&self) -> Answer<()> {
        let (answer, answered) = oneshot::channel();
        or_now!(self.0.send("tx.rollback", Command::Rollback(answer)));
        self.0.await_answer("tx.rollback", answered)
    }

    fn close(&self) -> Answer<()> {
        let state = &self.0.state;
        if state.connection.born.check("channel.close").is_err() {
            return now(Ok(()));
        }
        let closed = state.close();
        Box::pin(async move {
            closed.await;
            Ok(())
        })
    }
}
