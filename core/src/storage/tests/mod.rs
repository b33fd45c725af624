//! What a store promises.

mod backup;
mod damage;
mod faults;
mod model;
mod origins;
mod power;

use std::mem;
use std::ops::Range;
use std::path::Path;
use std::slice;
use std::sync::mpsc::channel;

use super::disk::RealDisk;
use super::disk::simulated::SimulatedDisk;
use super::*;
use crate::broker::store::Stored;
use crate::message::{Body, Message, route_key};

const NEVER: u64 = u64::MAX;

/// Small segments, so that a few messages fill several; and what takes long takes a moment.
const SMALL: Options =
    Options { segment_bytes: 1000, retry: Duration::from_millis(1), rest: Duration::from_millis(1) };

fn open(dir: &Path) -> Messages {
    Messages::open(Arc::new(RealDisk), dir.to_owned(), SMALL, Box::new(|_| {})).expect("opens")
}

fn message(body: &[u8]) -> Message {
    Message::new(&route_key("amq.topic", "some.key"), &[0x10, 0, 2], Body::Slice(body))
}

/// The body of message `number`: 0 to 99 bytes.
fn body(number: u64) -> Vec<u8> {
    number.to_le_bytes().iter().cycle().take((number % 100) as usize).copied().collect()
}

fn append(journal: &Arc<dyn Journal>, numbers: Range<u64>) {
    for number in numbers {
        journal.append(number, NEVER, &message(&body(number)));
    }
}

fn stored(store: &Messages) -> Result<()> {
    let (tell, told) = channel();
    store.when_stored(Box::new(move |result| tell.send(result).expect("somebody waits")));
    told.recv().expect("the waiter is called")
}

/// All that can be read from `from` on, in pieces of about `bytes` bytes.
fn read_by(journal: &Arc<dyn Journal>, mut from: u64, bytes: usize) -> Vec<Stored> {
    let mut all = Vec::new();
    loop {
        let before = all.len();
        let next = journal.read(from, bytes, &mut all).expect("reads");
        assert!(next >= from);
        if next == from || all.len() == before {
            return all;
        }
        from = next;
    }
}

fn read(journal: &Arc<dyn Journal>) -> Vec<u64> {
    let all = read_by(journal, 0, 700);
    for stored in &all {
        assert_eq!(stored.message.body(), body(stored.number), "the body of {}", stored.number);
        assert_eq!(stored.message.route(), message(&[]).route());
        assert_eq!(stored.message.encoded_properties(), [0x10, 0, 2]);
    }
    all.iter().map(|stored| stored.number).collect()
}

fn bytes(numbers: impl IntoIterator<Item = u64>) -> u64 {
    numbers.into_iter().map(|number| number % 100).sum()
}

fn files(dir: &Path, queue: u64, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir.join("queues").join(queue.to_string())) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("reads").path()).collect();
    files.retain(|path| path.to_string_lossy().contains(extension));
    files.sort();
    files
}

/// Changes the version in a segment's header.
fn set_version(segment: &Path, version: u16) {
    let mut bytes = std::fs::read(segment).expect("reads");
    bytes[8..10].copy_from_slice(&version.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..32]).to_le_bytes();
    bytes[32..36].copy_from_slice(&checksum);
    std::fs::write(segment, bytes).expect("writes");
}

#[test]
fn what_was_appended_is_there_after_opening_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (journal, recovered) = store.open_line(3, 0).expect("opens");
    assert_eq!(recovered, Recovered::default());
    append(&journal, 0..100);
    stored(&store).expect("is stored");
    assert!(files(dir.path(), 3, ".segment").len() > 3);
    drop(store);

    let store = open(dir.path());
    let (journal, recovered) = store.open_line(3, 0).expect("opens");
    assert_eq!(
        recovered,
        Recovered { first: 0, next: 100, end: 100, delivered: 0, count: 100, bytes: bytes(0..100) }
    );
    assert_eq!(read(&journal), Vec::from_iter(0..100));
    append(&journal, 100..105);
    assert_eq!(read(&journal), Vec::from_iter(0..105));
}

#[test]
fn what_is_not_written_yet_is_read_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (journal, _) = store.open_line(1, 0).expect("opens");
    for start in (0..5000).step_by(10) {
        append(&journal, start..start + 10);
        let numbers: Vec<u64> =
            read_by(&journal, start, 1 << 20).iter().map(|stored| stored.number).collect();
        assert_eq!(numbers, Vec::from_iter(start..start + 10));
    }
    assert_eq!(read(&journal), Vec::from_iter(0..5000));
}

#[test]
fn one_message_anywhere_is_read_without_what_stands_before_it() {
    let dir = Path::new("data");
    let disk = SimulatedDisk::with_dir(dir);
    let open = || {
        let options = Options { segment_bytes: 4 << 20, rest: Duration::from_secs(3600), ..SMALL };
        Messages::open(Arc::new(disk.clone()), dir.to_owned(), options, Box::new(|_| {})).expect("opens")
    };
    let store = open();
    let body = [7; 4000];
    let append = |journal: &Arc<dyn Journal>, numbers: Range<u64>| {
        numbers.for_each(|number| journal.append(number, NEVER, &message(&body)));
    };
    append(&store.open_line(1, 0).expect("opens").0, 0..2000);
    drop(store);
    let store = open();
    let (journal, _) = store.open_line(1, 0).expect("opens");
    let reads_of = |number| {
        let (before, mut into) = (disk.operations(), Vec::new());
        assert_eq!(journal.read(number, 1, &mut into).expect("reads"), number + 1);
        assert_eq!(into.iter().map(|stored| stored.number).collect::<Vec<_>>(), [number]);
        disk.operations() - before
    };
    assert!(reads_of(900) > 200, "of a full segment nothing is known before it is read");
    append(&journal, 2000..3000);
    stored(&store).expect("is stored");
    for number in [100, 899, 0, 500, 900, 333, 2900, 2001, 2500] {
        let reads = reads_of(number);
        assert!(reads <= 8, "{reads} reads for message {number}");
    }
}

#[test]
fn settled_messages_stay_away_and_their_segments_go() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (journal, _) = store.open_line(1, 0).expect("opens");
    append(&journal, 0..100);
    stored(&store).expect("is stored");
    let before = files(dir.path(), 1, ".segment").len();
    journal.remove(&[0..40, 50..51, 77..79]);
    stored(&store).expect("is stored");
    store.close().expect("closes");
    assert!(files(dir.path(), 1, ".segment").len() < before);

    let left: Vec<u64> = (40..100).filter(|number| ![50, 77, 78].contains(number)).collect();
    let store = open(dir.path());
    let (journal, recovered) = store.open_line(1, 0).expect("opens");
    assert_eq!((recovered.first, recovered.next), (40, 100));
    assert_eq!((recovered.count, recovered.bytes), (left.len() as u64, bytes(left.iter().copied())));
    assert_eq!(read(&journal), left);
    journal.remove(slice::from_ref(&(0..100)));
    store.close().expect("closes");
    assert_eq!(files(dir.path(), 1, ".segment").len(), 1, "the last one keeps the line's numbers");

    let (_, recovered) = open(dir.path()).open_line(1, 0).expect("opens");
    assert_eq!(recovered, Recovered { first: 100, next: 100, end: 100, ..Recovered::default() });
}

#[test]
fn a_message_that_is_settled_before_it_is_written_is_never_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (journal, _) = store.open_line(1, 0).expect("opens");
    // The committer gathers for longer than this takes; if it did not, the message would be there and settled.
    append(&journal, 0..3);
    journal.remove(slice::from_ref(&(1..2)));
    stored(&store).expect("is stored");
    assert_eq!(read(&journal), [0, 2]);
    drop(store);
    let (journal, recovered) = open(dir.path()).open_line(1, 0).expect("opens");
    assert_eq!((recovered.count, recovered.next), (2, 3));
    assert_eq!(read(&journal), [0, 2]);
}

#[test]
fn gaps_between_numbers_are_no_messages() {
    let dir = tempfile::tempdir().expect("a directory");
    let numbers = [5, 6, 900, 5_000_000, 5_000_001, 1 << 40];
    let store = open(dir.path());
    let (journal, _) = store.open_line(1, 0).expect("opens");
    numbers.iter().for_each(|number| append(&journal, *number..number + 1));
    drop(store);
    let (journal, recovered) = open(dir.path()).open_line(1, 0).expect("opens");
    let expected = Recovered {
        first: 5,
        next: (1 << 40) + 1,
        end: (1 << 40) + 1,
        delivered: 0,
        count: 6,
        bytes: bytes(numbers),
    };
    assert_eq!(recovered, expected);
    assert_eq!(read(&journal), numbers);
}

#[test]
fn numbers_that_were_never_there_do_not_keep_a_segment() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (journal, _) = store.open_line(1, 0).expect("opens");
    let numbers = || (0..200).step_by(4);
    numbers().for_each(|number| append(&journal, number..number + 2));
    stored(&store).expect("is stored");
    assert!(files(dir.path(), 1, ".segment").len() > 5);
    numbers().for_each(|number| journal.remove(slice::from_ref(&(number..number + 2))));
    store.close().expect("closes");
    assert_eq!(files(dir.path(), 1, ".segment").len(), 1);
}

#[test]
fn a_directory_of_version_1_is_read() {
    // Messages 0 to 35, where 0, 1 and 4 are settled, 7 came back twice, and those below 9 were delivered.
    let dir = tempfile::tempdir().expect("a directory");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/storage/tests/version-1");
    let folder = dir.path().join("queues/1");
    std::fs::create_dir_all(&folder).expect("makes it");
    for entry in std::fs::read_dir(kept).expect("is there") {
        let from = entry.expect("reads").path();
        std::fs::copy(&from, folder.join(from.file_name().expect("has a name"))).expect("copies");
    }
    let (journal, recovered) = open(dir.path()).open_line(1, 0).expect("opens");
    let there = Vec::from_iter([2, 3].into_iter().chain(5..36));
    let bytes = bytes(there.iter().copied());
    assert_eq!(recovered, Recovered { first: 2, next: 36, end: 36, delivered: 9, count: 33, bytes });
    assert_eq!(read(&journal), there);
    let returned = read_by(&journal, 7, 1 << 20).swap_remove(0);
    assert_eq!((returned.number, returned.returns, returned.expires), (7, 2, NEVER));
}

#[test]
fn expiry_returns_and_the_mark_of_deliveries_come_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (journal, _) = store.open_line(1, 7).expect("opens");
    journal.append(0, 12345, &message(b""));
    append(&journal, 1..3);
    journal.delivered(2);
    journal.returned(0, 1);
    journal.returned(0, 2);
    journal.returned(2, 9);
    drop(store);
    let (journal, recovered) = open(dir.path()).open_line(1, 7).expect("opens");
    assert_eq!(recovered.delivered, 2);
    let seen: Vec<_> = read_by(&journal, 0, 1 << 20)
        .iter()
        .map(|stored| (stored.number, stored.expires, stored.returns))
        .collect();
    assert_eq!(seen, [(0, 12345, 2), (1, NEVER, 0), (2, NEVER, 9)]);
}

#[test]
fn lines_and_queues_keep_apart() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let places = [(1, 0), (1, 255), (2, 0)];
    for (queue, line) in places {
        let (journal, _) = store.open_line(queue, line).expect("opens");
        append(&journal, queue..queue + u64::from(line) + 1);
    }
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.queues().expect("lists"), [1, 2]);
    for (queue, line) in places {
        let (journal, _) = store.open_line(queue, line).expect("opens");
        assert_eq!(read(&journal), Vec::from_iter(queue..queue + u64::from(line) + 1));
    }
}

#[test]
fn a_deleted_queue_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (journal, _) = store.open_line(1, 0).expect("opens");
    append(&journal, 0..100);
    stored(&store).expect("is stored");
    store.delete_queue(1);
    append(&journal, 100..200);
    journal.delivered(50);
    store.close().expect("closes");
    assert_eq!(files(dir.path(), 1, ""), Vec::<PathBuf>::new());
    assert_eq!(std::fs::read_dir(dir.path().join("trash")).expect("is there").count(), 0);
}

#[test]
fn the_trash_of_an_earlier_process_is_emptied() {
    let dir = tempfile::tempdir().expect("a directory");
    let trash = dir.path().join("trash/9-0");
    std::fs::create_dir_all(&trash).expect("makes it");
    std::fs::write(trash.join("000-0000000000000000-00000000.segment"), "rubbish").expect("writes");
    open(dir.path()).close().expect("closes");
    assert!(!trash.exists());
}

#[test]
fn a_large_message_has_a_segment_of_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (journal, _) = store.open_line(1, 0).expect("opens");
    let large: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    append(&journal, 0..1);
    journal.append(1, NEVER, &message(&large));
    append(&journal, 2..3);
    drop(store);
    assert_eq!(files(dir.path(), 1, ".segment").len(), 3);
    let (journal, _) = open(dir.path()).open_line(1, 0).expect("opens");
    let all = read_by(&journal, 0, 100);
    assert_eq!(all.iter().map(|stored| stored.number).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(all[1].message.body() == large);
}

#[test]
fn a_version_from_the_future_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    append(&store.open_line(1, 0).expect("opens").0, 0..1);
    drop(store);
    set_version(&files(dir.path(), 1, ".segment")[0], 3);
    let error = open(dir.path()).open_line(1, 0).expect_err("is refused");
    assert!(error.to_string().contains("version 3"), "{error}");
}

#[test]
fn that_a_queue_is_deleted_meanwhile_is_no_failure_for_those_of_another() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (journal, _) = store.open_line(1, 0).expect("opens");
    std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            for queue in 2..300 {
                let (journal, _) = store.open_line(queue, 0).expect("opens");
                append(&journal, 0..3);
                store.when_stored(Box::new(drop));
                std::thread::yield_now();
                store.delete_queue(queue);
            }
        });
        for number in 0.. {
            append(&journal, number..number + 1);
            stored(&store).expect("is stored");
            if others.is_finished() {
                break;
            }
        }
    });
}

#[test]
fn what_is_settled_after_it_was_read_ahead_does_not_come() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (journal, _) = store.open_line(1, 0).expect("opens");
    append(&journal, 0..30_000);
    stored(&store).expect("is stored");
    let (mut from, mut all) = (0, Vec::new());
    while from < 30_000 {
        // The first of those that may have been read ahead by now.
        journal.remove(slice::from_ref(&(from..from + 3)));
        stored(&store).expect("is stored");
        from = journal.read(from, 100 << 10, &mut all).expect("reads");
    }
    let numbers: Vec<u64> = all.iter().map(|stored| stored.number).collect();
    assert!(numbers.is_sorted() && numbers.len() < 30_000 && numbers.len() > 29_000);
    assert!(numbers.windows(2).all(|pair| matches!(pair[1] - pair[0], 1 | 4)), "what is left is whole");
    assert_eq!(numbers.first(), Some(&3));
}
