//! Direct exchange: the routing key equals the binding key (`rabbit_exchange_type_direct`). The
//! default exchange is one of these too.

use std::hash::Hash;

use hashbrown::HashMap;

use super::destinations::Destinations;

#[derive(Clone, Debug)]
pub(super) struct Direct<D>(HashMap<Box<str>, Destinations<D>>);

impl<D> Default for Direct<D> {
    fn default() -> Self {
        Direct(HashMap::new())
    }
}

impl<D: Clone + Eq + Hash> Direct<D> {
    pub(super) fn insert(&mut self, routing_key: &str, destination: &D) {
        self.0.entry(routing_key.into()).or_default().add(destination);
    }

    pub(super) fn remove(&mut self, routing_key: &str, destination: &D) {
        if let Some(destinations) = self.0.get_mut(routing_key) {
            destinations.remove(destination);
            if destinations.is_empty() {
                self.0.remove(routing_key);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn route<'a>(&'a self, routing_key: &str, emit: &mut impl FnMut(&'a D)) {
        if let Some(destinations) = self.0.get(routing_key) {
            destinations.iter().for_each(emit);
        }
    }
}
