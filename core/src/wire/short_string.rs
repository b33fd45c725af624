//! The owned short string of AMQP methods and properties.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

/// At most 255 octets of UTF-8; two words, no spare capacity. Reads as a `&str`.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShortString(Box<str>);

/// A text longer than 255 octets, which AMQP short strings cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong(
    /// Its length in octets.
    pub usize,
);

impl ShortString {
    /// The longest short string, in octets.
    pub const MAX: usize = 255;

    /// As much of the text as fits, cut between characters. For texts that people read, such as reply-text;
    /// names go through `try_from`.
    pub fn truncated(text: &str) -> Self {
        ShortString(text[..text.floor_char_boundary(Self::MAX)].into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for ShortString {
    type Error = TooLong;

    fn try_from(text: &str) -> Result<Self, TooLong> {
        if text.len() > Self::MAX { Err(TooLong(text.len())) } else { Ok(ShortString(text.into())) }
    }
}

impl From<ShortString> for Box<str> {
    fn from(text: ShortString) -> Self {
        text.0
    }
}

impl Deref for ShortString {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ShortString {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for ShortString {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for ShortString {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for ShortString {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl fmt::Display for ShortString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ShortString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets, but an AMQP short string holds at most {}", self.0, ShortString::MAX)
    }
}

impl std::error::Error for TooLong {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_longer_than_255_octets_are_refused_and_texts_are_cut_between_characters() {
        let long = "é".repeat(128);
        assert_eq!(ShortString::try_from(&*long), Err(TooLong(256)));
        assert_eq!(ShortString::truncated(&long).len(), 254);
        assert_eq!(ShortString::try_from(&long[..254]).map(|s| s.len()), Ok(254));
    }
}
