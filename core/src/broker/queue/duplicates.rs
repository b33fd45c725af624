//! De-duplication: a message whose id was seen before is not taken again.
//!
//! As LavinMQ's and the community plug-in's `x-message-deduplication`: the id is a header's value
//! (`x-deduplication-header`, or the header that the argument of this name names), remembered in a cache of
//! `x-cache-size` ids, each for `x-cache-ttl` milliseconds.
//!
//! Ids are kept beside the messages, not with them, so a crash can leave an id whose message never came to the disk:
//! not confirmed, it is sent again, and must be taken. That is why an id is kept with its message's position.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hashbrown::HashSet;

use super::keep::Place;
use super::lines::{Position, line, number};
use crate::broker::store::{Journal, Recovered, Stored, read_all};
use crate::error::Result;
use crate::message::{Body, Message, route_key};
use crate::wire::table::{Table, Value};

/// Ids that are remembered when no number was given.
const CACHE_SIZE: usize = 1024;

/// The ids that were seen, oldest first.
pub(in crate::broker) struct Duplicates {
    header: Box<str>,
    size: usize,
    /// Milliseconds.
    ttl: Option<u64>,
    known: HashSet<Bytes>,
    order: VecDeque<Seen>,
    /// The next free number in the journal.
    next: u64,
    /// Where the ids are kept, if they are.
    journal: Option<Arc<dyn Journal>>,
}

struct Seen {
    /// When; milliseconds since 1970.
    since: u64,
    /// In the journal.
    number: u64,
    id: Bytes,
}

/// What is known of a message.
pub(super) enum Id {
    /// It has no id, or the queue does not ask for it.
    None,
    Known,
    /// To be remembered once the message has its position.
    New(Bytes),
}

/// What a queue knows of this message.
pub(super) fn look(duplicates: &mut Option<Box<Duplicates>>, message: &Message, now: u64) -> Id {
    duplicates.as_mut().map_or(Id::None, |duplicates| duplicates.look(message, now))
}

/// Remembers the id of a message that was taken.
pub(super) fn remember(duplicates: &mut Option<Box<Duplicates>>, id: Id, now: u64, position: Position) {
    if let (Some(duplicates), Id::New(id)) = (duplicates, id) {
        duplicates.remember(id, now, position);
    }
}

impl Duplicates {
    /// A cache as these arguments of a queue ask for it, if they do, with what is kept at the queue's place of messages
    /// before the `ends` of its lines.
    pub(super) fn open(arguments: &Table, place: Option<&Place>, ends: &[u64]) -> Result<Option<Box<Self>>> {
        let Some(mut duplicates) = Self::new(arguments) else { return Ok(None) };
        let Some((journal, found)) = place.map(Place::open_ids).transpose()? else {
            return Ok(Some(duplicates));
        };
        duplicates.next = found.next;
        read_all(&*journal, found, |Stored { number, expires: since, message, .. }| {
            match id_of(&message, ends) {
                Some(id) => duplicates.add(Seen { since, number, id }),
                None => journal.remove_one(number),
            }
        })?;
        duplicates.journal = Some(journal);
        Ok(Some(duplicates))
    }

    fn new(arguments: &Table) -> Option<Box<Self>> {
        if arguments.get("x-message-deduplication") != Some(&Value::Bool(true)) {
            return None;
        }
        let number =
            |name| arguments.get(name).and_then(Value::as_integer).and_then(|n| u64::try_from(n).ok());
        let header = match arguments.get("x-deduplication-header") {
            Some(Value::LongString(name)) => std::str::from_utf8(name).ok(),
            _ => None,
        };
        Some(Box::new(Duplicates {
            header: header.unwrap_or("x-deduplication-header").into(),
            size: number("x-cache-size").map_or(CACHE_SIZE, |size| size.max(1) as usize),
            ttl: number("x-cache-ttl"),
            known: HashSet::new(),
            order: VecDeque::new(),
            next: 0,
            journal: None,
        }))
    }

    fn look(&mut self, message: &Message, now: u64) -> Id {
        let Some(header) = message.properties().header(&self.header) else { return Id::None };
        if let Some(ttl) = self.ttl {
            while self.order.front().is_some_and(|seen| seen.since.saturating_add(ttl) <= now) {
                self.forget_oldest();
            }
        }
        let mut id = BytesMut::new();
        header.encode(&mut id);
        match self.known.contains(&id[..]) {
            true => Id::Known,
            false => Id::New(id.freeze()),
        }
    }

    fn remember(&mut self, id: Bytes, now: u64, position: Position) {
        while self.order.len() >= self.size {
            self.forget_oldest();
        }
        if let Some(journal) = &self.journal {
            write(&**journal, self.next, now, position, &id);
        }
        self.add(Seen { since: now, number: self.next, id });
        self.next += 1;
    }

    /// Gives along what is remembered.
    pub(super) fn hand_over(&self, journal: &dyn Journal) {
        for (number, Seen { since, id, .. }) in (0..).zip(&self.order) {
            write(journal, number, *since, 0, id);
        }
    }

    /// Goes on with what the host before this one gave along.
    pub(super) fn inherit(&mut self, journal: &dyn Journal, found: Recovered) -> Result<()> {
        read_all(journal, found, |Stored { number, expires: since, message, .. }| {
            if let Some(id) = id_of(&message, &[u64::MAX]) {
                self.add(Seen { since, number, id });
            }
        })
    }

    fn add(&mut self, seen: Seen) {
        self.known.insert(seen.id.clone());
        self.order.push_back(seen);
    }

    fn forget_oldest(&mut self) {
        let Some(Seen { number, id, .. }) = self.order.pop_front() else { return };
        self.known.remove(&id);
        if let Some(journal) = &self.journal {
            journal.remove_one(number);
        }
    }
}

fn write(journal: &dyn Journal, number: u64, since: u64, position: Position, id: &[u8]) {
    let body = [&position.to_le_bytes(), id].concat();
    journal.append(number, since, &Message::new(&route_key("", ""), &[0, 0], Body::Slice(&body)));
}

/// The id that a record of a journal has, if its message is before the end of its line.
fn id_of(record: &Message, ends: &[u64]) -> Option<Bytes> {
    let (position, id) = record.body().split_first_chunk()?;
    let position = Position::from_le_bytes(*position);
    let written = ends.get(line(position)).is_some_and(|end| number(position) < *end);
    written.then(|| Bytes::copy_from_slice(id))
}
