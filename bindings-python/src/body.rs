//! What a body is made of: bytes as they are, text as UTF-8, anything else as JSON.

use bytes::Bytes;
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyString};
use warrenmq::message::Body;

use crate::error::invalid;
use crate::json;

/// `bytes` from this size on are sent from where Python has them, which never changes them. Below, a copy costs less than
/// a reference that a thread without the GIL has to give back. Not those of a subclass, whose end may run Python code.
const LEND: usize = 8 << 10;

/// What a body is, and with it the content type that it gets unless another is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Bytes,
    Text,
    Json,
}

impl Form {
    pub(crate) const ALL: [Form; 3] = [Form::Bytes, Form::Text, Form::Json];

    pub(crate) fn content_type(self) -> Option<&'static str> {
        match self {
            Form::Bytes => None,
            Form::Text => Some("text/plain; charset=utf-8"),
            Form::Json => Some("application/json"),
        }
    }
}

/// The octets of a body and its form.
pub(crate) fn read<'a>(operation: &'static str, body: &'a Bound<'_, PyAny>) -> PyResult<(Body<'a>, Form)> {
    if let Ok(bytes) = body.cast::<PyBytes>() {
        let octets = bytes.as_bytes();
        let body = match octets.len() >= LEND && bytes.is_exact_instance_of::<PyBytes>() {
            true => Body::Owned(Bytes::from_owner(PyBackedBytes::from(bytes.clone()))),
            false => Body::Slice(octets),
        };
        return Ok((body, Form::Bytes));
    }
    if let Ok(text) = body.cast::<PyString>() {
        return match text.to_str() {
            Ok(text) => Ok((Body::Slice(text.as_bytes()), Form::Text)),
            Err(_) => Err(invalid(body.py(), operation, "body: a lone surrogate has no UTF-8 form")),
        };
    }
    if body.is_instance_of::<PyByteArray>() || body.is_instance_of::<PyMemoryView>() {
        // By way of bytes, because a memory view may have items of any size and stride.
        let bytes = match PyBuffer::<u8>::get(body) {
            Ok(buffer) => buffer.to_vec(body.py())?,
            Err(_) => body.py().get_type::<PyBytes>().call1((body,))?.extract()?,
        };
        return Ok((Body::Owned(Bytes::from(bytes)), Form::Bytes));
    }
    Ok((Body::Owned(Bytes::from(json::encode(operation, body)?)), Form::Json))
}
