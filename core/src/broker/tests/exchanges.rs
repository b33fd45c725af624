//! What exchanges do beyond matching keys: copies, alternates, history, delays.

use super::*;
use crate::message::Message;
use crate::wire::PropertiesView;

const NOTHING: &Table = &Table(Vec::new());

fn texts(texts: &[&'static str]) -> Value {
    Value::Array(texts.iter().map(|text| Value::LongString((*text).into())).collect())
}

/// A channel with these queues.
fn with_queues(names: &[&str]) -> Channel {
    let session = session();
    let mut channel = channel(&session);
    std::mem::forget(session); // lives as long as the channel
    for name in names {
        channel.declare_queue(name, QueueOptions::default()).unwrap();
    }
    channel
}

fn exchange(channel: &mut Channel, name: &str, kind: &str, arguments: &[(&str, Value)]) -> Result<()> {
    let mut options = ExchangeOptions::new(crate::routing::Kind::Direct);
    for (name, value) in arguments {
        options.arguments.insert(name, value.clone());
    }
    channel.declare_exchange(name, kind, options)
}

fn bind(channel: &mut Channel, source: &str, queue: &str, key: &str) {
    let binding = Binding { source, destination: queue, routing_key: key, arguments: NOTHING };
    channel.bind_queue(binding, &mut Wakes::default()).unwrap();
}

fn bind_exchange(channel: &mut Channel, source: &str, destination: &str, key: &str) {
    let binding = Binding { source, destination, routing_key: key, arguments: NOTHING };
    channel.bind_exchange(binding, &mut Wakes::default()).unwrap();
}

fn publish(channel: &mut Channel, exchange: &str, key: &str, headers: &[(&str, Value)]) -> Result<bool> {
    let table = Table(headers.iter().map(|(name, value)| ((*name).into(), value.clone())).collect());
    let properties = PropertiesView::EMPTY.with_headers(&table);
    let body = Body::Slice(b"x");
    let publish = Publish { exchange, routing_key: key, mandatory: false, properties: &properties, body };
    let mut wakes = Wakes::default();
    let routed = channel.publish(publish, &mut wakes);
    channel.flush(&mut wakes);
    routed
}

fn get(channel: &mut Channel, queue: &str) -> Option<Message> {
    channel.get(queue, true, &mut Wakes::default()).unwrap().map(|got| got.message)
}

fn lengths(channel: &mut Channel, queues: &[&str]) -> Vec<u64> {
    queues.iter().map(|queue| channel.check_queue(queue).unwrap().messages).collect()
}

#[test]
fn copies_go_to_every_key_once_and_blind_ones_are_not_seen() {
    let mut channel = with_queues(&["a", "b", "c", "d"]);
    for key in ["a", "b", "c"] {
        bind(&mut channel, "amq.direct", key, key);
        bind(&mut channel, "amq.topic", key, &format!("{key}.#"));
    }
    let copies = [("CC", texts(&["b", "a", "b"])), ("BCC", texts(&["c", "nowhere"])), ("own", Value::I32(1))];
    for exchange in ["", "amq.direct", "amq.topic"] {
        assert!(publish(&mut channel, exchange, "a", &copies).unwrap());
        assert_eq!(lengths(&mut channel, &["a", "b", "c", "d"]), [1, 1, 1, 0], "at {exchange:?}");
        for queue in ["a", "b", "c"] {
            let message = get(&mut channel, queue).unwrap();
            let headers = message.properties().headers().unwrap();
            assert_eq!(headers.get("CC"), Some(&texts(&["b", "a", "b"])));
            assert_eq!(headers.get("own"), Some(&Value::I32(1)));
            assert_eq!(headers.get("BCC"), None);
            assert_eq!(message.routing_key(), "a");
        }
    }
}

#[test]
fn a_route_with_copies_is_not_remembered_for_messages_without() {
    let mut channel = with_queues(&["a", "b"]);
    publish(&mut channel, "", "a", &[("CC", texts(&["b"]))]).unwrap();
    publish(&mut channel, "", "a", &[]).unwrap();
    publish(&mut channel, "", "a", &[("CC", texts(&["b"]))]).unwrap();
    assert_eq!(lengths(&mut channel, &["a", "b"]), [3, 2]);
}

#[test]
fn copies_that_are_no_array_are_refused_and_what_is_no_text_in_one_is_passed_over() {
    let mut channel = with_queues(&["a", "b"]);
    for (name, value, kind) in [
        ("CC", Value::LongString("b".into()), "longstr"),
        ("BCC", Value::I32(1), "signedint"),
        ("CC", Value::Void, "void"),
    ] {
        let error = publish(&mut channel, "", "a", &[(name, value)]).unwrap_err();
        assert_eq!(
            error.reply_text(),
            format!(
                "PRECONDITION_FAILED - invalid message: {{unacceptable_type_in_header,\"{name}\",{kind}}}"
            )
        );
    }
    let mixed =
        Value::Array(vec![Value::I32(7), Value::LongString("b".into()), Value::LongString("\u{ff}".into())]);
    publish(&mut channel, "", "nowhere", &[("CC", mixed)]).unwrap();
    assert_eq!(lengths(&mut channel, &["a", "b"]), [0, 1]);
}

#[test]
fn each_exchange_on_the_way_has_its_own_alternate() {
    let mut channel = with_queues(&["rest", "lower rest"]);
    let alternate = |name: &'static str| [("alternate-exchange", Value::LongString(name.into()))];
    exchange(&mut channel, "lower", "direct", &alternate("lower rest")).unwrap();
    exchange(&mut channel, "upper", "direct", &alternate("rest")).unwrap();
    for name in ["rest", "lower rest"] {
        exchange(&mut channel, name, "fanout", &[]).unwrap();
        bind(&mut channel, name, name, "");
    }
    bind_exchange(&mut channel, "upper", "lower", "k");
    publish(&mut channel, "upper", "k", &[]).unwrap();
    assert_eq!(lengths(&mut channel, &["rest", "lower rest"]), [0, 1], "a match, if in vain, is a match");
    publish(&mut channel, "upper", "l", &[]).unwrap();
    assert_eq!(lengths(&mut channel, &["rest", "lower rest"]), [1, 1]);
}

#[test]
fn alternates_that_lead_in_a_circle_lead_nowhere() {
    let mut channel = with_queues(&[]);
    let alternate = |name: &'static str| [("alternate-exchange", Value::LongString(name.into()))];
    exchange(&mut channel, "one", "direct", &alternate("two")).unwrap();
    exchange(&mut channel, "two", "direct", &alternate("one")).unwrap();
    assert!(!publish(&mut channel, "one", "k", &[]).unwrap());
}

#[test]
fn a_queue_that_binds_late_is_given_the_recent_history() {
    let mut channel = with_queues(&["early", "late", "behind"]);
    exchange(&mut channel, "news", "x-recent-history", &[("x-recent-history-length", Value::I32(2))])
        .unwrap();
    bind(&mut channel, "news", "early", "");
    for key in ["1", "2", "3"] {
        publish(&mut channel, "news", key, &[]).unwrap();
    }
    publish(&mut channel, "news", "4", &[("x-recent-history-no-store", Value::Bool(true))]).unwrap();
    bind(&mut channel, "news", "late", "");
    bind(&mut channel, "news", "late", "");
    assert_eq!(lengths(&mut channel, &["early", "late"]), [4, 2]);
    assert_eq!(get(&mut channel, "late").unwrap().routing_key(), "2");
    assert_eq!(get(&mut channel, "late").unwrap().routing_key(), "3");
    bind(&mut channel, "amq.topic", "behind", "3");
    bind_exchange(&mut channel, "news", "amq.topic", "");
    assert_eq!(get(&mut channel, "behind").unwrap().routing_key(), "3");
    assert!(get(&mut channel, "behind").is_none());
}

#[test]
fn history_is_kept_of_what_other_exchanges_hand_on_and_of_what_nobody_took() {
    let mut channel = with_queues(&["late"]);
    exchange(&mut channel, "news", "x-recent-history", &[]).unwrap();
    bind_exchange(&mut channel, "amq.direct", "news", "k");
    for _ in 0..25 {
        publish(&mut channel, "amq.direct", "k", &[]).unwrap();
    }
    bind(&mut channel, "news", "late", "");
    assert_eq!(lengths(&mut channel, &["late"]), [20]);
}

#[test]
fn a_history_without_length_is_refused_with_the_plug_ins_text() {
    let mut channel = with_queues(&[]);
    let length = [("x-recent-history-length", Value::I32(0))];
    let error = exchange(&mut channel, "news", "x-recent-history", &length).unwrap_err();
    assert_eq!(
        error.reply_text(),
        "PRECONDITION_FAILED - Invalid argument 0, 'x-recent-history-length' must be a positive integer"
    );
}

#[test]
fn random_and_header_hashing_exchanges_choose_anew_for_every_message() {
    let mut channel = with_queues(&["a", "b"]);
    exchange(&mut channel, "random", "x-random", &[]).unwrap();
    let header = [("hash-header", Value::LongString("id".into()))];
    exchange(&mut channel, "hash", "x-consistent-hash", &header).unwrap();
    bind_exchange(&mut channel, "amq.fanout", "random", "");
    bind_exchange(&mut channel, "amq.topic", "hash", "#");
    for queue in ["a", "b"] {
        bind(&mut channel, "random", queue, "");
        bind(&mut channel, "hash", queue, "10");
    }
    for source in ["amq.fanout", "amq.topic"] {
        for id in 0..100 {
            assert!(publish(&mut channel, source, "k", &[("id", Value::I32(id))]).unwrap());
        }
        let lengths = lengths(&mut channel, &["a", "b"]);
        assert!(
            lengths.iter().sum::<u64>() == 100 && lengths.iter().all(|&length| length > 10),
            "{lengths:?}"
        );
        channel.purge_queue("a").unwrap();
        channel.purge_queue("b").unwrap();
    }
}

#[test]
fn a_local_random_exchange_is_bound_to_classic_queues_only() {
    let mut channel = with_queues(&["a"]);
    exchange(&mut channel, "local", "x-local-random", &[]).unwrap();
    let binding = Binding { source: "local", destination: "amq.topic", routing_key: "", arguments: NOTHING };
    let error = channel.bind_exchange(binding, &mut Wakes::default()).unwrap_err();
    assert_eq!(error.reply_text(), "PRECONDITION_FAILED - Destination not found");
    bind(&mut channel, "local", "a", "");
    assert!(publish(&mut channel, "local", "anything", &[]).unwrap());
}

#[test]
fn a_delayed_blind_copy_arrives_and_is_not_seen() {
    let clock = Clock::held(1_700_000_000_000);
    let broker = Broker::new(Options { clock: clock.clone(), ..Options::default() });
    let session = broker.open("/", "guest").unwrap();
    let mut channel = channel(&session);
    channel.declare_queue("b", QueueOptions::default()).unwrap();
    let later = [("x-delay", Value::I32(50)), ("BCC", texts(&["b"]))];
    publish(&mut channel, "", "nowhere", &later).unwrap();
    assert_eq!(lengths(&mut channel, &["b"]), [0]);
    clock.advance(std::time::Duration::from_millis(50));
    broker.run_due();
    let message = get(&mut channel, "b").unwrap();
    assert_eq!(message.properties().header("BCC"), None);
}
