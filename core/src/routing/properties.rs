//! Property tests: each exchange type against a model that keeps the bindings in a list and asks the
//! textbook definition of every one of them.

use proptest::prelude::*;

use super::*;
use crate::wire::PropertiesView;

/// What happens to an exchange, and what is published to it.
#[derive(Clone, Debug)]
enum Step {
    Bind(String, Table, u8),
    Unbind(String, Table, u8),
    RemoveDestination(u8),
    Publish(String, Table),
}

#[derive(Default)]
struct Model(Vec<(String, Table, u8)>);

impl Model {
    fn position(&self, key: &str, arguments: &Table, destination: u8) -> Option<usize> {
        self.0.iter().position(|(k, a, d)| k == key && a == arguments && *d == destination)
    }
}

/// Runs the steps on both, comparing every answer, then takes everything down again.
fn agrees(
    kind: Kind,
    steps: Vec<Step>,
    matches: impl Fn(&str, &Table, &str, &Table) -> bool,
) -> Result<(), TestCaseError> {
    let mut router = Router::new(kind, &Table::default()).unwrap();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Bind(key, arguments, destination) => {
                let new = model.position(&key, &arguments, destination).is_none();
                prop_assert_eq!(router.bind(&key, &arguments, destination), Ok(new));
                if new {
                    model.0.push((key, arguments, destination));
                }
            }
            Step::Unbind(key, arguments, destination) => {
                let position = model.position(&key, &arguments, destination);
                prop_assert_eq!(router.unbind(&key, &arguments, &destination), position.is_some());
                position.map(|position| model.0.remove(position));
            }
            Step::RemoveDestination(destination) => {
                let before = model.0.len();
                model.0.retain(|(_, _, d)| *d != destination);
                prop_assert_eq!(router.remove_destination(&destination), before - model.0.len());
            }
            Step::Publish(routing_key, headers) => {
                let mut wanted: Vec<u8> = model
                    .0
                    .iter()
                    .filter(|(key, arguments, _)| matches(key, arguments, &routing_key, &headers))
                    .map(|(_, _, destination)| *destination)
                    .collect();
                wanted.sort_unstable();
                wanted.dedup();
                let mut emitted = Vec::new();
                let properties = PropertiesView::EMPTY.with_headers(&headers);
                let properties = PropertiesView(&properties);
                let envelope = Envelope { routing_key: &routing_key, more_keys: &[], properties };
                router.route(&envelope, |destination| emitted.push(*destination));
                emitted.sort_unstable();
                prop_assert_eq!(emitted, wanted);
            }
        }
        prop_assert_eq!(router.len(), model.0.len());
        prop_assert_eq!(router.bindings().count(), model.0.len());
    }
    for (key, arguments, destination) in model.0 {
        prop_assert!(router.unbind(&key, &arguments, &destination));
    }
    prop_assert!(router.is_empty());
    prop_assert!(router.matcher.holds_nothing(), "an empty exchange keeps {:?}", router.matcher);
    Ok(())
}

/// Sequences of steps with few enough keys, tables and destinations that they meet.
fn steps(
    binding_key: impl Strategy<Value = String> + Clone + 'static,
    arguments: impl Strategy<Value = Table> + Clone + 'static,
    routing_key: impl Strategy<Value = String> + 'static,
    headers: impl Strategy<Value = Table> + 'static,
) -> impl Strategy<Value = Vec<Step>> {
    let destination = 0..30u8;
    let step = prop_oneof![
        6 => (binding_key.clone(), arguments.clone(), destination.clone()).prop_map(|(k, a, d)| Step::Bind(k, a, d)),
        3 => (binding_key, arguments, destination.clone()).prop_map(|(k, a, d)| Step::Unbind(k, a, d)),
        1 => destination.prop_map(Step::RemoveDestination),
        6 => (routing_key, headers).prop_map(|(k, h)| Step::Publish(k, h)),
    ];
    prop::collection::vec(step, 0..80)
}

fn key_of(words: &'static [&'static str], longest: usize) -> impl Strategy<Value = String> + Clone {
    prop::collection::vec(prop::sample::select(words), 0..=longest).prop_map(|words| words.join("."))
}

fn table_of(
    names: &'static [&'static str],
    values: impl Strategy<Value = Value> + Clone + 'static,
) -> impl Strategy<Value = Table> + Clone {
    prop::collection::btree_map(prop::sample::select(names), values, 0..4)
        .prop_map(|map| Table(map.into_iter().map(|(name, value)| (name.into(), value)).collect()))
}

fn no_table() -> impl Strategy<Value = Table> + Clone {
    Just(Table::default())
}

fn some_arguments() -> impl Strategy<Value = Table> + Clone {
    table_of(&["a", "b"], Just(Value::Void))
}

fn split(key: &str) -> Vec<&str> {
    if key.is_empty() { Vec::new() } else { key.split('.').collect() }
}

fn pattern_matches(pattern: &[&str], key: &[&str]) -> bool {
    match (pattern, key) {
        ([], []) => true,
        (["#", rest @ ..], _) => (0..=key.len()).any(|skipped| pattern_matches(rest, &key[skipped..])),
        (["*", rest @ ..], [_, others @ ..]) => pattern_matches(rest, others),
        ([word, rest @ ..], [other, others @ ..]) => word == other && pattern_matches(rest, others),
        _ => false,
    }
}

fn text(text: &'static str) -> Value {
    Value::LongString(text.into())
}

/// Values of many types, many of them equal across types.
fn value() -> impl Strategy<Value = Value> + Clone {
    prop::sample::select(vec![
        Value::Void,
        Value::Bool(true),
        Value::Bool(false),
        Value::I8(1),
        Value::U8(1),
        Value::I16(-2),
        Value::U16(2),
        Value::I32(1),
        Value::U32(2),
        Value::I64(-2),
        Value::Timestamp(2),
        Value::F32(1.0),
        Value::F32(0.5),
        Value::F64(0.5),
        Value::F64(-2.0),
        Value::Decimal(0, 1),
        text("1"),
        text("x"),
        Value::ByteArray("x".into()),
        Value::Array(vec![Value::I32(1)]),
        Value::Array(vec![Value::I64(1)]),
        Value::Array(Vec::new()),
        Value::Table(Table::default()),
    ])
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::I8(x) => Some((*x).into()),
        Value::U8(x) => Some((*x).into()),
        Value::I16(x) => Some((*x).into()),
        Value::U16(x) => Some((*x).into()),
        Value::I32(x) => Some((*x).into()),
        Value::U32(x) => Some((*x).into()),
        Value::I64(x) => Some(*x as f64),
        Value::Timestamp(x) => Some(*x as f64),
        Value::F32(x) => Some((*x).into()),
        Value::F64(x) => Some(*x),
        _ => None,
    }
}

fn meets(wanted: &Value, value: &Value) -> bool {
    match (wanted, value) {
        (Value::Void, _) => true,
        (Value::LongString(a) | Value::ByteArray(a), Value::LongString(b) | Value::ByteArray(b)) => a == b,
        (Value::Table(a), Value::Array(b)) | (Value::Array(b), Value::Table(a)) => a.0.len() + b.len() == 0,
        _ => match (number(wanted), number(value)) {
            (Some(a), Some(b)) => a == b,
            _ => wanted == value,
        },
    }
}

fn headers_match(arguments: &Table, headers: &Table) -> bool {
    let mode = arguments.get("x-match").cloned().unwrap_or(text("all"));
    let with_x = mode == text("all-with-x") || mode == text("any-with-x");
    let mut met = arguments
        .0
        .iter()
        .filter(|(name, _)| &**name != "x-match" && (with_x || !name.starts_with("x-")))
        .map(|(name, wanted)| headers.get(name).is_some_and(|value| meets(wanted, value)));
    if mode == text("any") || mode == text("any-with-x") { met.any(|met| met) } else { met.all(|met| met) }
}

fn header_arguments() -> impl Strategy<Value = Table> + Clone {
    let modes = [None, Some("all"), Some("any"), Some("all-with-x"), Some("any-with-x")];
    (table_of(&["a", "b", "c", "x-a", "x-match-b"], value()), prop::sample::select(modes.to_vec())).prop_map(
        |(mut table, mode)| {
            if let Some(mode) = mode {
                table.insert("x-match", text(mode));
            }
            table
        },
    )
}

proptest! {
    #[test]
    fn a_direct_exchange_agrees_with_comparing_every_key(
        steps in steps(key_of(&["a", "b"], 2), some_arguments(), key_of(&["a", "b"], 2), no_table()),
    ) {
        agrees(Kind::Direct, steps, |key, _, routing_key, _| key == routing_key)?;
    }

    #[test]
    fn a_fanout_exchange_agrees_with_taking_every_binding(
        steps in steps(key_of(&["a", "b"], 2), some_arguments(), key_of(&["a", "b"], 2), no_table()),
    ) {
        agrees(Kind::Fanout, steps, |_, _, _, _| true)?;
    }

    #[test]
    fn a_topic_exchange_agrees_with_matching_every_pattern_recursively(
        steps in steps(
            key_of(&["a", "b", "", "*", "#", "#", "c*"], 5),
            some_arguments(),
            key_of(&["a", "b", "", "*", "#", "c*"], 6),
            no_table(),
        ),
    ) {
        agrees(Kind::Topic, steps, |pattern, _, key, _| pattern_matches(&split(pattern), &split(key)))?;
    }

    #[test]
    fn a_headers_exchange_agrees_with_comparing_every_table(
        steps in steps(
            key_of(&["a"], 1),
            header_arguments(),
            key_of(&["a"], 1),
            table_of(&["a", "b", "c", "x-a", "x-match", "x-match-b"], value()),
        ),
    ) {
        agrees(Kind::Headers, steps, |_, arguments, _, headers| headers_match(arguments, headers))?;
    }
}
