//! The calls of a channel.

use std::sync::Arc;

use super::channel::{Held, Reply};
use super::consumer::Consumer;
use super::window::Mode;
use crate::broker::Binding;
use crate::client::driver::{
    Answer, BatchPublishing, ChannelDriver, ConsumerDriver, Publishing, ends, now, on_exchange, on_queue,
    or_now,
};
use crate::client::{ConsumeOptions, ExchangeOptions, Get, Publish, QueueInfo, QueueOptions, Settle};
use crate::error::{Error, Kind, Result};
use crate::wire::{Method, ShortString, basic, exchange, queue, tx};

/// A handle of a channel.
#[derive(Debug)]
pub(super) struct Handle(pub(super) Arc<Held>);

/// Reads one kind of answer.
macro_rules! answer {
    ($pattern:pat => $value:expr) => {
        |reply| match reply {
            Reply::Method($pattern) => Some($value),
            _ => None,
        }
    };
}

pub(super) fn too_long(operation: &'static str, what: &str, length: usize) -> Error {
    let reason = format!("the {what} is {length} bytes long, AMQP takes at most 255");
    Error::new(Kind::InvalidArgument, operation, reason)
}

fn short(operation: &'static str, what: &str, text: &str) -> Result<ShortString> {
    ShortString::try_from(text).map_err(|_| too_long(operation, what, text.len()))
}

fn queue_name(operation: &'static str, name: &str) -> Result<ShortString> {
    short(operation, "queue name", name)
}

fn exchange_name(operation: &'static str, name: &str) -> Result<ShortString> {
    short(operation, "exchange name", name)
}

/// Destination, source and key of a binding.
fn bound(operation: &'static str, binding: &Binding<'_>) -> Result<(ShortString, ShortString, ShortString)> {
    Ok((
        short(operation, "destination's name", binding.destination)?,
        exchange_name(operation, binding.source)?,
        short(operation, "routing key", binding.routing_key)?,
    ))
}

/// What a commit says when the host is gone that knew of the transaction.
fn lost_transaction() -> Error {
    let reason =
        "the transaction was lost with the process that hosted the broker: nothing of it took effect";
    Error::new(Kind::Nacked, "tx.commit", reason).advise("do it again; the channel goes on")
}

impl ChannelDriver for Handle {
    fn is_open(&self) -> bool {
        self.0.0.is_open()
    }

    fn declare_queue(&self, name: &str, passive: bool, options: QueueOptions) -> Answer<QueueInfo> {
        let operation = "queue.declare";
        let QueueOptions { durable, exclusive, auto_delete, arguments } = options;
        let method = Method::QueueDeclare(queue::Declare {
            queue: or_now!(queue_name(operation, name)),
            passive,
            durable,
            exclusive,
            auto_delete,
            nowait: false,
            arguments,
        });
        let channel = self.0.0.clone();
        let declared = move |reply| match reply {
            Reply::Method(Method::QueueDeclareOk(declared)) => {
                channel.last_queue.set(&declared.queue);
                Some(QueueInfo {
                    name: declared.queue.as_str().into(),
                    messages: declared.message_count.into(),
                    unacked: 0, // not told at the wire
                    consumers: declared.consumer_count.into(),
                })
            }
            _ => None,
        };
        self.0.0.call(operation, on_queue(name), &method, declared)
    }

    fn delete_queue(&self, name: &str, if_unused: bool, if_empty: bool) -> Answer<u64> {
        let operation = "queue.delete";
        let queue = or_now!(queue_name(operation, name));
        let method = Method::QueueDelete(queue::Delete { queue, if_unused, if_empty, nowait: false });
        let deleted = answer!(Method::QueueDeleteOk(deleted) => deleted.message_count.into());
        self.0.0.call(operation, on_queue(name), &method, deleted)
    }

    fn purge_queue(&self, name: &str) -> Answer<u64> {
        let operation = "queue.purge";
        let method =
            Method::QueuePurge(queue::Purge { queue: or_now!(queue_name(operation, name)), nowait: false });
        let purged = answer!(Method::QueuePurgeOk(purged) => purged.message_count.into());
        self.0.0.call(operation, on_queue(name), &method, purged)
    }

    fn declare_exchange(
        &self,
        name: &str,
        kind: &str,
        passive: bool,
        options: ExchangeOptions,
    ) -> Answer<()> {
        let operation = "exchange.declare";
        let ExchangeOptions { durable, auto_delete, internal, arguments, .. } = options;
        let method = Method::ExchangeDeclare(exchange::Declare {
            exchange: or_now!(exchange_name(operation, name)),
            r#type: or_now!(short(operation, "exchange type", kind)),
            passive,
            durable,
            auto_delete,
            internal,
            nowait: false,
            arguments,
        });
        self.0.0.call(operation, on_exchange(name), &method, answer!(Method::ExchangeDeclareOk(_) => ()))
    }

    fn delete_exchange(&self, name: &str, if_unused: bool) -> Answer<()> {
        let operation = "exchange.delete";
        let exchange = or_now!(exchange_name(operation, name));
        let method = Method::ExchangeDelete(exchange::Delete { exchange, if_unused, nowait: false });
        self.0.0.call(operation, on_exchange(name), &method, answer!(Method::ExchangeDeleteOk(_) => ()))
    }

    fn bind_queue(&self, binding: Binding<'_>) -> Answer<()> {
        let (queue, exchange, routing_key) = or_now!(bound("queue.bind", &binding));
        let arguments = binding.arguments.clone();
        let method =
            Method::QueueBind(queue::Bind { queue, exchange, routing_key, nowait: false, arguments });
        let bound = answer!(Method::QueueBindOk(_) => ());
        self.0.0.call("queue.bind", ends("queue", &binding), &method, bound)
    }

    fn unbind_queue(&self, binding: Binding<'_>) -> Answer<()> {
        let (queue, exchange, routing_key) = or_now!(bound("queue.unbind", &binding));
        let arguments = binding.arguments.clone();
        let method = Method::QueueUnbind(queue::Unbind { queue, exchange, routing_key, arguments });
        let unbound = answer!(Method::QueueUnbindOk(_) => ());
        self.0.0.call("queue.unbind", ends("queue", &binding), &method, unbound)
    }

    fn bind_exchange(&self, binding: Binding<'_>) -> Answer<()> {
        let (destination, source, routing_key) = or_now!(bound("exchange.bind", &binding));
        let arguments = binding.arguments.clone();
        let bind = exchange::Bind { destination, source, routing_key, nowait: false, arguments };
        let bound = answer!(Method::ExchangeBindOk(_) => ());
        self.0.0.call("exchange.bind", ends("exchange", &binding), &Method::ExchangeBind(bind), bound)
    }

    fn unbind_exchange(&self, binding: Binding<'_>) -> Answer<()> {
        let (destination, source, routing_key) = or_now!(bound("exchange.unbind", &binding));
        let arguments = binding.arguments.clone();
        let unbind = exchange::Unbind { destination, source, routing_key, nowait: false, arguments };
        let unbound = answer!(Method::ExchangeUnbindOk(_) => ());
        self.0.0.call("exchange.unbind", ends("exchange", &binding), &Method::ExchangeUnbind(unbind), unbound)
    }

    fn qos(&self, count: u16, global: bool) -> Answer<()> {
        let method = Method::BasicQos(basic::Qos { prefetch_size: 0, prefetch_count: count, global });
        self.0.0.prefetch.lock()[usize::from(global)] = Some(count);
        self.0.0.call("basic.qos", String::new(), &method, answer!(Method::BasicQosOk(_) => ()))
    }

    fn publish(&self, publish: Publish<'_>) -> Result<Publishing> {
        self.publish_one(publish)
    }

    fn publish_all(&self, batch: &mut dyn Iterator<Item = Publish<'_>>) -> Result<BatchPublishing> {
        self.publish_many(batch)
    }

    fn consume(&self, options: &ConsumeOptions<'_>) -> Answer<Arc<dyn ConsumerDriver>> {
        let operation = "basic.consume";
        let ConsumeOptions { no_ack, exclusive, ref arguments, .. } = *options;
        let consume = basic::Consume {
            queue: or_now!(queue_name(operation, options.queue)),
            consumer_tag: or_now!(short(operation, "consumer tag", options.tag)),
            no_local: false,
            no_ack,
            exclusive,
            nowait: false,
            arguments: arguments.clone(),
        };
        let method = Method::BasicConsume(consume.clone());
        let (mine, prefetch) = (self.0.clone(), self.0.0.prefetch.lock()[0]);
        self.0.0.call(operation, on_queue(options.queue), &method, move |reply| match reply {
            Reply::Method(Method::BasicConsumeOk(basic::ConsumeOk { consumer_tag })) => {
                let queue = mine.0.last_queue.or(consume.queue);
                let consume = basic::Consume { consumer_tag, queue, ..consume };
                Some(Arc::new(Consumer::new(mine, consume, prefetch)) as Arc<dyn ConsumerDriver>)
            }
            _ => None,
        })
    }

    fn get(&self, name: &str, no_ack: bool) -> Answer<Option<Get>> {
        let operation = "basic.get";
        let method = Method::BasicGet(basic::Get { queue: or_now!(queue_name(operation, name)), no_ack });
        let channel = self.0.0.clone();
        let read = move |reply| match reply {
            Reply::Got(got) => {
                channel.ledger.lock().deliver(got.tag, no_ack);
                Some(Some(got))
            }
            Reply::Method(Method::BasicGetEmpty(_)) => Some(None),
            Reply::Method(_) => None,
        };
        let channel = self.0.0.clone();
        let put_back = move |got: Option<Get>| {
            if let Some(got) = got.filter(|_| !no_ack) {
                let _ = channel.settle(&[(got.tag, false)], Settle::Requeue); // fails when the channel is closed
            }
        };
        self.0.0.call_or(operation, on_queue(name), &method, read, put_back)
    }

    fn settle(&self, tags: &[(u64, bool)], how: Settle) -> Result<()> {
        self.0.0.settle(tags, how)
    }

    fn broker_tag(&self, tag: u64) -> Option<u64> {
        self.0.0.broker_tag(tag)
    }

    /// By a `basic.nack` of everything known: `basic.recover` has no tag, so that what is in the mailboxes could not be
    /// told from what came after it.
    fn recover(&self) -> Answer<()> {
        let channel = &self.0.0;
        or_now!(channel.check("basic.recover"));
        let entered = channel.connection.line.enter();
        let mut ledger = channel.ledger.lock();
        if let Some(last) = ledger.requeue_all() {
            for consumer in channel.consumers.lock().values() {
                consumer.mailbox.clear();
            }
            channel.send_settled(&[(last, true)], Settle::Requeue);
        }
        drop((ledger, entered));
        channel.connection.line.flush();
        now(Ok(()))
    }

    fn tx_select(&self) -> Answer<()> {
        let channel = &self.0.0;
        {
            let mut window = channel.window.lock();
            if window.mode == Mode::Fresh {
                window.mode = Mode::Transactional;
                channel.ledger.lock().begin();
            }
        }
        let selected = answer!(Method::TxSelectOk(_) => ());
        channel.call("tx.select", String::new(), &Method::TxSelect(tx::Select {}), selected)
    }

    fn tx_commit(&self) -> Answer<Vec<usize>> {
        let channel = &self.0.0;
        let (began, is_lost) = {
            let mut window = channel.window.lock();
            let began = window.close_transaction();
            (began, window.is_lost(began))
        };
        if is_lost {
            // What came after the failover was to take effect together with what is lost.
            drop(self.tx_rollback());
            return now(Err(lost_transaction()));
        }
        let is_transactional = channel.window.lock().mode == Mode::Transactional;
        if is_transactional {
            channel.ledger.lock().begin();
        }
        let committed = channel.clone();
        let commit = Method::TxCommit(tx::Commit {});
        let answer = channel.call("tx.commit", String::new(), &commit, move |reply| match reply {
            Reply::Method(Method::TxCommitOk(_)) => {
                let mut window = committed.window.lock();
                let unrouted = window.end_transaction();
                // It was asked for when the host was gone, and the next one has committed nothing.
                Some(if window.is_lost(began) { Err(lost_transaction()) } else { Ok(unrouted) })
            }
            _ => None,
        });
        Box::pin(async { answer.await? })
    }

    fn tx_rollback(&self) -> Answer<()> {
        let channel = &self.0.0;
        let is_transactional = {
            let mut window = channel.window.lock();
            window.close_transaction();
            window.mode == Mode::Transactional
        };
        if is_transactional {
            channel.ledger.lock().roll_back();
        }
        let rolled_back = channel.clone();
        let rollback = Method::TxRollback(tx::Rollback {});
        channel.call("tx.rollback", String::new(), &rollback, move |reply| match reply {
            Reply::Method(Method::TxRollbackOk(_)) => {
                rolled_back.window.lock().end_transaction();
                Some(())
            }
            _ => None,
        })
    }

    fn close(&self) -> Answer<()> {
        let channel = &self.0.0;
        if channel.connection.born.check("channel.close").is_err() {
            return now(Ok(()));
        }
        // On the runtime, so that it happens although nobody waits for it.
        let closing = channel.connection.runtime.spawn(channel.clone().close());
        Box::pin(async move {
            let _ = closing.await;
            Ok(())
        })
    }
}
