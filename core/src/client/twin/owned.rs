//! What crosses between two modules, in C's terms: bytes for as long as a call lasts, things with the function that
//! releases them, callbacks.
//!
//! Each module has its own allocator and its own copy of every type, so that whoever made something also ends it: a
//! pointer that is handed over for good travels with the function that releases it.

#![expect(unsafe_code, reason = "pointers are what two modules have in common")]

use std::ffi::c_void;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use bytes::Bytes;

/// Bytes that belong to the caller, for as long as the call lasts; or, in a static, for ever.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    start: *const u8,
    len: usize,
}

impl Slice {
    pub(super) const fn of(bytes: &[u8]) -> Self {
        Slice { start: bytes.as_ptr(), len: bytes.len() }
    }

    /// The bytes.
    ///
    /// # Safety
    /// Those that it was made of must still be there, for all of the lifetime.
    pub(super) unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: as the caller promises.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }

    /// The bytes as text.
    ///
    /// # Safety
    /// As [`Slice::bytes`].
    pub(super) unsafe fn text<'a>(self) -> &'a str {
        // SAFETY: as the caller promises.
        std::str::from_utf8(unsafe { self.bytes() }).unwrap_or_default()
    }

    /// Where they are and how many.
    pub(super) fn parts(self) -> (usize, usize) {
        (self.start.expose_provenance(), self.len)
    }

    /// A text out of its [`Slice::parts`].
    ///
    /// # Safety
    /// They must be those of a `&'static str` of a module that is never unloaded.
    pub(super) unsafe fn lasting((start, len): (usize, usize)) -> &'static str {
        // SAFETY: as the caller promises.
        unsafe { Slice { start: ptr::with_exposed_provenance(start), len }.text() }
    }
}

/// A thing of the other module, or of one's own on its way there. Released when it is dropped, on either side.
#[repr(C)]
pub(super) struct Owned {
    thing: *mut c_void,
    release: Option<unsafe extern "C" fn(*mut c_void)>,
}

// SAFETY: what it points to is `Send` and `Sync`, as `Owned::new` demands.
unsafe impl Send for Owned {}
// SAFETY: as above.
unsafe impl Sync for Owned {}

impl Owned {
    pub(super) const NOTHING: Owned = Owned { thing: ptr::null_mut(), release: None };

    pub(super) fn new<T: Send + Sync + 'static>(thing: T) -> Self {
        Owned { thing: Box::into_raw(Box::new(thing)).cast(), release: Some(release::<T>) }
    }

    /// What to call the thing's module with, as long as this is there.
    pub(super) fn pointer(&self) -> *const c_void {
        self.thing
    }

    /// The thing itself, in the module that made it.
    ///
    /// # Safety
    /// It must have been made there by [`Owned::new`] with the same type.
    pub(super) unsafe fn take<T>(self) -> Box<T> {
        let thing = self.thing;
        std::mem::forget(self);
        // SAFETY: a box was made raw in `Owned::new`, and is not released, as `self` is forgotten.
        unsafe { Box::from_raw(thing.cast()) }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: both come from the same `Owned::new`, and neither is used any more.
            unsafe { release(self.thing) }
        }
    }
}

impl fmt::Debug for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owned").finish_non_exhaustive()
    }
}

unsafe extern "C" fn release<T>(thing: *mut c_void) {
    // SAFETY: `Owned::new` made it of such a box.
    let thing = unsafe { Box::<T>::from_raw(thing.cast()) };
    // No panic may leave this module.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(thing)));
}

/// Bytes with whom they belong to: the caller, if nobody.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Parcel {
    bytes: Slice,
    owner: Owned,
}

// SAFETY: the bytes are the owner's, and nobody changes them. Those of a caller do not leave its thread.
unsafe impl Send for Parcel {}
// SAFETY: as above.
unsafe impl Sync for Parcel {}

impl Parcel {
    pub(super) const EMPTY: Parcel = Parcel { bytes: Slice::of(&[]), owner: Owned::NOTHING };

    /// Bytes of the caller's.
    pub(super) fn lent(bytes: &[u8]) -> Self {
        Parcel { bytes: Slice::of(bytes), owner: Owned::NOTHING }
    }

    /// Bytes for whoever gets them, which stay where they are.
    pub(super) fn given(bytes: Bytes) -> Self {
        Parcel { bytes: Slice::of(&bytes), owner: Owned::new(bytes) }
    }

    /// The bytes, where they were given for good.
    ///
    /// # Errors
    /// The parcel, when they are the caller's.
    pub(super) fn into_bytes(self) -> Result<Bytes, Self> {
        match self.owner.release {
            Some(_) => Ok(Bytes::from_owner(self)),
            None => Err(self),
        }
    }

    /// Where the bytes are. They are there as long as the parcel, or the call, whichever ends first.
    pub(super) fn slice(&self) -> Slice {
        self.bytes
    }
}

impl AsRef<[u8]> for Parcel {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the owner keeps them, and is kept by this parcel; or the caller does during the call.
        unsafe { self.bytes.bytes() }
    }
}

/// A function of the module that made it, which the other may call from any thread.
#[repr(C)]
pub(super) struct Callback<A> {
    context: Owned,
    call: unsafe extern "C" fn(*const c_void, A),
    argument: PhantomData<fn(A)>,
}

impl<A> Callback<A> {
    pub(super) fn new<F: Fn(A) + Send + Sync + 'static>(function: F) -> Self {
        Callback { context: Owned::new(function), call: call::<A, F>, argument: PhantomData }
    }

    pub(super) fn call(&self, argument: A) {
        // SAFETY: the context is what `call` was made for.
        unsafe { (self.call)(self.context.pointer(), argument) }
    }
}

unsafe extern "C" fn call<A, F: Fn(A)>(function: *const c_void, argument: A) {
    // SAFETY: `Callback::new` made it of such a function, and the callback is there while it is called.
    let function = unsafe { &*function.cast::<F>() };
    // No panic may leave this module.
    let _ = catch_unwind(AssertUnwindSafe(|| function(argument)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn bytes_that_were_given_stay_where_they_are_and_are_released_once() {
        let bytes: Arc<[u8]> = vec![7; 100].into();
        let parcel = Parcel::given(Bytes::from_owner(bytes.clone()));
        let taken = parcel.into_bytes().unwrap();
        assert_eq!((taken.as_ptr(), taken.len()), (bytes.as_ptr(), 100));
        assert_eq!(Arc::strong_count(&bytes), 2);
        drop((taken.slice(..10), taken));
        assert_eq!(Arc::strong_count(&bytes), 1);
        assert_eq!(Parcel::lent(b"mine").into_bytes().unwrap_err().as_ref(), b"mine");
    }

    #[test]
    fn a_callback_that_panics_does_not_take_its_caller_down() {
        let kept = Arc::new(());
        let callback = Callback::new({
            let kept = kept.clone();
            move |number: usize| assert_eq!((number, Arc::strong_count(&kept)), (0, 0))
        });
        callback.call(1);
        drop(callback);
        assert_eq!(Arc::strong_count(&kept), 1);
    }
}
