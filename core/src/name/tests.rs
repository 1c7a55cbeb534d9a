use alloc::string::ToString;

use super::*;

#[test]
fn plain_and_foreign_names_are_valid() {
    let longest = "n".repeat(NAME_LEN_MAX);
    for name in ["a", "picture_0.png", "photos/2026/cat.jpg", "a\\b", "日本語/é", "...", ".a", "..a/b..", &longest]
    {
        assert_eq!(Name::new(name).unwrap().as_str(), name);
    }
}

#[test]
fn bad_names_are_refused_each_for_its_reason() {
    for (text, error) in [
        ("", NameError::Empty),
        ("/", NameError::LeadingSlash),
        ("/a", NameError::LeadingSlash),
        ("a/", NameError::TrailingSlash),
        ("a//b", NameError::EmptyPart),
        (".", NameError::Dot),
        ("a/./b", NameError::Dot),
        ("..", NameError::DotDot),
        ("../a", NameError::DotDot),
        ("a/../b", NameError::DotDot),
        ("a/..", NameError::DotDot),
        ("a\0b", NameError::Nul { at: 1 }),
        ("é\n", NameError::Control { code: 10, at: 2 }),
        ("a\u{7f}", NameError::Control { code: 127, at: 1 }),
        ("a\u{85}", NameError::Control { code: 0x85, at: 1 }),
    ] {
        assert_eq!(Name::new(text), Err(error), "{text:?}");
    }
}

#[test]
fn four_kibibytes_are_refused_with_the_limit() {
    let error = Name::new("é".repeat(2_048)).unwrap_err();
    assert_eq!(error, NameError::TooLong { len: 4_096 });
    assert_eq!(error.to_string(), "a name of 4096 bytes is too long: use at most 1024 bytes of UTF-8");
}

#[test]
fn names_are_checked_when_decoded() {
    assert!(serde_json::from_str::<Name>("\"a/b\"").is_ok());
    let error = serde_json::from_str::<Name>("\"a/../b\"").unwrap_err();
    assert!(error.to_string().contains("`..`"));
    assert!(crate::canonical::decode_all::<Name, 100>(&[2, b'.', b'.']).is_err());
}

#[test]
fn debug_shows_only_the_length() {
    let name = Name::new("secret").unwrap();
    assert_eq!(alloc::format!("{name:?}"), "Name(6 B, ***)");
}
