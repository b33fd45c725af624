//! A certificate's subject as text, as RabbitMQ writes it (`rabbit_cert_info:format_rdn_sequence`; RFC 4514 with
//! more short names), so that the users of an existing installation keep their names.

use std::fmt::Write;

use x509_parser::der_parser::asn1_rs::Any;
use x509_parser::prelude::X509Name;

/// Attribute types with a short name; others are written as numbers.
const SHORT: [(&str, &str); 16] = [
    ("2.5.4.4", "SN"),
    ("2.5.4.42", "GIVENNAME"),
    ("2.5.4.43", "INITIALS"),
    ("2.5.4.44", "GENERATIONQUALIFIER"),
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "TITLE"),
    ("2.5.4.6", "C"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.65", "PSEUDONYM"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "EMAILADDRESS"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// The last part first, as in `CN=me,O=us`.
pub(super) fn text(name: &X509Name<'_>) -> String {
    let part = |attributes: Vec<String>| attributes.join("+");
    let parts = name.iter().map(|relative| {
        part(
            relative
                .iter()
                .map(|attribute| {
                    let id = attribute.attr_type().to_id_string();
                    let short =
                        SHORT.iter().find(|(known, _)| *known == id).map_or(&*id, |(_, short)| *short);
                    format!("{short}={}", escaped(&value(attribute.attr_value())))
                })
                .collect(),
        )
    });
    let mut parts: Vec<String> = parts.collect();
    parts.reverse();
    parts.join(",")
}

/// An attribute's value, whatever kind of string it is.
pub(super) fn value(value: &Any<'_>) -> String {
    let wide = |width: usize| {
        let units = value
            .data
            .chunks_exact(width)
            .map(|unit| unit.iter().fold(0, |all, byte| all << 8 | u32::from(*byte)));
        units.map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match value.tag().0 {
        28 => wide(4), // UniversalString
        30 => wide(2), // BMPString
        _ => String::from_utf8_lossy(value.data).into_owned(),
    }
}

/// Escapes what has a meaning of its own in such a text. RabbitMQ does so byte by byte.
fn escaped(value: &str) -> String {
    let mut text = String::new();
    let last = value.len().saturating_sub(1);
    for (index, byte) in value.bytes().enumerate() {
        let _ = match byte {
            b' ' if index == 0 || index == last => write!(text, "\\ "),
            b'#' if index == 0 => write!(text, "\\#"),
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => write!(text, "\\{}", char::from(byte)),
            0..32 | 126.. => write!(text, "\\{byte:02X}"),
            _ => write!(text, "{}", char::from(byte)),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_in_a_name_is_escaped() {
        assert_eq!(escaped("plain name"), "plain name");
        assert_eq!(escaped(" #a,b+c\" "), "\\ #a\\,b\\+c\\\"\\ ");
        assert_eq!(escaped("#1"), "\\#1");
        assert_eq!(escaped("ü"), "\\C3\\BC");
    }
}
