//! Whatever a peer sends: nothing panics, what is read can be written, what is written reads the same, and the
//! borrowed forms agree with the owned ones. Equality is of octets, for NaN equals nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use warrenmq::wire::hot::{AckRef, ContentHeaderRef, PublishRef};
use warrenmq::wire::{
    DecodeError, FrameKind, Method, Properties, PropertiesView, Table, basic, method_id, next_frame,
};

fuzz_target!(|bytes: &[u8]| {
    let Some((what, bytes)) = bytes.split_first() else { return };
    // The parts by themselves too, so that the fuzzer need not first learn to frame them.
    match what % 4 {
        0 => frames(bytes),
        1 => method(bytes),
        2 => properties(bytes),
        _ => table(bytes),
    }
});

fn frames(mut bytes: &[u8]) {
    while let Ok(Some(frame)) = next_frame(bytes, 4096) {
        match frame.kind {
            FrameKind::Method => method(frame.payload),
            FrameKind::Header => {
                if let Ok(header) = ContentHeaderRef::decode(frame.payload) {
                    properties(header.properties);
                }
            }
            FrameKind::Body | FrameKind::Heartbeat => {}
        }
        bytes = &bytes[frame.total_len()..];
    }
}

fn method(payload: &[u8]) {
    let decoded = Method::decode(payload);
    match method_id(payload) {
        Some(basic::Publish::ID) => match (&decoded, PublishRef::decode(payload)) {
            (Ok(Method::BasicPublish(owned)), Ok(read)) => {
                assert_eq!(
                    (owned.exchange.as_str(), owned.routing_key.as_str()),
                    (read.exchange, read.routing_key)
                );
                assert_eq!((owned.mandatory, owned.immediate), (read.mandatory, read.immediate));
            }
            (Err(one), Err(other)) => assert_eq!(*one, other),
            differ => panic!("{differ:?}"),
        },
        Some(basic::Ack::ID) => match (&decoded, AckRef::decode(payload)) {
            (Ok(Method::BasicAck(owned)), Ok(read)) => {
                assert_eq!((owned.delivery_tag, owned.multiple), (read.delivery_tag, read.multiple));
            }
            (Err(one), Err(other)) => assert_eq!(*one, other),
            differ => panic!("{differ:?}"),
        },
        _ => {}
    }
    if let Ok(method) = decoded {
        let written = encode(&method);
        let frame = next_frame(&written, 0).expect("a frame").expect("a whole one");
        let again = Method::decode(frame.payload).expect("what was written can be read");
        assert_eq!((again.id(), again.name()), (method.id(), method.name()));
        assert_eq!(encode(&again), written);
    }
}

fn encode(method: &Method) -> Vec<u8> {
    let mut out = Vec::new();
    method.encode(7, &mut out);
    out
}

fn properties(encoded: &[u8]) {
    let view = PropertiesView(encoded);
    let valid = view.validate();
    let replied = view.with_reply_to("amq.rabbitmq.reply-to");
    if valid.is_ok() {
        assert_eq!(PropertiesView(&replied).validate(), Ok(()));
        assert_eq!(PropertiesView(&replied).reply_to(), Some("amq.rabbitmq.reply-to"));
        assert_eq!(PropertiesView(&replied).headers_raw(), view.headers_raw());
        assert_eq!(view.headers().is_some(), view.headers_raw().is_some());
    }
    if let Some(table) = view.headers() {
        for (name, _) in &table.0 {
            assert!(view.header(name).is_some());
        }
    }
    match Properties::decode(encoded) {
        Ok(properties) => {
            assert_eq!(valid, Ok(()));
            assert_eq!(view.correlation_id(), properties.correlation_id.as_deref());
            assert_eq!(view.priority(), properties.priority);
            assert_eq!(view.timestamp(), properties.timestamp);
            assert_eq!(view.cluster_id(), properties.cluster_id.as_deref());
            let mut written = Vec::new();
            properties.encode(&mut written);
            let mut again = Vec::new();
            Properties::decode(&written).expect("what was written can be read").encode(&mut again);
            assert_eq!(again, written);
        }
        // The view lets texts be that are not UTF-8.
        Err(DecodeError::NotUtf8) => {}
        Err(error) => assert_eq!(valid, Err(error)),
    }
}

fn table(encoded: &[u8]) {
    if let Ok(table) = Table::decode(encoded) {
        let mut written = Vec::new();
        table.encode(&mut written);
        assert_eq!(written.len(), encoded.len());
        let mut again = Vec::new();
        Table::decode(&written).expect("what was written can be read").encode(&mut again);
        assert_eq!(again, written);
    }
}
