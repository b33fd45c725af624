//! Tells an asyncio event loop that something has come: one byte on a socket that the loop watches, for
//! everything that has come since it last looked. Seven times cheaper than `call_soon_threadsafe`, and the
//! threads that tell never wait for the GIL.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use warrenmq::client;

use crate::answer::{Pending, Value};
use crate::error::OrRaise;

/// An event loop's end of the module: have the loop call `drain` whenever `fileno()` is readable.
#[pyclass(frozen, module = "warrenmq._native")]
pub(crate) struct Bridge(Arc<Shared>);

pub(crate) struct Shared {
    news: Mutex<Vec<News>>,
    bell: UnixStream,
    heard: UnixStream,
}

enum News {
    /// A future can be polled again.
    Wake(Arc<Followed>),
    /// Something to be called with one argument.
    Call(Arc<Py<PyAny>>, Value),
    /// A weak reference to something to be called.
    Ring(Arc<Py<PyAny>>),
}

/// A future that an asyncio future stands for. It is polled on the loop's thread.
struct Followed {
    future: Mutex<Option<Pending>>,
    waiter: Py<PyAny>,
    bridge: Arc<Shared>,
    queued: AtomicBool,
}

impl Shared {
    fn push(&self, news: News) {
        let first = {
            let mut waiting = self.news.lock();
            waiting.push(news);
            waiting.len() == 1
        };
        if first {
            // Fails when the loop is gone, or when it has more unread bytes than it needs.
            let _ = (&self.bell).write(&[1]);
        }
    }

    /// Has the loop call `target` with the value that `argument` makes.
    pub(crate) fn call(&self, target: Arc<Py<PyAny>>, argument: Value) {
        self.push(News::Call(target, argument));
    }

    /// Has the loop call what the weak reference `target` refers to, if it is still there.
    pub(crate) fn ring(&self, target: Arc<Py<PyAny>>) {
        self.push(News::Ring(target));
    }
}

impl Wake for Followed {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, AcqRel) {
            self.bridge.clone().push(News::Wake(self));
        }
    }
}

impl Followed {
    /// Polls the future and hands its value to the asyncio future, unless that was cancelled.
    fn poll(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        self.queued.store(false, Release);
        let mut slot = self.future.lock();
        let Some(future) = slot.as_mut() else { return Ok(()) };
        let waker = Waker::from(self.clone());
        let runtime = client::runtime().or_raise(py)?;
        let polled = {
            let _inside = runtime.enter();
            future.as_mut().poll(&mut Context::from_waker(&waker))
        };
        let Poll::Ready(value) = polled else { return Ok(()) };
        *slot = None;
        drop(slot);
        let waiter = self.waiter.bind(py);
        if waiter.call_method0(intern!(py, "done"))?.is_truthy()? {
            return Ok(()); // cancelled: the value puts back what it holds when it is dropped
        }
        match value(py) {
            Ok(value) => waiter.call_method1(intern!(py, "set_result"), (value,))?,
            Err(error) => waiter.call_method1(intern!(py, "set_exception"), (error,))?,
        };
        Ok(())
    }
}

impl Bridge {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// The iterator to `await` for a future's value, on the running loop.
    pub(crate) fn follow(&self, py: Python<'_>, future: Pending) -> PyResult<Py<PyAny>> {
        let running = running_loop(py)?;
        let waiter = running.call_method0(intern!(py, "create_future"))?;
        let followed = Arc::new(Followed {
            future: Mutex::new(Some(future)),
            waiter: waiter.clone().unbind(),
            bridge: self.0.clone(),
            queued: AtomicBool::new(true),
        });
        followed.poll(py)?;
        Ok(waiter.call_method0(intern!(py, "__await__"))?.unbind())
    }
}

#[pymethods]
impl Bridge {
    #[new]
    fn new() -> PyResult<Self> {
        let (bell, heard) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        Ok(Bridge(Arc::new(Shared { news: Mutex::default(), bell, heard })))
    }

    /// What the loop is to watch.
    fn fileno(&self) -> i32 {
        self.0.heard.as_raw_fd()
    }

    /// Does what has come. For the loop's thread.
    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        let mut bytes = [0; 64];
        while let Err(error) = (&self.0.heard).read(&mut bytes) {
            match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock => break,
                _ => return Err(error.into()),
            }
        }
        let news = std::mem::take(&mut *self.0.news.lock());
        for one in news {
            let done = match one {
                News::Wake(followed) => followed.poll(py),
                News::Call(target, argument) => {
                    argument(py).and_then(|argument| target.call1(py, (argument,)).map(drop))
                }
                News::Ring(target) => target.call0(py).and_then(|target| match target.is_none(py) {
                    true => Ok(()),
                    false => target.call0(py).map(drop),
                }),
            };
            // One that fails must not keep the others from being done.
            if let Err(error) = done {
                error.write_unraisable(py, None);
            }
        }
        Ok(())
    }
}

fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    RUNNING.import(py, "asyncio", "get_running_loop")?.call0()
}

/// The bridge of the running loop.
pub(crate) fn running(py: Python<'_>) -> PyResult<Bound<'_, Bridge>> {
    static BRIDGE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    Ok(BRIDGE.import(py, "warrenmq._loops", "bridge")?.call0()?.cast_into::<Bridge>()?)
}
