//! Where the modules of a process find one another: a slot that each of them exports.
//!
//! Of all loaded objects that export one, the first is everybody's, and whoever first puts its table there lends to
//! the others. An environment variable or a file descriptor would be inherited by children and is not set atomically;
//! a socket with the process's number could be another process's, which could have us call what it likes.

#![expect(unsafe_code, reason = "symbols of other loaded objects")]

use std::ffi::{CStr, CString, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::table::Header;

/// What each module exports under [`NAME`]; the layout is for ever.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Slot(AtomicPtr<Header>);

const NAME: &CStr = c"warrenmq_rendezvous";

#[unsafe(export_name = "warrenmq_rendezvous")]
static SLOT: Slot = Slot(AtomicPtr::new(ptr::null_mut()));

/// What [`settled`] found; null before. Not behind a lock, which in the child of a fork might stay locked.
static FOUND: AtomicPtr<Header> = AtomicPtr::new(ptr::null_mut());

impl Slot {
    /// Puts `ours` here unless another is; whichever is here now, for good.
    fn settle(&self, ours: &'static Header) -> &'static Header {
        let put = ptr::from_ref(ours).cast_mut();
        match self.0.compare_exchange(ptr::null_mut(), put, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => ours,
            // SAFETY: only this function puts anything here, a static of an object that it has pinned.
            Err(theirs) => unsafe { &*theirs },
        }
    }
}

/// The header of the table that all modules of this process use: `ours`, or that of another.
pub(super) fn settled(ours: &'static Header) -> &'static Header {
    if let Some(found) = found() {
        return found;
    }
    // Threads of the other module may be in this one, with a bell, at any time.
    let here = object_of(ptr::from_ref(ours).cast());
    if let Some(object) = &here
        && let Some(handle) = open(object, libc::RTLD_NODELETE)
    {
        // SAFETY: opened above; the object stays, that being what it was opened for.
        unsafe { libc::dlclose(handle) };
    }
    let found = first_slot().settle(ours);
    FOUND.store(ptr::from_ref(found).cast_mut(), Ordering::Release);
    found
}

/// What [`settled`] found already.
pub(super) fn found() -> Option<&'static Header> {
    // SAFETY: only what `Slot::settle` gave is put there.
    unsafe { FOUND.load(Ordering::Acquire).as_ref() }
}

/// The slot of the first loaded object that exports one. Objects are listed as they were loaded and that one is never
/// unloaded, so that whoever looks finds the same. That of this object, should it not be exported, as in a program.
fn first_slot() -> &'static Slot {
    loaded_objects().iter().find_map(|(name, base)| slot_of(name, *base)).unwrap_or(&SLOT)
}

/// The slot of a loaded object, if it has one; pinned then.
fn slot_of(name: &CStr, base: usize) -> Option<&'static Slot> {
    let handle = open(name, 0)?;
    // SAFETY: opened above.
    let symbol = unsafe { libc::dlsym(handle, NAME.as_ptr()) };
    // It may come from an object that this one uses, whose turn comes later.
    let own = !symbol.is_null() && base_of(symbol) == Some(base);
    let pinned = if own { open(name, libc::RTLD_NODELETE) } else { None };
    for handle in [Some(handle), pinned].into_iter().flatten() {
        // SAFETY: opened above, and not used any more.
        unsafe { libc::dlclose(handle) };
    }
    // SAFETY: every version exports the same type under this name, as a static; the object stays loaded.
    pinned.map(|_| unsafe { &*symbol.cast::<Slot>() })
}

/// A handle of an object that is loaded already; with `RTLD_NODELETE` it stays so for ever.
fn open(name: &CStr, flags: c_int) -> Option<*mut c_void> {
    // SAFETY: nothing is loaded, hence nothing of it run.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD | flags) };
    (!handle.is_null()).then_some(handle)
}

fn information(address: *const c_void) -> Option<libc::Dl_info> {
    let mut info = MaybeUninit::uninit();
    // SAFETY: it is written if the answer is not 0.
    unsafe { (libc::dladdr(address, info.as_mut_ptr()) != 0).then(|| info.assume_init()) }
}

fn base_of(address: *const c_void) -> Option<usize> {
    information(address).map(|info| info.dli_fbase.addr())
}

/// The name of the object that an address is in.
pub(super) fn object_of(address: *const c_void) -> Option<CString> {
    let name = information(address)?.dli_fname;
    // SAFETY: the loader's own text, as long as the object is loaded.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_owned())
}

/// Names and addresses of all loaded objects, in the order in which they were loaded.
#[cfg(target_vendor = "apple")]
fn loaded_objects() -> Vec<(CString, usize)> {
    unsafe extern "C" {
        safe fn _dyld_image_count() -> u32;
        safe fn _dyld_get_image_name(index: u32) -> *const std::ffi::c_char;
        safe fn _dyld_get_image_header(index: u32) -> *const c_void;
    }
    let object = |index| {
        let (name, header) = (_dyld_get_image_name(index), _dyld_get_image_header(index));
        // SAFETY: the loader's own text; null when the object is gone meanwhile.
        (!name.is_null()).then(|| (unsafe { CStr::from_ptr(name) }.to_owned(), header.addr()))
    };
    (0.._dyld_image_count()).filter_map(object).collect()
}

/// Names and addresses of all loaded objects, in the order in which they were loaded.
#[cfg(not(target_vendor = "apple"))]
fn loaded_objects() -> Vec<(CString, usize)> {
    unsafe extern "C" fn note(info: *mut libc::dl_phdr_info, _: usize, list: *mut c_void) -> c_int {
        // SAFETY: the loader's own description, and the list below; both there during the call.
        let (info, list) = unsafe { (&*info, &mut *list.cast::<Vec<(CString, usize)>>()) };
        if !info.dlpi_name.is_null() {
            // SAFETY: as above.
            let name = unsafe { CStr::from_ptr(info.dlpi_name) };
            list.push((name.to_owned(), info.dlpi_addr as usize));
        }
        0
    }
    let mut list = Vec::<(CString, usize)>::new();
    // SAFETY: the list is there during the call. Nothing is opened meanwhile, as the loader's lock is held.
    unsafe { libc::dl_iterate_phdr(Some(note), (&raw mut list).cast()) };
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::thread;

    #[test]
    fn of_tables_that_race_for_a_slot_one_wins_and_everybody_has_it() {
        static TABLES: [Header; 4] = [Header::OURS, Header::OURS, Header::OURS, Header::OURS];
        for _ in 0..200 {
            let slot = Slot(AtomicPtr::new(ptr::null_mut()));
            let barrier = Barrier::new(TABLES.len());
            let winners: Vec<usize> = thread::scope(|scope| {
                let race = |ours| {
                    let (slot, barrier) = (&slot, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        ptr::from_ref(slot.settle(ours)).addr()
                    })
                };
                let racers: Vec<_> = TABLES.iter().map(race).collect();
                racers.into_iter().map(|racer| racer.join().unwrap()).collect()
            });
            assert!(winners.iter().all(|winner| *winner == winners[0]), "{winners:?}");
            assert!(TABLES.iter().any(|table| ptr::from_ref(table).addr() == winners[0]));
        }
    }

    #[test]
    fn an_object_that_exports_no_slot_is_passed_over() {
        let objects = loaded_objects();
        assert!(objects.len() > 2, "at least the program, the loader and the C library");
        assert!(objects.iter().all(|(name, base)| slot_of(name, *base).is_none()));
        assert!(ptr::eq(first_slot(), &SLOT));
    }
}
