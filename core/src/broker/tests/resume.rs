//! What a publisher sends again to the next broker, as it had not heard of it.

use std::time::SystemTime;

use super::kept::{persistent_with, start};
use super::rules::{START, text};
use super::shelf::{Ledger, Shelf};
use super::*;
use crate::broker::store::Origin;

const PERSISTENT: &[u8] = &[0x10, 0x00, 2];
const TRANSIENT: &[u8] = &[0, 0];

/// A broker that can be killed and started again, and a publisher who goes on.
struct Site {
    shelf: Arc<Shelf>,
    ledger: Arc<Ledger>,
    clock: Clock,
    broker: Arc<Broker>,
    channel: Channel,
    reader: Channel,
}

impl Site {
    fn new() -> Self {
        let (shelf, ledger) = <(Arc<Shelf>, Arc<Ledger>)>::default();
        let clock = Clock::held(START);
        let (broker, channel, reader) = start(shelf.clone(), &ledger, &clock);
        let mut site = Site { shelf, ledger, clock, broker, channel, reader };
        site.resume(0, 0);
        site
    }

    /// Kills the broker. The publisher goes on with the next one, having heard of so many, and will send so many again.
    fn fail_over(&mut self, settled: u64, again: u64) {
        let (broker, channel, reader) = start(self.shelf.clone(), &self.ledger, &self.clock);
        std::mem::forget(std::mem::replace(&mut self.broker, broker));
        std::mem::forget(std::mem::replace(&mut self.channel, channel));
        std::mem::forget(std::mem::replace(&mut self.reader, reader));
        self.resume(settled, again);
    }

    fn resume(&mut self, sequence: u64, again: u64) {
        let settled = Origin { publisher: 7.try_into().unwrap(), sequence };
        self.channel.resume(Resume { settled, again, since: SystemTime::UNIX_EPOCH });
        self.channel.confirm_select().unwrap();
    }

    fn queue(&mut self, name: &str, arguments: &[(&str, Value)]) {
        let arguments =
            Table(arguments.iter().map(|(name, value)| ((*name).into(), value.clone())).collect());
        let options = QueueOptions { durable: true, arguments, ..QueueOptions::default() };
        self.channel.declare_queue(name, options).unwrap();
    }

    /// Binds both to `amq.fanout`.
    fn bind(&mut self, queues: &[&str]) {
        for destination in queues {
            let (source, routing_key, arguments) = ("amq.fanout", "", &Table::default());
            let binding = Binding { source, destination, routing_key, arguments };
            self.channel.bind_queue(binding, &mut Wakes::default()).unwrap();
        }
    }

    fn send(&mut self, exchange: &str, routing_key: &str, properties: &[u8], bodies: &[u8]) {
        let mut wakes = Wakes::default();
        for body in bodies {
            let body = Body::Slice(std::slice::from_ref(body));
            let publish = Publish { exchange, routing_key, mandatory: false, properties, body };
            self.channel.publish(publish, &mut wakes).unwrap();
        }
        self.channel.flush(&mut wakes);
    }

    /// Everything in a queue in order, with the mark of what may have been delivered before.
    fn drain(&mut self, queue: &str) -> Vec<(char, bool)> {
        let got = std::iter::from_fn(|| self.reader.get(queue, true, &mut Wakes::default()).unwrap());
        got.map(|got| (char::from(got.message.body()[0]), got.redelivered)).collect()
    }
}

#[test]
fn what_had_been_stored_is_not_stored_again_and_the_rest_comes_marked_and_in_order() {
    let mut site = Site::new();
    site.queue("q", &[]);
    site.send("", "q", PERSISTENT, b"abcd");
    site.shelf.first_line().lose_last();
    site.fail_over(1, 3);
    site.send("", "q", PERSISTENT, b"bcdef");
    let expected = [('a', false), ('b', false), ('c', false), ('d', true), ('e', false), ('f', false)];
    assert_eq!(site.drain("q"), expected);
}

#[test]
fn what_was_settled_meanwhile_does_not_come_again() {
    let mut site = Site::new();
    site.queue("q", &[]);
    site.send("", "q", PERSISTENT, b"ab");
    assert_eq!(site.drain("q"), [('a', false), ('b', false)]);
    site.fail_over(0, 2);
    site.send("", "q", PERSISTENT, b"abc");
    assert_eq!(site.drain("q"), [('c', false)]);
}

#[test]
fn each_queue_gets_what_it_lacks() {
    let mut site = Site::new();
    site.queue("q", &[]);
    site.queue("r", &[]);
    site.bind(&["q", "r"]);
    site.send("amq.fanout", "", PERSISTENT, b"ab");
    site.shelf.line(2, 0).lose_last();
    site.fail_over(0, 2);
    site.send("amq.fanout", "", PERSISTENT, b"abc");
    assert_eq!(site.drain("q"), [('a', false), ('b', false), ('c', false)]);
    assert_eq!(site.drain("r"), [('a', false), ('b', true), ('c', false)]);
}

#[test]
fn what_is_in_no_store_is_taken_again_and_marked_in_every_queue_and_copy() {
    let mut site = Site::new();
    site.queue("dead", &[]);
    site.queue("q", &[("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text("dead"))]);
    site.send("", "q", TRANSIENT, b"a");
    site.fail_over(0, 1);
    site.send("", "q", TRANSIENT, b"ab");
    let mut wakes = Wakes::default();
    for body in b"ab" {
        let got = site.reader.get("q", false, &mut wakes).unwrap().unwrap();
        assert_eq!((got.message.body()[0], got.redelivered), (*body, *body == b'a'));
        site.reader.settle(&[(got.tag, false)], Settle::Reject, &mut wakes).unwrap();
    }
    wakes.run();
    assert_eq!(site.drain("dead"), [('a', true), ('b', false)]);
}

#[test]
fn priorities_streams_and_delays_have_it_once_too() {
    let mut site = Site::new();
    site.queue("p", &[("x-max-priority", Value::I32(5))]);
    site.queue("s", &[("x-queue-type", text("stream"))]);
    site.queue("d", &[]);
    let urgent = &[0x18, 0, 2, 3]; // persistent, priority 3
    let later = persistent_with("x-delay", Value::I64(1000));
    site.send("", "p", urgent, b"a");
    site.send("", "s", TRANSIENT, b"b");
    site.send("", "d", &later, b"cd");
    site.clock.advance(std::time::Duration::from_secs(1));
    site.broker.run_due();
    assert_eq!(site.drain("d"), [('c', false), ('d', false)]);
    site.fail_over(0, 5);
    site.send("", "p", urgent, b"a");
    site.send("", "s", TRANSIENT, b"b");
    site.send("", "d", &later, b"cde");
    site.clock.advance(std::time::Duration::from_secs(1));
    site.broker.run_due();
    assert_eq!(site.drain("p"), [('a', false)]);
    assert_eq!(site.reader.check_queue("s").unwrap().messages, 1);
    assert_eq!(site.drain("d"), [('e', true)]);
}

#[test]
fn streams_mark_what_was_sent_again() {
    let mut site = Site::new();
    site.queue("s", &[("x-queue-type", text("stream"))]);
    site.fail_over(0, 1);
    site.send("", "s", TRANSIENT, b"ab");
    site.reader.qos(0, 10, false, &mut Wakes::default()).unwrap();
    let arguments = Table(vec![("x-stream-offset".into(), text("first"))]);
    let options = ConsumeOptions { queue: "s", arguments, ..ConsumeOptions::default() };
    site.reader.consume(&options, &mut Wakes::default()).unwrap();
    let marks: Vec<_> = take(&site.reader).iter().map(|delivery| delivery.redelivered).collect();
    assert_eq!(marks, [true, false]);
}

#[test]
fn what_is_found_is_confirmed_with_the_rest_when_the_store_says_so() {
    let mut site = Site::new();
    site.queue("q", &[]);
    site.send("", "q", PERSISTENT, b"ab");
    site.fail_over(0, 2);
    site.send("", "q", PERSISTENT, b"a");
    site.send("", "nowhere", PERSISTENT, b"b");
    let mut wakes = Wakes::default();
    assert!(site.channel.take_confirmed(&mut wakes).is_none());
    assert!(!site.channel.is_sent_again(), "what follows is new");
    site.shelf.sync(true);
    let mut events = Vec::new();
    site.channel.outbox().take(usize::MAX, &mut events, &mut wakes);
    let [Event::Confirmed(confirmed)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((confirmed.first, confirmed.last), (1, 2));
}

#[test]
fn where_the_store_cannot_tell_nothing_is_lost() {
    let mut site = Site::new();
    site.queue("q", &[]);
    site.send("", "q", PERSISTENT, b"a");
    site.fail_over(0, 1);
    site.shelf.first_line().broken.store(true, Relaxed);
    site.send("", "q", PERSISTENT, b"a");
    site.shelf.first_line().broken.store(false, Relaxed);
    assert_eq!(site.drain("q"), [('a', false), ('a', true)]);
}

const PSEUDO_QUEUE: &str = "amq.rabbitmq.reply-to";

/// Asks by direct reply-to; the name to answer to.
fn ask(site: &mut Site) -> String {
    let options = ConsumeOptions { queue: PSEUDO_QUEUE, no_ack: true, ..ConsumeOptions::default() };
    site.channel.consume(&options, &mut Wakes::default()).unwrap();
    site.send("", "q", &crate::wire::PropertiesView::EMPTY.with_reply_to(PSEUDO_QUEUE), b"?");
    let request = site.reader.get("q", true, &mut Wakes::default()).unwrap().unwrap();
    request.message.properties().reply_to().unwrap().to_owned()
}

#[test]
fn who_was_asked_before_answers_the_asker_who_goes_on_under_the_same_name() {
    let mut site = Site::new();
    site.queue("q", &[]);
    let address = ask(&mut site);
    site.fail_over(1, 0);
    assert!(send(&mut site.reader, "", &address, b"1"), "the asker is still to come");
    assert_eq!(ask(&mut site), address);
    assert!(send(&mut site.reader, "", &address, b"2"));
    assert_eq!(bodies(&site.channel), *b"12");
}

#[test]
fn answers_wait_for_an_asker_only_while_he_may_come() {
    let mut site = Site::new();
    site.queue("q", &[]);
    let address = ask(&mut site);
    site.fail_over(1, 0);
    assert!(!send(&mut site.reader, "", "amq.rabbitmq.reply-to.g1h2AAAAAAAAAAAAAAAAAA", b"!"));
    site.clock.advance(std::time::Duration::from_secs(10));
    assert!(!send(&mut site.reader, "", &address, b"!"));
}
