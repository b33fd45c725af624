//! Messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use warrenmq::client::Settle;
use warrenmq::wire::Value;
use warrenmq::{Error, Kind, message};

use crate::acks::{self, Acks};
use crate::error::{OrRaise, exception, invalid};
use crate::{properties, table};

/// A message that was received.
///
/// >>> import warrenmq
/// >>> with warrenmq.connect("inproc://") as mq:
/// ...     tasks = mq.queue("tasks")
/// ...     receipt = tasks.send({"n": 30}, message_id="m-1")
/// ...     message = tasks.get()
/// ...     message.json(), message.properties["message_id"]
/// ...     message.ack()
/// ({'n': 30}, 'm-1')
#[pyclass(frozen, freelist = 1024, module = "warrenmq")]
pub(crate) struct Message {
    message: message::Message,
    /// Made when it is first asked for.
    body: PyOnceLock<Py<PyBytes>>,
    tag: u64,
    redelivered: bool,
    /// 0, or the mark of when it was settled; see `Acks::mark`.
    settled: AtomicU64,
    /// None when there is nothing to acknowledge.
    acks: Option<Arc<Acks>>,
}

impl Message {
    #[inline]
    pub(crate) fn new(
        message: message::Message,
        tag: u64,
        redelivered: bool,
        acks: Option<Arc<Acks>>,
    ) -> Self {
        Message { message, body: PyOnceLock::new(), tag, redelivered, settled: AtomicU64::new(0), acks }
    }

    /// A message that came back, or one that needs no acknowledgement.
    pub(crate) fn unacknowledged(message: message::Message) -> Self {
        Self::new(message, 0, false, None)
    }

    /// The way to acknowledge it.
    #[inline]
    fn acks(&self, py: Python<'_>, operation: &'static str) -> PyResult<&Acks> {
        self.acks.as_deref().ok_or_else(|| {
            let reason = "nothing to acknowledge: it was received with no_ack=True, or came back unrouted";
            exception(py, &Error::new(Kind::PreconditionFailed, operation, reason))
        })
    }

    /// Marks the message settled; the way there, unless it was before.
    #[inline]
    fn settle(&self, py: Python<'_>, operation: &'static str) -> PyResult<&Acks> {
        let acks = self.acks(py, operation)?;
        let mark = acks.mark(operation).or_raise(py)?;
        match self.settled.compare_exchange(0, mark, Relaxed, Relaxed) {
            Ok(_) => Ok(acks),
            Err(before)
                if !acks.is_settled(before)
                    && self.settled.compare_exchange(before, mark, Relaxed, Relaxed).is_ok() =>
            {
                Ok(acks)
            }
            Err(_) => Err(exception(py, &acks::settled(operation))),
        }
    }

    fn header(&self, name: &str) -> Option<Value> {
        self.message.properties().headers()?.get(name).cloned()
    }

    fn decoded(&self, py: Python<'_>) -> PyResult<Py<PyString>> {
        match std::str::from_utf8(self.message.body()) {
            Ok(text) => Ok(PyString::new(py, text).unbind()),
            Err(error) => {
                let error = Error::new(Kind::InvalidArgument, "message.text", "the body is not UTF-8")
                    .on(self.__repr__())
                    .caused_by(error);
                Err(exception(py, &error))
            }
        }
    }
}

#[pymethods]
impl Message {
    /// The body, as it was sent.
    #[getter]
    fn body(&self, py: Python<'_>) -> Py<PyBytes> {
        if let Some(body) = self.body.get(py) {
            return body.clone_ref(py);
        }
        // Not `get_or_init`, which lets the GIL go: that would cost more than all the rest of a message.
        let body = PyBytes::new(py, self.message.body()).unbind();
        match self.body.set(py, body.clone_ref(py)) {
            Ok(()) => body,
            Err(late) => self.body.get(py).map_or(late, |first| first.clone_ref(py)),
        }
    }

    /// The body as text. InvalidArgument if it is not UTF-8.
    fn text(&self, py: Python<'_>) -> PyResult<Py<PyString>> {
        self.decoded(py)
    }

    /// The body as what its JSON stands for. InvalidArgument if it is not JSON.
    fn json(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        static DECODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let decode = DECODE.import(py, "warrenmq._json", "decode")?;
        decode.call1((self.decoded(py)?,)).map(Bound::unbind).map_err(|cause| {
            let reason = format!("the body is not JSON: {}", cause.value(py));
            let raised =
                exception(py, &Error::new(Kind::InvalidArgument, "message.json", reason).on(self.__repr__()));
            raised.set_cause(py, Some(cause));
            raised
        })
    }

    /// The body by its content type: JSON as what it stands for, ``text/*`` as str, anything else as bytes.
    fn value(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let content_type = self.content_type().unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/json") {
            return self.json(py);
        }
        match media_type.get(..5) {
            Some(start) if start.eq_ignore_ascii_case("text/") => self.text(py).map(Py::into_any),
            _ => Ok(self.body(py).into_any()),
        }
    }

    /// Says that the message is done with, or with ``multiple=True`` that all are that its channel received up to
    /// it. Leaves together with others, within 5 ms.
    ///
    /// Raises PreconditionFailed if it was settled before or needs no acknowledgement, Closed if its channel is
    /// gone (then the broker delivers it again).
    #[pyo3(signature = (multiple=false))]
    fn ack(&self, py: Python<'_>, multiple: bool) -> PyResult<()> {
        self.settle(py, "basic.ack")?.ack(self.tag, multiple).or_raise(py)
    }

    /// Says that the message was not done: it goes back to its place in the queue, or with ``requeue=False`` away.
    /// With ``multiple=True`` so do all that its channel received up to it. Raises what ``ack`` does.
    #[pyo3(signature = (requeue=true, multiple=false))]
    fn nack(&self, py: Python<'_>, requeue: bool, multiple: bool) -> PyResult<()> {
        let how = if requeue { Settle::Requeue } else { Settle::Reject };
        self.settle(py, "basic.nack")?.refuse("basic.nack", self.tag, multiple, how).or_raise(py)
    }

    /// The same for this message alone.
    #[pyo3(signature = (requeue=true))]
    fn reject(&self, py: Python<'_>, requeue: bool) -> PyResult<()> {
        let how = if requeue { Settle::Requeue } else { Settle::Reject };
        self.settle(py, "basic.reject")?.refuse("basic.reject", self.tag, false, how).or_raise(py)
    }

    /// Puts off when the message must be acknowledged, to so many milliseconds from now. For a queue that has a
    /// ``consumer_timeout``, from which a delivery that takes longer goes back.
    ///
    /// Returns at once, as ``ack``. Raises what ``ack`` does; where the broker is not WarrenMQ, the channel's next ack
    /// raises Unsupported.
    fn extend(&self, py: Python<'_>, milliseconds: i64) -> PyResult<()> {
        let Ok(milliseconds) = u64::try_from(milliseconds) else {
            let reason = format!("milliseconds: {milliseconds} is less than 0");
            return Err(invalid(py, "extend", reason));
        };
        let acks = self.acks(py, "extend")?;
        if acks.is_settled(self.settled.load(Relaxed)) {
            return Err(exception(py, &acks::settled("extend")));
        }
        acks.extend(self.tag, milliseconds).or_raise(py)
    }

    /// Whether it may have been delivered before.
    #[getter]
    fn redelivered(&self) -> bool {
        self.redelivered
    }

    /// Its number among the deliveries of its channel, from 1; 0 if it was not delivered.
    #[getter]
    fn delivery_tag(&self) -> u64 {
        self.tag
    }

    /// The exchange that it was published to; empty for the default exchange.
    #[getter]
    fn exchange(&self) -> &str {
        self.message.exchange()
    }

    /// The routing key that it was published with.
    #[getter]
    fn routing_key(&self) -> &str {
        self.message.routing_key()
    }

    /// Its headers; empty if it has none.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        table::to_dict(py, &self.message.properties().headers().unwrap_or_default())
    }

    /// How often it was delivered before and came back (the header ``x-delivery-count``); 0 if the broker does not
    /// count.
    #[getter]
    fn delivery_count(&self) -> i64 {
        self.header("x-delivery-count").and_then(|count| count.as_integer()).unwrap_or(0)
    }

    /// Why it was dead-lettered, the latest first (the header ``x-death``): each with ``queue``, ``reason``
    /// (``expired``, ``rejected``, ``maxlen`` or ``delivery_limit``), ``count``, ``exchange``, ``routing-keys`` and
    /// ``time``. Empty if it was not.
    #[getter]
    fn deaths<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.header("x-death") {
            Some(deaths @ Value::Array(_)) => table::to_object(py, &deaths),
            _ => Ok(PyList::empty(py).into_any()),
        }
    }

    /// The properties that it has, under the names that ``send`` takes; and ``delivery_mode``, 2 if it is persistent.
    #[getter]
    fn properties<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        properties::to_dict(py, self.message.properties())
    }

    /// What the body is, as a media type.
    #[getter]
    fn content_type(&self) -> Option<&str> {
        self.message.properties().content_type()
    }

    /// Which request it answers, or what the answer to it is to carry.
    #[getter]
    fn correlation_id(&self) -> Option<&str> {
        self.message.properties().correlation_id()
    }

    /// The queue that the answer to it is to go to.
    #[getter]
    fn reply_to(&self) -> Option<&str> {
        self.message.properties().reply_to()
    }

    /// What kind of message it is, in the application's terms.
    #[getter]
    fn r#type(&self) -> Option<&str> {
        self.message.properties().r#type()
    }

    fn __repr__(&self) -> String {
        format!(
            "<Message {} of {} bytes, exchange '{}', routing key '{}'>",
            self.tag,
            self.message.body().len(),
            self.message.exchange(),
            self.message.routing_key()
        )
    }
}
