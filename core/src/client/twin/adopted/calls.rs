//! The functions of another module's table, as safe ones.

#![expect(unsafe_code, reason = "calls functions of another module, with pointers")]

use std::ffi::{c_int, c_void};
use std::fmt;
use std::mem::{self, MaybeUninit};
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::super::codec::{Get, Put, decode, encode};
use super::super::owned::{Callback, Owned, Parcel, Slice};
use super::super::table::{
    CONFIRMED, DONE, Delivered, FAILED, Outgoing, REPLIED, ROUTED, Reply, SETTLES, Table, Tag,
};
use crate::client::driver::{
    Answer, BatchPublishing, Bell, ConnectionEvent, Listener, Outcome, Publishing, now,
};
use crate::client::{ConnectOptions, Delivery, Publish, Settle};
use crate::error::{Error, Kind, Result};
use crate::message::{Body, Message};

/// Something of another module, given back when it is dropped.
pub(super) struct Handle {
    thing: Owned,
    table: &'static Table,
}

/// What a reply is made into.
pub(super) trait Read<T>: FnOnce(Reply) -> Result<T> + Send + 'static {}
impl<T, F: FnOnce(Reply) -> Result<T> + Send + 'static> Read<T> for F {}

/// A reply that is nothing but a value.
pub(super) fn value<T: for<'a> Get<'a>>(reply: Reply) -> Result<T> {
    decode(reply.bytes.as_ref())
}

/// Makes an answer of a reply.
fn answer<T: Send + 'static>(table: &'static Table, reply: Reply, read: impl Read<T>) -> Answer<T> {
    match reply.state {
        DONE | FAILED => now(ready(reply, read)),
        _ => Box::pin(async move { ready(follow(table, reply.thing).await?, read) }),
    }
}

fn ready<T>(reply: Reply, read: impl Read<T>) -> Result<T> {
    match reply.state {
        DONE => read(reply),
        _ => Err(decode(reply.bytes.as_ref()).unwrap_or_else(|error| error)),
    }
}

async fn follow(table: &'static Table, answer: Owned) -> Result<Reply> {
    let (tell, told) = oneshot::channel();
    let tell = Mutex::new(Some(tell));
    let done = Callback::new(move |reply| {
        if let Some(tell) = tell.lock().take() {
            let _ = tell.send(reply); // fails when nobody waits any more
        }
    });
    // SAFETY: the answer is one of this table's module.
    unsafe { (table.follow)(answer, done) };
    told.await.map_err(|_| {
        let reason = "the module that has this process's brokers gave the operation up";
        Error::new(Kind::InternalError, "call", reason)
    })
}

/// Calls a function that always replies.
fn replied(call: impl FnOnce(*mut Reply)) -> Reply {
    let mut reply = MaybeUninit::uninit();
    call(reply.as_mut_ptr());
    // SAFETY: it has written the reply.
    unsafe { reply.assume_init() }
}

/// Calls a function that says whether it replied, which is an error then.
fn unless_failed(call: impl FnOnce(*mut Reply) -> bool) -> Result<()> {
    let mut reply = MaybeUninit::uninit();
    match call(reply.as_mut_ptr()) {
        false => Ok(()),
        // SAFETY: it has written the reply, as it says.
        true => ready(unsafe { reply.assume_init() }, value),
    }
}

fn outgoing(publish: Publish<'_>) -> Outgoing {
    let Publish { exchange, routing_key, mandatory, properties, body } = publish;
    Outgoing {
        exchange: Slice::of(exchange.as_bytes()),
        routing_key: Slice::of(routing_key.as_bytes()),
        properties: Slice::of(properties),
        body: match body {
            Body::Slice(bytes) => Parcel::lent(bytes),
            Body::Owned(bytes) => Parcel::given(bytes),
        },
        mandatory,
    }
}

impl Handle {
    pub(super) fn connect(table: &'static Table, url: &str, options: &ConnectOptions) -> Answer<Handle> {
        let request = encode((url, options));
        // SAFETY: the request is there during the call.
        let reply = replied(|reply| unsafe { (table.connect)(Slice::of(&request), reply) });
        answer(table, reply, move |reply| Ok(Handle { thing: reply.thing, table }))
    }

    /// Something of a module.
    #[cfg(test)]
    pub(super) fn of(table: &'static Table, thing: Owned) -> Handle {
        Handle { thing, table }
    }

    /// What belongs to the same module.
    pub(super) fn opened(&self) -> impl FnOnce(Owned) -> Handle + Send + 'static {
        let table = self.table;
        move |thing| Handle { thing, table }
    }

    /// Does what happens now and then.
    pub(super) fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        arguments: impl Put,
        read: impl Read<T>,
    ) -> Answer<T> {
        let (operation, request) = (Slice::of(operation.as_bytes()), encode(arguments));
        let thing = self.thing.pointer();
        // SAFETY: thing and bytes are there during the call.
        let reply =
            replied(|reply| unsafe { (self.table.call)(thing, operation, Slice::of(&request), reply) });
        answer(self.table, reply, read)
    }

    /// Asks for what is known at once; none if it is not.
    pub(super) fn ask<T: for<'a> Get<'a>>(&self, operation: &'static str, arguments: impl Put) -> Option<T> {
        let (operation, request) = (Slice::of(operation.as_bytes()), encode(arguments));
        let thing = self.thing.pointer();
        // SAFETY: thing and bytes are there during the call.
        let reply =
            replied(|reply| unsafe { (self.table.call)(thing, operation, Slice::of(&request), reply) });
        (reply.state == DONE).then(|| value(reply).ok()).flatten()
    }

    pub(super) fn is_open(&self) -> bool {
        // SAFETY: the thing is there during the call.
        unsafe { (self.table.is_open)(self.thing.pointer()) }
    }

    pub(super) fn on_event(&self, listener: Listener) {
        let listener = Callback::new(move |event: Slice| {
            // SAFETY: the caller's, during this call.
            if let Ok(event) = decode::<ConnectionEvent>(unsafe { event.bytes() }) {
                listener(event);
            }
        });
        // SAFETY: the thing is there during the call.
        unsafe { (self.table.on_event)(self.thing.pointer(), listener) }
    }

    #[inline]
    pub(super) fn publish(&self, publish: Publish<'_>) -> Result<Publishing> {
        let mut reply = MaybeUninit::uninit();
        // SAFETY: thing and message are there during the call.
        let said =
            unsafe { (self.table.publish)(self.thing.pointer(), outgoing(publish), reply.as_mut_ptr()) };
        if said & REPLIED == 0 {
            let outcome = Outcome { confirmed: said & CONFIRMED != 0, routed: said & ROUTED != 0 };
            return Ok(Publishing::Done(outcome));
        }
        // SAFETY: it has written the reply, as it says.
        let reply = unsafe { reply.assume_init() };
        match reply.state {
            FAILED => ready(reply, value).map(Publishing::Done),
            _ => Ok(Publishing::Pending(answer(self.table, reply, value))),
        }
    }

    pub(super) fn publish_all(
        &self,
        mut batch: &mut dyn Iterator<Item = Publish<'_>>,
    ) -> Result<BatchPublishing> {
        let thing = self.thing.pointer();
        let context = (&raw mut batch).cast();
        // SAFETY: the thing and the batch are there during the call, and so is what its items are made of.
        let reply = replied(|reply| unsafe { (self.table.publish_all)(thing, context, next, reply) });
        match reply.state {
            DONE | FAILED => ready(reply, value).map(BatchPublishing::Done),
            _ => Ok(BatchPublishing::Pending(answer(self.table, reply, value))),
        }
    }

    pub(super) fn settle(&self, tags: &[(u64, bool)], how: Settle) -> Result<()> {
        let tags: SmallVec<[Tag; 128]> = tags.iter().map(|&(tag, multiple)| Tag { tag, multiple }).collect();
        let how = SETTLES.iter().position(|known| *known == how).unwrap_or_default() as u32;
        let thing = self.thing.pointer();
        // SAFETY: thing and tags are there during the call.
        unless_failed(|reply| unsafe { (self.table.settle)(thing, tags.as_ptr(), tags.len(), how, reply) })
    }

    pub(super) fn take(&self, max: usize, mut into: &mut Vec<Delivery>) -> Result<()> {
        let thing = self.thing.pointer();
        let context = (&raw mut into).cast();
        // SAFETY: the thing and the deliveries are there during the call.
        unless_failed(|reply| unsafe { (self.table.take)(thing, max, context, put, reply) })
    }

    pub(super) fn look(&self) -> bool {
        // SAFETY: the thing is there during the call.
        unsafe { (self.table.look)(self.thing.pointer()) }
    }

    pub(super) fn wait(&self, timeout: Option<Duration>) -> bool {
        let limit = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // SAFETY: the thing is there during the call.
        unsafe { (self.table.wait)(self.thing.pointer(), timeout.map_or(u64::MAX, limit)) }
    }

    pub(super) fn on_ready(&self, bell: Bell) {
        // SAFETY: the thing is there during the call.
        unsafe { (self.table.on_ready)(self.thing.pointer(), Callback::new(move |()| bell())) }
    }
}

/// The next message of a batch.
unsafe extern "C" fn next(context: *mut c_void, message: *mut Outgoing) -> bool {
    let next = || {
        // SAFETY: `publish_all` gave it, and calls this as long as the batch is there.
        let batch = unsafe { &mut *context.cast::<&mut dyn Iterator<Item = Publish<'_>>>() };
        batch.next().map(outgoing)
    };
    match catch_unwind(AssertUnwindSafe(next)) {
        Ok(Some(next)) => {
            // SAFETY: the caller has room for a message, and it holds none.
            unsafe { message.write(next) };
            true
        }
        _ => false,
    }
}

/// Puts some deliveries to those that were taken.
unsafe extern "C" fn put(context: *mut c_void, deliveries: *mut Delivered, count: usize) {
    let put = || {
        // SAFETY: `take` gave it, and calls this while the list is there.
        let into = unsafe { &mut *context.cast::<&mut Vec<Delivery>>() };
        // SAFETY: the caller's for this call, as is what they are made of.
        let deliveries = unsafe { std::slice::from_raw_parts_mut(deliveries, count) };
        into.extend(deliveries.iter_mut().map(|delivered| {
            let body = mem::replace(&mut delivered.body, Parcel::EMPTY);
            // SAFETY: as above.
            let (route, properties) = unsafe { (delivered.route.bytes(), delivered.properties.bytes()) };
            let message = match body.into_bytes() {
                Ok(long) => Message::new(route, properties, Body::Owned(long)),
                Err(short) => Message::new(route, properties, Body::Slice(short.as_ref())),
            };
            Delivery { tag: delivered.tag, redelivered: delivered.redelivered, message }
        }));
    };
    let _ = catch_unwind(AssertUnwindSafe(put));
}

/// Tells the module that the process is about to end.
pub(in crate::client::twin) fn before_exit(table: &Table) {
    // SAFETY: takes nothing.
    unsafe { (table.before_exit)() }
}

/// Tells the module that this is the child of a fork; what it had open.
pub(in crate::client::twin) fn after_fork(table: &Table) -> Vec<RawFd> {
    unsafe extern "C" fn note(context: *mut c_void, open: c_int) {
        // SAFETY: given below, for the time of the call.
        unsafe { &mut *context.cast::<Vec<RawFd>>() }.push(open);
    }
    let mut open = Vec::<RawFd>::new();
    // SAFETY: the list is there during the call.
    unsafe { (table.forked)((&raw mut open).cast(), note) };
    open
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}
