//! AMQP 0-9-1 bytes ⇄ values. Knows no socket, no broker, no task.
//!
//! | file | holds |
//! |---|---|
//! | `frame` | protocol header; frames cut out of a read buffer, their limits and end octets |
//! | `generated` | every method, its ids, names and fields; `Properties`. Written by `cargo run -p warrenmq-codegen` from `spec/` |
//! | `hot` | the few methods that every message pays for, read and written without allocation |
//! | `properties` | one property read out of the encoded list, or replaced in it; the list checked whole |
//! | `table` | field tables and their values |
//! | `term` | values as the error texts of RabbitMQ print them |
//! | `short_string` | the owned short string of the methods |
//! | `reader`, `output` | the cursor that all decoding uses; the buffers that all encoding writes to |
//! | `error` | what can be wrong with bytes, and the reply code for it |
//!
//! A read loop calls [`next_frame`], looks at [`method_id`], takes the hot types for publish,
//! content header and ack, and [`Method::decode`] for the rest. Nothing here panics on any input,
//! and nothing allocates by a length that the peer claims before the bytes are there.

pub mod error;
pub mod frame;
pub mod hot;
pub mod output;
pub mod properties;
pub mod short_string;
pub mod table;
pub(crate) mod term;

mod generated;
mod reader;
#[cfg(test)]
mod tests;

pub use error::DecodeError;
pub use frame::{Frame, FrameKind, next_frame};
pub use generated::{Method, Properties, access, basic, channel, confirm, connection, exchange, queue, tx};
pub use hot::method_id;
pub use output::Output;
pub use properties::PropertiesView;
pub use short_string::ShortString;
pub use table::{Table, Value};
