//! What queues do by their arguments, with the clock held.

use std::time::Duration;

use super::*;
use crate::message::Message;

/// A broker whose clock stands still, a channel that publishes and declares, and one that consumes.
pub(super) struct Stage {
    pub(super) broker: Arc<Broker>,
    clock: Clock,
    pub(super) channel: Channel,
    pub(super) reader: Channel,
}

pub(super) const START: u64 = 1_700_000_000_000;

impl Stage {
    pub(super) fn new() -> Self {
        let clock = Clock::held(START);
        let broker = Broker::new(Options { clock: clock.clone(), ..Options::default() });
        let session = broker.open("/", "guest").unwrap();
        let channels = (channel(&session), channel(&session));
        std::mem::forget(session); // lives as long as the broker
        Stage { broker, clock, channel: channels.0, reader: channels.1 }
    }

    pub(super) fn queue(&mut self, name: &str, arguments: &[(&str, Value)]) {
        let mut table = Table::default();
        for (name, value) in arguments {
            table.insert(name, value.clone());
        }
        // Streams and quorum queues are never transient.
        let options = QueueOptions { durable: true, arguments: table, ..QueueOptions::default() };
        self.channel.declare_queue(name, options).unwrap();
    }

    pub(super) fn send(&mut self, queue: &str, body: &[u8]) {
        send(&mut self.channel, "", queue, body);
    }

    pub(super) fn send_with(
        &mut self,
        exchange: &str,
        key: &str,
        headers: &[(&str, Value)],
        expiration: &str,
        body: &[u8],
    ) {
        let mut table = Table::default();
        for (name, value) in headers {
            table.insert(name, value.clone());
        }
        let properties = crate::wire::Properties {
            headers: (!headers.is_empty()).then_some(table),
            expiration: (!expiration.is_empty()).then(|| expiration.try_into().unwrap()),
            ..Default::default()
        };
        let mut encoded = bytes::BytesMut::new();
        properties.encode(&mut encoded);
        let publish = Publish {
            exchange,
            routing_key: key,
            mandatory: false,
            properties: &encoded,
            body: Body::Slice(body),
        };
        let mut wakes = Wakes::default();
        self.channel.publish(publish, &mut wakes).unwrap();
        self.channel.flush(&mut wakes);
    }

    /// Lets time pass, step by step as the timers would.
    pub(super) fn pass(&mut self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
        self.broker.run_due();
    }

    pub(super) fn get(&mut self, queue: &str) -> Option<Message> {
        let mut wakes = Wakes::default();
        self.reader.get(queue, true, &mut wakes).unwrap().map(|got| got.message)
    }

    fn bodies(&mut self, queue: &str) -> Vec<u8> {
        std::iter::from_fn(|| self.get(queue)).map(|message| message.body()[0]).collect()
    }

    pub(super) fn ready(&mut self, queue: &str) -> u64 {
        self.channel.check_queue(queue).unwrap().messages
    }
}

pub(super) fn text(text: &str) -> Value {
    Value::LongString(text.to_owned().into())
}

pub(super) fn number(number: i64) -> Value {
    Value::I64(number)
}

fn dead_letters_to(queue: &str) -> [(&'static str, Value); 2] {
    [("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text(queue))]
}

fn death(message: &Message, index: usize) -> Table {
    let headers = message.properties().headers().unwrap();
    match headers.get("x-death") {
        Some(Value::Array(deaths)) => match &deaths[index] {
            Value::Table(death) => death.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_expires_when_its_queue_says_so() {
    let mut stage = Stage::new();
    stage.queue("q", &[("x-message-ttl", number(100))]);
    stage.send("q", b"a");
    stage.pass(60);
    stage.send("q", b"b");
    stage.pass(39);
    assert_eq!(stage.ready("q"), 2);
    stage.pass(1);
    assert_eq!(stage.bodies("q"), [b'b']);
}

#[test]
fn an_expired_message_waits_behind_one_that_lives_longer() {
    let mut stage = Stage::new();
    stage.queue("q", &[]);
    stage.send_with("", "q", &[], "1000", b"a");
    stage.send_with("", "q", &[], "10", b"b");
    stage.send_with("", "q", &[], "5000", b"c");
    stage.pass(500);
    assert_eq!(stage.ready("q"), 3);
    stage.pass(500);
    assert_eq!(stage.bodies("q"), [b'c']);
}

#[test]
fn a_time_to_live_of_zero_reaches_only_a_consumer_that_waits() {
    let mut stage = Stage::new();
    stage.queue("q", &[]);
    stage.send_with("", "q", &[], "0", b"a");
    assert_eq!(stage.ready("q"), 0);
    consume(&mut stage.reader, "q").unwrap();
    stage.send_with("", "q", &[], "0", b"b");
    assert_eq!(bodies(&stage.reader), [b'b']);
}

#[test]
fn an_expired_message_is_never_delivered_even_if_the_timer_is_late() {
    let mut stage = Stage::new();
    stage.queue("q", &[("x-message-ttl", number(100))]);
    stage.send("q", b"a");
    stage.clock.advance(Duration::from_millis(150));
    stage.send("q", b"b");
    consume(&mut stage.reader, "q").unwrap();
    assert_eq!(bodies(&stage.reader), [b'b']);
}

#[test]
fn a_requeued_message_keeps_its_time() {
    let mut stage = Stage::new();
    stage.queue("q", &[("x-message-ttl", number(100))]);
    stage.send("q", b"a");
    let mut wakes = Wakes::default();
    stage.reader.get("q", false, &mut wakes).unwrap().unwrap();
    stage.pass(90);
    stage.reader.recover(true, &mut wakes).unwrap();
    assert_eq!(stage.ready("q"), 1);
    stage.pass(10);
    assert_eq!(stage.ready("q"), 0);
}

#[test]
fn an_unused_queue_expires_and_a_used_one_does_not() {
    let mut stage = Stage::new();
    stage.queue("q", &[("x-expires", number(100))]);
    stage.pass(90);
    stage.get("q");
    stage.pass(90);
    stage.channel.check_queue("q").unwrap();
    consume(&mut stage.reader, "q").unwrap();
    stage.pass(1000);
    stage.channel.check_queue("q").unwrap();
    stage.reader.close(&mut Wakes::default());
    stage.pass(99);
    assert_eq!(stage.broker.vhost("/").unwrap().queues().len(), 1);
    stage.pass(1);
    assert_eq!(stage.channel.check_queue("q").unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn a_full_queue_drops_its_head_or_refuses() {
    let mut stage = Stage::new();
    stage.queue("drop", &[("x-max-length", number(2))]);
    stage.queue("refuse", &[("x-max-length", number(2)), ("x-overflow", text("reject-publish"))]);
    stage.queue("bytes", &[("x-max-length-bytes", number(2))]);
    stage.channel.confirm_select().unwrap();
    for body in [b"a", b"b", b"c"] {
        for queue in ["drop", "refuse", "bytes"] {
            stage.send(queue, body);
        }
    }
    let confirmed = stage.channel.take_confirmed(&mut Wakes::default()).unwrap();
    assert_eq!((confirmed.first, confirmed.last, confirmed.refused), (1, 9, vec![8]));
    assert_eq!(stage.bodies("drop"), *b"bc");
    assert_eq!(stage.bodies("refuse"), *b"ab");
    assert_eq!(stage.bodies("bytes"), *b"bc");
}

#[test]
fn what_comes_back_to_a_full_queue_counts_again() {
    let mut stage = Stage::new();
    stage.queue("q", &[("x-max-length", number(1))]);
    stage.send("q", b"a");
    let mut wakes = Wakes::default();
    let got = stage.reader.get("q", false, &mut wakes).unwrap().unwrap();
    stage.send("q", b"b");
    stage.reader.settle(&[(got.tag, false)], Settle::Requeue, &mut wakes).unwrap();
    assert_eq!(stage.bodies("q"), *b"b");
}

#[test]
fn a_message_that_may_only_be_taken_at_once_is_not_taken_again() {
    let mut stage = Stage::new();
    stage.queue("q", &[("x-message-ttl", number(0))]);
    consume(&mut stage.reader, "q").unwrap();
    stage.send("q", b"a");
    let [delivery] = &take(&stage.reader)[..] else { panic!("a consumer that waits gets it") };
    stage.reader.settle(&[(delivery.tag, false)], Settle::Requeue, &mut Wakes::default()).unwrap();
    assert!(take(&stage.reader).is_empty());
}

#[test]
fn deaths_that_nobody_counted_are_counted_when_one_is_added() {
    let mut stage = Stage::new();
    stage.queue("dead", &[]);
    stage.queue("q", &dead_letters_to("dead"));
    let uncounted = |queue| {
        let mut death = Table::default();
        death.insert("queue", text(queue));
        death.insert("reason", text("expired"));
        Value::Table(death)
    };
    let deaths = ["old", "q", "old", "old"].map(uncounted).to_vec();
    stage.send_with("", "q", &[("x-death", Value::Array(deaths))], "100", b"a");
    stage.pass(100);
    let letter = stage.get("dead").unwrap();
    let counts = [0, 1]
        .map(|index| death(&letter, index))
        .map(|death| (death.get("queue").cloned().unwrap(), death.get("count").cloned().unwrap()));
    assert_eq!(counts, [(text("q"), number(2)), (text("old"), number(3))]);
}

#[test]
fn dead_letters_tell_their_history() {
    let mut stage = Stage::new();
    stage.queue("dead", &[]);
    stage.queue("q", &dead_letters_to("dead"));
    stage.send_with("", "q", &[("CC", Value::Array(vec![text("other")])), ("mine", number(7))], "100", b"a");
    stage.pass(100);
    let letter = stage.get("dead").unwrap();
    assert_eq!((letter.exchange(), letter.routing_key(), letter.body()), ("", "dead", &b"a"[..]));
    assert_eq!(letter.properties().expiration(), None);
    let headers = letter.properties().headers().unwrap();
    assert_eq!(headers.get("mine"), Some(&number(7)));
    assert_eq!(headers.get("CC"), None);
    assert_eq!(headers.get("x-first-death-reason"), Some(&text("expired")));
    assert_eq!(headers.get("x-first-death-queue"), Some(&text("q")));
    assert_eq!(headers.get("x-first-death-exchange"), Some(&text("")));
    let death = death(&letter, 0);
    assert_eq!(death.get("count"), Some(&number(1)));
    assert_eq!(death.get("reason"), Some(&text("expired")));
    assert_eq!(death.get("queue"), Some(&text("q")));
    assert_eq!(death.get("exchange"), Some(&text("")));
    assert_eq!(death.get("original-expiration"), Some(&text("100")));
    assert_eq!(death.get("time"), Some(&Value::Timestamp((START + 100) / 1000)));
    assert_eq!(death.get("routing-keys"), Some(&Value::Array(vec![text("q"), text("other")])));
}

#[test]
fn a_message_that_is_refused_again_and_again_counts_its_deaths() {
    let mut stage = Stage::new();
    stage.queue("a", &dead_letters_to("b"));
    stage.queue(
        "b",
        &[("x-message-ttl", number(10)), dead_letters_to("a")[0].clone(), dead_letters_to("a")[1].clone()],
    );
    stage.send("a", b"x");
    let mut wakes = Wakes::default();
    for round in 1..=3 {
        let tag = stage.reader.get("a", false, &mut wakes).unwrap().unwrap().tag;
        stage.reader.settle(&[(tag, false)], Settle::Reject, &mut wakes).unwrap();
        wakes.run();
        stage.pass(10);
        let got = stage.reader.get("a", false, &mut wakes).unwrap().unwrap();
        let (expired, refused) = (death(&got.message, 0), death(&got.message, 1));
        assert_eq!(expired.get("reason"), Some(&text("expired")));
        assert_eq!(
            (expired.get("count"), refused.get("count")),
            (Some(&number(round)), Some(&number(round)))
        );
        assert_eq!(got.message.properties().header("x-first-death-queue"), Some(text("a")));
        stage.reader.recover(true, &mut wakes).unwrap();
    }
}

#[test]
fn a_cycle_in_which_nobody_refuses_ends() {
    let mut stage = Stage::new();
    let ttl = ("x-message-ttl", number(10));
    let [exchange, to_b] = dead_letters_to("b");
    stage.queue("a", &[ttl.clone(), exchange.clone(), to_b]);
    stage.queue("b", &[ttl, exchange, dead_letters_to("a")[1].clone()]);
    stage.send("a", b"x");
    stage.pass(10);
    assert_eq!((stage.ready("a"), stage.ready("b")), (0, 1));
    stage.pass(10);
    assert_eq!((stage.ready("a"), stage.ready("b")), (0, 0));
}

#[test]
fn at_least_once_the_source_keeps_a_message_until_its_target_has_it() {
    let mut stage = Stage::new();
    let kind = ("x-queue-type", text("quorum"));
    let strategy = ("x-dead-letter-strategy", text("at-least-once"));
    let [exchange, key] = dead_letters_to("dead");
    let overflow = ("x-overflow", text("reject-publish"));
    stage.queue("q", &[kind, ("x-message-ttl", number(10)), strategy, exchange, key, overflow]);
    stage.send("q", b"a");
    stage.pass(10);
    assert_eq!(stage.ready("q"), 1, "there is no target yet");
    stage.queue("dead", &[]);
    stage.pass(1000);
    assert_eq!((stage.ready("q"), stage.bodies("dead")), (0, vec![b'a']));
}

#[test]
fn higher_priorities_go_first_and_those_of_one_priority_in_order() {
    let mut stage = Stage::new();
    stage.queue("q", &[("x-max-priority", number(5))]);
    let priorities = [(b'a', 0), (b'b', 5), (b'c', 9), (b'd', 3), (b'e', 5), (b'f', 0)];
    for (body, priority) in priorities {
        let properties = [0x08, 0x00, priority];
        let publish = Publish {
            exchange: "",
            routing_key: "q",
            mandatory: false,
            properties: &properties,
            body: Body::Slice(&[body]),
        };
        stage.channel.publish(publish, &mut Wakes::default()).unwrap();
    }
    stage.channel.flush(&mut Wakes::default());
    let mut wakes = Wakes::default();
    let first = stage.reader.get("q", false, &mut wakes).unwrap().unwrap();
    assert_eq!(first.message.body(), b"b");
    stage.reader.recover(true, &mut wakes).unwrap();
    assert_eq!(stage.bodies("q"), *b"bcedaf");
}

#[test]
fn of_several_consumers_a_single_one_is_active() {
    let mut stage = Stage::new();
    stage.queue("q", &[("x-single-active-consumer", Value::Bool(true))]);
    let session = stage.broker.open("/", "guest").unwrap();
    let (mut first, mut second) = (channel(&session), channel(&session));
    consume(&mut first, "q").unwrap();
    consume(&mut second, "q").unwrap();
    stage.send("q", b"a");
    stage.send("q", b"b");
    assert_eq!((bodies(&first), bodies(&second)), (vec![b'a', b'b'], vec![]));
    first.close(&mut Wakes::default());
    stage.send("q", b"c");
    assert_eq!(bodies(&second), *b"abc");
}

#[test]
fn what_comes_back_too_often_is_given_up() {
    let mut stage = Stage::new();
    stage.queue("dead", &[]);
    let [exchange, key] = dead_letters_to("dead");
    stage.queue("q", &[("x-delivery-limit", number(2)), exchange, key]);
    stage.send("q", b"a");
    let mut wakes = Wakes::default();
    for returns in 0..=2 {
        let got = stage.reader.get("q", false, &mut wakes).unwrap().unwrap();
        let count = got.message.properties().header("x-delivery-count").and_then(|count| count.as_integer());
        assert_eq!((got.redelivered, count), (returns > 0, (returns > 0).then_some(returns)));
        stage.reader.settle(&[(got.tag, false)], Settle::Requeue, &mut wakes).unwrap();
        wakes.run();
    }
    let letter = stage.get("dead").unwrap();
    assert_eq!(death(&letter, 0).get("reason"), Some(&text("delivery_limit")));
    assert_eq!(stage.ready("q"), 0);
}

#[test]
fn a_consumer_that_takes_too_long_loses_the_one_delivery_and_nothing_else() {
    let mut stage = Stage::new();
    stage.queue("q", &[("x-consumer-timeout", number(100))]);
    let session = stage.broker.open("/", "guest").unwrap();
    let mut slow = channel(&session);
    let mut wakes = Wakes::default();
    slow.qos(0, 2, false, &mut wakes).unwrap();
    consume(&mut slow, "q").unwrap();
    stage.send("q", b"a");
    stage.send("q", b"b");
    let tags: Vec<_> = take(&slow).iter().map(|delivery| delivery.tag).collect();
    assert!(slow.extend(tags[1], 500));
    stage.pass(100);
    assert_eq!(stage.ready("q"), 1, "the slow one's credit is not given back by being slow");
    let again = stage.reader.get("q", false, &mut wakes).unwrap().unwrap();
    assert_eq!((again.message.body(), again.redelivered), (&b"a"[..], true));
    stage.reader.settle(&[(again.tag, false)], Settle::Ack, &mut wakes).unwrap();
    slow.settle(&[(tags[0], false)], Settle::Ack, &mut wakes).expect("late, but no error");
    stage.pass(399);
    assert!(take(&slow).is_empty(), "its time was put off");
    stage.pass(1);
    assert_eq!(bodies(&slow), [b'b'], "it has credit for one more, and nobody else is there");
}

#[test]
fn a_message_that_was_seen_is_not_taken_again() {
    let mut stage = Stage::new();
    let on = ("x-message-deduplication", Value::Bool(true));
    stage.queue("q", &[on, ("x-cache-size", number(2)), ("x-cache-ttl", number(100))]);
    for (id, body) in [("1", b"a"), ("2", b"b"), ("1", b"c"), ("3", b"d"), ("1", b"e")] {
        stage.send_with("", "q", &[("x-deduplication-header", text(id))], "", body);
    }
    stage.send("q", b"f");
    stage.send("q", b"g");
    assert_eq!(stage.bodies("q"), *b"abdefg");
    stage.pass(100);
    stage.send_with("", "q", &[("x-deduplication-header", text("1"))], "", b"h");
    assert_eq!(stage.bodies("q"), *b"h");
}

#[test]
fn delayed_messages_are_routed_in_the_order_in_which_they_are_due() {
    let mut stage = Stage::new();
    stage.queue("q", &[]);
    for (delay, body) in [(300, b"c"), (100, b"a"), (200, b"b"), (100, b"A"), (1 << 40, b"z")] {
        stage.send_with("", "q", &[("x-delay", number(delay))], "", body);
    }
    stage.send_with("", "q", &[("x-delay", number(0))], "", b"0");
    assert_eq!(stage.bodies("q"), *b"0");
    stage.pass(99);
    assert_eq!(stage.ready("q"), 0);
    stage.pass(1);
    let first = stage.get("q").unwrap();
    assert_eq!(first.properties().header("x-delay"), Some(number(-100)));
    let vhost = stage.broker.vhost("/").unwrap();
    let waiting = vhost.delayed();
    assert_eq!(waiting.iter().map(|held| held.message.body()[0]).collect::<Vec<_>>(), *b"bcz");
    assert_eq!(waiting[2].due, START + (1 << 40));
    assert_eq!(vhost.cancel_delayed(waiting[1].id).unwrap().body(), b"c");
    stage.pass(1000);
    assert_eq!(stage.bodies("q"), *b"Ab");
    stage.pass(1 << 40);
    assert_eq!(stage.bodies("q"), *b"z");
}
