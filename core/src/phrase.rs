//! The recovery phrase: an owner secret as 24 words.
//!
//! Source: BIP-39, English word list: 256 bits and 8 bits of their SHA-256, cut into 24 numbers of 11 bits, each a word.

use alloc::string::String;
use alloc::vec::Vec;

use bip39::{Language, Mnemonic};
use zeroize::{Zeroize, Zeroizing};

use crate::secrets::OwnerSecret;

/// How many words a phrase has.
pub const PHRASE_WORDS: usize = 24;

/// Why a text is not a recovery phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Not 24 words.
    #[error("a recovery phrase has 24 words, and this has {count}: look for words left out, doubled or run together")]
    WordCount {
        /// How many it has.
        count: usize,
    },
    /// A word that is not in the list.
    #[error("word {position} is not a word of recovery phrases; did you mean `{nearest}`?")]
    UnknownWord {
        /// Its place, counted from 1. The word itself is not repeated: the phrase is a secret.
        position: usize,
        /// The word of the list that is most like it.
        nearest: &'static str,
    },
    /// Every word is in the list, but the checksum says that they are not the phrase.
    #[error("each of the 24 words is known, but together they are not a recovery phrase: a word is wrong or swapped")]
    Checksum,
}

/// The phrase of a secret: 24 lowercase words, separated by single spaces.
#[must_use]
pub fn to_phrase(secret: &OwnerSecret) -> String {
    let mnemonic =
        Mnemonic::from_entropy_in(Language::English, secret.expose()).expect("32 bytes are a valid length of entropy");
    let mut phrase = String::with_capacity(PHRASE_WORDS * 9);
    for word in mnemonic.words() {
        if !phrase.is_empty() {
            phrase.push(' ');
        }
        phrase.push_str(word);
    }
    phrase
}

/// The secret of a phrase. Upper case and any white space between the words do no harm.
///
/// # Errors
/// What is wrong with it: how many words there are, which word is unknown, or that the checksum does not hold.
pub fn from_phrase(text: &str) -> Result<OwnerSecret, PhraseError> {
    let lower = Zeroizing::new(text.to_lowercase());
    let words: Vec<&str> = lower.split_whitespace().collect();
    if words.len() != PHRASE_WORDS {
        return Err(PhraseError::WordCount { count: words.len() });
    }
    for (index, word) in words.iter().enumerate() {
        if Language::English.find_word(word).is_none() {
            return Err(PhraseError::UnknownWord { position: index + 1, nearest: nearest_word(word) });
        }
    }
    let normal = Zeroizing::new(words.join(" "));
    let mnemonic = Mnemonic::parse_in_normalized(Language::English, &normal).map_err(|_| PhraseError::Checksum)?;
    let (mut entropy, _) = mnemonic.to_entropy_array();
    let secret = *entropy.first_chunk::<32>().expect("the array is longer than the entropy of 24 words");
    entropy.zeroize();
    Ok(OwnerSecret::new(secret))
}

/// The word of the list with the least edit distance; the first in alphabetical order of several.
fn nearest_word(word: &str) -> &'static str {
    Language::English
        .word_list()
        .iter()
        .min_by_key(|known| edit_distance(word, known))
        .expect("the list holds 2,048 words")
}

/// How many characters must be inserted, deleted or replaced. Source: Wagner and Fischer, "The String-to-String
/// Correction Problem" (1974), kept to one row.
fn edit_distance(typed: &str, known: &str) -> usize {
    let mut row: Vec<usize> = (0..=known.len()).collect();
    // A longer text is no nearer to one word than to another, so the work is bounded.
    for (above, typed) in typed.chars().take(16).enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, known) in known.chars().enumerate() {
            let replaced = diagonal + usize::from(typed != known);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[known.len()]
}

#[cfg(test)]
mod tests;
