//! Every operation fails once; and the disk is full.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::power::{Logged, SharedLog, check, new_disk, open_on, work};
use super::*;
use crate::storage::disk::simulated::{
    Fault, SimulatedDisk,
    libc_codes::{EIO, ENOSPC, EROFS},
};

/// Tries again what failed: each failure comes once.
fn insist<T>(mut attempt: impl FnMut() -> Result<T>) -> T {
    attempt().or_else(|_| attempt()).expect("works the second time")
}

#[test]
fn an_operation_that_fails_loses_nothing() {
    let mut at = 0;
    loop {
        let mut reached = false;
        for code in [EIO, ENOSPC, EROFS] {
            let what = format!("operation {at} fails with {code}");
            let disk = new_disk();
            disk.set_fault(Fault::At(at, code));
            let store = insist(|| open_on(&disk));
            let line = Logged { journal: insist(|| store.open_line(1, 0)).0, log: SharedLog::default() };
            work(&store, &line);
            let log = line.log.lock().clone();
            let expected: Vec<u64> = log.appended.difference(&log.removed).copied().collect();
            let there = insist(|| {
                let mut into = Vec::new();
                line.journal.read(0, 1 << 20, &mut into).map(|_| into)
            });
            let there: Vec<u64> = there.iter().map(|stored| stored.number).collect();
            assert_eq!(there, expected, "{what}: before closing");
            drop(line);
            // Fails when it was the last sync that did.
            let _ = store.close();
            reached = disk.operations() > at;

            let disk = disk.snapshot();
            for seed in at * 3..at * 3 + 3 {
                check(&disk.after_power_loss(seed), &log, &what);
            }
            let there = check(&disk.as_it_was(), &log, &what);
            assert_eq!(Vec::from_iter(there), expected, "{what}: after opening again");
        }
        if !reached {
            assert!(at > 50, "{at} operations");
            return;
        }
        at += 1;
    }
}

/// A store with what it says of trouble.
fn troubled(disk: &SimulatedDisk) -> (Messages, Arc<Mutex<Option<String>>>) {
    let trouble = Arc::new(Mutex::new(None));
    let told = trouble.clone();
    let tell = Box::new(move |trouble| *told.lock() = trouble);
    (Messages::open(Arc::new(disk.clone()), "/data".into(), SMALL, tell).expect("opens"), trouble)
}

pub(super) fn until(mut condition: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_full_disk_keeps_publishers_waiting_and_consumers_going() {
    let disk = new_disk();
    let (store, trouble) = troubled(&disk);
    let (journal, _) = store.open_line(1, 0).expect("opens");
    append(&journal, 0..20);
    stored(&store).expect("is stored");
    disk.set_fault(Fault::Full(3000));
    append(&journal, 20..100);
    let confirmed = Arc::new(AtomicBool::new(false));
    let tell = confirmed.clone();
    store.when_stored(Box::new(move |result| tell.store(result.is_ok(), SeqCst)));
    until(|| trouble.lock().is_some());
    assert!(trouble.lock().as_ref().is_some_and(|text| text.contains("No space left")), "{trouble:?}");
    assert_eq!(read(&journal), Vec::from_iter(0..100));
    journal.remove(&[3..4, 90..91]);
    assert!(!confirmed.load(SeqCst));

    disk.set_fault(Fault::None);
    until(|| confirmed.load(SeqCst) && trouble.lock().is_none());
    drop(store);
    let (journal, recovered) = open_on(&disk).expect("opens").open_line(1, 0).expect("opens");
    assert_eq!(recovered.count, 98);
    assert_eq!(read(&journal), Vec::from_iter((0..100).filter(|number| ![3, 90].contains(number))));
}

#[test]
fn settling_messages_makes_room_on_a_full_disk() {
    let disk = new_disk();
    let (store, trouble) = troubled(&disk);
    let (journal, _) = store.open_line(1, 0).expect("opens");
    append(&journal, 0..60);
    stored(&store).expect("is stored");
    disk.set_fault(Fault::Full(0));
    append(&journal, 60..65);
    until(|| trouble.lock().is_some());
    disk.set_fault(Fault::Full(6000));
    journal.remove(slice::from_ref(&(0..50)));
    stored(&store).expect("is stored");
    assert_eq!(*trouble.lock(), None);
    assert_eq!(read(&journal), Vec::from_iter(50..65));
}
