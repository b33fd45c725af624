//! How other threads reach an environment: they leave a note, and wake it when there was none before.

use std::ffi::c_void;
use std::mem;
use std::ptr;
use std::sync::Arc;

use napi_sys as sys;
use parking_lot::Mutex;
use warrenmq::{Error, Kind};

use super::{Env, Failure, Result, Value, guarded};

/// A note for the environment's thread.
pub(crate) enum Mail {
    /// The consumer of this number has something.
    Ready(u32),
    /// Something to be done there.
    Task(Box<dyn FnOnce(Env<'_>) -> Result<()> + Send>),
}

/// Notes for one environment. Outlives it in the hands of other threads, and then takes no more.
pub(crate) struct Mailbox(Mutex<State>);

struct State {
    /// Null when the environment has ended. Used under the lock, so that it cannot end meanwhile.
    wake: sys::napi_threadsafe_function,
    mail: Vec<Mail>,
}

// SAFETY: a thread-safe function may be called from any thread; that it is still there, the lock and the
// cleanup hook see to.
unsafe impl Send for State {}

impl Mailbox {
    /// Opens the mailbox of this environment; it does not keep the event loop alive.
    pub(super) fn open(env: Env<'_>) -> Result<Arc<Mailbox>> {
        let mut wake = ptr::null_mut();
        let name = env.string("warrenmq")?.raw();
        let none = ptr::null_mut();
        // SAFETY: neither context nor data are passed, so there is nothing to outlive them. Queue size 0
        // is no limit: there is one wake under way at most.
        let status = unsafe {
            let (threads, context) = (1, ptr::null_mut());
            let deliver = Some(deliver as unsafe extern "C" fn(_, _, _, _));
            let (data, finalize) = (ptr::null_mut(), None);
            sys::napi_create_threadsafe_function(
                env.raw, none, none, name, 0, threads, data, finalize, context, deliver, &mut wake,
            )
        };
        env.check(status, "no thread-safe function")?;
        // SAFETY: made above, on this thread.
        unsafe { sys::napi_unref_threadsafe_function(env.raw, wake) };
        Ok(Arc::new(Mailbox(Mutex::new(State { wake, mail: Vec::new() }))))
    }

    /// Leaves a note. From any thread; dropped when the environment has ended.
    pub(crate) fn post(&self, mail: Mail) {
        let mut state = self.0.lock();
        if state.wake.is_null() {
            drop(state);
            return; // the note is dropped here, without the lock: it may hold what locks again
        }
        state.mail.push(mail);
        if state.mail.len() == 1 {
            let mode = sys::ThreadsafeFunctionCallMode::nonblocking;
            // SAFETY: not null, so the cleanup hook, which runs before Node ends it, has not run, and waits
            // for this lock.
            unsafe { sys::napi_call_threadsafe_function(state.wake, ptr::null_mut(), mode) };
        }
    }

    /// Whether the event loop waits for notes.
    pub(super) fn keep_alive(&self, env: Env<'_>, alive: bool) {
        let state = self.0.lock();
        if state.wake.is_null() {
            return;
        }
        // SAFETY: not null, as above; on the environment's thread, as there is an `Env`.
        unsafe {
            match alive {
                true => sys::napi_ref_threadsafe_function(env.raw, state.wake),
                false => sys::napi_unref_threadsafe_function(env.raw, state.wake),
            };
        }
    }

    /// Takes no more notes, and forgets those that were not read.
    pub(super) fn shut(&self) {
        let mut state = self.0.lock();
        state.wake = ptr::null_mut();
        let mail = mem::take(&mut state.mail);
        drop(state);
        drop(mail);
    }

    fn take(&self) -> Vec<Mail> {
        mem::take(&mut self.0.lock().mail)
    }
}

/// Reads the notes, on the environment's thread.
unsafe extern "C" fn deliver(env: sys::napi_env, _: sys::napi_value, _: *mut c_void, _: *mut c_void) {
    if env.is_null() {
        return; // the environment ends
    }
    // SAFETY: the environment of this callback.
    let env = unsafe { Env::new(env) };
    let Some(isolate) = env.find_isolate() else { return };
    let mut ready = Vec::new();
    for mail in isolate.mailbox.take() {
        match mail {
            Mail::Ready(consumer) => ready.push(consumer),
            Mail::Task(task) => {
                if let Err(failure) = guarded(|| task(env)).and_then(|result| result) {
                    env.throw(failure);
                    return;
                }
            }
        }
    }
    if !ready.is_empty()
        && let Err(failure) = guarded(|| env.ready(&ready)).and_then(|result| result)
    {
        env.throw(failure);
    }
}

/// A promise to be settled from another thread. Keeps the event loop alive until then.
pub(crate) struct Deferred {
    promise: Option<Promise>,
    mailbox: Arc<Mailbox>,
}

/// Settled once, on the environment's thread; lost when the environment ends before.
struct Promise(sys::napi_deferred);

// SAFETY: the pointer is only used in `Promise::settle`, which takes an `Env` and so runs on its thread.
unsafe impl Send for Promise {}

impl Deferred {
    /// A promise, and what settles it.
    pub(crate) fn new(env: Env<'_>) -> Result<(Deferred, Value<'_>)> {
        let (mut raw, mut promise) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the environment of this callback.
        let status = unsafe { sys::napi_create_promise(env.raw, &mut raw, &mut promise) };
        env.check(status, "no promise")?;
        env.hold()?;
        let mailbox = env.isolate()?.mailbox.clone();
        // SAFETY: made in this callback.
        let promise = unsafe { Value::new(env, promise) };
        Ok((Deferred { promise: Some(Promise(raw)), mailbox }, promise))
    }

    /// Settles the promise with what `make` gives on the environment's thread.
    pub(crate) fn settle(mut self, make: impl for<'a> FnOnce(Env<'a>) -> Result<Value<'a>> + Send + 'static) {
        self.post(make);
    }

    /// The same, for who is on that thread.
    pub(crate) fn settle_here<'a>(
        mut self,
        env: Env<'a>,
        make: impl FnOnce(Env<'a>) -> Result<Value<'a>>,
    ) -> Result<()> {
        self.promise.take().map_or(Ok(()), |promise| promise.settle(env, make))
    }

    fn post(&mut self, make: impl for<'a> FnOnce(Env<'a>) -> Result<Value<'a>> + Send + 'static) {
        if let Some(promise) = self.promise.take() {
            self.mailbox.post(Mail::Task(Box::new(move |env| promise.settle(env, make))));
        }
    }
}

impl Drop for Deferred {
    /// Whoever was to settle it panicked, or was stopped.
    fn drop(&mut self) {
        let reason = "the operation was given up before it was done";
        self.post(move |_| Err(Error::new(Kind::InternalError, "call", reason).into()));
    }
}

impl Promise {
    fn settle<'a>(self, env: Env<'a>, make: impl FnOnce(Env<'a>) -> Result<Value<'a>>) -> Result<()> {
        env.release()?;
        let result = guarded(|| make(env)).and_then(|result| result);
        // SAFETY: the promise belongs to this environment, and is settled here only.
        let status = unsafe {
            match result {
                Ok(value) => sys::napi_resolve_deferred(env.raw, self.0, value.or_undefined()),
                Err(Failure::Error(error)) => {
                    sys::napi_reject_deferred(env.raw, self.0, env.error(&error)?.raw())
                }
                Err(Failure::Thrown) => return Err(Failure::Thrown),
            }
        };
        env.check(status, "the promise cannot be settled")
    }
}
