//! De-duplication: a message whose id was seen before is not taken again.
//!
//! As LavinMQ's and the community plug-in's `x-message-deduplication`: the id is a header's value
//! (`x-deduplication-header`, or the header that the argument of this name names), remembered in a cache of
//! `x-cache-size` ids, each for `x-cache-ttl` milliseconds.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use hashbrown::HashSet;

use crate::message::Message;
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
}

impl Duplicates {
    /// A cache as these arguments of a queue or an exchange ask for it, if they do.
    pub(in crate::broker) fn new(arguments: &Table) -> Option<Box<Self>> {
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
            }
        }
        let key = key.freeze();
        let new = self.known.insert(key.clone());
        if new {
            self.order.push_back((now, key));
        }
        !new
    }
}
