use std::os::unix::fs::PermissionsExt;

use forever_core::phrase::{from_phrase, to_phrase};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn fresh() -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("deep").join("data");
    (parent, path)
}

fn refusal(path: &Path) -> String {
    let opened = Folder::at(path).and_then(Folder::open);
    opened.unwrap_err().to_string()
}

#[test]
fn a_new_folder_is_private_and_keeps_its_keys() {
    let (_parent, path) = fresh();
    let made = create(&path, Owner::New, None).unwrap().open().unwrap();
    assert_eq!(mode(&path), 0o700);
    for name in [NODE_KEY, OWNER_SECRET, CLUSTER_KEY, API_TOKEN, CONFIG, FORMAT_FILE, LOCK] {
        assert_eq!(mode(&path.join(name)), 0o600, "{name}");
    }
    for name in [NODE_KEY, OWNER_SECRET, CLUSTER_KEY, API_TOKEN] {
        let text = fs::read_to_string(path.join(name)).unwrap();
        assert_eq!((text.len(), text.ends_with('\n')), (65, true), "{name}");
    }
    let (node, owner) = (made.node_id(), made.owner_id());
    let secrets = [*made.node_key(), *made.cluster_key(), *made.owner_secret().expose()];
    assert!(secrets[0] != secrets[1] && secrets[1] != secrets[2] && secrets[0] != secrets[2]);
    drop(made);
    let again = Folder::at(&path).unwrap().open().unwrap();
    assert_eq!((again.node_id(), again.owner_id()), (node, owner));
}

/// RFC 7748, section 6.1.
#[test]
fn the_node_id_is_the_x25519_public_key() {
    let mut secret = [0; 32];
    hex::decode_to_slice("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", &mut secret).unwrap();
    let alice = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
    assert_eq!(node_id(&secret).to_string(), alice);
}

#[test]
fn a_recovered_owner_is_the_same_on_another_device() {
    let (_parent, path) = fresh();
    let first = create(&path, Owner::New, None).unwrap().open().unwrap();
    let phrase = to_phrase(first.owner_secret());
    let (_other_parent, other) = fresh();
    let cluster_key = read_key(&path.join(CLUSTER_KEY)).unwrap();
    let recovered = Owner::Recovered(from_phrase(&phrase).unwrap());
    let second = create(&other, recovered, Some(cluster_key)).unwrap().open().unwrap();
    assert_eq!(first.owner_id(), second.owner_id());
    assert_eq!(first.cluster_key(), second.cluster_key());
    assert_ne!(first.node_id(), second.node_id());
}

#[test]
fn nothing_is_ever_overwritten() {
    let (_parent, path) = fresh();
    create(&path, Owner::New, None).unwrap();
    let before = fs::read(path.join(OWNER_SECRET)).unwrap();
    assert!(matches!(create(&path, Owner::New, None), Err(FolderError::Exists(_))));
    assert_eq!(fs::read(path.join(OWNER_SECRET)).unwrap(), before);
    fs::remove_file(path.join(FORMAT_FILE)).unwrap();
    assert!(matches!(create(&path, Owner::New, None), Err(FolderError::HalfMade(_))));
    assert_eq!(fs::read(path.join(OWNER_SECRET)).unwrap(), before);
}

#[test]
fn foreign_half_made_newer_and_missing_folders_are_told_apart() {
    let (_parent, path) = fresh();
    assert!(refusal(&path).contains("forever init"));
    fs::create_dir_all(&path).unwrap();
    assert_eq!(Folder::inspect(&path).unwrap(), State::Empty);
    fs::write(path.join("holiday.jpg"), "x").unwrap();
    assert!(refusal(&path).contains("not a forever data folder"));
    fs::write(path.join(NODE_KEY), "x").unwrap();
    assert!(refusal(&path).contains("never finished"));
    fs::write(path.join(FORMAT_FILE), "").unwrap();
    assert!(refusal(&path).contains("never finished"));
    fs::write(path.join(FORMAT_FILE), "something else").unwrap();
    assert!(refusal(&path).contains("not a forever data folder"));
    fs::write(path.join(FORMAT_FILE), "foreverstore data folder, format 7\n").unwrap();
    let newer = refusal(&path);
    assert!(newer.contains("format 7") && newer.contains("up to 1"), "{newer}");
}

#[test]
fn a_truncated_key_file_is_named() {
    for name in [NODE_KEY, OWNER_SECRET, CLUSTER_KEY, API_TOKEN] {
        let (_parent, path) = fresh();
        create(&path, Owner::New, None).unwrap();
        let text = fs::read_to_string(path.join(name)).unwrap();
        for broken in ["", &text[..63], &format!("{}zz\n", &text[..62]), &format!("{}00\n", &text[..64])] {
            fs::write(path.join(name), broken).unwrap();
            let message = refusal(&path);
            assert!(message.contains(name) && message.contains("64 hex digits"), "{message}");
        }
    }
}

#[test]
fn a_folder_serves_one_at_a_time_and_tells_whom() {
    let (_parent, path) = fresh();
    let first = create(&path, Owner::New, None).unwrap().open().unwrap();
    let message = refusal(&path);
    let pid = std::process::id().to_string();
    assert!(message.contains(&path.display().to_string()) && message.contains(&pid), "{message}");
    drop(first);
    Folder::at(&path).unwrap().open().unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_says_where_and_why() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = create(&file.join("data"), Owner::New, None).unwrap_err().to_string();
    assert!(error.contains(&file.display().to_string()), "{error}");
}

#[test]
fn permissions_of_others_are_noticed() {
    let (_parent, path) = fresh();
    create(&path, Owner::New, None).unwrap();
    let key = path.join(NODE_KEY);
    assert_eq!(loose_permissions(&key), None);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(loose_permissions(&key), Some(0o644));
}

#[test]
fn clearing_wipes_the_store_and_keeps_the_keys() {
    let (_parent, path) = fresh();
    let open = create(&path, Owner::New, None).unwrap().open().unwrap();
    let store = open.folder().store_path();
    open.clear().unwrap();
    fs::create_dir_all(store.join("blobs")).unwrap();
    fs::write(store.join("blobs").join("one"), "x").unwrap();
    open.clear().unwrap();
    assert!(!store.exists());
    let node = open.node_id();
    drop(open);
    assert_eq!(Folder::at(&path).unwrap().open().unwrap().node_id(), node);
}

#[test]
fn the_api_address_is_read_back_and_a_broken_one_is_none() {
    let (_parent, path) = fresh();
    let open = create(&path, Owner::New, None).unwrap().open().unwrap();
    let folder = open.folder().clone();
    assert_eq!(folder.api_address().unwrap(), None);
    let api = SocketAddr::from(([127, 0, 0, 1], 7001));
    open.publish_api(api).unwrap();
    open.publish_api(api).unwrap();
    assert_eq!(folder.api_address().unwrap().unwrap().api, api);
    fs::write(path.join(API_ADDRESS), "{").unwrap();
    assert_eq!(folder.api_address().unwrap(), None);
    open.retract_api().unwrap();
    open.retract_api().unwrap();
}
