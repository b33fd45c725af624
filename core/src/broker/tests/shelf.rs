//! A store in memory: it survives a broker, and says when something is on the disk only when the test lets it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::SystemTime;

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::broker::store::{Journal, Origin, Origins, Recovered, Store, Stored, Waiter};
use crate::broker::{Change, Definition, Noted, Record};
use crate::error::{Error, Kind, Result};
use crate::message::Message;

#[derive(Default)]
pub(super) struct Shelf {
    lines: Mutex<HashMap<(u64, u8), Arc<Line>>>,
    waiters: Mutex<Vec<Waiter>>,
}

#[derive(Debug, Default)]
pub(super) struct Line {
    state: Mutex<State>,
    /// How often it was told what may have been delivered.
    pub(super) marks: AtomicUsize,
    /// Reading fails.
    pub(super) broken: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    messages: BTreeMap<u64, (u64, u16, Message)>,
    next: u64,
    delivered: u64,
    origins: Vec<(u64, Origin)>,
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").finish_non_exhaustive()
    }
}

impl Shelf {
    pub(super) fn line(&self, queue: u64, line: u8) -> Arc<Line> {
        self.lines.lock().entry((queue, line)).or_default().clone()
    }

    /// A line of the first queue that was declared.
    pub(super) fn first_line(&self) -> Arc<Line> {
        self.line(1, 0)
    }

    /// The numbers under which something is kept.
    pub(super) fn ids(&self) -> BTreeSet<u64> {
        self.lines.lock().keys().map(|(id, _)| *id).collect()
    }

    /// Messages of all queues.
    pub(super) fn len(&self) -> usize {
        self.lines.lock().values().map(|line| line.state.lock().messages.len()).sum()
    }

    /// Everything is on the disk, or nothing could be brought there.
    pub(super) fn sync(&self, ok: bool) {
        let waiters = std::mem::take(&mut *self.waiters.lock());
        for waiter in waiters {
            let failed = || Error::new(Kind::ResourceError, "store", "the disk has failed");
            waiter(if ok { Ok(()) } else { Err(failed()) });
        }
    }
}

impl Line {
    /// As if the last message had never come to the disk.
    pub(super) fn lose_last(&self) {
        let mut state = self.state.lock();
        let (number, _) = state.messages.pop_last().expect("there is a message");
        state.next = number;
        state.origins.retain(|(of, _)| *of < number);
    }
}

impl Store for Shelf {
    fn open_line(&self, queue: u64, line: u8) -> Result<(Arc<dyn Journal>, Recovered)> {
        let line = self.line(queue, line);
        let recovered = {
            let state = line.state.lock();
            let next = state.next.max(state.delivered);
            Recovered {
                first: state.messages.keys().next().copied().unwrap_or(next),
                next,
                end: state.next,
                delivered: state.delivered,
                count: state.messages.len() as u64,
                bytes: state.messages.values().map(|(_, _, message)| message.body().len() as u64).sum(),
            }
        };
        Ok((line, recovered))
    }

    fn delete_queue(&self, queue: u64) {
        self.lines.lock().retain(|(other, _), _| *other != queue);
    }

    fn when_stored(&self, waiter: Waiter) {
        self.waiters.lock().push(waiter);
    }

    fn close(&self) -> Result<()> {
        self.sync(true);
        Ok(())
    }
}

impl Journal for Line {
    fn append(&self, number: u64, expires: u64, message: &Message) {
        let mut state = self.state.lock();
        assert!(number >= state.next, "numbers ascend");
        state.next = number + 1;
        state.messages.insert(number, (expires, 0, message.clone()));
        state.origins.extend(message.origin().map(|origin| (number, origin)));
    }

    fn remove(&self, numbers: &[Range<u64>]) {
        let mut state = self.state.lock();
        state.messages.retain(|number, _| !numbers.iter().any(|range| range.contains(number)));
    }

    fn returned(&self, number: u64, returns: u16) {
        if let Some((_, count, _)) = self.state.lock().messages.get_mut(&number) {
            *count = returns;
        }
    }

    fn delivered(&self, end: u64) {
        self.marks.fetch_add(1, Relaxed);
        self.state.lock().delivered = end;
    }

    fn read(&self, from: u64, bytes: usize, into: &mut Vec<Stored>) -> Result<u64> {
        if self.broken.load(Relaxed) {
            return Err(Error::new(Kind::ResourceError, "read", "the disk has failed"));
        }
        let state = self.state.lock();
        let mut taken = 0;
        for (&number, (expires, returns, message)) in state.messages.range(from..) {
            if taken >= bytes {
                return Ok(number);
            }
            taken += message.body().len();
            let message = message.clone();
            into.push(Stored { number, expires: *expires, returns: *returns, message });
        }
        Ok(state.next)
    }

    fn origins(self: Arc<Self>) -> Arc<dyn Origins> {
        self
    }
}

impl Origins for Line {
    fn contain(&self, origin: Origin, _: u64, _: SystemTime) -> Result<bool> {
        match self.broken.load(Relaxed) {
            true => Err(Error::new(Kind::ResourceError, "read", "the disk has failed")),
            false => Ok(self.state.lock().origins.iter().any(|(_, known)| *known == origin)),
        }
    }
}

/// Definitions in memory, which survive a broker too.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    definitions: Mutex<Vec<Definition>>,
    next: AtomicU64,
}

impl Ledger {
    pub(super) fn is_empty(&self) -> bool {
        self.definitions.lock().is_empty()
    }
}

impl Record for Ledger {
    fn recorded(&self) -> Result<Vec<Definition>> {
        Ok(self.definitions.lock().clone())
    }

    fn note(&self, changes: Vec<Change>) -> Noted {
        let mut definitions = self.definitions.lock();
        for change in changes {
            match change {
                Change::Put(definition) => definitions.push(definition),
                Change::DeleteQueue(_, name) => {
                    definitions.retain(
                        |other| !matches!(other, Definition::Queue(_, queue, _) if queue.name == name),
                    );
                }
                Change::DeleteVhost(name) => {
                    definitions
                        .retain(|other| !matches!(other, Definition::Vhost(_, vhost) if vhost.name == name));
                }
                other => panic!("not on this ledger: {other:?}"),
            }
        }
        let noted = Noted::default();
        noted.settle(Ok(()));
        noted
    }

    fn queue_id(&self) -> u64 {
        self.next.fetch_add(1, Relaxed) + 1
    }
}
