//! A Python value as JSON, or an error that names the place where JSON would have changed it silently.

use std::fmt::Write as _;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::error::invalid;

/// Integers beyond it are not exact in JavaScript (ECMA-262 `Number.MAX_SAFE_INTEGER`), so that they
/// would arrive rounded.
const MAX_SAFE: i64 = (1 << 53) - 1;

/// How deep lists and dicts may be nested; what contains itself is deeper.
const MAX_DEPTH: usize = 256;

/// The value as JSON text.
pub(crate) fn encode(operation: &'static str, value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let mut encoder = Encoder { operation, out: Vec::with_capacity(128), path: Vec::new() };
    encoder.value(value)?;
    Ok(encoder.out)
}

/// One step from the body to the value that is being encoded.
enum Step {
    Key(String),
    Index(usize),
}

struct Encoder {
    operation: &'static str,
    out: Vec<u8>,
    path: Vec<Step>,
}

impl Encoder {
    fn value(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = value.py();
        if let Ok(text) = value.cast::<PyString>() {
            return self.string(text);
        }
        if value.is_none() {
            self.out.extend_from_slice(b"null");
        } else if let Ok(value) = value.cast::<PyBool>() {
            self.out.extend_from_slice(if value.is_true() { b"true" } else { b"false" });
        } else if let Ok(value) = value.cast::<PyInt>() {
            match value.extract::<i64>() {
                Ok(number) if number.abs() <= MAX_SAFE => self.out.extend(number.to_string().bytes()),
                _ => {
                    return self
                        .refuse(py, "an integer beyond ±(2^53-1) is not exact in JSON; send it as a string");
                }
            }
        } else if let Ok(value) = value.cast::<PyFloat>() {
            let number = value.value();
            if !number.is_finite() {
                return self.refuse(py, "NaN and infinities have no JSON form; send None or a string");
            }
            // Writing to memory does not fail.
            let _ = serde_json::to_writer(&mut self.out, &number);
        } else if let Ok(items) = value.cast::<PyList>() {
            self.sequence(py, items.iter())?;
        } else if let Ok(items) = value.cast::<PyTuple>() {
            self.sequence(py, items.iter())?;
        } else if let Ok(entries) = value.cast::<PyDict>() {
            self.object(entries)?;
        } else {
            return self.unknown(value);
        }
        Ok(())
    }

    fn string(&mut self, text: &Bound<'_, PyString>) -> PyResult<()> {
        match text.to_str() {
            Ok(text) => {
                let _ = serde_json::to_writer(&mut self.out, text);
                Ok(())
            }
            Err(_) => self.refuse(text.py(), "a lone surrogate has no UTF-8 form"),
        }
    }

    fn deeper(&self, py: Python<'_>) -> PyResult<()> {
        match self.path.len() < MAX_DEPTH {
            true => Ok(()),
            false => {
                let reason = format!("body: nested deeper than {MAX_DEPTH} levels, or contains itself");
                Err(invalid(py, self.operation, reason))
            }
        }
    }

    fn sequence<'py>(
        &mut self,
        py: Python<'py>,
        items: impl Iterator<Item = Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        self.deeper(py)?;
        self.out.push(b'[');
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.path.push(Step::Index(index));
            self.value(&item)?;
            self.path.pop();
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, entries: &Bound<'_, PyDict>) -> PyResult<()> {
        let py = entries.py();
        self.deeper(py)?;
        self.out.push(b'{');
        // A copy, because another thread may change the dict meanwhile.
        for (index, (key, value)) in entries.copy()?.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            let Ok(key) = key.cast_into::<PyString>() else {
                return self.refuse(py, "a key that is not a str would become one; convert it yourself");
            };
            self.string(&key)?;
            self.out.push(b':');
            self.path.push(Step::Key(key.to_str()?.to_owned()));
            self.value(&value)?;
            self.path.pop();
        }
        self.out.push(b'}');
        Ok(())
    }

    #[cold]
    fn unknown(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let class = value.get_type();
        let name = class.name()?;
        let reason = match name.to_str()? {
            "datetime" | "date" | "time" => "a date has no JSON form; send its isoformat()".to_owned(),
            "bytes" | "bytearray" | "memoryview" => {
                "bytes have no JSON form; send them alone as the body, or encode them as base64".to_owned()
            }
            "set" | "frozenset" => "a set has no JSON form; send a list".to_owned(),
            name => format!("a {name} has no JSON form; send a dict, list, str, number, bool or None"),
        };
        self.refuse(value.py(), &reason)
    }

    #[cold]
    fn refuse(&self, py: Python<'_>, reason: &str) -> PyResult<()> {
        let mut place = String::from("body");
        for step in &self.path {
            let _ = match step {
                Step::Key(key) if is_name(key) => write!(place, ".{key}"),
                Step::Key(key) => write!(place, "[{key:?}]"),
                Step::Index(index) => write!(place, "[{index}]"),
            };
        }
        Err(invalid(py, self.operation, format!("{place}: {reason}")))
    }
}

fn is_name(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|letter| letter == '_' || letter.is_alphanumeric())
}
