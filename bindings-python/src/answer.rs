//! An answer of the broker that is there or still to come: a thread waits for it, a coroutine awaits it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;
use warrenmq::condition::Condition;
use warrenmq::{Error, Kind, Result, client};

use crate::bridge;
use crate::connection::duration;
use crate::error::{OrRaise, exception};
use crate::fork::Ours;
use crate::signals;

/// Makes the Python value of an answer, or its exception.
pub(crate) type Value = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// What an answer waits for. Once started it is polled to its end, whether or not anybody still waits, so
/// that nothing that comes back gets lost on the way.
pub(crate) type Pending = Pin<Box<dyn Future<Output = Value> + Send>>;

/// An answer of the broker: `wait()` for it in a thread, `await` it in a coroutine.
#[pyclass(frozen, module = "warrenmq._native")]
pub(crate) struct Answer(Ours<Mutex<State>>);

enum State {
    Ready(PyResult<Py<PyAny>>),
    Pending(Pending),
    Given,
}

impl Answer {
    /// The answer of `future`, made a Python value by `convert`. What is ready at once needs no runtime.
    pub(crate) fn new<T: Send + 'static>(
        py: Python<'_>,
        future: impl Future<Output = Result<T>> + Send + 'static,
        convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Self {
        let mut pending = pending(future, convert);
        let state = match pending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => State::Ready(value(py)),
            Poll::Pending => State::Pending(pending),
        };
        Answer(Ours::new(Mutex::new(state)))
    }

    /// The same for a future that may only be polled within the runtime.
    pub(crate) fn later<T: Send + 'static>(
        future: impl Future<Output = Result<T>> + Send + 'static,
        convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Self {
        Answer(Ours::new(Mutex::new(State::Pending(pending(future, convert)))))
    }

    fn state(&self, py: Python<'_>) -> PyResult<State> {
        let state = self.0.get("wait").or_raise(py)?;
        Ok(std::mem::replace(&mut *state.lock(), State::Given))
    }
}

fn pending<T: Send + 'static>(
    future: impl Future<Output = Result<T>> + Send + 'static,
    convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
) -> Pending {
    Box::pin(async move {
        let result = future.await;
        Box::new(move |py: Python<'_>| match result {
            Ok(value) => convert(py, value),
            Err(error) => Err(exception(py, &error)),
        }) as Value
    })
}

#[pymethods]
impl Answer {
    /// Blocks this thread until the answer is there; other threads run meanwhile, and Ctrl-C is answered. Raises
    /// Timeout when it takes longer than ``timeout`` seconds.
    #[pyo3(signature = (timeout=None))]
    pub(crate) fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let timeout = timeout.map(|seconds| duration(py, "wait", seconds)).transpose()?;
        match (self.state(py)?, timeout) {
            (State::Ready(result), _) => result,
            (State::Pending(future), None) => block_on(py, future)?(py),
            (State::Pending(future), Some(timeout)) => {
                let limited = async move { tokio::time::timeout(timeout, future).await };
                match block_on(py, Box::pin(limited))? {
                    Ok(value) => value(py),
                    Err(_) => Err(Error::new(Kind::Timeout, "wait", "no answer came in time")).or_raise(py),
                }
            }
            (State::Given, _) => Err(given()),
        }
    }

    fn __await__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.state(py)? {
            State::Ready(result) => {
                Ok(Finished(Mutex::new(Some(result))).into_pyobject(py)?.into_any().unbind())
            }
            State::Pending(future) => bridge::running(py)?.get().follow(py, future),
            State::Given => Err(given()),
        }
    }
}

fn given() -> PyErr {
    PyRuntimeError::new_err("this answer was given already")
}

/// The iterator behind `await` of what is there already.
#[pyclass(frozen)]
struct Finished(Mutex<Option<PyResult<Py<PyAny>>>>);

#[pymethods]
impl Finished {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self) -> PyResult<Py<PyAny>> {
        match self.0.lock().take() {
            Some(Ok(value)) => Err(PyStopIteration::new_err((value,))),
            Some(Err(error)) => Err(error),
            None => Err(given()),
        }
    }
}

/// Wakes the thread that waits for a future.
#[derive(Default)]
struct Parker {
    woken: Mutex<bool>,
    told: Condition,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        *self.woken.lock() = true;
        self.told.notify_all();
    }
}

impl Parker {
    /// False when the time ran out before.
    fn park(&self, slices: bool) -> bool {
        let mut woken = self.woken.lock();
        while !*woken {
            match slices {
                false => self.told.wait(&mut woken),
                true if !self.told.wait_for(&mut woken, signals::SLICE) => break,
                true => {}
            }
        }
        std::mem::take(&mut *woken)
    }
}

/// Runs a future on this thread, without the GIL. Ctrl-C leaves it to the runtime and raises.
pub(crate) fn block_on<T: Send + 'static>(
    py: Python<'_>,
    mut future: Pin<Box<dyn Future<Output = T> + Send>>,
) -> PyResult<T> {
    let runtime = client::runtime().or_raise(py)?;
    py.detach(|| {
        let parker = Arc::new(Parker::default());
        let waker = Waker::from(parker.clone());
        let slices = signals::are_ours();
        loop {
            {
                let _inside = runtime.enter();
                if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return Ok(value);
                }
            }
            while !parker.park(slices) {
                if let Err(interrupt) = signals::handle() {
                    runtime.spawn(async move { drop(future.await) });
                    return Err(interrupt);
                }
            }
        }
    })
}

/// Does something whose end nobody waits for: at once if it can be, else on the runtime.
pub(crate) fn leave(mut future: Pin<Box<dyn Future<Output = ()> + Send>>) {
    if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
        && let Ok(runtime) = client::runtime()
    {
        runtime.spawn(future);
    }
}
