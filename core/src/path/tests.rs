use alloc::format;

use proptest::prelude::*;

use super::*;

fn cas_path(key: &str) -> String {
    PathTransform::Cas.path(key).unwrap()
}

fn sha1_hex(text: &str) -> String {
    hex::encode(Sha1::digest(text.as_bytes()))
}

#[test]
fn cas_gives_the_seeds_path() {
    assert_eq!(
        cas_path("momsbestpicture"),
        "68044/29f74/181a6/3c50c/3d81d/733a1/2f14a/353ff/6804429f74181a63c50c3d81d733a12f14a353ff"
    );
}

#[test]
fn sha1_of_names_and_of_their_md5_gives_the_seeds_vectors() {
    for (name, md5, of_name, of_md5) in [
        (
            "picture_0.png",
            "44b2a6b69cffe1ea7922da80d75577e7",
            "d44bbd0bbda685d5db90f419568b531ab9afa97b",
            "315adfacc6d5a20bc39e726c29790266fc7ecd32",
        ),
        (
            "picture_19.png",
            "5c6687bef3d4997b6891263515917be5",
            "dceee50f1ea67596dc67a1be4e10975451f8af2a",
            "221adb890fe3b92713d139eb83d1a5ab2e801d7a",
        ),
    ] {
        assert_eq!(sha1_hex(name), of_name);
        assert_eq!(sha1_hex(md5), of_md5);
        assert!(cas_path(md5).ends_with(&format!("/{of_md5}")));
    }
}

/// In the seed, deleting one of them took the other along.
#[test]
fn keys_that_share_their_first_folder_share_no_file() {
    let [one, two] = ["foo_167", "foo_315"].map(cas_path);
    assert_eq!(one[..5], two[..5]);
    assert_ne!(one, two);
    assert!(!one.starts_with(&two) && !two.starts_with(&one));
}

#[test]
fn git_cuts_two_two_rest() {
    let path = PathTransform::Git.path("0123456789abcdef").unwrap();
    assert_eq!(path, "01/23/456789abcdef");
    assert_eq!(PathTransform::default(), PathTransform::Git);
}

#[test]
fn flat_is_the_key() {
    assert_eq!(PathTransform::Flat.path("picture_0.png").unwrap(), "picture_0.png");
}

#[test]
fn keys_that_lead_elsewhere_are_refused() {
    for (key, flat, git) in [
        ("", PathError::Empty, PathError::Empty),
        (".", PathError::Dots, PathError::Length { len: 1 }),
        ("..", PathError::Dots, PathError::Length { len: 2 }),
        ("../../etc", PathError::Character, PathError::Character),
        ("a/a", PathError::Character, PathError::Character),
        ("/etc/passwd", PathError::Character, PathError::Character),
        ("a\\b\\c", PathError::Character, PathError::Character),
        ("nul\0nul", PathError::Character, PathError::Character),
        ("C:abcdef", PathError::Character, PathError::Character),
    ] {
        assert_eq!(PathTransform::Flat.path(key), Err(flat), "{key:?}");
        assert_eq!(PathTransform::Git.path(key), Err(git), "{key:?}");
    }
    for key in ["..abcdef", "ab..cdef", "abcd..", "abcd."] {
        assert_eq!(PathTransform::Git.path(key), Err(PathError::Dots), "{key:?}");
    }
    let long = "k".repeat(256);
    assert_eq!(PathTransform::Flat.path(&long), Err(PathError::Length { len: 256 }));
}

#[test]
fn texts_of_configuration_parse_and_serialise_alike() {
    for (text, transform) in [("cas", PathTransform::Cas), ("git", PathTransform::Git), ("flat", PathTransform::Flat)] {
        assert_eq!(text.parse(), Ok(transform));
        assert_eq!(serde_json::to_value(transform).unwrap(), text);
    }
    assert_eq!("Git".parse::<PathTransform>(), Err(ParsePathTransformError));
}

fn any_transform() -> impl Strategy<Value = PathTransform> {
    prop_oneof![Just(PathTransform::Cas), Just(PathTransform::Git), Just(PathTransform::Flat)]
}

proptest! {
    #[test]
    fn no_path_leaves_its_root(transform in any_transform(), key in "[./\\\\\0a-c]{0,12}") {
        if let Ok(path) = transform.path(&key) {
            for part in path.split('/') {
                prop_assert!(!part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']));
            }
        }
    }

    #[test]
    fn distinct_keys_share_no_path(transform in any_transform(), one in "[a-c.]{1,7}", two in "[a-c.]{1,7}") {
        if let (Ok(first), Ok(second)) = (transform.path(&one), transform.path(&two)) {
            prop_assert_eq!(one == two, first == second);
        }
    }
}
