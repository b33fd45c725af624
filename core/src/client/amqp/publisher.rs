//! Publishes of one channel from the call to the confirm, and which of them came back unrouted.
//!
//! Every message is published `mandatory`, so that the broker returns what no queue takes, before it
//! confirms it. lapin hands the returned messages out with the confirms, but to whichever is resolved next.
//! Two facts let the right publish be found:
//!
//! 1. A broker works a channel's publishes off in order, so of messages with the same content, which
//!    nobody can tell apart, the first that did not come back yet is the one that did.
//! 2. lapin hands out one return with each confirm as long as it has any. So when a confirm comes with
//!    none, or with that of a later message, the return of its own message, if there is one, was handed
//!    out before; and when all publishes up to some message are confirmed, so were all their returns.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::hash::BuildHasher;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashMap};
use lapin::message::BasicReturnMessage;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Confirmation};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{errors, values};
use crate::client::in_flight::Ticket;
use crate::client::{BatchOutcome, Outcome, Publish};
use crate::error::{Error, Kind, Result};
use crate::message::Body;

/// A message to publish.
pub(super) struct Outgoing {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    pub(super) properties: BasicProperties,
    pub(super) body: Bytes,
}

impl Outgoing {
    /// # Errors
    /// `InvalidArgument` for names that are too long and malformed properties.
    pub(super) fn new(publish: Publish<'_>) -> Result<Self> {
        let operation = "basic.publish";
        Ok(Outgoing {
            exchange: values::short(operation, "exchange name", publish.exchange)?,
            routing_key: values::short(operation, "routing key", publish.routing_key)?,
            properties: values::properties(publish.properties)?,
            body: match publish.body {
                Body::Slice(slice) => Bytes::copy_from_slice(slice),
                Body::Owned(bytes) => bytes,
            },
        })
    }
}

/// Who is told what became of a message.
pub(super) enum Reply {
    /// The one who published it.
    One(oneshot::Sender<Result<Outcome>>, Ticket),
    /// The one who published the batch in which it has this place.
    Part(Arc<Mutex<Batch>>, usize),
}

/// Messages that have one answer together: given when the last of them is done.
pub(super) struct Batch {
    answer: Option<(oneshot::Sender<Result<BatchOutcome>>, Ticket)>,
    size: usize,
    /// Those that did not fail.
    done: usize,
    outcome: BatchOutcome,
    /// What messages failed with, by their places.
    failed: BTreeMap<usize, Error>,
}

impl Batch {
    pub(super) fn new(
        size: usize,
        answer: oneshot::Sender<Result<BatchOutcome>>,
        ticket: Ticket,
    ) -> Arc<Mutex<Self>> {
        let answer = Some((answer, ticket));
        Arc::new(Mutex::new(Batch {
            answer,
            size,
            done: 0,
            outcome: BatchOutcome::default(),
            failed: BTreeMap::new(),
        }))
    }
}

impl Reply {
    fn give(self, result: Result<Outcome>) {
        match self {
            Reply::One(answer, ticket) => {
                drop(ticket); // before the answer, so that who waited for it may publish again
                let _ = answer.send(result); // fails when nobody waits for it
            }
            Reply::Part(batch, place) => {
                let batch = &mut *batch.lock();
                match result {
                    Ok(outcome) => {
                        batch.done += 1;
                        batch.outcome.confirmed += usize::from(outcome.confirmed);
                        if !outcome.routed {
                            batch.outcome.unrouted.push(place);
                        }
                    }
                    Err(error) => drop(batch.failed.insert(place, error)),
                }
            }
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let Some((answer, ticket)) = self.answer.take() else { return };
        drop(ticket); // before the answer, as above
        let mut outcome = mem::take(&mut self.outcome);
        outcome.unrouted.sort_unstable();
        let _ = answer.send(match self.failed.pop_first() {
            None if self.done < self.size => return, // the channel is gone: so says the lost answer
            None => Ok(outcome),
            Some((place, error)) => {
                let reason = match self.failed.len() {
                    0 => format!("{} (message {place} of the batch)", error.reason()),
                    others => format!("{} (message {place} of the batch, and {others} more)", error.reason()),
                };
                let told = Error::new(error.kind(), error.operation(), reason).on(error.entity());
                Err(told.caused_by(error))
            }
        });
    }
}

type Flight = Pin<Box<dyn Future<Output = lapin::Result<Confirmation>> + Send>>;

/// How the broker answers to a publish.
enum Answered {
    Ack,
    Nack,
    /// Not at all: the channel is transactional.
    Sent,
}

/// A message on its way.
struct Entry {
    /// None once confirmed or refused.
    flight: Option<Flight>,
    waker: Waker,
    alarm: Arc<Alarm>,
    /// How it was answered.
    result: Option<lapin::Result<Answered>>,
    unrouted: bool,
    exchange: ShortString,
    routing_key: ShortString,
    /// Tells its content from that of others.
    print: u64,
    /// None once given.
    answer: Option<Reply>,
}

/// The messages of a channel that are on their way, in the order of their publishing.
pub(super) struct Publisher {
    channel: lapin::Channel,
    entries: VecDeque<Entry>,
    /// The number of the first entry; they are counted from 0 on.
    first: u64,
    woken: Arc<Woken>,
    /// How many are not yet handed to the socket.
    unwritten: Arc<AtomicUsize>,
    /// Confirmed, and whether they came back is about to be known.
    doubtful: Vec<u64>,
    /// By content, the entries that did not come back.
    alike: HashMap<u64, VecDeque<u64>>,
    /// On a transactional channel, the contents published since the last commit or rollback.
    uncommitted: Vec<u64>,
    hasher: DefaultHashBuilder,
}

impl Publisher {
    pub(super) fn new(channel: lapin::Channel) -> Self {
        Publisher {
            channel,
            entries: VecDeque::new(),
            first: 0,
            woken: Arc::default(),
            unwritten: Arc::default(),
            doubtful: Vec::new(),
            alike: HashMap::new(),
            uncommitted: Vec::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Takes a message; the next look at the progress hands it to lapin.
    pub(super) fn publish(&mut self, message: Outgoing, answer: Reply, uncommitted: bool) {
        let Outgoing { exchange, routing_key, properties, body } = message;
        let print = self.print(&exchange, &routing_key, &properties, &body);
        let number = self.first + self.entries.len() as u64;
        self.alike.entry(print).or_default().push_back(number);
        if uncommitted {
            self.uncommitted.push(print);
        }
        let alarm = Arc::new(Alarm { number, rung: AtomicBool::new(true), woken: self.woken.clone() });
        let waker = Waker::from(alarm.clone());
        self.unwritten.fetch_add(1, SeqCst);
        let unwritten = Unwritten(self.unwritten.clone());
        let channel = self.channel.clone();
        let (to, key) = (exchange.clone(), routing_key.clone());
        let flight = async move {
            let options = BasicPublishOptions { mandatory: true, immediate: false };
            let confirm = channel.basic_publish(to, key, options, &body, properties).await?;
            drop((body, unwritten));
            confirm.await
        };
        self.entries.push_back(Entry {
            flight: Some(Box::pin(flight)),
            waker,
            alarm,
            result: None,
            unrouted: false,
            exchange,
            routing_key,
            print,
            answer: Some(answer),
        });
        self.woken.0.lock().0.push_back(number);
    }

    /// Notes that what was published is committed, and that these messages came back; which ones they are,
    /// counted from the transaction's first.
    pub(super) fn committed(&mut self, returned: &[BasicReturnMessage]) -> Vec<usize> {
        let mut unrouted = Vec::new();
        let published = mem::take(&mut self.uncommitted);
        for returned in returned {
            let print = self.print_of(returned);
            let is_it = |index: &usize| published[*index] == print && !unrouted.contains(index);
            let found = (0..published.len()).find(is_it);
            unrouted.extend(found);
        }
        unrouted
    }

    /// Notes that what was published is rolled back.
    pub(super) fn forget_uncommitted(&mut self) {
        self.uncommitted.clear();
    }

    /// Ready when nothing is on its way.
    pub(super) fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_progress(cx);
        if self.entries.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ready when everything is handed to the socket. lapin lets methods overtake publishes; who sends a
    /// method waits for this first.
    pub(super) fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_progress(cx);
        if self.unwritten.load(SeqCst) == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Sees to everything that has happened, and has the task woken when more does.
    pub(super) fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.woken.attend(cx.waker());
        let mut certain = Vec::new();
        // Until nothing is left, so that no confirm is looked at before an earlier one that has its return.
        while let Some(number) = self.woken.next() {
            certain.extend(self.poll(number));
        }
        certain.into_iter().for_each(|number| self.answer(number));
        self.clear_doubts();
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.answer.is_none()) {
            self.forget(self.first, entry.print);
            self.first += 1;
        }
    }

    /// Answers everything with this error, as nothing else can become of it.
    pub(super) fn give_up(&mut self, error: &Error) {
        for mut entry in mem::take(&mut self.entries) {
            if let Some(answer) = entry.answer.take() {
                answer.give(Err(error.clone()));
            }
        }
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        self.entries.get_mut(number.checked_sub(self.first)? as usize)
    }

    /// Its number when it is done and known whether it came back.
    fn poll(&mut self, number: u64) -> Option<u64> {
        let entry = self.entry(number)?;
        entry.alarm.rung.store(false, SeqCst);
        let flight = entry.flight.as_mut()?;
        let Poll::Ready(result) = flight.as_mut().poll(&mut Context::from_waker(&entry.waker)) else {
            return None;
        };
        entry.flight = None;
        let (result, returned) = match result {
            Ok(Confirmation::Nack(returned)) => (Ok(Answered::Nack), returned),
            Ok(Confirmation::Ack(returned)) => (Ok(Answered::Ack), returned),
            Ok(Confirmation::NotRequested) => (Ok(Answered::Sent), None),
            Err(error) => (Err(error), None),
        };
        entry.result = Some(result);
        let owner = returned.and_then(|returned| self.find(&returned));
        match owner {
            Some(owner) if owner < number => {
                self.doubtful.push(number);
                None
            }
            _ => Some(number),
        }
    }

    /// Notes that a message came back; which one.
    fn find(&mut self, returned: &BasicReturnMessage) -> Option<u64> {
        let print = self.print_of(returned);
        let owner = self.alike.get_mut(&print)?.pop_front()?;
        self.entry(owner)?.unrouted = true;
        Some(owner)
    }

    fn forget(&mut self, number: u64, print: u64) {
        let Some(alike) = self.alike.get_mut(&print) else { return };
        alike.pop_front_if(|other| *other == number);
        if alike.is_empty() {
            self.alike.remove(&print);
        }
    }

    fn clear_doubts(&mut self) {
        if self.doubtful.is_empty() {
            return;
        }
        let waiting = |entry: &Entry| entry.flight.is_some();
        let under_way =
            self.entries.iter().position(waiting).unwrap_or(self.entries.len()) as u64 + self.first;
        for number in mem::take(&mut self.doubtful) {
            let known = number < under_way || self.entry(number).is_some_and(|entry| entry.unrouted);
            match known {
                true => self.answer(number),
                false => self.doubtful.push(number),
            }
        }
    }

    fn answer(&mut self, number: u64) {
        let Some(entry) = self.entry(number) else { return };
        let (Some(answer), Some(result)) = (entry.answer.take(), entry.result.take()) else { return };
        let place = || match entry.exchange.as_str() {
            "" => format!("queue '{}'", entry.routing_key),
            exchange => format!("exchange '{exchange}' with routing key '{}'", entry.routing_key),
        };
        answer.give(match result {
            Ok(Answered::Ack) => Ok(Outcome { confirmed: true, routed: !entry.unrouted }),
            Ok(Answered::Sent) => Ok(Outcome { confirmed: false, routed: true }),
            Ok(Answered::Nack) => {
                Err(Error::new(Kind::Nacked, "basic.publish", "the broker refused the message")
                    .on(place())
                    .advise("a full queue with x-overflow=reject-publish does so; try again later"))
            }
            Err(error) => Err(errors::translate(&error, "basic.publish", &place())),
        });
    }

    fn print_of(&self, returned: &BasicReturnMessage) -> u64 {
        let delivery = &returned.delivery;
        self.print(&delivery.exchange, &delivery.routing_key, &delivery.properties, &delivery.data)
    }

    /// Tells contents apart. Not by the headers: a broker may take CC and BCC out of them.
    fn print(
        &self,
        exchange: &ShortString,
        routing_key: &ShortString,
        properties: &BasicProperties,
        body: &[u8],
    ) -> u64 {
        self.hasher.hash_one((
            exchange,
            routing_key,
            properties.message_id(),
            properties.correlation_id(),
            body,
        ))
    }
}

/// Counts a message as unwritten until it is dropped.
struct Unwritten(Arc<AtomicUsize>);

impl Drop for Unwritten {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// The numbers of publishes that have got further, in the order in which they did.
#[derive(Default)]
struct Woken(Mutex<(VecDeque<u64>, Option<Waker>)>);

impl Woken {
    /// Has `task` woken from now on.
    fn attend(&self, task: &Waker) {
        let mut woken = self.0.lock();
        match &mut woken.1 {
            Some(waker) => waker.clone_from(task),
            none => *none = Some(task.clone()),
        }
    }

    fn next(&self) -> Option<u64> {
        self.0.lock().0.pop_front()
    }
}

/// Wakes the channel's task for one publish.
struct Alarm {
    number: u64,
    /// It stands among the woken.
    rung: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        if self.rung.swap(true, SeqCst) {
            return;
        }
        let mut woken = self.woken.0.lock();
        woken.0.push_back(self.number);
        // Taken, so that it is woken once until it has looked.
        let task = woken.1.take();
        drop(woken);
        if let Some(task) = task {
            task.wake();
        }
    }
}
