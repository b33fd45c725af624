//! What became of what was published.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use warrenmq::client::{BatchOutcome, Outcome};

/// What became of a message: whether the broker has taken responsibility for it (``confirmed``), and
/// whether a queue took it (``routed``).
#[pyclass(frozen, eq, get_all, module = "warrenmq")]
#[derive(PartialEq)]
pub(crate) struct Receipt {
    /// The broker has taken responsibility for it. Not so in a transaction, before its commit.
    confirmed: bool,
    /// At least one queue took it. In a transaction, the commit tells.
    routed: bool,
}

#[pymethods]
impl Receipt {
    fn __repr__(&self) -> String {
        let word = |value| if value { "True" } else { "False" };
        format!("Receipt(confirmed={}, routed={})", word(self.confirmed), word(self.routed))
    }
}

/// The receipt for an outcome. There are only four, so that none is made per message.
#[inline]
pub(crate) fn receipt(py: Python<'_>, outcome: Outcome) -> PyResult<Py<PyAny>> {
    static RECEIPTS: [PyOnceLock<Py<PyAny>>; 4] = [const { PyOnceLock::new() }; 4];
    let Outcome { confirmed, routed } = outcome;
    let receipt = RECEIPTS[usize::from(confirmed) * 2 + usize::from(routed)]
        .get_or_try_init(py, || Py::new(py, Receipt { confirmed, routed }).map(Py::into_any))?;
    Ok(receipt.clone_ref(py))
}

/// What became of a batch: how many messages the broker has taken responsibility for (``confirmed``), and
/// which of them no queue took (``unrouted``, their indexes).
#[pyclass(frozen, eq, get_all, module = "warrenmq")]
#[derive(PartialEq)]
pub(crate) struct BatchReceipt {
    /// How many messages the broker has taken responsibility for: all, or the call failed; in a transaction none,
    /// before its commit.
    confirmed: usize,
    /// The indexes of those that no queue took, from 0.
    unrouted: Vec<usize>,
}

impl From<BatchOutcome> for BatchReceipt {
    fn from(outcome: BatchOutcome) -> Self {
        BatchReceipt { confirmed: outcome.confirmed, unrouted: outcome.unrouted }
    }
}

#[pymethods]
impl BatchReceipt {
    #[new]
    fn new(confirmed: usize, unrouted: Vec<usize>) -> Self {
        BatchReceipt { confirmed, unrouted }
    }

    fn __repr__(&self) -> String {
        format!("BatchReceipt(confirmed={}, unrouted={:?})", self.confirmed, self.unrouted)
    }
}
