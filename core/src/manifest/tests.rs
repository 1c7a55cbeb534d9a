use alloc::vec;

use super::*;
use crate::ids::NodeId;
use crate::name::Name;
use crate::secrets::OwnerSecret;

fn keys() -> OwnerKeys {
    OwnerKeys::derive(&OwnerSecret::new([7; 32]))
}

fn context() -> PageContext {
    PageContext {
        owner: keys().owner_id(),
        name_id: NameId([1; 32]),
        version: Version { wall_ms: 1_767_225_600_000, counter: 3, node: NodeId([2; 32]) },
    }
}

fn chunk_refs(lens: &[u32]) -> Vec<ChunkRef> {
    let chunk =
        |(at, len): (usize, &u32)| ChunkRef { id: ChunkId(*blake3::hash(&at.to_be_bytes()).as_bytes()), len: *len };
    lens.iter().enumerate().map(chunk).collect()
}

fn chunk_keys(count: usize) -> Vec<ChunkKey> {
    (0..count).map(|at| ChunkKey::new(blake3::derive_key("test chunk key", &at.to_be_bytes()))).collect()
}

fn meta(len: u64) -> FileMeta {
    FileMeta {
        name: Name::new("photos/cat.jpg").unwrap(),
        len,
        chunk_size: 1_000,
        mtime_ms: Some(1_767_225_600_123),
        mode: Some(0o644),
        content_type: Some("image/jpeg".into()),
    }
}

fn root(lens: &[u32]) -> (PagePublic, PageSecrets) {
    let public = PagePublic { index: 0, count: 1, children: Children::Chunks(chunk_refs(lens)) };
    let secrets = PageSecrets::RootOfChunks {
        meta: meta(lens.iter().map(|len| u64::from(len - 16)).sum()),
        keys: chunk_keys(lens.len()),
    };
    (public, secrets)
}

/// A page that obeys no rules.
fn lawless(public: &PagePublic, secrets: &PageSecrets) -> SealedPage {
    format::seal(&keys(), &context(), public, secrets)
}

fn refused_public(public: &PagePublic) -> ManifestError {
    let page = lawless(public, &PageSecrets::Page { keys: vec![] });
    check_page(page.id, &page.data).unwrap_err()
}

fn refused_secrets(public: &PagePublic, secrets: &PageSecrets) -> ManifestError {
    let page = lawless(public, secrets);
    check_page(page.id, &page.data).unwrap();
    open_page(&page.key, &context(), &page.data).unwrap_err()
}

#[test]
fn pages_open_as_what_was_sealed() {
    for lens in [&[][..], &[17], &[1_016, 1_016, 500]] {
        let (public, secrets) = root(lens);
        let page = seal_page(&keys(), &context(), &public, &secrets);
        assert_eq!(check_page(page.id, &page.data), Ok(public.clone()));
        let opened = OpenedPage { key: page.key.clone(), public, secrets };
        assert_eq!(open_page(&page.key, &context(), &page.data), Ok(opened.clone()));
        assert_eq!(open_root_page(&keys(), &context(), &page.data), Ok(opened));
    }
}

#[test]
fn two_levels_of_pages_open() {
    let lens = vec![1_016; PAGE_ENTRIES_MAX + 1];
    let refs = chunk_refs(&lens);
    let secret = chunk_keys(refs.len());
    let below = [0..PAGE_ENTRIES_MAX, PAGE_ENTRIES_MAX..refs.len()].map(|span| {
        let index = if span.start == 0 { 1 } else { 2 };
        let children = Children::Chunks(refs[span.clone()].to_vec());
        let public = PagePublic { index, count: 3, children };
        let keys_below = secret[span].to_vec();
        seal_page(&keys(), &context(), &public, &PageSecrets::Page { keys: keys_below })
    });
    let page_ref = |page: &SealedPage| PageRef { id: page.id, len: u32::try_from(page.data.len()).unwrap() };
    let public = PagePublic { index: 0, count: 3, children: Children::Pages(below.iter().map(page_ref).collect()) };
    let secrets = PageSecrets::RootOfPages {
        meta: meta(refs.len() as u64 * 1_000),
        keys: below.iter().map(|page| page.key.clone()).collect(),
    };
    let page = seal_page(&keys(), &context(), &public, &secrets);
    assert!(open_root_page(&keys(), &context(), &page.data).is_ok());
    for (index, page) in below.iter().enumerate() {
        let opened = open_page(&page.key, &context(), &page.data).unwrap();
        assert_eq!(opened.public.index as usize, index + 1);
        assert_eq!(open_root_page(&keys(), &context(), &page.data), Err(ManifestError::BadIndex));
    }
}

#[test]
fn fullest_pages_stay_below_the_limit() {
    let (public, mut secrets) = root(&vec![CHUNK_LEN_MAX + 16; PAGE_ENTRIES_MAX]);
    if let PageSecrets::RootOfChunks { meta, .. } = &mut secrets {
        meta.chunk_size = CHUNK_LEN_MAX;
        meta.name = Name::new("n".repeat(crate::name::NAME_LEN_MAX)).unwrap();
        meta.content_type = Some("t".repeat(CONTENT_TYPE_LEN_MAX));
    }
    let page = seal_page(&keys(), &context(), &public, &secrets);
    assert!(page.data.len() <= PAGE_LEN_MAX);
}

#[test]
fn every_flipped_byte_is_refused_by_address_and_by_mac() {
    let (public, secrets) = root(&[1_016, 700]);
    let page = seal_page(&keys(), &context(), &public, &secrets);
    for at in 0..page.data.len() {
        let mut bad = page.data.to_vec();
        bad[at] ^= 0x10;
        assert_eq!(check_page(page.id, &bad), Err(ManifestError::WrongHash), "byte {at}");
        assert!(open_page(&page.key, &context(), &bad).is_err(), "byte {at}");
        assert!(open_root_page(&keys(), &context(), &bad).is_err(), "byte {at}");
    }
}

#[test]
fn page_of_another_place_or_version_is_refused() {
    let (public, secrets) = root(&[1_016, 700]);
    let page = seal_page(&keys(), &context(), &public, &secrets);
    let mut others = [context(); 5];
    others[0].owner = OwnerId([9; 32]);
    others[1].name_id = NameId([9; 32]);
    others[2].version.wall_ms += 1;
    others[3].version.counter += 1;
    others[4].version.node = NodeId([9; 32]);
    for other in others {
        assert_eq!(open_page(&page.key, &other, &page.data), Err(ManifestError::BadTag));
        assert_eq!(open_root_page(&keys(), &other, &page.data), Err(ManifestError::BadTag));
    }
    let stranger = OwnerKeys::derive(&OwnerSecret::new([8; 32]));
    assert_eq!(open_root_page(&stranger, &context(), &page.data), Err(ManifestError::BadTag));
}

/// With a shared keystream, the two ciphertexts would differ only where the plaintexts do.
#[test]
fn manifests_that_differ_in_one_byte_share_no_keystream() {
    let (public, secrets) = root(&[1_016, 700]);
    let PageSecrets::RootOfChunks { meta, keys: chunk_keys } = secrets.clone() else {
        unreachable!("a root of chunks was built");
    };
    let mut bytes = *chunk_keys[1].expose();
    bytes[31] ^= 1;
    let altered = PageSecrets::RootOfChunks { meta, keys: vec![chunk_keys[0].clone(), ChunkKey::new(bytes)] };
    let mut otherwise_public = public.clone();
    if let Children::Chunks(chunks) = &mut otherwise_public.children {
        chunks[0].id.0[0] ^= 1;
    }
    let mut later = context();
    later.version.counter += 1;
    let one = seal_page(&keys(), &context(), &public, &secrets);
    let others = [
        seal_page(&keys(), &context(), &public, &altered),
        seal_page(&keys(), &context(), &otherwise_public, &secrets),
        seal_page(&keys(), &later, &public, &secrets),
    ];
    for other in others {
        assert_ne!(one.key, other.key);
        assert_eq!(one.data.len(), other.data.len());
        let sealed_len = crate::canonical::encode(&secrets).len();
        let from = one.data.len() - sealed_len;
        let equal = (from..one.data.len()).filter(|at| one.data[*at] == other.data[*at]).count();
        assert!(equal * 10 < sealed_len, "{equal} of {sealed_len} bytes are equal");
    }
}

#[test]
fn same_page_is_sealed_the_same() {
    let (public, secrets) = root(&[1_016, 700]);
    assert_eq!(seal_page(&keys(), &context(), &public, &secrets), seal_page(&keys(), &context(), &public, &secrets));
}

fn chunk_page(index: u32, count: u32, lens: &[u32]) -> PagePublic {
    PagePublic { index, count, children: Children::Chunks(chunk_refs(lens)) }
}

#[test]
fn pages_out_of_bounds_are_refused() {
    let too_many = vec![17; PAGE_ENTRIES_MAX + 1];
    for (public, error) in [
        (chunk_page(1, 1, &[17]), ManifestError::BadIndex),
        (chunk_page(0, 0, &[]), ManifestError::BadIndex),
        (chunk_page(0, 2, &[17]), ManifestError::BadIndex),
        (chunk_page(0, 1, &too_many), ManifestError::BadEntryCount),
        (chunk_page(1, 2, &too_many), ManifestError::BadEntryCount),
        (chunk_page(1, 2, &[]), ManifestError::BadEntryCount),
        (chunk_page(1, 3, &[17]), ManifestError::BadEntryCount),
        (chunk_page(0, 1, &[16]), ManifestError::BadEntryLength),
        (chunk_page(0, 1, &[BLOB_LEN_MAX + 1]), ManifestError::BadEntryLength),
    ] {
        assert_eq!(refused_public(&public), error, "{public:?}");
    }
}

fn page_of_pages(index: u32, count: u32, lens: &[u32]) -> PagePublic {
    let page = |len: &u32| PageRef { id: PageId([4; 32]), len: *len };
    PagePublic { index, count, children: Children::Pages(lens.iter().map(page).collect()) }
}

#[test]
fn roots_of_pages_out_of_bounds_are_refused() {
    let page_len_max = u32::try_from(PAGE_LEN_MAX).unwrap();
    for (public, error) in [
        (page_of_pages(1, 3, &[100, 100]), ManifestError::BadIndex),
        (page_of_pages(0, 2, &[100, 100]), ManifestError::BadIndex),
        (page_of_pages(0, 1, &[]), ManifestError::BadEntryCount),
        (page_of_pages(0, 4_098, &[100; 4_097]), ManifestError::BadEntryCount),
        (page_of_pages(0, 2, &[0]), ManifestError::BadEntryLength),
        (page_of_pages(0, 2, &[page_len_max + 1]), ManifestError::BadEntryLength),
    ] {
        assert_eq!(refused_public(&public), error, "{public:?}");
    }
}

#[test]
fn sealed_parts_that_do_not_fit_are_refused() {
    let public = chunk_page(0, 1, &[1_016, 516]);
    let with = |meta: FileMeta, keys: usize| PageSecrets::RootOfChunks { meta, keys: chunk_keys(keys) };
    let mut no_chunk_size = meta(1_500);
    no_chunk_size.chunk_size = 0;
    let mut small_chunk_size = meta(1_500);
    small_chunk_size.chunk_size = 999;
    let mut large_chunk_size = meta(1_500);
    large_chunk_size.chunk_size = 1_001;
    let mut long_type = meta(1_500);
    long_type.content_type = Some("t".repeat(CONTENT_TYPE_LEN_MAX + 1));
    let pages = PageSecrets::RootOfPages { meta: meta(1_500), keys: vec![PageKey::new([0; 32]); 2] };
    for (secrets, error) in [
        (with(meta(1_500), 1), ManifestError::SecretsMismatch),
        (with(meta(1_500), 3), ManifestError::SecretsMismatch),
        (with(meta(1_501), 2), ManifestError::BadFileLength),
        (with(no_chunk_size, 2), ManifestError::BadEntryLength),
        (with(small_chunk_size, 2), ManifestError::BadFileLength),
        (with(large_chunk_size, 2), ManifestError::BadFileLength),
        (with(long_type, 2), ManifestError::TooLong),
        (pages, ManifestError::SecretsMismatch),
        (PageSecrets::Page { keys: chunk_keys(2) }, ManifestError::SecretsMismatch),
    ] {
        assert_eq!(refused_secrets(&public, &secrets), error, "{secrets:?}");
    }
    let below = chunk_page(1, 2, &[1_016, 516]);
    assert_eq!(refused_secrets(&below, &with(meta(1_500), 2)), ManifestError::SecretsMismatch);
    let of_pages = page_of_pages(0, 3, &[100, 100]);
    let one_page_long = PageSecrets::RootOfPages { meta: meta(4_096_000), keys: vec![PageKey::new([0; 32]); 2] };
    assert_eq!(refused_secrets(&of_pages, &one_page_long), ManifestError::BadFileLength);
}

#[test]
fn foreign_and_non_canonical_bytes_are_refused() {
    let check = |data: &[u8]| check_page(PageId(*blake3::hash(data).as_bytes()), data);
    let (public, secrets) = root(&[17]);
    let page = seal_page(&keys(), &context(), &public, &secrets).data;
    let mut newer = page.to_vec();
    newer[4] = 2;
    assert_eq!(check(&newer), Err(ManifestError::UnknownFormat));
    assert_eq!(check(&page[..69]), Err(ManifestError::Malformed));
    let sealed_len = crate::canonical::encode(&secrets).len();
    assert_eq!(check(&page[..page.len() - sealed_len]), Err(ManifestError::Malformed));
    // The count 1, encoded as two bytes.
    let mut longer = page.to_vec();
    assert_eq!(longer[70], 1);
    longer.splice(70..=70, [251, 1, 0]);
    assert_eq!(check(&longer), Err(ManifestError::NotCanonical));
    assert_eq!(check(&vec![0; PAGE_LEN_MAX + 1]), Err(ManifestError::TooLong));
}
