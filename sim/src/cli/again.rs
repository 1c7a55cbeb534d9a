//! How to have something again: command lines to copy.

use std::path::Path;

use super::StoreArgs;

/// The line that ends whatever wrote a case of a broken rule.
pub(crate) fn replay_line(case: &Path) -> String {
    format!("forever-sim replay {}\n", quoted(&case.to_string_lossy()))
}

/// The line that does where there is no case file.
pub(crate) fn run_line(seed: u64, store: &StoreArgs) -> String {
    format!("forever-sim run --seed {seed} {}\n", store_line(store))
}

/// The arguments that say which store it is.
pub(crate) fn store_line(store: &StoreArgs) -> String {
    let mut line = format!("--tier {}", store.tier.name());
    for assignment in &store.set {
        line.push_str(&format!(" --set {}", quoted(assignment)));
    }
    line
}

/// A word as a shell takes it for one.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "_-./=,:+@%".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_take_apart_is_quoted() {
        assert_eq!(
            replay_line(Path::new("cases/world-3-durability.json")),
            "forever-sim replay cases/world-3-durability.json\n"
        );
        assert_eq!(replay_line(Path::new("my cases/a.json")), "forever-sim replay 'my cases/a.json'\n");
        for (word, safe) in [("it's", r"'it'\''s'"), ("", "''"), ("ops=[1,2]", "'ops=[1,2]'"), ("$HOME;x", "'$HOME;x'")]
        {
            assert_eq!(quoted(word), safe);
        }
    }
}
