//! Randomness without a stream: every decision is a function of (seed, site, actor, n-th), so that to remove one decision, or
//! to add one, moves no other.

use std::time::Duration;

/// A place in the simulator that draws. Two sites never draw the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site(u64);

impl Site {
    /// The site of a name, such as `"network.latency"`: make it a `const`.
    #[must_use]
    pub const fn new(name: &str) -> Self {
        // FNV-1a, 64 bits: a constant at compile time; `mix` spreads it.
        let bytes = name.as_bytes();
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut at = 0;
        while at < bytes.len() {
            hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
            at += 1;
        }
        Self(hash)
    }
}

/// All draws of one seed.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    seed: u64,
}

impl Draws {
    /// The draws of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The n-th draw of an actor at a site.
    #[must_use]
    pub const fn at(self, site: Site, actor: u64, nth: u64) -> Draw {
        Draw { state: mix(self.seed ^ mix(site.0 ^ mix(actor ^ mix(nth)))) }
    }
}

/// One draw, from which several values may be taken in turn.
#[derive(Clone, Debug)]
pub struct Draw {
    state: u64,
}

impl Draw {
    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `end`.
    ///
    /// # Panics
    /// If `end` is 0.
    pub const fn below(&mut self, end: u64) -> u64 {
        assert!(end > 0, "nothing is below 0");
        // The bias is below 2^-32 for all that a simulation draws.
        ((self.next() as u128 * end as u128) >> 64) as u64
    }

    /// An index of a list of so many entries.
    ///
    /// # Panics
    /// If there are none.
    #[expect(clippy::cast_possible_truncation, reason = "what is below a usize is one")]
    pub const fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A number from `first` to `last`, both inclusive.
    pub const fn between(&mut self, first: u64, last: u64) -> u64 {
        assert!(first <= last, "a range that ends before it starts");
        first + self.below(last - first + 1)
    }

    /// True in so many of a thousand cases.
    pub const fn per_mille(&mut self, of_1000: u64) -> bool {
        self.below(1000) < of_1000
    }

    /// A duration of whole microseconds from `first` to `last`, both inclusive.
    pub fn duration(&mut self, first: Duration, last: Duration) -> Duration {
        Duration::from_micros(self.between(micros(first), micros(last)))
    }

    /// One of some values.
    ///
    /// # Panics
    /// If there are none.
    pub const fn pick<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        let index = self.index(values.len());
        &values[index]
    }

    /// Puts values into another order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.index(last + 1));
        }
    }

    /// Some of the values, in their order: each in so many of a thousand cases.
    pub fn some<T: Clone>(&mut self, values: &[T], of_1000: u64) -> Vec<T> {
        values.iter().filter(|_| self.per_mille(of_1000)).cloned().collect()
    }

    /// 32 bytes: a key or a seed of something else.
    pub fn bytes32(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for part in bytes.chunks_exact_mut(8) {
            part.copy_from_slice(&self.next().to_le_bytes());
        }
        bytes
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Mixes 64 bits, quickly: tells accidental differences apart, resists nobody.
pub(crate) const fn fold(value: u64) -> u64 {
    let wide = (value ^ 0x2d35_8dcc_aa6c_78a5) as u128 * 0x8bb8_4b93_962e_acc9;
    #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
    {
        wide as u64 ^ (wide >> 64) as u64
    }
}

#[cfg(test)]
mod tests;
