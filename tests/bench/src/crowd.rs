//! What a broker pays for each of many: idle connections, empty queues.

use std::fmt;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::connection::Connection;
use crate::process;
use crate::url::Url;

/// How long a broker may settle before its memory is read.
const SETTLE: Duration = Duration::from_secs(1);

/// Of what there are many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Each {
    /// Connections with one channel open on each, without heartbeats.
    Connection,
    /// Transient classic queues without bindings, consumers or messages.
    Queue,
}

#[derive(Debug, Clone)]
pub struct Options {
    pub url: Url,
    pub each: Each,
    pub count: u32,
    /// The broker's process.
    pub broker: u32,
}

#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    pub count: u32,
    /// Resident bytes of the broker for each.
    pub bytes_each: f64,
    /// How many there came to be in a second.
    pub rate: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:.1} KB each, made at {:.0}/s", self.count, self.bytes_each / 1e3, self.rate)
    }
}

/// Makes them, looks at the broker's memory, and lets them go.
pub fn run(options: &Options) -> io::Result<Outcome> {
    let mut control = Connection::open(&options.url)?;
    let before = process::resident(options.broker)?;
    let start = Instant::now();
    let mut connections = Vec::new();
    let name = |number: u32| format!("crowd-{}-{number}", std::process::id());
    match options.each {
        Each::Connection => {
            for _ in 0..options.count {
                connections.push(Connection::open(&options.url)?.stream);
            }
        }
        Each::Queue => (0..options.count).try_for_each(|number| control.declare(&name(number), false))?,
    }
    let rate = f64::from(options.count) / start.elapsed().as_secs_f64();
    thread::sleep(SETTLE);
    let with = process::resident(options.broker)?;
    drop(connections);
    if options.each == Each::Queue {
        (0..options.count).try_for_each(|number| control.delete(&name(number)))?;
    }
    control.close()?;
    let bytes_each = (with as f64 - before as f64) / f64::from(options.count.max(1));
    Ok(Outcome { count: options.count, bytes_each, rate })
}
