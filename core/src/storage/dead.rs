//! Which numbers of a segment are not there any more: settled, damaged, or never kept.

use std::ops::Range;

/// A set of numbers, counted from the segment's first. Takes no memory while it is empty.
#[derive(Debug, Default)]
pub(super) struct Dead {
    words: Vec<u64>,
    count: u64,
}

impl Dead {
    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.words.get((number / 64) as usize).is_some_and(|word| word & 1 << (number % 64) != 0)
    }

    /// Adds numbers; how many of them were not in it.
    pub(super) fn insert(&mut self, numbers: Range<u64>) -> u64 {
        if numbers.is_empty() {
            return 0;
        }
        let last = ((numbers.end - 1) / 64) as usize;
        if last >= self.words.len() {
            self.words.resize(last + 1, 0);
        }
        let mut added = 0;
        for index in (numbers.start / 64) as usize..=last {
            let base = index as u64 * 64;
            let (from, to) = (numbers.start.saturating_sub(base), (numbers.end - base).min(64));
            let mask = (u64::MAX >> (64 - (to - from))) << from;
            added += u64::from((mask & !self.words[index]).count_ones());
            self.words[index] |= mask;
        }
        self.count += added;
        added
    }

    /// The first number from `from` on that is not in it.
    pub(super) fn next_alive(&self, from: u64) -> u64 {
        let mut at = from;
        while let Some(word) = self.words.get((at / 64) as usize) {
            let alive = !word >> (at % 64);
            if alive != 0 {
                return at + u64::from(alive.trailing_zeros());
            }
            at = (at / 64 + 1) * 64;
        }
        at
    }

    /// As a bitmap.
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Out of a bitmap.
    pub(super) fn from_words(words: Vec<u64>) -> Self {
        let count = words.iter().map(|word| u64::from(word.count_ones())).sum();
        Dead { words, count }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_set_holds(ranges in proptest::collection::vec((0u64..300, 0u64..150), 0..20)) {
            let (mut dead, mut set) = (Dead::default(), BTreeSet::new());
            for (start, length) in ranges {
                let before = set.len();
                set.extend(start..start + length);
                prop_assert_eq!(dead.insert(start..start + length), (set.len() - before) as u64);
            }
            let again = Dead::from_words(dead.words().to_vec());
            prop_assert_eq!((dead.count(), again.count()), (set.len() as u64, set.len() as u64));
            for number in 0..500 {
                prop_assert_eq!(again.contains(number), set.contains(&number));
                let alive = (number..).find(|number| !set.contains(number));
                prop_assert_eq!(Some(dead.next_alive(number)), alive);
            }
        }
    }
}
