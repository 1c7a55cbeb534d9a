//! Where settings come from, and whether their keys exist.

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::SettingsError;

/// All keys, in the order of `default.toml`.
pub(super) const KEYS: [&str; 28] = [
    "listen",
    "advertise",
    "peers",
    "mdns",
    "max_peers",
    "zone",
    "weight",
    "repair_after_s",
    "allow",
    "ban_for_s",
    "api",
    "api_allow_remote",
    "request_timeout_s",
    "chunk_size_kib",
    "key_hash",
    "path_transform",
    "replicas",
    "keep_versions",
    "keep_days",
    "lease_days",
    "reserve_mib",
    "quota_mib",
    "store_max_mib",
    "cache_mib",
    "scrub_days",
    "sync_interval_s",
    "repair_mib_s",
    "disk_threads",
];

const PREFIX: &str = "FOREVER_";

/// Variables that are no settings: the data folder's place and the log filter.
const NOT_SETTINGS: [&str; 2] = ["FOREVER_DATA", "FOREVER_LOG"];

/// The settings among a process's environment.
pub(super) struct Environment {
    values: Dict,
}

impl Environment {
    pub(super) fn new(variables: impl Iterator<Item = (String, String)>) -> Self {
        let values = variables
            .filter(|(variable, _)| !NOT_SETTINGS.contains(&variable.as_str()))
            .filter_map(|(variable, text)| {
                let key = variable.strip_prefix(PREFIX)?.to_lowercase();
                Some((key, scalar(text)))
            })
            .collect();
        Self { values }
    }
}

/// Numbers and booleans are told by their looks; all else is text.
fn scalar(text: String) -> Value {
    if let Ok(number) = text.parse::<i64>() {
        return Value::from(number);
    }
    match text.as_str() {
        "true" => Value::from(true),
        "false" => Value::from(false),
        _ => Value::from(text),
    }
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment variable")
            .interpolater(|_, keys| format!("{PREFIX}{}", keys.join("_").to_uppercase()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// Checks that a source has known keys only. `spelled` is how the source spells a key.
pub(super) fn check_keys(source: &Figment, place: &str, spelled: impl Fn(&str) -> String) -> Result<(), SettingsError> {
    let data = source.extract::<Dict>().map_err(|error| SettingsError::Value(Box::new(error)))?;
    let Some(key) = data.keys().find(|key| !KEYS.contains(&key.as_str())) else {
        return Ok(());
    };
    Err(SettingsError::UnknownKey { place: place.to_owned(), key: spelled(key), nearest: nearest(key).map(spelled) })
}

/// The known key that takes the fewest edits to reach, if they are few for its length.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    KEYS.into_iter()
        .map(|known| (edit_distance(key, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len() / 2)
        .map(|(_, known)| known)
}

/// Levenshtein's distance, one row at a time.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
