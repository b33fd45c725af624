//! The protocol header, and frames: type, channel, size, payload, end octet.

use super::DecodeError;
pub use super::generated::{FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD};

/// Octets of a frame before its payload: type, channel, size.
pub const FRAME_HEADER_SIZE: usize = 7;
/// Octets of a frame around its payload: the header and the end octet.
pub const FRAME_OVERHEAD: usize = 8;
/// The smallest frame-max that may be negotiated (0-9-1 section 4.2.3; RabbitMQ 4's spec file says 8192,
/// which would refuse clients that keep to the standard).
pub const FRAME_MIN_SIZE: u32 = 4096;

/// What an AMQP 0-9-1 client sends first, and what a broker answers before it closes when it got anything else.
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";
/// 0-9, which RabbitMQ (and so we) treats as 0-9-1.
const PROTOCOL_HEADER_0_9: [u8; 8] = *b"AMQP\x01\x01\x00\x09";

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// Fewer than eight octets came, and they may still become a protocol header.
    Incomplete,
    /// Eight octets that ask for 0-9-1 (or 0-9).
    Accepted,
    /// Another protocol or version: send [`PROTOCOL_HEADER`] and close.
    Refused,
}

/// Reads the first bytes of a connection; a wrong one is refused without waiting for the rest.
pub fn read_protocol_header(buf: &[u8]) -> Handshake {
    let seen = &buf[..buf.len().min(8)];
    if !PROTOCOL_HEADER.starts_with(seen) && !PROTOCOL_HEADER_0_9.starts_with(seen) {
        Handshake::Refused
    } else if seen.len() < 8 {
        Handshake::Incomplete
    } else {
        Handshake::Accepted
    }
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// A method.
    Method = FRAME_METHOD,
    /// The properties and the size of the content that follows a method.
    Header = FRAME_HEADER,
    /// A piece of that content.
    Body = FRAME_BODY,
    /// Nothing: the peer is alive.
    Heartbeat = FRAME_HEARTBEAT,
}

/// A complete frame at the front of a read buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it carries.
    pub kind: FrameKind,
    /// 0 for the connection itself.
    pub channel: u16,
    /// Without header and end octet.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Octets to drop from the buffer to be at the next frame.
    #[inline]
    pub fn total_len(&self) -> usize {
        self.payload.len() + FRAME_OVERHEAD
    }
}

/// The frame at the front of `buf`, or `None` while it is not complete. What its header says is checked before
/// its payload is waited for. `frame_max` is as negotiated, 0 for no limit.
///
/// Like RabbitMQ, this takes payloads of up to `frame_max` octets, although the frame is then 8 octets too long:
/// some clients forget to count the overhead.
///
/// # Errors
/// `UnknownFrameType`, `FrameTooLarge`, `BadFrameEnd`: all are FRAME_ERROR, and nothing can be read after them.
#[inline]
pub fn next_frame(buf: &[u8], frame_max: u32) -> Result<Option<Frame<'_>>, DecodeError> {
    let Some(&[kind, c0, c1, s0, s1, s2, s3]) = buf.first_chunk() else {
        return Ok(None);
    };
    let kind = match kind {
        FRAME_METHOD => FrameKind::Method,
        FRAME_HEADER => FrameKind::Header,
        FRAME_BODY => FrameKind::Body,
        FRAME_HEARTBEAT => FrameKind::Heartbeat,
        other => return Err(DecodeError::UnknownFrameType(other)),
    };
    let size = u32::from_be_bytes([s0, s1, s2, s3]);
    if frame_max != 0 && size > frame_max {
        return Err(DecodeError::FrameTooLarge { size, frame_max });
    }
    let rest = &buf[FRAME_HEADER_SIZE..];
    let Some(&end) = rest.get(size as usize) else {
        return Ok(None);
    };
    if end != FRAME_END {
        return Err(DecodeError::BadFrameEnd(end));
    }
    Ok(Some(Frame { kind, channel: u16::from_be_bytes([c0, c1]), payload: &rest[..size as usize] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_cut_out_only_when_complete() {
        let bytes = [1, 0, 7, 0, 0, 0, 2, 0xAB, 0xCD, FRAME_END, 8];
        for len in 0..10 {
            assert_eq!(next_frame(&bytes[..len], 4096), Ok(None), "{len} octets");
        }
        let frame = next_frame(&bytes, 4096).unwrap().unwrap();
        assert_eq!((frame.kind, frame.channel, frame.payload), (FrameKind::Method, 7, &bytes[7..9]));
        assert_eq!(frame.total_len(), 10);
    }

    #[test]
    fn what_the_header_shows_is_refused_before_the_payload_is_there() {
        let header = [3, 0, 1, 0, 0, 0x10, 1];
        assert_eq!(
            next_frame(&header, 4096),
            Err(DecodeError::FrameTooLarge { size: 4097, frame_max: 4096 })
        );
        assert_eq!(next_frame(&header, 4097), Ok(None));
        assert_eq!(next_frame(&header, 0), Ok(None));
        assert_eq!(next_frame(b"AMQP\0\0\x09\x01", 0), Err(DecodeError::UnknownFrameType(b'A')));
        assert_eq!(next_frame(&[8, 0, 0, 0, 0, 0, 0, 0xCD], 0), Err(DecodeError::BadFrameEnd(0xCD)));
        assert_eq!(next_frame(&[3, 0, 0, 255, 255, 255, 255, 0], 0), Ok(None));
    }

    #[test]
    fn the_protocol_header_is_accepted_whole_and_refused_at_the_first_wrong_octet() {
        for len in 0..8 {
            assert_eq!(read_protocol_header(&PROTOCOL_HEADER[..len]), Handshake::Incomplete);
        }
        assert_eq!(read_protocol_header(b"AMQP\0\0\x09\x01\x01"), Handshake::Accepted);
        assert_eq!(read_protocol_header(b"AMQP\x01\x01\x00\x09"), Handshake::Accepted);
        for other in
            [&b"GET"[..], b"AMQP\x00\x01", b"AMQP\x03\x01\x00\x00", b"AMQP\x01\x01\x08\x00", b"\x16\x03\x01"]
        {
            assert_eq!(read_protocol_header(other), Handshake::Refused);
        }
    }
}
