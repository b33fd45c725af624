//! Rust values that JavaScript holds, and gives back as arguments.

use std::any::{Any, type_name};
use std::ptr;

use napi_sys as sys;
use warrenmq::{Error, Kind};

use super::{Env, Result, Value, free};

type Held = Box<dyn Any>;

impl<'a> Env<'a> {
    /// Gives `value` to JavaScript, which drops it when it is collected or the environment ends.
    pub(crate) fn handle<T: 'static>(self, value: T) -> Result<Value<'a>> {
        let held: *mut Held = Box::into_raw(Box::new(Box::new(value)));
        let mut result = ptr::null_mut();
        // SAFETY: `held` came from `Box::into_raw`, which is what the finalizer frees.
        let status = unsafe {
            let hint = ptr::null_mut();
            sys::napi_create_external(self.raw, held.cast(), Some(free::<Held>), hint, &mut result)
        };
        self.check(status, "no handle could be made")?;
        // SAFETY: made in this callback.
        Ok(unsafe { Value::new(self, result) })
    }
}

impl<'a> Value<'a> {
    /// What [`Env::handle`] gave away.
    pub(crate) fn held<T: 'static>(self) -> Result<&'a T> {
        let mut data = ptr::null_mut();
        // SAFETY: Node-API checks that it is an external.
        let status = unsafe { sys::napi_get_value_external(self.env().raw, self.raw(), &mut data) };
        self.env().check(status, "a handle was expected")?;
        // SAFETY: this module's externals are all made by `Env::handle`, and its functions can be reached
        // by the package's own code only, which has no others. It is alive for as long as the value is.
        let held = unsafe { &*data.cast::<Held>() };
        held.downcast_ref().ok_or_else(|| {
            let reason = format!("a handle of {} was expected", type_name::<T>());
            Error::new(Kind::InvalidArgument, "call", reason).into()
        })
    }
}
