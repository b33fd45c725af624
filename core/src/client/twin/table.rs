//! The table of functions that one module of a process lends to the others.
//!
//! What is called for every message or batch has a function of its own. The rest goes through [`Table::call`] by its
//! name, with arguments and answer encoded by `codec`: AMQP's methods, which could be used for that, leave out what
//! the wire does not tell and cut what it has no room for.

#![expect(unsafe_code, reason = "a table of functions that another module calls")]

use std::ffi::{c_int, c_void};
use std::ptr;

use super::owned::{Callback, Owned, Parcel, Slice};
use crate::client::Settle;
use crate::error::{Error, Kind, Result};

/// Says that a header is one; never to be changed.
const MAGIC: u64 = u64::from_be_bytes(*b"WarrenMQ");

/// Differs when the layout of what crosses, or how it is encoded, does.
const ABI: u64 = {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325; // FNV-1a
    let sources: [&[u8]; 4] = [
        include_bytes!("table.rs"),
        include_bytes!("owned.rs"),
        include_bytes!("codec.rs"),
        include_bytes!("lent/mod.rs"),
    ];
    let mut source = 0;
    while source < sources.len() {
        let mut at = 0;
        while at < sources[source].len() {
            hash = (hash ^ sources[source][at] as u64).wrapping_mul(0x0100_0000_01b3);
            at += 1;
        }
        source += 1;
    }
    hash
};

/// What a table begins with, in every version for ever: a module must be able to read that of any other.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Header {
    magic: u64,
    abi: u64,
    size: usize,
    version: Slice,
}

// SAFETY: the text that it points to is a static.
unsafe impl Sync for Header {}
// SAFETY: as above.
unsafe impl Send for Header {}

impl Header {
    /// That of this module.
    pub(super) const OURS: Header = Header::of(env!("CARGO_PKG_VERSION"));

    const fn of(version: &'static str) -> Self {
        Header { magic: MAGIC, abi: ABI, size: size_of::<Table>(), version: Slice::of(version.as_bytes()) }
    }

    /// The table that this is the header of, if this module can use it.
    ///
    /// # Errors
    /// `Unsupported`, with both versions.
    pub(super) fn check(&'static self) -> Result<&'static Table> {
        let Header { magic, abi, size, version } = Header::OURS;
        let refused = |theirs: &str| {
            let reason = format!(
                "two modules in this process cannot share its brokers: one is of WarrenMQ {}, the other of {theirs}",
                env!("CARGO_PKG_VERSION")
            );
            Err(Error::new(Kind::Unsupported, "connect", reason)
                .advise("install modules of the same version, from the same release"))
        };
        if self.magic != magic {
            return refused("a version that cannot be told");
        }
        // SAFETY: a header has a version, which is a static of a module that is never unloaded.
        let (ours, theirs) = unsafe { (version.text(), self.version.text()) };
        if theirs != ours {
            return refused(theirs);
        }
        if (self.abi, self.size) != (abi, size) {
            return refused(&format!("another build of {theirs}"));
        }
        // SAFETY: a table of this layout begins with this header, as only tables' headers are given to others.
        Ok(unsafe { &*ptr::from_ref(self).cast::<Table>() })
    }
}

/// What a module lends. Functions that take a `reply` write it, and say so, unless all went well and there is nothing
/// more to say.
#[repr(C)]
pub(super) struct Table {
    pub(super) header: Header,
    /// Opens a connection: URL and options.
    pub(super) connect: unsafe extern "C" fn(request: Slice, reply: *mut Reply),
    /// Does the operation of that name.
    pub(super) call:
        unsafe extern "C" fn(thing: *const c_void, operation: Slice, request: Slice, reply: *mut Reply),
    /// Has a pending answer told.
    pub(super) follow: unsafe extern "C" fn(answer: Owned, done: Callback<Reply>),
    /// Of a connection or a channel.
    pub(super) is_open: unsafe extern "C" fn(thing: *const c_void) -> bool,
    /// Tells the events of a connection, encoded.
    pub(super) on_event: unsafe extern "C" fn(connection: *const c_void, listener: Callback<Slice>),
    /// Publishes a message: `CONFIRMED` and `ROUTED`, or `REPLIED`.
    pub(super) publish:
        unsafe extern "C" fn(channel: *const c_void, message: Outgoing, reply: *mut Reply) -> u32,
    /// Publishes what `next` gives until it says false.
    pub(super) publish_all: unsafe extern "C" fn(
        channel: *const c_void,
        context: *mut c_void,
        next: unsafe extern "C" fn(context: *mut c_void, message: *mut Outgoing) -> bool,
        reply: *mut Reply,
    ),
    /// Settles deliveries; true when it replied.
    pub(super) settle: unsafe extern "C" fn(
        channel: *const c_void,
        tags: *const Tag,
        count: usize,
        how: u32,
        reply: *mut Reply,
    ) -> bool,
    /// Puts deliveries that are there, some at a time; true when it replied.
    pub(super) take: unsafe extern "C" fn(
        consumer: *const c_void,
        max: usize,
        context: *mut c_void,
        put: unsafe extern "C" fn(context: *mut c_void, deliveries: *mut Delivered, count: usize),
        reply: *mut Reply,
    ) -> bool,
    /// Looks whether something may come any moment.
    pub(super) look: unsafe extern "C" fn(consumer: *const c_void) -> bool,
    /// Blocks until there is something to take; false when the time ran out. `u64::MAX` is no limit.
    pub(super) wait: unsafe extern "C" fn(consumer: *const c_void, nanoseconds: u64) -> bool,
    /// Has a bell rung when there is something to take.
    pub(super) on_ready: unsafe extern "C" fn(consumer: *const c_void, bell: Callback<()>),
    /// To be called when the process is about to end.
    pub(super) before_exit: unsafe extern "C" fn(),
    /// To be called in the child of a fork; gives the descriptors that it is to close.
    pub(super) forked:
        unsafe extern "C" fn(context: *mut c_void, close: unsafe extern "C" fn(*mut c_void, c_int)),
}

/// What a call comes to.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) state: u32,
    /// The answer, or the error, encoded.
    pub(super) bytes: Parcel,
    /// A long body, if the answer is a message.
    pub(super) body: Parcel,
    /// What was opened; what is to be followed when it is pending.
    pub(super) thing: Owned,
}

/// The states of a [`Reply`].
pub(super) const DONE: u32 = 0;
pub(super) const FAILED: u32 = 1;
pub(super) const PENDING: u32 = 2;

/// What publishing says at once.
pub(super) const CONFIRMED: u32 = 1;
pub(super) const ROUTED: u32 = 2;
pub(super) const REPLIED: u32 = 4;

/// A message to be published.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) exchange: Slice,
    pub(super) routing_key: Slice,
    pub(super) properties: Slice,
    pub(super) body: Parcel,
    pub(super) mandatory: bool,
}

/// How deliveries are settled, by the number that crosses.
pub(super) const SETTLES: [Settle; 3] = [Settle::Ack, Settle::Reject, Settle::Requeue];

/// A delivery tag to be settled, or with `multiple` all up to it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Tag {
    pub(super) tag: u64,
    pub(super) multiple: bool,
}

/// A message that is delivered. A long body is given, all else is lent.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) tag: u64,
    pub(super) redelivered: bool,
    pub(super) route: Slice,
    pub(super) properties: Slice,
    pub(super) body: Parcel,
}

#[cfg(test)]
mod tests {
    use super::*;

    static OTHERS: [(Header, &str); 4] = [
        (Header::of("9.8.7"), "the other of 9.8.7"),
        (Header { abi: ABI + 1, ..Header::OURS }, "the other of another build of "),
        (Header { size: 1, ..Header::OURS }, "the other of another build of "),
        (Header { magic: 1, ..Header::of("9.8.7") }, "the other of a version that cannot be told"),
    ];

    #[test]
    fn a_table_of_another_version_or_build_is_refused_by_an_error_that_names_both() {
        let ours = env!("CARGO_PKG_VERSION");
        for (header, theirs) in &OTHERS {
            let Err(error) = header.check() else { panic!("it is taken") };
            assert_eq!(error.kind(), Kind::Unsupported);
            assert!(error.reason().contains(&format!("one is of WarrenMQ {ours}, ")), "{error}");
            assert!(error.reason().contains(theirs), "{error}");
        }
    }
}
