//! Tests of the exchanges that choose one destination.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::wire::PropertiesView;

fn arguments(entries: &[(&str, &'static str)]) -> Table {
    let value = |text: &'static str| Value::LongString(text.into());
    Table(entries.iter().map(|(name, text)| ((*name).into(), value(text))).collect())
}

fn exchange(kind: Kind, entries: &[(&str, &'static str)], bindings: &[(&str, u8)]) -> Router<u8> {
    let mut router = Router::new(kind, &arguments(entries)).unwrap();
    for (key, destination) in bindings {
        router.bind(key, &Table::default(), *destination).unwrap();
    }
    router
}

/// The only destination of a message.
fn chosen(router: &Router<u8>, routing_key: &str, properties: &[u8]) -> Option<u8> {
    let mut found = Vec::new();
    let envelope = Envelope { routing_key, more_keys: &[], properties: PropertiesView(properties) };
    router.route(&envelope, |destination| found.push(*destination));
    assert!(found.len() <= 1, "{found:?}");
    found.pop()
}

fn counts(router: &Router<u8>, messages: u32) -> [u32; 4] {
    let mut counts = [0; 4];
    for n in 0..messages {
        counts[usize::from(chosen(router, &format!("key.{n}"), &[0, 0]).unwrap())] += 1;
    }
    counts
}

#[test]
fn a_consistent_hash_gives_each_queue_its_weight_of_the_keys() {
    let router = exchange(Kind::ConsistentHash, &[], &[("1", 0), ("2", 1), ("3", 2)]);
    let [one, two, three, _] = counts(&router, 6000);
    assert!((900..1100).contains(&one) && (1850..2150).contains(&two), "{one} {two} {three}");
    assert!(router.by_routing_key());
}

#[test]
fn a_queue_more_takes_only_its_share_and_gives_it_back_when_it_goes() {
    let mut router = exchange(Kind::ConsistentHash, &[], &[("5", 0), ("5", 1), ("5", 2)]);
    let keys: Vec<_> = (0..2000).map(|n| format!("key.{n}")).collect();
    let all =
        |router: &Router<u8>| -> Vec<_> { keys.iter().map(|key| chosen(router, key, &[0, 0])).collect() };
    let before = all(&router);
    router.bind("5", &Table::default(), 3).unwrap();
    let with = all(&router);
    assert!(before.iter().zip(&with).all(|(before, with)| before == with || *with == Some(3)));
    router.remove_destination(&3);
    assert_eq!(all(&router), before);
    router.remove_destination(&0);
    assert!(all(&router).iter().all(|found| matches!(found, Some(1 | 2))));
}

#[test]
fn a_second_binding_of_a_queue_brings_no_buckets_and_any_unbinding_takes_them_all() {
    let mut router = exchange(Kind::ConsistentHash, &[], &[("1", 0), ("9", 0), ("1", 1)]);
    let [first, second, ..] = counts(&router, 1000);
    assert!(first.abs_diff(second) < 150, "{first} {second}");
    assert!(router.unbind("9", &Table::default(), &0));
    assert_eq!(counts(&router, 100), [0, 100, 0, 0]);
    assert!(router.unbind("1", &Table::default(), &0));
    assert!(router.unbind("1", &Table::default(), &1));
    assert_eq!(chosen(&router, "key", &[0, 0]), None);
    assert!(router.matcher.holds_nothing());
}

#[test]
fn a_consistent_hash_can_be_of_a_header_or_a_property() {
    let bindings = [("10", 0), ("10", 1), ("10", 2)];
    let header = exchange(Kind::ConsistentHash, &[("hash-header", "customer")], &bindings);
    let with = |customer| PropertiesView::EMPTY.with_headers(&arguments(&[("customer", customer)]));
    let mut reached = std::collections::BTreeSet::new();
    for customer in ["ann", "bob", "cyd", "dot", "eve", "fay", "guy"] {
        let found = chosen(&header, "a", &with(customer));
        assert_eq!(found, chosen(&header, "another", &with(customer)));
        reached.insert(found);
    }
    assert_eq!(reached.len(), 3);
    assert_eq!(chosen(&header, "a", &[0, 0]), chosen(&header, "b", &[0, 0]), "no header is a value, too");
    assert!(!header.by_routing_key());

    for (property, flags) in [("correlation_id", [4, 0]), ("message_id", [0, 128])] {
        let router = exchange(Kind::ConsistentHash, &[("hash-property", property)], &bindings);
        let key = exchange(Kind::ConsistentHash, &[], &bindings);
        for id in ["1", "2", "3", "4", "5"] {
            let properties = [&flags[..], &[1], id.as_bytes()].concat();
            assert_eq!(chosen(&router, "a", &properties), chosen(&key, id, &[0, 0]));
        }
    }
}

#[test]
fn what_hashing_exchanges_do_not_take_is_refused_with_the_plug_ins_texts() {
    let refusal = |entries: &[(&str, &'static str)]| {
        Router::<u8>::new(Kind::ConsistentHash, &arguments(entries)).unwrap_err().to_string()
    };
    assert_eq!(refusal(&[("hash-property", "app_id")]), "Unsupported property: app_id");
    assert_eq!(
        refusal(&[("hash-property", "message_id"), ("hash-header", "a")]),
        "hash-header and hash-property are mutually exclusive"
    );
    let mut router = exchange(Kind::ConsistentHash, &[], &[]);
    let mut refusal = |key| router.bind(key, &Table::default(), 0).unwrap_err().to_string();
    assert_eq!(refusal("0"), "The binding key must be greater than 0");
    assert_eq!(refusal("-1"), "The binding key must be greater than 0");
    assert_eq!(refusal("many"), "The binding key must be an integer: <<\"many\">>");
    assert_eq!(refusal(""), "The binding key must be an integer: <<>>");
    assert!(router.is_empty() && router.bind("+2", &Table::default(), 0).unwrap());
}

#[test]
fn a_modulus_hash_chooses_what_rabbitmq_chooses() {
    let bindings = [("d", 3), ("a", 0), ("c", 2), ("b", 1), ("e", 4), ("g", 6), ("f", 5)];
    let router = exchange(Kind::ModulusHash, &[], &bindings);
    let found: Vec<_> = (0..20).filter_map(|n| chosen(&router, &format!("key.{n}"), &[0, 0])).collect();
    assert_eq!(found, [6, 2, 0, 1, 0, 3, 2, 2, 0, 1, 0, 1, 5, 2, 6, 4, 6, 5, 5, 6]);
}

#[test]
fn random_exchanges_spread_messages_over_their_bindings() {
    for kind in [Kind::Random, Kind::LocalRandom] {
        let mut router = exchange(kind, &[], &[("", 0), ("", 1), ("", 2)]);
        assert!(!router.by_routing_key());
        for count in &counts(&router, 3000)[..3] {
            assert!((850..1150).contains(count), "{count} of 3000 at an {kind} exchange");
        }
        router.remove_destination(&1);
        assert_eq!(counts(&router, 100)[1], 0);
        router.remove_destination(&0);
        router.remove_destination(&2);
        assert_eq!(chosen(&router, "", &[0, 0]), None);
        assert!(router.matcher.holds_nothing());
    }
}

#[test]
fn a_local_random_exchange_takes_no_binding_keys() {
    let error = exchange(Kind::LocalRandom, &[], &[]).bind("k", &Table::default(), 0).unwrap_err();
    assert_eq!(error.to_string(), "Non empty binding 'k' key not permitted");
}

#[test]
fn a_delayed_message_exchange_routes_as_the_type_that_it_names() {
    let router = exchange(Kind::DelayedMessage, &[("x-delayed-type", "topic")], &[("a.*", 0)]);
    assert_eq!(chosen(&router, "a.b", &[0, 0]), Some(0));
    assert_eq!(chosen(&router, "b", &[0, 0]), None);
    assert_eq!((router.kind(), router.routes_as()), (Kind::DelayedMessage, Kind::Topic));
}

#[test]
fn a_delayed_message_exchange_without_a_type_is_refused_with_the_plug_ins_text() {
    let refusal = |entries: &[(&str, &'static str)]| {
        Router::<u8>::new(Kind::DelayedMessage, &arguments(entries)).unwrap_err().to_string()
    };
    let text = "Invalid argument, 'x-delayed-type' must be an existing exchange type";
    assert_eq!(refusal(&[]), text);
    assert_eq!(refusal(&[("x-delayed-type", "x-delayed-message")]), text);
    assert_eq!(refusal(&[("x-delayed-type", "none")]), "unknown exchange type 'none'");
}
