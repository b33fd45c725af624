//! What a channel remembers of where its messages go.

use std::mem;
use std::sync::Arc;

use hashbrown::HashMap;

use super::queue::Queue;

/// After so many new routes a channel forgets those that it has not used since it learned as many before: a client
/// whose routing keys never recur (replies to many callers) must not make it grow beyond twice as many.
const REMEMBERED: usize = 1024;

/// The queues for one exchange and routing key.
pub(super) type Route = Arc<[Arc<Queue>]>;

/// Routes by exchange and routing key, valid for one generation of the topology.
///
/// Publishers thus read no shared table at all: one atomic load of the generation and a look at the last
/// route used. A message whose route is not known takes the topology's lock for reading.
#[derive(Default)]
pub(super) struct Routes {
    generation: u64,
    last: Option<(Key, Route)>,
    recent: HashMap<Key, Route>,
    /// Those from before `recent` was full and began anew.
    older: HashMap<Key, Route>,
}

/// Shared between the maps and `last`, so that a publisher with several keys in turn allocates nothing.
type Key = Arc<[u8]>;

impl Routes {
    /// The route that was last asked for, if it was for this key and under this generation.
    #[inline]
    pub(super) fn last(&self, generation: u64, key: &[u8]) -> Option<&Route> {
        self.last
            .as_ref()
            .filter(|(last, _)| generation == self.generation && **last == *key)
            .map(|(_, route)| route)
    }

    /// The route for this key, if it was found under this generation.
    pub(super) fn get(&mut self, generation: u64, key: &[u8]) -> Option<Route> {
        if let Some(route) = self.last(generation, key) {
            return Some(route.clone());
        }
        if generation != self.generation {
            *self = Routes { generation, ..Routes::default() };
            return None;
        }
        let clone = |(key, route): (&Key, &Route)| (key.clone(), route.clone());
        let (key, route) = match self.recent.get_key_value(key).map(clone) {
            Some(found) => found,
            // It becomes recent where there is room: to make some would be to forget all that is older for this one.
            None if self.recent.len() < REMEMBERED => {
                let (key, route) = self.older.remove_entry(key)?;
                self.recent.insert(key.clone(), route.clone());
                (key, route)
            }
            None => self.older.get_key_value(key).map(clone)?,
        };
        self.last = Some((key, route.clone()));
        Some(route)
    }

    /// Remembers a route that was found when the topology had this generation.
    pub(super) fn put(&mut self, generation: u64, key: &[u8], route: &Route) {
        if generation != self.generation {
            return;
        }
        if self.recent.len() >= REMEMBERED {
            self.older = mem::take(&mut self.recent);
        }
        let key = Key::from(key);
        self.recent.insert(key.clone(), route.clone());
        self.last = Some((key, route.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route() -> Route {
        Arc::from([])
    }

    #[test]
    fn a_route_holds_for_the_generation_in_which_it_was_found() {
        let mut routes = Routes::default();
        routes.put(0, b"k", &route());
        assert!(routes.get(0, b"k").is_some());
        assert!(routes.get(0, b"other").is_none());
        assert!(routes.get(1, b"k").is_none());
        routes.put(0, b"late", &route());
        assert!(routes.get(1, b"late").is_none(), "found under an older one");
    }

    #[test]
    fn routes_in_use_stay_however_many_others_come_and_go() {
        let mut routes = Routes::default();
        routes.put(0, b"in use", &route());
        for n in 0..10 * REMEMBERED as u32 {
            routes.put(0, &n.to_be_bytes(), &route());
            assert!(n % 100 != 0 || routes.get(0, b"in use").is_some());
            assert!(routes.recent.len() + routes.older.len() <= 2 * REMEMBERED);
        }
        assert!(routes.get(0, &0u32.to_be_bytes()).is_none());
    }

    #[test]
    fn keys_in_turn_stay_when_they_are_fewer_than_are_remembered() {
        let mut routes = Routes::default();
        let keys: Vec<_> = (0..2 * REMEMBERED as u32).map(u32::to_be_bytes).collect();
        for key in &keys {
            routes.put(0, key, &route());
        }
        assert!(keys.iter().cycle().take(3 * keys.len()).all(|key| routes.get(0, key).is_some()));
    }
}
