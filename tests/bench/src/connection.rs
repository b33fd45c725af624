//! One blocking AMQP connection with one open channel.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::url::Url;
use crate::wire::{Fields, Frame, FrameBuffer, PROTOCOL_HEADER, bad, method, method_frame};

/// The largest frame we ask for: RabbitMQ's default.
const FRAME_MAX: u32 = 131_072;
/// What one read may bring. Larger reads cost fewer system calls but more cache misses.
const READ_BUFFER: usize = 256 * 1024;
/// Prebuilt bytes per write: enough for the system call to vanish, few enough to stay in the cache.
pub const BATCH_BYTES: usize = 128 * 1024;
/// No broker takes this long to answer a method or to take what we write, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection whose stream and frames the measuring loops use directly.
#[derive(Debug)]
pub struct Connection {
    pub stream: TcpStream,
    pub frames: FrameBuffer,
    /// Negotiated, in bytes, frame overhead included.
    pub frame_max: usize,
}

/// Connects and waits for `connection.start`: the moment from which a broker counts as started.
pub fn greet(address: SocketAddr, patience: Duration) -> io::Result<(TcpStream, FrameBuffer)> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(PROTOCOL_HEADER)?;
    let mut frames = FrameBuffer::new(READ_BUFFER);
    loop {
        frames.fill(&mut stream)?;
        if let Some(frame) = frames.next_frame()? {
            return match frame.method() {
                method::CONNECTION_START => Ok((stream, frames)),
                _ => Err(bad("the first frame is no connection.start")),
            };
        }
    }
}

impl Connection {
    /// Opens a connection without heartbeats, and channel 1 on it.
    pub fn open(url: &Url) -> io::Result<Self> {
        let address = (&*url.host, url.port).to_socket_addrs()?.next();
        let address = address.ok_or_else(|| io::Error::other(format!("no address for {}", url.host)))?;
        let (stream, frames) = greet(address, PATIENCE)?;
        let mut connection = Self { stream, frames, frame_max: FRAME_MAX as usize };

        // Asked for, so that a refused login is answered by a close frame that says so.
        let capabilities = Fields::new().shortstr("authentication_failure_close").octet(b't').octet(1);
        let properties = Fields::new()
            .shortstr("product")
            .octet(b'S')
            .longstr(b"warrenmq-load")
            .shortstr("capabilities")
            .octet(b'F')
            .table(capabilities);
        let login = format!("\0{}\0{}", url.user, url.password);
        let start_ok =
            Fields::new().table(properties).shortstr("PLAIN").longstr(login.as_bytes()).shortstr("en_US");
        let tune =
            connection.call(0, method::CONNECTION_START_OK, start_ok, method::CONNECTION_TUNE, |frame| {
                let mut arguments = frame.arguments();
                Ok((arguments.short()?, arguments.long()?))
            });
        let (channel_max, offered) = tune?;
        // 0 means no limit.
        let frame_max = if offered == 0 { FRAME_MAX } else { offered.min(FRAME_MAX) };
        connection.frame_max = frame_max as usize;
        let tune_ok = Fields::new().short(channel_max).long(frame_max).short(0);
        connection.send(0, method::CONNECTION_TUNE_OK, tune_ok)?;
        let open = Fields::new().shortstr(&url.vhost).shortstr("").octet(0);
        connection.call(0, method::CONNECTION_OPEN, open, method::CONNECTION_OPEN_OK, |_| Ok(()))?;
        connection.call(
            1,
            method::CHANNEL_OPEN,
            Fields::new().shortstr(""),
            method::CHANNEL_OPEN_OK,
            |_| Ok(()),
        )?;
        Ok(connection)
    }

    fn send(&mut self, channel: u16, id: u32, arguments: Fields) -> io::Result<()> {
        self.write(&method_frame(channel, id, arguments))
    }

    /// Sends a method and waits for its answer, past anything else that arrives meanwhile.
    fn call<T>(
        &mut self,
        channel: u16,
        id: u32,
        arguments: Fields,
        answer: u32,
        read: impl FnOnce(Frame<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.send(channel, id, arguments)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            while let Some(frame) = self.frames.next_frame()? {
                if frame.method() == answer {
                    return read(frame);
                }
                refusal(frame)?;
            }
            match self.frames.fill(&mut self.stream) {
                Err(error) if !timed_out(&error) => return Err(error),
                _ if Instant::now() > deadline => {
                    return Err(waited("the broker gave no answer", PATIENCE));
                }
                _ => {}
            }
        }
    }

    /// Declares a queue that is neither exclusive nor auto-delete.
    pub fn declare(&mut self, queue: &str, durable: bool) -> io::Result<()> {
        self.declare_with(queue, durable, Fields::new())
    }

    /// The same with arguments.
    pub fn declare_with(&mut self, queue: &str, durable: bool, arguments: Fields) -> io::Result<()> {
        self.declare_flags(queue, u8::from(durable) << 1, arguments).map(drop)
    }

    /// Declares a server-named exclusive queue and returns its name.
    pub fn declare_exclusive(&mut self) -> io::Result<String> {
        self.declare_flags("", 1 << 2, Fields::new()).map(|(name, _)| name)
    }

    /// The messages ready in a queue, asked by a passive declare: on the channel that published,
    /// the answer comes after all earlier publishes were routed.
    pub fn ready_messages(&mut self, queue: &str) -> io::Result<u32> {
        self.declare_flags(queue, 1, Fields::new()).map(|(_, ready)| ready)
    }

    fn declare_flags(&mut self, queue: &str, flags: u8, arguments: Fields) -> io::Result<(String, u32)> {
        let arguments = Fields::new().short(0).shortstr(queue).octet(flags).table(arguments);
        self.call(1, method::QUEUE_DECLARE, arguments, method::QUEUE_DECLARE_OK, |frame| {
            let mut arguments = frame.arguments();
            let name = String::from_utf8_lossy(arguments.shortstr()?).into_owned();
            Ok((name, arguments.long()?))
        })
    }

    pub fn delete(&mut self, queue: &str) -> io::Result<()> {
        let arguments = Fields::new().short(0).shortstr(queue).octet(0);
        self.call(1, method::QUEUE_DELETE, arguments, method::QUEUE_DELETE_OK, |_| Ok(()))
    }

    /// Declares a transient exchange.
    pub fn declare_exchange(&mut self, exchange: &str, kind: &str) -> io::Result<()> {
        let arguments =
            Fields::new().short(0).shortstr(exchange).shortstr(kind).octet(0).table(Fields::new());
        self.call(1, method::EXCHANGE_DECLARE, arguments, method::EXCHANGE_DECLARE_OK, |_| Ok(()))
    }

    pub fn delete_exchange(&mut self, exchange: &str) -> io::Result<()> {
        let arguments = Fields::new().short(0).shortstr(exchange).octet(0);
        self.call(1, method::EXCHANGE_DELETE, arguments, method::EXCHANGE_DELETE_OK, |_| Ok(()))
    }

    /// Binds a queue and does not wait for the answer (`no-wait`), so that many bindings are soon made.
    pub fn bind(&mut self, queue: &str, exchange: &str, key: &str, arguments: Fields) -> io::Result<()> {
        let fields = Fields::new().short(0).shortstr(queue).shortstr(exchange).shortstr(key);
        self.send(1, method::QUEUE_BIND, fields.octet(1).table(arguments))
    }

    /// Starts a consumer of each queue. `prefetch` 0 means no limit.
    pub fn consume_all(&mut self, queues: &[String], no_ack: bool, prefetch: u16) -> io::Result<()> {
        queues
            .iter()
            .enumerate()
            .try_for_each(|(number, queue)| self.consume_as(&format!("c{number}"), queue, no_ack, prefetch))
    }

    /// Starts a consumer. `prefetch` 0 means no limit.
    pub fn consume(&mut self, queue: &str, no_ack: bool, prefetch: u16) -> io::Result<()> {
        self.consume_as("c", queue, no_ack, prefetch)
    }

    fn consume_as(&mut self, tag: &str, queue: &str, no_ack: bool, prefetch: u16) -> io::Result<()> {
        let qos = Fields::new().long(0).short(prefetch).octet(0);
        self.call(1, method::BASIC_QOS, qos, method::BASIC_QOS_OK, |_| Ok(()))?;
        let flags = u8::from(no_ack) << 1;
        let arguments =
            Fields::new().short(0).shortstr(queue).shortstr(tag).octet(flags).table(Fields::new());
        self.call(1, method::BASIC_CONSUME, arguments, method::BASIC_CONSUME_OK, |_| Ok(()))
    }

    /// From here on every publish is confirmed.
    pub fn confirm_select(&mut self) -> io::Result<()> {
        self.call(1, method::CONFIRM_SELECT, Fields::new().octet(0), method::CONFIRM_SELECT_OK, |_| Ok(()))
    }

    /// Closes in good order; whatever still arrives is dropped.
    pub fn close(mut self) -> io::Result<()> {
        let arguments = Fields::new().short(200).shortstr("done").short(0).short(0);
        self.call(0, method::CONNECTION_CLOSE, arguments, method::CONNECTION_CLOSE_OK, |_| Ok(()))
    }

    /// Writes prebuilt frames. When that fails, the error is what the broker says, if it says why.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).map_err(|error| match self.complaint() {
            Some(complaint) => complaint,
            None if timed_out(&error) => waited("the broker took no bytes", PATIENCE),
            None => error,
        })
    }

    fn complaint(&mut self) -> Option<io::Error> {
        self.stream.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
        loop {
            match self.frames.next_frame() {
                Ok(Some(frame)) => {
                    if let Err(error) = refusal(frame) {
                        return Some(error);
                    }
                }
                Ok(None) => {
                    self.frames.fill(&mut self.stream).ok()?;
                }
                Err(error) => return Some(error),
            }
        }
    }
}

/// Runs a measurement on a queue of its own, named after it and this process, and deletes the queue.
pub fn with_queue<T>(
    url: &Url,
    measurement: &str,
    durable: bool,
    measure: impl FnOnce(&str) -> io::Result<T>,
) -> io::Result<T> {
    let queue = format!("{measurement}-{}", std::process::id());
    let mut control = Connection::open(url)?;
    control.declare(&queue, durable)?;
    let outcome = measure(&queue);
    let tidied = control.delete(&queue).and_then(|()| control.close());
    // What went wrong first is what matters.
    outcome.and_then(|outcome| tidied.map(|()| outcome))
}

/// A time-out that says what was waited for.
pub fn waited(what: &str, time: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} for {} s", time.as_secs()))
}

/// An error if the frame ends the connection, the channel or the consumer; other frames are fine.
pub fn refusal(frame: Frame<'_>) -> io::Result<()> {
    let what = match frame.method() {
        method::CONNECTION_CLOSE => "connection",
        method::CHANNEL_CLOSE => "channel",
        method::BASIC_CANCEL => return Err(io::Error::other("the broker cancelled the consumer")),
        _ => return Ok(()),
    };
    let mut arguments = frame.arguments();
    let code = arguments.short()?;
    let text = String::from_utf8_lossy(arguments.shortstr()?);
    Err(io::Error::other(format!("the broker closed the {what}: {code} {text}")))
}

/// A socket's read or write time-out, under both of its names.
pub fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
