//! Whose Ctrl-C it is: Python runs signal handlers on its main thread only, so that thread alone has to
//! look up now and then while it waits.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use pyo3::prelude::*;

/// How long the main thread waits between two looks at the signals that came.
pub(crate) const SLICE: Duration = Duration::from_millis(50);

static MAIN_THREAD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Its address tells threads apart.
    static HERE: u8 = const { 0 };
}

fn this_thread() -> usize {
    HERE.with(|here| std::ptr::from_ref(here).addr())
}

/// Notes which thread is Python's main thread: the one that asks, where it is.
pub(crate) fn this_is_the_main_thread(py: Python<'_>) -> PyResult<()> {
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    let here = threading.call_method0("get_ident")?;
    // Imported by another thread: then every thread looks.
    MAIN_THREAD.store(if main.eq(here)? { this_thread() } else { 0 }, Relaxed);
    Ok(())
}

/// Whether this thread has to look for signals while it waits.
pub(crate) fn are_ours() -> bool {
    let main = MAIN_THREAD.load(Relaxed);
    main == 0 || main == this_thread()
}

/// Runs the handlers of signals that came; to be called without the GIL.
pub(crate) fn handle() -> PyResult<()> {
    Python::attach(|py| py.check_signals())
}
