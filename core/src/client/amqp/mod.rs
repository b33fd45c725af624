//! `amqp:`, `amqps:` — any AMQP 0-9-1 broker, by the same frames as a directory's host ([`super::remote`]).
//!
//! | file | holds |
//! |---|---|
//! | `address` | what a URL says |
//! | `dial` | from a URL to a socket whose handshakes are done, and why it did not come to that |
//! | `tls` | certificates, ours and the broker's |
//!
//! Everything runs on [`runtime`](super::runtime()), sockets and heartbeats included; the threads of a
//! program only leave frames and take answers and deliveries.

mod address;
mod dial;
mod tls;

use std::sync::Arc;

use super::ConnectOptions;
use super::driver::ConnectionDriver;
use super::process;
use super::remote::Remote;
use crate::error::{Error, Kind, Result};
use address::Address;

/// Connects to the broker that a URL names.
///
/// # Errors
/// As [`Connection::open`](super::Connection::open).
pub(super) async fn open(url: &str, options: ConnectOptions) -> Result<Arc<dyn ConnectionDriver>> {
    let address = Address::parse(url)?;
    // On our runtime, as the caller may have none; a lost task is one that panicked.
    let opening = process::runtime()?.spawn(async move {
        let dialled = dial::dial(&address, &options).await?;
        let place = format!("'{address}'");
        Ok(Arc::new(Remote::to_broker(place, dialled, &options)) as Arc<dyn ConnectionDriver>)
    });
    opening.await.unwrap_or_else(|lost| {
        Err(Error::new(Kind::InternalError, "connect", "connecting failed").caused_by(lost))
    })
}
