//! What outlives a broker, told to whoever keeps it.
//!
//! A change that is to last is on disk before the call that asked for it returns, and is told of in the order in
//! which it takes effect:
//!
//! - Who changes a name holds it ([`Changing`](super::changing::Changing)) until it is done, so that two changes of
//!   one thing never overlap: neither in the broker nor on disk.
//! - A change is noted under the lock that orders it (the topology's, for all that is in a virtual host) and waited
//!   for after that lock was released: nobody else waits for the disk, and changes of other names get there in
//!   the same commit.
//! - What can be put off is done once it is on disk (a queue is there, an exchange is gone), so that a failure leaves
//!   the broker as it was. Bindings are made and taken at once, and put back if that cannot be kept.
//! - What goes by itself (an auto-delete queue, say) goes first and is noted under the same lock; nobody waits.

use std::fmt;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::definitions::{
    BindingDefinition, ExchangeDefinition, QueueDefinition, UserDefinition, VhostDefinition,
};
use super::policy::{Policy, Side};
use super::transient::Memo;
use crate::auth::{Permissions, TopicPermissions};
use crate::condition::Condition;
use crate::error::{Error, Kind, Result};
use crate::wire::table::Table;

/// Keeps the definitions of a broker. Implemented by `storage`; without one a broker is in memory.
pub trait Record: Send + Sync + fmt::Debug {
    /// What is kept: virtual hosts, users, permissions, policies, exchanges, queues, bindings, each before what
    /// needs it.
    ///
    /// # Errors
    /// `ResourceError` when it cannot be read.
    fn recorded(&self) -> Result<Vec<Definition>>;

    /// Notes changes, which take effect together, after all that were noted before. Does not wait for the disk:
    /// it may be called under any lock of the broker.
    fn note(&self, changes: Vec<Change>) -> Noted;

    /// A number for a queue that is to last. None is given twice, over restarts either.
    fn queue_id(&self) -> u64;
}

/// Something that lasts. Arguments stand beside the document they belong to, whose own are empty: JSON does not
/// know all of their types.
#[derive(Clone, Debug)]
pub enum Definition {
    /// A virtual host, with the number under which its delayed messages are kept: another one of the same name has
    /// another.
    Vhost(u64, VhostDefinition),
    /// A user.
    User(UserDefinition),
    /// What a user may do in a virtual host.
    Permissions(Permissions),
    /// What a user may do with the routing keys of a topic exchange.
    TopicPermissions(TopicPermissions),
    /// A policy, or an operator policy.
    Policy(Side, Policy),
    /// A durable exchange.
    Exchange(ExchangeDefinition, Table),
    /// A durable queue, with its number.
    Queue(u64, QueueDefinition, Table),
    /// A binding whose ends are durable.
    Binding(BindingDefinition, Table),
}

/// A change of what lasts. Deleting what is not there is no error.
#[derive(Clone, Debug)]
pub enum Change {
    /// Adds something, or replaces what has its name.
    Put(Definition),
    /// Deletes a virtual host with everything in it, and the permissions for it.
    DeleteVhost(String),
    /// Deletes a user with its permissions.
    DeleteUser(String),
    /// Takes a user's permissions in a virtual host away: (virtual host, user).
    DeletePermissions(String, String),
    /// Lifts a user's restrictions on routing keys: (virtual host, user, exchange or all).
    DeleteTopicPermissions(String, String, Option<String>),
    /// Deletes a policy: (virtual host, name).
    DeletePolicy(Side, String, String),
    /// Deletes an exchange with the bindings from it and to it: (virtual host, name).
    DeleteExchange(String, String),
    /// Deletes a queue with the bindings to it: (virtual host, name).
    DeleteQueue(String, String),
    /// Deletes a binding.
    DeleteBinding(BindingDefinition, Table),
}

/// What becomes of changes that were noted.
#[derive(Clone, Debug, Default)]
pub struct Noted(Arc<Outcome>);

#[derive(Debug, Default)]
struct Outcome {
    /// Guards nothing else.
    result: Mutex<Option<Result<()>>>,
    known: Condition,
}

impl Noted {
    /// Tells everybody who waits, now or later.
    pub fn settle(&self, result: Result<()>) {
        *self.0.result.lock() = Some(result);
        self.0.known.notify_all();
    }

    /// Waits until the changes are on disk. Not to be called under a lock that others need.
    ///
    /// # Errors
    /// `ResourceError`, as one of `operation`, when they could not be brought there.
    pub fn wait(&self, operation: &'static str) -> Result<()> {
        let mut result = self.0.result.lock();
        loop {
            match &*result {
                None => self.0.known.wait(&mut result),
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) => {
                    return Err(Error::new(Kind::ResourceError, operation, error.reason())
                        .on(error.entity())
                        .caused_by(error.clone())
                        .closing_channel());
                }
            }
        }
    }
}

/// Where the parts of a broker note what changes: nowhere, until the broker has been given a [`Record`], and for what does
/// not last a [`Memo`].
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Places>);

#[derive(Default)]
struct Places {
    record: OnceLock<Arc<dyn Record>>,
    memo: OnceLock<Arc<dyn Memo>>,
}

impl Recorder {
    /// From now on changes are noted there.
    pub(super) fn start(&self, record: Arc<dyn Record>) {
        let _ = self.0.record.set(record);
    }

    pub(super) fn get(&self) -> Option<&Arc<dyn Record>> {
        self.0.record.get()
    }

    /// From now on what does not last is noted there.
    pub(super) fn remember(&self, memo: Arc<dyn Memo>) {
        let _ = self.0.memo.set(memo);
    }

    pub(super) fn memo(&self) -> Option<&Arc<dyn Memo>> {
        self.0.memo.get()
    }

    /// Notes a change and waits until it is on disk.
    pub(crate) fn keep(&self, operation: &'static str, change: impl FnOnce() -> Change) -> Result<()> {
        match self.get() {
            None => Ok(()),
            Some(record) => record.note(vec![change()]).wait(operation),
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recorder").field(&self.get()).finish()
    }
}
