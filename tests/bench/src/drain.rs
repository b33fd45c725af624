//! A backlog taken by one consumer, as fast as it comes.

use std::fmt;
use std::io;
use std::time::Instant;

use serde::Serialize;

use crate::connection::Connection;
use crate::throughput::{Ack, Acks, Delivery};
use crate::url::Url;

#[derive(Debug, Clone)]
pub struct Options {
    pub url: Url,
    /// Must exist, and hold or get so many messages.
    pub queue: String,
    pub messages: u64,
    pub ack: Ack,
    /// Unacknowledged deliveries allowed, 0 for no limit; without effect when none is acknowledged.
    pub prefetch: u16,
}

#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    pub messages: u64,
    /// From the `basic.consume` to the last of the messages.
    pub seconds: f64,
    pub rate: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages drained at {:.0}/s", self.messages, self.rate)
    }
}

/// Takes so many messages from the queue.
pub fn run(options: &Options) -> io::Result<Outcome> {
    let mut connection = Connection::open(&options.url)?;
    let no_ack = options.ack == Ack::None;
    let begun = Instant::now();
    connection.consume(&options.queue, no_ack, if no_ack { 0 } else { options.prefetch })?;
    let mut delivery = Delivery::default();
    let mut acks = Acks::new(options.ack, options.prefetch);
    let mut received = 0;
    loop {
        while let Some(frame) = connection.frames.next_frame()? {
            if delivery.take(frame)? {
                received += 1;
                acks.delivered(delivery.tag);
            }
        }
        if received >= options.messages {
            break;
        }
        acks.write(&mut connection.stream)?;
        connection.frames.fill(&mut connection.stream)?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    acks.flush();
    acks.write(&mut connection.stream)?;
    connection.close()?;
    Ok(Outcome { messages: received, seconds, rate: received as f64 / seconds })
}
