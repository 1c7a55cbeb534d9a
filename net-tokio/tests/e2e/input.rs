//! Bad names, bad settings, bad words: a clear error, and nothing lost.

use crate::harness::{CHUNK, Cluster, command, command_on, content, finish};

#[test]
fn bad_names_are_refused_by_the_program_with_what_is_wrong() {
    let cluster = Cluster::start(1);
    let path = cluster.file("file", b"x");
    let path = path.to_str().unwrap();
    let long = "ü".repeat(2_048);
    let cases = [
        ("", "must not be empty"),
        ("..", "must not have `..`"),
        ("a/../../etc/passwd", "must not have `..`"),
        ("/etc/passwd", "must not start with `/`"),
        ("a//b", "must not hold `//`"),
        ("a/", "must not end with `/`"),
        ("a\nb", "control characters"),
        (&long, "4096 bytes is too long: use at most 1024"),
    ];
    for (name, told) in cases {
        cluster[0].forever(&["put", path, "--as", name]).fails(2, "invalid_name", &[told]);
        cluster[0].try_get(&[name]).fails(2, "invalid_name", &[told]);
        for command in ["rm", "stat", "versions", "evict"] {
            cluster[0].forever(&[command, name]).fails(2, "invalid_name", &[told]);
        }
    }
    assert_eq!(cluster[0].names(), Vec::<String>::new());
}

#[test]
fn bad_names_are_refused_by_the_api_with_what_is_wrong() {
    let cluster = Cluster::start(1);
    let http = cluster[0].http();
    let long = "a".repeat(4_096);
    let cases = [
        ("", "must not be empty"),
        ("%00", "NUL character"),
        ("a%00b", "NUL character (byte 1)"),
        ("..", "must not have `..`"),
        ("%2e%2e%2fetc%2fpasswd", "must not have `..`"),
        ("%2Fetc", "must not start with `/`"),
        ("%ff", "UTF-8"),
        (&long, "too long"),
    ];
    for (name, told) in cases {
        let path = format!("/v1/files/{name}");
        http.put(&path, b"x").fails(400, "invalid_name", told);
        http.ask("GET", &path, &[]).fails(400, "invalid_name", told);
        http.ask("DELETE", &path, &[]).fails(400, "invalid_name", told);
    }
    assert_eq!(cluster[0].names(), Vec::<String>::new());
}

#[test]
fn strange_but_good_names_work() {
    let cluster = Cluster::start(2);
    let longest = "ü".repeat(512);
    let names = ["a\\..\\b", "...", "käse 100%?#&+.txt", "a", "a/a", "-o", " ", "日本/語", &longest];
    for name in names {
        let path = cluster.file("file", name.as_bytes());
        let put = cluster[1].forever(&["put", path.to_str().unwrap(), &format!("--as={name}")]).json();
        assert_eq!(put["name"], name);
    }
    let mut sorted = names.map(str::to_owned);
    sorted.sort_unstable();
    assert_eq!(cluster[1].names(), sorted);
    for name in names {
        assert_eq!(cluster[1].get(name), name.as_bytes());
    }
    // `a` and `a/a` live side by side; deleting one leaves the other.
    cluster[1].forever(&["rm", "a"]).exits(0);
    assert_eq!(cluster[1].get("a/a"), b"a/a");
}

#[test]
fn unknown_settings_are_named_with_the_one_that_was_meant() {
    let mut cluster = Cluster::start(1);
    cluster[0].terminate();
    let start = |settings: &[(&str, &str)]| {
        let any = cluster.any_port();
        let mut node = command_on(&cluster[0].data, &["node", "--listen", &any, "--api", &any]);
        node.envs(settings.iter().copied());
        finish(node)
    };
    start(&[("FOREVER_CHUNK_SISE_KIB", "64")]).fails(
        2,
        "settings",
        &["FOREVER_CHUNK_SISE_KIB", "did you mean `FOREVER_CHUNK_SIZE_KIB`"],
    );
    start(&[("FOREVER_CHUNK_SIZE_KIB", "63")]).fails(2, "settings", &["FOREVER_CHUNK_SIZE_KIB", "64 to 16384"]);
    let config = cluster[0].data.join("config.toml");
    let good = std::fs::read(&config).unwrap();
    std::fs::write(&config, "lisen = \"127.0.0.1:0\"\n").unwrap();
    start(&[]).fails(2, "settings", &["config.toml", "no setting `lisen`", "did you mean `listen`"]);
    std::fs::write(&config, "disk_threads = \"many\"\n").unwrap();
    start(&[]).fails(2, "settings", &["disk_threads"]);
    std::fs::write(&config, good).unwrap();
    cluster[0].restart();
}

#[test]
fn the_later_source_of_a_setting_wins() {
    let mut cluster = Cluster::start(1);
    cluster[0].terminate();
    std::fs::write(cluster[0].data.join("config.toml"), "chunk_size_kib = 128\npeers = [\"192.0.2.1:1\"]\n").unwrap();
    cluster[0].set("FOREVER_PEERS", "");
    cluster[0].restart();
    let put = cluster[0].put("file", &content("chunks", 4 * CHUNK));
    assert_eq!(put["chunks"], 4, "the environment's 64 KiB win over the file's 128");
    assert_eq!(cluster[0].status()["members"], 1);
}

#[test]
fn usage_errors_exit_with_2_and_help_with_0() {
    let run = |args: &[&str]| {
        let mut forever = command();
        forever.args(args);
        finish(forever)
    };
    for args in [&[][..], &["put"], &["frobnicate"], &["ls", "--colour"], &["demo", "--size", "huge"]] {
        assert!(!run(args).exits(2).stderr.is_empty(), "{args:?}");
    }
    let help = run(&["--help"]).exits(0);
    assert!(String::from_utf8(help.stdout).unwrap().contains("Exit codes: 0 done"));
    run(&["--version"]).exits(0);
}
