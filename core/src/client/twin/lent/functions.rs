//! The functions of the table. None lets a panic out.

#![expect(unsafe_code, reason = "another module calls these, with pointers")]

use std::ffi::{c_int, c_void};
use std::iter;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::super::codec::encode;
use super::super::owned::{Callback, Owned, Parcel, Slice};
use super::super::table::{
    CONFIRMED, Delivered, Header, Outgoing, REPLIED, ROUTED, Reply, SETTLES, Table, Tag,
};
use super::Thing;
use crate::client::driver::{BatchPublishing, ChannelDriver, ConsumerDriver, Publishing};
use crate::client::process::{self, runtime};
use crate::client::{Publish, Settle};
use crate::error::{Error, Kind, Result};
use crate::fork;
use crate::message::Body;

/// Deliveries that are described at a time.
const BATCH: usize = 64;

/// What this module lends.
pub(in crate::client::twin) static TABLE: Table = Table {
    header: Header::OURS,
    connect,
    call,
    follow,
    is_open,
    on_event,
    publish,
    publish_all,
    settle,
    take,
    look,
    wait,
    on_ready,
    before_exit,
    forked,
};

/// What the pointer of a borrower points to.
///
/// # Safety
/// It comes from an `Owned` of [`Thing`], which is there for all of the lifetime.
unsafe fn lent<'a>(thing: *const c_void) -> &'a Thing {
    // SAFETY: as the caller promises.
    unsafe { &*thing.cast() }
}

/// The channel that the pointer of a borrower points to.
///
/// # Safety
/// As [`lent`].
unsafe fn channel<'a>(thing: *const c_void) -> Result<&'a dyn ChannelDriver> {
    // SAFETY: as the caller promises.
    match unsafe { lent(thing) } {
        Thing::Channel(channel, _) => Ok(&**channel),
        other => Err(mistaken(other)),
    }
}

/// The consumer that the pointer of a borrower points to.
///
/// # Safety
/// As [`lent`].
unsafe fn consumer<'a>(thing: *const c_void) -> Result<&'a dyn ConsumerDriver> {
    // SAFETY: as the caller promises.
    match unsafe { lent(thing) } {
        Thing::Consumer(consumer, _) => Ok(&**consumer),
        other => Err(mistaken(other)),
    }
}

#[cold]
fn mistaken(thing: &Thing) -> Error {
    Error::new(Kind::InternalError, "call", format!("a {thing:?} has no such function"))
}

/// What `act` does, or what is said instead when it panics.
fn guarded<T>(otherwise: impl FnOnce() -> T, act: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_| otherwise())
}

/// Writes the reply that `act` gives, if it gives one; whether it did.
///
/// # Safety
/// There is room for a reply, and it holds none.
unsafe fn reply_to(place: *mut Reply, act: impl FnOnce() -> Result<Option<Reply>>) -> bool {
    let panicked = || Err(Error::new(Kind::InternalError, "call", "the broker panicked"));
    match guarded(panicked, act).unwrap_or_else(|error| Some(Reply::failed(error))) {
        Some(reply) => {
            // SAFETY: as the caller promises.
            unsafe { place.write(reply) };
            true
        }
        None => false,
    }
}

unsafe extern "C" fn connect(request: Slice, reply: *mut Reply) {
    // SAFETY: the caller's for this call, as is the room for the reply.
    unsafe { reply_to(reply, || super::connect(request.bytes().to_vec()).map(Some)) };
}

unsafe extern "C" fn call(thing: *const c_void, operation: Slice, request: Slice, reply: *mut Reply) {
    // SAFETY: the thing, the bytes and the room for the reply are there during the call.
    unsafe {
        reply_to(reply, || super::perform(lent(thing), operation.text(), request.bytes().to_vec()).map(Some))
    };
}

unsafe extern "C" fn follow(answer: Owned, done: Callback<Reply>) {
    let start = || {
        // SAFETY: only replies of this module have things to be followed, and all of them are of this type.
        let answer = unsafe { answer.take::<Thing>() };
        let Thing::Answer(answer) = *answer else { return };
        let Some(answer) = answer.into_inner() else { return };
        match runtime() {
            Ok(runtime) => drop(runtime.spawn(async move { done.call(answer.await) })),
            Err(error) => done.call(Reply::failed(error)),
        }
    };
    guarded(|| (), start); // a callback that is dropped says that nothing comes
}

unsafe extern "C" fn is_open(thing: *const c_void) -> bool {
    // SAFETY: the thing is there during the call.
    guarded(
        || false,
        || match unsafe { lent(thing) } {
            Thing::Connection(connection) => connection.is_open(),
            Thing::Channel(channel, _) => channel.is_open(),
            _ => false,
        },
    )
}

unsafe extern "C" fn on_event(connection: *const c_void, listener: Callback<Slice>) {
    // SAFETY: the thing is there during the call.
    guarded(
        || (),
        || {
            if let Thing::Connection(connection) = unsafe { lent(connection) } {
                connection.on_event(Arc::new(move |event| listener.call(Slice::of(&encode(event)))));
            }
        },
    );
}

/// A message of a borrower's.
///
/// # Safety
/// What it is made of must be there for all of the lifetime.
#[inline]
unsafe fn incoming<'a>(message: Outgoing) -> Publish<'a> {
    let Outgoing { exchange, routing_key, properties, body, mandatory } = message;
    // SAFETY: as the caller promises.
    unsafe {
        Publish {
            exchange: exchange.text(),
            routing_key: routing_key.text(),
            mandatory,
            properties: properties.bytes(),
            body: match body.into_bytes() {
                Ok(bytes) => Body::Owned(bytes),
                Err(lent) => Body::Slice(lent.slice().bytes()),
            },
        }
    }
}

unsafe extern "C" fn publish(thing: *const c_void, message: Outgoing, reply: *mut Reply) -> u32 {
    let mut said = 0;
    let act = || {
        // SAFETY: thing and message are there during the call.
        let (channel, message) = unsafe { (channel(thing)?, incoming(message)) };
        Ok(match channel.publish(message)? {
            Publishing::Done(outcome) => {
                said =
                    if outcome.confirmed { CONFIRMED } else { 0 } | if outcome.routed { ROUTED } else { 0 };
                None
            }
            Publishing::Pending(answer) => Some(super::follow(answer)),
        })
    };
    // SAFETY: the caller has room for a reply.
    match unsafe { reply_to(reply, act) } {
        true => REPLIED,
        false => said,
    }
}

unsafe extern "C" fn publish_all(
    thing: *const c_void,
    context: *mut c_void,
    next: unsafe extern "C" fn(*mut c_void, *mut Outgoing) -> bool,
    reply: *mut Reply,
) {
    let mut batch = iter::from_fn(|| {
        let mut message = MaybeUninit::uninit();
        // SAFETY: the borrower's own function and context; it has written a message if it says so, and what that
        // is made of is there until the whole call returns.
        unsafe { next(context, message.as_mut_ptr()).then(|| incoming(message.assume_init())) }
    });
    // SAFETY: the thing is there during the call, and the caller has room for a reply.
    unsafe {
        reply_to(reply, || {
            Ok(Some(match channel(thing)?.publish_all(&mut batch)? {
                BatchPublishing::Done(outcome) => Reply::done(outcome),
                BatchPublishing::Pending(answer) => super::follow(answer),
            }))
        })
    };
}

unsafe extern "C" fn settle(
    thing: *const c_void,
    tags: *const Tag,
    count: usize,
    how: u32,
    reply: *mut Reply,
) -> bool {
    // SAFETY: thing and tags are there during the call, and the caller has room for a reply.
    unsafe {
        reply_to(reply, || {
            let tags: SmallVec<[(u64, bool); 128]> =
                std::slice::from_raw_parts(tags, count).iter().map(|tag| (tag.tag, tag.multiple)).collect();
            let how = *SETTLES.get(how as usize).unwrap_or(&Settle::Requeue);
            channel(thing)?.settle(&tags, how).map(|()| None)
        })
    }
}

unsafe extern "C" fn take(
    thing: *const c_void,
    max: usize,
    context: *mut c_void,
    put: unsafe extern "C" fn(*mut c_void, *mut Delivered, usize),
    reply: *mut Reply,
) -> bool {
    let act = || {
        let mut deliveries = Vec::new();
        // SAFETY: the thing is there during the call.
        unsafe { consumer(thing)? }.take(max, &mut deliveries)?;
        for batch in deliveries.chunks(BATCH) {
            let described = batch.iter().map(|delivery| Delivered {
                tag: delivery.tag,
                redelivered: delivery.redelivered,
                route: Slice::of(delivery.message.route()),
                properties: Slice::of(delivery.message.encoded_properties()),
                body: match delivery.message.long_body() {
                    Some(body) => Parcel::given(body.clone()),
                    None => Parcel::lent(delivery.message.body()),
                },
            });
            let mut described: SmallVec<[Delivered; BATCH]> = described.collect();
            // SAFETY: the borrower's own function and context.
            unsafe { put(context, described.as_mut_ptr(), described.len()) };
        }
        Ok(None)
    };
    // SAFETY: the caller has room for a reply.
    unsafe { reply_to(reply, act) }
}

unsafe extern "C" fn look(thing: *const c_void) -> bool {
    // SAFETY: the thing is there during the call.
    guarded(|| false, || unsafe { consumer(thing) }.is_ok_and(ConsumerDriver::look))
}

unsafe extern "C" fn wait(thing: *const c_void, nanoseconds: u64) -> bool {
    let timeout = (nanoseconds != u64::MAX).then(|| Duration::from_nanos(nanoseconds));
    // SAFETY: the thing is there during the call. Who takes after a failure hears of it.
    guarded(|| true, || unsafe { consumer(thing) }.map_or(true, |consumer| consumer.wait(timeout)))
}

unsafe extern "C" fn on_ready(thing: *const c_void, bell: Callback<()>) {
    // SAFETY: the thing is there during the call.
    guarded(
        || (),
        || {
            if let Ok(consumer) = unsafe { consumer(thing) } {
                consumer.on_ready(Arc::new(move || bell.call(())));
            }
        },
    );
}

unsafe extern "C" fn before_exit() {
    guarded(|| (), process::before_exit);
}

unsafe extern "C" fn forked(context: *mut c_void, close: unsafe extern "C" fn(*mut c_void, c_int)) {
    // SAFETY: the borrower's own function and context.
    guarded(|| (), || fork::after_fork().into_iter().for_each(|open| unsafe { close(context, open) }));
}
