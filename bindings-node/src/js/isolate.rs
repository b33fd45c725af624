//! What exists once per JavaScript environment: its mailbox, and how its errors are made.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use napi_sys as sys;
use warrenmq::Error;

use super::{Env, Mailbox, Result, Value, free};

/// One environment's own. Used on its thread only.
pub(crate) struct Isolate {
    /// Where other threads leave what is to be done here.
    pub(crate) mailbox: Arc<Mailbox>,
    /// The JavaScript functions of [`Env::set_up`]. Never deleted: they go with the environment.
    make_error: sys::napi_ref,
    ready: sys::napi_ref,
    event: sys::napi_ref,
    /// How many things keep the event loop alive.
    holds: Cell<usize>,
}

impl<'a> Env<'a> {
    /// Sets this environment up. `make_error(code, replyCode, message, operation, entity, reason, advice,
    /// causes)` makes errors, `ready(ids)` hears which consumers have something, `event(id, name, detail)`
    /// what connections have to tell.
    pub(crate) fn set_up(self, make_error: Value<'a>, ready: Value<'a>, event: Value<'a>) -> Result<()> {
        let mailbox = Mailbox::open(self)?;
        let isolate = Isolate {
            mailbox: mailbox.clone(),
            make_error: self.keep(make_error)?,
            ready: self.keep(ready)?,
            event: self.keep(event)?,
            holds: Cell::new(0),
        };
        let data: *mut Isolate = Box::into_raw(Box::new(isolate));
        let hook = Arc::into_raw(mailbox).cast_mut();
        // SAFETY: Node-API gives the data back to the finalizer once, and the mailbox to the hook once.
        // The hook comes after the mailbox's own in Node, so it runs before it, while its handle is valid.
        unsafe {
            let finalize = Some(free::<Isolate> as unsafe extern "C" fn(_, _, _));
            let status = sys::napi_set_instance_data(self.raw, data.cast(), finalize, ptr::null_mut());
            self.check(status, "no instance data")?;
            let status = sys::napi_add_env_cleanup_hook(self.raw, Some(tear_down), hook.cast());
            self.check(status, "no cleanup hook")
        }
    }

    fn keep(self, value: Value<'a>) -> Result<sys::napi_ref> {
        let mut reference = ptr::null_mut();
        // SAFETY: the value belongs to this callback.
        let status = unsafe { sys::napi_create_reference(self.raw, value.raw(), 1, &mut reference) };
        self.check(status, "no reference")?;
        Ok(reference)
    }

    fn kept(self, reference: sys::napi_ref) -> Result<Value<'a>> {
        let mut raw = ptr::null_mut();
        // SAFETY: made by `keep` in this environment, and never deleted.
        let status = unsafe { sys::napi_get_reference_value(self.raw, reference, &mut raw) };
        self.check(status, "no referenced value")?;
        // SAFETY: fetched in this callback.
        Ok(unsafe { Value::new(self, raw) })
    }

    /// This environment's own; `None` before it is set up.
    pub(super) fn find_isolate(self) -> Option<&'a Isolate> {
        let mut data = ptr::null_mut();
        // SAFETY: `set_up` is all that sets the data. It is freed when the environment ends, after the
        // last callback.
        unsafe {
            sys::napi_get_instance_data(self.raw, &mut data);
            data.cast::<Isolate>().as_ref()
        }
    }

    /// This environment's own.
    pub(crate) fn isolate(self) -> Result<&'a Isolate> {
        self.find_isolate().ok_or_else(|| {
            Error::new(warrenmq::Kind::InternalError, "call", "the module was not set up").into()
        })
    }

    /// The error as a JavaScript value, with nothing dropped.
    pub(crate) fn error(self, error: &Error) -> Result<Value<'a>> {
        let make = self.kept(self.isolate()?.make_error)?;
        let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        let causes: Vec<String> = causes.map(ToString::to_string).collect();
        let advice = error.advice().map_or(Ok(self.nothing()), |advice| self.string(advice))?;
        make.call(&[
            self.string(error.kind().name())?,
            self.number(error.kind().code().into())?,
            self.string(&error.to_string())?,
            self.string(error.operation())?,
            self.string(error.entity())?,
            self.string(error.reason())?,
            advice,
            self.array(causes.iter().map(|cause| self.string(cause)))?,
        ])
    }

    /// Says that consumers of these numbers have something.
    pub(super) fn ready(self, consumers: &[u32]) -> Result<()> {
        let numbers = self.array(consumers.iter().map(|&consumer| self.number(consumer.into())))?;
        self.kept(self.isolate()?.ready)?.call(&[numbers]).map(drop)
    }

    /// Says what a connection has to tell.
    pub(crate) fn event(self, arguments: &[Value<'a>]) -> Result<()> {
        self.kept(self.isolate()?.event)?.call(arguments).map(drop)
    }

    /// Keeps the event loop alive until as many calls of [`Env::release`].
    pub(crate) fn hold(self) -> Result<()> {
        let isolate = self.isolate()?;
        isolate.holds.set(isolate.holds.get() + 1);
        if isolate.holds.get() == 1 {
            isolate.mailbox.keep_alive(self, true);
        }
        Ok(())
    }

    /// Undoes one [`Env::hold`].
    pub(crate) fn release(self) -> Result<()> {
        let isolate = self.isolate()?;
        isolate.holds.set(isolate.holds.get().saturating_sub(1));
        if isolate.holds.get() == 0 {
            isolate.mailbox.keep_alive(self, false);
        }
        Ok(())
    }
}

/// The environment ends: nothing may be sent to it any more.
unsafe extern "C" fn tear_down(mailbox: *mut c_void) {
    // SAFETY: `set_up` gave this pointer, of an `Arc`, to this hook, which runs once.
    let mailbox = unsafe { Arc::from_raw(mailbox.cast::<Mailbox>().cast_const()) };
    let _ = super::guarded(|| mailbox.shut()); // there is nobody left to tell
}
