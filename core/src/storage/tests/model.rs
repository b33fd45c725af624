//! A line against a map in memory.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::power::{Log, new_disk, open_on};
use super::*;
use crate::storage::disk::simulated::SimulatedDisk;

#[derive(Clone, Debug)]
enum Step {
    /// So many messages, after a gap.
    Append(u64, u64),
    /// From so far behind the first one on, so many.
    Remove(u64, u64),
    Returned(u64, u16),
    /// How many of those that are there.
    Delivered(u64),
    /// From so far behind the first one on, so many bytes.
    Read(u64, usize),
    Confirm,
    Reopen,
    Kill,
    PowerLoss(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u64..3, 1u64..20).prop_map(|(gap, count)| Step::Append(gap, count)),
        6 => (0u64..40, 1u64..30).prop_map(|(at, count)| Step::Remove(at, count)),
        2 => (0u64..40, 1u16..9).prop_map(|(at, returns)| Step::Returned(at, returns)),
        1 => (0u64..40).prop_map(Step::Delivered),
        4 => (0u64..60, 1usize..3000).prop_map(|(at, bytes)| Step::Read(at, bytes)),
        3 => Just(Step::Confirm),
        2 => Just(Step::Reopen),
        1 => Just(Step::Kill),
        1 => any::<u64>().prop_map(Step::PowerLoss),
    ]
}

/// The line and what it should be.
struct Test {
    disk: SimulatedDisk,
    store: Messages,
    journal: Arc<dyn Journal>,
    next: u64,
    delivered: u64,
    /// Numbers with their returns.
    there: BTreeMap<u64, u16>,
    /// What was appended since the last crash.
    fresh: Vec<u64>,
    log: Log,
}

impl Test {
    fn new() -> Self {
        let disk = new_disk();
        let store = open_on(&disk).expect("opens");
        let (journal, _) = store.open_line(1, 0).expect("opens");
        Test {
            disk,
            store,
            journal,
            next: 0,
            delivered: 0,
            there: BTreeMap::new(),
            fresh: Vec::new(),
            log: Log::default(),
        }
    }

    fn nth(&self, at: u64) -> u64 {
        self.there.keys().next().unwrap_or(&self.next) + at
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Append(gap, count) => {
                let numbers = self.next + gap..self.next + gap + count;
                append(&self.journal, numbers.clone());
                self.next = numbers.end;
                self.there.extend(numbers.clone().map(|number| (number, 0)));
                // After a crash a number may have had another message, which is no more.
                self.log.confirmed.retain(|number| !numbers.contains(number));
                self.log.removed.retain(|number| !numbers.contains(number));
                self.fresh.extend(numbers.clone());
                self.log.appended.extend(numbers);
            }
            Step::Remove(at, count) => {
                let first = self.nth(at);
                let numbers = first..(first + count).min(self.next);
                if !numbers.is_empty() {
                    self.journal.remove(slice::from_ref(&numbers));
                    self.there.retain(|number, _| !numbers.contains(number));
                    self.log.removed.extend(numbers);
                }
            }
            Step::Returned(at, returns) => {
                let number = self.nth(at);
                if let Some(before) = self.there.get_mut(&number) {
                    self.journal.returned(number, returns);
                    *before = returns;
                }
            }
            Step::Delivered(at) => {
                let end = self.nth(at).min(self.next);
                if end > self.delivered {
                    self.journal.delivered(end);
                    self.delivered = end;
                }
            }
            Step::Read(at, bytes) => self.read(self.nth(at), bytes),
            Step::Confirm => {
                stored(&self.store).expect("is stored");
                self.log.confirmed.extend(self.fresh.drain(..));
            }
            Step::Reopen => {
                self.store.close().expect("closes");
                self.log.confirmed.extend(self.fresh.drain(..));
                self.open(self.disk.clone());
                let all = read_by(&self.journal, 0, 500);
                let all = BTreeMap::from_iter(all.iter().map(|stored| (stored.number, stored.returns)));
                assert_eq!(all, self.there);
            }
            Step::Kill => self.crash(self.disk.snapshot().as_it_was()),
            Step::PowerLoss(seed) => self.crash(self.disk.snapshot().after_power_loss(seed)),
        }
    }

    fn open(&mut self, disk: SimulatedDisk) -> Recovered {
        self.disk = disk;
        self.store = open_on(&self.disk).expect("opens");
        let (journal, recovered) = self.store.open_line(1, 0).expect("opens");
        self.journal = journal;
        // It may go on where nothing that is there is repeated.
        assert!(recovered.next <= self.next);
        assert!(
            self.there.keys().next_back().is_none_or(|last| *last < recovered.next || recovered.count == 0)
        );
        self.next = recovered.next;
        recovered
    }

    fn read(&self, from: u64, bytes: usize) {
        let mut found = Vec::new();
        let end = self.journal.read(from, bytes, &mut found).expect("reads");
        assert!(end > from || found.is_empty());
        assert!(found.is_sorted_by_key(|stored| stored.number));
        for stored in &found {
            assert!((from..end).contains(&stored.number));
            assert!(self.there.contains_key(&stored.number) || self.log.removed.contains(&stored.number));
            assert_eq!(stored.message.body(), body(stored.number));
        }
        for number in self.there.range(from..end.max(from)).map(|(number, _)| number) {
            assert!(
                found.iter().any(|stored| stored.number == *number),
                "{number} is left out of {from}..{end}"
            );
        }
    }

    /// Takes for given what the crash left, when it may have.
    fn crash(&mut self, disk: SimulatedDisk) {
        let lost = mem::take(&mut self.there);
        self.open(disk);
        let found = read_by(&self.journal, 0, 500);
        assert!(found.is_sorted_by_key(|stored| stored.number));
        for stored in &found {
            assert!(self.log.appended.contains(&stored.number), "{} was never there", stored.number);
            assert_eq!(stored.message.body(), body(stored.number));
        }
        self.there = found.iter().map(|stored| (stored.number, stored.returns)).collect();
        for number in lost.keys().filter(|number| self.log.confirmed.contains(number)) {
            assert!(self.there.contains_key(number), "{number} was confirmed");
        }
        self.delivered = 0;
        self.fresh.clear();
        self.log.confirmed.retain(|number| self.there.contains_key(number));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_line_holds_what_a_map_holds(steps in vec(step(), 1..60)) {
        let mut test = Test::new();
        steps.iter().for_each(|step| test.take(step));
        test.take(&Step::Reopen);
    }
}
