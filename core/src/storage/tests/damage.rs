//! Bytes that changed, files that were cut or removed.

use super::power::{new_disk, open_on};
use super::*;
use crate::storage::disk::simulated::SimulatedDisk;
use crate::storage::format::HEADER;

/// The paths in the folder of queue 1 whose names hold this.
fn paths(disk: &SimulatedDisk, part: &str) -> Vec<PathBuf> {
    let folder = Path::new("/data/queues/1");
    let mut names = disk.list(folder).expect("lists");
    names.retain(|name| name.contains(part));
    names.sort();
    names.iter().map(|name| folder.join(name)).collect()
}

/// A line with messages 0 to 35, in two sealed segments and one that is not.
fn filled() -> SimulatedDisk {
    let disk = new_disk();
    let store = open_on(&disk).expect("opens");
    append(&store.open_line(1, 0).expect("opens").0, 0..36);
    drop(store);
    assert_eq!(paths(&disk, ".segment").len(), 3);
    disk
}

/// What is there, when it is read and when it is opened again; they must be the same.
fn served(disk: &SimulatedDisk, what: &str) -> Vec<u64> {
    let store = open_on(disk).expect("opens");
    let found = read(&store.open_line(1, 0).expect("opens").0);
    drop(store);
    let (journal, recovered) = open_on(disk).expect("opens").open_line(1, 0).expect("opens");
    assert_eq!(recovered.count, found.len() as u64, "{what}");
    assert_eq!(read(&journal), found, "{what}: again");
    found
}

#[test]
fn a_changed_byte_costs_no_more_than_its_message() {
    let whole = filled();
    for path in paths(&whole, ".segment") {
        let size = whole.contents(&path).len();
        for at in 0..size {
            let disk = whole.snapshot().as_it_was();
            let what = format!("byte {at} of {}", path.display());
            disk.spoil(&path, |bytes| bytes[at] ^= 0x40);
            let found = served(&disk, &what);
            let damaged = paths(&disk, "damaged");
            assert!(found.len() >= 35, "{what}: only {found:?} are there");
            if let [copy] = &damaged[..] {
                let name = copy.to_string_lossy();
                let offset: usize =
                    name.rsplit('-').next().and_then(|at| at.parse().ok()).expect("an offset");
                let kept = disk.contents(copy);
                assert_eq!(kept, disk.contents(&path)[offset..offset + kept.len()], "{what}");
                assert!((offset..offset + kept.len()).contains(&at), "{what}");
            } else {
                // A header has a double in the name. When the length of the last record, or of a seal, is larger
                // than the file, it is as if its writing had been broken off.
                assert_eq!(damaged.len(), 0, "{what}");
                assert!(
                    found.len() == 36 || at > HEADER && found == Vec::from_iter(0..35),
                    "{what}: {found:?}"
                );
            }
        }
    }
}

#[test]
fn a_file_that_was_cut_off_serves_what_is_left() {
    let whole = filled();
    let path = &paths(&whole, ".segment")[2];
    let size = whole.contents(path).len();
    for length in 0..size {
        let disk = whole.snapshot().as_it_was();
        disk.spoil(path, |bytes| bytes.truncate(length));
        let found = served(&disk, &format!("{length} bytes"));
        assert_eq!(found, Vec::from_iter(0..found.len() as u64));
        assert!(found.len() >= 20, "{found:?}");
    }
}

#[test]
fn the_rest_of_a_record_that_was_cut_off_is_not_found_behind_a_shorter_one() {
    let disk = filled();
    let path = &paths(&disk, ".segment")[2];
    disk.spoil(path, |bytes| bytes.truncate(bytes.len() - 1));
    let store = open_on(&disk).expect("opens");
    let (journal, recovered) = store.open_line(1, 0).expect("opens");
    assert_eq!(recovered.next, 35);
    journal.append(35, NEVER, &message(b""));
    drop((journal, store));
    let (_, recovered) = open_on(&disk).expect("opens").open_line(1, 0).expect("opens");
    assert_eq!(recovered.count, 36);
    assert_eq!(paths(&disk, "damaged"), Vec::<PathBuf>::new());
}

#[test]
fn zeros_at_the_end_are_no_damage() {
    let disk = filled();
    disk.spoil(&paths(&disk, ".segment")[2], |bytes| bytes.resize(bytes.len() + 5000, 0));
    assert_eq!(served(&disk, "zeros"), Vec::from_iter(0..36));
    assert_eq!(paths(&disk, "damaged"), Vec::<PathBuf>::new());
}

#[test]
fn a_changed_ack_brings_back_no_more_than_its_messages() {
    let disk = filled();
    let store = open_on(&disk).expect("opens");
    let (journal, _) = store.open_line(1, 0).expect("opens");
    journal.remove(&[0..2, 4..5]);
    drop(store);
    let path = &paths(&disk, ".acks")[0];
    let whole = disk.snapshot();
    let rest = Vec::from_iter(5..36);
    for at in 0..32 {
        let disk = whole.as_it_was();
        disk.spoil(path, |bytes| bytes[at] ^= 1);
        let back: &[u64] = if at < 16 { &[0, 1, 2, 3] } else { &[2, 3, 4] };
        assert_eq!(served(&disk, "acks"), [back, &rest].concat(), "byte {at}");
    }
}

#[test]
fn a_removed_file_costs_its_messages_only() {
    for index in 0..3 {
        let disk = filled();
        let store = open_on(&disk).expect("opens");
        let (journal, _) = store.open_line(1, 0).expect("opens");
        let path = &paths(&disk, ".segment")[index];
        disk.remove(path).expect("removes");
        let left = read(&journal);
        assert!((20..36).contains(&left.len()), "{left:?}");
        append(&journal, 36..41);
        stored(&store).expect("is stored");
        drop(store);
        assert_eq!(served(&disk, "removed"), Vec::from_iter(left.into_iter().chain(36..41)));
    }
}

fn check(disk: &SimulatedDisk, repair: bool) -> check::Report {
    check::folder(disk, Path::new("/data/queues/1"), repair).expect("checks")
}

#[test]
fn a_check_counts_what_is_there() {
    let disk = filled();
    let store = open_on(&disk).expect("opens");
    let (journal, _) = store.open_line(1, 0).expect("opens");
    journal.remove(&[0..2, 4..5]);
    drop((journal, store));
    let bytes = bytes(0..36) - bytes([0, 1, 4]);
    let expected = check::Report { segments: 3, messages: 33, bytes, settled: 3, findings: Vec::new() };
    assert_eq!(check(&disk, false), expected);
}

#[test]
fn a_check_names_every_changed_byte_and_mends_it() {
    let whole = filled();
    let store = open_on(&whole).expect("opens");
    let (journal, _) = store.open_line(1, 0).expect("opens");
    journal.remove(&[0..2, 4..5]);
    journal.delivered(9);
    drop((journal, store));
    let (disk, whole) = (whole.clone(), whole.snapshot());
    let paths = [".segment", ".acks", ".delivered"].map(|part| paths(&disk, part)).concat();
    assert_eq!(paths.len(), 5);
    for path in paths {
        for at in 0..disk.contents(&path).len() {
            let what = format!("byte {at} of {}", path.display());
            // The last bytes of header and mark mean nothing.
            let unused = if path.ends_with("000.delivered") { 12..16 } else { 36..40 };
            if unused.contains(&at) && !path.to_string_lossy().ends_with(".acks") {
                continue;
            }
            let disk = whole.as_it_was();
            disk.spoil(&path, |bytes| bytes[at] ^= 0x40);
            let before = check(&disk, false);
            assert!(
                before.findings.iter().any(|finding| finding.file == path),
                "{what}: {:?}",
                before.findings
            );
            let mending = check(&disk, true);
            assert!(mending.findings.iter().all(|finding| finding.mended), "{what}: {:?}", mending.findings);
            let after = check(&disk, false);
            assert_eq!(after, check::Report { findings: Vec::new(), ..before }, "{what}");
            assert_eq!(served(&disk, &what).len() as u64, after.messages, "{what}");
        }
    }
}
