//! Names that somebody is about to change.

use std::hash::Hash;

use hashbrown::HashSet;
use parking_lot::Mutex;

use crate::condition::Condition;

/// The names that are held; one holder each. Nobody holds two, so nobody waits in a circle.
#[derive(Debug)]
pub(super) struct Changing<K> {
    /// Guards nothing else, and nothing is called under it.
    names: Mutex<HashSet<K>>,
    /// Rung when a name was let go.
    free: Condition,
}

impl<K> Default for Changing<K> {
    fn default() -> Self {
        Changing { names: Mutex::default(), free: Condition::default() }
    }
}

/// A name that is held until this is dropped.
#[derive(Debug)]
pub(super) struct Held<'a, K: Eq + Hash> {
    changing: &'a Changing<K>,
    name: K,
}

impl<K: Clone + Eq + Hash> Changing<K> {
    /// Waits until nobody else holds the name. To be called before any lock of the broker is taken: whoever has the
    /// name may be waiting for the disk.
    pub(super) fn hold(&self, name: K) -> Held<'_, K> {
        let mut names = self.names.lock();
        while !names.insert(name.clone()) {
            self.free.wait(&mut names);
        }
        Held { changing: self, name }
    }
}

impl<K: Eq + Hash> Drop for Held<'_, K> {
    fn drop(&mut self) {
        self.changing.names.lock().remove(&self.name);
        self.changing.free.notify_all();
    }
}
