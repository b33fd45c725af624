//! The cursor over received bytes.

use bytes::Bytes;

use super::{DecodeError, ShortString, Table};

type Result<T> = std::result::Result<T, DecodeError>;

/// Takes fields from the front of a slice; every method fails with `Truncated` rather than read past its end.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_be_bytes)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// The bytes of a short string, whatever they are.
    #[inline]
    pub(super) fn short_bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    #[inline]
    pub(super) fn short_str(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.short_bytes()?).map_err(|_| DecodeError::NotUtf8)
    }

    /// Steps over a short string, which must be UTF-8. Names are ASCII as a rule, and to see that in place is
    /// cheaper than the call of a full check.
    #[inline]
    pub(super) fn skip_short_str(&mut self) -> Result<()> {
        let bytes = self.short_bytes()?;
        if bytes.iter().fold(0, |seen, octet| seen | octet) < 0x80 || std::str::from_utf8(bytes).is_ok() {
            Ok(())
        } else {
            Err(DecodeError::NotUtf8)
        }
    }

    pub(super) fn short_string(&mut self) -> Result<ShortString> {
        // One octet of length cannot exceed what a ShortString holds.
        self.short_str().map(ShortString::truncated)
    }

    /// The bytes behind four octets of length: a long string, or the inside of a table or an array.
    #[inline]
    pub(super) fn long_bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    pub(super) fn long_string(&mut self) -> Result<Bytes> {
        self.long_bytes().map(Bytes::copy_from_slice)
    }

    pub(super) fn table(&mut self) -> Result<Table> {
        Table::read(self)
    }

    /// Says that nothing may follow.
    #[inline]
    pub(super) fn finish(self) -> Result<()> {
        match self.0.len() {
            0 => Ok(()),
            count => Err(DecodeError::TrailingBytes(count)),
        }
    }
}
