//! Streams and delayed messages that are longer than memory: on the disk only, and as if they were not.

mod delays;

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::kept::{persistent_with, start};
use super::rules::{START, number, text};
use super::shelf::{Ledger, Shelf};
use super::*;
use crate::broker::store::{Journal, Store};
use crate::storage::disk::RealDisk;
use crate::storage::{self, Messages};

/// Far more messages than memory takes.
const MANY: u64 = 1000;
/// Of a message, so that not many are read at a time.
const SIZE: usize = 1000;
/// What may be in memory of a stream with one reader, or of delayed messages.
const FEW: usize = 100;

enum Place {
    Shelf(Arc<Shelf>),
    Disk(tempfile::TempDir),
}

/// A broker that can be started again.
struct Site {
    place: Place,
    store: Arc<dyn Store>,
    ledger: Arc<Ledger>,
    clock: Clock,
    broker: Arc<Broker>,
    channel: Channel,
}

impl Site {
    fn new(place: Place) -> Self {
        let (store, ledger, clock) = (place.open(), Arc::default(), Clock::held(START));
        let (broker, channel, _) = start(store.clone(), &ledger, &clock);
        let mut site = Site { place, store, ledger, clock, broker, channel };
        site.queue("q", &[]);
        site
    }

    fn on_shelf() -> (Self, Arc<Shelf>) {
        let shelf = Arc::<Shelf>::default();
        (Site::new(Place::Shelf(shelf.clone())), shelf)
    }

    fn restart(&mut self) {
        self.store.close().unwrap();
        self.store = self.place.open();
        let (broker, channel, _) = start(self.store.clone(), &self.ledger, &self.clock);
        std::mem::forget(std::mem::replace(&mut self.broker, broker));
        std::mem::forget(std::mem::replace(&mut self.channel, channel));
    }

    fn pass(&self, milliseconds: u64) {
        self.clock.advance(Duration::from_millis(milliseconds));
        self.broker.run_due();
    }

    fn queue(&mut self, name: &str, arguments: &[(&str, Value)]) {
        let mut table = Table::default();
        arguments.iter().for_each(|(name, value)| table.insert(name, value.clone()));
        let options = QueueOptions { durable: true, arguments: table, ..QueueOptions::default() };
        self.channel.declare_queue(name, options).unwrap();
    }

    fn stream(&mut self, arguments: &[(&str, Value)]) {
        let mut all = vec![("x-queue-type", text("stream"))];
        all.extend_from_slice(arguments);
        self.queue("s", &all);
    }

    /// Adds messages to the stream, whose bodies tell their numbers.
    fn fill(&mut self, numbers: std::ops::Range<u64>) {
        numbers.for_each(|number| _ = send(&mut self.channel, "", "s", &body(number)));
    }

    fn delay(&mut self, properties: &[u8], number: u64) {
        let body = body(number);
        let body = Body::Slice(&body);
        let publish = Publish { exchange: "", routing_key: "q", mandatory: false, properties, body };
        let mut wakes = Wakes::default();
        self.channel.publish(publish, &mut wakes).unwrap();
        self.channel.flush(&mut wakes);
    }

    fn reader(&self, offset: Value, prefetch: u16) -> Reader {
        let session = self.broker.open("/", "guest").unwrap();
        let mut channel = channel(&session);
        std::mem::forget(session);
        let mut arguments = Table::default();
        arguments.insert("x-stream-offset", offset);
        channel.qos(0, prefetch, false, &mut Wakes::default()).unwrap();
        let options = ConsumeOptions { queue: "s", arguments, ..ConsumeOptions::default() };
        channel.consume(&options, &mut Wakes::default()).unwrap();
        Reader(channel)
    }

    fn length(&mut self) -> u64 {
        self.channel.check_queue("s").unwrap().messages
    }

    fn in_memory(&self) -> usize {
        self.broker.vhost("/").unwrap().queue("s", 0, "test").unwrap().in_memory()
    }

    /// What waits in the queue.
    fn drain(&mut self) -> Vec<u64> {
        let mut wakes = Wakes::default();
        let got = std::iter::from_fn(|| self.channel.get("q", true, &mut wakes).unwrap());
        got.map(|got| number_of(got.message.body())).collect()
    }
}

impl Place {
    fn open(&self) -> Arc<dyn Store> {
        match self {
            Place::Shelf(shelf) => shelf.clone(),
            Place::Disk(dir) => {
                // Several segments, of which some are full.
                let options = storage::Options { segment_bytes: 300_000, ..storage::Options::default() };
                let trouble = Box::new(|_| ());
                Arc::new(Messages::open(Arc::new(RealDisk), dir.path().into(), options, trouble).unwrap())
            }
        }
    }
}

/// Proves it on a store in memory and on the real one.
fn on_both(prove: impl Fn(Site)) {
    prove(Site::on_shelf().0);
    prove(Site::new(Place::Disk(tempfile::tempdir().unwrap())));
}

fn body(number: u64) -> Vec<u8> {
    number.to_le_bytes().into_iter().cycle().take(SIZE).collect()
}

fn number_of(body: &[u8]) -> u64 {
    u64::from_le_bytes(*body.first_chunk().unwrap())
}

/// A consumer of the stream.
struct Reader(Channel);

impl Reader {
    /// What was delivered: numbers, which are the offsets too.
    fn take(&self) -> Vec<u64> {
        let delivered = take(&self.0);
        let numbers = delivered.iter().map(|delivery| {
            let number = number_of(delivery.message.body());
            let offset = delivery.message.properties().header("x-stream-offset");
            assert_eq!(offset, Some(Value::I64(number as i64)));
            number
        });
        numbers.collect()
    }

    /// Takes what was delivered, and acknowledges it.
    fn step(&mut self) -> Vec<u64> {
        let numbers = self.take();
        if !numbers.is_empty() {
            self.0.settle(&[(0, true)], Settle::Ack, &mut Wakes::default()).unwrap();
        }
        numbers
    }

    fn rest(&mut self) -> Vec<u64> {
        let mut all = Vec::new();
        loop {
            match self.step() {
                some if some.is_empty() => return all,
                some => all.extend(some),
            }
        }
    }
}

fn all(numbers: std::ops::Range<u64>) -> Vec<u64> {
    numbers.collect()
}

#[test]
fn a_stream_is_read_from_its_beginning_in_order_and_little_of_it_is_in_memory() {
    on_both(|mut site| {
        site.stream(&[]);
        site.fill(0..MANY);
        assert!(site.in_memory() < FEW);
        let mut reader = site.reader(text("first"), 10);
        let mut read = Vec::new();
        while read.len() < MANY as usize {
            read.extend(reader.step());
            assert!(site.in_memory() < FEW);
        }
        assert_eq!(read, all(0..MANY));
        assert!(site.in_memory() < 5, "the end is in memory for all");
        assert_eq!(site.length(), MANY);
    });
}

#[test]
fn two_who_are_at_different_places_each_read_all_and_near_each_other_they_share() {
    on_both(|mut site| {
        site.stream(&[]);
        site.fill(0..MANY);
        let (mut first, mut second) = (site.reader(number(0), 7), site.reader(number(700), 10));
        let (mut one, mut two) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            one.extend(first.step());
            two.extend(second.step());
            assert!(site.in_memory() < 2 * FEW);
        }
        one.extend(first.rest());
        two.extend(second.rest());
        assert_eq!((one, two), (all(0..MANY), all(700..MANY)));
        let readers = Vec::from_iter((0..20).map(|_| site.reader(number(3), 10)));
        assert!(site.in_memory() < FEW, "{} readers", readers.len());
    });
}

#[test]
fn who_catches_up_while_publishers_go_on_misses_nothing_and_gets_nothing_twice() {
    on_both(|mut site| {
        site.stream(&[]);
        site.fill(0..300);
        let mut reader = site.reader(text("first"), 5);
        let mut read = Vec::new();
        for number in (300..MANY).step_by(4) {
            site.fill(number..number + 4);
            read.extend(reader.step());
        }
        read.extend(reader.rest());
        assert_eq!(read, all(0..MANY));
    });
}

#[test]
fn offsets_and_times_lead_to_the_same_places_also_after_a_restart() {
    on_both(|mut site| {
        site.stream(&[]);
        for number in 0..MANY {
            site.fill(number..number + 1);
            site.pass(500);
        }
        for restarted in [false, true] {
            if restarted {
                site.restart();
            }
            let first = |offset| site.reader(offset, 1).take();
            for second in [0, 1, 77, 250, 499] {
                assert_eq!(first(Value::Timestamp(START / 1000 + second)), [second * 2]);
            }
            assert_eq!(first(Value::Timestamp(1)), [0]);
            assert!(first(Value::Timestamp(START / 1000 + 500)).is_empty(), "nothing came since");
            assert_eq!(first(text("100s")), [MANY - 200]);
            assert_eq!(first(text("last")), [MANY - 1]);
            assert_eq!(first(number(432)), [432]);
            assert!(first(text("next")).is_empty());
        }
    });
}

#[test]
fn retention_overtakes_a_slow_reader_who_goes_on_with_what_is_left() {
    on_both(|mut site| {
        site.stream(&[("x-max-length-bytes", number(300 * SIZE as i64))]);
        site.fill(0..200);
        let mut reader = site.reader(text("first"), 10);
        assert_eq!(reader.take(), all(0..10));
        site.fill(200..MANY);
        assert_eq!(site.length(), 300);
        reader.0.settle(&[(0, true)], Settle::Ack, &mut Wakes::default()).unwrap();
        assert_eq!(reader.rest(), all(700..MANY));
        site.restart();
        assert_eq!(site.length(), 300);
        site.fill(MANY..MANY + 50);
        assert_eq!(site.length(), 300);
        assert_eq!(site.reader(text("first"), 1000).take(), all(750..MANY + 50));
    });
}

#[test]
fn what_is_too_old_goes_also_when_nobody_publishes_after_a_restart() {
    on_both(|mut site| {
        site.stream(&[("x-max-age", text("1h"))]);
        site.fill(0..500);
        site.pass(1_800_000);
        site.fill(500..MANY);
        site.restart();
        site.pass(1_800_001);
        assert_eq!(site.length(), 500);
        assert_eq!(site.reader(text("first"), 1).take(), [500]);
        site.pass(1_800_000);
        assert_eq!(site.length(), 0);
        site.fill(MANY..MANY + 1);
        assert_eq!(site.reader(text("first"), 1).take(), [MANY]);
    });
}

#[test]
fn opening_a_stream_reads_nothing_and_while_it_cannot_be_read_its_readers_wait() {
    let (mut site, shelf) = Site::on_shelf();
    site.stream(&[]);
    site.fill(0..MANY);
    let line = shelf.line(2, 0);
    line.broken.store(true, Relaxed);
    site.restart();
    assert_eq!(site.length(), MANY);
    site.fill(MANY..MANY + 1);
    let mut reader = site.reader(text("first"), 10);
    let end = site.reader(text("last"), 10);
    assert_eq!((reader.take(), end.take()), (vec![], vec![MANY]));
    line.broken.store(false, Relaxed);
    site.pass(1000);
    assert_eq!(reader.rest(), all(0..MANY + 1));
}

#[test]
fn damaged_messages_are_gaps_for_readers_and_for_retention() {
    let (mut site, shelf) = Site::on_shelf();
    site.stream(&[("x-max-length-bytes", number(MANY as i64 * SIZE as i64))]);
    site.fill(0..MANY);
    site.restart();
    let damaged = [3..5, 100..400, 990..MANY];
    shelf.line(2, 0).remove(&damaged);
    let there = |from: u64| (from..MANY).filter(|number| !damaged.iter().any(|range| range.contains(number)));
    assert_eq!(site.reader(text("first"), 10).rest(), Vec::from_iter(there(0)));
    assert_eq!(site.reader(number(200), 10).rest(), Vec::from_iter(there(200)));
    site.fill(MANY..MANY + 200);
    let left = Vec::from_iter(there(0).chain(MANY..MANY + 200).skip(200));
    assert_eq!(site.reader(text("first"), 10).rest(), left, "200 were too much");
}
