//! A small safe layer over Node-API; the only place of this crate with `unsafe` code.
//!
//! | file | holds |
//! |---|---|
//! | here | entry of the module; functions that JavaScript calls, behind one trampoline |
//! | `value` | JavaScript values and what they are turned into |
//! | `handle` | Rust values that JavaScript holds |
//! | `isolate` | what exists once per JavaScript environment; how its errors are made |
//! | `mailbox` | how other threads reach an environment |
//!
//! Values carry the lifetime of the callback in which Node-API made them, so they cannot be kept. Every
//! callback from Node goes through [`guarded`]: a panic ends there as an error, and does not unwind into C.

#![allow(unsafe_code, reason = "Node-API is a C interface; each block says why it is sound")]

mod handle;
mod isolate;
mod mailbox;
mod value;

use std::ffi::c_void;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use napi_sys as sys;
use warrenmq::{Error, Kind};

pub(crate) use mailbox::{Deferred, Mail, Mailbox};
pub(crate) use value::{Type, Value};

/// Why a function has no value to return.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Becomes a `WarrenError`.
    Error(Error),
    /// A JavaScript exception, already thrown.
    Thrown,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Error(error)
    }
}

/// A JavaScript environment (an isolate's main context), as seen from within a callback on its thread.
#[derive(Clone, Copy)]
pub(crate) struct Env<'a> {
    raw: sys::napi_env,
    callback: PhantomData<&'a ()>,
}

/// Arguments that a function is called with at most.
const MAX_ARGUMENTS: usize = 8;

/// One call of a function.
pub(crate) struct Call<'a> {
    pub(crate) env: Env<'a>,
    arguments: [sys::napi_value; MAX_ARGUMENTS],
}

impl<'a> Call<'a> {
    /// An argument; `undefined` where there are fewer.
    pub(crate) fn argument(&self, index: usize) -> Value<'a> {
        // SAFETY: Node-API filled the array in this callback, with `undefined` where nothing was passed.
        unsafe { Value::new(self.env, self.arguments[index]) }
    }
}

/// What JavaScript can call.
pub(crate) trait Function: for<'a> Fn(&Call<'a>) -> Result<Value<'a>> + 'static {}
impl<F: for<'a> Fn(&Call<'a>) -> Result<Value<'a>> + 'static> Function for F {}

type Boxed = Box<dyn Function>;

impl<'a> Env<'a> {
    /// # Safety
    /// `raw` must be the environment of a callback that lasts for `'a`, on this thread.
    unsafe fn new(raw: sys::napi_env) -> Self {
        Env { raw, callback: PhantomData }
    }

    /// Turns a status into a result.
    fn check(self, status: sys::napi_status, what: &str) -> Result<()> {
        match status {
            sys::Status::napi_ok => Ok(()),
            sys::Status::napi_pending_exception | sys::Status::napi_cannot_run_js => Err(Failure::Thrown),
            status => {
                let reason = format!("{what} (Node-API status {status})");
                Err(Error::new(Kind::InvalidArgument, "call", reason).into())
            }
        }
    }

    /// A JavaScript function that calls `function`, and owns it.
    pub(crate) fn function(self, function: impl Function) -> Result<Value<'a>> {
        let data: *mut Boxed = Box::into_raw(Box::new(Box::new(function)));
        let mut result = ptr::null_mut();
        // SAFETY: `data` lives as long as the function: the finalizer below is what frees it.
        let status = unsafe {
            sys::napi_create_function(self.raw, c"".as_ptr(), 0, Some(trampoline), data.cast(), &mut result)
        };
        self.check(status, "no function could be made")?;
        // SAFETY: `result` is the function made above; `data` came from `Box::into_raw`.
        let status = unsafe {
            let hint = ptr::null_mut();
            sys::napi_add_finalizer(self.raw, result, data.cast(), Some(free::<Boxed>), hint, ptr::null_mut())
        };
        self.check(status, "no finalizer could be added")?;
        // SAFETY: made in this callback.
        Ok(unsafe { Value::new(self, result) })
    }

    fn throw(self, failure: Failure) {
        let Failure::Error(error) = failure else { return };
        if let Ok(error) = self.error(&error) {
            // SAFETY: both belong to this callback. Should it fail, an exception is pending already.
            unsafe { sys::napi_throw(self.raw, error.raw()) };
        }
    }
}

/// Frees what `Box::into_raw` gave.
unsafe extern "C" fn free<T>(_: sys::napi_env, data: *mut c_void, _: *mut c_void) {
    // SAFETY: registered only with pointers of `Box<T>::into_raw`, and called once for each.
    let _ = guarded(|| drop(unsafe { Box::from_raw(data.cast::<T>()) })); // nobody is there to hear of a panic
}

/// Runs `body`; a panic becomes an error.
fn guarded<T>(body: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Error::new(Kind::InternalError, "call", format!("the native module panicked: {text}"))
            .advise("this is a defect of WarrenMQ; please report it")
            .into()
    })
}

unsafe extern "C" fn trampoline(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let mut arguments = [ptr::null_mut(); MAX_ARGUMENTS];
    let mut count = MAX_ARGUMENTS;
    let mut data = ptr::null_mut();
    // SAFETY: `env` and `info` are those of this callback, and the array has `count` places.
    let (env, status) = unsafe {
        let argv = arguments.as_mut_ptr();
        let status = sys::napi_get_cb_info(env, info, &mut count, argv, ptr::null_mut(), &mut data);
        (Env::new(env), status)
    };
    if status != sys::Status::napi_ok {
        return ptr::null_mut();
    }
    // SAFETY: `function` registered this callback with that pointer, and the function that owns it is
    // alive, for it is being called.
    let function = unsafe { &*data.cast::<Boxed>() };
    let call = Call { env, arguments };
    match guarded(|| function(&call)).and_then(|result| result) {
        Ok(value) => value.raw(),
        Err(failure) => {
            env.throw(failure);
            ptr::null_mut()
        }
    }
}

/// What Node calls when an environment loads the module.
#[unsafe(no_mangle)]
unsafe extern "C" fn napi_register_module_v1(
    raw: sys::napi_env,
    exports: sys::napi_value,
) -> sys::napi_value {
    // SAFETY: both are those of this callback.
    let (env, object) = unsafe { (Env::new(raw), Value::new(Env::new(raw), exports)) };
    if let Err(failure) = guarded(|| crate::register(env, object)).and_then(|result| result) {
        env.throw(failure);
    }
    exports
}

/// The version of Node-API that the module asks for: 8, in every Node since 12.22.
#[unsafe(no_mangle)]
extern "C" fn node_api_module_get_api_version_v1() -> i32 {
    8
}
