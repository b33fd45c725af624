//! Streams, with the clock held.

use super::rules::{Stage, number, text};
use super::*;

fn stream(arguments: &[(&str, Value)]) -> Stage {
    let mut stage = Stage::new();
    let mut all = vec![("x-queue-type", text("stream"))];
    all.extend_from_slice(arguments);
    stage.queue("s", &all);
    stage
}

fn reader(stage: &Stage, offset: Value, prefetch: u16) -> Channel {
    let session = stage.broker.open("/", "guest").unwrap();
    let mut reader = channel(&session);
    std::mem::forget(session);
    let mut arguments = Table::default();
    arguments.insert("x-stream-offset", offset);
    reader.qos(0, prefetch, false, &mut Wakes::default()).unwrap();
    let options = ConsumeOptions { queue: "s", arguments, ..ConsumeOptions::default() };
    reader.consume(&options, &mut Wakes::default()).unwrap();
    reader
}

#[test]
fn everybody_reads_everything_from_where_he_begins() {
    let mut stage = stream(&[]);
    for body in [b"a", b"b", b"c"] {
        stage.send("s", body);
        stage.pass(1000);
    }
    let offset = Value::Timestamp((super::rules::START + 1000) / 1000);
    let begins =
        [(text("first"), "abc"), (text("last"), "c"), (number(1), "bc"), (text("next"), ""), (offset, "bc")];
    let readers: Vec<_> =
        begins.iter().map(|(offset, read)| (reader(&stage, offset.clone(), 10), *read)).collect();
    stage.send("s", b"d");
    for (reader, read) in readers {
        assert_eq!(String::from_utf8(bodies(&reader)).unwrap(), format!("{read}d"));
    }
    assert_eq!(stage.ready("s"), 4);
}

#[test]
fn deliveries_carry_their_offset_and_acks_are_credit() {
    let mut stage = stream(&[]);
    for body in [b"a", b"b", b"c"] {
        stage.send("s", body);
    }
    let mut reader = reader(&stage, text("first"), 2);
    let got = take(&reader);
    let offsets: Vec<_> =
        got.iter().map(|delivery| delivery.message.properties().header("x-stream-offset").unwrap()).collect();
    assert_eq!(offsets, [number(0), number(1)]);
    reader.settle(&[(got[0].tag, false)], Settle::Ack, &mut Wakes::default()).unwrap();
    assert_eq!(bodies(&reader), [b'c']);
    let refused = reader.settle(&[(got[1].tag, false)], Settle::Requeue, &mut Wakes::default()).unwrap_err();
    assert_eq!(refused.kind(), Kind::NotImplemented);
    assert_eq!(stage.ready("s"), 3);
}

#[test]
fn what_is_too_old_or_too_much_goes() {
    let mut stage = stream(&[("x-max-age", text("10s")), ("x-max-length-bytes", number(3))]);
    for body in [b"a", b"b", b"c", b"d"] {
        stage.send("s", body);
    }
    assert_eq!(bodies(&reader(&stage, number(0), 10)), *b"bcd");
    stage.pass(10_001);
    assert_eq!(stage.ready("s"), 0);
    stage.send("s", b"e");
    let last = take(&reader(&stage, text("first"), 10));
    assert_eq!(last[0].message.properties().header("x-stream-offset"), Some(number(4)));
}

#[test]
fn a_stream_is_neither_fetched_from_nor_purged_nor_read_without_credit() {
    let mut stage = stream(&[]);
    let mut wakes = Wakes::default();
    let text = |error: crate::error::Error| error.reply_text();
    let fetched = stage.reader.get("s", true, &mut wakes).unwrap_err();
    assert_eq!(
        text(fetched),
        "NOT_IMPLEMENTED - basic.get not supported by stream queues queue 's' in vhost '/'"
    );
    let purged = stage.channel.purge_queue("s").unwrap_err();
    assert_eq!(
        text(purged),
        "NOT_IMPLEMENTED - queue.purge not supported by stream queues queue 's' in vhost '/'"
    );
    assert_eq!(
        text(consume(&mut stage.reader, "s").unwrap_err()),
        "PRECONDITION_FAILED - consumer prefetch count is not set for 'queue 's' in vhost '/''"
    );
}
