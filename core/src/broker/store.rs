//! What a broker needs of a store. [`crate::storage`] implements it; tests have their own.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use crate::error::Result;
use crate::message::Message;
pub use crate::message::Origin;

/// Keeps what is to survive the broker.
pub trait Store: Send + Sync + Debug {
    /// A line of messages (0..=255, `x-max-priority`) of the durable queue with this id: the journal that keeps it
    /// from now on, and what is there already.
    ///
    /// # Errors
    /// `ResourceError` when it cannot be read or made.
    fn open_line(&self, queue: u64, line: u8) -> Result<(Arc<dyn Journal>, Recovered)>;

    /// Forgets a queue with all its lines. Returns at once; the space is given back in the background. Its number is
    /// not used again.
    fn delete_queue(&self, queue: u64);

    /// Calls `waiter` once everything that this thread appended before, to whatever journal, is on the disk, or
    /// could not be brought there. Never on the caller's stack.
    fn when_stored(&self, waiter: Waiter);

    /// Whether it has more in memory to be written than it should: publishers are to wait a moment.
    fn is_behind(&self) -> bool {
        false
    }

    /// Writes and syncs everything, for a clean stop. Blocks.
    ///
    /// # Errors
    /// `ResourceError` when something could not be written.
    fn close(&self) -> Result<()>;
}

/// Bytes that are read at a time by who wants all.
const CHUNK: usize = 1 << 20;

/// Reads everything that a journal had when it was opened.
///
/// # Errors
/// `ResourceError` when the disk fails.
pub(super) fn read_all(journal: &dyn Journal, found: Recovered, take: impl FnMut(Stored)) -> Result<()> {
    let (mut from, mut read, mut take) = (found.first, Vec::new(), take);
    while from < found.next {
        from = journal.read(from, CHUNK, &mut read)?;
        read.drain(..).for_each(&mut take);
    }
    Ok(())
}

/// The origins of what a line had when its broker was started.
pub trait Origins: Send + Sync + Debug {
    /// Whether a message of this origin was stored, be it settled since or not. It, too, is on the disk when
    /// [`Store::when_stored`] next calls. Unknown are messages that were not written before they were settled, and
    /// those of which all that stood near them was settled, too.
    ///
    /// Publishes up to `settled` are known to the publisher to be settled, and all others were made after `since`:
    /// nothing older need be looked at. Waits for the disk.
    ///
    /// # Errors
    /// `ResourceError` when the disk fails.
    fn contain(&self, origin: Origin, settled: u64, since: SystemTime) -> Result<bool>;
}

/// Who waits for the disk.
pub type Waiter = Box<dyn FnOnce(Result<()>) + Send>;

/// The messages of one line of a queue. Called under the queue's lock, but for [`Journal::remove`] and
/// [`Journal::origins`]; only [`Journal::read`] waits for the disk.
pub trait Journal: Send + Sync + Debug {
    /// Adds a message under a number greater than all before it. There may be gaps: messages that are not kept.
    /// `expires` is in milliseconds since 1970, [`u64::MAX`] for never.
    /// Its origin is kept with it, if it has one.
    fn append(&self, number: u64, expires: u64, message: &Message);

    /// These numbers are settled, in ascending order. Those that were never appended are passed over.
    fn remove(&self, numbers: &[Range<u64>]);

    /// This one is settled.
    fn remove_one(&self, number: u64) {
        self.remove(std::slice::from_ref(&(number..number + 1)));
    }

    /// The message came back so many times.
    fn returned(&self, number: u64, returns: u16);

    /// Messages below `end`, and no others, may have been delivered: after a crash they come as redelivered.
    fn delivered(&self, end: u64);

    /// Reads on from number `from`, about `bytes` bytes; what was removed before the line was opened, and what
    /// is damaged, is left out. Returns the number to go on from.
    ///
    /// # Errors
    /// `ResourceError` when the disk fails.
    fn read(&self, from: u64, bytes: usize, into: &mut Vec<Stored>) -> Result<u64>;

    /// The origins of what was here when the line was opened. What is learnt of them is forgotten when nobody has it
    /// any more.
    fn origins(self: Arc<Self>) -> Arc<dyn Origins>;
}

/// A message as a journal has it.
#[derive(Debug)]
pub struct Stored {
    /// Its number.
    pub number: u64,
    /// When it expires, in milliseconds since 1970; [`u64::MAX`] for never.
    pub expires: u64,
    /// How often it came back.
    pub returns: u16,
    /// The message.
    pub message: Message,
}

/// What a line had when it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The number of the first message that is there; [`Recovered::next`] when there is none.
    pub first: u64,
    /// The next free number; none of which messages may have been delivered is free.
    pub next: u64,
    /// Messages from here on were never there: behind the last one of which there is a trace.
    pub end: u64,
    /// Messages below it may have been delivered.
    pub delivered: u64,
    /// Messages that are there.
    pub count: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}
