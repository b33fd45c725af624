//! Publishing. `send` and `publish` are what a program calls for every message.

use std::borrow::Cow;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use warrenmq::client::{BatchOutcome, BatchPublishing, Outcome, Publishing};
use warrenmq::message::{self, route_key};
use warrenmq::{Error, Kind};

use crate::answer::{Answer, block_on};
use crate::body::{self, Form};
use crate::channel::Channel;
use crate::error::{OrRaise, exception, invalid};
use crate::message::Message;
use crate::properties::{self, Given, Plain};
use crate::receipt::{BatchReceipt, receipt};
use crate::slot::{Outgoing, Slot};

/// How many messages of a batch are under way at once: what a connection takes unawaited, and more.
const CHUNK: usize = 8192;

/// What a queue and an exchange publish with.
struct Publisher {
    channel: Py<Channel>,
    exchange: String,
    routing_key: String,
    persistent: bool,
    plain: Plain,
}

/// Published, or under way.
enum Sent {
    Done(Outcome),
    Pending(Answer),
}

/// A message that no queue took, kept to be raised.
struct Lost {
    slot: Arc<Slot>,
    message: message::Message,
}

impl Lost {
    fn new(slot: &Arc<Slot>, message: &Outgoing<'_>) -> Self {
        let route = route_key(message.exchange, message.routing_key);
        let body = message.body.again();
        Lost { slot: slot.clone(), message: message::Message::new(&route, message.properties, body) }
    }

    /// The exception that carries it. Who asked to be told of such messages is told first.
    fn raise(self, py: Python<'_>) -> PyErr {
        let reason = format!(
            "no queue is bound to exchange '{}' for routing key '{}'",
            self.message.exchange(),
            self.message.routing_key()
        );
        let error = Error::new(Kind::NoRoute, "basic.publish", reason)
            .advise("declare the queue and its binding before publishing, or leave mandatory out");
        let raised = exception(py, &error);
        let carry = || -> PyResult<()> {
            let message = Py::new(py, Message::unacknowledged(self.message))?;
            raised.value(py).setattr("message", &message)?;
            let told = self.slot.returns.lock().as_ref().map(|callback| callback.clone_ref(py));
            match told {
                Some(callback) => callback.call1(py, (message,)).map(drop),
                None => Ok(()),
            }
        };
        match carry() {
            Ok(()) => raised,
            Err(failure) => failure,
        }
    }
}

impl Publisher {
    fn new(channel: Py<Channel>, exchange: String, routing_key: String, persistent: bool) -> Self {
        Publisher { channel, exchange, routing_key, persistent, plain: Plain::new(persistent) }
    }

    /// Encoded properties for a body of this form.
    #[inline]
    fn encode<'a>(&'a self, given: Option<&Given>, form: Form) -> Cow<'a, [u8]> {
        match given {
            None => Cow::Borrowed(self.plain.of(form)),
            Some(given) => Cow::Owned(given.encode(self.persistent, form).into_vec()),
        }
    }

    /// Publishes with the GIL held: that is cheaper than to let it go and to get it back.
    #[inline]
    fn begin(
        &self,
        py: Python<'_>,
        body: &Bound<'_, PyAny>,
        routing_key: &str,
        mandatory: bool,
        given: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Sent> {
        let (body, form) = body::read("basic.publish", body)?;
        let given = given.map(|given| properties::read("basic.publish", given)).transpose()?;
        let message = Outgoing {
            exchange: &self.exchange,
            routing_key: short(py, "routing_key", routing_key)?,
            mandatory,
            properties: &self.encode(given.as_ref(), form),
            body,
        };
        let slot = self.channel.get().slot("basic.publish").or_raise(py)?;
        match slot.publish(&message).or_raise(py)? {
            Publishing::Done(outcome) if mandatory && !outcome.routed => {
                Err(Lost::new(slot, &message).raise(py))
            }
            Publishing::Done(outcome) => Ok(Sent::Done(outcome)),
            Publishing::Pending(answer) => {
                let lost = mandatory.then(|| Lost::new(slot, &message));
                Ok(Sent::Pending(Answer::later(answer, move |py, outcome| match lost {
                    Some(lost) if !outcome.routed => Err(lost.raise(py)),
                    _ => receipt(py, outcome),
                })))
            }
        }
    }

    #[inline]
    fn publish(
        &self,
        py: Python<'_>,
        body: &Bound<'_, PyAny>,
        routing_key: &str,
        mandatory: bool,
        given: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        match self.begin(py, body, routing_key, mandatory, given)? {
            Sent::Done(outcome) => receipt(py, outcome),
            Sent::Pending(answer) => answer.wait(py, None),
        }
    }

    /// A receipt, or the answer that will be one. For the asyncio layer.
    fn begin_publish(
        &self,
        py: Python<'_>,
        body: &Bound<'_, PyAny>,
        routing_key: &str,
        mandatory: bool,
        given: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        match self.begin(py, body, routing_key, mandatory, given)? {
            Sent::Done(outcome) => receipt(py, outcome),
            Sent::Pending(answer) => Ok(Py::new(py, answer)?.into_any()),
        }
    }

    /// Publishes the bodies that are there, all with the same properties.
    fn begin_batch(
        &self,
        py: Python<'_>,
        bodies: &[Bound<'_, PyAny>],
        routing_key: &str,
        given: Option<&Given>,
    ) -> PyResult<BatchPublishing> {
        let mut encoded: [Option<Cow<'_, [u8]>>; 3] = [None, None, None];
        let mut read = Vec::with_capacity(bodies.len());
        for (index, body) in bodies.iter().enumerate() {
            let (octets, form) = body::read("basic.publish", body)
                .map_err(|error| error.add_note(py, format!("in bodies[{index}]")).err().unwrap_or(error))?;
            encoded[form as usize].get_or_insert_with(|| self.encode(given, form));
            read.push((octets, form));
        }
        let routing_key = short(py, "routing_key", routing_key)?;
        let batch: Vec<_> = read
            .into_iter()
            .map(|(body, form)| Outgoing {
                exchange: &self.exchange,
                routing_key,
                mandatory: false,
                properties: encoded[form as usize].as_deref().unwrap_or(&[0, 0]),
                body,
            })
            .collect();
        self.channel.get().slot("basic.publish").or_raise(py)?.publish_all(&batch).or_raise(py)
    }

    fn publish_many(
        &self,
        py: Python<'_>,
        bodies: &Bound<'_, PyAny>,
        routing_key: &str,
        given: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<BatchReceipt> {
        let given = given.map(|given| properties::read("basic.publish", given)).transpose()?;
        let mut total = BatchOutcome::default();
        let mut bodies = iterate(bodies)?;
        loop {
            let chunk = bodies.by_ref().take(CHUNK).collect::<PyResult<Vec<_>>>()?;
            if chunk.is_empty() {
                return Ok(total.into());
            }
            let outcome = match self.begin_batch(py, &chunk, routing_key, given.as_ref())? {
                BatchPublishing::Done(outcome) => outcome,
                BatchPublishing::Pending(answer) => block_on(py, answer)?.or_raise(py)?,
            };
            total.unrouted.extend(outcome.unrouted.iter().map(|index| total.confirmed + index));
            total.confirmed += outcome.confirmed;
        }
    }

    /// A batch receipt, or the answer that will be one. For the asyncio layer.
    fn begin_publish_many(
        &self,
        py: Python<'_>,
        bodies: &Bound<'_, PyAny>,
        routing_key: &str,
        given: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let given = given.map(|given| properties::read("basic.publish", given)).transpose()?;
        let bodies = iterate(bodies)?.collect::<PyResult<Vec<_>>>()?;
        let made = |py: Python<'_>, outcome| Ok(Py::new(py, BatchReceipt::from(outcome))?.into_any());
        match self.begin_batch(py, &bodies, routing_key, given.as_ref())? {
            BatchPublishing::Done(outcome) => made(py, outcome),
            BatchPublishing::Pending(answer) => Ok(Py::new(py, Answer::later(answer, made))?.into_any()),
        }
    }
}

/// The bodies of a batch. One body by itself would be taken for a batch of its characters or octets.
fn iterate<'py>(
    bodies: &Bound<'py, PyAny>,
) -> PyResult<impl Iterator<Item = PyResult<Bound<'py, PyAny>>> + use<'py>> {
    use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyString};
    let alone = bodies.is_instance_of::<PyBytes>()
        || bodies.is_instance_of::<PyString>()
        || bodies.is_instance_of::<PyByteArray>()
        || bodies.is_instance_of::<PyMemoryView>()
        || bodies.is_instance_of::<PyDict>();
    match alone {
        true => Err(invalid(bodies.py(), "basic.publish", "bodies: one body, where a list of bodies is due")),
        false => bodies.try_iter(),
    }
}

/// A text that AMQP has room for.
#[inline]
fn short<'a>(py: Python<'_>, name: &str, text: &'a str) -> PyResult<&'a str> {
    match text.len() <= 255 {
        true => Ok(text),
        false => Err(invalid(py, "basic.publish", format!("{name}: longer than 255 octets"))),
    }
}

/// What a queue sends with: a publisher to the default exchange under the queue's name.
#[pyclass(frozen, subclass, module = "warrenmq._native")]
pub(crate) struct QueuePublisher(Publisher);

#[pymethods]
impl QueuePublisher {
    #[new]
    fn new(channel: Py<Channel>, name: String, persistent: bool) -> Self {
        QueuePublisher(Publisher::new(channel, String::new(), name, persistent))
    }

    /// The queue's name.
    #[getter]
    fn name(&self) -> &str {
        &self.0.routing_key
    }

    /// Sends a message to this queue: bytes as they are, str as UTF-8, anything else as JSON.
    ///
    /// Returns a Receipt once the broker has taken responsibility for it. Properties are keyword arguments
    /// (see ``warrenmq.Properties``); ``persistent`` is True unless said otherwise if the queue was declared durable.
    ///
    /// Raises InvalidArgument for what JSON would change silently, Nacked if the broker refuses the message, Closed if
    /// the connection is closed.
    ///
    /// >>> import warrenmq
    /// >>> with warrenmq.connect("inproc://") as mq:
    /// ...     mq.queue("tasks").send({"n": 30}, priority=1)
    /// Receipt(confirmed=True, routed=True)
    #[pyo3(signature = (body, **properties))]
    fn send(
        &self,
        py: Python<'_>,
        body: &Bound<'_, PyAny>,
        properties: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        self.0.publish(py, body, &self.0.routing_key, false, properties)
    }

    /// Sends messages to this queue in order, all with the same properties; cheaper than one by one.
    ///
    /// Returns a BatchReceipt. Raises what ``send`` does; then those before have been sent.
    #[pyo3(signature = (bodies, **properties))]
    fn send_many(
        &self,
        py: Python<'_>,
        bodies: &Bound<'_, PyAny>,
        properties: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<BatchReceipt> {
        self.0.publish_many(py, bodies, &self.0.routing_key, properties)
    }

    /// A receipt, or the answer that will be one. For the asyncio layer.
    #[pyo3(signature = (body, **properties))]
    fn begin_send(
        &self,
        py: Python<'_>,
        body: &Bound<'_, PyAny>,
        properties: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        self.0.begin_publish(py, body, &self.0.routing_key, false, properties)
    }

    /// A batch receipt, or the answer that will be one. For the asyncio layer.
    #[pyo3(signature = (bodies, **properties))]
    fn begin_send_many(
        &self,
        py: Python<'_>,
        bodies: &Bound<'_, PyAny>,
        properties: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        self.0.begin_publish_many(py, bodies, &self.0.routing_key, properties)
    }
}

/// What an exchange publishes with.
#[pyclass(frozen, subclass, module = "warrenmq._native")]
pub(crate) struct ExchangePublisher(Publisher);

#[pymethods]
impl ExchangePublisher {
    #[new]
    fn new(py: Python<'_>, channel: Py<Channel>, name: String, persistent: bool) -> PyResult<Self> {
        short(py, "exchange", &name)?;
        Ok(ExchangePublisher(Publisher::new(channel, name, String::new(), persistent)))
    }

    /// The exchange's name; empty for the default exchange.
    #[getter]
    fn name(&self) -> &str {
        &self.0.exchange
    }

    /// Publishes a message to this exchange: bytes as they are, str as UTF-8, anything else as JSON.
    ///
    /// Returns a Receipt, which says whether a queue took the message. With ``mandatory=True`` it is an error if none
    /// did: raises Unroutable, which carries the message, and fires the event ``return``. Else as ``Queue.send``.
    ///
    /// >>> import warrenmq
    /// >>> with warrenmq.connect("inproc://") as mq:
    /// ...     mq.exchange("logs", "fanout").publish("nobody listens")
    /// Receipt(confirmed=True, routed=False)
    #[pyo3(signature = (body, routing_key="", *, mandatory=false, **properties))]
    fn publish(
        &self,
        py: Python<'_>,
        body: &Bound<'_, PyAny>,
        routing_key: &str,
        mandatory: bool,
        properties: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        self.0.publish(py, body, routing_key, mandatory, properties)
    }

    /// Publishes messages in order, all with the same routing key and properties; cheaper than one by one.
    ///
    /// Returns a BatchReceipt. Raises what ``publish`` does; then those before have been published.
    #[pyo3(signature = (bodies, routing_key="", **properties))]
    fn publish_many(
        &self,
        py: Python<'_>,
        bodies: &Bound<'_, PyAny>,
        routing_key: &str,
        properties: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<BatchReceipt> {
        self.0.publish_many(py, bodies, routing_key, properties)
    }

    /// A receipt, or the answer that will be one. For the asyncio layer.
    #[pyo3(signature = (body, routing_key, mandatory, **properties))]
    fn begin_publish(
        &self,
        py: Python<'_>,
        body: &Bound<'_, PyAny>,
        routing_key: &str,
        mandatory: bool,
        properties: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        self.0.begin_publish(py, body, routing_key, mandatory, properties)
    }

    /// A batch receipt, or the answer that will be one. For the asyncio layer.
    #[pyo3(signature = (bodies, routing_key, **properties))]
    fn begin_publish_many(
        &self,
        py: Python<'_>,
        bodies: &Bound<'_, PyAny>,
        routing_key: &str,
        properties: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        self.0.begin_publish_many(py, bodies, routing_key, properties)
    }
}
