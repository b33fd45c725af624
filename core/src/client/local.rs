//! `local:PATH` — the broker in a directory, whoever hosts it.
//!
//! Who finds the directory's lock free hosts; who does not attaches to the socket of who does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::ConnectOptions;
use super::driver::ConnectionDriver;
use super::embedded::Embedded;
use super::process;
use super::remote::Remote;
use crate::error::{Error, Kind, Result};
use crate::server::round;

/// How long until one looks again whether the process that has the directory listens by now, or has gone.
const PAUSE: Duration = Duration::from_millis(5);

/// Hosts the directory's broker or attaches to it, on the threads of the runtime.
///
/// # Errors
/// As [`crate::host::Host::open`], except that a directory which another process has is no error; `Timeout` when that
/// process does not answer, whose number the error tells.
pub(super) async fn open(path: PathBuf, options: ConnectOptions) -> Result<Arc<dyn ConnectionDriver>> {
    let opening = process::runtime()?.spawn(async move { join(&path, &options).await });
    opening.await.unwrap_or_else(|lost| {
        Err(Error::new(Kind::InternalError, "connect", "connecting failed").caused_by(lost))
    })
}

async fn join(path: &Path, options: &ConnectOptions) -> Result<Arc<dyn ConnectionDriver>> {
    let deadline = Instant::now() + options.timeout;
    loop {
        let held = match round::block(|| Embedded::open_local(path, options)) {
            Ok(embedded) => {
                embedded.listen_all(&options.listen).await?;
                return Ok(Arc::new(embedded));
            }
            Err(error) if error.kind() == Kind::ResourceLocked => error,
            Err(error) => return Err(error),
        };
        match timeout_at(deadline, Remote::open(path, options)).await {
            Ok(Ok(attached)) => return Ok(Arc::new(attached)),
            // It is starting, or on its way out.
            Ok(Err(error)) if error.kind() == Kind::Unreachable && Instant::now() < deadline => {
                sleep(PAUSE).await;
            }
            Ok(Err(error)) if error.kind() != Kind::Unreachable => return Err(error),
            _ => {
                let reason = format!("{}, which does not answer within {:?}", held.reason(), options.timeout);
                return Err(Error::new(Kind::Timeout, "connect", reason)
                    .on(held.entity())
                    .advise("if that process is stopped, have it go on or end it"));
            }
        }
    }
}
