//! What the disk itself allows: appends that are synced one after the other.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Appends per second, each brought to the disk by an `fdatasync`.
    pub rate: f64,
    /// Microseconds, median.
    pub median: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} appends synced per second, {:.0} µs each", self.rate, self.median)
    }
}

/// Appends `bytes` bytes and syncs, again and again, to a new file in `directory` that is removed afterwards.
pub fn run(directory: &Path, bytes: usize, time: Duration) -> io::Result<Outcome> {
    let path = directory.join(format!("warrenmq-load-disk-{}", std::process::id()));
    let outcome = File::create_new(&path).and_then(|file| append(file, bytes, time));
    fs::remove_file(&path)?;
    outcome
}

fn append(mut file: File, bytes: usize, time: Duration) -> io::Result<Outcome> {
    let block = vec![b'x'; bytes];
    let begun = Instant::now();
    let mut times = Vec::new();
    while begun.elapsed() < time {
        let before = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(before.elapsed().as_secs_f64() * 1e6);
    }
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    Ok(Outcome { rate, median: crate::stats::median(&times) })
}
