use super::*;

fn md5_id(name: &str) -> NameId {
    KeyHash::Md5.name_id(&[0; 32], &Name::new(name).unwrap())
}

#[test]
fn md5_gives_the_seeds_vectors() {
    assert_eq!(md5_id("picture_0.png").as_bytes(), b"44b2a6b69cffe1ea7922da80d75577e7");
    assert_eq!(md5_id("picture_19.png").as_bytes(), b"5c6687bef3d4997b6891263515917be5");
}

#[test]
fn keyed_hash_depends_on_key_and_name() {
    let id = |key: u8, name: &str| KeyHash::Blake3Keyed.name_id(&[key; 32], &Name::new(name).unwrap());
    assert_eq!(id(1, "a"), id(1, "a"));
    assert_ne!(id(1, "a"), id(2, "a"));
    assert_ne!(id(1, "a"), id(1, "b"));
}

#[test]
fn texts_of_configuration_parse_and_serialise_alike() {
    for (text, hash) in [("blake3_keyed", KeyHash::Blake3Keyed), ("md5", KeyHash::Md5)] {
        assert_eq!(text.parse(), Ok(hash));
        assert_eq!(serde_json::to_value(hash).unwrap(), text);
    }
    assert_eq!("sha1".parse::<KeyHash>(), Err(ParseKeyHashError));
}
