//! What all of the codec must keep: the spec's layout, and calm before any bytes.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

use super::generated::{ERRORS, SIGNATURES};
use super::hot::*;
use super::*;
use crate::Kind;
use crate::error::Scope;

fn any_short_string() -> impl Strategy<Value = ShortString> {
    any::<String>().prop_map(|text| ShortString::truncated(&text))
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

/// Values but NaN, which equals nothing.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i8>().prop_map(Value::I8),
        any::<u8>().prop_map(Value::U8),
        any::<i16>().prop_map(Value::I16),
        any::<u16>().prop_map(Value::U16),
        any::<i32>().prop_map(Value::I32),
        any::<u32>().prop_map(Value::U32),
        any::<i64>().prop_map(Value::I64),
        any::<f32>().prop_map(Value::F32),
        any::<f64>().prop_map(Value::F64),
        any::<(u8, i32)>().prop_map(|(scale, mantissa)| Value::Decimal(scale, mantissa)),
        any_bytes().prop_map(Value::LongString),
        any_bytes().prop_map(Value::ByteArray),
        any::<u64>().prop_map(Value::Timestamp),
        Just(Value::Void),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            vec((any_short_string(), inner.clone()), 0..6)
                .prop_map(|entries| Value::Table(table_of(entries))),
            vec(inner, 0..6).prop_map(Value::Array),
        ]
    })
}

fn table_of(entries: Vec<(ShortString, Value)>) -> Table {
    Table(entries.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

fn any_table() -> impl Strategy<Value = Table> {
    vec((any_short_string(), any_value()), 0..6).prop_map(table_of)
}

fn any_properties() -> impl Strategy<Value = Properties> {
    let short = || proptest::option::of(any_short_string());
    let numbers =
        (any::<Option<u8>>(), any::<Option<u8>>(), any::<Option<u64>>(), proptest::option::of(any_table()));
    let texts = (short(), short(), short(), short(), short());
    (numbers, texts, (short(), short(), short(), short(), short())).prop_map(
        |((delivery_mode, priority, timestamp, headers), first, second)| Properties {
            content_type: first.0,
            content_encoding: first.1,
            headers,
            delivery_mode,
            priority,
            correlation_id: first.2,
            reply_to: first.3,
            expiration: first.4,
            message_id: second.0,
            timestamp,
            r#type: second.1,
            user_id: second.2,
            app_id: second.3,
            cluster_id: second.4,
        },
    )
}

/// A payload of one of the spec's methods, put together from its signature.
fn any_payload() -> impl Strategy<Value = (usize, Vec<u8>)> {
    let pools = (vec(any_short_string(), 8), vec(any_bytes(), 8), vec(any_table(), 8), vec(any::<u64>(), 8));
    (0..SIGNATURES.len(), pools).prop_map(|(which, (short, long, tables, numbers))| {
        let (id, _, _, fields) = SIGNATURES[which];
        let mut payload = id.to_be_bytes().to_vec();
        let mut bits = 0;
        for (index, field) in fields.iter().enumerate() {
            let pick = index % 8;
            if *field == "bit" {
                if bits == 0 {
                    payload.push(0);
                }
                *payload.last_mut().unwrap() |= ((numbers[pick] & 1) as u8) << bits;
                bits += 1;
                continue;
            }
            bits = 0;
            match *field {
                "reserved" => payload.extend([0, 0]),
                "u8" => payload.push(numbers[pick] as u8),
                "u16" => payload.extend((numbers[pick] as u16).to_be_bytes()),
                "u32" => payload.extend((numbers[pick] as u32).to_be_bytes()),
                "u64" => payload.extend(numbers[pick].to_be_bytes()),
                "short_string" => {
                    payload.push(short[pick].len() as u8);
                    payload.extend(short[pick].as_bytes());
                }
                "long_string" => {
                    payload.extend((long[pick].len() as u32).to_be_bytes());
                    payload.extend(&long[pick]);
                }
                "table" => tables[pick].encode(&mut payload),
                other => panic!("a type that no method had: {other}"),
            }
        }
        (which, payload)
    })
}

/// Feeds bytes to everything that reads what a peer sends.
fn read_all(bytes: &[u8]) {
    for frame_max in [0, 4096] {
        let mut rest = bytes;
        while let Ok(Some(frame)) = next_frame(rest, frame_max) {
            rest = &rest[frame.total_len()..];
        }
    }
    frame::read_protocol_header(bytes);
    let _ = (Method::decode(bytes), PublishRef::decode(bytes), AckRef::decode(bytes));
    let _ = (Table::decode(bytes), Properties::decode(bytes), ContentHeaderRef::decode(bytes));
    let view = PropertiesView(bytes);
    let _ = (view.validate(), view.headers(), view.header("CC"), view.cluster_id(), view.expiration());
    let _ = (view.with_reply_to("amq.gen-1"), view.with_headers(&Table::default()));
}

proptest! {
    #[test]
    fn every_method_of_the_spec_is_read_and_written_back_octet_for_octet((which, payload) in any_payload()) {
        let (id, name, content, _) = SIGNATURES[which];
        let method = Method::decode(&payload).unwrap();
        prop_assert_eq!(method.number(), id);
        prop_assert_eq!(method.id(), ((id >> 16) as u16, id as u16));
        prop_assert_eq!(method_id(&payload), Some(id));
        prop_assert_eq!(method.name(), name);
        prop_assert_eq!(method.has_content(), content);

        let mut written = BytesMut::from(&b"before"[..]);
        method.encode(513, &mut written);
        let frame = next_frame(&written[6..], 0).unwrap().unwrap();
        prop_assert_eq!((frame.kind, frame.channel, frame.payload), (FrameKind::Method, 513, &payload[..]));
        prop_assert_eq!(frame.total_len(), written.len() - 6);

        prop_assert_eq!(Method::decode(&payload[..payload.len() - 1]).is_err(), true);
        prop_assert_eq!(Method::decode(&[&payload[..], &[0]].concat()), Err(DecodeError::TrailingBytes(1)));
    }

    #[test]
    fn a_table_is_read_as_it_was_written(table in any_table()) {
        let mut encoded = Vec::new();
        table.encode(&mut encoded);
        prop_assert_eq!(Table::decode(&encoded), Ok(table));
        prop_assert!(Table::decode(&encoded[..encoded.len() - 1]).is_err());
    }

    #[test]
    fn properties_are_read_as_they_were_written_and_one_by_one(properties in any_properties(), name in any_short_string()) {
        let mut encoded = Vec::new();
        properties.encode(&mut encoded);
        prop_assert_eq!(Properties::decode(&encoded), Ok(properties.clone()));

        let view = PropertiesView(&encoded);
        prop_assert_eq!(view.validate(), Ok(()));
        prop_assert_eq!(view.content_type(), properties.content_type.as_deref());
        prop_assert_eq!(view.content_encoding(), properties.content_encoding.as_deref());
        prop_assert_eq!(view.headers(), properties.headers.clone());
        prop_assert_eq!(view.delivery_mode(), properties.delivery_mode);
        prop_assert_eq!(view.priority(), properties.priority);
        prop_assert_eq!(view.correlation_id(), properties.correlation_id.as_deref());
        prop_assert_eq!(view.reply_to(), properties.reply_to.as_deref());
        prop_assert_eq!(view.expiration(), properties.expiration.as_deref());
        prop_assert_eq!(view.message_id(), properties.message_id.as_deref());
        prop_assert_eq!(view.timestamp(), properties.timestamp);
        prop_assert_eq!(view.r#type(), properties.r#type.as_deref());
        prop_assert_eq!(view.user_id(), properties.user_id.as_deref());
        prop_assert_eq!(view.app_id(), properties.app_id.as_deref());
        prop_assert_eq!(view.cluster_id(), properties.cluster_id.as_deref());
        if let Some(table) = &properties.headers {
            for (name, _) in &table.0 {
                prop_assert_eq!(view.header(name), table.get(name).cloned());
            }
        }

        let answered = Properties { reply_to: Some(name.clone()), ..properties.clone() };
        prop_assert_eq!(Properties::decode(&view.with_reply_to(&name)), Ok(answered));
        let bare = Properties { headers: Some(Table::default()), ..properties };
        prop_assert_eq!(Properties::decode(&view.with_headers(&Table::default())), Ok(bare));
    }

    #[test]
    fn what_validate_accepts_can_be_decoded_and_nothing_panics(bytes in vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
        for id in SIGNATURES.iter().map(|signature| signature.0) {
            let payload = [&id.to_be_bytes()[..], &bytes].concat();
            read_all(&payload);
        }
        let view = PropertiesView(&bytes);
        match Properties::decode(&bytes) {
            Ok(_) | Err(DecodeError::NotUtf8) => {}
            Err(error) => prop_assert_eq!(view.validate(), Err(error)),
        }
    }

    #[test]
    fn damaged_bytes_never_panic((_, mut bytes) in any_payload(), properties in any_properties(),
                                 at in any::<prop::sample::Index>(), octet: u8) {
        properties.encode(&mut bytes);
        let at = at.index(bytes.len());
        bytes[at] = octet;
        read_all(&bytes);
        let mut encoded = Vec::new();
        properties.encode(&mut encoded);
        let at = at % encoded.len();
        encoded[at] = octet;
        read_all(&encoded);
        if PropertiesView(&encoded).validate().is_ok() {
            prop_assert!(!matches!(Properties::decode(&encoded), Err(error) if error != DecodeError::NotUtf8));
        }
    }
}

#[test]
fn reply_codes_are_those_of_the_spec() {
    for &(code, name, closes_connection) in ERRORS {
        let kind = Kind::from_code(code).unwrap_or_else(|| panic!("{code} {name} is missing"));
        assert_eq!(kind.name(), name);
        assert_eq!(kind.scope() == Scope::Connection, closes_connection, "{name}");
    }
    let ours = Kind::ALL.iter().filter(|kind| kind.code() < 1000);
    assert_eq!(ours.count(), ERRORS.len());
}

#[test]
fn what_cannot_be_cut_is_a_frame_error_and_an_illegal_value_a_syntax_error() {
    let kind = |payload: &[u8]| Method::decode(payload).map_err(|error| crate::Error::from(error).kind());
    assert_eq!(kind(&[0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 1]), Err(Kind::FrameError));
    assert_eq!(kind(&[0, 50, 0, 10, 0, 0, 1, 0xFF, 0, 0, 0, 0, 0]), Err(Kind::FrameError));
    assert_eq!(kind(&[0, 50, 0, 10, 0, 0, 0, 0, 0, 0, 0, 2, 0, b'Z']), Err(Kind::SyntaxError));
    assert_eq!(kind(&[0, 60, 0, 99]), Err(Kind::NotImplemented));
    assert_eq!(
        crate::Error::from(DecodeError::UnknownFieldType(b'Z')).reply_text(),
        "SYNTAX_ERROR - unknown field type 'Z' in a table"
    );
}
