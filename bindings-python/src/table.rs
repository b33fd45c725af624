//! Headers and arguments: Python dicts ⇄ AMQP field tables.

use bytes::Bytes;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDateTime, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyTzInfo,
    PyTzInfoAccess,
};
use warrenmq::wire::{Table, Value};

use crate::error::invalid;

/// How deep a table may be nested: what the codec takes.
const MAX_DEPTH: usize = 100;

/// A dict as a table; `place` is what errors call it.
pub(crate) fn from_dict(operation: &'static str, place: &str, dict: &Bound<'_, PyDict>) -> PyResult<Table> {
    table(operation, place, dict, MAX_DEPTH)
}

/// The same for what may be `None`.
pub(crate) fn arguments(operation: &'static str, dict: Option<&Bound<'_, PyDict>>) -> PyResult<Table> {
    dict.map_or_else(|| Ok(Table::default()), |dict| from_dict(operation, "arguments", dict))
}

fn table(operation: &'static str, place: &str, dict: &Bound<'_, PyDict>, depth: usize) -> PyResult<Table> {
    let py = dict.py();
    let refuse = |reason: &str| Err(invalid(py, operation, format!("{place}: {reason}")));
    if depth == 0 {
        return refuse("nested too deep");
    }
    let mut entries = Vec::with_capacity(dict.len());
    for (key, item) in dict.copy()?.iter() {
        let Ok(key) = key.cast_into::<PyString>() else { return refuse("a key must be a str") };
        let key = key.to_str()?;
        if key.len() > 255 {
            return refuse("a key is longer than 255 octets");
        }
        let place = format!("{place}[{key:?}]");
        entries.push((key.into(), value(operation, &place, &item, depth)?));
    }
    Ok(Table(entries))
}

fn value(operation: &'static str, place: &str, item: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    let py = item.py();
    let refuse = |reason: &str| Err(invalid(py, operation, format!("{place}: {reason}")));
    Ok(if item.is_none() {
        Value::Void
    } else if let Ok(text) = item.cast::<PyString>() {
        Value::LongString(Bytes::copy_from_slice(text.to_str()?.as_bytes()))
    } else if let Ok(flag) = item.cast::<PyBool>() {
        Value::Bool(flag.is_true())
    } else if item.is_instance_of::<PyInt>() {
        match item.extract::<i64>() {
            // The smallest of the two types that hold it, as pika and amqplib do: brokers compare by type.
            Ok(number) => i32::try_from(number).map_or(Value::I64(number), Value::I32),
            Err(_) => return refuse("an integer beyond 64 bits has no AMQP form"),
        }
    } else if let Ok(number) = item.cast::<PyFloat>() {
        Value::F64(number.value())
    } else if let Ok(bytes) = item.cast::<PyBytes>() {
        Value::ByteArray(Bytes::copy_from_slice(bytes.as_bytes()))
    } else if item.is_instance_of::<PyByteArray>() {
        Value::ByteArray(item.extract::<Vec<u8>>()?.into())
    } else if let Ok(dict) = item.cast::<PyDict>() {
        Value::Table(table(operation, place, dict, depth - 1)?)
    } else if let Ok(time) = item.cast::<PyDateTime>() {
        match time.get_tzinfo() {
            Some(_) => match time.call_method0(intern!(py, "timestamp"))?.extract::<f64>()? {
                seconds if seconds >= 0.0 => Value::Timestamp(seconds as u64),
                _ => return refuse("a time before 1970 has no AMQP form"),
            },
            None => return refuse("a datetime without a time zone could mean any; give it one"),
        }
    } else if item.is_instance_of::<PyList>() || item.is_instance_of::<PyTuple>() {
        if depth == 0 {
            return refuse("nested too deep");
        }
        let mut values = Vec::new();
        for (index, item) in item.try_iter()?.enumerate() {
            values.push(value(operation, &format!("{place}[{index}]"), &item?, depth - 1)?);
        }
        Value::Array(values)
    } else {
        return refuse(&format!("a {} has no AMQP form", item.get_type().name()?));
    })
}

/// A table as a dict.
pub(crate) fn to_dict<'py>(py: Python<'py>, table: &Table) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (key, value) in &table.0 {
        dict.set_item(&**key, to_object(py, value)?)?;
    }
    Ok(dict)
}

/// A value as an object.
pub(crate) fn to_object<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Bool(value) => PyBool::new(py, *value).to_owned().into_any(),
        Value::I8(value) => value.into_pyobject(py)?.into_any(),
        Value::U8(value) => value.into_pyobject(py)?.into_any(),
        Value::I16(value) => value.into_pyobject(py)?.into_any(),
        Value::U16(value) => value.into_pyobject(py)?.into_any(),
        Value::I32(value) => value.into_pyobject(py)?.into_any(),
        Value::U32(value) => value.into_pyobject(py)?.into_any(),
        Value::I64(value) => value.into_pyobject(py)?.into_any(),
        Value::F32(value) => value.into_pyobject(py)?.into_any(),
        Value::F64(value) => value.into_pyobject(py)?.into_any(),
        Value::Decimal(scale, mantissa) => decimal(py, *scale, *mantissa)?,
        // Long strings are text where they can be; AMQP does not say.
        Value::LongString(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => PyString::new(py, text).into_any(),
            Err(_) => PyBytes::new(py, bytes).into_any(),
        },
        Value::ByteArray(bytes) => PyBytes::new(py, bytes).into_any(),
        Value::Timestamp(seconds) => timestamp(py, *seconds)?,
        Value::Table(table) => to_dict(py, table)?.into_any(),
        Value::Array(values) => {
            let items = values.iter().map(|value| to_object(py, value)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, items)?.into_any()
        }
        Value::Void => py.None().into_bound(py),
    })
}

/// Seconds as a datetime in UTC; as a number where Python's datetimes do not reach (the year 9999).
fn timestamp(py: Python<'_>, seconds: u64) -> PyResult<Bound<'_, PyAny>> {
    let utc = PyTzInfo::utc(py)?;
    match PyDateTime::from_timestamp(py, seconds as f64, Some(&utc)) {
        Ok(time) => Ok(time.into_any()),
        Err(_) => Ok(seconds.into_pyobject(py)?.into_any()),
    }
}

fn decimal(py: Python<'_>, scale: u8, mantissa: i32) -> PyResult<Bound<'_, PyAny>> {
    static DECIMAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let number = DECIMAL.import(py, "decimal", "Decimal")?.call1((mantissa,))?;
    number.call_method1("scaleb", (-i32::from(scale),))
}
