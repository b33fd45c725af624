//! Messages that wait: how fast a queue without a consumer takes them, and what they cost in memory.

use std::fmt;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::connection::{BATCH_BYTES, Connection, with_queue};
use crate::process;
use crate::throughput;
use crate::url::Url;
use crate::wire::publish_frames;

/// How long the broker's count may stand still before we give up.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct Options {
    pub url: Url,
    /// Body size in bytes.
    pub size: usize,
    pub messages: u32,
    /// Leave the messages in this queue; without, they go to a queue of their own that is deleted afterwards.
    pub queue: Option<String>,
    pub durable: bool,
    pub persistent: bool,
    /// The broker's process, to report its memory as well.
    pub broker: Option<u32>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    pub messages: u32,
    /// Messages per second, until the broker says that all are in the queue.
    pub rate: f64,
    /// Resident bytes of the broker and its child processes, before and with the messages waiting.
    pub resident_before: Option<u64>,
    pub resident: Option<u64>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages waiting, taken at {:.0}/s", self.messages, self.rate)?;
        if let (Some(before), Some(with)) = (self.resident_before, self.resident) {
            let each = (with as f64 - before as f64) / f64::from(self.messages.max(1));
            write!(
                f,
                "; resident {:.1} MB, {:.1} MB before: {each:.0} bytes each",
                with as f64 / 1e6,
                before as f64 / 1e6
            )?;
        }
        Ok(())
    }
}

/// Measures once.
pub fn run(options: &Options) -> io::Result<Outcome> {
    if let Some(queue) = &options.queue {
        let mut control = Connection::open(&options.url)?;
        control.declare(queue, options.durable)?;
        control.close()?;
        return fill(options, queue);
    }
    with_queue(&options.url, "fill", options.durable, |queue| fill(options, queue))
}

fn fill(options: &Options, queue: &str) -> io::Result<Outcome> {
    let mut connection = Connection::open(&options.url)?;
    let resident = || options.broker.map(process::resident).transpose();
    let resident_before = resident()?;
    let properties = throughput::Options::properties(options.persistent);
    let message = publish_frames(queue, &properties, &vec![b'x'; options.size], connection.frame_max);
    let messages = options.messages as usize;
    let batch = (BATCH_BYTES / message.len()).clamp(1, messages.max(1));
    let bytes = message.repeat(batch);
    let start = Instant::now();
    for sent in (0..messages).step_by(batch) {
        connection.write(&bytes[..batch.min(messages - sent) * message.len()])?;
    }
    let mut ready = 0;
    let mut moved = Instant::now();
    while ready < options.messages {
        let now = connection.ready_messages(queue)?;
        if now > ready {
            moved = Instant::now();
        } else if moved.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("{ready} of {messages} messages arrived, then no more")));
        }
        ready = now;
        if ready < options.messages {
            thread::sleep(Duration::from_millis(5));
        }
    }
    let rate = messages as f64 / start.elapsed().as_secs_f64();
    let resident = resident()?;
    connection.close()?;
    Ok(Outcome { messages: options.messages, rate, resident_before, resident })
}
