//! Headers exchange: the binding's arguments are conditions on the message's headers.
//!
//! RabbitMQ compares every binding with every message. Here a binding waits under the header values
//! that could make it match, so that a message meets only bindings with which it shares a value:
//! under one of its conditions if it needs all of them, under each if one suffices. What is found so
//! is still compared in full by [`XMatch::matches`], so that the index may be coarse.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashMap, HashSet};
use indexmap::IndexMap;

use super::binding::Arguments;
use super::destinations::{Destinations, Distinct};
use super::x_match::{Scalar, XMatch};
use crate::wire::table::{Table, Value};

#[derive(Clone, Debug)]
pub(super) struct Headers<D> {
    rules: IndexMap<Arguments, Rule<D>, DefaultHashBuilder>,
    /// The positions in `rules` that wait under each [`Trigger`].
    waiting: HashMap<Trigger, HashSet<usize>>,
    hasher: DefaultHashBuilder,
}

#[derive(Clone, Debug)]
struct Rule<D> {
    x_match: XMatch,
    triggers: Box<[Trigger]>,
    destinations: Destinations<D>,
}

/// The hash of a header's name and value, of its name alone, or of nothing for rules without
/// conditions. Two that collide merely share a place in the index.
type Trigger = u64;

impl<D> Default for Headers<D> {
    fn default() -> Self {
        Headers { rules: IndexMap::default(), waiting: HashMap::new(), hasher: DefaultHashBuilder::default() }
    }
}

impl<D: Clone + Eq + Hash> Headers<D> {
    pub(super) fn insert(&mut self, arguments: &Arguments, destination: &D) {
        if let Some(rule) = self.rules.get_mut(arguments) {
            rule.destinations.add(destination);
            return;
        }
        let x_match = XMatch::of(arguments.table());
        let triggers = self.triggers(x_match, arguments.table());
        let mut destinations = Destinations::default();
        destinations.add(destination);
        let (index, _) = self.rules.insert_full(arguments.clone(), Rule { x_match, triggers, destinations });
        self.wait(index);
    }

    pub(super) fn remove(&mut self, arguments: &Arguments, destination: &D) {
        let Some((index, _, rule)) = self.rules.get_full_mut(arguments) else {
            return;
        };
        rule.destinations.remove(destination);
        if !rule.destinations.is_empty() {
            return;
        }
        // The last rule takes the place of the removed one.
        let last = self.rules.len() - 1;
        self.stop_waiting(index);
        if last != index {
            self.stop_waiting(last);
        }
        self.rules.swap_remove_index(index);
        if last != index {
            self.wait(index);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.waiting.is_empty()
    }

    pub(super) fn route<'a>(&'a self, headers: &Table, emit: &mut impl FnMut(&'a D)) {
        let mut sorted: Vec<(&str, &Value)> =
            headers.0.iter().map(|(name, value)| (&**name, value)).collect();
        sorted.sort_by_key(|(name, _)| *name);

        let mut distinct = Distinct::new(emit);
        let mut meet = |trigger| {
            for &index in self.waiting.get(&trigger).into_iter().flatten() {
                if let Some((arguments, rule)) = self.rules.get_index(index)
                    && rule.x_match.matches(arguments.table(), &sorted)
                {
                    rule.destinations.iter().for_each(|destination| distinct.emit(destination));
                }
            }
        };
        meet(self.unconditional());
        for (name, value) in &sorted {
            meet(self.trigger(name, None));
            if let Some(scalar) = Scalar::of(value) {
                meet(self.trigger(name, Some(scalar)));
            }
        }
    }

    /// Where a rule waits: completeness is all that matters, [`Headers::route`] compares in full.
    fn triggers(&self, x_match: XMatch, arguments: &Table) -> Box<[Trigger]> {
        // A void and what has no scalar wait for the name alone.
        let each = x_match.conditions(arguments).map(|(name, value)| self.trigger(name, Scalar::of(value)));
        if x_match.any {
            return each.collect();
        }
        let crowd = |trigger: &Trigger| self.waiting.get(trigger).map_or(0, HashSet::len);
        Box::new([each.min_by_key(crowd).unwrap_or_else(|| self.unconditional())])
    }

    fn trigger(&self, name: &str, value: Option<Scalar<'_>>) -> Trigger {
        self.hasher.hash_one((name, value))
    }

    fn unconditional(&self) -> Trigger {
        self.hasher.hash_one(())
    }

    fn wait(&mut self, index: usize) {
        for &trigger in &self.rules[index].triggers {
            self.waiting.entry(trigger).or_default().insert(index);
        }
    }

    fn stop_waiting(&mut self, index: usize) {
        for trigger in &self.rules[index].triggers {
            if let Some(indices) = self.waiting.get_mut(trigger) {
                indices.remove(&index);
                if indices.is_empty() {
                    self.waiting.remove(trigger);
                }
            }
        }
    }
}
