//! What can be wrong with bytes from a peer.

use std::fmt;

use crate::{Error, Kind};

/// Why bytes could not be decoded; [`DecodeError::kind`] is the reply code to close the connection with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// A frame larger than was negotiated: its payload size in octets, and the negotiated frame-max.
    FrameTooLarge {
        /// As the frame header claims it.
        size: u32,
        /// As negotiated.
        frame_max: u32,
    },
    /// A frame whose last octet is not 0xCE.
    BadFrameEnd(u8),
    /// A frame type other than 1, 2, 3 and 8.
    UnknownFrameType(u8),
    /// The bytes ended in the midst of a field.
    Truncated,
    /// This number of bytes stood behind the last field.
    TrailingBytes(usize),
    /// A name that is not UTF-8.
    NotUtf8,
    /// A method that 0-9-1 with RabbitMQ's extensions does not have.
    UnknownMethod {
        /// Class id.
        class: u16,
        /// Method id.
        method: u16,
    },
    /// A type letter in a table that RabbitMQ does not read.
    UnknownFieldType(u8),
    /// Tables or arrays nested deeper than [`MAX_DEPTH`](super::table::MAX_DEPTH).
    NestedTooDeep,
}

impl DecodeError {
    /// The reply code: FRAME_ERROR (501) for what cannot be cut into frames and fields, as RabbitMQ 3.10 answers;
    /// SYNTAX_ERROR (502) for illegal values in a field and NOT_IMPLEMENTED (540) for an unknown method, as the
    /// spec has it. RabbitMQ drops the connection without a word on the latter two, and calls malformed
    /// properties an INTERNAL_ERROR (541).
    pub const fn kind(self) -> Kind {
        match self {
            DecodeError::UnknownFieldType(_) | DecodeError::NestedTooDeep => Kind::SyntaxError,
            DecodeError::UnknownMethod { .. } => Kind::NotImplemented,
            _ => Kind::FrameError,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            DecodeError::FrameTooLarge { size, frame_max } => {
                write!(
                    f,
                    "frame with {size} octets of payload exceeds the negotiated frame-max of {frame_max}"
                )
            }
            DecodeError::BadFrameEnd(octet) => {
                write!(f, "frame ends with octet {octet:#04x} instead of 0xce")
            }
            DecodeError::UnknownFrameType(kind) => write!(f, "unknown frame type {kind}"),
            DecodeError::Truncated => f.write_str("the frame ends in the midst of a field"),
            DecodeError::TrailingBytes(count) => write!(f, "{count} octets behind the last field"),
            DecodeError::NotUtf8 => f.write_str("Malformed UTF-8 in shortstr"),
            DecodeError::UnknownMethod { class, method } => {
                write!(f, "unknown method {method} of class {class}")
            }
            DecodeError::UnknownFieldType(letter) => {
                write!(f, "unknown field type '{}' in a table", letter.escape_ascii())
            }
            DecodeError::NestedTooDeep => {
                write!(f, "table nested deeper than {} levels", super::table::MAX_DEPTH)
            }
        }
    }
}

impl std::error::Error for DecodeError {}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Error::new(error.kind(), "decode", error.to_string()).caused_by(error)
    }
}
