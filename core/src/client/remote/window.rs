//! Publishes of one channel from the call to the confirm, and which of them no queue took.
//!
//! Every message is published `mandatory`, and numbered as confirms number them. Of one that no queue took the broker
//! tells its number before it confirms it.

use std::collections::{BTreeSet, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::returns::{Content, Returns};
use crate::client::in_flight::Ticket;
use crate::client::{BatchOutcome, Outcome, Publish};
use crate::error::{Error, Kind, Result};
use crate::server::resume::Unsettled;
use crate::wire::{FrameKind, next_frame};

/// Where a message was published to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    exchange: Box<str>,
    routing_key: Box<str>,
}

impl Place {
    fn is(&self, exchange: &str, routing_key: &str) -> bool {
        *self.routing_key == *routing_key && *self.exchange == *exchange
    }

    fn text(&self) -> String {
        match &*self.exchange {
            "" => format!("queue '{}'", self.routing_key),
            exchange => format!("exchange '{exchange}' with routing key '{}'", self.routing_key),
        }
    }
}

/// Who is told what became of messages.
pub(super) enum Reply {
    One(oneshot::Sender<Result<Outcome>>),
    All(oneshot::Sender<Result<BatchOutcome>>),
    /// They have been told that it is not known.
    Nobody,
}

/// Messages that were published by one call, and have one answer.
pub(super) struct Flight {
    /// Their numbers, from the first to before the end.
    first: u64,
    end: u64,
    /// Numbers of those that no queue took, in order.
    unrouted: Vec<u64>,
    /// Numbers of those that the broker refused.
    refused: BTreeSet<u64>,
    /// Where they were published to, each from a number on.
    places: SmallVec<[(u64, Arc<Place>); 1]>,
    /// What was sent, should it have to be sent again.
    frames: VecDeque<Bytes>,
    /// When that was.
    sent: Instant,
    reply: Reply,
    ticket: Ticket,
}

impl Flight {
    fn place(&self, number: u64) -> String {
        let after = self.places.partition_point(|(first, _)| *first <= number);
        self.places[..after].last().map(|(_, place)| place.text()).unwrap_or_default()
    }

    /// Tells what became of it: confirmed, or lost with this error.
    pub(super) fn land(self, lost: Option<&Error>) {
        let error = match (lost, self.refused.first()) {
            (None, None) => None,
            (Some(lost), _) => {
                let error =
                    Error::new(lost.kind(), "basic.publish", lost.reason()).on(self.place(self.first));
                Some(match std::error::Error::source(lost) {
                    Some(_) => error.caused_by(lost.clone()),
                    None => error,
                })
            }
            (None, Some(&number)) => {
                let mut reason = "the broker refused the message".to_owned();
                if let Reply::All(_) = self.reply {
                    let others = match self.refused.len() {
                        1 => String::new(),
                        count => format!(", and {} more", count - 1),
                    };
                    reason += &format!(" (message {} of the batch{others})", number - self.first);
                }
                let error = Error::new(Kind::Nacked, "basic.publish", reason).on(self.place(number));
                Some(error.advise("a full queue with x-overflow=reject-publish does so; try again later"))
            }
        };
        drop(self.ticket); // before the answer, so that who waited for it may publish again
        // Fails when nobody waits for it.
        match self.reply {
            Reply::One(reply) => {
                let outcome = Outcome { confirmed: true, routed: self.unrouted.is_empty() };
                let _ = reply.send(error.map_or(Ok(outcome), Err));
            }
            Reply::All(reply) => {
                let confirmed = (self.end - self.first) as usize;
                let unrouted = self.unrouted.iter().map(|number| (number - self.first) as usize).collect();
                let _ = reply.send(error.map_or(Ok(BatchOutcome { confirmed, unrouted }), Err));
            }
            Reply::Nobody => {}
        }
    }
}

/// What publishing on the channel means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// Not decided: nothing was published.
    #[default]
    Fresh,
    Confirmed,
    Transactional,
}

/// The publishes of a channel that are not confirmed yet, in order.
#[derive(Default)]
pub(super) struct Window {
    pub(super) mode: Mode,
    /// The channel is closed.
    pub(super) shut: bool,
    /// How many were published: the number of the last.
    published: u64,
    /// What the broker's numbers are less than ours.
    base: u64,
    /// All up to this number are confirmed or refused.
    settled: u64,
    /// Those beyond it that are, too.
    ahead: BTreeSet<u64>,
    flights: VecDeque<Flight>,
    /// The last place.
    place: Option<Arc<Place>>,
    /// What may come back.
    returns: Returns,
    /// In a transaction, which messages no queue took, counted from 0.
    unrouted: Vec<usize>,
    /// How many hosts are gone.
    hosts: u64,
    /// How many were when the transaction began; none while it is empty.
    began: Option<u64>,
    /// To be told when nothing is under way.
    idle: Vec<oneshot::Sender<()>>,
}

/// What a flight carries.
#[derive(Default)]
pub(super) struct Load {
    places: SmallVec<[(u64, Arc<Place>); 1]>,
    pub(super) frames: VecDeque<Bytes>,
}

impl Window {
    /// Of a channel that nothing was published on, of a broker that says which message came back, or does not.
    pub(super) fn new(numbers_returns: bool) -> Self {
        Window { returns: Returns::new(numbers_returns), ..Window::default() }
    }

    /// Numbers a message that is to be committed.
    pub(super) fn number_uncommitted(&mut self, publish: &Publish<'_>) {
        self.began.get_or_insert(self.hosts);
        self.published += 1;
        self.returns.published(self.published, Content::of(publish));
    }

    /// Numbers a message.
    pub(super) fn number(&mut self, load: &mut Load, publish: &Publish<'_>) {
        let Publish { exchange, routing_key, .. } = *publish;
        self.published += 1;
        self.returns.published(self.published, Content::of(publish));
        let same = self.place.as_ref().is_some_and(|place| place.is(exchange, routing_key));
        if same && !load.places.is_empty() {
            return;
        }
        let fresh = || Arc::new(Place { exchange: exchange.into(), routing_key: routing_key.into() });
        let place = match &self.place {
            Some(place) if same => place,
            _ => self.place.insert(fresh()),
        };
        load.places.push((self.published, place.clone()));
    }

    /// Has `reply` answered when the messages that were numbered since `first` are settled; at once when there are none.
    pub(super) fn launch(&mut self, count: u64, load: Load, reply: Reply, ticket: Ticket) -> Option<Flight> {
        let end = self.published + 1;
        let (unrouted, refused) = (Vec::new(), BTreeSet::new());
        let Load { places, frames } = load;
        let (first, sent) = (end - count, Instant::now());
        let flight = Flight { first, end, unrouted, refused, places, frames, sent, reply, ticket };
        if count == 0 {
            return Some(flight);
        }
        self.flights.push_back(flight);
        None
    }

    /// Notes that no queue took a message.
    pub(super) fn unrouted(&mut self, number: u64) {
        if self.mode == Mode::Transactional {
            self.unrouted.extend((number as usize).checked_sub(1));
            return;
        }
        let number = number.saturating_add(self.base);
        if let Some(flight) = self.flight(number) {
            flight.unrouted.push(number);
        }
    }

    /// Notes that no queue took a message, of which the broker did not say the number.
    pub(super) fn came_back(&mut self, content: Content<'_>) {
        if let Some(number) = self.returns.came_back(content) {
            self.unrouted(number);
        }
    }

    /// Notes that the transaction settles deliveries; some of them `gone`, with the host that they came from.
    pub(super) fn settled_uncommitted(&mut self, gone: bool) {
        let host = self.hosts.saturating_sub(gone.into());
        let began = self.began.get_or_insert(host);
        *began = host.min(*began);
    }

    /// The transaction is to end; with which host it began.
    pub(super) fn close_transaction(&mut self) -> Option<u64> {
        self.began.take()
    }

    /// Whether a transaction that began so is lost, or some of it: the host is another.
    pub(super) fn is_lost(&self, began: Option<u64>) -> bool {
        began.is_some_and(|began| began != self.hosts)
    }

    /// Which messages of the transaction that ends with this no queue took.
    pub(super) fn end_transaction(&mut self) -> Vec<usize> {
        self.returns.pass(self.published);
        self.published = 0;
        mem::take(&mut self.unrouted)
    }

    /// Notes a confirm or a refusal; which flights have landed.
    pub(super) fn settle(&mut self, number: u64, multiple: bool, refused: bool, landed: &mut Vec<Flight>) {
        let number = number.saturating_add(self.base).min(self.published);
        let first = if multiple { self.settled + 1 } else { number };
        if refused {
            for number in first.max(self.settled + 1)..=number {
                if !self.ahead.contains(&number)
                    && let Some(flight) = self.flight(number)
                {
                    flight.refused.insert(number);
                }
            }
        }
        if multiple {
            self.settled = self.settled.max(number);
            self.ahead = self.ahead.split_off(&(self.settled + 1));
        } else if number == self.settled + 1 {
            self.settled = number;
        } else if number > self.settled {
            self.ahead.insert(number);
        }
        while self.ahead.remove(&(self.settled + 1)) {
            self.settled += 1;
        }
        self.returns.pass(self.settled);
        while let Some(flight) = self.flights.pop_front_if(|flight| flight.end <= self.settled + 1) {
            landed.push(flight);
        }
        if self.flights.is_empty() {
            self.idle.clear();
        }
    }

    /// Everything under way, of which nothing else can become: the channel is closed.
    pub(super) fn shut(&mut self) -> VecDeque<Flight> {
        self.shut = true;
        self.idle.clear();
        mem::take(&mut self.flights)
    }

    /// What is not settled, and so to be sent again.
    pub(super) fn unsettled(&self) -> Unsettled {
        let age = self.flights.front().map_or(Duration::ZERO, |flight| flight.sent.elapsed());
        let again = self.flights.back().map_or(0, |flight| flight.end - 1 - self.settled);
        Unsettled { settled: self.settled, again, age }
    }

    /// Tells everybody who waits that what becomes of it is not known for now. What is under way stays so.
    pub(super) fn give_up(&mut self, why: &Error) {
        for flight in &mut self.flights {
            let error = Error::new(why.kind(), "basic.publish", why.reason());
            let error = error.on(flight.place(flight.first)).caused_by(why.clone());
            // Fails when nobody waits for it.
            match mem::replace(&mut flight.reply, Reply::Nobody) {
                Reply::One(reply) => drop(reply.send(Err(error))),
                Reply::All(reply) => drop(reply.send(Err(error))),
                Reply::Nobody => {}
            }
        }
    }

    /// What is to be sent again to a broker that knows nothing of what is under way, and begins to count anew.
    pub(super) fn replay(&mut self) -> Vec<Bytes> {
        self.hosts += 1;
        if self.mode == Mode::Transactional {
            self.end_transaction();
            return Vec::new();
        }
        self.base = self.settled;
        self.ahead.clear();
        let mut again = Vec::new();
        for flight in &mut self.flights {
            flight.refused.retain(|number| *number <= self.base);
            flight.unrouted.retain(|number| *number <= self.base);
            match (self.base + 1).saturating_sub(flight.first) {
                0 => again.extend(flight.frames.iter().cloned()),
                done => again.push(without(&flight.frames, done)),
            }
        }
        again
    }

    /// When nothing is under way; none when nothing is now. The sender is dropped then.
    pub(super) fn idle(&mut self) -> Option<oneshot::Receiver<()>> {
        (!self.flights.is_empty()).then(|| {
            let (tell, told) = oneshot::channel();
            self.idle.push(tell);
            told
        })
    }

    fn flight(&mut self, number: u64) -> Option<&mut Flight> {
        let index = self.flights.partition_point(|flight| flight.end <= number);
        self.flights.get_mut(index).filter(|flight| flight.first <= number)
    }
}

/// Frames without those of the first so many messages.
fn without(frames: &VecDeque<Bytes>, messages: u64) -> Bytes {
    let mut whole = BytesMut::new();
    frames.iter().for_each(|frames| whole.extend_from_slice(frames));
    let (mut at, mut begun) = (0, 0);
    while let Ok(Some(frame)) = next_frame(&whole[at..], 0) {
        begun += u64::from(frame.kind == FrameKind::Method);
        if begun > messages {
            break;
        }
        at += frame.total_len();
    }
    whole.freeze().slice(at..)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test that fails may panic
mod tests {
    use super::*;
    use crate::client::in_flight::InFlight;
    use crate::message::Body;
    use crate::wire::hot;

    fn to(routing_key: &str) -> Publish<'_> {
        let (exchange, properties, body) = ("", &[0, 0][..], Body::Slice(b"body"));
        Publish { exchange, routing_key, mandatory: true, properties, body }
    }

    /// Publishes flights of these sizes.
    fn window(sizes: &[u64]) -> (Window, Vec<oneshot::Receiver<Result<BatchOutcome>>>) {
        let mut window = Window { mode: Mode::Confirmed, ..Window::default() };
        let in_flight = InFlight::new(100);
        let told = sizes.iter().map(|&size| {
            let mut load = Load::default();
            (0..size).for_each(|number| window.number(&mut load, &to(if number < 2 { "q" } else { "r" })));
            let (reply, told) = oneshot::channel();
            assert!(window.launch(size, load, Reply::All(reply), in_flight.enter(1, 0).unwrap()).is_none());
            told
        });
        let told = told.collect();
        (window, told)
    }

    fn settle(window: &mut Window, number: u64, multiple: bool, refused: bool) -> usize {
        let mut landed = Vec::new();
        window.settle(number, multiple, refused, &mut landed);
        let count = landed.len();
        landed.into_iter().for_each(|flight| flight.land(None));
        count
    }

    #[test]
    fn a_flight_lands_when_its_last_message_is_confirmed_in_whatever_order() {
        let (mut window, mut told) = window(&[3, 2]);
        window.unrouted(2);
        assert_eq!(settle(&mut window, 3, false, false), 0);
        assert_eq!(settle(&mut window, 4, false, false), 0);
        assert_eq!(settle(&mut window, 2, true, false), 1);
        assert_eq!(told[0].try_recv().unwrap().unwrap(), BatchOutcome { confirmed: 3, unrouted: vec![1] });
        assert!(told[1].try_recv().is_err());
        assert!(window.idle().is_some());
        assert_eq!(settle(&mut window, 5, true, false), 1);
        assert_eq!(told[1].try_recv().unwrap().unwrap(), BatchOutcome { confirmed: 2, unrouted: vec![] });
        assert!(window.idle().is_none());
    }

    #[test]
    fn what_is_not_confirmed_is_sent_again_and_counted_from_one() {
        let (mut window, mut told) = window(&[]);
        for count in [3, 2] {
            let mut load = Load::default();
            let mut frames = Vec::new();
            for number in 0..count {
                window.number(&mut load, &to("q"));
                hot::encode_publish(&mut frames, 1, "", &format!("{count}.{number}"), true);
                hot::encode_content(&mut frames, 1, &[0, 0], b"body", 0);
            }
            load.frames.push_back(frames.into());
            let (reply, receiver) = oneshot::channel();
            let ticket = InFlight::new(9).enter(1, 0).unwrap();
            assert!(window.launch(count, load, Reply::All(reply), ticket).is_none());
            told.push(receiver);
        }
        assert_eq!(settle(&mut window, 2, true, false), 0);
        let again = window.replay().concat();
        let (mut at, mut keys) = (0, Vec::new());
        while let Some(frame) = next_frame(&again[at..], 0).unwrap() {
            at += frame.total_len();
            if let Ok(publish) = hot::PublishRef::decode(frame.payload)
                && frame.kind == FrameKind::Method
            {
                keys.push(publish.routing_key.to_owned());
            }
        }
        assert_eq!(keys, ["3.2", "2.0", "2.1"]);
        window.unrouted(2);
        assert_eq!(settle(&mut window, 3, true, false), 2);
        assert_eq!(told[0].try_recv().unwrap().unwrap(), BatchOutcome { confirmed: 3, unrouted: vec![] });
        assert_eq!(told[1].try_recv().unwrap().unwrap(), BatchOutcome { confirmed: 2, unrouted: vec![0] });
    }

    #[test]
    fn a_refusal_names_the_first_message_its_place_and_how_many_more() {
        let (mut window, mut told) = window(&[4]);
        assert_eq!(settle(&mut window, 1, false, false), 0);
        assert_eq!(settle(&mut window, 3, false, true), 0);
        assert_eq!(settle(&mut window, 4, true, true), 1);
        let error = told[0].try_recv().unwrap().unwrap_err();
        assert_eq!((error.kind(), error.entity()), (Kind::Nacked, "queue 'q'"));
        assert_eq!(error.reason(), "the broker refused the message (message 1 of the batch, and 2 more)");
    }
}
