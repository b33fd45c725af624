//! SIGKILL and power loss at every operation of a workload.

use std::collections::BTreeSet;

use super::*;
use crate::storage::disk::simulated::{SimulatedDisk, Snapshot};

/// What was asked of a line, and what was said of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    pub(super) appended: BTreeSet<u64>,
    pub(super) confirmed: BTreeSet<u64>,
    pub(super) removed: BTreeSet<u64>,
    /// Removed, and something that came later was confirmed.
    pub(super) settled: BTreeSet<u64>,
}

pub(super) type SharedLog = Arc<Mutex<Log>>;

pub(super) fn new_disk() -> SimulatedDisk {
    SimulatedDisk::with_dir("/data".as_ref())
}

pub(super) fn open_on(disk: &SimulatedDisk) -> Result<Messages> {
    Messages::open(Arc::new(disk.clone()), "/data".into(), SMALL, Box::new(|_| {}))
}

/// A line of a simulated disk, with the log of what was done to it.
pub(super) struct Logged {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) log: SharedLog,
}

impl Logged {
    pub(super) fn append(&self, numbers: Range<u64>) {
        self.log.lock().appended.extend(numbers.clone());
        append(&self.journal, numbers);
    }

    pub(super) fn remove(&self, numbers: Range<u64>) {
        self.log.lock().removed.extend(numbers.clone());
        self.journal.remove(slice::from_ref(&numbers));
    }

    /// Waits for the disk.
    pub(super) fn confirm(&self, store: &Messages) -> Result<()> {
        let (tell, told) = channel();
        let (log, now) = (self.log.clone(), self.log.lock().clone());
        store.when_stored(Box::new(move |result| {
            if result.is_ok() {
                let mut log = log.lock();
                log.confirmed.extend(now.appended);
                log.settled.extend(now.removed);
            }
            tell.send(result).expect("somebody waits");
        }));
        told.recv().expect("the waiter is called")
    }
}

/// Messages come and go, with and without being waited for; segments fill, die and are renewed.
pub(super) fn work(store: &Messages, line: &Logged) {
    let _ = line.confirm(store);
    line.append(0..3);
    let _ = line.confirm(store);
    line.append(3..30);
    line.journal.delivered(10);
    line.remove(0..2);
    let _ = line.confirm(store);
    line.remove(5..9);
    line.journal.returned(4, 1);
    line.append(32..35);
    let _ = line.confirm(store);
    line.remove(2..25);
    line.remove(33..34);
    let _ = line.confirm(store);
    line.append(35..60);
    line.remove(25..60);
    let _ = line.confirm(store);
    line.append(60..62);
    let _ = line.confirm(store);
}

/// What a line has after a crash: nothing that was confirmed and not settled is missing, nothing is there that was
/// never appended; and it goes on from there.
pub(super) fn check(disk: &SimulatedDisk, log: &Log, what: &str) -> BTreeSet<u64> {
    let store = open_on(disk).expect("opens");
    let (journal, opened) = store.open_line(1, 0).expect("opens");
    let there = compare(&journal, log, what);
    assert!(there.last().is_none_or(|last| *last < opened.next), "{what}: next");
    // A seal may be on the disk while some of what it counts is not; reading finds out.
    assert!(opened.count >= there.len() as u64, "{what}: count");
    drop((journal, store));

    let store = open_on(disk).expect("opens");
    let (journal, recovered) = store.open_line(1, 0).expect("opens");
    let first = there.first().copied().unwrap_or(recovered.next);
    let (count, bytes) = (there.len() as u64, bytes(there.iter().copied()));
    assert_eq!(recovered, Recovered { first, count, bytes, ..opened }, "{what}: when it was read");

    let new = recovered.next..recovered.next + 12;
    append(&journal, new.clone());
    stored(&store).expect("is stored");
    let mut log = log.clone();
    log.appended.extend(new.clone());
    log.confirmed.extend(new);
    let store = open_on(&disk.snapshot().after_power_loss(log.appended.len() as u64)).expect("opens");
    let (journal, _) = store.open_line(1, 0).expect("opens");
    compare(&journal, &log, &format!("{what}, then power lost"));
    there
}

fn compare(journal: &Arc<dyn Journal>, log: &Log, what: &str) -> BTreeSet<u64> {
    let found = read(journal);
    let there = BTreeSet::from_iter(found.iter().copied());
    assert_eq!(Vec::from_iter(there.iter().copied()), found, "{what}: in order");
    let missing: Vec<_> =
        log.confirmed.difference(&log.removed).filter(|number| !there.contains(number)).collect();
    assert!(missing.is_empty(), "{what}: {missing:?} are lost");
    assert!(there.is_subset(&log.appended), "{what}: phantoms in {there:?}");
    there
}

/// What the disk had and what had been said, before each operation.
fn record(disk: &SimulatedDisk, log: &SharedLog) -> Arc<Mutex<Vec<(Snapshot, Log)>>> {
    let moments = Arc::new(Mutex::new(Vec::new()));
    let (log, into) = (log.clone(), moments.clone());
    disk.watch(move |_, snapshot| into.lock().push((snapshot.clone(), log.lock().clone())));
    moments
}

fn moments() -> Vec<(Snapshot, Log)> {
    let disk = new_disk();
    let log = SharedLog::default();
    let moments = record(&disk, &log);
    let store = open_on(&disk).expect("opens");
    let (journal, _) = store.open_line(1, 0).expect("opens");
    let line = Logged { journal, log };
    work(&store, &line);
    drop(line);
    store.close().expect("closes");
    let moments = mem::take(&mut *moments.lock());
    assert!(moments.len() > 50, "{} operations", moments.len());
    moments
}

#[test]
fn sigkill_at_any_operation_loses_nothing_and_brings_nothing_back() {
    for (at, (snapshot, log)) in moments().into_iter().enumerate() {
        let there = check(&snapshot.as_it_was(), &log, &format!("killed at {at}"));
        assert!(there.is_disjoint(&log.settled), "killed at {at}: acks were written");
    }
}

#[test]
fn power_loss_at_any_operation_loses_nothing_that_was_confirmed() {
    for (at, (snapshot, log)) in moments().into_iter().enumerate() {
        for seed in 0..6 {
            let seed = at as u64 * 100 + seed;
            check(&snapshot.after_power_loss(seed), &log, &format!("power lost at {at}, seed {seed}"));
        }
    }
}

#[test]
fn power_loss_during_recovery_loses_nothing_that_was_confirmed() {
    for (at, (snapshot, log)) in moments().into_iter().enumerate().step_by(7) {
        let disk = snapshot.after_power_loss(at as u64);
        let again = record(&disk, &Arc::new(Mutex::new(log)));
        let store = open_on(&disk).expect("opens");
        drop(store.open_line(1, 0).expect("opens"));
        drop(store);
        for (after, (snapshot, log)) in mem::take(&mut *again.lock()).into_iter().enumerate() {
            check(&snapshot.after_power_loss(after as u64), &log, &format!("power lost at {at} and {after}"));
        }
    }
}

#[test]
fn power_loss_under_many_publishers_loses_nothing_that_was_confirmed() {
    const QUEUES: u64 = 6;
    let disk = new_disk();
    let logs: Vec<SharedLog> = (0..QUEUES).map(|_| SharedLog::default()).collect();
    let moments = Arc::new(Mutex::new(Vec::new()));
    let (seen, into) = (logs.clone(), moments.clone());
    disk.watch(move |at, snapshot| {
        if at.is_multiple_of(20) {
            let logs: Vec<Log> = seen.iter().map(|log| log.lock().clone()).collect();
            into.lock().push((snapshot.clone(), logs));
        }
    });
    let store = open_on(&disk).expect("opens");
    std::thread::scope(|scope| {
        for (queue, log) in logs.iter().enumerate() {
            let store = &store;
            scope.spawn(move || {
                let (journal, _) = store.open_line(queue as u64, 0).expect("opens");
                let line = Logged { journal, log: log.clone() };
                for at in 0..60 {
                    line.append(at * 3..at * 3 + 3);
                    line.remove(at.saturating_sub(9)..at.saturating_sub(8));
                    line.confirm(store).expect("is stored");
                }
            });
        }
    });
    drop(store);
    let moments = mem::take(&mut *moments.lock());
    for (at, (snapshot, logs)) in moments.into_iter().enumerate() {
        let store = open_on(&snapshot.after_power_loss(at as u64)).expect("opens");
        for (queue, log) in logs.iter().enumerate() {
            let (journal, _) = store.open_line(queue as u64, 0).expect("opens");
            compare(&journal, log, &format!("queue {queue}, power lost at moment {at}"));
        }
    }
}

#[test]
fn a_line_at_rest_holds_no_file_and_goes_on_when_it_is_needed() {
    let disk = new_disk();
    let store = open_on(&disk).expect("opens");
    // The store and its threads know the disk too.
    let without = disk.open_files();
    let (journal, _) = store.open_line(1, 0).expect("opens");
    for start in [0, 30] {
        append(&journal, start..start + 30);
        journal.delivered(start + 3);
        journal.remove(slice::from_ref(&(start..start + 1)));
        stored(&store).expect("is stored");
        assert_eq!(read(&journal), Vec::from_iter((0..start + 30).filter(|number| number % 30 != 0)));
        super::faults::until(|| disk.open_files() == without);
    }
}
