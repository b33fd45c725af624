//! AMQP 0-9-1 frames: building them ahead of time, and hopping over those that arrive.

use std::io::{self, Read};

/// What a client sends first.
pub const PROTOCOL_HEADER: &[u8; 8] = b"AMQP\0\0\x09\x01";

/// Frame types.
pub const METHOD: u8 = 1;
pub const HEADER: u8 = 2;
pub const BODY: u8 = 3;
const FRAME_END: u8 = 0xCE;
/// Bytes around a frame's payload: type, channel and size before it, the end mark after it.
const FRAME_OVERHEAD: usize = 8;

/// Methods by number, as the spec's class and method index: the first four bytes of the payload.
pub mod method {
    const fn id(class: u32, method: u32) -> u32 {
        class << 16 | method
    }
    pub const CONNECTION_START: u32 = id(10, 10);
    pub const CONNECTION_START_OK: u32 = id(10, 11);
    pub const CONNECTION_TUNE: u32 = id(10, 30);
    pub const CONNECTION_TUNE_OK: u32 = id(10, 31);
    pub const CONNECTION_OPEN: u32 = id(10, 40);
    pub const CONNECTION_OPEN_OK: u32 = id(10, 41);
    pub const CONNECTION_CLOSE: u32 = id(10, 50);
    pub const CONNECTION_CLOSE_OK: u32 = id(10, 51);
    pub const CHANNEL_OPEN: u32 = id(20, 10);
    pub const CHANNEL_OPEN_OK: u32 = id(20, 11);
    pub const CHANNEL_CLOSE: u32 = id(20, 40);
    pub const EXCHANGE_DECLARE: u32 = id(40, 10);
    pub const EXCHANGE_DECLARE_OK: u32 = id(40, 11);
    pub const EXCHANGE_DELETE: u32 = id(40, 20);
    pub const EXCHANGE_DELETE_OK: u32 = id(40, 21);
    pub const QUEUE_DECLARE: u32 = id(50, 10);
    pub const QUEUE_DECLARE_OK: u32 = id(50, 11);
    pub const QUEUE_BIND: u32 = id(50, 20);
    pub const QUEUE_DELETE: u32 = id(50, 40);
    pub const QUEUE_DELETE_OK: u32 = id(50, 41);
    pub const BASIC_QOS: u32 = id(60, 10);
    pub const BASIC_QOS_OK: u32 = id(60, 11);
    pub const BASIC_CONSUME: u32 = id(60, 20);
    pub const BASIC_CONSUME_OK: u32 = id(60, 21);
    pub const BASIC_CANCEL: u32 = id(60, 30);
    pub const BASIC_PUBLISH: u32 = id(60, 40);
    pub const BASIC_DELIVER: u32 = id(60, 60);
    pub const BASIC_ACK: u32 = id(60, 80);
    pub const BASIC_NACK: u32 = id(60, 120);
    pub const CONFIRM_SELECT: u32 = id(85, 10);
    pub const CONFIRM_SELECT_OK: u32 = id(85, 11);
}

/// Protocol fields, appended one after another.
#[derive(Debug, Default, Clone)]
pub struct Fields(Vec<u8>);

impl Fields {
    pub fn new() -> Self {
        Self::default()
    }
    /// Fields that are encoded already.
    pub fn raw(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
    pub fn octet(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }
    pub fn short(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }
    pub fn long(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }
    pub fn longlong(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }
    /// At most 255 bytes; the callers' names come from this crate or from a short URL.
    pub fn shortstr(mut self, value: &str) -> Self {
        let length = u8::try_from(value.len()).expect("a short string has at most 255 bytes");
        self.0.push(length);
        self.0.extend(value.as_bytes());
        self
    }
    /// Also the form of a table, whose length counts its encoded bytes.
    pub fn longstr(mut self, value: &[u8]) -> Self {
        self.0.extend((value.len() as u32).to_be_bytes());
        self.0.extend(value);
        self
    }
    pub fn table(self, value: Fields) -> Self {
        self.longstr(&value.0)
    }
}

fn frame(kind: u8, channel: u16, payload: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend(channel.to_be_bytes());
    out.extend((payload.len() as u32).to_be_bytes());
    out.extend(payload);
    out.push(FRAME_END);
}

/// A method frame, ready to be written.
pub fn method_frame(channel: u16, id: u32, arguments: Fields) -> Vec<u8> {
    let mut out = Vec::with_capacity(FRAME_OVERHEAD + 4 + arguments.0.len());
    let payload = Fields::new().long(id);
    frame(METHOD, channel, &[payload.0, arguments.0].concat(), &mut out);
    out
}

/// The header and body frames that follow a `basic.publish` or `basic.deliver`.
/// `properties` are the property flags and values, `frame_max` the negotiated frame size.
pub fn content_frames(channel: u16, properties: &Fields, body: &[u8], frame_max: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 64);
    let header = Fields::new().short(60).short(0).longlong(body.len() as u64);
    frame(HEADER, channel, &[&header.0[..], &properties.0].concat(), &mut out);
    for part in body.chunks(frame_max - FRAME_OVERHEAD) {
        frame(BODY, channel, part, &mut out);
    }
    out
}

/// A whole message to the default exchange: publish, header and body frames.
pub fn publish_frames(queue: &str, properties: &Fields, body: &[u8], frame_max: usize) -> Vec<u8> {
    let arguments = Fields::new().short(0).shortstr("").shortstr(queue).octet(0);
    let mut out = method_frame(1, method::BASIC_PUBLISH, arguments);
    out.extend(content_frames(1, properties, body, frame_max));
    out
}

/// `basic.ack`. Exactly [`ACK_SIZE`] bytes.
pub fn ack_frame(tag: u64, multiple: bool) -> [u8; ACK_SIZE] {
    let mut out = [0; ACK_SIZE];
    out[..7].copy_from_slice(&[METHOD, 0, 1, 0, 0, 0, 13]);
    out[7..11].copy_from_slice(&method::BASIC_ACK.to_be_bytes());
    out[11..19].copy_from_slice(&tag.to_be_bytes());
    out[19] = multiple.into();
    out[20] = FRAME_END;
    out
}
pub const ACK_SIZE: usize = 21;

/// A frame in the read buffer.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    pub kind: u8,
    pub channel: u16,
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The method's number; 0, which no method has, for other frames.
    #[inline]
    pub fn method(&self) -> u32 {
        match self.payload.first_chunk() {
            Some(id) if self.kind == METHOD => u32::from_be_bytes(*id),
            _ => 0,
        }
    }

    /// The fields that follow the method's number.
    pub fn arguments(&self) -> Reader<'a> {
        Reader(self.payload.get(4..).unwrap_or_default())
    }

    /// The body size announced by a header frame, in bytes.
    #[inline]
    pub fn body_size(&self) -> io::Result<u64> {
        Reader(self.payload.get(4..).unwrap_or_default()).longlong()
    }

    /// The delivery tag of a `basic.deliver`: it follows the consumer tag.
    #[inline]
    pub fn delivery_tag(&self) -> io::Result<u64> {
        let mut arguments = self.arguments();
        arguments.shortstr()?;
        arguments.longlong()
    }
}

/// Takes fields off the front of a payload; an error when it ends too early.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    #[inline]
    pub fn bytes(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or_else(|| bad("payload ends inside a field"))?;
        self.0 = rest;
        Ok(taken)
    }
    #[inline]
    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or_else(|| bad("payload ends inside a field"))?;
        self.0 = rest;
        Ok(*taken)
    }
    pub fn octet(&mut self) -> io::Result<u8> {
        Ok(self.array::<1>()?[0])
    }
    pub fn short(&mut self) -> io::Result<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }
    pub fn long(&mut self) -> io::Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }
    #[inline]
    pub fn longlong(&mut self) -> io::Result<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }
    #[inline]
    pub fn shortstr(&mut self) -> io::Result<&'a [u8]> {
        let length = self.octet()?;
        self.bytes(length.into())
    }
    pub fn longstr(&mut self) -> io::Result<&'a [u8]> {
        let length = self.long()?;
        self.bytes(length as usize)
    }
}

/// What the peer sent cannot be AMQP 0-9-1.
pub fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed AMQP from the broker: {what}"))
}

/// A read buffer that hands out whole frames and keeps a frame cut in two by a read.
#[derive(Debug)]
pub struct FrameBuffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl FrameBuffer {
    /// `size` is the most that one read may bring, and thereby the largest frame understood.
    pub fn new(size: usize) -> Self {
        Self { bytes: vec![0; size].into(), start: 0, end: 0 }
    }

    /// Reads once. Returns the bytes read; the end of the stream is an error.
    pub fn fill(&mut self, source: &mut impl Read) -> io::Result<usize> {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.bytes.len() {
            return Err(bad("a frame larger than the read buffer"));
        }
        let count = source.read(&mut self.bytes[self.end..])?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the broker closed the connection"));
        }
        self.end += count;
        Ok(count)
    }

    /// The next whole frame, or none until more is read.
    #[inline]
    pub fn next_frame(&mut self) -> io::Result<Option<Frame<'_>>> {
        let unread = &self.bytes[self.start..self.end];
        let Some(&[kind, c0, c1, s0, s1, s2, s3]) = unread.first_chunk() else {
            return Ok(None);
        };
        let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
        // A broker that refuses the protocol version answers "AMQP" and closes.
        if kind == b'A' {
            return Err(bad("it speaks another protocol version"));
        }
        let Some(frame) = unread.get(..size + FRAME_OVERHEAD) else {
            return Ok(None);
        };
        if frame[size + FRAME_OVERHEAD - 1] != FRAME_END {
            return Err(bad("a frame without its end mark"));
        }
        self.start += frame.len();
        Ok(Some(Frame { kind, channel: u16::from_be_bytes([c0, c1]), payload: &frame[7..7 + size] }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_however_the_reads_cut_them() {
        let message = publish_frames("q", &Fields::new().short(0), &[7; 300], 128);
        for cut in 1..message.len() {
            let mut buffer = FrameBuffer::new(1024);
            let mut kinds = Vec::new();
            let mut body = 0;
            for part in [&message[..cut], &message[cut..]] {
                buffer.fill(&mut &part[..]).unwrap();
                while let Some(frame) = buffer.next_frame().unwrap() {
                    kinds.push(frame.kind);
                    body += if frame.kind == BODY { frame.payload.len() } else { 0 };
                }
            }
            assert_eq!((kinds.as_slice(), body), ([METHOD, HEADER, BODY, BODY, BODY].as_slice(), 300));
        }
    }

    #[test]
    fn a_missing_end_mark_is_an_error() {
        let mut bytes = ack_frame(1, false);
        bytes[20] = 0;
        let mut buffer = FrameBuffer::new(64);
        buffer.fill(&mut &bytes[..]).unwrap();
        assert!(buffer.next_frame().is_err());
    }

    #[test]
    fn the_delivery_tag_is_read_past_any_consumer_tag() {
        let arguments = Fields::new().shortstr("any").longlong(42).octet(0).shortstr("").shortstr("q");
        let bytes = method_frame(1, method::BASIC_DELIVER, arguments);
        let mut buffer = FrameBuffer::new(64);
        buffer.fill(&mut &bytes[..]).unwrap();
        let frame = buffer.next_frame().unwrap().unwrap();
        assert_eq!((frame.method(), frame.delivery_tag().unwrap()), (method::BASIC_DELIVER, 42));
    }
}
