//! Where the choices come from: a fuzzer's bytes, or a seed.

/// A source of choices.
pub(crate) trait Choices {
    /// A number below `bound`.
    fn below(&mut self, bound: usize) -> usize;

    /// False when there is nothing left to choose by.
    fn more(&self) -> bool;

    /// True once in `times`.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    fn one<T: Copy>(&mut self, of: &[T]) -> T
    where
        Self: Sized,
    {
        of[self.below(of.len())]
    }
}

/// So many choices, the same for the same seed (SplitMix64).
pub(crate) struct Seeded {
    state: u64,
    left: usize,
}

impl Seeded {
    #[allow(dead_code)] // the fuzzer has bytes
    pub(crate) fn new(seed: u64, choices: usize) -> Self {
        Seeded { state: seed, left: choices }
    }
}

impl Choices for Seeded {
    fn below(&mut self, bound: usize) -> usize {
        self.left = self.left.saturating_sub(1);
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn more(&self) -> bool {
        self.left > 0
    }
}

/// A choice by each byte.
#[allow(dead_code)] // the tests have seeds
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl Choices for Bytes<'_> {
    fn below(&mut self, bound: usize) -> usize {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(first) % bound
    }

    fn more(&self) -> bool {
        !self.0.is_empty()
    }
}
