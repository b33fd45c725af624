//! What the codec costs per message: 128 octets of body, the properties of a persistent text message.

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use warrenmq::wire::hot::{AckRef, ContentHeaderRef, Deliver, PublishRef, encode_ack, encode_content};
use warrenmq::wire::{
    Method, Properties, PropertiesView, ShortString, Table, Value, basic, method_id, next_frame,
};

const FRAME_MAX: u32 = 131_072;
/// Messages per iteration, as a read or a write of a busy connection holds.
const BATCH: usize = 100;

fn short(text: &str) -> ShortString {
    ShortString::truncated(text)
}

fn properties() -> Vec<u8> {
    let mut headers = Table::default();
    headers.insert("tenant", Value::LongString("blue".into()));
    headers.insert("attempt", Value::I32(1));
    let properties = Properties {
        content_type: Some(short("text/plain")),
        headers: Some(headers),
        delivery_mode: Some(2),
        correlation_id: Some(short("6f1d3c1e-87d2-4b6f-9a5c-0e4f6b8a2d10")),
        ..Properties::default()
    };
    let mut out = Vec::new();
    properties.encode(&mut out);
    out
}

fn publishes(body: &[u8], properties: &[u8]) -> BytesMut {
    let publish = Method::from(basic::Publish { routing_key: short("tasks"), ..basic::Publish::default() });
    let mut out = BytesMut::new();
    for _ in 0..BATCH {
        publish.encode(1, &mut out);
        encode_content(&mut out, 1, properties, body, FRAME_MAX);
    }
    out
}

/// Cuts and reads everything, as a connection's read loop does; the sum keeps the work from being optimised away.
fn read_publishes(mut buf: &[u8], check: bool) -> u64 {
    let mut sum = 0;
    while let Ok(Some(method)) = next_frame(buf, FRAME_MAX) {
        assert!(method_id(method.payload) == Some(basic::Publish::ID));
        let publish = PublishRef::decode(method.payload).expect("publish");
        buf = &buf[method.total_len()..];
        let frame = next_frame(buf, FRAME_MAX).expect("frame").expect("header");
        let header = ContentHeaderRef::decode(frame.payload).expect("content header");
        if check {
            PropertiesView(header.properties).validate().expect("properties");
        }
        buf = &buf[frame.total_len()..];
        let body = next_frame(buf, FRAME_MAX).expect("frame").expect("body");
        buf = &buf[body.total_len()..];
        sum += publish.routing_key.len() as u64 + header.body_size + u64::from(body.payload[0]);
    }
    sum
}

fn codec(c: &mut Criterion) {
    let body = [7_u8; 128];
    let properties = properties();
    let deliver = Deliver {
        consumer_tag: "ctag-1.5f2b",
        delivery_tag: 12_345,
        redelivered: false,
        exchange_and_routing_key: b"\x00\x05tasks",
        properties: &properties,
    };

    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Elements(BATCH as u64));

    let mut out = Vec::new();
    group.bench_function("encode deliver, Vec", |b| {
        b.iter(|| {
            out.clear();
            for _ in 0..BATCH {
                black_box(&deliver).encode(&mut out, 1, black_box(&body), FRAME_MAX);
            }
            black_box(out.len())
        });
    });
    let mut out = BytesMut::new();
    group.bench_function("encode deliver, BytesMut", |b| {
        b.iter(|| {
            out.clear();
            for _ in 0..BATCH {
                black_box(&deliver).encode(&mut out, 1, black_box(&body), FRAME_MAX);
            }
            black_box(out.len())
        });
    });

    let plain = publishes(&body, PropertiesView::EMPTY.0);
    group.bench_function("decode publish, no properties", |b| {
        b.iter(|| read_publishes(black_box(&plain), true))
    });
    let rich = publishes(&body, &properties);
    group.bench_function("decode publish, properties unchecked", |b| {
        b.iter(|| read_publishes(black_box(&rich), false));
    });
    group.bench_function("decode publish, properties checked", |b| {
        b.iter(|| read_publishes(black_box(&rich), true))
    });

    let view = PropertiesView(&properties);
    group.bench_function("read delivery mode, priority, expiration", |b| {
        b.iter(|| {
            for _ in 0..BATCH {
                let view = black_box(view);
                black_box((view.delivery_mode(), view.priority(), view.expiration()));
            }
        });
    });
    group.bench_function("look up an absent header", |b| {
        b.iter(|| {
            for _ in 0..BATCH {
                black_box(black_box(view).header("CC"));
            }
        });
    });

    let mut acks = Vec::new();
    group.bench_function("encode and decode ack", |b| {
        b.iter(|| {
            acks.clear();
            for tag in 0..BATCH as u64 {
                encode_ack(&mut acks, 1, tag, false);
            }
            let mut buf = &acks[..];
            let mut sum = 0;
            while let Ok(Some(frame)) = next_frame(black_box(buf), FRAME_MAX) {
                sum += AckRef::decode(frame.payload).expect("ack").delivery_tag;
                buf = &buf[frame.total_len()..];
            }
            sum
        });
    });

    let mut declare = Vec::new();
    Method::from(warrenmq::wire::queue::Declare {
        queue: short("tasks"),
        durable: true,
        ..Default::default()
    })
    .encode(1, &mut declare);
    let payload = next_frame(&declare, FRAME_MAX).expect("frame").expect("whole").payload;
    group.bench_function("decode queue.declare, owned", |b| {
        b.iter(|| {
            for _ in 0..BATCH {
                black_box(Method::decode(black_box(payload)).expect("declare"));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
