//! The file `handover`: what the process that had the directory gave along to the next one.
//!
//! It counts for a process that comes right after: who was attached when the host ended takes over within milliseconds.
//! Where nobody does, transient messages are gone with the broker, as in RabbitMQ with a restart; and so they are with
//! one of the machine, as nothing of this is synced.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::broker::Handover;

const NAME: &str = "handover";
/// For how long it counts.
const FRESH: Duration = Duration::from_secs(5);

#[derive(Serialize, Deserialize)]
struct Written<T> {
    /// Which start of the machine it was.
    boot: String,
    /// Milliseconds since then.
    at: u64,
    handover: T,
}

impl<T> Written<T> {
    fn now(handover: T) -> Self {
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds: f64 = uptime.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or_default();
        let at = (seconds * 1000.0) as u64;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Written { boot, at, handover }
    }

    fn is_fresh(&self) -> bool {
        let now = Written::now(());
        self.boot == now.boot && now.at.saturating_sub(self.at) <= FRESH.as_millis() as u64
    }
}

/// Leaves this for the next process.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn leave(directory: &Path, handover: &Handover) -> io::Result<()> {
    let text = serde_json::to_vec(&Written::now(handover))?;
    let new = directory.join("handover.new");
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?.write_all(&text)?;
    fs::rename(&new, directory.join(NAME))
}

/// Takes what was left for this process; nobody finds it again.
pub(crate) fn take(directory: &Path) -> Handover {
    let path = directory.join(NAME);
    let taken = fs::read(&path).and_then(|text| {
        fs::remove_file(&path)?;
        Ok(serde_json::from_slice::<Written<Handover>>(&text)?)
    });
    match taken {
        Ok(written) if written.is_fresh() => written.handover,
        Ok(_) => Handover::default(),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::error!(%error, "transient messages are given up");
            }
            Handover::default()
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test that fails may panic
mod tests {
    use super::*;

    #[test]
    fn what_was_left_counts_once_and_not_for_long_nor_after_a_start_of_the_machine() {
        assert!(Written::now(()).is_fresh());
        let old = Written { at: Written::now(()).at - 6000, ..Written::now(()) };
        assert!(!old.is_fresh());
        assert!(!Written { boot: "another".into(), ..Written::now(()) }.is_fresh());
        let folder = tempfile::tempdir().unwrap();
        leave(folder.path(), &Handover::default()).unwrap();
        take(folder.path());
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}
