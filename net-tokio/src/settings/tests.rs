use std::path::{Path, PathBuf};

use super::source::{KEYS, nearest};
use super::*;

struct Sources {
    _folder: tempfile::TempDir,
    file: PathBuf,
}

fn file(text: &str) -> Sources {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, text).unwrap();
    Sources { _folder: folder, file }
}

fn load(text: &str, environment: &[(&str, &str)], flags: &Flags) -> Result<Settings, SettingsError> {
    let sources = file(text);
    let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Settings::load(&sources.file, environment, flags)
}

fn error(text: &str, environment: &[(&str, &str)]) -> String {
    load(text, environment, &Flags::default()).unwrap_err().to_string()
}

#[test]
fn without_any_source_there_are_the_defaults() {
    let absent = Settings::load(Path::new("/no/such/file"), std::iter::empty(), &Flags::default()).unwrap();
    assert_eq!(absent, Settings::default());
    assert_eq!(load(DEFAULT_CONFIG, &[], &Flags::default()).unwrap(), Settings::default());
}

#[test]
fn the_fresh_file_shows_every_key_with_its_default() {
    let commented = DEFAULT_CONFIG.lines().filter_map(|line| line.strip_prefix("# "));
    let assignments: Vec<&str> =
        commented.filter(|line| KEYS.iter().any(|key| line.starts_with(&format!("{key} =")))).collect();
    assert_eq!(assignments.len(), KEYS.len());
    let mut shown = load(&assignments.join("\n"), &[], &Flags::default()).unwrap();
    assert_eq!(shown.peers, ["192.0.2.10:7000"], "an example, since the default is none");
    shown.peers.clear();
    assert_eq!(shown, Settings::default());
}

#[test]
fn the_environment_wins_over_the_file_and_flags_over_both() {
    let text = "listen = \"127.0.0.1:1\"\napi = \"127.0.0.1:1\"\nban_for_s = 1\npeers = [\"a:1\"]";
    let environment = [
        ("FOREVER_LISTEN", "127.0.0.1:2"),
        ("FOREVER_API", "localhost:2"),
        ("FOREVER_PEERS", "b:2, c:2"),
        ("FOREVER_DATA", "/somewhere"),
        ("FOREVER_LOG", "debug"),
        ("HOME", "/"),
    ];
    let flags = Flags { listen: Some("127.0.0.1:3".to_owned()), ..Flags::default() };
    let settings = load(text, &environment, &flags).unwrap();
    assert_eq!(settings.listen, "127.0.0.1:3");
    assert_eq!(settings.api.to_string(), "127.0.0.1:2");
    assert_eq!(settings.peers, ["b:2", "c:2"]);
    assert_eq!(settings.ban_for_s, 1);
}

#[test]
fn replicas_are_a_number_or_all() {
    let replicas =
        |text, environment: &[_], flags| load(text, environment, &flags).unwrap().core_config("a:1").retention.replicas;
    let with_flag = Flags { replicas: Some("5".to_owned()), ..Flags::default() };
    assert_eq!(replicas("", &[], Flags::default()), Replicas::default());
    assert_eq!(replicas("replicas = 2", &[], Flags::default()), Replicas::new(2).unwrap());
    assert_eq!(replicas("replicas = \"all\"", &[], Flags::default()), Replicas::ALL);
    assert_eq!(replicas("replicas = 2", &[("FOREVER_REPLICAS", "all")], Flags::default()), Replicas::ALL);
    assert_eq!(replicas("", &[("FOREVER_REPLICAS", "4")], with_flag), Replicas::new(5).unwrap());
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_nearest_known_one() {
    let in_file = error("chunk_size_kb = 64", &[]);
    for part in ["config.toml", "`chunk_size_kb`", "`chunk_size_kib`"] {
        assert!(in_file.contains(part), "{in_file}");
    }
    let in_environment = error("", &[("FOREVER_LISTN", "x")]);
    for part in ["environment", "`FOREVER_LISTN`", "`FOREVER_LISTEN`"] {
        assert!(in_environment.contains(part), "{in_environment}");
    }
    assert!(!error("colour = 1", &[]).contains("did you mean"));
}

#[test]
fn the_nearest_key_is_a_few_edits_away_or_none() {
    assert_eq!(nearest("lisen"), Some("listen"));
    assert_eq!(nearest("keep_version"), Some("keep_versions"));
    assert_eq!(nearest("zzzzzzzzzzzz"), None);
}

#[test]
fn a_senseless_value_names_its_key_and_what_it_may_be() {
    for (text, key, hint) in [
        ("listen = \"here\"", "listen", "host:port"),
        ("listen = \":7000\"", "listen", "host:port"),
        ("listen = \"a:70000\"", "listen", "host:port"),
        ("api = \"nowhere\"", "api", "127.0.0.1:7001"),
        ("peers = [\"a:1\", \"b\"]", "peers", "`b`"),
        ("allow = [\"abc\"]", "allow", "64 hex digits"),
        ("chunk_size_kib = 63", "chunk_size_kib", "64 to 16384"),
        ("chunk_size_kib = 16385", "chunk_size_kib", "64 to 16384"),
        ("request_timeout_s = 0", "request_timeout_s", "at least 1"),
        ("replicas = 0", "replicas", "from 1 to 255"),
        ("replicas = 256", "replicas", "from 1 to 255"),
        ("replicas = \"many\"", "replicas", "\"all\""),
        ("keep_versions = 0", "keep_versions", "1 to"),
        ("keep_days = -1", "keep_days", "-1"),
        ("lease_days = 0", "lease_days", "1 to"),
        ("disk_threads = 65", "disk_threads", "1 to 64"),
        ("key_hash = \"sha1\"", "key_hash", "blake3-keyed or md5"),
        ("path_transform = \"x\"", "path_transform", "git, cas or flat"),
        ("reserve_mib = \"much\"", "reserve_mib", "much"),
    ] {
        let message = error(text, &[]);
        assert!(message.contains(key) && message.contains(hint), "{text}: {message}");
    }
    let message = error("", &[("FOREVER_DISK_THREADS", "many")]);
    assert!(message.contains("FOREVER_DISK_THREADS"), "{message}");
}

#[test]
fn an_api_that_others_reach_must_be_wanted() {
    let refused = error("api = \"0.0.0.0:7001\"", &[]);
    assert!(refused.contains("api_allow_remote"), "{refused}");
    let wanted = load("api = \"0.0.0.0:7001\"\napi_allow_remote = true", &[], &Flags::default());
    assert!(wanted.is_ok());
}

#[test]
fn the_core_gets_its_part() {
    let text = "chunk_size_kib = 64\nkeep_days = 3\nkeep_versions = 2\nlease_days = 2\nban_for_s = 9\nrequest_timeout_s = 8\nscrub_days = 0\nquota_mib = 3\nstore_max_mib = 5\ncache_mib = 7\nsync_interval_s = 7\nrepair_mib_s = 3\npeers = [\"a:1\"]";
    let settings = load(text, &[], &Flags::default()).unwrap();
    let core = settings.core_config("127.0.0.1:5");
    assert_eq!(core.chunk_size, 65_536);
    assert_eq!((core.retention.keep_versions, core.retention.keep_days), (2, 3));
    assert_eq!(core.lease.as_secs(), 2 * 86_400);
    assert_eq!((core.ban_for.as_secs(), core.request_timeout.as_secs()), (9, 8));
    assert_eq!(core.scrub_period, std::time::Duration::ZERO);
    assert_eq!((core.sync_interval.as_secs(), core.repair_bytes_s), (7, 3 << 20));
    assert_eq!((core.quota_bytes, core.store_max_bytes, core.cache_bytes), (3 << 20, 5 << 20, 7 << 20));
    assert_eq!(settings.store_max_bytes(), Some(5 << 20));
    assert_eq!((core.listen, core.bootstrap), (vec!["127.0.0.1:5".to_owned()], vec!["a:1".to_owned()]));
    let advertised = load("advertise = [\"me.example:7000\"]", &[], &Flags::default()).unwrap();
    assert_eq!(advertised.core_config("127.0.0.1:5").listen, ["me.example:7000"]);
}
