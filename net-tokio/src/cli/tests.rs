use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn global_flags_stand_before_or_after_the_command() {
    for line in ["forever --json --data /d status", "forever status --json --data /d"] {
        let cli = parse(line).unwrap();
        assert!(cli.json);
        assert_eq!(cli.data.as_deref(), Some(std::path::Path::new("/d")));
    }
}

#[test]
fn every_command_of_the_table_is_there() {
    for line in [
        "forever init --cluster-key k --recover",
        "forever node --listen a:1 --api b:2 --peer c:3 --peer d:4",
        "forever put a b --as c",
        "forever put - --as c",
        "forever get x -o - --range -5 --version 1-0-aabbccdd",
        "forever rm x",
        "forever ls",
        "forever ls pre",
        "forever stat x",
        "forever versions x",
        "forever phrase",
        "forever clear --yes",
        "forever evict x",
        "forever restore",
        "forever status",
        "forever peers",
        "forever demo --size 64MiB",
    ] {
        assert!(parse(line).is_ok(), "{line}");
    }
}

#[test]
fn what_is_missing_or_unknown_is_a_usage_error() {
    for (line, kind) in [
        ("forever put", ErrorKind::MissingRequiredArgument),
        ("forever get", ErrorKind::MissingRequiredArgument),
        ("forever nod", ErrorKind::InvalidSubcommand),
        ("forever ls --colour", ErrorKind::UnknownArgument),
        ("forever demo --size big", ErrorKind::ValueValidation),
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (kind, Exit::Usage as i32), "{line}");
    }
}

#[test]
fn a_range_with_a_typo_is_refused_before_anything_is_asked() {
    for range in ["0-0", "5-9", "5-", "-7"] {
        assert!(get::check_range(range).is_ok(), "{range}");
    }
    for range in ["", "-", "9-5", "5", "a-b", "1-2,3-4", "+1-2", "-+1"] {
        assert!(get::check_range(range).is_err_and(|error| error.exit() == Exit::Usage), "{range}");
    }
}

#[test]
fn the_worst_exit_of_several_is_the_greatest() {
    let exits = [Exit::Done, Exit::NotFound, Exit::Failed];
    assert_eq!(exits.into_iter().max(), Some(Exit::NotFound));
}
