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
        "forever get --ticket - -o x --range 0-9",
        "forever get --ticket ticket.txt",
        "forever share x --expires 12h --version 1-0-aabbccdd",
        "forever rm x",
        "forever undelete x",
        "forever ls",
        "forever ls pre",
        "forever stat x",
        "forever versions x",
        "forever phrase",
        "forever clear --yes",
        "forever evict x",
        "forever restore",
        "forever scrub",
        "forever scrub --restart",
        "forever status",
        "forever peers",
        "forever fsck",
        "forever fsck --deep --repair",
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
        ("forever get x --ticket t", ErrorKind::ArgumentConflict),
        ("forever get --ticket t --version 1-0-aabbccdd", ErrorKind::ArgumentConflict),
        ("forever share", ErrorKind::MissingRequiredArgument),
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
fn an_argument_is_a_ticket_when_it_looks_like_one_complete_or_not() {
    let ticket = format!("forever1{}", "q0".repeat(100));
    for text in [ticket.as_str(), &ticket.to_uppercase(), &ticket[..64]] {
        assert!(share::looks_like_ticket(text), "{text}");
    }
    let name = format!("{ticket}.txt");
    for text in ["forever1", "forever1.txt", "forever12", name.as_str(), "évérforever1", ""] {
        assert!(!share::looks_like_ticket(text), "{text}");
    }
    assert!(share::parse(&ticket).is_err_and(|error| error.exit() == Exit::Usage), "its checksum is wrong");
}

/// What a ticket can and cannot do is said where it is made.
#[test]
fn the_help_of_share_says_that_expiry_recalls_no_key() {
    let mut cli = Cli::command();
    let share = cli.find_subcommand_mut("share").unwrap();
    let help = share.render_long_help().to_string();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("neither can recall a key already given"), "{help}");
    assert!(help.contains("[default: 7d]"), "{help}");
}

#[test]
fn the_worst_exit_of_several_is_the_greatest() {
    let exits = [Exit::Done, Exit::NotFound, Exit::Failed];
    assert_eq!(exits.into_iter().max(), Some(Exit::NotFound));
}
