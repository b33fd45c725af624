//! What routing one message costs, by exchange type and number of bindings.
//!
//! `cargo bench -p warrenmq --bench routing`

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use warrenmq::routing::{Envelope, Kind, Router};
use warrenmq::wire::PropertiesView;
use warrenmq::wire::table::{Table, Value};

fn router(kind: Kind, bindings: impl Iterator<Item = (String, Table)>) -> Router<usize> {
    let mut router = Router::new(kind, &Table::default()).expect("needs no arguments");
    for (destination, (key, arguments)) in bindings.enumerate() {
        router.bind(&key, &arguments, destination).expect("a valid binding");
    }
    router
}

/// How many destinations a message reaches.
fn route(router: &Router<usize>, key: &str, properties: &[u8]) -> usize {
    let mut destinations = 0;
    let properties = PropertiesView(black_box(properties));
    router.route(&Envelope { routing_key: black_box(key), more_keys: &[], properties }, |destination| {
        black_box(destination);
        destinations += 1;
    });
    destinations
}

const PLAIN: &[u8] = PropertiesView::EMPTY.0;

fn text(text: String) -> Value {
    Value::LongString(text.into())
}

/// Four of five patterns hold wildcards; a message reaches four queues.
fn topic(c: &mut Criterion) {
    let mut group = c.benchmark_group("topic");
    for count in [10, 10_000, 100_000] {
        let patterns = (0..count).map(|n| {
            let pattern = match n % 5 {
                0 => format!("stock.{n}.price.eu"),
                1 => format!("stock.{}.*.eu", n - 1),
                2 => format!("stock.{}.#", n - 2),
                3 => format!("#.{}.price.*", n - 3),
                _ => format!("stock.{n}.volume.*"),
            };
            (pattern, Table::default())
        });
        let router = router(Kind::Topic, patterns);
        // Many keys in turn, so that the trie does not simply sit in the processor's nearest cache.
        let keys: Vec<_> = (0..count).step_by(5).map(|n| format!("stock.{n}.price.eu")).collect();
        assert!(keys.iter().all(|key| route(&router, key, PLAIN) == 4));
        let mut turn = keys.iter().cycle();
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| turn.next().map(|key| route(&router, key, PLAIN)))
        });
    }
    group.finish();
}

/// Every binding wants one common and one own value; a message reaches one queue.
fn headers(c: &mut Criterion) {
    let mut group = c.benchmark_group("headers");
    for count in [1_000, 100_000] {
        let arguments =
            |n| Table(vec![("format".into(), text("pdf".into())), ("report".into(), text(format!("r{n}")))]);
        let router = router(Kind::Headers, (0..count).map(|n| (String::new(), arguments(n))));
        let mut headers = arguments(count / 2);
        headers.insert("author", text("me".into()));
        headers.insert("pages", Value::I32(7));
        let headers = PropertiesView::EMPTY.with_headers(&headers);
        assert_eq!(route(&router, "", &headers), 1);
        group.bench_function(BenchmarkId::from_parameter(count), |b| b.iter(|| route(&router, "", &headers)));
    }
    group.finish();
}

fn direct(c: &mut Criterion) {
    let router = router(Kind::Direct, (0..100_000).map(|n| (format!("queue.{n}"), Table::default())));
    let keys: Vec<_> = (0..100_000).map(|n| format!("queue.{n}")).collect();
    assert!(keys.iter().all(|key| route(&router, key, PLAIN) == 1));
    let mut turn = keys.iter().cycle();
    c.bench_function("direct/100000", |b| b.iter(|| turn.next().map(|key| route(&router, key, PLAIN))));
}

fn fanout(c: &mut Criterion) {
    let router = router(Kind::Fanout, (0..100).map(|_| (String::new(), Table::default())));
    assert_eq!(route(&router, "", PLAIN), 100);
    c.bench_function("fanout/100", |b| b.iter(|| route(&router, "", PLAIN)));
}

/// Binding and unbinding one more queue of 100,000.
fn change(c: &mut Criterion) {
    let mut group = c.benchmark_group("bind_and_delete_among_100000");
    for kind in [Kind::Direct, Kind::Fanout, Kind::Topic, Kind::Headers] {
        let bindings = (0..100_000).map(|n| {
            (
                format!("queue.{n}.#"),
                Table(vec![("common".into(), Value::I32(1)), ("own".into(), Value::I32(n))]),
            )
        });
        let mut router = router(kind, bindings);
        let arguments = Table(vec![("common".into(), Value::I32(1)), ("own".into(), Value::I32(-1))]);
        group.bench_function(kind.name(), |b| {
            b.iter(|| {
                router.bind(black_box("queue.new.#"), &arguments, usize::MAX).expect("a valid binding");
                router.remove_destination(&usize::MAX)
            })
        });
    }
    group.finish();
}

criterion_group!(benches, topic, headers, direct, fanout, change);
criterion_main!(benches);
