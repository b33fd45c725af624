//! Exchanges that pick one of their bindings: by the hash of the routing key (`x-modulus-hash`,
//! `rabbit_sharding_exchange_type_modulus_hash`) or at random (`x-random`, `x-local-random`).

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use super::Envelope;
use super::erlang::hash_list;

/// How one of the bindings is picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Hash,
    Random,
}

/// Every binding counts: a queue that is bound twice is picked twice as often.
#[derive(Clone, Debug)]
pub(super) struct Pick<D> {
    choice: Choice,
    /// Sorted by binding key and destination, as RabbitMQ's table of bindings is.
    bindings: Vec<(Box<str>, D)>,
}

impl<D: Clone + Ord> Pick<D> {
    pub(super) fn new(choice: Choice) -> Self {
        Pick { choice, bindings: Vec::new() }
    }

    /// Whether the routing key decides alone.
    pub(super) fn by_routing_key(&self) -> bool {
        self.choice == Choice::Hash
    }

    pub(super) fn insert(&mut self, binding_key: &str, destination: &D) {
        let place =
            self.bindings.partition_point(|(key, other)| (&**key, other) < (binding_key, destination));
        self.bindings.insert(place, (binding_key.into(), destination.clone()));
    }

    pub(super) fn remove(&mut self, binding_key: &str, destination: &D) {
        let sought = (binding_key, destination);
        if let Ok(place) = self.bindings.binary_search_by(|(key, other)| (&**key, other).cmp(&sought)) {
            self.bindings.remove(place);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    pub(super) fn route<'a>(&'a self, envelope: &Envelope<'_>, emit: &mut impl FnMut(&'a D)) {
        if self.bindings.is_empty() {
            return;
        }
        let number = match self.choice {
            Choice::Hash => u64::from(hash_list(envelope.keys().map(str::as_bytes))),
            Choice::Random => random(),
        };
        let (_, destination) = &self.bindings[(number % self.bindings.len() as u64) as usize];
        emit(destination);
    }
}

/// A number that is good enough to spread load: SplitMix64, one sequence per thread.
fn random() -> u64 {
    thread_local!(static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0)));
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
