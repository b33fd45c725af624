//! Request and reply: a client and an echo server on two connections, one request at a time.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::connection::{Connection, refusal, timed_out, waited, with_queue};
use crate::stats::percentile;
use crate::url::Url;
use crate::wire::{BODY, Fields, Frame, HEADER, Reader, bad, publish_frames};

/// RabbitMQ's pseudo-queue for direct reply-to.
const DIRECT_REPLY_TO: &str = "amq.rabbitmq.reply-to";
/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The flags of the properties that RPC uses.
const CORRELATION_ID: u16 = 1 << 10;
const REPLY_TO: u16 = 1 << 9;

/// Where the client takes its replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Reply {
    /// A server-named exclusive queue.
    Exclusive,
    /// RabbitMQ's direct reply-to, without a queue.
    Direct,
}

#[derive(Debug, Clone)]
pub struct Options {
    pub url: Url,
    /// Body size in bytes, of request and reply.
    pub size: usize,
    /// Requests measured, and requests before them.
    pub requests: usize,
    pub warm_up: usize,
    pub reply: Reply,
}

/// Microseconds from writing a request to having its whole reply.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    pub requests: usize,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "µs per call: p50 {:.1}, p99 {:.1}, p99.9 {:.1} ({} calls)",
            self.p50, self.p99, self.p999, self.requests
        )
    }
}

/// Measures once, with a request queue of its own that is deleted afterwards.
pub fn run(options: &Options) -> io::Result<Outcome> {
    with_queue(&options.url, "rpc", false, |queue| measure(options, queue))
}

fn measure(options: &Options, queue: &str) -> io::Result<Outcome> {
    let mut server = Connection::open(&options.url)?;
    server.consume(queue, true, 0)?;
    let client = Connection::open(&options.url)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let serving = scope.spawn(|| serve(server, &stop));
        let called = call(client, queue, options);
        stop.store(true, Relaxed);
        let served = serving.join().unwrap_or_else(|_| Err(io::Error::other("the server panicked")));
        // When the server failed, the client's time-out is only the consequence.
        served.and(called)
    })
}

fn call(mut connection: Connection, queue: &str, options: &Options) -> io::Result<Outcome> {
    let reply_to = match options.reply {
        Reply::Exclusive => connection.declare_exclusive()?,
        Reply::Direct => DIRECT_REPLY_TO.to_owned(),
    };
    connection.consume(&reply_to, true, 0)?;
    let properties = Fields::new().short(CORRELATION_ID | REPLY_TO).shortstr("1").shortstr(&reply_to);
    let request = publish_frames(queue, &properties, &vec![b'x'; options.size], connection.frame_max);
    connection.stream.set_read_timeout(Some(PATIENCE))?;
    let mut times = Vec::with_capacity(options.requests);
    for count in 0..options.warm_up + options.requests {
        let asked = Instant::now();
        connection.write(&request)?;
        let ((), body) =
            await_message(&mut connection, |_| Ok(())).map_err(|error| match timed_out(&error) {
                true => waited("no reply", PATIENCE),
                false => error,
            })?;
        let time = asked.elapsed();
        if body.len() != options.size {
            let sizes = format!("asked with {} bytes, answered with {}", options.size, body.len());
            return Err(io::Error::other(sizes));
        }
        if count >= options.warm_up {
            times.push(time.as_secs_f64() * 1e6);
        }
    }
    connection.close()?;
    times.sort_by(f64::total_cmp);
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| percentile(&times, share));
    Ok(Outcome { requests: times.len(), p50, p99, p999 })
}

fn serve(mut connection: Connection, stop: &AtomicBool) -> io::Result<()> {
    connection.stream.set_read_timeout(Some(Duration::from_millis(250)))?;
    while !stop.load(Relaxed) {
        let (address, body) = match await_message(&mut connection, address) {
            Err(error) if timed_out(&error) => continue,
            message => message?,
        };
        let properties = Fields::new().short(CORRELATION_ID).shortstr(&address.correlation_id);
        let reply = publish_frames(&address.reply_to, &properties, &body, connection.frame_max);
        connection.write(&reply)?;
    }
    connection.close()
}

/// Reads one whole message: what `read_header` makes of its header frame, and its body.
/// A time-out in the middle forgets the message: a time-out must be far longer than one takes.
fn await_message<T>(
    connection: &mut Connection,
    read_header: impl Fn(Frame<'_>) -> io::Result<T>,
) -> io::Result<(T, Vec<u8>)> {
    let mut header = None;
    let mut body = Vec::new();
    let mut left = 0;
    loop {
        while let Some(frame) = connection.frames.next_frame()? {
            match frame.kind {
                HEADER => {
                    left = frame.body_size()?;
                    header = Some(read_header(frame)?);
                }
                BODY => {
                    body.extend_from_slice(frame.payload);
                    let size = frame.payload.len() as u64;
                    left = left.checked_sub(size).ok_or_else(|| bad("a body longer than its header says"))?;
                }
                _ => {
                    refusal(frame)?;
                    continue;
                }
            }
            if left == 0 {
                let header = header.take().ok_or_else(|| bad("a body without a header"))?;
                return Ok((header, body));
            }
        }
        connection.frames.fill(&mut connection.stream)?;
    }
}

/// What a request says about its reply.
#[derive(Debug, PartialEq)]
struct Address {
    correlation_id: String,
    reply_to: String,
}

fn address(header: Frame<'_>) -> io::Result<Address> {
    // Class, weight and body size come before the flags; then the properties in the flags' order.
    let mut fields = Reader(header.payload);
    fields.bytes(12)?;
    let flags = fields.short()?;
    let has = |bit: u16| flags & 1 << bit != 0;
    for bit in [15, 14] {
        if has(bit) {
            fields.shortstr()?;
        }
    }
    if has(13) {
        fields.longstr()?;
    }
    for bit in [12, 11] {
        if has(bit) {
            fields.octet()?;
        }
    }
    let mut text = |flag: u16| -> io::Result<String> {
        let bytes = if flags & flag != 0 { fields.shortstr()? } else { b"" };
        Ok(String::from_utf8_lossy(bytes).into_owned())
    };
    Ok(Address { correlation_id: text(CORRELATION_ID)?, reply_to: text(REPLY_TO)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{FrameBuffer, content_frames};

    #[test]
    fn the_reply_address_is_found_among_other_properties() {
        let properties = Fields::new()
            .short(1 << 15 | 1 << 13 | 1 << 12 | CORRELATION_ID | REPLY_TO)
            .shortstr("text/plain")
            .table(Fields::new())
            .octet(2)
            .shortstr("7")
            .shortstr("amq.gen-x");
        let bytes = content_frames(1, &properties, b"", 4096);
        let mut buffer = FrameBuffer::new(128);
        buffer.fill(&mut &bytes[..]).unwrap();
        let address = address(buffer.next_frame().unwrap().unwrap()).unwrap();
        assert_eq!(address, Address { correlation_id: "7".into(), reply_to: "amq.gen-x".into() });
    }
}
