//! WarrenMQ's core.
pub mod error;
pub mod wire;
pub mod routing {}
pub use error::{Error, Kind, Result};
