//! JavaScript values and what they are turned into.

use std::ptr;
use std::slice;

use napi_sys as sys;
use warrenmq::{Error, Kind};

use super::{Env, Result};

/// A value of the callback that lasts for `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a> {
    env: Env<'a>,
    /// Null stands for `undefined`, as in a callback's result.
    raw: sys::napi_value,
}

/// What kind of value it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Nothing,
    Null,
    Boolean,
    Number,
    BigInt,
    String,
    Bytes,
    Date,
    Array,
    Object,
    Other,
}

/// Names and keys are at most 255 bytes long, so that one call fetches them.
const SHORT: usize = 260;

impl<'a> Value<'a> {
    /// # Safety
    /// `raw` must belong to the callback of `env`.
    pub(super) unsafe fn new(env: Env<'a>, raw: sys::napi_value) -> Self {
        Value { env, raw }
    }

    pub(super) fn raw(self) -> sys::napi_value {
        self.raw
    }

    pub(super) fn env(self) -> Env<'a> {
        self.env
    }

    fn type_error<T>(self, expected: &str) -> Result<T> {
        Err(Error::new(Kind::InvalidArgument, "call", format!("{expected} was expected")).into())
    }

    pub(crate) fn is_nothing(self) -> bool {
        matches!(self.kind(), Ok(Type::Nothing | Type::Null))
    }

    pub(crate) fn kind(self) -> Result<Type> {
        let mut kind = 0;
        let env = self.env;
        if self.raw.is_null() {
            return Ok(Type::Nothing);
        }
        // SAFETY: the value belongs to this callback.
        env.check(unsafe { sys::napi_typeof(env.raw, self.raw, &mut kind) }, "no type")?;
        Ok(match kind {
            sys::ValueType::napi_undefined => Type::Nothing,
            sys::ValueType::napi_null => Type::Null,
            sys::ValueType::napi_boolean => Type::Boolean,
            sys::ValueType::napi_number => Type::Number,
            sys::ValueType::napi_bigint => Type::BigInt,
            sys::ValueType::napi_string => Type::String,
            sys::ValueType::napi_object if self.is(sys::napi_is_array) => Type::Array,
            sys::ValueType::napi_object if self.is(sys::napi_is_typedarray) => Type::Bytes,
            sys::ValueType::napi_object if self.is(sys::napi_is_date) => Type::Date,
            sys::ValueType::napi_object => Type::Object,
            _ => Type::Other,
        })
    }

    fn is(
        self,
        question: unsafe extern "C" fn(sys::napi_env, sys::napi_value, *mut bool) -> sys::napi_status,
    ) -> bool {
        let mut answer = false;
        // SAFETY: the value belongs to this callback; on failure the answer stays false.
        unsafe { question(self.env.raw, self.raw, &mut answer) };
        answer
    }

    pub(crate) fn boolean(self) -> Result<bool> {
        let mut value = false;
        // SAFETY: the value belongs to this callback.
        match unsafe { sys::napi_get_value_bool(self.env.raw, self.raw, &mut value) } {
            sys::Status::napi_ok => Ok(value),
            _ => self.type_error("true or false"),
        }
    }

    pub(crate) fn number(self) -> Result<f64> {
        let mut value = 0.0;
        // SAFETY: the value belongs to this callback.
        match unsafe { sys::napi_get_value_double(self.env.raw, self.raw, &mut value) } {
            sys::Status::napi_ok => Ok(value),
            _ => self.type_error("a number"),
        }
    }

    /// A whole number from 0 to `max`.
    pub(crate) fn integer(self, max: u64) -> Result<u64> {
        let value = self.number()?;
        // Nothing above 2^53 is asked for, so the comparison is exact.
        match value.fract() == 0.0 && (0.0..=max as f64).contains(&value) {
            true => Ok(value as u64),
            false => self.type_error(&format!("a whole number from 0 to {max}")),
        }
    }

    /// A BigInt that fits 64 bits.
    pub(crate) fn big_integer(self) -> Result<i64> {
        let (mut value, mut lossless) = (0, false);
        // SAFETY: the value belongs to this callback.
        match unsafe { sys::napi_get_value_bigint_int64(self.env.raw, self.raw, &mut value, &mut lossless) } {
            sys::Status::napi_ok if lossless => Ok(value),
            _ => self.type_error("a BigInt of at most 64 bits"),
        }
    }

    /// Milliseconds since 1970, of a Date.
    pub(crate) fn milliseconds(self) -> Result<f64> {
        let mut value = 0.0;
        // SAFETY: the value belongs to this callback.
        match unsafe { sys::napi_get_date_value(self.env.raw, self.raw, &mut value) } {
            sys::Status::napi_ok if value.is_finite() => Ok(value),
            _ => self.type_error("a valid date"),
        }
    }

    pub(crate) fn string(self) -> Result<String> {
        let mut short = [0u8; SHORT];
        let mut length = 0;
        // SAFETY: the buffer has the size that is given.
        let status = unsafe {
            let buffer = short.as_mut_ptr().cast();
            sys::napi_get_value_string_utf8(self.env.raw, self.raw, buffer, SHORT, &mut length)
        };
        if status != sys::Status::napi_ok {
            return self.type_error("a string");
        }
        // A longer one is cut, before a character that does not fit: up to three bytes and the zero are free.
        if length < SHORT - 4 {
            return Ok(String::from_utf8_lossy(&short[..length]).into_owned());
        }
        // SAFETY: without a buffer only the length is told; then the buffer has room for it and the zero.
        let long = unsafe {
            let none = ptr::null_mut();
            sys::napi_get_value_string_utf8(self.env.raw, self.raw, none, 0, &mut length);
            let mut long = vec![0u8; length + 1];
            let buffer = long.as_mut_ptr().cast();
            sys::napi_get_value_string_utf8(self.env.raw, self.raw, buffer, length + 1, &mut length);
            long.truncate(length);
            long
        };
        Ok(String::from_utf8_lossy(&long).into_owned())
    }

    /// `None` for undefined and null.
    pub(crate) fn optional<T>(self, read: impl FnOnce(Self) -> Result<T>) -> Result<Option<T>> {
        match self.is_nothing() {
            true => Ok(None),
            false => read(self).map(Some),
        }
    }

    /// A typed array's data, its length in elements and its element's type.
    fn typed_array(self, expected: sys::napi_typedarray_type) -> Result<(*mut u8, usize)> {
        let (mut kind, mut length, mut data) = (0, 0, ptr::null_mut());
        let none = ptr::null_mut();
        // SAFETY: the value belongs to this callback; Node-API checks that it is a typed array.
        let status = unsafe {
            sys::napi_get_typedarray_info(
                self.env.raw,
                self.raw,
                &mut kind,
                &mut length,
                &mut data,
                none,
                ptr::null_mut(),
            )
        };
        if status != sys::Status::napi_ok || kind != expected {
            return self.type_error("a typed array of another kind");
        }
        match length {
            0 => Ok((ptr::NonNull::<u64>::dangling().as_ptr().cast(), 0)), // data may be null
            _ => Ok((data.cast(), length)),
        }
    }

    /// The bytes of a `Uint8Array`.
    pub(crate) fn bytes(self) -> Result<&'a [u8]> {
        let (data, length) = self.typed_array(sys::TypedarrayType::uint8_array)?;
        // SAFETY: the array is alive for the callback, and JavaScript does not run while Rust reads. Over
        // shared memory another thread could write meanwhile: a copy that mixes old and new bytes is all
        // that could come of it, as nothing here relies on what they are.
        Ok(unsafe { slice::from_raw_parts(data, length) })
    }

    /// Has `write` fill the bytes of a `Uint8Array`, which nothing else may look at meanwhile.
    pub(crate) fn fill<T>(self, write: impl FnOnce(&mut [u8]) -> T) -> Result<T> {
        let (data, length) = self.typed_array(sys::TypedarrayType::uint8_array)?;
        // SAFETY: as above; only the package's own buffers come here, of which no second slice is made
        // while `write` runs, as it has no value to make it of.
        Ok(write(unsafe { slice::from_raw_parts_mut(data, length) }))
    }

    /// The numbers of a `Float64Array`.
    pub(crate) fn doubles(self) -> Result<&'a [f64]> {
        let (data, length) = self.typed_array(sys::TypedarrayType::float64_array)?;
        // SAFETY: as in `bytes`; V8 aligns typed arrays to their elements.
        Ok(unsafe { slice::from_raw_parts(data.cast(), length) })
    }

    /// The numbers of a `Uint32Array`.
    pub(crate) fn words(self) -> Result<&'a [u32]> {
        let (data, length) = self.typed_array(sys::TypedarrayType::uint32_array)?;
        // SAFETY: as in `doubles`.
        Ok(unsafe { slice::from_raw_parts(data.cast(), length) })
    }

    /// A property; `undefined` where there is none.
    pub(crate) fn get(self, name: &std::ffi::CStr) -> Result<Value<'a>> {
        let mut result = ptr::null_mut();
        // SAFETY: the value belongs to this callback, and the name ends with a zero.
        let status =
            unsafe { sys::napi_get_named_property(self.env.raw, self.raw, name.as_ptr(), &mut result) };
        self.env.check(status, "an object was expected")?;
        Ok(Value { env: self.env, raw: result })
    }

    /// The own enumerable properties whose names are strings.
    pub(crate) fn entries(self) -> Result<Vec<(String, Value<'a>)>> {
        // napi_key_own_only; napi_key_enumerable | napi_key_skip_symbols; napi_key_numbers_to_strings
        const OWN: i32 = 1;
        const ENUMERABLE_STRINGS: i32 = 2 | 16;
        const AS_STRINGS: i32 = 1;
        let mut names = ptr::null_mut();
        // SAFETY: the value belongs to this callback.
        let status = unsafe {
            sys::napi_get_all_property_names(
                self.env.raw,
                self.raw,
                OWN,
                ENUMERABLE_STRINGS,
                AS_STRINGS,
                &mut names,
            )
        };
        self.env.check(status, "an object was expected")?;
        let names = Value { env: self.env, raw: names }.elements()?;
        let value = |name: Value<'a>| {
            let mut result = ptr::null_mut();
            // SAFETY: object and name belong to this callback.
            let status = unsafe { sys::napi_get_property(self.env.raw, self.raw, name.raw, &mut result) };
            self.env.check(status, "no property")?;
            Ok((name.string()?, Value { env: self.env, raw: result }))
        };
        names.into_iter().map(value).collect()
    }

    /// An array's elements.
    pub(crate) fn elements(self) -> Result<Vec<Value<'a>>> {
        let mut length = 0;
        // SAFETY: the value belongs to this callback; Node-API checks that it is an array.
        let status = unsafe { sys::napi_get_array_length(self.env.raw, self.raw, &mut length) };
        self.env.check(status, "an array was expected")?;
        let element = |index| {
            let mut result = ptr::null_mut();
            // SAFETY: as above.
            let status = unsafe { sys::napi_get_element(self.env.raw, self.raw, index, &mut result) };
            self.env.check(status, "no element")?;
            Ok(Value { env: self.env, raw: result })
        };
        (0..length).map(element).collect()
    }

    /// Sets a property of an object.
    pub(crate) fn set(self, name: &str, value: Value<'a>) -> Result<()> {
        let name = self.env.string(name)?;
        // SAFETY: all three belong to this callback.
        let status =
            unsafe { sys::napi_set_property(self.env.raw, self.raw, name.raw, value.or_undefined()) };
        self.env.check(status, "the property cannot be set")
    }

    pub(super) fn or_undefined(self) -> sys::napi_value {
        let mut raw = self.raw;
        if raw.is_null() {
            // SAFETY: `undefined` is there in every environment.
            unsafe { sys::napi_get_undefined(self.env.raw, &mut raw) };
        }
        raw
    }

    /// Calls a function with no `this`.
    pub(crate) fn call(self, arguments: &[Value<'a>]) -> Result<Value<'a>> {
        let arguments: Vec<_> = arguments.iter().map(|value| value.or_undefined()).collect();
        let this = self.env.nothing().or_undefined();
        let mut result = ptr::null_mut();
        // SAFETY: function and arguments belong to this callback.
        let status = unsafe {
            let argv = arguments.as_ptr();
            sys::napi_call_function(self.env.raw, this, self.raw, arguments.len(), argv, &mut result)
        };
        self.env.check(status, "a function was expected")?;
        Ok(Value { env: self.env, raw: result })
    }
}

/// Declares functions of `Env` that make a value through a function of Node-API.
macro_rules! makers {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) = $function:ident($($given:expr),*);)*) => {
        impl<'a> Env<'a> {$(
            $(#[$doc])*
            pub(crate) fn $name(self $(, $argument: $type)*) -> Result<Value<'a>> {
                let mut raw = ptr::null_mut();
                // SAFETY: the environment is that of this callback; pointers among the arguments are
                // those of slices, with their lengths.
                let status = unsafe { sys::$function(self.raw, $($given,)* &mut raw) };
                self.check(status, concat!(stringify!($name), " cannot be made"))?;
                Ok(Value { env: self, raw })
            }
        )*}
    };
}

makers! {
    null() = napi_get_null();
    boolean(value: bool) = napi_get_boolean(value);
    number(value: f64) = napi_create_double(value);
    big_integer(value: i64) = napi_create_bigint_int64(value);
    string(value: &str) = napi_create_string_utf8(value.as_ptr().cast(), value.len() as isize);
    date(milliseconds: f64) = napi_create_date(milliseconds);
    object() = napi_create_object();
    buffer(bytes: &[u8]) = napi_create_buffer_copy(bytes.len(), bytes.as_ptr().cast(), ptr::null_mut());
    empty_array(length: usize) = napi_create_array_with_length(length);
}

impl<'a> Env<'a> {
    /// `undefined`, for the price of nothing.
    pub(crate) fn nothing(self) -> Value<'a> {
        Value { env: self, raw: ptr::null_mut() }
    }

    /// A number if JavaScript's can be exact about it, a BigInt otherwise.
    pub(crate) fn integer(self, value: i64) -> Result<Value<'a>> {
        match value.unsigned_abs() < 1 << 53 {
            true => self.number(value as f64),
            false => self.big_integer(value),
        }
    }

    pub(crate) fn array(self, values: impl ExactSizeIterator<Item = Result<Value<'a>>>) -> Result<Value<'a>> {
        let array = self.empty_array(values.len())?;
        for (index, value) in values.enumerate() {
            let value = value?.or_undefined();
            // SAFETY: array and value belong to this callback.
            let status = unsafe { sys::napi_set_element(self.raw, array.raw, index as u32, value) };
            self.check(status, "no element can be set")?;
        }
        Ok(array)
    }
}
