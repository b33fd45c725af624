//! Copies of a directory in which messages come and go.

use super::power::{Logged, SharedLog, check, new_disk, open_on, work};
use super::*;
use crate::storage::backup::{self, Copied};
use crate::storage::check;
use crate::storage::disk::simulated::{
    Fault, SimulatedDisk,
    libc_codes::{EIO, ENOSPC},
};

/// Copies the messages of a store, without definitions, to `/copy`.
fn copy(disk: &SimulatedDisk, store: &Messages) -> Result<Copied> {
    let _kept = store.shared.folders.keep();
    backup::make("back up", disk, "/copy".as_ref(), &|| Ok(()), |copy| copy.messages(store))
}

/// The same disk where the copy took the place of the store; none when there is no copy.
fn copied(disk: &SimulatedDisk) -> Option<SimulatedDisk> {
    let disk = disk.snapshot().as_it_was();
    disk.open("/copy/format".as_ref()).ok()?;
    for (from, to) in [("/data", "/old"), ("/copy", "/data")] {
        disk.rename(from.as_ref(), to.as_ref()).expect("renames");
    }
    disk.sync_all("/".as_ref()).expect("syncs");
    Some(disk)
}

fn is_clean(disk: &SimulatedDisk, folder: &str) -> bool {
    check::folder(disk, folder.as_ref(), false).expect("reads").findings.is_empty()
}

/// A store in which messages came and went, and with more that nobody waits for.
fn worked(disk: &SimulatedDisk) -> (Messages, Logged) {
    let store = open_on(disk).expect("opens");
    let line = Logged { journal: store.open_line(1, 0).expect("opens").0, log: SharedLog::default() };
    work(&store, &line);
    line.append(62..80);
    line.confirm(&store).expect("is stored");
    line.append(80..90);
    (store, line)
}

#[test]
fn a_copy_is_whole_or_not_there_whenever_the_power_is_lost() {
    for empty in [false, true] {
        whole_or_not_there(empty);
    }
}

/// Into a directory that is there, and into one that is not.
fn whole_or_not_there(empty: bool) {
    let disk = new_disk();
    if empty {
        disk.create_dir("/copy".as_ref()).expect("makes it");
        disk.sync_all("/".as_ref()).expect("syncs");
    }
    let (store, line) = worked(&disk);
    let moments = Arc::new(Mutex::new(Vec::new()));
    let into = moments.clone();
    disk.watch(move |_, snapshot| into.lock().push(snapshot.clone()));
    copy(&disk, &store).expect("copies");
    let log = line.log.lock().clone();
    let mut moments = mem::take(&mut *moments.lock());
    assert!(moments.len() > 20, "{} operations", moments.len());
    moments.push(disk.snapshot());
    let last = moments.len() - 1;
    for (at, snapshot) in moments.into_iter().enumerate() {
        for seed in 0..4 {
            let what = format!("power lost at {at}, seed {seed}");
            let disk = snapshot.after_power_loss(at as u64 * 10 + seed);
            let copied = copied(&disk);
            assert!(copied.is_some() || at < last, "{what}: it was said to be there");
            if let Some(copied) = copied {
                assert!(is_clean(&copied, "/data/queues/1"), "{what}");
                check(&copied, &log, &format!("{what}, the copy"));
            }
            check(&disk, &log, &what);
        }
    }
}

#[test]
fn a_copy_that_fails_is_not_there_and_the_next_one_is() {
    for code in [EIO, ENOSPC] {
        for at in 0.. {
            let what = format!("operation {at} fails with {code}");
            let disk = new_disk();
            let (store, line) = worked(&disk);
            // Nothing but the copy is under way from here on.
            line.confirm(&store).expect("is stored");
            until_at_rest(&disk);
            let begun = disk.operations();
            disk.set_fault(Fault::At(begun + at, code));
            let result = copy(&disk, &store);
            if disk.operations() <= begun + at {
                assert!(at > 20, "{at} operations");
                break;
            }
            disk.set_fault(Fault::None);
            if result.is_err() && copied(&disk).is_none() {
                copy(&disk, &store).unwrap_or_else(|error| panic!("{what}: {error}"));
            }
            let copied = copied(&disk).expect("is there");
            assert!(is_clean(&copied, "/data/queues/1"), "{what}");
            check(&copied, &line.log.lock(), &what);
        }
    }
}

/// Waits until the line holds no files: the committer has nothing more to do.
fn until_at_rest(disk: &SimulatedDisk) {
    let mut before = 0;
    super::faults::until(|| {
        std::thread::sleep(Duration::from_millis(5));
        mem::replace(&mut before, disk.operations()) == disk.operations()
    });
}

#[test]
fn a_copy_has_what_was_confirmed_before_and_each_line_as_it_was_at_one_moment() {
    const QUEUES: u64 = 4;
    let disk = new_disk();
    let store = open_on(&disk).expect("opens");
    let logs: Vec<SharedLog> = (0..QUEUES).map(|_| SharedLog::default()).collect();
    let (enough, stop) = (Mutex::new(0), std::sync::atomic::AtomicBool::new(false));
    let (before, copied) = std::thread::scope(|scope| {
        for (queue, log) in logs.iter().enumerate() {
            let (store, stop, enough) = (&store, &stop, &enough);
            scope.spawn(move || {
                let (journal, _) = store.open_line(queue as u64, 0).expect("opens");
                let line = Logged { journal, log: log.clone() };
                for at in 0.. {
                    line.append(at * 3..at * 3 + 3);
                    line.remove(at.saturating_sub(9)..at.saturating_sub(8));
                    line.confirm(store).expect("is stored");
                    *enough.lock() += 1;
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        super::faults::until(|| *enough.lock() > 200);
        let before: Vec<_> = logs.iter().map(|log| log.lock().clone()).collect();
        copy(&disk, &store).expect("copies");
        let copied = copied(&disk).expect("is there");
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        (before, copied)
    });
    let store = open_on(&copied).expect("opens");
    for (queue, before) in before.iter().enumerate() {
        assert!(is_clean(&copied, &format!("/data/queues/{queue}")));
        let there = read(&store.open_line(queue as u64, 0).expect("opens").0);
        let after = logs[queue].lock();
        let confirmed = before.confirmed.difference(&after.removed);
        assert!(confirmed.clone().all(|number| there.contains(number)), "queue {queue}: {there:?}");
        // All that was appended up to the last one, but for what was settled.
        let end = there.last().copied().unwrap_or(0);
        let settled = (0..=end).filter(|number| !there.contains(number));
        assert!(settled.clone().all(|number| after.removed.contains(&number)), "queue {queue}: {there:?}");
        assert!(before.settled.iter().all(|number| !there.contains(number)), "queue {queue}: {there:?}");
    }
}

#[test]
fn files_that_are_given_up_meanwhile_are_in_the_copy() {
    let disk = new_disk();
    let store = open_on(&disk).expect("opens");
    let (journal, _) = store.open_line(1, 0).expect("opens");
    append(&journal, 0..100);
    stored(&store).expect("is stored");
    let once = std::sync::Once::new();
    let go_on = || {
        // After the moment: all segments but the last are given up, and then the queue.
        once.call_once(|| {
            journal.remove(slice::from_ref(&(0..100)));
            stored(&store).expect("is stored");
            store.delete_queue(1);
            std::thread::sleep(Duration::from_millis(20)); // time to go wrong
        });
        Ok(())
    };
    let kept = store.shared.folders.keep();
    backup::make("back up", &disk, "/copy".as_ref(), &go_on, |copy| copy.messages(&store)).expect("copies");
    drop(kept);
    store.close().expect("closes");
    assert!(disk.list("/data/queues".as_ref()).expect("lists").is_empty());
    let copied = copied(&disk).expect("is there");
    assert!(is_clean(&copied, "/data/queues/1"));
    assert_eq!(
        read(&open_on(&copied).expect("opens").open_line(1, 0).expect("opens").0),
        Vec::from_iter(0..100)
    );
}

#[test]
fn a_copy_shares_what_is_sealed_and_does_not_change_with_what_was_copied() {
    let dir = tempfile::tempdir().expect("a directory");
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    std::fs::create_dir(&source).expect("makes it");
    let store = open(&source);
    let (journal, _) = store.open_line(1, 0).expect("opens");
    append(&journal, 0..100);
    stored(&store).expect("is stored");
    let copied = backup::make("back up", &RealDisk, &target, &|| Ok(()), |copy| copy.messages(&store))
        .expect("copies");
    assert_eq!(copied.shared, files(&source, 1, ".segment").len() as u64 - 1, "all but the last");
    append(&journal, 100..200);
    journal.remove(slice::from_ref(&(0..150)));
    stored(&store).expect("is stored");
    drop((journal, store));

    let store = open(&target);
    let (journal, recovered) = store.open_line(1, 0).expect("opens");
    assert_eq!((recovered.first, recovered.next, recovered.count), (0, 100, 100));
    append(&journal, 100..110);
    assert_eq!(read(&journal), Vec::from_iter(0..110));
    drop((journal, store));
    let (journal, _) = open(&source).open_line(1, 0).expect("opens");
    assert_eq!(read(&journal), Vec::from_iter(150..200));
}

#[test]
fn a_directory_with_something_in_it_is_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("letter.txt"), "").expect("writes");
    let error =
        backup::make("back up", &RealDisk, dir.path(), &|| Ok(()), |_| Ok(())).expect_err("is refused");
    assert_eq!(error.kind(), Kind::PreconditionFailed);
    assert_eq!(dir.path().read_dir().expect("reads").count(), 1);
}
