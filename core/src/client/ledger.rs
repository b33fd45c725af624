//! Which deliveries of a channel still have to be settled, and with how few frames that is done.

use std::collections::BTreeSet;

use smallvec::SmallVec;

/// Delivery tags to settle: each alone, or with true all up to it.
pub(super) type Tags = SmallVec<[(u64, bool); 4]>;

/// The delivery tags of one channel: consecutive numbers, given by the broker.
///
/// Every frame costs a client and its broker time, so runs of acknowledgements are
/// merged into one with `multiple`. That settles all tags up to it, also those of deliveries that are still on
/// their way to a mailbox; hence `seen`.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Delivered and not settled.
    open: BTreeSet<u64>,
    /// Every delivery up to this tag has been noted.
    seen: u64,
    /// Those noted beyond: consumers of one channel are served side by side.
    ahead: BTreeSet<u64>,
    /// What needs settling up to this tag was requeued; who finds such a delivery is to drop it.
    requeued: u64,
    /// On a transactional channel, what was settled since the last commit or rollback.
    uncommitted: Option<BTreeSet<u64>>,
}

impl Ledger {
    /// Notes a delivery. False when it was requeued meanwhile, and will come again.
    pub(super) fn deliver(&mut self, tag: u64, no_ack: bool) -> bool {
        if tag == self.seen + 1 {
            self.seen = tag;
            while self.ahead.remove(&(self.seen + 1)) {
                self.seen += 1;
            }
        } else {
            self.ahead.insert(tag);
        }
        if no_ack {
            return true;
        }
        if tag <= self.requeued {
            return false;
        }
        self.open.insert(tag);
        true
    }

    /// Settles tags; what to send for them.
    ///
    /// A tag that is not open is sent as it is: to object is the broker's business.
    pub(super) fn settle(&mut self, tags: &[(u64, bool)]) -> Tags {
        let before = self.uncommitted.as_ref().map(|_| self.open.clone());
        let frames = self.frames(tags);
        if let (Some(before), Some(uncommitted)) = (before, &mut self.uncommitted) {
            uncommitted.extend(before.difference(&self.open));
        }
        frames
    }

    /// From now on what is settled can be taken back.
    pub(super) fn begin(&mut self) {
        self.uncommitted = Some(BTreeSet::new());
    }

    /// Whether what is settled can be taken back.
    pub(super) fn is_transactional(&self) -> bool {
        self.uncommitted.is_some()
    }

    /// What was settled since the last commit is open again.
    pub(super) fn roll_back(&mut self) {
        self.open.extend(self.uncommitted.replace(BTreeSet::new()).into_iter().flatten());
    }

    fn frames(&mut self, tags: &[(u64, bool)]) -> Tags {
        let mut frames = Tags::new();
        // The last tag of a run that began with the oldest open one, and how long it is.
        let mut run = (0, 0);
        for &(tag, multiple) in tags {
            if !multiple && tag <= self.seen && self.open.first() == Some(&tag) {
                self.open.pop_first();
                run = (tag, run.1 + 1);
                continue;
            }
            flush(&mut run, &mut frames);
            match (multiple, tag) {
                (false, _) => {
                    self.open.remove(&tag);
                    frames.push((tag, false));
                }
                // At the wire 0 means all, also what is on its way and not noted yet.
                (true, 0) => frames.extend(self.settle_all().map(|last| (last, true))),
                (true, _) => {
                    self.open = self.open.split_off(&(tag + 1));
                    frames.push((tag, true));
                }
            }
        }
        flush(&mut run, &mut frames);
        frames
    }

    /// Notes that everything is requeued; the tag up to which to say so, if there is anything.
    pub(super) fn requeue_all(&mut self) -> Option<u64> {
        let last = self.settle_all()?;
        self.requeued = last;
        Some(last)
    }

    /// Notes that the broker has forgotten everything; the last tag that there was.
    pub(super) fn void(&mut self) -> u64 {
        self.open.clear();
        self.seen = self.ahead.pop_last().unwrap_or(0).max(self.seen);
        self.ahead.clear();
        self.seen
    }

    fn settle_all(&mut self) -> Option<u64> {
        std::mem::take(&mut self.open).pop_last()
    }
}

fn flush(run: &mut (u64, usize), frames: &mut Tags) {
    let (last, length) = std::mem::take(run);
    if length > 0 {
        frames.push((last, length > 1));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delivered(tags: impl IntoIterator<Item = u64>) -> Ledger {
        let mut ledger = Ledger::default();
        for tag in tags {
            assert!(ledger.deliver(tag, false));
        }
        ledger
    }

    fn alone(tags: &[u64]) -> Vec<(u64, bool)> {
        tags.iter().map(|tag| (*tag, false)).collect()
    }

    #[test]
    fn a_run_from_the_oldest_on_is_one_frame() {
        let mut ledger = delivered(1..=6);
        assert_eq!(ledger.settle(&alone(&[1, 2, 3])).as_slice(), [(3, true)]);
        assert_eq!(ledger.settle(&alone(&[5, 4, 6])).as_slice(), [(5, false), (6, true)]);
    }

    #[test]
    fn a_gap_ends_the_run() {
        let mut ledger = delivered(1..=5);
        assert_eq!(ledger.settle(&alone(&[1, 2, 4, 5])).as_slice(), [(2, true), (4, false), (5, false)]);
        assert_eq!(ledger.settle(&alone(&[3])).as_slice(), [(3, false)]);
    }

    #[test]
    fn what_was_not_seen_yet_is_not_swept_along() {
        let mut ledger = delivered([1, 3, 4]);
        assert_eq!(ledger.settle(&alone(&[1, 3, 4])).as_slice(), [(1, false), (3, false), (4, false)]);
        assert!(ledger.deliver(2, false));
        assert!(ledger.deliver(5, false));
        assert_eq!(ledger.settle(&alone(&[2, 5])).as_slice(), [(5, true)]);
    }

    #[test]
    fn deliveries_without_acknowledgement_do_not_break_a_run() {
        let mut ledger = delivered([1]);
        assert!(ledger.deliver(2, true));
        assert!(ledger.deliver(3, false));
        assert_eq!(ledger.settle(&alone(&[1, 3])).as_slice(), [(3, true)]);
    }

    #[test]
    fn all_means_up_to_the_last_and_nothing_when_there_is_none() {
        let mut ledger = delivered(1..=3);
        assert_eq!(ledger.settle(&[(0, true)]).as_slice(), [(3, true)]);
        assert!(ledger.settle(&[(0, true)]).is_empty());
    }

    #[test]
    fn a_rollback_opens_again_what_was_settled_since_the_commit() {
        let mut ledger = delivered(1..=5);
        ledger.begin();
        ledger.settle(&alone(&[1]));
        ledger.begin();
        ledger.settle(&alone(&[2, 4]));
        ledger.roll_back();
        assert_eq!(ledger.settle(&alone(&[3, 5])).as_slice(), [(3, false), (5, false)]);
        assert_eq!(ledger.settle(&alone(&[2, 4])).as_slice(), [(4, true)]);
    }

    #[test]
    fn what_was_requeued_before_it_was_seen_is_dropped() {
        let mut ledger = delivered([1, 3]);
        assert_eq!(ledger.requeue_all(), Some(3));
        assert!(!ledger.deliver(2, false));
        assert!(ledger.deliver(4, false));
        assert_eq!(ledger.requeue_all(), Some(4));
        assert_eq!(ledger.requeue_all(), None);
    }

    proptest! {
        /// The broker's side: it forgets what each frame settles.
        #[test]
        fn the_frames_settle_exactly_what_was_asked_for(
            order in Just((1..=24u64).collect::<Vec<_>>()).prop_shuffle(),
            noted in 0..=24usize,
            batches in prop::collection::vec(1..6usize, 1..12),
        ) {
            let mut at_broker: BTreeSet<u64> = (1..=24).collect();
            let mut ledger = delivered((1..=24u64).filter(|tag| *tag as usize <= noted || tag % 3 == 0));
            let mut asked: Vec<u64> = order.into_iter().filter(|tag| ledger.open.contains(tag)).collect();
            for size in batches {
                let mut batch: Vec<u64> = asked.drain(..size.min(asked.len())).collect();
                if size % 2 == 0 {
                    batch.sort_unstable();
                }
                let mut expected = at_broker.clone();
                batch.iter().for_each(|tag| { expected.remove(tag); });
                for (tag, multiple) in ledger.settle(&alone(&batch)) {
                    prop_assert!(at_broker.contains(&tag));
                    match multiple {
                        true => at_broker = at_broker.split_off(&(tag + 1)),
                        false => { at_broker.remove(&tag); }
                    }
                }
                prop_assert_eq!(&at_broker, &expected);
            }
        }
    }
}
