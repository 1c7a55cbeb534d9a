//! Looks for some words in many bytes, at a fraction of the time that an automaton takes, which looks at every byte.
//!
//! A word of `n` bytes has `n - 3` places at which 4 of its bytes begin. So whoever looks at 4 bytes at each `n - 3`rd place sees
//! 4 bytes of the word, wherever it lies; whether they are those of a word, and of which, tells a table (Wu and Manber: A Fast
//! Algorithm for Multi-Pattern Searching, 1994, has the idea).

/// How many bytes are looked at at each place.
const GRAM_LEN: usize = 4;

/// Grams fall into so many classes, of which the filter remembers whether any is in a word: 8 KiB, and so always at hand.
const CLASSES: usize = 1 << 16;

/// Finds words.
pub(super) struct Finder {
    words: Vec<Vec<u8>>,
    /// From one place that is looked at to the next.
    stride: usize,
    /// A bit for each class.
    filter: Vec<u64>,
    /// All grams of all words, in order, with the word and the place in it.
    grams: Vec<(u32, usize, usize)>,
}

impl Finder {
    /// Of no words it finds none.
    ///
    /// # Panics
    /// If a word is shorter than a gram.
    pub(super) fn new(words: Vec<Vec<u8>>) -> Self {
        let shortest = words.iter().map(Vec::len).min().unwrap_or(GRAM_LEN);
        assert!(shortest >= GRAM_LEN, "a word to look for is at least {GRAM_LEN} bytes long");
        let stride = shortest - GRAM_LEN + 1;
        let mut filter = vec![0; CLASSES / 64];
        let mut grams = Vec::new();
        for (number, word) in words.iter().enumerate() {
            // The grams at its first places are enough: some place that is looked at is one of these.
            for place in 0..stride {
                let gram = gram_at(word, place);
                let class = class(gram);
                filter[class / 64] |= 1 << (class % 64);
                grams.push((gram, number, place));
            }
        }
        grams.sort_unstable();
        Self { words, stride, filter, grams }
    }

    /// The number of a word that is in these bytes, if any is.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<usize> {
        let mut place = 0;
        // Faster than an iterator.
        while let Some(gram) = bytes.get(place..).and_then(<[u8]>::first_chunk) {
            if self.is_likely(u32::from_le_bytes(*gram))
                && let Some(number) = self.word_at(bytes, place)
            {
                return Some(number);
            }
            place += self.stride;
        }
        None
    }

    /// False of most grams that are in no word.
    fn is_likely(&self, gram: u32) -> bool {
        let class = class(gram);
        self.filter[class / 64] >> (class % 64) & 1 == 1
    }

    /// The number of a word to which the gram at a place belongs.
    fn word_at(&self, bytes: &[u8], place: usize) -> Option<usize> {
        let gram = gram_at(bytes, place);
        let from = self.grams.partition_point(|(other, ..)| *other < gram);
        let same = self.grams[from..].iter().take_while(|(other, ..)| *other == gram);
        let is_there = |number: usize, within: usize| {
            place.checked_sub(within).is_some_and(|start| bytes[start..].starts_with(&self.words[number]))
        };
        same.copied().find(|(_, number, within)| is_there(*number, *within)).map(|(_, number, _)| number)
    }
}

fn gram_at(bytes: &[u8], place: usize) -> u32 {
    let gram = bytes[place..].first_chunk().expect("a gram lies within the bytes");
    u32::from_le_bytes(*gram)
}

/// Which class a gram falls into: the upper half of a product with 2^32 divided by the golden ratio (Knuth, volume 3, 6.4).
const fn class(gram: u32) -> usize {
    (gram.wrapping_mul(0x9e37_79b9) >> 16) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{Draws, Site};

    fn naive(words: &[Vec<u8>], bytes: &[u8]) -> bool {
        words.iter().any(|word| bytes.windows(word.len()).any(|window| window == word))
    }

    #[test]
    fn a_word_is_found_at_every_place_and_not_without_its_last_byte() {
        let words: Vec<Vec<u8>> = vec![b"canary-5f1e".to_vec(), (0..32).collect(), b"four".to_vec()];
        for present in 1..words.len() {
            let finder = Finder::new(words[..present].to_vec());
            for (number, word) in words[..present].iter().enumerate() {
                for before in 0..40 {
                    for after in 0..12 {
                        let bytes = [&vec![b'x'; before], &word[..], &vec![b'c'; after]].concat();
                        assert_eq!(finder.find(&bytes), Some(number), "{number} after {before} bytes, before {after}");
                        let cut = [&vec![b'x'; before], &word[..word.len() - 1], &vec![b'c'; after]].concat();
                        assert_eq!(finder.find(&cut), None, "{number} cut short after {before} bytes");
                    }
                }
            }
        }
    }

    #[test]
    fn it_finds_what_a_look_at_every_place_finds() {
        let draws = Draws::new(1);
        let (mut found, mut not_found) = (0, 0);
        for nth in 0..3_000 {
            let mut draw = draws.at(Site::new("finder.test"), 0, nth);
            // Three letters, so that much is nearly right.
            let mut text = |len: u64| -> Vec<u8> { (0..len).map(|_| b"abc"[draw.index(3)]).collect() };
            let words: Vec<Vec<u8>> = (4..10).map(&mut text).collect();
            let bytes = text(nth % 50);
            let number = Finder::new(words.clone()).find(&bytes);
            assert_eq!(number.is_some(), naive(&words, &bytes));
            match number {
                Some(number) => {
                    assert!(naive(&words[number..=number], &bytes));
                    found += 1;
                }
                None => not_found += 1,
            }
        }
        assert!(found > 100 && not_found > 100, "{found} {not_found}");
    }

    #[test]
    fn no_words_are_found_nowhere() {
        assert_eq!(Finder::new(Vec::new()).find(b"anything"), None);
    }
}
