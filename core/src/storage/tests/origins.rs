//! What a line knows of the publishes that its messages came by.

use std::time::SystemTime;

use super::power::{new_disk, open_on};
use super::*;
use crate::broker::store::{Origin, Origins};

const LONG_AGO: SystemTime = SystemTime::UNIX_EPOCH;

fn origin(publisher: u64, sequence: u64) -> Origin {
    Origin { publisher: publisher.try_into().expect("not 0"), sequence }
}

/// A message that came by this publish.
fn by(origin: Origin, body: &[u8]) -> Message {
    let plain = message(body);
    Message::by(Some(origin), false, plain.route(), plain.encoded_properties(), plain.shared_body())
}

/// Appends messages whose origins are their numbers, of this publisher.
fn append_by(publisher: u64, journal: &Arc<dyn Journal>, numbers: Range<u64>) {
    for number in numbers {
        journal.append(number, NEVER, &by(origin(publisher, number), &body(number)));
    }
}

fn origins(store: &Messages) -> Arc<dyn Origins> {
    store.open_line(1, 0).expect("opens").0.origins()
}

#[test]
fn what_was_stored_is_known_by_its_origin_also_when_it_is_settled() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (journal, _) = store.open_line(1, 0).expect("opens");
    append_by(7, &journal, 1..60);
    append(&journal, 60..100);
    stored(&store).expect("is stored");
    let settled = 58; // not the last of its segment
    journal.remove_one(settled);
    drop((journal, store));

    let store = open(dir.path());
    let (journal, _) = store.open_line(1, 0).expect("opens");
    let there: Vec<u64> = read(&journal);
    assert!(there.len() == 98 && !there.contains(&settled), "messages are read without their origins");
    let origins = origins(&store);
    let known = |origin| origins.contain(origin, 0, LONG_AGO).expect("reads");
    assert!((1..60).rev().all(|sequence| known(origin(7, sequence))));
    assert!(!known(origin(7, 60)) && !known(origin(8, 1)));
}

#[test]
fn no_more_is_read_than_could_have_it() {
    let disk = new_disk();
    let store = open_on(&disk).expect("opens");
    append_by(7, &store.open_line(1, 0).expect("opens").0, 1..500);
    drop(store);

    let store = open_on(&disk).expect("opens");
    let origins = origins(&store);
    let before = disk.operations();
    assert!(origins.contain(origin(7, 499), 498, LONG_AGO).expect("reads"));
    assert!(!origins.contain(origin(7, 500), 498, LONG_AGO).expect("reads"));
    let last = disk.operations() - before;
    assert!(!origins.contain(origin(8, 1), 0, SystemTime::now()).expect("reads"));
    assert!(!origins.contain(origin(8, 1), 0, LONG_AGO).expect("reads"));
    let all = disk.operations() - before;
    assert!(last < 10 && all > 10 * last, "{last} operations for the last segment, {all} for all");
    assert!(origins.contain(origin(7, 1), 0, LONG_AGO).expect("reads"));
    assert_eq!(disk.operations() - before, all, "what was read is remembered");
}

#[test]
fn a_segment_that_was_not_written_to_since_is_not_looked_at() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    append_by(7, &store.open_line(1, 0).expect("opens").0, 1..2);
    drop(store);
    let store = open(dir.path());
    let hour = Duration::from_secs(3600);
    assert!(!origins(&store).contain(origin(7, 1), 0, SystemTime::now() + hour).expect("reads"));
    assert!(origins(&store).contain(origin(7, 1), 0, SystemTime::now() - hour).expect("reads"));
}

#[test]
fn what_is_found_is_on_the_disk_when_it_is_confirmed() {
    let disk = new_disk();
    // Another process has written, not synced, and was killed.
    let store = open_on(&disk).expect("opens");
    append_by(7, &store.open_line(1, 0).expect("opens").0, 1..30);
    let unsynced = loop {
        let unsynced = disk.snapshot();
        let store = open_on(&unsynced.as_it_was()).expect("opens");
        if read(&store.open_line(1, 0).expect("opens").0).len() == 29 {
            break unsynced;
        }
    };
    let lost = |disk: &SimulatedDisk| {
        (0..8).any(|seed| {
            let store = open_on(&disk.snapshot().after_power_loss(seed)).expect("opens");
            read(&store.open_line(1, 0).expect("opens").0).len() < 29
        })
    };
    let disk = unsynced.as_it_was();
    assert!(lost(&disk), "it is not on the disk yet");
    let store = open_on(&disk).expect("opens");
    let origins = origins(&store);
    assert!((1..30).all(|sequence| origins.contain(origin(7, sequence), 0, LONG_AGO).expect("reads")));
    stored(&store).expect("is stored");
    assert!(!lost(&disk));
}

#[test]
fn nothing_is_added_to_a_segment_of_version_1() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    append(&store.open_line(1, 0).expect("opens").0, 0..3);
    drop(store);
    set_version(&files(dir.path(), 1, ".segment")[0], 1);

    let store = open(dir.path());
    let (journal, _) = store.open_line(1, 0).expect("opens");
    append_by(7, &journal, 3..4);
    drop((journal, store));
    assert_eq!(files(dir.path(), 1, ".segment").len(), 2);
    let store = open(dir.path());
    assert_eq!(read(&store.open_line(1, 0).expect("opens").0), [0, 1, 2, 3]);
    assert!(origins(&store).contain(origin(7, 3), 0, LONG_AGO).expect("reads"));
}

#[test]
fn what_was_sent_again_says_so_after_opening_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (journal, _) = store.open_line(1, 0).expect("opens");
    for (number, origin) in [(0, None), (1, Some(origin(7, 1)))] {
        let again = Message::by(origin, true, &route_key("", "q"), &[0x10, 0, 2], Body::Slice(b"x"));
        journal.append(number, NEVER, &again);
    }
    append(&journal, 2..3);
    drop((journal, store));
    let store = open(dir.path());
    let (journal, _) = store.open_line(1, 0).expect("opens");
    let all = read_by(&journal, 0, 1 << 20);
    let said: Vec<_> = all.iter().map(|stored| stored.message.is_sent_again()).collect();
    assert_eq!(said, [true, true, false]);
    assert_eq!(all[1].message.body(), b"x");
    let origins: Vec<_> = all.iter().map(|stored| stored.message.origin()).collect();
    assert_eq!(origins, [None, Some(origin(7, 1)), None]);
}
