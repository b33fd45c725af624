//! Consumers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyo3::prelude::*;
use warrenmq::client::{self, Delivery, Settle};
use warrenmq::{Kind, Result};

use crate::acks::Acks;
use crate::answer::{Answer, leave};
use crate::bridge::Bridge;
use crate::connection::duration;
use crate::error::OrRaise;
use crate::fork::Ours;
use crate::message::Message;
use crate::signals;

/// How many messages are taken from the broker in one go.
const BATCH: usize = 256;

/// Receives the messages of a queue: iterate over it, or ``get`` them one by one. Any thread may.
///
/// Leaving its ``with`` block, or letting go of it (as ``break`` does in ``for message in queue.consume()``), ends it,
/// and what was not acknowledged goes back to the queue. A consumer of a Channel's queue shares that channel: what it
/// handed out stays with the channel.
///
/// >>> import warrenmq
/// >>> with warrenmq.connect("inproc://") as mq:
/// ...     tasks = mq.queue("tasks")
/// ...     receipt = tasks.send("hello")
/// ...     for message in tasks.consume(prefetch=10):
/// ...         print(message.text())
/// ...         message.ack()
/// ...         break
/// hello
#[pyclass(frozen, module = "warrenmq")]
pub(crate) struct Consumer {
    inner: Ours<Arc<Inner>>,
    #[pyo3(get)]
    /// What the broker knows it by.
    tag: String,
}

struct Inner {
    consumer: client::Consumer,
    channel: client::Channel,
    acks: Arc<Acks>,
    no_ack: bool,
    /// It reads a stream, where messages stay and none can be put back.
    stream: bool,
    /// Taken and not yet handed out, last first.
    taken: Mutex<Vec<Delivery>>,
    cancelled: AtomicBool,
}

impl Inner {
    /// The next message if one is there; Err once none can come any more.
    #[inline]
    fn next(&self) -> Result<Option<Message>> {
        let mut taken = self.taken.lock();
        if taken.is_empty() {
            self.acks.flush()?;
            self.consumer.take(BATCH, &mut taken)?;
            taken.reverse();
        }
        Ok(taken.pop().map(|Delivery { tag, redelivered, message }| {
            Message::new(message, tag, redelivered, (!self.no_ack).then(|| self.acks.clone()))
        }))
    }

    /// Ends the consumer; what was not handed out goes back. With `close`, so does what was not acknowledged
    /// on a channel of its own.
    async fn end(self: Arc<Self>, close: bool) -> Result<()> {
        if !self.cancelled.swap(true, Relaxed) {
            match self.consumer.cancel().await {
                // It ended before, with its queue, its channel or its connection.
                Err(error) if error.kind() == Kind::Closed => {}
                result => result?,
            }
            self.put_back()?;
        }
        if close { self.acks.close().await } else { self.acks.flush() }
    }

    fn put_back(&self) -> Result<()> {
        if self.no_ack {
            return Ok(()); // gone from the queue when they left it: they can still be received
        }
        let mut taken = self.taken.lock();
        let mut rest = Vec::new();
        while self.consumer.take(BATCH, &mut rest).is_ok() && !rest.is_empty() {
            taken.append(&mut rest);
        }
        let tags: Vec<_> = taken.drain(..).map(|delivery| (delivery.tag, false)).collect();
        match tags.is_empty() || self.stream {
            true => Ok(()),
            false => self.channel.settle(&tags, Settle::Requeue),
        }
    }
}

impl Consumer {
    pub(crate) fn new(
        consumer: client::Consumer,
        channel: client::Channel,
        acks: Arc<Acks>,
        no_ack: bool,
        stream: bool,
    ) -> Self {
        let tag = consumer.tag().to_owned();
        let (taken, cancelled) = (Mutex::default(), AtomicBool::new(false));
        let inner = Inner { consumer, channel, acks, no_ack, stream, taken, cancelled };
        Consumer { inner: Ours::new(Arc::new(inner)), tag }
    }

    fn inner(&self, py: Python<'_>) -> PyResult<&Arc<Inner>> {
        self.inner.get("basic.consume").or_raise(py)
    }

    /// The next message if one is there. `Err(None)` once the consumer was cancelled.
    #[inline]
    fn next(&self, py: Python<'_>) -> PyResult<std::result::Result<Option<Message>, Ended>> {
        let inner = self.inner(py)?;
        match inner.next() {
            Ok(message) => Ok(Ok(message)),
            Err(error) if error.kind() == Kind::Closed && inner.cancelled.load(Relaxed) => Ok(Err(Ended)),
            Err(error) => Err(error).or_raise(py),
        }
    }

    /// The next message, waited for. None when the time ran out or the consumer was cancelled.
    #[inline]
    fn wait(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<Option<Message>> {
        match self.next(py)? {
            Ok(None) => self.wait_longer(py, timeout),
            Ok(message) => Ok(message),
            Err(Ended) => Ok(None),
        }
    }

    fn wait_longer(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<Option<Message>> {
        // A time beyond what the clock can count is as good as none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let consumer = &self.inner(py)?.consumer;
        loop {
            if !py.detach(|| wait(consumer, deadline))? {
                return Ok(None);
            }
            match self.next(py)? {
                Ok(None) => {} // another thread was quicker
                Ok(message) => return Ok(message),
                Err(Ended) => return Ok(None),
            }
        }
    }
}

/// The consumer was cancelled, and has nothing left to give.
struct Ended;

/// Waits until the consumer has something to say, answering Ctrl-C. False when the time ran out before.
fn wait(consumer: &client::Consumer, deadline: Option<Instant>) -> PyResult<bool> {
    let slices = signals::are_ours();
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let patience = match left {
            Some(left) if slices => Some(left.min(signals::SLICE)),
            None if slices => Some(signals::SLICE),
            left => left,
        };
        if consumer.wait(patience) {
            return Ok(true);
        }
        if slices {
            signals::handle()?;
        }
        if left.is_some_and(|left| Some(left) == patience) {
            return Ok(false);
        }
    }
}

#[pymethods]
impl Consumer {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Message>> {
        self.wait(py, None)
    }

    /// The next message; None when none came within ``timeout`` seconds (without one it waits for ever, with 0
    /// not at all) or the consumer was cancelled. Raises Closed when its queue, channel or connection is gone.
    #[pyo3(signature = (timeout=None))]
    fn get(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Message>> {
        let timeout = timeout.map(|seconds| duration(py, "basic.consume", seconds)).transpose()?;
        self.wait(py, timeout)
    }

    /// Ends the consumer: what it has not handed out goes back to the queue, what it has can still be acknowledged.
    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        self.ending(py, false)?.wait(py, None).map(drop)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, pyo3::types::PyTuple>) -> PyResult<()> {
        self.ending(py, true)?.wait(py, None).map(drop)
    }

    /// Ends the consumer, with ``close`` its own channel too. For the asyncio layer.
    fn ending(&self, py: Python<'_>, close: bool) -> PyResult<Answer> {
        let inner = self.inner(py)?.clone();
        Ok(Answer::new(py, inner.end(close), |py, ()| Ok(py.None())))
    }

    /// The next message if one is there, else None; ``ended`` tells which. For the asyncio layer.
    fn take(&self, py: Python<'_>) -> PyResult<Option<Message>> {
        match self.next(py)? {
            Ok(message) => Ok(message),
            Err(Ended) => Ok(None),
        }
    }

    /// Whether it was cancelled. For the asyncio layer.
    #[getter]
    fn cancelled(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.inner(py)?.cancelled.load(Relaxed))
    }

    /// Has the bridge's loop call what the weak reference ``wake`` refers to whenever something comes. For the
    /// asyncio layer.
    fn on_ready(&self, py: Python<'_>, bridge: &Bridge, wake: Py<PyAny>) -> PyResult<()> {
        let bridge = bridge.shared().clone();
        let wake = Arc::new(wake);
        self.inner(py)?.consumer.on_ready(Arc::new(move || bridge.ring(wake.clone())));
        Ok(())
    }

    fn __repr__(&self) -> String {
        format!("<Consumer '{}'>", self.tag)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if let Ok(inner) = self.inner.get("basic.cancel") {
            // Who cancelled it may still acknowledge what it handed out: the channel goes with the last of that.
            let close = !inner.cancelled.load(Relaxed);
            let inner = inner.clone();
            leave(Box::pin(async move { drop(inner.end(close).await) }));
        }
    }
}
