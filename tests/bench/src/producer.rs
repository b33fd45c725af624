//! Those who publish: a connection, or several that wait for their confirms on one thread, as they would in an
//! asynchronous program. (With a thread each, a third of the machine's time would go into switching between them.)

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use rustix::event::{Timespec, epoll};

use crate::confirms::Confirms;
use crate::connection::{BATCH_BYTES, Connection};
use crate::throughput::{Options, POLL, Shared};
use crate::traffic::Route;

/// How far the producers may run ahead of the consumer by default: the lesser of the two. RabbitMQ
/// spends a tenth more CPU a message on a fifth of the messages, and has been seen to lose a third of
/// its rate at 16 KiB on five times the bytes.
const BACKLOG_MESSAGES: u64 = 100_000;
const BACKLOG_BYTES: u64 = 32 * 1024 * 1024;
/// How long to wait for a confirm before looking whether to stop.
const LOOK_UP: Duration = Duration::from_millis(250);

/// Publishes on all of these connections until it is to stop, then closes them.
pub(crate) fn run(
    connections: Vec<Connection>,
    route: &Route,
    options: &Options,
    shared: &Shared,
) -> io::Result<()> {
    let mut producers: Vec<Producer> =
        connections.into_iter().map(|connection| Producer::new(connection, route, options)).collect();
    let batch = producers.iter().map(|producer| producer.batch).max().unwrap_or(1) as u64;
    let default = BACKLOG_MESSAGES.min(BACKLOG_BYTES / options.size.max(1) as u64);
    let backlog = options.backlog.unwrap_or(default).max(batch * route.copies * options.producers as u64);
    let claims = Claims { shared, batch, total: options.total(), backlog };
    match &mut producers[..] {
        [one] => one.run(&claims),
        all => take_turns(all, &claims),
    }?;
    producers.into_iter().try_for_each(|producer| producer.connection.close())
}

/// How many messages may be published.
struct Claims<'a> {
    shared: &'a Shared,
    batch: u64,
    total: u64,
    backlog: u64,
}

impl Claims<'_> {
    /// A batch, or none while the consumer is too far behind.
    fn claim(&self) -> usize {
        self.shared.claim(self.batch, self.total, self.backlog) as usize
    }

    fn stop(&self) -> bool {
        self.shared.stop_producing.load(Relaxed)
    }
}

struct Producer {
    connection: Connection,
    turns: Turns,
    /// Messages that are published at a time.
    batch: usize,
    /// None where nothing is confirmed.
    confirms: Option<Confirms>,
}

impl Producer {
    fn new(connection: Connection, route: &Route, options: &Options) -> Self {
        let messages = route.messages(&vec![b'x'; options.size], connection.frame_max);
        let longest = messages.iter().map(Vec::len).max().unwrap_or(1);
        let batch = options.confirm.unwrap_or(BATCH_BYTES / longest).max(1);
        Self {
            connection,
            turns: Turns::new(&messages, batch),
            batch,
            confirms: options.confirm.map(|_| Confirms::default()),
        }
    }

    fn run(&mut self, claims: &Claims<'_>) -> io::Result<()> {
        while !claims.stop() {
            if !self.publish(claims)? {
                thread::sleep(POLL);
            }
            while !self.is_confirmed()? {
                self.connection.frames.fill(&mut self.connection.stream)?;
            }
        }
        Ok(())
    }

    /// Publishes a batch; false when none is allowed now.
    fn publish(&mut self, claims: &Claims<'_>) -> io::Result<bool> {
        let count = claims.claim();
        if count == 0 {
            return Ok(false);
        }
        self.connection.write(self.turns.next(count))?;
        if let Some(confirms) = &mut self.confirms {
            confirms.await_next(count);
        }
        Ok(true)
    }

    /// Whether all that was published is confirmed, as far as has been read.
    fn is_confirmed(&mut self) -> io::Result<bool> {
        self.confirms.as_mut().map_or(Ok(true), |confirms| confirms.take(&mut self.connection.frames))
    }
}

/// Each publishes when all that it published before is confirmed.
fn take_turns(producers: &mut [Producer], claims: &Claims<'_>) -> io::Result<()> {
    let waiting = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (index, producer) in (0..).zip(producers.iter()) {
        let data = epoll::EventData::new_u64(index);
        epoll::add(&waiting, &producer.connection.stream, data, epoll::EventFlags::IN)?;
    }
    let mut free: Vec<usize> = (0..producers.len()).collect();
    let mut events = Vec::with_capacity(producers.len());
    while !claims.stop() {
        while let Some(index) = free.pop() {
            if !producers[index].publish(claims)? {
                free.push(index);
                break;
            }
        }
        let time = Timespec::try_from(if free.is_empty() { LOOK_UP } else { POLL });
        let time = time.map_err(io::Error::other)?;
        events.clear();
        epoll::wait(&waiting, rustix::buffer::spare_capacity(&mut events), Some(&time))?;
        for event in &events {
            let index = event.data.u64() as usize;
            let producer = &mut producers[index];
            producer.connection.frames.fill(&mut producer.connection.stream)?;
            if producer.is_confirmed()? {
                free.push(index);
            }
        }
    }
    Ok(())
}

/// Prebuilt bytes of messages that are published in turn: one turn, and a batch more of it, so that every batch is one
/// slice. Of a single message it is the same bytes again and again.
struct Turns {
    bytes: Vec<u8>,
    /// Where each message begins, and where the last one ends.
    starts: Vec<usize>,
    /// Messages in a turn, and the next of them.
    length: usize,
    at: usize,
}

impl Turns {
    fn new(messages: &[Vec<u8>], batch: usize) -> Self {
        let (mut bytes, mut starts) = (Vec::new(), vec![0]);
        for message in messages.iter().cycle().take(messages.len() + batch) {
            bytes.extend_from_slice(message);
            starts.push(bytes.len());
        }
        Self { bytes, starts, length: messages.len(), at: 0 }
    }

    /// The next messages, at most a batch.
    fn next(&mut self, count: usize) -> &[u8] {
        let (from, to) = (self.starts[self.at], self.starts[self.at + count]);
        self.at = (self.at + count) % self.length;
        &self.bytes[from..to]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_published_in_turn_whatever_the_batch() {
        let mut turns = Turns::new(&[b"a".to_vec(), b"bb".to_vec(), b"c".to_vec()], 4);
        let batches: Vec<_> = [4, 4, 1, 3].iter().map(|&count| turns.next(count).to_vec()).collect();
        assert_eq!(batches, [&b"abbca"[..], b"bbcabb", b"c", b"abbc"]);
    }
}
