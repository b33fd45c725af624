//! The buffers that frames are written to.

use bytes::BytesMut;

use super::Table;

/// A growing buffer of octets: `Vec<u8>` and `BytesMut`.
pub trait Output: AsRef<[u8]> + AsMut<[u8]> {
    /// Makes room, so that the `put`s that follow never have to.
    fn reserve(&mut self, additional: usize);
    /// Appends.
    fn put(&mut self, bytes: &[u8]);
}

impl Output for Vec<u8> {
    #[inline(always)]
    fn reserve(&mut self, additional: usize) {
        Vec::reserve(self, additional);
    }

    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Output for BytesMut {
    #[inline(always)]
    fn reserve(&mut self, additional: usize) {
        BytesMut::reserve(self, additional);
    }

    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A short string: one octet of length, then the text, cut at a character's edge should it exceed 255 octets
/// (only table names and texts of our own can).
pub(super) fn put_short_string(out: &mut impl Output, text: &str) {
    let text = &text[..text.floor_char_boundary(255)];
    out.put(&[text.len() as u8]);
    out.put(text.as_bytes());
}

/// A long string: four octets of length, then the bytes.
pub(super) fn put_long_string(out: &mut impl Output, bytes: &[u8]) {
    out.put(&(bytes.len() as u32).to_be_bytes());
    out.put(bytes);
}

/// Writes what `body` writes, with its length in four octets before it.
pub(super) fn put_sized<O: Output>(out: &mut O, body: impl FnOnce(&mut O)) {
    let at = out.as_ref().len();
    out.put(&[0; 4]);
    body(out);
    let size = (out.as_ref().len() - at - 4) as u32;
    out.as_mut()[at..at + 4].copy_from_slice(&size.to_be_bytes());
}

/// Writes one field; the generated code is made of these.
pub(super) trait Put {
    fn put(&self, out: &mut impl Output);
}

macro_rules! put_integers {
    ($($int:ty),*) => { $(impl Put for $int {
        fn put(&self, out: &mut impl Output) {
            out.put(&self.to_be_bytes());
        }
    })* };
}
put_integers!(u8, u16, u32, u64);

impl Put for super::ShortString {
    fn put(&self, out: &mut impl Output) {
        put_short_string(out, self);
    }
}

impl Put for bytes::Bytes {
    fn put(&self, out: &mut impl Output) {
        put_long_string(out, self);
    }
}

impl Put for Table {
    fn put(&self, out: &mut impl Output) {
        self.encode(out);
    }
}
