//! Fanout exchange: every binding matches, whatever its key (`rabbit_exchange_type_fanout`).

use std::hash::Hash;

use super::destinations::Destinations;

#[derive(Clone, Debug)]
pub(super) struct Fanout<D>(Destinations<D>);

impl<D> Default for Fanout<D> {
    fn default() -> Self {
        Fanout(Destinations::default())
    }
}

impl<D: Clone + Eq + Hash> Fanout<D> {
    pub(super) fn insert(&mut self, destination: &D) {
        self.0.add(destination);
    }

    pub(super) fn remove(&mut self, destination: &D) {
        self.0.remove(destination);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn route<'a>(&'a self, emit: &mut impl FnMut(&'a D)) {
        self.0.iter().for_each(emit);
    }
}
