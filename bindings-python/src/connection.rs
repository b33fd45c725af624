//! Connections.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::prelude::*;
use warrenmq::client::{self, ConnectOptions, ConnectionEvent, Url};

use crate::answer::{Answer, Value};
use crate::bridge::Bridge;
use crate::channel::Channel;
use crate::error::{OrRaise, exception, invalid};
use crate::fork::Ours;
use crate::link::Link;

/// A connection to a broker.
#[pyclass(frozen, module = "warrenmq._native")]
pub(crate) struct Connection(Ours<Arc<Link>>);

impl Connection {
    fn link(&self, py: Python<'_>, operation: &'static str) -> PyResult<&Arc<Link>> {
        self.0.get(operation).or_raise(py)
    }
}

/// Connects to the broker that the URL names, within ``timeout`` seconds.
#[pyfunction]
#[pyo3(signature = (url, name, timeout, host_timeout, listen))]
pub(crate) fn connect(
    py: Python<'_>,
    url: String,
    name: Option<String>,
    timeout: f64,
    host_timeout: Option<f64>,
    listen: Vec<String>,
) -> PyResult<Answer> {
    let timeout = duration(py, "connect", timeout)?;
    let host_timeout = host_timeout.map(|seconds| duration(py, "connect", seconds)).transpose()?;
    let local = matches!(Url::parse(&url).or_raise(py)?, Url::Inproc { .. });
    let options = ConnectOptions { name, timeout, host_timeout, listen, ..ConnectOptions::default() };
    let open = async move { client::Connection::open(&url, &options).await };
    let convert = |py: Python<'_>, connection| {
        Ok(Py::new(py, Connection(Ours::new(Link::new(connection))))?.into_any())
    };
    Ok(if local { Answer::new(py, open, convert) } else { Answer::later(open, convert) })
}

/// Seconds as a duration; a negative or unbounded number is an error.
pub(crate) fn duration(py: Python<'_>, operation: &'static str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| invalid(py, operation, format!("timeout: {seconds} is not a number of seconds")))
}

/// An event as the Python layer gets it: its name, and what there is to say about it.
fn told(event: ConnectionEvent) -> Value {
    Box::new(move |py| {
        let (name, about) = match event {
            ConnectionEvent::Blocked(reason) => ("blocked", reason.into_pyobject(py)?.into_any()),
            ConnectionEvent::Unblocked => ("unblocked", py.None().into_bound(py)),
            ConnectionEvent::Reconnected => ("reconnected", py.None().into_bound(py)),
            ConnectionEvent::Unresponsive(error) => {
                ("unresponsive", exception(py, &error).into_value(py).into_bound(py).into_any())
            }
            ConnectionEvent::Responsive => ("responsive", py.None().into_bound(py)),
            ConnectionEvent::Closed(None) => ("close", py.None().into_bound(py)),
            ConnectionEvent::Closed(Some(error)) => {
                ("close", exception(py, &error).into_value(py).into_bound(py).into_any())
            }
        };
        Ok((name, about).into_pyobject(py)?.into_any().unbind())
    })
}

#[pymethods]
impl Connection {
    /// The URL's scheme.
    #[getter]
    fn transport(&self, py: Python<'_>) -> PyResult<&'static str> {
        Ok(self.link(py, "connection")?.connection.transport())
    }

    /// Whether it can still be used; in the child of a fork it cannot.
    #[getter]
    fn is_open(&self) -> bool {
        self.0.get("connection").is_ok_and(|link| link.connection.is_open())
    }

    /// Opens a channel.
    fn open_channel(&self, py: Python<'_>) -> PyResult<Answer> {
        let link = self.link(py, "channel.open")?.clone();
        let opened = async move {
            let channel = link.connection.channel().await?;
            Ok((link, channel))
        };
        Ok(Answer::new(py, opened, |py, (link, channel)| {
            Ok(Py::new(py, Channel::of(link, channel))?.into_any())
        }))
    }

    /// A channel that is opened when it is first used, and again after an error closed it.
    fn renewing_channel(&self, py: Python<'_>) -> PyResult<Channel> {
        Ok(Channel::renewing(self.link(py, "channel.open")?.clone()))
    }

    /// Lets AMQP clients in; where it listens.
    fn listen(&self, py: Python<'_>, address: String) -> PyResult<Answer> {
        let connection = self.link(py, "listen")?.connection.clone();
        let listening = async move { connection.listen(&address).await };
        Ok(Answer::new(py, listening, |py, address| {
            Ok(address.to_string().into_pyobject(py)?.into_any().unbind())
        }))
    }

    /// Where AMQP clients come in by this connection.
    #[getter]
    fn listening(&self) -> Vec<String> {
        let addresses = self.0.get("listening").map(|link| link.connection.listening()).unwrap_or_default();
        addresses.iter().map(ToString::to_string).collect()
    }

    /// Has the bridge's loop call ``sink`` with the name of every event and what there is to say about it.
    fn on_event(&self, py: Python<'_>, sink: Py<PyAny>, bridge: &Bridge) -> PyResult<()> {
        let (bridge, sink) = (bridge.shared().clone(), Arc::new(sink));
        let tell = move |event| bridge.call(sink.clone(), told(event));
        self.link(py, "on")?.connection.on_event(Arc::new(tell));
        Ok(())
    }

    /// The same for a thread to iterate over; ends with the connection.
    fn events(&self, py: Python<'_>) -> PyResult<Events> {
        let (tell, told) = mpsc::channel();
        self.link(py, "on")?.connection.on_event(Arc::new(move |event| drop(tell.send(event))));
        Ok(Events(Ours::new(Mutex::new(told))))
    }

    /// Closes the connection and its channels.
    fn close(&self, py: Python<'_>) -> PyResult<Answer> {
        let link = self.link(py, "close")?.clone();
        Ok(Answer::new(py, async move { link.close().await }, |py, ()| Ok(py.None())))
    }
}

/// The events of a connection.
#[pyclass(frozen, module = "warrenmq._native")]
pub(crate) struct Events(Ours<Mutex<mpsc::Receiver<ConnectionEvent>>>);

#[pymethods]
impl Events {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let events = self.0.get("on").or_raise(py)?;
        match py.detach(|| events.lock().recv()) {
            Ok(event) => told(event)(py).map(Some),
            Err(_) => Ok(None), // the connection is gone, and its end of this with it
        }
    }
}
