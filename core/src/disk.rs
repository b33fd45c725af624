//! The space on the disk, and the alarm when it runs short
//! (<https://www.rabbitmq.com/docs/disk-alarms>).

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::broker::{Alarm, Broker};
use crate::error::{Error, Kind, Result};

/// Bytes that have to be free: RabbitMQ's default.
pub const LIMIT: u64 = 50_000_000;

/// How often to look; RabbitMQ looks every 10 s, and up to ten times a second when it gets close.
const EVERY: Duration = Duration::from_secs(1);

/// Raises `broker`'s disk alarm while fewer than `limit` bytes are free at `path`. Looks once before it
/// returns, and then every second for as long as the broker lives; to be called within a runtime.
///
/// # Errors
/// `InvalidArgument` when the space at `path` cannot be told.
pub fn watch(broker: &Arc<Broker>, path: PathBuf, limit: u64) -> Result<()> {
    let free = free(&path).map_err(|error| {
        let reason = format!("cannot tell how much space is free: {error}");
        Error::new(Kind::InvalidArgument, "serve", reason).on(path.display().to_string()).caused_by(error)
    })?;
    let mut short = free < limit;
    if short {
        tracing::warn!(free, limit, "disk space is short");
        broker.set_alarm(Alarm::Disk, true);
    }
    let broker = Arc::downgrade(broker);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(EVERY).await;
            let Some(broker) = broker.upgrade() else { return };
            // Only a change is told: an alarm that was raised by hand stays.
            match self::free(&path) {
                Ok(free) if (free < limit) != short => {
                    short = !short;
                    tracing::warn!(free, limit, "disk space is {}", if short { "short" } else { "back" });
                    broker.set_alarm(Alarm::Disk, short);
                }
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "cannot tell how much disk space is free"),
            }
        }
    });
    Ok(())
}

/// Bytes that everything in a directory takes on the disk.
pub(crate) fn used(path: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(found) if found.is_dir() => used(&entry.path()).or_else(gone)?,
            Ok(found) => found.blocks() * 512,
            Err(error) => gone(error)?,
        };
    }
    Ok(bytes)
}

/// What was removed meanwhile takes nothing.
fn gone(error: std::io::Error) -> std::io::Result<u64> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(0) } else { Err(error) }
}

/// Bytes that are free where a path is.
pub(crate) fn free(path: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
