//! Publishing: from the call to the line, with a note in the window.

use tokio::sync::oneshot;

use super::methods::{Handle, too_long};
use super::window::{Load, Mode, Reply as Told};
use crate::client::Publish;
use crate::client::driver::{Answer, BatchOutcome, BatchPublishing, Outcome, Publishing};
use crate::error::{Error, Kind, Result};
use crate::server::output::Output;
use crate::wire::{Method, PropertiesView, ShortString, confirm};

/// Bytes of a batch that are encoded before they are written.
const PIECE: usize = 128 << 10;

/// Refuses what cannot be encoded.
fn check(publish: &Publish<'_>) -> Result<()> {
    let operation = "basic.publish";
    for (what, name) in [("exchange name", publish.exchange), ("routing key", publish.routing_key)] {
        if name.len() > ShortString::MAX {
            return Err(too_long(operation, what, name.len()));
        }
    }
    if publish.properties != PropertiesView::EMPTY.0 {
        PropertiesView(publish.properties).validate().map_err(|error| {
            let reason = format!("malformed properties: {error}");
            Error::new(Kind::InvalidArgument, operation, reason).caused_by(error)
        })?;
    }
    Ok(())
}

impl Handle {
    /// As [`ChannelDriver::publish`](crate::client::driver::ChannelDriver::publish).
    pub(super) fn publish_one(&self, publish: Publish<'_>) -> Result<Publishing> {
        let channel = &self.0.0;
        channel.check("basic.publish")?;
        check(&publish)?;
        if self.mode() == Mode::Transactional {
            let outcome = Outcome { confirmed: false, routed: true };
            return Ok(match self.publish_in_transaction(&mut std::iter::once(publish), outcome)? {
                Ok(outcome) => Publishing::Done(outcome),
                Err(answer) => Publishing::Pending(answer),
            });
        }
        let connection = &channel.connection;
        let ticket = connection.in_flight.enter(1, publish.body.len())?;
        let (told, answered) = oneshot::channel();
        {
            let _entered = connection.line.enter();
            let mut window = channel.window.lock();
            if window.shut {
                return Err(channel.closed_error("basic.publish"));
            }
            let mut load = Load::default();
            window.number(&mut load, &publish);
            let (publish, frame_max) = (Publish { mandatory: true, ..publish }, connection.line.frame_max());
            if connection.peer.has_successors() {
                let mut encoded = Output::default();
                encoded.publish(channel.number, publish, frame_max);
                load.frames = encoded.into_frames();
                connection.line.add(|out| load.frames.iter().for_each(|frames| out.append(frames)));
            } else {
                connection.line.add(|out| out.publish(channel.number, publish, frame_max));
            }
            window.launch(1, load, Told::One(told), ticket);
        }
        connection.line.flush();
        connection.awaits_answer();
        Ok(Publishing::Pending(channel.await_answer("basic.publish", answered)))
    }

    /// As [`ChannelDriver::publish_all`](crate::client::driver::ChannelDriver::publish_all).
    pub(super) fn publish_many(
        &self,
        batch: &mut dyn Iterator<Item = Publish<'_>>,
    ) -> Result<BatchPublishing> {
        let channel = &self.0.0;
        channel.check("basic.publish")?;
        if self.mode() == Mode::Transactional {
            let outcome = BatchOutcome::default();
            return Ok(match self.publish_in_transaction(batch, outcome)? {
                Ok(outcome) => BatchPublishing::Done(outcome),
                Err(answer) => BatchPublishing::Pending(answer),
            });
        }
        let batch: Vec<Publish<'_>> = batch.collect();
        batch.iter().try_for_each(check)?;
        let bytes = batch.iter().map(|publish| publish.body.len()).sum();
        let connection = &channel.connection;
        let ticket = connection.in_flight.enter(batch.len(), bytes)?;
        let (told, answered) = oneshot::channel();
        let count = batch.len() as u64;
        let nothing = {
            let _entered = connection.line.enter();
            let mut window = channel.window.lock();
            if window.shut {
                return Err(channel.closed_error("basic.publish"));
            }
            let mut load = Load::default();
            batch.iter().for_each(|publish| window.number(&mut load, publish));
            let mut batch = batch.into_iter().peekable();
            while batch.peek().is_some() {
                let mut piece = Output::default();
                while piece.len() < PIECE
                    && let Some(publish) = batch.next()
                {
                    let publish = Publish { mandatory: true, ..publish };
                    piece.publish(channel.number, publish, connection.line.frame_max());
                }
                let piece = piece.into_frames();
                connection.line.add(|out| piece.iter().for_each(|frames| out.append(frames)));
                connection.line.flush();
                if connection.peer.has_successors() {
                    load.frames.extend(piece);
                }
            }
            // Nobody looks at a confirm before: the window is held.
            window.launch(count, load, Told::All(told), ticket)
        };
        if let Some(flight) = nothing {
            flight.land(None);
        }
        connection.awaits_answer();
        Ok(BatchPublishing::Pending(channel.await_answer("basic.publish", answered)))
    }

    /// Publishes on a transactional channel: no confirm comes. What was published when this is ready.
    fn publish_in_transaction<T: Send + 'static>(
        &self,
        batch: &mut dyn Iterator<Item = Publish<'_>>,
        outcome: T,
    ) -> Result<std::result::Result<T, Answer<T>>> {
        let channel = &self.0.0;
        let line = &channel.connection.line;
        for publish in batch {
            check(&publish)?;
            let _entered = line.enter();
            let mut window = channel.window.lock();
            window.number_uncommitted(&publish);
            let publish = Publish { mandatory: true, ..publish };
            line.add(|out| out.publish(channel.number, publish, line.frame_max()));
        }
        line.flush();
        let Some(room) = line.crowded() else { return Ok(Ok(outcome)) };
        let channel = channel.clone();
        Ok(Err(Box::pin(async move {
            room.await.map_err(|_| channel.closed_error("basic.publish"))?;
            Ok(outcome)
        })))
    }

    /// What publishing means here; asks for confirms at the first publish.
    fn mode(&self) -> Mode {
        let channel = &self.0.0;
        let _entered = channel.connection.line.enter();
        let mut window = channel.window.lock();
        if window.mode == Mode::Fresh {
            window.mode = Mode::Confirmed;
            // An error closes the channel, and what is published is told so.
            let select = Method::ConfirmSelect(confirm::Select { nowait: true });
            channel.connection.line.add(|out| out.method(channel.number, &select));
        }
        window.mode
    }
}
