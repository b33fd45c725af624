//! The properties of a message as they came: flags, then the values of those present.
//!
//! A broker passes them on and looks at few of them, so they stay encoded, and [`PropertiesView`] reads the one that
//! is asked for. [`Properties`](super::Properties) is the decoded form, for clients.

use bytes::{BufMut, Bytes, BytesMut};

use super::DecodeError;
use super::generated::property::{COUNT, EXPIRATION, HEADERS, KINDS, REPLY_TO, USER_ID};
use super::output::put_short_string;
use super::reader::Reader;
use super::table::{self, Table, Value};

/// How a property is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PropertyKind {
    ShortString,
    Table,
    Octet,
    Timestamp,
}

impl PropertyKind {
    /// Steps over a value.
    #[inline(always)]
    fn skip(self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        match self {
            PropertyKind::ShortString => reader.short_bytes().map(drop),
            PropertyKind::Table => reader.long_bytes().map(drop),
            PropertyKind::Octet => reader.take(1).map(drop),
            PropertyKind::Timestamp => reader.take(8).map(drop),
        }
    }
}

/// Encoded properties, flags and list, of which single ones are read.
///
/// Every getter gives `None` for a property that is absent, or that [`validate`](Self::validate) would refuse, or,
/// where it gives text, that is not UTF-8: RabbitMQ passes such texts on (binary correlation ids are in use), so
/// `validate` lets them be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PropertiesView<'a>(pub &'a [u8]);

impl<'a> PropertiesView<'a> {
    /// No properties at all, encoded.
    pub const EMPTY: PropertiesView<'static> = PropertiesView(&[0, 0]);

    /// Checks that the whole is well-formed, headers included. Allocates nothing. Of a message that passed, the
    /// getters read what is there, and `headers` cannot fail.
    ///
    /// # Errors
    /// `Truncated`, `TrailingBytes`, `NotUtf8` (a header's name), `UnknownFieldType`, `NestedTooDeep`.
    #[inline]
    pub fn validate(self) -> Result<(), DecodeError> {
        let mut reader = Reader(self.0);
        // The two lowest bits belong to no property; RabbitMQ ignores them.
        let mut flags = reader.u16()? & PRESENT;
        while flags != 0 {
            let index = flags.leading_zeros() as usize;
            flags &= !flag(index);
            match KINDS[index] {
                PropertyKind::Table => table::check(&mut reader)?,
                kind => kind.skip(&mut reader)?,
            }
        }
        reader.finish()
    }

    /// The headers, decoded.
    pub fn headers(self) -> Option<Table> {
        Table::decode(self.headers_raw()?).ok()
    }

    /// The headers, encoded, with the four octets of length before them.
    #[inline]
    pub fn headers_raw(self) -> Option<&'a [u8]> {
        let (before, after) = self.around(HEADERS)?;
        self.0.get(before..self.0.len() - after.len()).filter(|raw| !raw.is_empty())
    }

    /// One header, the others undecoded.
    #[inline]
    pub fn header(self, name: &str) -> Option<Value> {
        table::find(self.headers_raw()?, name)
    }

    /// The same properties, but this reply-to (cut to 255 octets). Malformed properties are returned as they are.
    pub fn with_reply_to(self, reply_to: &str) -> Bytes {
        let mut value = BytesMut::with_capacity(1 + reply_to.len());
        put_short_string(&mut value, reply_to);
        self.with(REPLY_TO, &value)
    }

    /// The same properties, but these headers. Malformed properties are returned as they are.
    pub fn with_headers(self, headers: &Table) -> Bytes {
        let mut value = BytesMut::new();
        headers.encode(&mut value);
        self.with(HEADERS, &value)
    }

    /// The same properties without an expiration.
    pub fn without_expiration(self) -> Bytes {
        let Some((start, after)) = self.around(EXPIRATION) else {
            return Bytes::copy_from_slice(self.0);
        };
        let mut out = BytesMut::with_capacity(start + after.len());
        out.put_u16(self.flags() & !flag(EXPIRATION));
        out.put_slice(&self.0[2..start]);
        out.put_slice(after);
        out.freeze()
    }

    /// Whether there is an expiration. Looks at the flags only.
    #[inline(always)]
    pub fn has_expiration(self) -> bool {
        self.flags() & flag(EXPIRATION) != 0
    }

    /// Several headers, found in one walk, the others undecoded.
    #[inline]
    pub fn headers_named<const N: usize>(self, names: [&str; N]) -> [Option<Value>; N] {
        self.headers_raw().map_or([const { None }; N], |raw| table::find_all(raw, names))
    }

    /// Whether there is nothing that a broker acts on when a message is published: no headers, expiration, reply-to
    /// or user id. Looks at the flags only.
    #[inline(always)]
    pub fn is_plain(self) -> bool {
        self.flags() & (flag(HEADERS) | flag(EXPIRATION) | flag(REPLY_TO) | flag(USER_ID)) == 0
    }

    /// Whether there are headers. Looks at the flags only.
    #[inline(always)]
    pub fn has_headers(self) -> bool {
        self.flags() & flag(HEADERS) != 0
    }

    #[inline]
    pub(super) fn short_str(self, index: usize) -> Option<&'a str> {
        self.reader_at(index)?.short_str().ok()
    }

    #[inline]
    pub(super) fn octet(self, index: usize) -> Option<u8> {
        self.reader_at(index)?.u8().ok()
    }

    #[inline]
    pub(super) fn long_long(self, index: usize) -> Option<u64> {
        self.reader_at(index)?.u64().ok()
    }

    #[inline(always)]
    fn flags(self) -> u16 {
        self.0.first_chunk().map_or(0, |flags| u16::from_be_bytes(*flags))
    }

    /// A reader at the place where the property stands, or would stand.
    #[inline(always)]
    fn seek(self, index: usize) -> Option<Reader<'a>> {
        let flags = self.flags();
        let mut reader = Reader(self.0.get(2..)?);
        for (before, kind) in KINDS.into_iter().enumerate().take(index) {
            if flags & flag(before) != 0 {
                kind.skip(&mut reader).ok()?;
            }
        }
        Some(reader)
    }

    #[inline(always)]
    fn reader_at(self, index: usize) -> Option<Reader<'a>> {
        if self.flags() & flag(index) == 0 { None } else { self.seek(index) }
    }

    /// Where the property starts, or would, and what stands behind it.
    fn around(self, index: usize) -> Option<(usize, &'a [u8])> {
        let mut reader = self.seek(index)?;
        let start = self.0.len() - reader.0.len();
        if self.flags() & flag(index) != 0 {
            KINDS[index].skip(&mut reader).ok()?;
        }
        Some((start, reader.0))
    }

    fn with(self, index: usize, value: &[u8]) -> Bytes {
        let Some((start, after)) = self.around(index) else {
            return Bytes::copy_from_slice(self.0);
        };
        let mut out = BytesMut::with_capacity(start + value.len() + after.len());
        out.put_u16(self.flags() | flag(index));
        out.put_slice(&self.0[2..start]);
        out.put_slice(value);
        out.put_slice(after);
        out.freeze()
    }
}

/// The flag of a property; the first has the highest bit.
#[inline(always)]
pub(super) const fn flag(index: usize) -> u16 {
    1 << (15 - index)
}

/// The flags that belong to a property.
const PRESENT: u16 = !(u16::MAX >> COUNT);

/// No more properties than one word of flags has bits for.
const _: () = assert!(COUNT <= 14);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_properties_is_two_octets_and_reads_as_absent() {
        let view = PropertiesView::EMPTY;
        assert_eq!(view.validate(), Ok(()));
        assert_eq!((view.delivery_mode(), view.reply_to(), view.headers_raw()), (None, None, None));
        assert_eq!(&*view.with_reply_to("me"), b"\x02\x00\x02me");
    }

    #[test]
    fn binary_correlation_ids_pass_but_are_no_text() {
        let view = PropertiesView(b"\x04\x00\x02\xFF\xFE");
        assert_eq!(view.validate(), Ok(()));
        assert_eq!(view.correlation_id(), None);
        assert_eq!(&*view.with_reply_to("me"), b"\x06\x00\x02\xFF\xFE\x02me");
    }

    #[test]
    fn malformed_properties_are_refused_and_read_as_absent() {
        for (encoded, error) in [
            (&b""[..], DecodeError::Truncated),
            (b"\x00", DecodeError::Truncated),
            (b"\x10", DecodeError::Truncated),
            (b"\x10\x00", DecodeError::Truncated),
            (b"\x04\x00\x05ab", DecodeError::Truncated),
            (b"\x00\x00\x01", DecodeError::TrailingBytes(1)),
            (b"\x20\x00\x00\x00\x00\x02\x01\x02", DecodeError::Truncated),
            (b"\x20\x00\x00\x00\x00\x03\x01\xFFV", DecodeError::NotUtf8),
            (b"\x20\x00\x00\x00\x00\x03\x01aZ", DecodeError::UnknownFieldType(b'Z')),
        ] {
            let view = PropertiesView(encoded);
            assert_eq!(view.validate(), Err(error), "{encoded:?}");
            assert_eq!((view.delivery_mode(), view.correlation_id(), view.headers()), (None, None, None));
        }
    }
}
