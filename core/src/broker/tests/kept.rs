//! What durable queues keep: confirmed when it is on the disk, there again after a restart, and not all in memory.

use super::rules::{START, text};
use super::shelf::{Ledger, Shelf};
use super::*;
use crate::broker::store::Store;
use crate::broker::{Confirmed, Wakes};

/// A broker that can be killed and started again.
struct Site {
    shelf: Arc<Shelf>,
    ledger: Arc<Ledger>,
    clock: Clock,
    broker: Arc<Broker>,
    channel: Channel,
    reader: Channel,
}

const PERSISTENT: &[u8] = &[0x10, 0x00, 2];
/// Small, so that a few messages are many.
const BUDGET: usize = 2_000;

impl Site {
    fn new() -> Self {
        let (shelf, ledger) = <(Arc<Shelf>, Arc<Ledger>)>::default();
        let clock = Clock::held(START);
        let (broker, channel, reader) = start(shelf.clone(), &ledger, &clock);
        Site { shelf, ledger, clock, broker, channel, reader }
    }

    /// Kills the broker: what it had in memory only is gone.
    fn restart(&mut self) {
        let (broker, channel, reader) = start(self.shelf.clone(), &self.ledger, &self.clock);
        std::mem::forget(std::mem::replace(&mut self.broker, broker));
        std::mem::forget(std::mem::replace(&mut self.channel, channel));
        std::mem::forget(std::mem::replace(&mut self.reader, reader));
    }

    fn queue(&mut self, name: &str, arguments: &[(&str, Value)]) {
        let mut table = Table::default();
        for (name, value) in arguments {
            table.insert(name, value.clone());
        }
        let options = QueueOptions { durable: true, arguments: table, ..QueueOptions::default() };
        self.channel.declare_queue(name, options).unwrap();
    }

    fn send(&mut self, queue: &str, body: &[u8]) {
        self.send_as(PERSISTENT, queue, body);
    }

    fn send_as(&mut self, properties: &[u8], routing_key: &str, body: &[u8]) {
        let publish =
            Publish { exchange: "", routing_key, mandatory: false, properties, body: Body::Slice(body) };
        let mut wakes = Wakes::default();
        self.channel.publish(publish, &mut wakes).unwrap();
        self.channel.flush(&mut wakes);
    }

    fn consume(&mut self, queue: &str, no_ack: bool) {
        let options = ConsumeOptions { queue, no_ack, ..ConsumeOptions::default() };
        self.reader.consume(&options, &mut Wakes::default()).unwrap();
    }

    /// What is there, in order: body, and whether it was delivered before.
    fn drain(&mut self, queue: &str) -> Vec<(Vec<u8>, bool)> {
        let mut wakes = Wakes::default();
        let got = std::iter::from_fn(|| self.channel.get(queue, true, &mut wakes).unwrap());
        got.map(|got| (got.message.body().to_vec(), got.redelivered)).collect()
    }

    fn bodies(&mut self, queue: &str) -> Vec<Vec<u8>> {
        self.drain(queue).into_iter().map(|(body, _)| body).collect()
    }

    fn waiting(&mut self, queue: &str) -> u64 {
        self.channel.check_queue(queue).unwrap().messages
    }

    fn events(&mut self) -> Vec<Confirmed> {
        let mut events = Vec::new();
        self.channel.outbox().take(usize::MAX, &mut events, &mut Wakes::default());
        let confirmed = events.into_iter().filter_map(|event| match event {
            Event::Confirmed(confirmed) => Some(*confirmed),
            _ => None,
        });
        confirmed.collect()
    }
}

/// A broker with what is kept, and two channels.
pub(super) fn start(
    store: Arc<dyn Store>,
    ledger: &Arc<Ledger>,
    clock: &Clock,
) -> (Arc<Broker>, Channel, Channel) {
    let options =
        Options { store: Some(store), clock: clock.clone(), queue_memory: BUDGET, ..Options::default() };
    let new = ledger.is_empty();
    let broker = Broker::restore(options, ledger.clone()).unwrap();
    if new {
        broker.furnish().unwrap();
    }
    let session = broker.open("/", "guest").unwrap();
    let channels = (channel(&session), channel(&session));
    std::mem::forget(session); // lives as long as the broker
    (broker, channels.0, channels.1)
}

/// The properties of a persistent message with this header.
pub(super) fn persistent_with(header: &str, value: Value) -> bytes::BytesMut {
    let mut headers = Table::default();
    headers.insert(header, value);
    let properties = crate::wire::Properties {
        headers: Some(headers),
        delivery_mode: Some(2),
        ..crate::wire::Properties::default()
    };
    let mut encoded = bytes::BytesMut::new();
    properties.encode(&mut encoded);
    encoded
}

fn numbered(range: std::ops::Range<u8>) -> Vec<Vec<u8>> {
    range.map(|number| vec![number]).collect()
}

#[test]
fn persistent_messages_are_there_again_in_order_and_transient_ones_are_not() {
    let mut site = Site::new();
    site.queue("q", &[]);
    for number in 0..6 {
        let properties = if number % 3 == 1 { &[0, 0] } else { PERSISTENT };
        site.send_as(properties, "q", &[number]);
    }
    site.restart();
    assert_eq!(site.waiting("q"), 4);
    assert_eq!(site.drain("q"), [0, 2, 3, 5].map(|number| (vec![number], false)));
    assert_eq!(site.shelf.len(), 0, "what was taken is forgotten");
}

#[test]
fn what_was_acknowledged_is_gone_and_what_was_delivered_comes_again_as_redelivered() {
    let mut site = Site::new();
    site.queue("q", &[]);
    (0..6).for_each(|number| site.send("q", &[number]));
    site.reader.qos(0, 4, false, &mut Wakes::default()).unwrap();
    site.consume("q", false);
    assert_eq!(take(&site.reader).len(), 4);
    site.reader.settle(&[(2, false), (4, false)], Settle::Ack, &mut Wakes::default()).unwrap();
    assert_eq!(take(&site.reader).len(), 2);
    site.reader.settle(&[(6, false)], Settle::Ack, &mut Wakes::default()).unwrap();
    site.restart();
    assert_eq!(site.drain("q"), [0, 2, 4].map(|number| (vec![number], true)));
}

#[test]
fn where_each_message_is_delivered_as_it_comes_the_disk_need_not_be_told_each_time() {
    let mut site = Site::new();
    site.queue("q", &[]);
    site.consume("q", false);
    (0..100).for_each(|number| site.send("q", &[number]));
    assert_eq!(take(&site.reader).len(), 100);
    let marks = site.shelf.first_line().marks.load(Relaxed);
    assert!(marks < 20, "{marks} marks");

    // What comes when nobody takes it any more is not taken for delivered.
    site.reader.close(&mut Wakes::default());
    site.send("q", &[100]);
    site.restart();
    let expected = (0..101).map(|number| (vec![number], number < 100));
    assert_eq!(site.drain("q"), expected.collect::<Vec<_>>());
    site.send("q", &[101]);
    site.restart();
    assert_eq!(site.drain("q"), [(vec![101], false)]);
}

#[test]
fn what_was_delivered_before_a_restart_stays_marked_as_long_as_it_is_there() {
    let mut site = Site::new();
    site.queue("q", &[]);
    site.consume("q", false);
    // So much that it is not all read at once.
    let bodies: Vec<Vec<u8>> = (0..10).map(|number| vec![number; 100 << 10]).collect();
    bodies.iter().for_each(|body| site.send("q", body));
    assert_eq!(take(&site.reader).len(), 10);
    for _ in 0..2 {
        site.restart();
        site.send("q", b"new");
    }
    let drained = site.drain("q");
    let redelivered = drained.iter().filter(|(_, redelivered)| *redelivered).map(|(body, _)| body.clone());
    let redelivered: Vec<_> = redelivered.map(|body| (body.len(), body[0])).collect();
    assert_eq!(redelivered, bodies.iter().map(|body| (body.len(), body[0])).collect::<Vec<_>>());
    assert_eq!(drained.len(), 12);
}

#[test]
fn what_nobody_has_to_acknowledge_is_gone_when_it_is_delivered() {
    let mut site = Site::new();
    site.queue("q", &[]);
    (0..3).for_each(|number| site.send("q", &[number]));
    site.consume("q", true);
    site.send("q", &[3]);
    assert_eq!((take(&site.reader).len(), site.shelf.len()), (4, 0));
}

#[test]
fn deliveries_are_counted_over_a_restart() {
    let mut site = Site::new();
    site.queue("q", &[("x-delivery-limit", Value::I32(2))]);
    site.send("q", b"x");
    let mut wakes = Wakes::default();
    for _ in 0..2 {
        let got = site.channel.get("q", false, &mut wakes).unwrap().unwrap();
        site.channel.settle(&[(got.tag, false)], Settle::Requeue, &mut wakes).unwrap();
        site.restart();
    }
    let got = site.channel.get("q", false, &mut wakes).unwrap().unwrap();
    let count = got.message.properties().header("x-delivery-count");
    assert_eq!((count, got.redelivered), (Some(Value::I64(2)), true));
    site.channel.settle(&[(got.tag, false)], Settle::Requeue, &mut wakes).unwrap();
    assert_eq!((site.waiting("q"), site.shelf.len()), (0, 0));
}

#[test]
fn a_confirm_waits_for_the_disk_and_those_behind_it_wait_too() {
    let mut site = Site::new();
    site.queue("q", &[]);
    site.channel.confirm_select().unwrap();
    let confirmed = |site: &mut Site| site.channel.take_confirmed(&mut Wakes::default()).is_some();
    site.send_as(&[0, 0], "q", b"1");
    assert!(confirmed(&mut site), "transient");
    site.send("q", b"2");
    assert!(!confirmed(&mut site));
    site.send_as(&[0, 0], "q", b"3");
    assert!(!confirmed(&mut site) && site.events().is_empty());
    site.shelf.sync(true);
    let events = site.events();
    let ranges: Vec<_> = events.iter().map(|event| (event.first, event.last)).collect();
    assert_eq!(ranges, [(2, 2), (3, 3)]);
    assert!(events.iter().all(|event| event.refused.is_empty()));
    site.send("q", b"4");
    assert!(!confirmed(&mut site));
    site.shelf.sync(false);
    assert_eq!(site.events()[0].refused, [4], "what cannot be stored is refused");
}

#[test]
fn a_long_queue_is_on_the_disk_and_comes_back_whole_and_in_order() {
    let mut site = Site::new();
    site.queue("q", &[]);
    for number in 0..200 {
        // Transient ones too: memory is not the place for many.
        let properties = if number % 2 == 0 { PERSISTENT } else { &[0, 0] };
        site.send_as(properties, "q", &[number]);
    }
    assert_eq!(site.waiting("q"), 200);
    assert!(site.shelf.len() > 150);
    assert_eq!(site.bodies("q"), numbered(0..200));
    assert_eq!(site.shelf.len(), 0);
    site.send("q", b"x");
    assert_eq!(site.bodies("q"), [b"x"], "and it goes on as before");
}

#[test]
fn a_long_queue_that_is_not_durable_overflows_to_the_disk_and_leaves_nothing_there() {
    for arguments in [&[][..], &[("x-max-priority", Value::I32(3))]] {
        let mut site = Site::new();
        let mut table = Table::default();
        arguments.iter().for_each(|(name, value)| table.insert(name, value.clone()));
        let options = QueueOptions { arguments: table, ..QueueOptions::default() };
        site.channel.declare_queue("q", options).unwrap();
        (0..10).for_each(|number| site.send("q", &[number]));
        assert_eq!(site.shelf.len(), 0, "what fits stays in memory");
        (10..100).for_each(|number| site.send("q", &[number]));
        assert!(site.shelf.len() > 40, "{} on the disk", site.shelf.len());
        assert_eq!(site.waiting("q"), 100);

        let got = site.channel.get("q", false, &mut Wakes::default()).unwrap().unwrap();
        site.channel.settle(&[(got.tag, false)], Settle::Requeue, &mut Wakes::default()).unwrap();
        (100..120).for_each(|number| site.send("q", &[number]));
        let expected = (0..120).map(|number| (vec![number], number == 0));
        assert_eq!(site.drain("q"), expected.collect::<Vec<_>>());
        assert_eq!(site.shelf.len(), 0, "what was read is not kept");

        (0..100).for_each(|number| site.send("q", &[number]));
        assert!(site.shelf.len() > 40);
        site.channel.delete_queue("q", false, false, &mut Wakes::default()).unwrap();
        assert_eq!(site.shelf.len(), 0);
    }
}

#[test]
fn what_was_transient_is_left_out_of_a_long_queue_after_a_restart() {
    let mut site = Site::new();
    site.queue("q", &[]);
    for number in 0..100 {
        site.send_as(if number % 2 == 0 { PERSISTENT } else { &[0, 0] }, "q", &[number]);
    }
    site.restart();
    let even: Vec<_> = (0..100).step_by(2).map(|number| vec![number]).collect();
    assert_eq!(site.bodies("q"), even);
    assert_eq!((site.waiting("q"), site.shelf.len()), (0, 0));
}

#[test]
fn while_the_disk_cannot_be_read_messages_wait() {
    let mut site = Site::new();
    site.queue("q", &[]);
    (0..100).for_each(|number| site.send("q", &[number]));
    let line = site.shelf.first_line();
    line.broken.store(true, std::sync::atomic::Ordering::Relaxed);
    let some = site.bodies("q").len();
    assert!(some < 100);
    assert_eq!(site.waiting("q"), 100 - some as u64);
    line.broken.store(false, std::sync::atomic::Ordering::Relaxed);
    site.clock.advance(std::time::Duration::from_secs(1));
    site.broker.run_due();
    assert_eq!(site.bodies("q"), numbered(some as u8..100));
}

#[test]
fn purging_and_deleting_leave_nothing_on_the_disk_but_what_is_unacknowledged() {
    let mut site = Site::new();
    site.queue("q", &[]);
    (0..100).for_each(|number| site.send("q", &[number]));
    let mut wakes = Wakes::default();
    site.channel.get("q", false, &mut wakes).unwrap();
    assert_eq!(site.channel.purge_queue("q").unwrap(), 99);
    assert_eq!((site.waiting("q"), site.shelf.len()), (0, 1));
    site.send("q", b"x");
    site.restart();
    assert_eq!(site.drain("q"), [(vec![0], true), (b"x".to_vec(), false)]);
    site.send("q", b"y");
    site.channel.delete_queue("q", false, false, &mut wakes).unwrap();
    assert_eq!(site.shelf.len(), 0);
    site.restart();
    assert!(site.channel.check_queue("q").is_err());
}

#[test]
fn priorities_expiry_times_and_deaths_come_back() {
    let mut site = Site::new();
    site.queue("dead", &[]);
    let dead = [("x-dead-letter-exchange", ""), ("x-dead-letter-routing-key", "dead")];
    let dead = dead.map(|(key, value)| (key, Value::LongString(value.into())));
    let mut arguments = vec![("x-max-priority", Value::I32(5)), ("x-message-ttl", Value::I32(1000))];
    arguments.extend(dead);
    site.queue("q", &arguments);
    for (priority, body) in [(0, b"low"), (5, b"top")] {
        site.send_as(&[0x18, 0x00, 2, priority], "q", body);
    }
    site.restart();
    let mut wakes = Wakes::default();
    let got = site.channel.get("q", false, &mut wakes).unwrap().unwrap();
    assert_eq!(got.message.body(), b"top");
    site.channel.settle(&[(got.tag, false)], Settle::Requeue, &mut wakes).unwrap();
    site.clock.advance(std::time::Duration::from_millis(1000));
    site.restart();
    site.broker.run_due();
    assert_eq!(site.waiting("q"), 0);
    site.restart();
    let got = site.channel.get("dead", true, &mut wakes).unwrap().unwrap();
    assert_eq!(got.message.body(), b"top");
    assert!(got.message.properties().header("x-death").is_some());
    assert_eq!(site.bodies("dead"), [b"low"]);
}

#[test]
fn streams_come_back_with_their_offsets() {
    let mut site = Site::new();
    let stream = Value::LongString("stream".into());
    site.queue("s", &[("x-queue-type", stream), ("x-max-length-bytes", Value::I32(8))]);
    (0..10).for_each(|number| site.send_as(&[0, 0], "s", &[number])); // as RabbitMQ, whatever the delivery mode
    site.restart();
    site.send("s", &[10]);
    site.reader.qos(0, 100, false, &mut Wakes::default()).unwrap();
    let mut arguments = Table::default();
    arguments.insert("x-stream-offset", Value::LongString("first".into()));
    let options = ConsumeOptions { queue: "s", arguments, ..ConsumeOptions::default() };
    site.reader.consume(&options, &mut Wakes::default()).unwrap();
    let deliveries = take(&site.reader);
    let offset = |delivery: &Delivery| delivery.message.properties().header("x-stream-offset");
    let read: Vec<_> = deliveries.iter().map(|read| (read.message.body()[0], offset(read))).collect();
    assert_eq!(read, (3..11).map(|n| (n, Some(Value::I64(n.into())))).collect::<Vec<_>>());
    site.reader.settle(&[(0, true)], Settle::Ack, &mut Wakes::default()).unwrap();
    assert_eq!(site.shelf.len(), 8, "reading takes nothing away");
}

#[test]
fn delayed_messages_come_back_and_are_due_at_their_time() {
    let mut site = Site::new();
    site.queue("q", &[]);
    site.send_as(&persistent_with("x-delay", Value::I32(500)), "q", b"later");
    site.clock.advance(std::time::Duration::from_millis(400));
    site.restart();
    site.broker.run_due();
    assert_eq!((site.waiting("q"), site.broker.vhost("/").unwrap().delayed().len()), (0, 1));
    site.clock.advance(std::time::Duration::from_millis(100));
    site.broker.run_due();
    assert_eq!(site.waiting("q"), 1);
    site.restart();
    assert_eq!(site.bodies("q"), [b"later"]);
    assert_eq!(site.broker.vhost("/").unwrap().delayed().len(), 0);
}

#[test]
fn at_least_once_the_source_keeps_a_dead_letter_until_the_target_has_it_on_the_disk() {
    let mut site = Site::new();
    site.queue("dead", &[]);
    let text = |text: &'static str| Value::LongString(text.into());
    site.queue(
        "q",
        &[
            ("x-dead-letter-exchange", text("")),
            ("x-dead-letter-routing-key", text("dead")),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
            ("x-queue-type", text("quorum")),
        ],
    );
    site.send("q", b"x");
    let mut wakes = Wakes::default();
    let got = site.channel.get("q", false, &mut wakes).unwrap().unwrap();
    site.channel.settle(&[(got.tag, false)], Settle::Reject, &mut wakes).unwrap();
    wakes.run();
    assert_eq!((site.waiting("dead"), site.shelf.len()), (1, 2));
    site.shelf.sync(true);
    assert_eq!((site.waiting("q"), site.shelf.len()), (0, 1));
}

#[test]
fn a_de_duplicating_queue_remembers_ids_over_a_restart_and_no_more_of_them_than_it_is_to() {
    let mut site = Site::new();
    site.queue("q", &[("x-message-deduplication", Value::Bool(true)), ("x-cache-size", Value::I32(2))]);
    let send = |site: &mut Site, id: &str| {
        let properties = persistent_with("x-deduplication-header", Value::LongString(id.to_owned().into()));
        site.send_as(&properties, "q", id.as_bytes());
    };
    ["a", "b", "c"].into_iter().for_each(|id| send(&mut site, id));
    assert_eq!(site.bodies("q"), [b"a", b"b", b"c"]);
    site.restart();
    ["b", "c", "a", "b"].into_iter().for_each(|id| send(&mut site, id));
    assert_eq!(site.bodies("q"), [b"a", b"b"], "a was forgotten, and then b");
    assert_eq!(site.shelf.len(), 2);
    site.channel.delete_queue("q", false, false, &mut Wakes::default()).unwrap();
    assert_eq!(site.shelf.len(), 0);
}

#[test]
fn an_id_counts_only_if_its_message_was_taken() {
    let arguments = [
        ("x-message-deduplication", Value::Bool(true)),
        ("x-max-length", Value::I32(1)),
        ("x-overflow", text("reject-publish")),
    ];
    let mut site = Site::new();
    site.queue("q", &arguments);
    let send = |site: &mut Site, id: &str| {
        let properties = persistent_with("x-deduplication-header", text(id));
        site.send_as(&properties, "q", id.as_bytes());
    };
    send(&mut site, "a");
    send(&mut site, "b"); // refused: the queue is full
    assert_eq!(site.bodies("q"), [b"a"]);
    send(&mut site, "b");
    assert_eq!(site.bodies("q"), [b"b"]);

    // A crash at which the id came to the disk, and the message did not.
    send(&mut site, "c");
    site.shelf.first_line().lose_last();
    site.restart();
    send(&mut site, "a");
    assert_eq!(site.waiting("q"), 0);
    send(&mut site, "c");
    assert_eq!(site.bodies("q"), [b"c"]);
}

#[test]
fn a_virtual_host_that_takes_the_name_of_another_has_none_of_its_delayed_messages() {
    let mut site = Site::new();
    let ids = |site: &Site| site.shelf.ids();
    site.queue("q", &[]);
    let before = ids(&site);
    site.broker.add_vhost("other", VhostMetadata::default()).unwrap();
    let first = ids(&site);
    site.broker.delete_vhost("other").unwrap();
    assert_eq!(ids(&site), before, "its place is given up");
    site.broker.add_vhost("other", VhostMetadata::default()).unwrap();
    let second = ids(&site);
    assert!(second.len() == first.len() && second != first, "and not used again");
}
