//! What the exchange types promise, sentence by sentence.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::wire::PropertiesView;

/// The types of AMQP 0-9-1.
const AMQP: [Kind; 4] = [Kind::Direct, Kind::Fanout, Kind::Topic, Kind::Headers];

fn text(text: &'static str) -> Value {
    Value::LongString(text.into())
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    Table(entries.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

fn none() -> Table {
    Table::default()
}

fn routed<'a, D: Clone + Ord + Hash>(router: &'a Router<D>, key: &str, headers: &Table) -> Vec<&'a D> {
    let mut destinations = Vec::new();
    let properties = PropertiesView::EMPTY.with_headers(headers);
    let envelope = Envelope { routing_key: key, more_keys: &[], properties: PropertiesView(&properties) };
    router.route(&envelope, |destination| destinations.push(destination));
    destinations.sort();
    destinations
}

/// Whether a message with this key reaches a queue bound to a topic exchange with this pattern.
fn topic(pattern: &str, key: &str) -> bool {
    let mut router = Router::new(Kind::Topic, &Table::default()).unwrap();
    router.bind(pattern, &none(), "q").unwrap();
    !routed(&router, key, &none()).is_empty()
}

/// Whether a message with these headers reaches a queue bound to a headers exchange with these arguments.
fn headers<const N: usize, const M: usize>(
    arguments: [(&str, Value); N],
    headers: [(&str, Value); M],
) -> bool {
    let mut router = Router::new(Kind::Headers, &Table::default()).unwrap();
    router.bind("", &table(arguments), "q").unwrap();
    !routed(&router, "", &table(headers)).is_empty()
}

#[test]
fn kinds_are_parsed_from_and_printed_as_their_amqp_names() {
    let arguments = table([("x-delayed-type", text("topic"))]);
    for kind in Kind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
        assert_eq!(Router::<u8>::new(kind, &arguments).unwrap().kind(), kind);
    }
    assert_eq!("x-jms-topic".parse::<Kind>(), Err(UnknownKind));
    assert_eq!("Direct".parse::<Kind>(), Err(UnknownKind));
}

#[test]
fn a_binding_is_its_destination_key_and_arguments_and_binding_it_again_changes_nothing() {
    for kind in AMQP {
        let mut router = Router::new(kind, &Table::default()).unwrap();
        let arguments = table([("a", text("1"))]);
        assert_eq!(router.bind("k", &none(), "q"), Ok(true));
        assert_eq!(router.bind("k", &none(), "q"), Ok(false));
        assert_eq!(router.bind("l", &none(), "q"), Ok(true));
        assert_eq!(router.bind("k", &arguments, "q"), Ok(true));
        assert_eq!(router.bind("k", &none(), "r"), Ok(true));
        assert_eq!((router.len(), router.destination_count()), (4, 2));
        assert_eq!(
            routed(&router, "k", &arguments),
            [&"q", &"r"],
            "each destination once, at a {kind} exchange"
        );

        assert!(!router.unbind("m", &none(), &"q"));
        assert!(router.unbind("k", &none(), &"q"));
        assert!(!router.unbind("k", &none(), &"q"));
        assert_eq!(routed(&router, "k", &arguments), [&"q", &"r"], "the other arguments still bind");
        assert_eq!(router.remove_destination(&"q"), 2);
        assert_eq!(router.remove_destination(&"q"), 0);
        assert_eq!(routed(&router, "k", &arguments), [&"r"]);
    }
}

#[test]
fn the_order_of_the_arguments_does_not_make_another_binding() {
    let mut router = Router::new(Kind::Direct, &Table::default()).unwrap();
    assert_eq!(router.bind("k", &table([("b", text("2")), ("a", text("1"))]), "q"), Ok(true));
    assert_eq!(router.bind("k", &table([("a", text("1")), ("b", text("2"))]), "q"), Ok(false));
}

#[test]
fn an_argument_that_is_not_a_number_can_be_unbound() {
    for kind in AMQP {
        let mut router = Router::new(kind, &Table::default()).unwrap();
        let arguments = table([("a", Value::Array(vec![Value::F64(f64::NAN), Value::F32(f32::NAN)]))]);
        assert_eq!(router.bind("k", &arguments, "q"), Ok(true));
        assert_eq!(router.bind("k", &arguments, "q"), Ok(false));
        assert!(router.unbind("k", &arguments, &"q"));
        assert!(router.matcher.holds_nothing());
    }
}

#[test]
fn a_listing_shows_destination_key_and_arguments() {
    let mut router = Router::new(Kind::Topic, &Table::default()).unwrap();
    let arguments = table([("a", text("1"))]);
    router.bind("stock.#", &arguments, "q").unwrap();
    router.bind("other", &none(), "r").unwrap();
    let listed: Vec<_> = router.bindings_to(&"q").collect();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].destination, listed[0].routing_key, listed[0].arguments),
        (&"q", "stock.#", &arguments)
    );
    assert_eq!(router.bindings().count(), 2);
}

#[test]
fn many_destinations_matched_by_many_patterns_come_once_each() {
    let mut router = Router::new(Kind::Topic, &Table::default()).unwrap();
    for destination in 0..100 {
        for pattern in ["#", "a.*", "*.b", "a.b", "#.b"] {
            router.bind(pattern, &none(), destination).unwrap();
        }
    }
    assert_eq!(routed(&router, "a.b", &none()), (0..100).collect::<Vec<_>>().iter().collect::<Vec<_>>());
}

#[test]
fn a_star_is_exactly_one_word() {
    assert!(topic("a.*", "a.b"));
    assert!(topic("*", "a"));
    assert!(topic("a.*.c", "a..c"), "an empty word is a word");
    assert!(!topic("a.*", "a"));
    assert!(!topic("a.*", "a.b.c"));
}

#[test]
fn a_hash_is_any_number_of_words() {
    for key in ["", "a", "a.b", "..", "a."] {
        assert!(topic("#", key), "{key}");
        assert!(topic("#.#", key), "{key}");
    }
    assert!(topic("a.#", "a"));
    assert!(topic("a.#.b", "a.b"));
    assert!(topic("a.#.b", "a.x.y.b"));
    assert!(topic("#.*", "a"));
    assert!(!topic("#.*", ""));
    assert!(!topic("a.#.b", "a.x.y"));
}

#[test]
fn the_empty_key_has_no_words_and_dots_make_empty_ones() {
    assert!(topic("", ""));
    assert!(!topic("*", ""));
    assert!(!topic("", "a"));
    assert!(topic("*.*", "."));
    assert!(topic("a..b", "a..b"));
    assert!(!topic("a.b", "a..b"));
    assert!(!topic("a", "a."));
}

#[test]
fn a_wildcard_within_a_word_is_literal() {
    assert!(topic("critical*", "critical*"));
    assert!(!topic("critical*", "critical1"));
    assert!(!topic("a.b#", "a.b.c"));
}

#[test]
fn a_wildcard_in_a_routing_key_is_a_word_like_any_other() {
    assert!(topic("*", "#"));
    assert!(topic("a.*", "a.*"));
    assert!(!topic("a.b", "a.*"));
    assert!(!topic("a.b", "#"));
    assert!(!topic("#.b", "#"));
}

#[test]
fn hostile_patterns_and_keys_take_polynomial_time() {
    let mut router = Router::new(Kind::Topic, &Table::default()).unwrap();
    let pattern = ["#.a"; 60].join(".");
    router.bind(&pattern, &none(), "q").unwrap();
    router.bind(&format!("{pattern}.b"), &none(), "r").unwrap();
    let key = ["a"; 120].join(".");
    assert_eq!(routed(&router, &key, &none()), [&"q"]);
}

#[test]
fn all_is_the_default_and_wants_every_argument() {
    let wanted = [("a", text("1")), ("b", text("2"))];
    assert!(headers(wanted.clone(), [("b", text("2")), ("c", text("3")), ("a", text("1"))]));
    assert!(!headers(wanted.clone(), [("a", text("1"))]));
    assert!(!headers(wanted, [("a", text("1")), ("b", text("3"))]));
}

#[test]
fn any_wants_one_argument() {
    let wanted = [("x-match", text("any")), ("a", text("1")), ("b", text("2"))];
    assert!(headers(wanted.clone(), [("b", text("2"))]));
    assert!(!headers(wanted, [("a", text("2")), ("c", text("3"))]));
}

#[test]
fn without_conditions_all_matches_everything_and_any_nothing() {
    assert!(headers([], []));
    assert!(headers([("x-match", text("all"))], [("a", text("1"))]));
    assert!(headers([("x-other", text("1"))], []));
    assert!(!headers([("x-match", text("any"))], [("a", text("1"))]));
    assert!(!headers([("x-match", text("any")), ("x-a", text("1"))], [("x-a", text("1"))]));
}

#[test]
fn names_that_start_with_x_count_only_with_x() {
    assert!(headers([("x-a", text("1")), ("b", text("2"))], [("b", text("2"))]));
    assert!(!headers([("x-match", text("all-with-x")), ("x-a", text("1"))], []));
    assert!(headers([("x-match", text("all-with-x")), ("x-a", text("1"))], [("x-a", text("1"))]));
    assert!(headers([("x-match", text("any-with-x")), ("x-a", text("1"))], [("x-a", text("1"))]));
    assert!(headers([("x-match", text("all-with-x"))], []), "x-match itself is never a condition");
}

#[test]
fn a_void_wants_the_header_whatever_its_value() {
    assert!(headers([("a", Value::Void)], [("a", text("1"))]));
    assert!(headers([("a", Value::Void)], [("a", Value::Void)]));
    assert!(headers([("x-match", text("any")), ("a", Value::Void)], [("a", Value::Bool(false))]));
    assert!(!headers([("a", Value::Void)], [("b", text("1"))]));
    assert!(!headers([("a", text("1"))], [("a", Value::Void)]));
}

#[test]
fn numbers_compare_by_value_and_strings_by_their_bytes() {
    let one =
        [Value::I8(1), Value::U8(1), Value::I64(1), Value::Timestamp(1), Value::F32(1.0), Value::F64(1.0)];
    for a in &one {
        for b in &one {
            assert!(headers([("n", a.clone())], [("n", b.clone())]), "{a:?} = {b:?}");
        }
        assert!(!headers([("n", a.clone())], [("n", text("1"))]));
        assert!(!headers([("n", a.clone())], [("n", Value::Bool(true))]));
        assert!(!headers([("n", a.clone())], [("n", Value::Decimal(0, 1))]));
    }
    assert!(headers([("n", Value::F64(-0.0))], [("n", Value::U8(0))]));
    assert!(headers([("n", Value::F32(0.5))], [("n", Value::F64(0.5))]));
    assert!(!headers([("n", Value::F32(0.1))], [("n", Value::F64(0.1))]), "0.1 is another number in 32 bits");
    assert!(!headers([("n", Value::I64((1 << 53) + 1))], [("n", Value::F64((1u64 << 53) as f64))]));
    assert!(headers([("s", text("x"))], [("s", Value::ByteArray("x".into()))]));
}

#[test]
fn inside_arrays_and_tables_the_types_count() {
    let array = |value| Value::Array(vec![value]);
    assert!(headers([("a", array(Value::I32(1)))], [("a", array(Value::I32(1)))]));
    assert!(!headers([("a", array(Value::I32(1)))], [("a", array(Value::I64(1)))]));
    let nested = |value| Value::Table(table([("n", value)]));
    assert!(headers([("a", nested(text("x")))], [("a", nested(text("x")))]));
    assert!(!headers([("a", nested(text("x")))], [("a", nested(Value::ByteArray("x".into())))]));
    assert!(
        headers([("a", Value::Array(Vec::new()))], [("a", Value::Table(none()))]),
        "both are [] in Erlang"
    );
}

#[test]
fn a_name_that_stands_twice_is_compared_in_pairs() {
    let twice = [("a", text("1")), ("a", text("2"))];
    assert!(headers(twice.clone(), twice.clone()));
    assert!(!headers(twice.clone(), [("a", text("1"))]));
    assert!(!headers(twice, [("a", text("2")), ("a", text("1"))]));
    assert!(!headers([("a", text("2"))], [("a", text("1")), ("a", text("2"))]));
}

#[test]
fn an_unknown_x_match_is_refused_with_rabbitmqs_text() {
    let refusal = |value: Value| {
        let mut router = Router::new(Kind::Headers, &Table::default()).unwrap();
        let error = router.bind("", &table([("x-match", value)]), "q").unwrap_err();
        assert!(router.is_empty());
        error.to_string()
    };
    assert_eq!(
        refusal(text("some \"one\"")),
        r#"Invalid x-match field value <<"some \"one\"">>; expected all, any, all-with-x, or any-with-x"#,
    );
    assert_eq!(
        refusal(Value::LongString(vec![1, 255].into())),
        "Invalid x-match field value <<1,255>>; expected all, any, all-with-x, or any-with-x",
    );
    for (value, printed) in [
        (Value::I32(5), "signedint (value 5)"),
        (Value::F64(1.0), "double (value 1.0)"),
        (Value::Bool(true), "bool (value true)"),
        (Value::Void, "void (value undefined)"),
        (Value::ByteArray("all".into()), r#"binary (value <<"all">>)"#),
        (
            Value::Array(vec![text("a"), Value::U8(1)]),
            r#"array (value [{longstr,<<"a">>},{unsignedbyte,1}])"#,
        ),
        (Value::Table(table([("k", Value::Void)])), r#"table (value [{<<"k">>,void,undefined}])"#),
        (Value::Decimal(2, 314), "decimal (value {2,314})"),
    ] {
        assert_eq!(refusal(value), format!("Invalid x-match field type {printed}; expected longstr"));
    }
}

#[test]
fn other_exchange_types_do_not_look_at_x_match() {
    for kind in [Kind::Direct, Kind::Fanout, Kind::Topic] {
        assert_eq!(
            Router::new(kind, &Table::default()).unwrap().bind("", &table([("x-match", text("none"))]), "q"),
            Ok(true)
        );
    }
}
