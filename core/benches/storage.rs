//! What keeping messages costs: `cargo bench --bench storage -- [MESSAGES]`, by default a million of 128 bytes.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use warrenmq::broker::store::{Journal, Store};
use warrenmq::message::{Body, Message, route_key};
use warrenmq::storage::disk::RealDisk;
use warrenmq::storage::{Messages, Options};

fn open(dir: &Path) -> Messages {
    Messages::open(Arc::new(RealDisk), dir.to_owned(), Options::default(), Box::new(|_| {})).expect("opens")
}

fn store(store: &Messages) {
    let (tell, told) = channel();
    store.when_stored(Box::new(move |result| tell.send(result).expect("somebody waits")));
    told.recv().expect("is called").expect("is stored");
}

fn tell(what: &str, count: u64, took: Duration) {
    let each = took.as_nanos() as f64 / count as f64;
    println!("{what:<44} {:>9.3} s  {each:>9.1} ns each  {:>9.2} M/s", took.as_secs_f64(), 1e3 / each);
}

fn read(journal: &dyn Journal, count: u64) {
    let (mut from, mut into, mut found) = (0, Vec::new(), 0);
    while from < count {
        from = journal.read(from, 256 << 10, &mut into).expect("reads");
        found += into.len() as u64;
        into.clear();
    }
    assert_eq!(found, count);
}

fn main() {
    let count = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let message = Message::new(&route_key("", "tasks"), &[0x10, 0, 2], Body::Slice(&[7; 128]));

    let messages = open(dir.path());
    let (journal, _) = messages.open_line(1, 0).expect("opens");
    let begun = Instant::now();
    (0..count).for_each(|number| journal.append(number, u64::MAX, &message));
    tell("append", count, begun.elapsed());
    messages.close().expect("closes");
    tell("append, write and sync", count, begun.elapsed());
    drop((journal, messages));

    let begun = Instant::now();
    let messages = open(dir.path());
    let (journal, recovered) = messages.open_line(1, 0).expect("opens");
    tell("open", recovered.count, begun.elapsed());
    assert_eq!(recovered.count, count);

    let begun = Instant::now();
    read(&*journal, count);
    tell("read back", count, begun.elapsed());

    let begun = Instant::now();
    for number in 0..count {
        journal.remove(std::slice::from_ref(&(number..number + 1)));
    }
    tell("remove", count, begun.elapsed());
    messages.close().expect("closes");
    tell("remove, and give the space back", count, begun.elapsed());
    drop((journal, messages));

    let messages = open(dir.path());
    let (journal, recovered) = messages.open_line(2, 0).expect("opens");
    for window in [1, 100, 500, 5000] {
        let (begun, rounds) = (Instant::now(), 300);
        for round in 0..rounds {
            let first = recovered.next + (window << 32) + round * window;
            (first..first + window).for_each(|number| journal.append(number, u64::MAX, &message));
            store(&messages);
        }
        tell(&format!("append and wait for the disk, {window} at a time"), rounds * window, begun.elapsed());
    }
}
