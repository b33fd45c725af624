//! The properties of a message: keyword arguments → their encoding → a dict.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyString};
use smallvec::SmallVec;
use warrenmq::wire::{Properties, PropertiesView, ShortString, Value};

use crate::body::Form;
use crate::error::invalid;
use crate::table;

/// Encoded properties.
pub(crate) type Encoded = SmallVec<[u8; 64]>;

/// `delivery-mode` of a message that is to survive the broker (AMQP 0-9-1 section 4.10.4).
const PERSISTENT: u8 = 2;

/// The header that holds a message back, in milliseconds.
const DELAY: &str = "x-delay";

/// The encodings of messages that are given no properties, one for each form of body.
#[derive(Debug)]
pub(crate) struct Plain([Encoded; 3]);

impl Plain {
    pub(crate) fn new(persistent: bool) -> Self {
        Plain(Form::ALL.map(|form| {
            let mut properties = Properties::default();
            finish(&mut properties, persistent, form);
            encode(&properties)
        }))
    }

    #[inline]
    pub(crate) fn of(&self, form: Form) -> &Encoded {
        &self.0[form as usize]
    }
}

/// What every message has unless it is told otherwise.
fn finish(properties: &mut Properties, persistent: bool, form: Form) {
    if persistent {
        properties.delivery_mode = Some(PERSISTENT);
    }
    if properties.content_type.is_none() {
        properties.content_type = form.content_type().map(ShortString::truncated);
    }
}

fn encode(properties: &Properties) -> Encoded {
    let mut out = Vec::with_capacity(64);
    properties.encode(&mut out);
    Encoded::from_vec(out)
}

/// Keyword arguments, read and checked.
#[derive(Clone, Default)]
pub(crate) struct Given {
    properties: Properties,
    persistent: Option<bool>,
}

impl Given {
    /// Their encoding for a body of this form; persistent where they do not say and `by_default`.
    pub(crate) fn encode(&self, by_default: bool, form: Form) -> Encoded {
        let mut properties = self.properties.clone();
        finish(&mut properties, self.persistent.unwrap_or(by_default), form);
        encode(&properties)
    }

    /// Marks a request of a remote call.
    pub(crate) fn reply_to(&mut self, queue: &str, correlation_id: &str) {
        self.properties.reply_to = Some(ShortString::truncated(queue));
        self.properties.correlation_id = Some(ShortString::truncated(correlation_id));
    }
}

/// Reads keyword arguments. Absent and `None` are the same.
pub(crate) fn read(operation: &'static str, given: &Bound<'_, PyDict>) -> PyResult<Given> {
    let mut read = Given::default();
    let mut delay = None;
    for (name, value) in given.iter() {
        if value.is_none() {
            continue;
        }
        let field = Field { operation, name: name.cast::<PyString>()?.to_str()?, value: &value };
        let properties = &mut read.properties;
        match field.name {
            "content_type" => properties.content_type = Some(field.text()?),
            "content_encoding" => properties.content_encoding = Some(field.text()?),
            "headers" => match value.cast::<PyDict>() {
                Ok(dict) => properties.headers = Some(table::from_dict(operation, "headers", dict)?),
                Err(_) => return Err(field.refuse("is not a dict")),
            },
            "persistent" => match value.cast::<PyBool>() {
                Ok(flag) => read.persistent = Some(flag.is_true()),
                Err(_) => return Err(field.refuse("is neither True nor False")),
            },
            "priority" => properties.priority = Some(field.number(u8::MAX.into())? as u8),
            "correlation_id" => properties.correlation_id = Some(field.text()?),
            "reply_to" => properties.reply_to = Some(field.text()?),
            // RabbitMQ takes what fits 32 bits (`rabbit_misc:parse_expiration`).
            "expiration" => {
                let milliseconds = field.number(u32::MAX.into())?;
                properties.expiration = Some(ShortString::truncated(&milliseconds.to_string()));
            }
            "delay" => delay = Some((field.number(i64::MAX as u64)?, value)),
            "message_id" => properties.message_id = Some(field.text()?),
            "timestamp" => properties.timestamp = Some(field.number(i64::MAX as u64)?),
            "type" => properties.r#type = Some(field.text()?),
            "user_id" => properties.user_id = Some(field.text()?),
            "app_id" => properties.app_id = Some(field.text()?),
            unknown => {
                let reason = format!("{operation}: '{unknown}' is no property of a message");
                return Err(PyTypeError::new_err(reason));
            }
        }
    }
    if let Some((milliseconds, value)) = delay {
        let headers = read.properties.headers.get_or_insert_default();
        let milliseconds = milliseconds as i64;
        if headers.get(DELAY).is_some_and(|header| header.as_integer() != Some(milliseconds)) {
            let field = Field { operation, name: "delay", value: &value };
            return Err(field.refuse("differs from the header x-delay: give one of them"));
        }
        // The smallest of the two types that hold it, as for any integer in headers.
        headers.insert(DELAY, i32::try_from(milliseconds).map_or(Value::I64(milliseconds), Value::I32));
    }
    Ok(read)
}

struct Field<'a, 'py> {
    operation: &'static str,
    name: &'a str,
    value: &'a Bound<'py, PyAny>,
}

impl Field<'_, '_> {
    #[cold]
    fn refuse(&self, reason: &str) -> PyErr {
        let shown = self.value.repr().map_or_else(|_| String::new(), |value| value.to_string());
        invalid(self.value.py(), self.operation, format!("{}: {shown} {reason}", self.name))
    }

    fn text(&self) -> PyResult<ShortString> {
        let Ok(text) = self.value.cast::<PyString>() else { return Err(self.refuse("is not a str")) };
        let Ok(text) = text.to_str() else { return Err(self.refuse("has no UTF-8 form")) };
        ShortString::try_from(text).map_err(|_| self.refuse("is longer than 255 octets"))
    }

    fn number(&self, max: u64) -> PyResult<u64> {
        let number = match self.value.is_instance_of::<PyInt>() && !self.value.is_instance_of::<PyBool>() {
            true => self.value.extract::<u64>().ok(),
            false => None,
        };
        number
            .filter(|number| *number <= max)
            .ok_or_else(|| self.refuse(&format!("is not an integer from 0 to {max}")))
    }
}

/// The properties that are there, as a dict under the names of the keyword arguments.
pub(crate) fn to_dict<'py>(py: Python<'py>, properties: PropertiesView<'_>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let texts = [
        ("content_type", properties.content_type()),
        ("content_encoding", properties.content_encoding()),
        ("correlation_id", properties.correlation_id()),
        ("reply_to", properties.reply_to()),
        ("expiration", properties.expiration()),
        ("message_id", properties.message_id()),
        ("type", properties.r#type()),
        ("user_id", properties.user_id()),
        ("app_id", properties.app_id()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            dict.set_item(name, text)?;
        }
    }
    if let Some(headers) = properties.headers() {
        dict.set_item("headers", table::to_dict(py, &headers)?)?;
    }
    for (name, number) in [("delivery_mode", properties.delivery_mode()), ("priority", properties.priority())]
    {
        if let Some(number) = number {
            dict.set_item(name, number)?;
        }
    }
    if let Some(timestamp) = properties.timestamp() {
        dict.set_item("timestamp", timestamp)?;
    }
    Ok(dict)
}
