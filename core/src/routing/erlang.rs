//! Erlang's hash and one of its random number generators, bit for bit: RabbitMQ's hashing exchanges choose
//! with them, and a key must not change its queue when an application moves here.

/// `HCONST` of Erlang's `utils.c`; its multiples tell the types apart.
const RATIO: u32 = 0x9e37_79b9;
const LIST: u32 = RATIO.wrapping_mul(2);
const BINARY: u32 = RATIO.wrapping_mul(13);
/// What stands for `[]`, alone and at the end of a list.
const EMPTY_LIST: u32 = 3_468_870_702;
const NIL: u32 = 2;
/// `phash2/1` has 27 bits.
const BITS: u32 = (1 << 27) - 1;

/// `erlang:phash2(undefined)`.
pub(super) const UNDEFINED: u32 = 45_914_356;

/// `erlang:phash2/1` of a binary.
pub(super) fn hash(binary: &[u8]) -> u32 {
    hash_after(binary, 0) & BITS
}

/// `erlang:phash2/1` of a list of binaries.
pub(super) fn hash_list<'a>(binaries: impl Iterator<Item = &'a [u8]>) -> u32 {
    let hash = match binaries.fold(0, |hash, binary| hash_after(binary, hash)) {
        0 => EMPTY_LIST,
        hash => mix(LIST.wrapping_add(NIL), LIST, hash).2,
    };
    hash & BITS
}

/// Bob Jenkins' hash of 1996, over blocks of twelve bytes.
fn hash_after(binary: &[u8], before: u32) -> u32 {
    let start = BINARY.wrapping_add(before);
    if binary.is_empty() {
        return start;
    }
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    let (mut a, mut b, mut c) = (RATIO, RATIO, start);
    let blocks = binary.chunks_exact(12);
    let rest = blocks.remainder();
    for block in blocks {
        a = a.wrapping_add(number(&block[..4]));
        b = b.wrapping_add(number(&block[4..8]));
        c = c.wrapping_add(number(&block[8..]));
        (a, b, c) = mix(a, b, c);
    }
    let part = |from: usize, to: usize| number(&rest[from.min(rest.len())..to.min(rest.len())]);
    a = a.wrapping_add(part(0, 4));
    b = b.wrapping_add(part(4, 8));
    // The lowest byte of the last is the length's.
    c = c.wrapping_add(binary.len() as u32).wrapping_add(part(8, 12) << 8);
    mix(a, b, c).2
}

fn mix(mut a: u32, mut b: u32, mut c: u32) -> (u32, u32, u32) {
    for (first, second, third) in [(13, 8, 13), (12, 16, 5), (3, 10, 15)] {
        a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> first);
        b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << second);
        c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> third);
    }
    (a, b, c)
}

/// Erlang's `rand` with the algorithm `exs1024` (Xorshift1024*).
pub(super) struct Exs1024 {
    state: [u64; 16],
    at: usize,
}

impl Exs1024 {
    /// `rand:seed_s(exs1024, {Seed, Seed, Seed})`.
    pub(super) fn new(seed: u64) -> Self {
        const MASK: u64 = (1 << 21) - 1;
        let part = |prime: u64| ((seed & MASK) + 1).wrapping_mul(prime) & MASK;
        let mut x = part(2_097_131) << 43 | part(2_097_133) << 22 | part(2_097_143) << 1 | 1;
        let mut state = [0; 16];
        for place in state.iter_mut().rev() {
            x ^= x >> 12;
            x ^= x << 25;
            x ^= x >> 27;
            *place = x.wrapping_mul(2_685_821_657_736_338_717);
        }
        Exs1024 { state, at: 0 }
    }

    /// `rand:uniform_s/1`: the next number from 0 to below 1.
    pub(super) fn uniform(&mut self) -> f64 {
        let first = self.state[self.at];
        self.at = (self.at + 1) % self.state.len();
        let mut second = self.state[self.at];
        second ^= second << 31;
        second ^= second >> 11;
        let next = second ^ first ^ (first >> 30);
        self.state[self.at] = next;
        next.wrapping_mul(1_181_783_497_276_652_981) as f64 / (u64::MAX as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_erlangs() {
        assert_eq!(hash(b""), 13_708_901);
        assert_eq!(hash(b"key"), 6_681_389);
        assert_eq!(hash_list([&b"key"[..]].into_iter()), 48_858_968);
        assert_eq!(hash_list([&b"key"[..], b"a-longer-key-than-twelve"].into_iter()), 63_728_570);
    }

    #[test]
    fn random_numbers_are_erlangs() {
        let mut random = Exs1024::new(5);
        assert_eq!(random.state[0], 17_873_131_353_354_250_451);
        assert_eq!(random.state[15], 2_294_903_908_738_986_871);
        assert_eq!(random.uniform(), 0.352_440_983_626_264_2);
    }
}
