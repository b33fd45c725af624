//! What small requests make deliverable goes out together.
//!
//! A thread of the runtime that wakes up finds what several connections have sent, and serves them one after the
//! other. If each of them brought one message for the same consumer, to write them one by one would cost a system
//! call here, and one to read and one to acknowledge over there, for each: half of all the work that 50 publishers
//! cause who wait for every confirm. So from the second small request on, a thread puts off writing to *other*
//! connections until it has nothing else to do, at most [`MOST`] requests long. A request that is alone, as in
//! request and response, is never put off.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use tokio::runtime::Builder;

use super::link::Link;

/// Requests in a round.
const MOST: usize = 16;

thread_local! {
    /// Small requests since the round began; none where the thread does not say when it goes to sleep.
    static REQUESTS: Cell<Option<usize>> = const { Cell::new(None) };
    static PUT_OFF: RefCell<Vec<Arc<Link>>> = const { RefCell::new(Vec::new()) };
}

/// Has the runtime's threads write what they put off before they sleep.
pub(crate) fn observe(builder: &mut Builder) -> &mut Builder {
    let park = || {
        end();
        REQUESTS.set(Some(0));
    };
    builder.on_thread_start(|| REQUESTS.set(Some(0))).on_thread_park(park)
}

/// A request is served next. With a large one the round ends, as it takes long.
pub(super) fn begin(small: bool) {
    match REQUESTS.get() {
        Some(requests) if small && requests < MOST => REQUESTS.set(Some(requests + 1)),
        Some(_) => {
            end();
            REQUESTS.set(Some(usize::from(small)));
        }
        None => {}
    }
}

/// Puts off writing to this connection; false when it is to be written at once.
pub(super) fn put_off(link: &Arc<Link>) -> bool {
    if REQUESTS.get().is_none_or(|requests| requests < 2) {
        return false;
    }
    PUT_OFF.with_borrow_mut(|put_off| {
        if !put_off.iter().any(|other| Arc::ptr_eq(other, link)) {
            put_off.push(link.clone());
        }
    });
    true
}

/// Writes what was put off.
pub(super) fn end() {
    if REQUESTS.get().is_none_or(|requests| requests == 0) {
        return;
    }
    REQUESTS.set(Some(0));
    let put_off = PUT_OFF.take();
    put_off.iter().for_each(|link| link.flush());
}

/// Does what takes its time, on a thread of the runtime. Another takes its place, and it may sleep without saying so once
/// its task rests: it puts nothing off until it has its place again.
pub(crate) fn block<T>(act: impl FnOnce() -> T) -> T {
    end();
    REQUESTS.set(None);
    tokio::task::block_in_place(act)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Broker, Options};
    use crate::server::socket::Writer;
    use crate::server::{Limits, Loopback};
    use crate::wire::hot::encode_content;
    use crate::wire::{Method, ShortString, Table, basic, channel, connection, method_id, next_frame, queue};

    #[test]
    fn from_the_second_small_request_on_writing_to_others_waits_for_the_end_of_the_round() {
        let link = Link::new(Writer::Memory(Default::default()));
        link.send(0, &Method::ConnectionUnblocked(connection::Unblocked {}));
        begin(true);
        begin(true);
        assert!(!put_off(&link), "a thread that does not say when it sleeps puts nothing off");

        REQUESTS.set(Some(0));
        begin(true);
        assert!(!put_off(&link), "the first is not put off");
        begin(true);
        assert!(put_off(&link) && link.pending() > 0);
        end();
        assert_eq!(link.pending(), 0);

        (0..3).for_each(|_| begin(true));
        link.send(0, &Method::ConnectionUnblocked(connection::Unblocked {}));
        assert!(put_off(&link));
        begin(false);
        assert_eq!(link.pending(), 0, "a large request ends the round");
        assert!(!put_off(&link));
    }

    /// Clients rely on it within a connection, and one thread serves all of them.
    #[test]
    fn what_is_put_off_is_delivered_before_the_next_answer() {
        let broker = Broker::new(Options::default());
        let mut peer = Loopback::open(&broker, "/", "guest", &Limits::default(), Table::default()).unwrap();
        let name = || ShortString::truncated("q");
        let mut bytes = Vec::new();
        let open = Method::ChannelOpen(channel::Open::default());
        open.encode(1, &mut bytes);
        open.encode(2, &mut bytes);
        Method::QueueDeclare(queue::Declare { queue: name(), ..Default::default() }).encode(2, &mut bytes);
        Method::BasicConsume(basic::Consume { queue: name(), ..Default::default() }).encode(2, &mut bytes);
        peer.send(&bytes);
        peer.receive();

        REQUESTS.set(Some(2));
        bytes.clear();
        let publish = basic::Publish { routing_key: name(), ..Default::default() };
        Method::BasicPublish(publish).encode(1, &mut bytes);
        encode_content(&mut bytes, 1, &[0, 0], b"body", Limits::default().frame_max);
        Method::ChannelClose(channel::Close::default()).encode(1, &mut bytes);
        peer.send(&bytes);
        let received = peer.receive();
        let first = next_frame(&received, 0).unwrap().unwrap();
        assert_eq!(method_id(first.payload), Some(basic::Deliver::ID));
    }

    #[test]
    fn a_thread_that_is_taken_from_the_runtime_leaves_nothing_put_off() {
        let runtime = observe(&mut Builder::new_multi_thread()).worker_threads(1).build().unwrap();
        let link = Link::new(Writer::Memory(Default::default()));
        let put_off_and_block = {
            let link = link.clone();
            async move {
                (0..2).for_each(|_| begin(true));
                link.send(0, &Method::ConnectionUnblocked(connection::Unblocked {}));
                assert!(put_off(&link) && link.pending() > 0);
                let pending = block(|| link.pending());
                (0..2).for_each(|_| begin(true));
                assert!(!put_off(&link));
                pending
            }
        };
        assert_eq!(runtime.block_on(runtime.spawn(put_off_and_block)).unwrap(), 0);
    }
}
