//! What a channel remembers of where its messages go.

use std::sync::Arc;

use hashbrown::HashMap;

use super::queue::Queue;

/// More routes than this and the channel forgets them all: a client whose routing keys never recur
/// (replies to many callers) must not make it grow.
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
    last: Option<(Box<[u8]>, Route)>,
    known: HashMap<Box<[u8]>, Route>,
}

impl Routes {
    /// The route for this key, if it was found under this generation.
    pub(super) fn get(&mut self, generation: u64, key: &[u8]) -> Option<Route> {
        if generation != self.generation {
            self.last = None;
            self.known.clear();
            self.generation = generation;
            return None;
        }
        match &self.last {
            Some((last, route)) if **last == *key => Some(route.clone()),
            _ => {
                let route = self.known.get(key)?.clone();
                self.last = Some((key.into(), route.clone()));
                Some(route)
            }
        }
    }

    /// The route that was last asked for, if it was for this key and under this generation.
    #[inline]
    pub(super) fn last(&self, generation: u64, key: &[u8]) -> Option<&Route> {
        self.last
            .as_ref()
            .filter(|(last, _)| generation == self.generation && **last == *key)
            .map(|(_, route)| route)
    }

    /// Remembers a route that was found when the topology had this generation.
    pub(super) fn put(&mut self, generation: u64, key: &[u8], route: &Route) {
        if generation != self.generation {
            return;
        }
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(key.into(), route.clone());
        self.last = Some((key.into(), route.clone()));
    }
}
