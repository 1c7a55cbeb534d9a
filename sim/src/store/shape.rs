//! The shape of scenarios: within which ranges a seed's scenario is drawn. Every field can be set by name.

use serde::{Deserialize, Serialize};

use forever_core::manifest::CHUNK_LEN_MAX;

use super::scenario::NODES_MAX;
use super::{Family, Tier};

/// A day in milliseconds: the longest plan, and the longest budget for settling.
const DAY_MS: u64 = 86_400_000;

/// A bound: of what, its least and greatest value here, and the least and greatest that there may be.
type Bound = (&'static str, (u64, u64), (u64, u64));

/// Ranges that scenarios are drawn in. Pairs are least and most, both inclusive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// How many nodes half of the scenarios have.
    pub nodes_usual: u32,
    /// How many nodes the others have.
    pub nodes: (u32, u32),
    /// How long the plan goes on, in simulated milliseconds.
    pub duration_ms: u64,
    /// The budget for settling after it, in simulated milliseconds: longer than a refused delivery waits.
    pub settle_ms: u64,
    /// How many operations.
    pub ops: (u32, u32),
    /// How many faults, where the scenario has families of faults.
    pub faults: (u32, u32),
    /// The families of faults that scenarios may have.
    pub families: Vec<Family>,
    /// In how many of a thousand scenarios each of them is on.
    pub families_per_mille: u32,
    /// How many names an owner uses: few, so that operations collide.
    pub files: (u32, u32),
    /// The most chunks of a file.
    pub chunks_max: u32,
    /// The most bytes of a file.
    pub file_bytes_max: u32,
    /// The chunk sizes to choose from, in bytes.
    pub chunk_sizes: Vec<u32>,
    /// In how many of a thousand scenarios all nodes are healed at the end.
    pub heal_all_per_mille: u32,
    /// Shortest time that a message takes, and longest that it takes without a fault, in microseconds.
    pub latency_us: (u32, u32),
    /// How often nodes compare at least what they have, in milliseconds. If that is longer than all of a run, what does not come by
    /// itself does not come by the next comparison either.
    pub sync_ms: (u32, u32),
    /// In how many of a thousand scenarios that is an hour instead: what was put off must come by itself there.
    pub hourly_sync_per_mille: u32,
}

/// A setting that a shape does not have or cannot take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// Not `KEY=VALUE`.
    #[error("`{0}` is not KEY=VALUE, such as ops=[100,200]")]
    NotAnAssignment(String),
    /// No such key.
    #[error("there is no `{key}` to set; there are: {keys}")]
    NoSuchKey {
        /// What was asked for.
        key: String,
        /// What there is.
        keys: String,
    },
    /// Not a value that the key can have.
    #[error("`{key}` cannot be `{value}`: {why}")]
    BadValue {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Shape {
    /// The shape of a tier's scenarios, unless told otherwise.
    #[must_use]
    pub fn of(tier: Tier) -> Self {
        let world = Self {
            nodes_usual: 5,
            nodes: (3, 7),
            duration_ms: 60_000,
            settle_ms: 600_000,
            ops: (100, 125),
            faults: (30, 38),
            families: Family::ALL.to_vec(),
            families_per_mille: 500,
            files: (3, 10),
            chunks_max: 40,
            file_bytes_max: 96 << 10,
            chunk_sizes: vec![64, 256, 1024, 4096],
            heal_all_per_mille: 800,
            latency_us: (50, 60_000),
            sync_ms: (2_000, 10_000),
            hourly_sync_per_mille: 150,
        };
        match tier {
            Tier::World => world,
            // A tick of the network is a millisecond.
            Tier::Turmoil => Self {
                duration_ms: 40_000,
                settle_ms: 300_000,
                ops: (100, 120),
                faults: (28, 34),
                file_bytes_max: 512 << 10,
                chunk_sizes: vec![256, 4096, 16_384, 65_536],
                latency_us: (1_000, 30_000),
                ..world
            },
        }
    }

    /// Sets a field from `KEY=VALUE`, the value as JSON (`ops=[100,200]`) or bare (`families=network,disk`).
    ///
    /// # Errors
    /// When there is no such field, or it cannot have the value. The shape is unchanged then.
    pub fn set(&mut self, assignment: &str) -> Result<(), ShapeError> {
        let (key, value) =
            assignment.split_once('=').ok_or_else(|| ShapeError::NotAnAssignment(assignment.to_string()))?;
        let (key, value) = (key.trim(), value.trim());
        let mut fields = serde_json::to_value(&*self).expect("a shape is plain data");
        let fields_map = fields.as_object_mut().expect("a shape has named fields");
        if !fields_map.contains_key(key) {
            let keys: Vec<&str> = fields_map.keys().map(String::as_str).collect();
            return Err(ShapeError::NoSuchKey { key: key.to_string(), keys: keys.join(", ") });
        }
        let bad = |why: String| ShapeError::BadValue { key: key.to_string(), value: value.to_string(), why };
        fields_map.insert(key.to_string(), json_of(value, fields_map[key].is_array()));
        let changed: Self = serde_json::from_value(fields).map_err(|error| bad(error.to_string()))?;
        changed.check().map_err(bad)?;
        *self = changed;
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let ranges = [self.nodes, self.ops, self.faults, self.files, self.latency_us, self.sync_ms];
        if !ranges.into_iter().all(|(least, most)| least <= most) {
            return Err("a range starts with the lesser number".into());
        }
        if self.chunk_sizes.is_empty() {
            return Err("there must be a chunk size to choose".into());
        }
        for (what, (least, most), (from, to)) in self.bounds() {
            if least < from || most > to {
                return Err(format!("{what} must be from {from} to {to}"));
            }
        }
        Ok(())
    }

    fn bounds(&self) -> [Bound; 15] {
        let wide = |(least, most): (u32, u32)| (u64::from(least), u64::from(most));
        let one = |value: u64| (value, value);
        let chunk_sizes = self.chunk_sizes.iter().map(|size| u64::from(*size));
        let (chunk_least, chunk_most) = (chunk_sizes.clone().min(), chunk_sizes.max());
        [
            ("the number of nodes", wide(self.nodes), (2, NODES_MAX as u64)),
            ("the usual number of nodes", one(self.nodes_usual.into()), (2, NODES_MAX as u64)),
            ("the plan's length in ms", one(self.duration_ms), (2_000, DAY_MS)),
            ("the budget for settling in ms", one(self.settle_ms), (10_000, DAY_MS)),
            ("the number of operations", wide(self.ops), (0, 100_000)),
            ("the number of faults", wide(self.faults), (0, 10_000)),
            ("the number of files", wide(self.files), (1, 100_000)),
            ("a file's chunks", one(self.chunks_max.into()), (1, 100_000)),
            ("a file's bytes", one(self.file_bytes_max.into()), (1, 256 << 20)),
            ("a chunk's bytes", (chunk_least.unwrap_or(0), chunk_most.unwrap_or(0)), (1, CHUNK_LEN_MAX.into())),
            ("a share of a thousand", one(self.families_per_mille.into()), (0, 1_000)),
            ("a share of a thousand", one(self.heal_all_per_mille.into()), (0, 1_000)),
            ("a share of a thousand", one(self.hourly_sync_per_mille.into()), (0, 1_000)),
            ("a message's time in µs", wide(self.latency_us), (1, 10_000_000)),
            ("the time between comparisons in ms", wide(self.sync_ms), (100, DAY_MS)),
        ]
    }
}

/// A value as JSON; what is none is a string, or a list of strings where a list is wanted.
fn json_of(value: &str, is_list: bool) -> serde_json::Value {
    let string = |text: &str| serde_json::Value::String(text.trim().to_string());
    match serde_json::from_str(value) {
        Ok(json @ serde_json::Value::Array(_)) => json,
        Ok(json) if !is_list => json,
        Ok(json) => serde_json::Value::Array(vec![json]),
        Err(_) if is_list => {
            let parts = value.trim_matches(['[', ']']).split(',').filter(|part| !part.trim().is_empty());
            let parts = parts.map(|part| serde_json::from_str(part).unwrap_or_else(|_| string(part)));
            serde_json::Value::Array(parts.collect())
        }
        Err(_) => string(value),
    }
}

#[cfg(test)]
mod tests;
