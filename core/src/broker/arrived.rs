//! Which publishes came along from the host before with messages that no journal had: for who sends them again.

use std::num::NonZeroU64;
use std::ops::Range;
use std::time::SystemTime;

use hashbrown::HashMap;

use super::store::{Origin, Origins};
use crate::error::Result;

/// Of each publisher, the runs of his publishes, in order. A few bytes for thousands, so they are kept for as long as
/// the queue: nobody knows when the last publisher has come.
#[derive(Debug, Default)]
pub(super) struct Arrived(HashMap<NonZeroU64, Vec<Range<u64>>>);

impl FromIterator<Origin> for Arrived {
    fn from_iter<I: IntoIterator<Item = Origin>>(origins: I) -> Self {
        let mut sequences = HashMap::<_, Vec<u64>>::new();
        for Origin { publisher, sequence } in origins {
            sequences.entry(publisher).or_default().push(sequence);
        }
        Arrived(sequences.into_iter().map(|(publisher, sequences)| (publisher, runs(sequences))).collect())
    }
}

fn runs(mut sequences: Vec<u64>) -> Vec<Range<u64>> {
    sequences.sort_unstable();
    let runs = sequences.chunk_by(|one, next| next - one <= 1);
    runs.map(|run| run[0]..run[run.len() - 1] + 1).collect()
}

impl Origins for Arrived {
    fn contain(&self, Origin { publisher, sequence }: Origin, _: u64, _: SystemTime) -> Result<bool> {
        let runs = self.0.get(&publisher).map_or(&[][..], |runs| runs);
        let next = runs.partition_point(|run| run.end <= sequence);
        Ok(runs.get(next).is_some_and(|run| run.contains(&sequence)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test that fails may panic
mod tests {
    use super::*;

    #[test]
    fn what_arrived_is_known_in_whatever_order_it_came_and_nothing_else() {
        let origin = |publisher: u64, sequence| Origin { publisher: publisher.try_into().unwrap(), sequence };
        let came = [(1, 5), (1, 4), (2, 1), (1, 9), (1, 5)];
        let arrived: Arrived =
            came.iter().map(|&(publisher, sequence)| origin(publisher, sequence)).collect();
        for publisher in 1..4 {
            for sequence in 0..12 {
                let known = arrived.contain(origin(publisher, sequence), 0, SystemTime::now()).unwrap();
                assert_eq!(known, came.contains(&(publisher, sequence)), "{publisher} {sequence}");
            }
        }
    }
}
