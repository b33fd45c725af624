//! The house's error as a Python exception, with nothing dropped on the way.

use std::error::Error as _;
use std::io;

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use warrenmq::{Error, Kind};

/// Name and code of every kind, so that the Python layer can prove that it has a class for each.
pub(crate) fn kinds(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let kinds = PyDict::new(py);
    for kind in Kind::ALL {
        kinds.set_item(kind.name(), kind.code())?;
    }
    Ok(kinds)
}

/// The exception for an error: of its kind's class in `warrenmq.errors`, its cause chained.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    build(py, error).unwrap_or_else(|failure| failure)
}

fn build(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    static CLASSES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let classes = CLASSES.get_or_try_init(py, || {
        py.import("warrenmq.errors")?.getattr("CLASSES")?.extract::<Py<PyDict>>().map_err(PyErr::from)
    })?;
    let kind = error.kind();
    let Some(class) = classes.bind(py).get_item(kind.name())? else {
        return Ok(PyRuntimeError::new_err(error.to_string()));
    };
    let fields = PyDict::new(py);
    fields.set_item(intern!(py, "code"), kind.name())?;
    fields.set_item(intern!(py, "reply_code"), kind.code())?;
    fields.set_item(intern!(py, "reply_text"), error.reply_text())?;
    fields.set_item(intern!(py, "operation"), error.operation())?;
    fields.set_item(intern!(py, "entity"), error.entity())?;
    fields.set_item(intern!(py, "reason"), error.reason())?;
    fields.set_item(intern!(py, "advice"), error.advice())?;
    let raised = PyErr::from_value(class.call((error.to_string(),), Some(&fields))?);
    if let Some(cause) = error.source() {
        raised.set_cause(py, Some(cause_of(py, cause)));
    }
    Ok(raised)
}

fn cause_of(py: Python<'_>, cause: &(dyn std::error::Error + 'static)) -> PyErr {
    if let Some(error) = cause.downcast_ref::<Error>() {
        return exception(py, error);
    }
    let text = cause.to_string();
    let raised = match cause.downcast_ref::<io::Error>() {
        Some(error) => match error.raw_os_error() {
            Some(number) => PyOSError::new_err((number, text)),
            None => PyOSError::new_err(text),
        },
        None => PyRuntimeError::new_err(text),
    };
    if let Some(deeper) = cause.source() {
        raised.set_cause(py, Some(cause_of(py, deeper)));
    }
    raised
}

/// An error about an argument of `operation`.
#[cold]
pub(crate) fn invalid(py: Python<'_>, operation: &'static str, reason: impl Into<String>) -> PyErr {
    exception(py, &Error::new(Kind::InvalidArgument, operation, reason))
}

/// Raises the house's error as a Python exception.
pub(crate) trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for warrenmq::Result<T> {
    #[inline]
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| exception(py, &error))
    }
}
