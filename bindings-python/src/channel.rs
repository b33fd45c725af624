//! Channels: what declares, binds, consumes and fetches. Each method gives an [`Answer`].

use std::future::Future;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use warrenmq::Result;
use warrenmq::client::{
    self, Binding, ConsumeOptions, ExchangeOptions, Get, QueueInfo, QueueOptions, Settle,
};
use warrenmq::routing;

use crate::acks::Acks;
use crate::answer::Answer;
use crate::caller::Caller;
use crate::consumer::Consumer;
use crate::error::OrRaise;
use crate::fork::Ours;
use crate::link::Link;
use crate::message::Message;
use crate::slot::{Open, Slot};
use crate::table;

/// An AMQP channel; or the connection's own, which is opened when it is needed and again after an error
/// closed it.
#[pyclass(frozen, module = "warrenmq._native")]
pub(crate) struct Channel(Ours<Arc<Slot>>);

impl Channel {
    pub(crate) fn of(link: Arc<Link>, channel: client::Channel) -> Self {
        Channel(Ours::new(Arc::new(Slot::fixed(link, channel))))
    }

    pub(crate) fn renewing(link: Arc<Link>) -> Self {
        Channel(Ours::new(Arc::new(Slot::renewing(link))))
    }

    pub(crate) fn slot(&self, operation: &'static str) -> Result<&Arc<Slot>> {
        self.0.get(operation)
    }

    /// Does something on the channel of the moment.
    fn act<T: Send + 'static, F: Future<Output = Result<T>> + Send>(
        &self,
        py: Python<'_>,
        operation: &'static str,
        act: impl FnOnce(Open) -> F + Send + 'static,
        convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> PyResult<Answer> {
        let slot = self.slot(operation).or_raise(py)?.clone();
        Ok(Answer::new(py, async move { act(slot.open().await?).await }, convert))
    }
}

fn nothing(py: Python<'_>, (): ()) -> PyResult<Py<PyAny>> {
    Ok(py.None())
}

fn count(py: Python<'_>, count: u64) -> PyResult<Py<PyAny>> {
    Ok(count.into_pyobject(py)?.into_any().unbind())
}

/// Name, messages that are ready, and consumers.
fn declared(py: Python<'_>, info: QueueInfo) -> PyResult<Py<PyAny>> {
    Ok((&*info.name, info.messages, info.consumers).into_pyobject(py)?.into_any().unbind())
}

#[pymethods]
impl Channel {
    #[getter]
    fn is_open(&self) -> bool {
        self.slot("channel").is_ok_and(|slot| slot.is_open())
    }

    /// Has ``callback`` called with every mandatory message that came back.
    fn on_return(&self, py: Python<'_>, callback: Py<PyAny>) -> PyResult<()> {
        // Dropped without the lock: a finalizer may call us.
        let replaced = self.slot("on").or_raise(py)?.returns.lock().replace(callback);
        drop(replaced);
        Ok(())
    }

    #[pyo3(signature = (name, passive, durable, exclusive, auto_delete, arguments))]
    #[allow(clippy::too_many_arguments)] // they are AMQP's
    fn declare_queue(
        &self,
        py: Python<'_>,
        name: String,
        passive: bool,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        arguments: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Answer> {
        let arguments = table::arguments("queue.declare", arguments)?;
        let options = QueueOptions { durable, exclusive, auto_delete, arguments };
        self.act(
            py,
            "queue.declare",
            move |open| async move { open.channel.declare_queue(&name, passive, options).await },
            declared,
        )
    }

    fn delete_queue(
        &self,
        py: Python<'_>,
        name: String,
        if_unused: bool,
        if_empty: bool,
    ) -> PyResult<Answer> {
        self.act(
            py,
            "queue.delete",
            move |open| async move { open.channel.delete_queue(&name, if_unused, if_empty).await },
            count,
        )
    }

    fn purge_queue(&self, py: Python<'_>, name: String) -> PyResult<Answer> {
        let purge = move |open: Open| async move { open.channel.purge_queue(&name).await };
        self.act(py, "queue.purge", purge, count)
    }

    #[pyo3(signature = (name, kind, passive, durable, auto_delete, internal, arguments))]
    #[allow(clippy::too_many_arguments)] // they are AMQP's
    fn declare_exchange(
        &self,
        py: Python<'_>,
        name: String,
        kind: String,
        passive: bool,
        durable: bool,
        auto_delete: bool,
        internal: bool,
        arguments: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Answer> {
        let arguments = table::arguments("exchange.declare", arguments)?;
        let options = ExchangeOptions {
            durable,
            auto_delete,
            internal,
            arguments,
            ..ExchangeOptions::new(routing::Kind::Direct)
        };
        self.act(
            py,
            "exchange.declare",
            move |open| async move { open.channel.declare_exchange(&name, &kind, passive, options).await },
            nothing,
        )
    }

    fn delete_exchange(&self, py: Python<'_>, name: String, if_unused: bool) -> PyResult<Answer> {
        let delete = move |open: Open| async move { open.channel.delete_exchange(&name, if_unused).await };
        self.act(py, "exchange.delete", delete, nothing)
    }

    /// Adds (or with ``add`` false, removes) a binding from an exchange to a queue, or to an exchange.
    #[pyo3(signature = (add, to_exchange, source, destination, routing_key, arguments))]
    #[allow(clippy::too_many_arguments)] // they are AMQP's
    fn bind(
        &self,
        py: Python<'_>,
        add: bool,
        to_exchange: bool,
        source: String,
        destination: String,
        routing_key: String,
        arguments: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Answer> {
        let operation = match (add, to_exchange) {
            (true, false) => "queue.bind",
            (false, false) => "queue.unbind",
            (true, true) => "exchange.bind",
            (false, true) => "exchange.unbind",
        };
        let arguments = table::arguments(operation, arguments)?;
        let bind = move |Open { channel, .. }: Open| async move {
            let binding = Binding {
                source: &source,
                destination: &destination,
                routing_key: &routing_key,
                arguments: &arguments,
            };
            match (add, to_exchange) {
                (true, false) => channel.bind_queue(binding).await,
                (false, false) => channel.unbind_queue(binding).await,
                (true, true) => channel.bind_exchange(binding).await,
                (false, true) => channel.unbind_exchange(binding).await,
            }
        };
        self.act(py, operation, bind, nothing)
    }

    /// Limits what is unacknowledged (`basic.qos`).
    fn prefetch(&self, py: Python<'_>, count: u16, global: bool) -> PyResult<Answer> {
        let qos = move |open: Open| async move { open.channel.qos(count, global).await };
        self.act(py, "basic.qos", qos, nothing)
    }

    /// Registers a consumer: on this channel, or if this is the connection's own, on one that it opens.
    /// Without ``prefetch`` the channel's holds.
    #[pyo3(signature = (queue, prefetch, no_ack, exclusive, tag, arguments))]
    #[allow(clippy::too_many_arguments)] // they are AMQP's
    fn consume(
        &self,
        py: Python<'_>,
        queue: String,
        prefetch: Option<u16>,
        no_ack: bool,
        exclusive: bool,
        tag: String,
        arguments: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Answer> {
        let arguments = table::arguments("basic.consume", arguments)?;
        let slot = self.slot("basic.consume").or_raise(py)?.clone();
        let registering = async move {
            let (channel, acks) = match slot.renewing {
                true => {
                    let channel = slot.link.connection.channel().await?;
                    // Half a window before the broker runs out of credit to send with.
                    let together = prefetch.map_or(1, |count| usize::from(count) / 2).clamp(1, 128);
                    let together = if prefetch == Some(0) { 128 } else { together };
                    (channel.clone(), Arc::new(Acks::new(&slot.link, channel, together, true)))
                }
                false => {
                    let Open { channel, acks } = slot.open().await?;
                    (channel, acks)
                }
            };
            if let Some(count) = prefetch {
                channel.qos(count, false).await?;
            }
            let stream = arguments.get("x-stream-offset").is_some();
            let options = ConsumeOptions { queue: &queue, tag: &tag, no_ack, exclusive, arguments };
            let consumer = channel.consume(&options).await?;
            Ok((consumer, channel, acks, stream))
        };
        Ok(Answer::new(py, registering, move |py, (consumer, channel, acks, stream)| {
            Ok(Py::new(py, Consumer::new(consumer, channel, acks, no_ack, stream))?.into_any())
        }))
    }

    /// Fetches one message, or None.
    fn get(&self, py: Python<'_>, queue: String, no_ack: bool) -> PyResult<Answer> {
        let get = move |Open { channel, acks }: Open| async move {
            let got = channel.get(&queue, no_ack).await?;
            Ok(got.map(|got| Fetched { got: Some(got), channel, acks, no_ack }))
        };
        self.act(py, "basic.get", get, |py, fetched| match fetched {
            Some(fetched) => fetched.message(py),
            None => Ok(py.None()),
        })
    }

    /// Has everything unacknowledged on this channel delivered again.
    fn recover(&self, py: Python<'_>) -> PyResult<Answer> {
        self.act(py, "basic.recover", |open| async move { open.channel.recover().await }, nothing)
    }

    /// Has publishes and acknowledgements of this channel wait for a commit from now on.
    fn tx_select(&self, py: Python<'_>) -> PyResult<Answer> {
        self.act(py, "tx.select", |open| async move { open.channel.tx_select().await }, nothing)
    }

    /// Has all that was published and acknowledged take effect; the indexes of the messages that no queue took.
    fn tx_commit(&self, py: Python<'_>) -> PyResult<Answer> {
        let commit = |open: Open| async move {
            let unrouted = open.channel.tx_commit().await?;
            open.acks.end_transaction(false);
            Ok(unrouted)
        };
        self.act(py, "tx.commit", commit, |py, unrouted| Ok(unrouted.into_pyobject(py)?.into_any().unbind()))
    }

    /// Forgets all that was published and acknowledged.
    fn tx_rollback(&self, py: Python<'_>) -> PyResult<Answer> {
        let roll_back = |open: Open| async move {
            open.channel.tx_rollback().await?;
            open.acks.end_transaction(true);
            Ok(())
        };
        self.act(py, "tx.rollback", roll_back, nothing)
    }

    /// A caller of remote procedures, on a channel of its own.
    fn caller(&self, py: Python<'_>) -> PyResult<Answer> {
        let link = self.slot("call").or_raise(py)?.link.clone();
        Ok(Answer::new(py, async move { Caller::open(&link.connection).await }, |py, caller| {
            Ok(Py::new(py, caller)?.into_any())
        }))
    }

    fn close(&self, py: Python<'_>) -> PyResult<Answer> {
        let slot = self.slot("channel.close").or_raise(py)?.clone();
        Ok(Answer::new(py, async move { slot.close().await }, nothing))
    }
}

/// A message that was fetched; goes back if nobody takes it over.
struct Fetched {
    got: Option<Get>,
    channel: client::Channel,
    acks: Arc<Acks>,
    no_ack: bool,
}

impl Fetched {
    fn message(mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let Some(got) = self.got.take() else { return Ok(py.None()) };
        let acks = (!self.no_ack).then(|| self.acks.clone());
        Ok(Py::new(py, Message::new(got.message, got.tag, got.redelivered, acks))?.into_any())
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        if let Some(got) = self.got.take()
            && !self.no_ack
        {
            let _ = self.channel.settle(&[(got.tag, false)], Settle::Requeue);
        }
    }
}
