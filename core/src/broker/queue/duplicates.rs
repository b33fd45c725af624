//! De-duplication: a message whose id was seen before is not taken again.
//!
//! As LavinMQ's and the community plug-in's `x-message-deduplication`: the id is a header's value
//! (`x-deduplication-header`, or the header that the argument of this name names), remembered in a cache of
//! `x-cache-size` ids, each for `x-cache-ttl` milliseconds.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hashbrown::HashSet;

use super::keep::Place;
use crate::broker::store::{Journal, read_all};
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
    order: VecDeque<(u64, Bytes)>,
    /// Where the ids are kept, if they are, and the number of the first of `order` there; the others follow it.
    journal: Option<(Arc<dyn Journal>, u64)>,
}

impl Duplicates {
    /// A cache as these arguments of a queue ask for it, if they do, with what is kept at the queue's place.
    pub(super) fn open(arguments: &Table, place: Option<&Place>) -> Result<Option<Box<Self>>> {
        let Some(mut duplicates) = Self::new(arguments) else { return Ok(None) };
        let Some((journal, found)) = place.map(Place::open_ids).transpose()? else {
            return Ok(Some(duplicates));
        };
        read_all(&*journal, found, |stored| {
            let id = Bytes::copy_from_slice(stored.message.body());
            duplicates.known.insert(id.clone());
            duplicates.order.push_back((stored.expires, id));
        })?;
        // One that was damaged leaves a gap behind which the numbers do not fit; better to remember a few too long.
        duplicates.journal = Some((journal, found.next - duplicates.order.len() as u64));
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
            journal: None,
        }))
    }

    /// Whether this message's id is known; if it was not, it is from now on. Without an id nothing is known.
    pub(in crate::broker) fn seen(&mut self, message: &Message, now: u64) -> bool {
        let Some(id) = message.properties().header(&self.header) else { return false };
        let mut key = BytesMut::new();
        id.encode(&mut key);
        while let Some((since, _)) = self.order.front()
            && (self.order.len() >= self.size || self.ttl.is_some_and(|ttl| since.saturating_add(ttl) <= now))
        {
            // A full cache makes room only for what is new.
            if self.ttl.is_none_or(|ttl| since.saturating_add(ttl) > now) && self.known.contains(&key[..]) {
                return true;
            }
            if let Some((_, oldest)) = self.order.pop_front() {
                self.known.remove(&oldest);
                if let Some((journal, first)) = &mut self.journal {
                    journal.remove_one(*first);
                    *first += 1;
                }
            }
        }
        let key = key.freeze();
        let new = self.known.insert(key.clone());
        if new {
            if let Some((journal, first)) = &self.journal {
                let message = Message::new(&route_key("", ""), &[0, 0], Body::Slice(&key));
                journal.append(first + self.order.len() as u64, now, &message);
            }
            self.order.push_back((now, key));
        }
        !new
    }
}
