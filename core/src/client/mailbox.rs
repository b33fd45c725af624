//! Where the deliveries of a connection to another process wait to be taken.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Delivery;
use super::driver::Bell;
use super::inbox::Doorbell;
use super::ledger::Ledger;
use super::process::Birthplace;
use crate::error::{Error, Kind, Result};

/// What a consumer has got and nobody has taken yet.
#[derive(Debug)]
pub(super) struct Mailbox {
    pub(super) tag: Arc<str>,
    pub(super) no_ack: bool,
    doorbell: Doorbell,
    content: Mutex<Content>,
    load: Arc<Load>,
    born: Birthplace,
}

/// How many bytes wait in all mailboxes of a connection.
#[derive(Debug, Default)]
pub(super) struct Load {
    bytes: AtomicUsize,
    /// Told when bytes were taken, if somebody waits for that.
    pub(super) relief: Notify,
}

impl Load {
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    fn lighten<'a>(&self, gone: impl Iterator<Item = &'a Delivery>) {
        self.bytes.fetch_sub(gone.map(|delivery| delivery.message.footprint()).sum(), Relaxed);
        self.relief.notify_one();
    }
}

#[derive(Debug, Default)]
struct Content {
    deliveries: VecDeque<Delivery>,
    /// Why nothing comes any more.
    ended: Option<Error>,
    /// Its user is gone: what still comes goes back.
    abandoned: bool,
}

impl Mailbox {
    pub(super) fn new(tag: &str, no_ack: bool, load: &Arc<Load>, born: Birthplace) -> Arc<Self> {
        let (doorbell, content) = (Doorbell::default(), Mutex::default());
        Arc::new(Mailbox { tag: tag.into(), no_ack, doorbell, content, load: load.clone(), born })
    }

    /// Puts deliveries in and notes them in the ledger, save those that were requeued meanwhile.
    pub(super) fn put(&self, ledger: &Mutex<Ledger>, come: impl Iterator<Item = Delivery>) {
        let mut ledger = ledger.lock();
        let mut content = self.content.lock();
        let was_empty = content.deliveries.is_empty();
        let mut bytes = 0;
        content.deliveries.extend(come.filter(|delivery| {
            let comes = ledger.deliver(delivery.tag, self.no_ack);
            bytes += if comes { delivery.message.footprint() } else { 0 };
            comes
        }));
        self.load.bytes.fetch_add(bytes, Relaxed);
        let ring = was_empty && !content.deliveries.is_empty();
        drop((content, ledger));
        if ring {
            self.doorbell.ring();
        }
    }

    /// Takes up to `max`.
    ///
    /// # Errors
    /// Why nothing comes any more, once all was taken; `Forked` in the child of a fork.
    pub(super) fn take(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        self.born.check("basic.consume")?;
        let mut content = self.content.lock();
        let count = max.min(content.deliveries.len());
        let before = into.len();
        into.extend(content.deliveries.drain(..count));
        self.load.lighten(into[before..].iter());
        match &content.ended {
            Some(error) if count == 0 => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Says that nothing comes any more. The first reason is kept.
    pub(super) fn end(&self, error: Error) {
        let tag = &self.tag;
        self.content.lock().ended.get_or_insert_with(|| error.on(format!("consumer '{tag}'")));
        self.doorbell.ring();
    }

    /// The same, for a reason of the consumer's own.
    pub(super) fn end_because(&self, reason: &str) {
        self.end(Error::new(Kind::Closed, "basic.consume", reason));
    }

    /// Nothing comes any more.
    pub(super) fn has_ended(&self) -> bool {
        self.content.lock().ended.is_some()
    }

    /// Notes that its user is gone.
    pub(super) fn abandon(&self) {
        self.doorbell.remove(0);
        self.content.lock().abandoned = true;
    }

    /// Takes out what needs settling.
    pub(super) fn clear(&self) -> VecDeque<Delivery> {
        match self.no_ack {
            true => VecDeque::new(),
            false => self.empty(&mut self.content.lock()),
        }
    }

    fn empty(&self, content: &mut Content) -> VecDeque<Delivery> {
        let gone = std::mem::take(&mut content.deliveries);
        self.load.lighten(gone.iter());
        gone
    }

    /// What nobody can take any more, when the user is gone and nothing comes: it is to be put back.
    pub(super) fn leftovers(&self) -> VecDeque<Delivery> {
        let mut content = self.content.lock();
        match content.abandoned && content.ended.is_some() && !self.no_ack {
            true => self.empty(&mut content),
            false => VecDeque::new(),
        }
    }

    pub(super) fn wait(&self, timeout: Option<Duration>) -> bool {
        // After a fork there is nobody who would ring; taking says why.
        self.born.check("basic.consume").is_err() || self.doorbell.wait(timeout, || self.has_something())
    }

    pub(super) fn on_ready(&self, bell: Bell) {
        self.doorbell.set(0, bell.clone());
        if self.has_something() {
            bell();
        }
    }

    pub(super) fn has_something(&self) -> bool {
        let content = self.content.lock();
        !content.deliveries.is_empty() || content.ended.is_some()
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.load.lighten(self.content.get_mut().deliveries.iter());
    }
}
