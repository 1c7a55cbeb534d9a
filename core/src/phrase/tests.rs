use alloc::format;
use alloc::string::ToString;

use proptest::prelude::*;

use super::*;

fn zeros() -> String {
    // BIP-39's own test vector for 32 zero bytes.
    format!("{}art", "abandon ".repeat(23))
}

#[test]
fn phrase_gives_the_bip39_vectors() {
    assert_eq!(to_phrase(&OwnerSecret::new([0; 32])), zeros());
    assert_eq!(
        to_phrase(&OwnerSecret::new([0x7f; 32])),
        "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal \
         winner thank year wave sausage worth title"
    );
}

#[test]
fn case_and_white_space_do_no_harm() {
    let text = format!("  {}\n", zeros().to_uppercase().replace(' ', "\t \r\n"));
    assert_eq!(from_phrase(&text), Ok(OwnerSecret::new([0; 32])));
}

#[test]
fn unknown_word_is_told_by_its_place_with_the_nearest_word() {
    let typo = zeros().replacen("abandon abandon abandon", "abandon abandon abandno", 1);
    let error = from_phrase(&typo).unwrap_err();
    assert_eq!(error, PhraseError::UnknownWord { position: 3, nearest: "abandon" });
    assert_eq!(error.to_string(), "word 3 is not a word of recovery phrases; did you mean `abandon`?");
    let last = zeros().replace("art", "arrt");
    assert_eq!(from_phrase(&last), Err(PhraseError::UnknownWord { position: 24, nearest: "art" }));
}

#[test]
fn odd_words_do_not_panic() {
    for odd in ["é", "ß", "日本語", &"x".repeat(10_000)] {
        let text = zeros().replace("art", odd);
        assert!(matches!(from_phrase(&text), Err(PhraseError::UnknownWord { position: 24, .. })));
    }
}

#[test]
fn wrong_count_is_told() {
    for (text, count) in [("", 0), ("abandon", 1), (&"abandon ".repeat(25), 25)] {
        assert_eq!(from_phrase(text), Err(PhraseError::WordCount { count }));
    }
}

#[test]
fn known_but_wrong_word_fails_the_checksum() {
    let wrong = zeros().replacen("abandon", "ability", 1);
    assert_eq!(from_phrase(&wrong), Err(PhraseError::Checksum));
}

proptest! {
    #[test]
    fn every_secret_survives_its_phrase(bytes: [u8; 32]) {
        let secret = OwnerSecret::new(bytes);
        prop_assert_eq!(from_phrase(&to_phrase(&secret)), Ok(secret));
    }
}
