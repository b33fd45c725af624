//! A counted set of destinations, and how each is emitted once.

use std::hash::Hash;

use hashbrown::{DefaultHashBuilder, HashSet};
use indexmap::IndexMap;

/// The destinations of bindings that always match together, each with how many such bindings it has
/// (they differ in what the exchange type ignores, as a direct exchange ignores arguments).
///
/// An `IndexMap` because routing walks it (a plain slice) far more often than bindings change it,
/// while a queue among 100,000 must still be found at once.
#[derive(Clone, Debug)]
pub(super) struct Destinations<D>(IndexMap<D, u32, DefaultHashBuilder>);

impl<D> Default for Destinations<D> {
    fn default() -> Self {
        Destinations(IndexMap::default())
    }
}

impl<D: Clone + Eq + Hash> Destinations<D> {
    pub(super) fn add(&mut self, destination: &D) {
        *self.0.entry(destination.clone()).or_insert(0) += 1;
    }

    pub(super) fn remove(&mut self, destination: &D) {
        if let Some((index, _, count)) = self.0.get_full_mut(destination) {
            *count -= 1;
            if *count == 0 {
                self.0.swap_remove_index(index);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &D> {
        self.0.keys()
    }
}

/// How many destinations are told apart by comparing them; most messages have fewer.
const FEW: usize = 16;

/// Passes each destination on the first time it comes. Up to [`FEW`] of them cost no allocation.
pub(super) struct Distinct<'a, D, F> {
    few: [Option<&'a D>; FEW],
    len: usize,
    many: HashSet<&'a D>,
    emit: F,
}

impl<'a, D: Eq + Hash, F: FnMut(&'a D)> Distinct<'a, D, F> {
    pub(super) fn new(emit: F) -> Self {
        Distinct { few: [None; FEW], len: 0, many: HashSet::new(), emit }
    }

    pub(super) fn emit(&mut self, destination: &'a D) {
        let seen = &self.few[..self.len];
        if seen.contains(&Some(destination)) {
            return;
        }
        if self.len < FEW {
            self.few[self.len] = Some(destination);
            self.len += 1;
        } else if !self.many.insert(destination) {
            return;
        }
        (self.emit)(destination);
    }
}
