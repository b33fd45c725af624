//! Messages per second through one queue: one producer (or several) and one consumer connection, on threads of their own.
//!
//! The rate is counted where messages arrive. The producer may run ahead of the consumer by a
//! bounded backlog only, so that the steady state is measured and not the growth of a queue; it
//! looks at the consumer's counter once per batch.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::connection::{Connection, refusal, timed_out};
use crate::process::{self, Cpu, thread_id};
use crate::producer;
use crate::traffic::{Route, Traffic};
use crate::url::Url;
use crate::wire::{BODY, Fields, Frame, HEADER, ack_frame, bad, method};

/// How often a side that waits looks up: far below the time in which a backlog is consumed.
pub(crate) const POLL: Duration = Duration::from_millis(1);
/// How long a read may wait before the consumer looks at its stop flag.
const READ_TIMEOUT: Duration = Duration::from_millis(250);
/// How long nothing may arrive before a number of messages is given up.
const STALL: Duration = Duration::from_secs(10);

/// How deliveries are acknowledged. Acks are written once per read, as a fast client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Ack {
    /// The consumer asks for none.
    None,
    /// One `basic.ack` frame for each delivery.
    Each,
    /// One `basic.ack` with the multiple bit for half the prefetch.
    Multiple,
}

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub enum Extent {
    /// The rate in a window of steady state, after a warm-up.
    Window { warm_up: Duration, window: Duration },
    /// From the first publish to the last of this many deliveries.
    Messages(u64),
}

#[derive(Debug, Clone)]
pub struct Options {
    pub url: Url,
    /// Body size in bytes.
    pub size: usize,
    pub extent: Extent,
    pub ack: Ack,
    /// Unacknowledged deliveries allowed, 0 for no limit; without effect when none is acknowledged.
    pub prefetch: u16,
    /// Publisher confirms: publish this many, wait for all of their confirms, and so on.
    pub confirm: Option<usize>,
    /// Connections that publish, a thread each.
    pub producers: usize,
    pub durable: bool,
    pub persistent: bool,
    /// Messages by which the producer may be ahead; by default 100,000 or 32 MiB of bodies.
    pub backlog: Option<u64>,
    /// The broker's process, to report its CPU time as well.
    pub broker: Option<u32>,
    /// The way of the messages.
    pub traffic: Traffic,
}

impl Options {
    /// Transient 128-byte messages without acks, for 5 s after a warm-up of 1 s.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            size: 128,
            extent: Extent::Window { warm_up: Duration::from_secs(1), window: Duration::from_secs(5) },
            ack: Ack::None,
            prefetch: 1000,
            confirm: None,
            producers: 1,
            durable: false,
            persistent: false,
            backlog: None,
            broker: None,
            traffic: Traffic::Queue,
        }
    }

    pub(crate) fn total(&self) -> u64 {
        match self.extent {
            Extent::Messages(count) => count,
            Extent::Window { .. } => u64::MAX,
        }
    }

    /// The basic properties: persistent messages carry delivery mode 2, others nothing.
    pub fn properties(persistent: bool) -> Fields {
        match persistent {
            true => Fields::new().short(1 << 12).octet(2),
            false => Fields::new().short(0),
        }
    }
}

/// What was measured. CPU times are microseconds per message; all sides share the machine's cores.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    pub messages: u64,
    pub seconds: f64,
    /// Messages received per second.
    pub rate: f64,
    /// Messages brought by one read of the consumer, on average: how well the broker batches.
    pub messages_per_read: f64,
    /// All producers together.
    pub producer: Cpu,
    pub consumer: Cpu,
    pub broker: Option<Cpu>,
    /// Bytes that the broker has had written to disks, per message.
    pub written: Option<f64>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:.0} messages/s ({} in {:.2} s, {:.0} per read)",
            self.rate, self.messages, self.seconds, self.messages_per_read
        )?;
        write!(f, "CPU per message, µs user + system: ")?;
        for (name, cpu) in
            [("producer", Some(self.producer)), ("consumer", Some(self.consumer)), ("broker", self.broker)]
        {
            if let Some(cpu) = cpu {
                write!(f, "  {name} {:.3} + {:.3}", cpu.user, cpu.system)?;
            }
        }
        match self.written {
            Some(written) if written > 0.0 => write!(f, "\n{written:.0} bytes per message written to disk"),
            _ => Ok(()),
        }
    }
}

/// What the two sides and the observer share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Deliveries of each message.
    pub(crate) copies: u64,
    /// Messages published or about to be, by all producers.
    sent: AtomicU64,
    received: AtomicU64,
    reads: AtomicU64,
    pub(crate) stop_producing: AtomicBool,
    stop_consuming: AtomicBool,
    /// The threads of the producers.
    producers: Vec<AtomicU32>,
    consumer: AtomicU32,
    start: Barrier,
}

impl Shared {
    /// A side says which thread it is, then starts when the observer has looked at the clock.
    fn line_up(&self, side: &AtomicU32) {
        side.store(thread_id(), Relaxed);
        self.start.wait();
        self.start.wait();
    }

    /// How many messages a producer may publish now: a batch, or none while the consumer is too far behind.
    pub(crate) fn claim(&self, batch: u64, total: u64, backlog: u64) -> u64 {
        let received = self.received.load(Relaxed);
        let claimed = self.sent.fetch_update(Relaxed, Relaxed, |sent| {
            let next = sent + batch.min(total - sent);
            (next > sent && next * self.copies <= received + backlog).then_some(next)
        });
        claimed.map_or(0, |before| batch.min(total - before))
    }
}

/// The first error of a side, or the moment at which the last of a number of messages arrived.
type Event = io::Result<Instant>;

/// Measures once, on exchanges and queues of its own that are deleted afterwards.
pub fn run(options: &Options) -> io::Result<Outcome> {
    let name = format!("throughput-{}", std::process::id());
    let properties = Options::properties(options.persistent);
    let mut control = Connection::open(&options.url)?;
    let route = options.traffic.lay(&mut control, &name, options.durable, &properties)?;
    let outcome = measure(options, &route);
    let tidied = route.remove(&mut control).and_then(|()| control.close());
    // What went wrong first is what matters.
    outcome.and_then(|outcome| tidied.map(|()| outcome))
}

fn measure(options: &Options, route: &Route) -> io::Result<Outcome> {
    let mut connections = Vec::new();
    for _ in 0..options.producers {
        let mut producer = Connection::open(&options.url)?;
        if options.confirm.is_some() {
            producer.confirm_select()?;
        }
        connections.push(producer);
    }
    // Who waits for confirms leaves a thread to others; who does not needs one.
    let producers: Vec<Vec<Connection>> = match options.confirm {
        Some(_) => vec![connections],
        None => connections.into_iter().map(|one| vec![one]).collect(),
    };
    let mut consumer = Connection::open(&options.url)?;
    let no_ack = options.ack == Ack::None;
    consumer.consume_all(&route.queues, no_ack, if no_ack { 0 } else { options.prefetch })?;

    let shared = Shared {
        copies: route.copies,
        sent: 0.into(),
        received: 0.into(),
        reads: 0.into(),
        stop_producing: false.into(),
        stop_consuming: false.into(),
        producers: producers.iter().map(|_| 0.into()).collect(),
        consumer: 0.into(),
        start: Barrier::new(2 + producers.len()),
    };
    let (events, inbox) = mpsc::channel();
    thread::scope(|scope| {
        let shared = &shared;
        let mut producing = Vec::new();
        for (producer, thread) in producers.into_iter().zip(&shared.producers) {
            let report = events.clone();
            producing.push(scope.spawn(move || {
                shared.line_up(thread);
                if let Err(error) = producer::run(producer, route, options, shared) {
                    let _ = report.send(Err(error)); // the observer may have gone with an error of its own
                }
            }));
        }
        scope.spawn(move || {
            shared.line_up(&shared.consumer);
            if let Err(error) = consume(consumer, options, shared, &events) {
                let _ = events.send(Err(error));
            }
        });
        let outcome = observe(options, shared, &inbox);
        // The consumer stays until the producers' last writes have found their way.
        shared.stop_producing.store(true, Relaxed);
        let produced = producing
            .into_iter()
            .try_for_each(|one| one.join().map_err(|_| io::Error::other("a producer panicked")));
        shared.stop_consuming.store(true, Relaxed);
        // A closing producer learns why the broker stopped listening to it.
        let explained = |error| inbox.try_iter().find_map(Result::err).unwrap_or(error);
        produced.and(outcome.map_err(explained))
    })
}

fn observe(options: &Options, shared: &Shared, inbox: &mpsc::Receiver<Event>) -> io::Result<Outcome> {
    let wait = |time| match inbox.recv_timeout(time) {
        Ok(event) => event,
        Err(_) => Ok(Instant::now()),
    };
    shared.start.wait();
    let first = Snapshot::take(options, shared);
    shared.start.wait();
    let mut from = first?;
    let to = match options.extent {
        Extent::Window { warm_up, window } => {
            wait(warm_up)?;
            from = Snapshot::take(options, shared)?;
            wait(window)?;
            Snapshot::take(options, shared)?
        }
        Extent::Messages(count) => {
            let mut seen = 0;
            let at = loop {
                let at = wait(STALL)?;
                let received = shared.received.load(Relaxed);
                if received >= count * shared.copies {
                    break at;
                }
                if received == seen {
                    return Err(stalled());
                }
                seen = received;
            };
            Snapshot { at, ..Snapshot::take(options, shared)? }
        }
    };
    to.since(&from)
}

fn stalled() -> io::Error {
    io::Error::other("no message arrived, and the broker gave no reason")
}

struct Snapshot {
    at: Instant,
    received: u64,
    reads: u64,
    producer: Cpu,
    consumer: Cpu,
    broker: Option<Cpu>,
    written: Option<u64>,
}

impl Snapshot {
    fn take(options: &Options, shared: &Shared) -> io::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            received: shared.received.load(Relaxed),
            reads: shared.reads.load(Relaxed),
            producer: shared.producers.iter().try_fold(Cpu::default(), |sum, thread| {
                Cpu::of_thread(thread.load(Relaxed)).map(|cpu| sum + cpu)
            })?,
            consumer: Cpu::of_thread(shared.consumer.load(Relaxed))?,
            broker: options.broker.map(Cpu::of_process).transpose()?,
            // Of other users' processes the kernel does not tell.
            written: options.broker.and_then(|pid| process::written(pid).ok()),
        })
    }

    fn since(&self, from: &Self) -> io::Result<Outcome> {
        let messages = self.received - from.received;
        if messages == 0 {
            return Err(stalled());
        }
        let seconds = (self.at - from.at).as_secs_f64();
        Ok(Outcome {
            messages,
            seconds,
            rate: messages as f64 / seconds,
            messages_per_read: messages as f64 / (self.reads - from.reads).max(1) as f64,
            producer: (self.producer - from.producer).per_message(messages),
            consumer: (self.consumer - from.consumer).per_message(messages),
            broker: self.broker.zip(from.broker).map(|(to, from)| (to - from).per_message(messages)),
            written: self.written.zip(from.written).map(|(to, from)| (to - from) as f64 / messages as f64),
        })
    }
}

fn consume(
    mut connection: Connection,
    options: &Options,
    shared: &Shared,
    events: &mpsc::Sender<Event>,
) -> io::Result<()> {
    connection.stream.set_read_timeout(Some(READ_TIMEOUT))?;
    let mut delivery = Delivery::default();
    let mut acks = Acks::new(options.ack, options.prefetch);
    let (mut received, total) = (0, options.total().saturating_mul(shared.copies));
    while !shared.stop_consuming.load(Relaxed) {
        match connection.frames.fill(&mut connection.stream) {
            Err(error) if timed_out(&error) => continue,
            read => read?,
        };
        let before = received;
        while let Some(frame) = connection.frames.next_frame()? {
            if delivery.take(frame)? {
                received += 1;
                acks.delivered(delivery.tag);
            }
        }
        shared.received.store(received, Relaxed);
        shared.reads.fetch_add(1, Relaxed);
        if before < total && received >= total {
            let _ = events.send(Ok(Instant::now()));
            acks.flush();
        }
        acks.write(&mut connection.stream)?;
    }
    connection.close()
}

/// The delivery whose frames are arriving.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    pub(crate) tag: u64,
    /// Body bytes still to come.
    left: u64,
}

impl Delivery {
    /// Takes the next frame: true when a message is complete with it.
    #[inline]
    pub(crate) fn take(&mut self, frame: Frame<'_>) -> io::Result<bool> {
        match frame.kind {
            HEADER => Ok(self.header(frame.body_size()?)),
            BODY => self.body(frame.payload.len()),
            _ if frame.method() == method::BASIC_DELIVER => {
                self.tag = frame.delivery_tag()?;
                Ok(false)
            }
            _ => refusal(frame).map(|()| false),
        }
    }

    /// A message without a body is complete.
    #[inline]
    fn header(&mut self, body_size: u64) -> bool {
        self.left = body_size;
        body_size == 0
    }

    #[inline]
    fn body(&mut self, size: usize) -> io::Result<bool> {
        self.left =
            self.left.checked_sub(size as u64).ok_or_else(|| bad("a body longer than its header says"))?;
        Ok(self.left == 0)
    }
}

/// The acknowledgements gathered during a read.
#[derive(Debug)]
pub(crate) struct Acks {
    mode: Ack,
    bytes: Vec<u8>,
    last: u64,
    /// Deliveries since the last multiple ack, and how many of them call for one.
    pending: usize,
    enough: usize,
}

impl Acks {
    pub(crate) fn new(mode: Ack, prefetch: u16) -> Self {
        Self { mode, bytes: Vec::new(), last: 0, pending: 0, enough: (prefetch / 2).max(1).into() }
    }

    #[inline]
    pub(crate) fn delivered(&mut self, tag: u64) {
        match self.mode {
            Ack::None => {}
            Ack::Each => self.bytes.extend_from_slice(&ack_frame(tag, false)),
            Ack::Multiple => {
                self.last = tag;
                self.pending += 1;
                if self.pending == self.enough {
                    self.flush();
                }
            }
        }
    }

    /// Acknowledges everything that a multiple ack is still due for.
    pub(crate) fn flush(&mut self) {
        if self.pending > 0 {
            self.bytes.extend_from_slice(&ack_frame(self.last, true));
            self.pending = 0;
        }
    }

    pub(crate) fn write(&mut self, stream: &mut impl Write) -> io::Result<()> {
        if !self.bytes.is_empty() {
            stream.write_all(&self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multiple_ack_is_due_for_half_the_prefetch() {
        let mut acks = Acks::new(Ack::Multiple, 4);
        (1..=5).for_each(|tag| acks.delivered(tag));
        assert_eq!(acks.bytes, [ack_frame(2, true), ack_frame(4, true)].concat());
    }
}
