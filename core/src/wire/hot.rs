//! What every message pays for: publish, content header, deliver, ack. Borrowed, and without allocation.
//!
//! Payloads are those of [`Frame::payload`](super::Frame). One `reserve` per message, then plain copies.

use super::frame::{
    FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_HEADER_SIZE, FRAME_HEARTBEAT, FRAME_METHOD, FRAME_OVERHEAD,
};
use super::output::Output;
use super::reader::Reader;
use super::{DecodeError, basic};

/// Class and method id of a method frame's payload as one number, to compare with `basic::Publish::ID` and the like.
#[inline]
pub fn method_id(payload: &[u8]) -> Option<u32> {
    payload.first_chunk().map(|id| u32::from_be_bytes(*id))
}

/// `basic.publish`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishRef<'a> {
    /// Empty for the default exchange.
    pub exchange: &'a str,
    /// As sent.
    pub routing_key: &'a str,
    /// Return the message when no queue takes it.
    pub mandatory: bool,
    /// RabbitMQ refuses this flag with NOT_IMPLEMENTED.
    pub immediate: bool,
    /// Exchange and routing key as they came, two short strings one after the other: what `encode_deliver` wants.
    pub exchange_and_routing_key: &'a [u8],
}

impl<'a> PublishRef<'a> {
    /// Reads the payload of a method frame whose [`method_id`] is `basic::Publish::ID`.
    ///
    /// # Errors
    /// `Truncated`, `TrailingBytes`, `NotUtf8`.
    #[inline]
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        // The method's id, and the ticket, which 0-9-1 reserves.
        let fields = payload.get(6..).ok_or(DecodeError::Truncated)?;
        let mut reader = Reader(fields);
        let exchange = reader.short_str()?;
        let routing_key = reader.short_str()?;
        let exchange_and_routing_key = &fields[..exchange.len() + routing_key.len() + 2];
        let bits = reader.u8()?;
        reader.finish()?;
        Ok(PublishRef {
            exchange,
            routing_key,
            mandatory: bits & 1 != 0,
            immediate: bits & 2 != 0,
            exchange_and_routing_key,
        })
    }
}

/// The payload of a content header frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHeaderRef<'a> {
    /// Must be the class of the method before, 60.
    pub class_id: u16,
    /// Must be 0.
    pub weight: u16,
    /// Octets in the body frames that follow; no body frame follows 0.
    pub body_size: u64,
    /// Flags and values, to be read by [`PropertiesView`](super::PropertiesView); not checked here.
    pub properties: &'a [u8],
}

impl<'a> ContentHeaderRef<'a> {
    /// Reads the payload of a header frame.
    ///
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let (&[c0, c1, w0, w1, size @ ..], properties) =
            payload.split_first_chunk::<12>().ok_or(DecodeError::Truncated)?;
        Ok(ContentHeaderRef {
            class_id: u16::from_be_bytes([c0, c1]),
            weight: u16::from_be_bytes([w0, w1]),
            body_size: u64::from_be_bytes(size),
            properties,
        })
    }
}

/// `basic.ack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckRef {
    /// 0 with `multiple`: all there are.
    pub delivery_tag: u64,
    /// All up to and including that tag.
    pub multiple: bool,
}

impl AckRef {
    /// Reads the payload of a method frame whose [`method_id`] is `basic::Ack::ID`.
    ///
    /// # Errors
    /// `Truncated`, `TrailingBytes`.
    #[inline]
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader(payload.get(4..).ok_or(DecodeError::Truncated)?);
        let ack = AckRef { delivery_tag: reader.u64()?, multiple: reader.u8()? & 1 != 0 };
        reader.finish().map(|()| ack)
    }
}

/// A `basic.deliver` with its content, ready to be written.
#[derive(Clone, Copy, Debug)]
pub struct Deliver<'a> {
    /// At most 255 octets.
    pub consumer_tag: &'a str,
    /// From 1, per channel.
    pub delivery_tag: u64,
    /// It was delivered before.
    pub redelivered: bool,
    /// Two short strings one after the other, as in [`PublishRef`].
    pub exchange_and_routing_key: &'a [u8],
    /// Flags and values as received.
    pub properties: &'a [u8],
}

impl Deliver<'_> {
    /// Writes method, content header and body frames; each body frame is at most `frame_max` octets long with its
    /// overhead (0 for no limit), and an empty body has none.
    #[inline]
    pub fn encode(&self, out: &mut impl Output, channel: u16, body: &[u8], frame_max: u32) {
        let piece = body_piece(frame_max);
        let body_frames = body.len().div_ceil(piece) * FRAME_OVERHEAD + body.len();
        out.reserve(self.method_len() + content_header_len(self.properties) + body_frames);
        self.put_method(out, channel);
        put_content_header(out, channel, body.len() as u64, self.properties);
        put_body(out, channel, body, piece);
    }

    /// Writes the method and the content header only, for bodies that go to the socket from where they are;
    /// [`body_frame_header`] is what precedes each piece of them.
    #[inline]
    pub fn encode_head(&self, out: &mut impl Output, channel: u16, body_size: u64) {
        out.reserve(self.method_len() + content_header_len(self.properties));
        self.put_method(out, channel);
        put_content_header(out, channel, body_size, self.properties);
    }

    #[inline]
    fn tag(&self) -> &[u8] {
        let tag = self.consumer_tag.as_bytes();
        &tag[..tag.len().min(255)]
    }

    #[inline]
    fn method_len(&self) -> usize {
        // Id, the tag's length, delivery tag and redelivered are 14 octets.
        FRAME_OVERHEAD + 14 + self.tag().len() + self.exchange_and_routing_key.len()
    }

    #[inline]
    fn put_method(&self, out: &mut impl Output, channel: u16) {
        let tag = self.tag();
        let [c0, c1] = channel.to_be_bytes();
        let [s0, s1, s2, s3] = ((self.method_len() - FRAME_OVERHEAD) as u32).to_be_bytes();
        let [i0, i1, i2, i3] = basic::Deliver::ID.to_be_bytes();
        out.put(&[FRAME_METHOD, c0, c1, s0, s1, s2, s3, i0, i1, i2, i3, tag.len() as u8]);
        out.put(tag);
        let [d0, d1, d2, d3, d4, d5, d6, d7] = self.delivery_tag.to_be_bytes();
        out.put(&[d0, d1, d2, d3, d4, d5, d6, d7, self.redelivered.into()]);
        out.put(self.exchange_and_routing_key);
        out.put(&[FRAME_END]);
    }
}

/// A `basic.deliver`, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliverRef<'a> {
    /// Of the consumer that it is for.
    pub consumer_tag: &'a str,
    /// From 1, per channel.
    pub delivery_tag: u64,
    /// It was delivered before.
    pub redelivered: bool,
    /// Two short strings one after the other, as in [`PublishRef`].
    pub exchange_and_routing_key: &'a [u8],
}

impl<'a> DeliverRef<'a> {
    /// Reads the payload of a method frame whose [`method_id`] is `basic::Deliver::ID`.
    ///
    /// # Errors
    /// `Truncated`, `TrailingBytes`, `NotUtf8`.
    #[inline]
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader(payload.get(4..).ok_or(DecodeError::Truncated)?);
        let consumer_tag = reader.short_str()?;
        let delivery_tag = reader.u64()?;
        let redelivered = reader.u8()? & 1 != 0;
        let exchange_and_routing_key = reader.0;
        reader.skip_short_str()?;
        reader.skip_short_str()?;
        reader.finish()?;
        Ok(DeliverRef { consumer_tag, delivery_tag, redelivered, exchange_and_routing_key })
    }
}

/// Writes a `basic.publish`, without its content. Names are cut to 255 octets.
#[inline]
pub fn encode_publish(
    out: &mut impl Output,
    channel: u16,
    exchange: &str,
    routing_key: &str,
    mandatory: bool,
) {
    let exchange = &exchange.as_bytes()[..exchange.len().min(255)];
    let routing_key = &routing_key.as_bytes()[..routing_key.len().min(255)];
    // Id, ticket, two lengths and the bits are 9 octets.
    let size = 9 + exchange.len() + routing_key.len();
    out.reserve(FRAME_OVERHEAD + size);
    let [f0, f1, f2, f3, f4, f5, f6] = frame_header(FRAME_METHOD, channel, size as u32);
    let [i0, i1, i2, i3] = basic::Publish::ID.to_be_bytes();
    out.put(&[f0, f1, f2, f3, f4, f5, f6, i0, i1, i2, i3, 0, 0, exchange.len() as u8]);
    out.put(exchange);
    out.put(&[routing_key.len() as u8]);
    out.put(routing_key);
    out.put(&[mandatory.into(), FRAME_END]);
}

/// Writes the content header alone, for bodies that go to the socket from where they are.
#[inline]
pub fn encode_content_header(out: &mut impl Output, channel: u16, properties: &[u8], body_size: u64) {
    out.reserve(content_header_len(properties));
    put_content_header(out, channel, body_size, properties);
}

/// Writes the content header and body frames that follow a method with content (`basic.return`, `basic.get-ok`,
/// `basic.publish`), as [`Deliver::encode`] does.
pub fn encode_content(out: &mut impl Output, channel: u16, properties: &[u8], body: &[u8], frame_max: u32) {
    let piece = body_piece(frame_max);
    out.reserve(content_header_len(properties) + body.len().div_ceil(piece) * FRAME_OVERHEAD + body.len());
    put_content_header(out, channel, body.len() as u64, properties);
    put_body(out, channel, body, piece);
}

/// What precedes a piece of a body that is `size` octets long; the octet [`FRAME_END`] follows it.
#[inline]
pub fn body_frame_header(channel: u16, size: u32) -> [u8; FRAME_HEADER_SIZE] {
    frame_header(FRAME_BODY, channel, size)
}

/// Writes a `basic.ack`.
#[inline]
pub fn encode_ack(out: &mut impl Output, channel: u16, delivery_tag: u64, multiple: bool) {
    let [c0, c1] = channel.to_be_bytes();
    let [i0, i1, i2, i3] = basic::Ack::ID.to_be_bytes();
    let [d0, d1, d2, d3, d4, d5, d6, d7] = delivery_tag.to_be_bytes();
    let bits = u8::from(multiple);
    out.put(&[
        FRAME_METHOD,
        c0,
        c1,
        0,
        0,
        0,
        13,
        i0,
        i1,
        i2,
        i3,
        d0,
        d1,
        d2,
        d3,
        d4,
        d5,
        d6,
        d7,
        bits,
        FRAME_END,
    ]);
}

/// Writes a heartbeat frame.
#[inline]
pub fn encode_heartbeat(out: &mut impl Output) {
    out.put(&[FRAME_HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_END]);
}

#[inline]
fn frame_header(kind: u8, channel: u16, size: u32) -> [u8; FRAME_HEADER_SIZE] {
    let [c0, c1] = channel.to_be_bytes();
    let [s0, s1, s2, s3] = size.to_be_bytes();
    [kind, c0, c1, s0, s1, s2, s3]
}

/// How many octets of body a frame holds.
#[inline]
fn body_piece(frame_max: u32) -> usize {
    match frame_max as usize {
        0 => u32::MAX as usize,
        limit => limit.saturating_sub(FRAME_OVERHEAD).max(1),
    }
}

#[inline]
fn content_header_len(properties: &[u8]) -> usize {
    FRAME_OVERHEAD + 12 + properties.len()
}

#[inline]
fn put_content_header(out: &mut impl Output, channel: u16, body_size: u64, properties: &[u8]) {
    let [f0, f1, f2, f3, f4, f5, f6] = frame_header(FRAME_HEADER, channel, 12 + properties.len() as u32);
    let [c0, c1] = basic::CLASS_ID.to_be_bytes();
    let [b0, b1, b2, b3, b4, b5, b6, b7] = body_size.to_be_bytes();
    out.put(&[f0, f1, f2, f3, f4, f5, f6, c0, c1, 0, 0, b0, b1, b2, b3, b4, b5, b6, b7]);
    out.put(properties);
    out.put(&[FRAME_END]);
}

#[inline]
fn put_body(out: &mut impl Output, channel: u16, body: &[u8], piece: usize) {
    for piece in body.chunks(piece) {
        out.put(&body_frame_header(channel, piece.len() as u32));
        out.put(piece);
        out.put(&[FRAME_END]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{FrameKind, Method, ShortString, next_frame};

    fn deliver(body: &[u8], frame_max: u32) -> Vec<u8> {
        let mut out = Vec::new();
        Deliver {
            consumer_tag: "ctag",
            delivery_tag: 0x0102_0304_0506_0708,
            redelivered: true,
            exchange_and_routing_key: b"\x04logs\x05error",
            properties: b"\x10\x00\x02",
        }
        .encode(&mut out, 300, body, frame_max);
        out
    }

    fn frames(mut buf: &[u8], frame_max: u32) -> Vec<(FrameKind, u16, Vec<u8>)> {
        let mut frames = Vec::new();
        while let Some(frame) = next_frame(buf, frame_max).unwrap() {
            frames.push((frame.kind, frame.channel, frame.payload.to_vec()));
            buf = &buf[frame.total_len()..];
        }
        assert!(buf.is_empty());
        frames
    }

    #[test]
    fn a_delivery_is_method_header_and_body_pieces_that_fit_frame_max() {
        for (size, pieces) in [(0, vec![]), (1, vec![1]), (4088, vec![4088]), (8177, vec![4088, 4088, 1])] {
            let body: Vec<u8> = (0..size).map(|n| n as u8).collect();
            let frames = frames(&deliver(&body, 4096), 4096);
            assert!(frames.iter().all(|frame| frame.1 == 300));
            assert_eq!(
                Method::decode(&frames[0].2),
                Ok(Method::BasicDeliver(basic::Deliver {
                    consumer_tag: ShortString::truncated("ctag"),
                    delivery_tag: 0x0102_0304_0506_0708,
                    redelivered: true,
                    exchange: ShortString::truncated("logs"),
                    routing_key: ShortString::truncated("error"),
                }))
            );
            let header = ContentHeaderRef::decode(&frames[1].2).unwrap();
            assert_eq!((header.class_id, header.weight, header.body_size), (60, 0, size));
            assert_eq!(header.properties, b"\x10\x00\x02");
            assert!(frames[2..].iter().all(|frame| frame.0 == FrameKind::Body));
            assert_eq!(frames[2..].iter().map(|frame| frame.2.len()).collect::<Vec<_>>(), pieces);
            assert_eq!(frames[2..].iter().flat_map(|frame| frame.2.clone()).collect::<Vec<_>>(), body);
        }
        assert_eq!(frames(&deliver(&[1; 100_000], 0), 0).len(), 3);
    }

    #[test]
    fn head_and_body_frame_header_make_the_same_octets() {
        let mut whole = Vec::new();
        let tag = "t".repeat(255);
        let deliver = Deliver {
            consumer_tag: &tag,
            delivery_tag: 1,
            redelivered: false,
            exchange_and_routing_key: b"\0\0",
            properties: b"\0\0",
        };
        deliver.encode(&mut whole, 1, b"hello", 4096);
        let mut parts = Vec::new();
        deliver.encode_head(&mut parts, 1, 5);
        parts.extend(body_frame_header(1, 5));
        parts.extend(b"hello\xCE");
        assert_eq!(parts, whole);
    }

    #[test]
    fn a_publish_is_read_in_place() {
        let publish = basic::Publish {
            exchange: ShortString::truncated("logs"),
            routing_key: ShortString::truncated("é"),
            mandatory: true,
            immediate: false,
        };
        let mut out = Vec::new();
        Method::from(publish).encode(1, &mut out);
        encode_content(&mut out, 1, b"\0\0", b"hi", 4096);
        let frames = frames(&out, 4096);
        let read = PublishRef::decode(&frames[0].2).unwrap();
        assert_eq!(
            (read.exchange, read.routing_key, read.mandatory, read.immediate),
            ("logs", "é", true, false)
        );
        assert_eq!(read.exchange_and_routing_key, "\x04logs\x02é".as_bytes());
        assert_eq!(frames[2].2, b"hi");
        let longer = [&frames[0].2[..], b"x"].concat();
        assert_eq!(PublishRef::decode(&longer), Err(DecodeError::TrailingBytes(1)));
    }

    #[test]
    fn publishes_and_deliveries_are_read_as_they_were_written() {
        let mut out = Vec::new();
        encode_publish(&mut out, 3, "logs", "é", true);
        let publish = basic::Publish {
            exchange: ShortString::truncated("logs"),
            routing_key: ShortString::truncated("é"),
            mandatory: true,
            immediate: false,
        };
        let mut whole = Vec::new();
        Method::from(publish).encode(3, &mut whole);
        assert_eq!(out, whole);

        let deliver = &frames(&deliver(b"", 4096), 4096)[0].2;
        let read = DeliverRef::decode(deliver).unwrap();
        assert_eq!((read.consumer_tag, read.delivery_tag), ("ctag", 0x0102_0304_0506_0708));
        assert_eq!((read.redelivered, read.exchange_and_routing_key), (true, &b"\x04logs\x05error"[..]));
        for length in 0..deliver.len() {
            assert!(DeliverRef::decode(&deliver[..length]).is_err());
        }
    }

    #[test]
    fn acks_and_heartbeats_are_the_octets_of_the_spec() {
        let mut out = Vec::new();
        encode_ack(&mut out, 258, 7, true);
        assert_eq!(out, [1, 1, 2, 0, 0, 0, 13, 0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 7, 1, 0xCE]);
        assert_eq!(AckRef::decode(&out[7..20]), Ok(AckRef { delivery_tag: 7, multiple: true }));
        out.clear();
        encode_heartbeat(&mut out);
        assert_eq!(out, [8, 0, 0, 0, 0, 0, 0, 0xCE]);
    }
}
