//! Bytes on their way to a socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes, BytesMut};

use super::socket;
use crate::broker::{Confirmed, Publish};
use crate::message::{Body, Message};
use crate::wire::frame::{FRAME_END, FRAME_OVERHEAD};
use crate::wire::hot::{self, Deliver};
use crate::wire::{Method, PropertiesView, basic, hot::encode_content};

/// Bodies from this size on are sent from where they are; shorter ones are copied beside their frames,
/// which costs less than another piece in a vectored write.
const SEND_IN_PLACE: usize = 8 << 10;
/// Pieces in one vectored write; Linux takes up to 1024.
const PIECES: usize = 64;
/// What a connection's buffer keeps of its size when it is empty.
const KEEP: usize = 256 << 10;

/// Frames that have not been written, in order: full pieces, then the buffer that grows.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pieces: VecDeque<Bytes>,
    pieces_len: usize,
    tail: BytesMut,
}

impl Output {
    pub(crate) fn len(&self) -> usize {
        self.pieces_len + self.tail.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn method(&mut self, channel: u16, method: &Method) {
        method.encode(channel, &mut self.tail);
    }

    pub(crate) fn ack(&mut self, channel: u16, tag: u64, multiple: bool) {
        hot::encode_ack(&mut self.tail, channel, tag, multiple);
    }

    /// Those that were refused one by one, then all others together up to the last of them.
    pub(crate) fn confirm(&mut self, channel: u16, confirmed: &Confirmed) {
        let &Confirmed { first, mut last, ref refused } = confirmed;
        for number in refused {
            let nack = basic::Nack { delivery_tag: *number, multiple: false, requeue: false };
            self.method(channel, &Method::BasicNack(nack));
        }
        while refused.binary_search(&last).is_ok() {
            last -= 1;
        }
        if last >= first {
            self.ack(channel, last, last > first);
        }
    }

    pub(crate) fn heartbeat(&mut self) {
        hot::encode_heartbeat(&mut self.tail);
    }

    /// `basic.deliver` and its content.
    pub(crate) fn deliver(
        &mut self,
        channel: u16,
        consumer_tag: &str,
        delivery_tag: u64,
        redelivered: bool,
        message: &Message,
        frame_max: u32,
    ) {
        let deliver = Deliver {
            consumer_tag,
            delivery_tag,
            redelivered,
            exchange_and_routing_key: message.route(),
            properties: message.encoded_properties(),
        };
        match message.long_body() {
            Some(body) if body.len() >= SEND_IN_PLACE => {
                deliver.encode_head(&mut self.tail, channel, body.len() as u64);
                self.body_in_place(channel, body, frame_max);
            }
            _ => deliver.encode(&mut self.tail, channel, message.body(), frame_max),
        }
    }

    /// The content that follows a method: header and body.
    pub(crate) fn content(&mut self, channel: u16, message: &Message, frame_max: u32) {
        encode_content(&mut self.tail, channel, message.encoded_properties(), message.body(), frame_max);
    }

    /// The same, of no properties and no body.
    pub(crate) fn empty_content(&mut self, channel: u16) {
        encode_content(&mut self.tail, channel, PropertiesView::EMPTY.0, &[], 0);
    }

    /// `basic.publish` and its content.
    pub(crate) fn publish(&mut self, channel: u16, publish: Publish<'_>, frame_max: u32) {
        let Publish { exchange, routing_key, mandatory, properties, body } = publish;
        hot::encode_publish(&mut self.tail, channel, exchange, routing_key, mandatory);
        match body {
            Body::Owned(body) if body.len() >= SEND_IN_PLACE => {
                hot::encode_content_header(&mut self.tail, channel, properties, body.len() as u64);
                self.body_in_place(channel, &body, frame_max);
            }
            Body::Owned(body) => encode_content(&mut self.tail, channel, properties, &body, frame_max),
            Body::Slice(body) => encode_content(&mut self.tail, channel, properties, body, frame_max),
        }
    }

    /// Frames that are encoded already.
    pub(crate) fn append(&mut self, frames: &Bytes) {
        if frames.len() < SEND_IN_PLACE {
            self.tail.extend_from_slice(frames);
        } else {
            self.push_tail();
            self.push(frames.clone());
        }
    }

    /// All frames, to be sent with [`Output::append`].
    pub(crate) fn into_frames(mut self) -> VecDeque<Bytes> {
        self.push_tail();
        self.pieces
    }

    fn body_in_place(&mut self, channel: u16, body: &Bytes, frame_max: u32) {
        let piece = (frame_max as usize).saturating_sub(FRAME_OVERHEAD).max(1);
        let mut start = 0;
        while start < body.len() {
            let end = body.len().min(start + piece);
            self.tail.extend_from_slice(&hot::body_frame_header(channel, (end - start) as u32));
            self.push_tail();
            self.push(body.slice(start..end));
            self.tail.extend_from_slice(&[FRAME_END]);
            start = end;
        }
    }

    fn push_tail(&mut self) {
        if !self.tail.is_empty() {
            let full = self.tail.split().freeze();
            self.push(full);
        }
    }

    fn push(&mut self, piece: Bytes) {
        self.pieces_len += piece.len();
        self.pieces.push_back(piece);
    }

    /// Writes as much as the socket takes without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when the socket is full and something is left; others when the connection is lost.
    pub(crate) fn write(&mut self, socket: &socket::Writer) -> io::Result<()> {
        while !self.is_empty() {
            let written = if self.pieces.is_empty() {
                socket.try_write(&self.tail)?
            } else {
                let mut slices = [IoSlice::new(&[]); PIECES];
                let all = self.pieces.iter().map(|piece| &piece[..]).chain([&self.tail[..]]);
                let mut count = 0;
                for (slice, piece) in slices.iter_mut().zip(all) {
                    *slice = IoSlice::new(piece);
                    count += 1;
                }
                socket.try_write_vectored(&slices[..count])?
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.advance(written);
        }
        if self.tail.capacity() > KEEP {
            self.tail = BytesMut::new();
        }
        socket.flush()
    }

    fn advance(&mut self, mut written: usize) {
        while written > 0
            && let Some(piece) = self.pieces.front_mut()
        {
            let count = written.min(piece.len());
            piece.advance(count);
            self.pieces_len -= count;
            written -= count;
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        match written == self.tail.len() {
            true => self.tail.clear(), // keeps the whole capacity, where advance() would give the front away
            false => self.tail.advance(written),
        }
    }
}
