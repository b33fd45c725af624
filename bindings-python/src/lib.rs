//! `warrenmq._native`: what of the Python package is not Python.
//!
//! | file | holds |
//! |---|---|
//! | `connection`, `link`, `channel`, `slot` | what declares, binds and opens: every method gives an [`Answer`](answer::Answer) |
//! | `publisher`, `body`, `json`, `properties`, `table` | a Python value on its way to the broker |
//! | `consumer`, `message`, `acks` | a message on its way to Python, and its acknowledgement back |
//! | `caller` | remote calls: requests matched with their replies |
//! | `answer`, `bridge` | waiting: a thread that answers Ctrl-C, or an asyncio event loop |
//! | `error`, `fork`, `signals` | exceptions; what a fork leaves behind; whose Ctrl-C it is |
//! | `cli` | the command line |
//!
//! Calls made for every message (`send`, `__next__`, `ack`) are methods of native classes without a
//! Python frame around them, keep the GIL unless they would block, and touch the broker in batches.
//! Everything else goes through [`Answer`](answer::Answer), which a thread waits for and a coroutine
//! awaits, so that the blocking and the asyncio API share one native layer.

/// As in the `warrenmq` binary: messages are made on one thread and freed on another. The system's gives the pages of
/// large bodies back to the kernel and asks for them again: of 1 MiB, Python receives 1,200 a second with it, 2,200 without.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod acks;
mod answer;
mod body;
mod bridge;
mod caller;
mod channel;
mod cli;
mod connection;
mod consumer;
mod error;
mod fork;
mod json;
mod link;
mod message;
mod properties;
mod publisher;
mod receipt;
mod signals;
mod slot;
mod table;

use pyo3::prelude::*;

/// The native half of the package `warrenmq`.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use super::answer::Answer;
    #[pymodule_export]
    use super::bridge::Bridge;
    #[pymodule_export]
    use super::caller::Caller;
    #[pymodule_export]
    use super::channel::Channel;
    #[pymodule_export]
    use super::cli::cli;
    #[pymodule_export]
    use super::connection::{Connection, Events, connect};
    #[pymodule_export]
    use super::consumer::Consumer;
    #[pymodule_export]
    use super::fork::after_fork;
    #[pymodule_export]
    use super::message::Message;
    #[pymodule_export]
    use super::publisher::{ExchangePublisher, QueuePublisher};
    #[pymodule_export]
    use super::receipt::{BatchReceipt, Receipt};

    use super::{error, signals};
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        signals::this_is_the_main_thread(module.py())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("KINDS", error::kinds(module.py())?)
    }
}
