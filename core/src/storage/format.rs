//! Every byte of every file that keeps messages. All numbers are little-endian.
//!
//! ```text
//! DIR/queues/QUEUE/                       one folder per durable queue, named by its number; others see below
//!     LLL-FIRST-STAMP.segment             messages of line LLL, from number FIRST on
//!     LLL-FIRST-STAMP.acks                what became of them
//!     LLL.delivered                       how far the line may have been delivered
//!     damaged-LLL-FIRST-STAMP-OFFSET      bytes of a segment that could not be read, as they were
//! DIR/trash/                              folders of deleted queues, until they are gone
//! ```
//! LLL has three decimal digits, FIRST 16 and STAMP 8 hexadecimal ones. The stamp is random: what was left behind by
//! one segment is never taken for a part of another that begins with the same number.
//!
//! **Segment**: header, records in ascending number, and, when it is full, a seal.
//! ```text
//! header   0  8  "WARRENSG"
//!          8  2  version of the format
//!         10  1  line
//!         11  1  0
//!         12  4  stamp
//!         16  8  first number: that of the first message, or below it
//!         24  8  queue
//!         32  4  CRC-32C of the bytes before it
//!         36  4  0
//! record   0  4  length of all that follows the checksum
//!          4  4  CRC-32C of all that follows, seeded (see SegmentId::seed)
//!          8  8  number
//!         16  8  when it expires, in milliseconds since 1970; all ones for never
//!         24  4  length of the properties
//!         28  2  length of the route
//!         30  1  kind: 1 message, 2 seal
//!         31  1  flags: 1 an origin follows the body, 2 its publisher sent it again
//!         32     message: route (exchange and routing key, two short strings), properties (flags and list), body,
//!                and its origin if it has one: 8 bytes publisher, 8 bytes which of the publisher's messages it is
//! seal           a record whose number is the one after the last message's; after its head:
//!         32  8  records
//!         40  8  bytes of their bodies
//!         48     bitmap of the numbers that were not there when it was sealed, from FIRST on; may be short
//!       last  4  length of the whole seal
//!             4  "SEAL"
//! ```
//! In version 1 there are no flags. Nothing is added to a segment of version 1.
//!
//! The number of a message that is missing between two others was never kept, or was settled before it was written.
//!
//! **Acks**: entries of 16 bytes, each valid by itself, so that no garbage is ever taken for one.
//! ```text
//!          0  4  CRC-32C of the 12 bytes that follow, seeded as the segment's records
//!          4  1  kind: 1 settled, 2 returned
//!          5  1  0
//!          6  2  returned: how often it came back so far
//!          8  4  number, counted from FIRST
//!         12  4  settled: how many numbers from there on
//! ```
//! **Delivered**: 16 bytes, written in place.
//! ```text
//!          0  8  messages below this number may have been delivered
//!          8  4  CRC-32C of the 8 bytes before
//!         12  4  0
//! ```
//! **Other folders** have what belongs to a queue or a virtual host, in the form of messages in line 0. Their numbers
//! have higher bits:
//! ```text
//! bit 62           ids of a queue with de-duplication: instead of the time of expiry the one at which it was seen;
//!                  the body is 8 bytes of the message's position (line in the highest 8 bits, number in the others),
//!                  then the header's value as AMQP encodes it
//! bit 62 and 61    messages of a queue that is not durable which do not fit into memory; given up at the next start
//! bit 63           delayed messages of a virtual host: instead of the time of expiry the one at which it is due
//! ```

use std::ops::Range;

use crate::broker::store::Origin;
use crate::message::{Body, Message};

/// The version that is written; older ones are read.
pub(super) const VERSION: u16 = 2;
/// Bytes of a segment's header.
pub(super) const HEADER: usize = 40;
/// Bytes of a record before its payload.
pub(super) const HEAD: usize = 32;
/// Bytes of an entry of an ack log.
pub(super) const ENTRY: usize = 16;
/// Numbers that a segment spans at most: its bitmap takes no more than 512 KiB.
pub(super) const SPAN: u64 = 1 << 22;

const MAGIC: &[u8; 8] = b"WARRENSG";
const SEAL: &[u8; 4] = b"SEAL";
/// Length and checksum, which the length does not count.
const PREFIX: usize = 8;
const HAS_ORIGIN: u8 = 1;
const SENT_AGAIN: u8 = 2;
const SEAL_FIXED: usize = HEAD + 16;
/// Bytes at the end of a seal that say that it is one.
pub(super) const SEAL_TAIL: usize = 8;

/// What tells a segment from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentId {
    pub(super) queue: u64,
    pub(super) line: u8,
    pub(super) first: u64,
    pub(super) stamp: u32,
}

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// With the version of its format.
    Segment(SegmentId, u16),
    /// A later version of WarrenMQ wrote it.
    Newer(u16),
    Damaged,
}

impl SegmentId {
    fn stem(&self) -> String {
        format!("{:03}-{:016x}-{:08x}", self.line, self.first, self.stamp)
    }

    pub(super) fn segment_name(&self) -> String {
        self.stem() + ".segment"
    }

    pub(super) fn acks_name(&self) -> String {
        self.stem() + ".acks"
    }

    pub(super) fn damaged_name(&self, offset: u64) -> String {
        format!("damaged-{}-{offset}", self.stem())
    }

    /// The segment with this file name, and whether the name is that of its ack log.
    pub(super) fn parse(queue: u64, name: &str) -> Option<(SegmentId, bool)> {
        let (stem, extension) = name.split_once('.')?;
        let acks = match extension {
            "segment" => false,
            "acks" => true,
            _ => return None,
        };
        let mut parts = stem.split('-');
        let line = parts.next()?.parse().ok()?;
        let first = u64::from_str_radix(parts.next()?, 16).ok()?;
        let stamp = u32::from_str_radix(parts.next()?, 16).ok()?;
        let id = SegmentId { queue, line, first, stamp };
        (id.stem() == stem).then_some((id, acks))
    }

    pub(super) fn header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..10].copy_from_slice(&VERSION.to_le_bytes());
        header[10] = self.line;
        header[12..16].copy_from_slice(&self.stamp.to_le_bytes());
        header[16..24].copy_from_slice(&self.first.to_le_bytes());
        header[24..32].copy_from_slice(&self.queue.to_le_bytes());
        let checksum = crc32c::crc32c(&header[..32]);
        header[32..36].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    pub(super) fn read_header(header: &[u8]) -> Header {
        if header.len() < HEADER
            || &header[..8] != MAGIC
            || crc32c::crc32c(&header[..32]) != u32_at(header, 32)
        {
            return Header::Damaged;
        }
        match u16_at(header, 8) {
            version @ 1..=VERSION => {
                let id = SegmentId {
                    queue: u64_at(header, 24),
                    line: header[10],
                    first: u64_at(header, 16),
                    stamp: u32_at(header, 12),
                };
                Header::Segment(id, version)
            }
            newer => Header::Newer(newer),
        }
    }

    /// What the checksums of records and acks begin with: 20 bytes of queue, first number, stamp. So none is valid
    /// in another segment than its own, and a run of zeros never is.
    pub(super) fn seed(&self) -> u32 {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&self.queue.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.first.to_le_bytes());
        bytes[16..].copy_from_slice(&self.stamp.to_le_bytes());
        crc32c::crc32c(&bytes)
    }
}

/// The name of the file that says how far a line may have been delivered.
pub(super) fn delivered_name(line: u8) -> String {
    format!("{line:03}.delivered")
}

pub(super) fn delivered_mark(end: u64) -> [u8; 16] {
    let mut mark = [0; 16];
    mark[..8].copy_from_slice(&end.to_le_bytes());
    let checksum = crc32c::crc32c(&mark[..8]);
    mark[8..12].copy_from_slice(&checksum.to_le_bytes());
    mark
}

pub(super) fn read_delivered_mark(mark: &[u8; 16]) -> Option<u64> {
    (crc32c::crc32c(&mark[..8]) == u32_at(mark, 8)).then(|| u64_at(mark, 0))
}

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the whole record.
    pub(super) size: usize,
    pub(super) number: u64,
    pub(super) expires: u64,
    pub(super) properties: usize,
    pub(super) route: usize,
    pub(super) seal: bool,
    has_origin: bool,
    /// Its publisher sent it again.
    pub(super) sent_again: bool,
}

impl Head {
    /// The head that these bytes begin with; none when they cannot be one.
    pub(super) fn read(bytes: &[u8]) -> Option<Head> {
        let bytes: &[u8; HEAD] = bytes.first_chunk()?;
        let head = Head {
            size: u32_at(bytes, 0) as usize + PREFIX,
            number: u64_at(bytes, 8),
            expires: u64_at(bytes, 16),
            properties: u32_at(bytes, 24) as usize,
            route: u16_at(bytes, 28) as usize,
            seal: bytes[30] == 2,
            has_origin: bytes[31] & HAS_ORIGIN != 0,
            sent_again: bytes[31] & SENT_AGAIN != 0,
        };
        let kind = bytes[30] == 1 || bytes[30] == 2;
        (kind && HEAD + head.route + head.properties + head.tail() <= head.size).then_some(head)
    }

    /// Bytes behind the body.
    fn tail(&self) -> usize {
        if self.has_origin { Origin::SIZE } else { 0 }
    }

    pub(super) fn body(&self) -> usize {
        self.size - HEAD - self.route - self.properties - self.tail()
    }

    /// The message of a record of which this is the head.
    pub(super) fn message(&self, record: &[u8]) -> Message {
        let (route, rest) = record[HEAD..].split_at(self.route);
        let (properties, rest) = rest.split_at(self.properties);
        let body = Body::Slice(&rest[..self.body()]);
        Message::by(self.origin(record), self.sent_again, route, properties, body)
    }

    /// The origin in a record of which this is the head.
    pub(super) fn origin(&self, record: &[u8]) -> Option<Origin> {
        Origin::decode(record.get(self.size - self.tail()..self.size)?)
    }
}

/// Adds a message as a record; its checksum is still missing ([`put_checksum`]).
pub(super) fn put_message(into: &mut Vec<u8>, number: u64, expires: u64, message: &Message) {
    let origin = message.origin();
    let (route, properties, body) = (message.route(), message.encoded_properties(), message.body());
    let tail = if origin.is_some() { Origin::SIZE } else { 0 };
    let size = HEAD + route.len() + properties.len() + body.len() + tail;
    let mut head = head(size, number, expires, properties.len(), route.len(), 1);
    let flag = |set, flag| if set { flag } else { 0 };
    head[31] = flag(origin.is_some(), HAS_ORIGIN) | flag(message.is_sent_again(), SENT_AGAIN);
    into.reserve(size);
    into.extend_from_slice(&head);
    into.extend_from_slice(route);
    into.extend_from_slice(properties);
    into.extend_from_slice(body);
    if let Some(origin) = origin {
        into.extend_from_slice(&origin.encode());
    }
}

fn head(size: usize, number: u64, expires: u64, properties: usize, route: usize, kind: u8) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&((size - PREFIX) as u32).to_le_bytes());
    head[8..16].copy_from_slice(&number.to_le_bytes());
    head[16..24].copy_from_slice(&expires.to_le_bytes());
    head[24..28].copy_from_slice(&(properties as u32).to_le_bytes());
    head[28..30].copy_from_slice(&(route as u16).to_le_bytes());
    head[30] = kind;
    head
}

/// Completes a record.
pub(super) fn put_checksum(record: &mut [u8], seed: u32) {
    let checksum = crc32c::crc32c_append(seed, &record[PREFIX..]);
    record[4..8].copy_from_slice(&checksum.to_le_bytes());
}

/// Whether a whole record is as it was written.
pub(super) fn is_valid(record: &[u8], seed: u32) -> bool {
    crc32c::crc32c_append(seed, &record[PREFIX..]) == u32_at(record, 4)
}

/// What a segment had when it was full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seal {
    /// The number after the last.
    pub(super) end: u64,
    pub(super) records: u64,
    /// Bytes of the bodies of all records.
    pub(super) bytes: u64,
    /// Bitmap of the numbers that were not there any more.
    pub(super) dead: Vec<u64>,
}

impl Seal {
    pub(super) fn encode(&self, seed: u32) -> Vec<u8> {
        let size = SEAL_FIXED + self.dead.len() * 8 + SEAL_TAIL;
        let mut seal = Vec::with_capacity(size);
        seal.extend_from_slice(&head(size, self.end, u64::MAX, 0, 0, 2));
        seal.extend_from_slice(&self.records.to_le_bytes());
        seal.extend_from_slice(&self.bytes.to_le_bytes());
        for word in &self.dead {
            seal.extend_from_slice(&word.to_le_bytes());
        }
        seal.extend_from_slice(&(size as u32).to_le_bytes());
        seal.extend_from_slice(SEAL);
        put_checksum(&mut seal, seed);
        seal
    }

    /// How long the seal is that a file with these last 8 bytes ends with.
    pub(super) fn size(tail: [u8; SEAL_TAIL]) -> Option<usize> {
        let size = u32_at(&tail, 0) as usize;
        (&tail[4..] == SEAL && size >= SEAL_FIXED + SEAL_TAIL).then_some(size)
    }

    /// Reads a whole seal.
    pub(super) fn decode(seal: &[u8], seed: u32) -> Option<Seal> {
        let head = Head::read(seal)?;
        if !head.seal
            || head.size != seal.len()
            || seal.len() < SEAL_FIXED + SEAL_TAIL
            || !is_valid(seal, seed)
        {
            return None;
        }
        let dead =
            seal[SEAL_FIXED..seal.len() - SEAL_TAIL].chunks_exact(8).map(|word| u64_at(word, 0)).collect();
        Some(Seal { end: head.number, records: u64_at(seal, HEAD), bytes: u64_at(seal, HEAD + 8), dead })
    }
}

/// An entry of an ack log; numbers count from the segment's first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Settled(Range<u32>),
    Returned(u32, u16),
}

impl Entry {
    pub(super) fn encode(&self, seed: u32) -> [u8; ENTRY] {
        let (kind, returns, number, count) = match self {
            Entry::Settled(numbers) => (1, 0, numbers.start, numbers.end - numbers.start),
            Entry::Returned(number, returns) => (2, *returns, *number, 0),
        };
        let mut entry = [0; ENTRY];
        entry[4] = kind;
        entry[6..8].copy_from_slice(&returns.to_le_bytes());
        entry[8..12].copy_from_slice(&number.to_le_bytes());
        entry[12..].copy_from_slice(&count.to_le_bytes());
        let checksum = crc32c::crc32c_append(seed, &entry[4..]);
        entry[..4].copy_from_slice(&checksum.to_le_bytes());
        entry
    }

    /// Reads an entry; none when it is not one of this segment.
    pub(super) fn decode(entry: &[u8], seed: u32) -> Option<Entry> {
        if crc32c::crc32c_append(seed, &entry[4..ENTRY]) != u32_at(entry, 0) {
            return None;
        }
        let number = u32_at(entry, 8);
        match entry[4] {
            1 => Some(Entry::Settled(number..number.checked_add(u32_at(entry, 12))?)),
            2 => Some(Entry::Returned(number, u16_at(entry, 6))),
            _ => None,
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SegmentId = SegmentId { queue: 7, line: 9, first: 0x1234, stamp: 0xfeed };

    #[test]
    fn names_and_headers_are_read_as_they_were_written() {
        assert_eq!(ID.segment_name(), "009-0000000000001234-0000feed.segment");
        assert_eq!(SegmentId::parse(7, &ID.segment_name()), Some((ID, false)));
        assert_eq!(SegmentId::parse(7, &ID.acks_name()), Some((ID, true)));
        for other in
            ["009.delivered", "damaged-009-0000000000001234-0000feed-40", "x.segment", "9-1234-feed.acks"]
        {
            assert_eq!(SegmentId::parse(7, other), None, "{other}");
        }
        assert_eq!(SegmentId::read_header(&ID.header()), Header::Segment(ID, VERSION));
        for byte in 0..32 {
            let mut header = ID.header();
            header[byte] ^= 1;
            assert_eq!(SegmentId::read_header(&header), Header::Damaged);
        }
    }

    #[test]
    fn zeros_and_entries_of_other_segments_are_no_acks() {
        for entry in [Entry::Settled(3..8), Entry::Returned(4, 2)] {
            let bytes = entry.encode(ID.seed());
            assert_eq!(Entry::decode(&bytes, ID.seed()), Some(entry));
            assert_eq!(Entry::decode(&bytes, SegmentId { stamp: 1, ..ID }.seed()), None);
        }
        assert_eq!(Entry::decode(&[0; ENTRY], ID.seed()), None);
    }

    #[test]
    fn a_seal_with_a_flipped_bit_is_none() {
        let seal = Seal { end: 0x2000, records: 3, bytes: 17, dead: vec![5, 0, 1] };
        let bytes = seal.encode(ID.seed());
        assert_eq!(Seal::size(*bytes.last_chunk().expect("a tail")), Some(bytes.len()));
        assert_eq!(Seal::decode(&bytes, ID.seed()), Some(seal));
        for byte in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[byte] ^= 0x10;
            assert_eq!(Seal::decode(&bad, ID.seed()), None, "byte {byte}");
        }
    }
}
