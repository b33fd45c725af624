//! A connection's writing half, shared with whoever publishes to its consumers.
//!
//! The thread that made something deliverable also writes it to the consumer's socket, unless somebody is
//! writing there already: then that one takes it along. To wake the connection's own task for it instead
//! would cost a hop between threads per message in request and response (10 to 20 µs), and under load
//! nothing would be gained. Only when a socket is full does the connection's task take over, wait until it is
//! writable, and go on.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::handshake::Client;
use super::identity::NUMBERED_RETURNS;
use super::output::Output;
use super::{round, socket};
use crate::broker::{Event, Outbox, Outlet, Wakes};
use crate::wire::{Method, ShortString, basic};

/// Bytes taken out of the outboxes before they are written: enough for few system calls, little enough to
/// stay in the processor's cache.
const GATHER: usize = 128 << 10;

/// How often a thread gathers and writes before it leaves the rest to the connection's own task.
const TURNS: usize = 16;

/// The writing half of a connection.
pub(super) struct Link {
    pub(super) socket: socket::Writer,
    frame_max: AtomicU32,
    /// The client wants to be told of consumers that the broker ends.
    cancel_notify: AtomicBool,
    /// The client wants the numbers of returned messages rather than the messages.
    numbered_returns: AtomicBool,
    /// Guards the order of frames: whoever holds it takes from outboxes and encodes. Taken before any lock of
    /// the broker; another connection's only ever by `try_lock`.
    writer: Mutex<Writer>,
    /// Channels whose outboxes have something.
    ready: Mutex<VecDeque<Arc<Port>>>,
    /// The socket is full, and the connection's task waits until it is not. Changed by who holds the writer.
    full: AtomicBool,
    /// Something was written since the last look: no heartbeat is due.
    wrote: AtomicBool,
    failed: AtomicBool,
    /// Tells the connection's task that `full` or `failed` has become true, or that it is to go on writing.
    pub(super) attention: Notify,
}

#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) output: Output,
    events: Vec<Event>,
}

/// A channel's outbox with what is needed to encode its deliveries.
pub(super) struct Port {
    pub(super) channel: u16,
    outbox: Arc<Outbox>,
    /// Consumer tags by the consumers' places. Used only by who holds the writer.
    tags: Mutex<Vec<Arc<str>>>,
    closed: AtomicBool,
}

impl Port {
    pub(super) fn new(channel: u16, outbox: Arc<Outbox>) -> Arc<Self> {
        Arc::new(Port { channel, outbox, tags: Mutex::default(), closed: AtomicBool::new(false) })
    }

    pub(super) fn name_consumer(&self, consumer: u32, tag: &Arc<str>) {
        let mut tags = self.tags.lock();
        let index = consumer as usize;
        if tags.len() <= index {
            tags.resize(index + 1, Arc::from(""));
        }
        tags[index] = tag.clone();
    }

    /// Nothing of this channel is sent any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Release);
    }
}

/// Announces a channel's deliveries to its link. The port is made after the channel, hence filled in later;
/// it owns the outbox that owns this, hence weak.
#[derive(Clone, Default)]
pub(super) struct Announcer(Arc<OnceLock<(Weak<Link>, Weak<Port>)>>);

impl Announcer {
    pub(super) fn set(&self, link: &Arc<Link>, port: &Arc<Port>) {
        let _ = self.0.set((Arc::downgrade(link), Arc::downgrade(port)));
    }

    fn target(&self) -> Option<(Arc<Link>, Arc<Port>)> {
        let (link, port) = self.0.get()?;
        Some((link.upgrade()?, port.upgrade()?))
    }
}

impl Outlet for Announcer {
    fn ready(&self) {
        if let Some((link, port)) = self.target() {
            link.ready.lock().push_back(port);
            if !round::put_off(&link) {
                link.flush();
            }
        }
    }
}

impl Link {
    pub(super) fn new(socket: socket::Writer) -> Arc<Self> {
        Arc::new(Link {
            socket,
            frame_max: AtomicU32::new(crate::wire::frame::FRAME_MIN_SIZE),
            cancel_notify: AtomicBool::new(false),
            numbered_returns: AtomicBool::new(false),
            writer: Mutex::default(),
            ready: Mutex::default(),
            full: AtomicBool::new(false),
            wrote: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            attention: Notify::new(),
        })
    }

    pub(super) fn negotiated(&self, frame_max: u32, client: &Client) {
        self.frame_max.store(frame_max, Relaxed);
        self.cancel_notify.store(client.has("consumer_cancel_notify"), Relaxed);
        self.numbered_returns.store(client.has(NUMBERED_RETURNS), Relaxed);
    }

    pub(super) fn numbers_returns(&self) -> bool {
        self.numbered_returns.load(Relaxed)
    }

    pub(super) fn frame_max(&self) -> u32 {
        self.frame_max.load(Relaxed)
    }

    /// For what must be answered in order with deliveries: nobody else sends while this is held. Follow it
    /// by [`Link::flush`].
    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock()
    }

    /// Sends a method on a channel, at the next flush.
    pub(super) fn send(&self, channel: u16, method: &Method) {
        self.writer.lock().output.method(channel, method);
    }

    /// Writes what there is to write, if nobody else is at it.
    ///
    /// Whoever finds the writer taken leaves it to him who has it, and he looks at the list again after he has
    /// let go. The list's own lock makes that safe: either he sees what was put there, or whoever put it
    /// there sees the writer free. (A flag beside the list would not do: its store may still be on its way
    /// when the lock is looked at.)
    pub(super) fn flush(&self) {
        while let Some(writer) = self.writer.try_lock() {
            if !self.go_on(writer) {
                return;
            }
        }
    }

    /// True when there is more to write, and nobody else who would.
    fn go_on(&self, mut writer: MutexGuard<'_, Writer>) -> bool {
        let full = self.full.load(Relaxed) || self.failed.load(Relaxed);
        let done = !full && self.pump(&mut writer);
        drop(writer);
        done && !self.ready.lock().is_empty()
    }

    /// False when it stopped before all was written; somebody else has been told to go on.
    fn pump(&self, writer: &mut Writer) -> bool {
        for _ in 0..TURNS {
            self.gather(writer);
            if writer.output.is_empty() && !self.socket.holds_back() {
                return true;
            }
            self.wrote.store(true, Relaxed);
            match writer.output.write(&self.socket) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.full.store(true, Release);
                    self.attention.notify_one();
                    return false;
                }
                Err(_) => {
                    self.failed.store(true, Release);
                    self.attention.notify_one();
                    return false;
                }
            }
        }
        // Whoever came to send one message need not do it for all the others for ever.
        self.attention.notify_one();
        false
    }

    fn gather(&self, writer: &mut Writer) {
        while writer.output.len() < GATHER
            && let Some(port) = self.next_ready()
        {
            let budget = GATHER - writer.output.len();
            if self.drain(writer, &port, budget) {
                self.ready.lock().push_back(port);
            }
        }
    }

    /// Has what is ready stand before the answer that is sent next, also where writing it is put off. Of a client that
    /// does not read no more than is gathered for one write.
    pub(super) fn take_up(&self) {
        if !self.ready.lock().is_empty() {
            self.gather(&mut self.writer.lock());
        }
    }

    fn next_ready(&self) -> Option<Arc<Port>> {
        self.ready.lock().pop_front()
    }

    /// Encodes about `budget` bytes out of a channel's outbox; true when more is there.
    pub(super) fn drain(&self, writer: &mut Writer, port: &Port, budget: usize) -> bool {
        let mut wakes = Wakes::default();
        let more = port.outbox.take(budget, &mut writer.events, &mut wakes);
        self.encode(writer, port);
        drop(wakes); // may announce this channel again: it is only put on the list, we hold the writer
        more && !port.closed.load(Acquire)
    }

    /// Encodes what was delivered on a channel before this tag. What is fetched stands behind it: the client may
    /// acknowledge up to there.
    pub(super) fn drain_before(&self, writer: &mut Writer, port: &Port, tag: u64) {
        let mut wakes = Wakes::default();
        port.outbox.take_before(tag, &mut writer.events, &mut wakes);
        self.encode(writer, port);
    }

    fn encode(&self, writer: &mut Writer, port: &Port) {
        let closed = port.closed.load(Acquire);
        let frame_max = self.frame_max();
        let tags = port.tags.lock();
        for event in writer.events.drain(..) {
            match event {
                _ if closed => {}
                Event::Deliver(delivery) => {
                    let tag = tags.get(delivery.consumer as usize).map_or("", |tag| tag);
                    let crate::broker::Delivery { tag: number, redelivered, message, .. } = delivery;
                    writer.output.deliver(port.channel, tag, number, redelivered, &message, frame_max);
                }
                Event::Confirmed(confirmed) => writer.output.confirm(port.channel, &confirmed),
                Event::Cancelled { tag, .. } => {
                    if self.cancel_notify.load(Relaxed) {
                        let consumer_tag = ShortString::truncated(&tag);
                        let cancel = basic::Cancel { consumer_tag, nowait: true };
                        writer.output.method(port.channel, &Method::BasicCancel(cancel));
                    }
                }
            }
        }
    }

    /// Whether the task has to wait for the socket.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Acquire)
    }

    /// Whether the connection is lost.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Acquire)
    }

    /// Waits until a full socket takes bytes again, and goes on writing.
    pub(super) async fn drained(&self) -> io::Result<()> {
        self.socket.writable().await?;
        // Waits for the writer: somebody who has just seen a full socket must not be left to it.
        let writer = self.writer.lock();
        self.full.store(false, Release);
        if self.go_on(writer) {
            self.flush();
        }
        Ok(())
    }

    /// Whether something was written since this was last asked.
    pub(super) fn take_wrote(&self) -> bool {
        self.wrote.swap(false, AcqRel)
    }

    pub(super) fn heartbeat(&self) {
        self.writer.lock().output.heartbeat();
        self.flush();
    }

    /// Bytes that wait for the socket.
    pub(super) fn pending(&self) -> usize {
        self.writer.lock().output.len()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("full", &self.is_full()).finish_non_exhaustive()
    }
}
