//! The cheapest thing that behaves like a broker: it counts what is published and writes as many
//! copies of the first message to the one consumer. It stores and routes nothing and ignores
//! prefetch, so what it reaches is the ceiling of the load generator and the sockets.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::url::Url;
use crate::wire::{
    BODY, Fields, Frame, FrameBuffer, HEADER, PROTOCOL_HEADER, ack_frame, bad, content_frames, method,
    method_frame,
};

const FRAME_MAX: u32 = 131_072;
const READ_BUFFER: usize = 256 * 1024;
/// Bytes written to the consumer at once, at most, if one message is not larger.
const WRITE_BYTES: usize = 128 * 1024;

const CONSUMER_TAG: &str = "c";
/// Where a delivery's tag stands: after the frame header, the method's number and the consumer tag.
const TAG_AT: usize = 7 + 4 + 1 + CONSUMER_TAG.len();

/// Listens on 127.0.0.1; has one queue, whatever it is called, and one consumer.
#[derive(Debug)]
pub struct Mirror {
    listener: TcpListener,
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// A mutex, because it is replaced when the next consumer comes.
    consumer: Mutex<Option<TcpStream>>,
    /// Messages that came while there was no consumer.
    ready: AtomicU32,
}

impl Mirror {
    /// Port 0 picks a free one.
    pub fn bind(port: u16) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind((Ipv4Addr::LOCALHOST, port))?, queue: Arc::default() })
    }

    pub fn url(&self) -> io::Result<Url> {
        Ok(Url::local(self.listener.local_addr()?.port()))
    }

    /// Serves each connection on a thread, until accepting fails.
    pub fn serve(self) -> io::Result<()> {
        loop {
            let (stream, _) = self.listener.accept()?;
            let queue = Arc::clone(&self.queue);
            thread::spawn(move || {
                // A client that leaves without a word is none of our business.
                let _ = Session::serve(stream, &queue);
            });
        }
    }
}

/// One connection.
struct Session<'a> {
    stream: TcpStream,
    queue: &'a Queue,
    confirms: bool,
    published: u64,
    copies: Copies,
}

impl<'a> Session<'a> {
    fn serve(mut stream: TcpStream, queue: &'a Queue) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.read_exact(&mut [0; PROTOCOL_HEADER.len()])?;
        let start = Fields::new().octet(0).octet(9).table(Fields::new()).longstr(b"PLAIN").longstr(b"en_US");
        stream.write_all(&method_frame(0, method::CONNECTION_START, start))?;
        let mut source = stream.try_clone()?;
        let mut session = Self { stream, queue, confirms: false, published: 0, copies: Copies::default() };
        let mut frames = FrameBuffer::new(READ_BUFFER);
        let mut left = 0;
        loop {
            frames.fill(&mut source)?;
            let before = session.published;
            while let Some(frame) = frames.next_frame()? {
                match frame.kind {
                    HEADER => left = frame.body_size()?,
                    BODY => {
                        left = left
                            .checked_sub(frame.payload.len() as u64)
                            .ok_or_else(|| bad("body too long"))?
                    }
                    _ => {
                        session.answer(frame)?;
                        continue;
                    }
                }
                session.copies.learn(frame, left == 0);
                session.published += u64::from(left == 0);
            }
            session.deliver(session.published - before)?;
        }
    }

    fn answer(&mut self, frame: Frame<'_>) -> io::Result<()> {
        let mut arguments = frame.arguments();
        let (id, fields) = match frame.method() {
            method::CONNECTION_START_OK => {
                (method::CONNECTION_TUNE, Fields::new().short(0).long(FRAME_MAX).short(0))
            }
            method::CONNECTION_OPEN => (method::CONNECTION_OPEN_OK, Fields::new().shortstr("")),
            method::CONNECTION_CLOSE => (method::CONNECTION_CLOSE_OK, Fields::new()),
            method::CHANNEL_OPEN => (method::CHANNEL_OPEN_OK, Fields::new().longstr(b"")),
            method::QUEUE_DECLARE => {
                arguments.short()?;
                let name = String::from_utf8_lossy(arguments.shortstr()?);
                let ready = self.queue.ready.load(Relaxed);
                (method::QUEUE_DECLARE_OK, Fields::new().shortstr(&name).long(ready).long(0))
            }
            method::QUEUE_DELETE => {
                (method::QUEUE_DELETE_OK, Fields::new().long(self.queue.ready.swap(0, Relaxed)))
            }
            method::BASIC_QOS => (method::BASIC_QOS_OK, Fields::new()),
            method::BASIC_CONSUME => (method::BASIC_CONSUME_OK, Fields::new().shortstr(CONSUMER_TAG)),
            method::CONFIRM_SELECT => {
                self.confirms = true;
                (method::CONFIRM_SELECT_OK, Fields::new())
            }
            // Publishes, acks and what needs no answer.
            _ => return Ok(()),
        };
        // Held until the answer is out, so that nothing is delivered before it and nothing missed after.
        let mut consumer = self.queue.consumer();
        self.stream.write_all(&method_frame(frame.channel, id, fields))?;
        if frame.method() == method::BASIC_CONSUME {
            *consumer = Some(self.stream.try_clone()?);
        }
        Ok(())
    }

    fn deliver(&mut self, count: u64) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        match &mut *self.queue.consumer() {
            Some(consumer) => self.copies.write(count, consumer)?,
            None => {
                self.queue.ready.fetch_add(count as u32, Relaxed);
            }
        }
        if self.confirms {
            self.stream.write_all(&ack_frame(self.published, true))?;
        }
        Ok(())
    }
}

impl Queue {
    fn consumer(&self) -> MutexGuard<'_, Option<TcpStream>> {
        self.consumer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Deliveries of the first message published, ready to be written but for their tags.
#[derive(Default)]
struct Copies {
    properties: Vec<u8>,
    body: Vec<u8>,
    /// As many copies as fit a write.
    bytes: Vec<u8>,
    /// Bytes of one copy; 0 until the first message is complete.
    each: usize,
    delivered: u64,
}

impl Copies {
    /// Takes a header or body frame; only the first message's matter.
    #[inline]
    fn learn(&mut self, frame: Frame<'_>, complete: bool) {
        if self.each > 0 {
            return;
        }
        match frame.kind {
            // The properties follow class, weight and body size.
            HEADER => self.properties = frame.payload.get(12..).unwrap_or_default().to_vec(),
            _ => self.body.extend_from_slice(frame.payload),
        }
        if complete {
            let deliver =
                Fields::new().shortstr(CONSUMER_TAG).longlong(0).octet(0).shortstr("").shortstr("q");
            let mut copy = method_frame(1, method::BASIC_DELIVER, deliver);
            copy.extend(content_frames(1, &Fields::raw(&self.properties), &self.body, FRAME_MAX as usize));
            self.each = copy.len();
            self.bytes = copy.repeat((WRITE_BYTES / copy.len()).max(1));
        }
    }

    fn write(&mut self, mut count: u64, consumer: &mut TcpStream) -> io::Result<()> {
        while count > 0 {
            let some = count.min((self.bytes.len() / self.each) as u64);
            let bytes = &mut self.bytes[..some as usize * self.each];
            for copy in bytes.chunks_exact_mut(self.each) {
                self.delivered += 1;
                copy[TAG_AT..TAG_AT + 8].copy_from_slice(&self.delivered.to_be_bytes());
            }
            consumer.write_all(bytes)?;
            count -= some;
        }
        Ok(())
    }
}
