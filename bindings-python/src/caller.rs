//! Remote calls over direct reply-to (<https://www.rabbitmq.com/docs/direct-reply-to>): requests go out on the
//! channel that consumes the replies, and whoever brings a reply wakes its caller.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::sync::oneshot;
use warrenmq::client::{self, ConsumeOptions, Delivery, Publish, Publishing};
use warrenmq::message::Message as Raw;
use warrenmq::{Error, Kind, Result};

use crate::answer::Answer;
use crate::body;
use crate::connection::duration;
use crate::error::OrRaise;
use crate::fork::Ours;
use crate::message::Message;
use crate::properties;

/// The pseudo-queue of direct reply-to.
const REPLIES: &str = "amq.rabbitmq.reply-to";

/// Calls remote procedures, any number at a time.
#[pyclass(frozen, module = "warrenmq._native")]
pub(crate) struct Caller(Ours<Arc<Inner>>);

struct Inner {
    channel: client::Channel,
    consumer: client::Consumer,
    next: AtomicU64,
    /// Who waits for the reply with this correlation id.
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<Raw>>>>,
}

/// A caller's place among those that wait; given up when it is dropped.
struct Place {
    inner: Arc<Inner>,
    id: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.inner.waiting.lock().remove(&self.id);
    }
}

impl Inner {
    /// Hands every reply that has come to its caller. A late one is nobody's, and dropped.
    fn sort(&self) {
        let mut replies = Vec::new();
        let failed = loop {
            if let Err(error) = self.consumer.take(64, &mut replies) {
                break Some(error);
            }
            if replies.is_empty() {
                break None;
            }
            for Delivery { message, .. } in replies.drain(..) {
                let id = message.properties().correlation_id().and_then(|id| id.parse::<u64>().ok());
                let caller = id.and_then(|id| self.waiting.lock().remove(&id));
                if let Some(caller) = caller {
                    let _ = caller.send(Ok(message));
                }
            }
        };
        if let Some(error) = failed {
            for (_, caller) in self.waiting.lock().drain() {
                let _ = caller.send(Err(error.clone()));
            }
        }
    }
}

impl Caller {
    pub(crate) async fn open(connection: &client::Connection) -> Result<Caller> {
        let channel = connection.channel().await?;
        let options = ConsumeOptions { queue: REPLIES, no_ack: true, ..ConsumeOptions::default() };
        let consumer = channel.consume(&options).await?;
        let (next, waiting) = (AtomicU64::new(1), Mutex::default());
        let inner = Arc::new(Inner { channel, consumer, next, waiting });
        let me: Weak<Inner> = Arc::downgrade(&inner);
        inner.consumer.on_ready(Arc::new(move || {
            if let Some(inner) = me.upgrade() {
                inner.sort();
            }
        }));
        Ok(Caller(Ours::new(inner)))
    }
}

#[pymethods]
impl Caller {
    /// Whether it can still be used.
    #[getter]
    fn is_open(&self) -> bool {
        self.0.get("call").is_ok_and(|inner| inner.channel.is_open())
    }

    /// Sends a request to a queue; the answer is the reply, a Message.
    #[pyo3(signature = (queue, body, timeout, **properties))]
    fn call(
        &self,
        py: Python<'_>,
        queue: String,
        body: &Bound<'_, PyAny>,
        timeout: f64,
        properties: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Answer> {
        let inner = self.0.get("call").or_raise(py)?;
        let timeout = duration(py, "call", timeout)?;
        let (body, form) = body::read("call", body)?;
        let mut given =
            properties.map(|given| properties::read("call", given)).transpose()?.unwrap_or_default();
        let id = inner.next.fetch_add(1, Relaxed);
        given.reply_to(REPLIES, &id.to_string());

        let (sender, reply) = oneshot::channel();
        inner.waiting.lock().insert(id, sender);
        let place = Place { inner: inner.clone(), id };
        let publish = Publish {
            exchange: "",
            routing_key: &queue,
            mandatory: true,
            properties: &given.encode(false, form),
            body,
        };
        let publishing = inner.channel.publish(publish).or_raise(py)?;
        let answer = answered(queue, publishing, reply, timeout, place);
        Ok(Answer::later(answer, |py, reply| Ok(Py::new(py, Message::unacknowledged(reply))?.into_any())))
    }

    /// Closes the channel; who still waits for a reply is told.
    fn close(&self, py: Python<'_>) -> PyResult<Answer> {
        let inner = self.0.get("call").or_raise(py)?.clone();
        let closing = async move {
            let closed = inner.channel.close().await;
            inner.sort();
            closed
        };
        Ok(Answer::new(py, closing, |py, ()| Ok(py.None())))
    }
}

async fn answered(
    queue: String,
    publishing: Publishing,
    reply: oneshot::Receiver<Result<Raw>>,
    timeout: Duration,
    place: Place,
) -> Result<Raw> {
    let exchange = async {
        let outcome = match publishing {
            Publishing::Done(outcome) => outcome,
            Publishing::Pending(answer) => answer.await?,
        };
        if !outcome.routed {
            let error = Error::new(Kind::NoRoute, "call", "there is no such queue, so nobody serves it");
            return Err(error.on(format!("queue '{queue}'")).advise("start its server first"));
        }
        match reply.await {
            Ok(reply) => reply,
            Err(_) => {
                Err(Error::new(Kind::Closed, "call", "the connection was closed before the reply came"))
            }
        }
    };
    let answered = tokio::time::timeout(timeout, exchange).await.unwrap_or_else(|_| {
        let reason = format!("no reply within {} s", timeout.as_secs_f64());
        let error = Error::new(Kind::Timeout, "call", reason).on(format!("queue '{queue}'"));
        Err(error.advise("see whether its server runs, or give it more time"))
    });
    drop(place);
    answered
}
