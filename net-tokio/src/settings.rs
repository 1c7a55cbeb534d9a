//! Settings: `config.toml`, then the environment (`FOREVER_*`), then flags, the later winning.

mod source;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use forever_core::config::Config;
use forever_core::ids::NodeId;
use forever_core::key_hash::KeyHash;
use forever_core::path::PathTransform;
use forever_core::placement::Replicas;
use forever_core::record::Retention;
use serde::{Deserialize, Serialize};

use source::{Environment, check_keys};

/// A day.
const DAY: Duration = Duration::from_secs(86_400);

/// A fresh data folder's `config.toml`: every key with its default, commented out.
pub const DEFAULT_CONFIG: &str = include_str!("settings/default.toml");

/// All settings, checked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where peers connect (`host:port`).
    #[serde(deserialize_with = "values::address")]
    pub listen: String,
    /// Addresses told to peers, if not the one listened at.
    #[serde(deserialize_with = "values::addresses")]
    pub advertise: Vec<String>,
    /// Addresses of nodes to connect to.
    #[serde(deserialize_with = "values::addresses")]
    pub peers: Vec<String>,
    /// Whether nodes of the same cluster are looked for on the local network, and this node can be found there.
    pub mdns: bool,
    /// The most links that the node keeps by itself.
    #[serde(deserialize_with = "values::max_peers")]
    pub max_peers: u32,
    /// What this node has in common with others that may fail together with it.
    #[serde(deserialize_with = "values::zone")]
    pub zone: String,
    /// How much it takes of what is stored, compared with others.
    #[serde(deserialize_with = "values::weight")]
    pub weight: u32,
    /// A node that is down for so long no longer counts as a holder, in seconds.
    #[serde(deserialize_with = "values::positive")]
    pub repair_after_s: u64,
    /// The only nodes allowed to connect, if any are named.
    #[serde(deserialize_with = "values::node_ids")]
    pub allow: Vec<NodeId>,
    /// How long a node that keeps breaking the protocol is kept out, in seconds.
    pub ban_for_s: u64,
    /// Where the HTTP API listens.
    #[serde(deserialize_with = "values::socket_address")]
    pub api: SocketAddr,
    /// Whether the HTTP API may listen where other machines reach it.
    pub api_allow_remote: bool,
    /// A request fails when nothing happened for so long, in seconds.
    #[serde(deserialize_with = "values::positive")]
    pub request_timeout_s: u64,
    /// Plain KiB of a chunk.
    #[serde(deserialize_with = "values::chunk_size")]
    pub chunk_size_kib: u32,
    /// How names become what peers see of them.
    #[serde(deserialize_with = "values::key_hash")]
    pub key_hash: KeyHash,
    /// Where a blob lies below its namespace.
    #[serde(deserialize_with = "values::path_transform")]
    pub path_transform: PathTransform,
    /// On how many nodes files are kept.
    #[serde(deserialize_with = "values::replicas")]
    pub replicas: Replicas,
    /// How many versions of a name are kept, the newest included.
    #[serde(deserialize_with = "values::positive_u32")]
    pub keep_versions: u32,
    /// For how many days a replaced version is kept.
    pub keep_days: u32,
    /// For how many days of running time chunks are kept that no record names: those of a put that was cut off.
    #[serde(deserialize_with = "values::positive_u32")]
    pub lease_days: u32,
    /// Space left free on the disk, in MiB.
    pub reserve_mib: u64,
    /// What blobs of each other owner may take here, in MiB; 0 for no limit.
    pub quota_mib: u64,
    /// What all blobs together may take here, in MiB; 0 for no limit.
    pub store_max_mib: u64,
    /// What chunks that were read and are not kept here may take, in MiB; 0 for none.
    pub cache_mib: u64,
    /// In how many days of running time every blob is read and checked once; 0 for never.
    pub scrub_days: u32,
    /// One peer after the other is compared with at such intervals, in seconds, and those that share what has changed so long after.
    #[serde(deserialize_with = "values::positive")]
    pub sync_interval_s: u64,
    /// How much repair may fetch in a second, in MiB.
    #[serde(deserialize_with = "values::repair_rate")]
    pub repair_mib_s: u64,
    /// Threads that read, write and hash.
    #[serde(deserialize_with = "values::threads")]
    pub disk_threads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let core = Config::default();
        Self {
            listen: "0.0.0.0:7000".to_owned(),
            advertise: Vec::new(),
            peers: Vec::new(),
            mdns: false,
            max_peers: core.max_peers,
            zone: core.zone,
            weight: core.weight,
            repair_after_s: core.repair_after.as_secs(),
            allow: Vec::new(),
            ban_for_s: core.ban_for.as_secs(),
            api: SocketAddr::from(([127, 0, 0, 1], 7001)),
            api_allow_remote: false,
            request_timeout_s: core.request_timeout.as_secs(),
            chunk_size_kib: core.chunk_size / 1024,
            key_hash: KeyHash::default(),
            path_transform: PathTransform::default(),
            replicas: core.retention.replicas,
            keep_versions: core.retention.keep_versions,
            keep_days: core.retention.keep_days,
            lease_days: 7,
            reserve_mib: 256,
            quota_mib: 0,
            store_max_mib: 0,
            cache_mib: 1024,
            scrub_days: 14,
            sync_interval_s: core.sync_interval.as_secs(),
            repair_mib_s: core.repair_bytes_s >> 20,
            disk_threads: 4,
        }
    }
}

/// Settings given as flags.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Flags {
    /// See [`Settings::listen`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// See [`Settings::api`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// See [`Settings::peers`]. Replaces the list of the other sources when not empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<String>,
    /// See [`Settings::mdns`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mdns: Option<bool>,
    /// See [`Settings::replicas`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<String>,
}

/// What is wrong with the settings, and where.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// No such setting.
    #[error("{place}: there is no setting `{key}`{}", nearest.as_ref().map(|key| format!("; did you mean `{key}`?")).unwrap_or_default())]
    UnknownKey {
        /// The source.
        place: String,
        /// As given.
        key: String,
        /// A known one that looks like it.
        nearest: Option<String>,
    },
    /// A value that makes no sense. The text names the key and the source.
    #[error("{0}")]
    Value(Box<figment::Error>),
    /// The API would be reachable from other machines.
    #[error(
        "api = {0} can be reached from other machines: choose an address of 127.0.0.1, or set api_allow_remote = true \
         if the token alone is protection enough"
    )]
    RemoteApi(SocketAddr),
}

impl Settings {
    /// Puts the sources together. `file` is the settings file's path; a missing file is an empty one. `environment` is
    /// all of the process's.
    ///
    /// # Errors
    /// When a source has an unknown key or a value that makes no sense.
    pub fn load(
        file: &std::path::Path,
        environment: impl Iterator<Item = (String, String)>,
        flags: &Flags,
    ) -> Result<Self, SettingsError> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(SettingsError::Read { path: file.to_owned(), error });
            }
        };
        let toml = Figment::from(Toml::string(&text));
        check_keys(&toml, &file.display().to_string(), |key| key.to_owned())?;
        let environment = Figment::from(Environment::new(environment));
        check_keys(&environment, "environment", |key| format!("FOREVER_{}", key.to_uppercase()))?;
        let settings: Self = toml
            .merge(environment)
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|error| SettingsError::Value(Box::new(error)))?;
        if !settings.api.ip().is_loopback() && !settings.api_allow_remote {
            return Err(SettingsError::RemoteApi(settings.api));
        }
        Ok(settings)
    }

    /// Plain bytes of a chunk.
    #[must_use]
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size_kib * 1024
    }

    /// What all blobs together may take, in bytes, if that is limited.
    #[must_use]
    pub fn store_max_bytes(&self) -> Option<u64> {
        (self.store_max_mib > 0).then(|| mib(self.store_max_mib))
    }

    /// What of it is the core's. `listening_at` is the address really listened at, with its port.
    #[must_use]
    pub fn core_config(&self, listening_at: &str) -> Config {
        let listen = if self.advertise.is_empty() { vec![listening_at.to_owned()] } else { self.advertise.clone() };
        Config {
            listen,
            bootstrap: self.peers.clone(),
            max_peers: self.max_peers,
            zone: self.zone.clone(),
            weight: self.weight,
            repair_after: Duration::from_secs(self.repair_after_s),
            chunk_size: self.chunk_size(),
            retention: Retention {
                keep_versions: self.keep_versions,
                keep_days: self.keep_days,
                replicas: self.replicas,
            },
            lease: DAY * self.lease_days,
            request_timeout: Duration::from_secs(self.request_timeout_s),
            ban_for: Duration::from_secs(self.ban_for_s),
            scrub_period: DAY * self.scrub_days,
            sync_interval: Duration::from_secs(self.sync_interval_s),
            repair_bytes_s: self.repair_mib_s << 20,
            quota_bytes: mib(self.quota_mib),
            store_max_bytes: mib(self.store_max_mib),
            cache_bytes: mib(self.cache_mib),
            ..Config::default()
        }
    }
}

fn mib(mib: u64) -> u64 {
    mib.saturating_mul(1 << 20)
}

#[cfg(test)]
mod tests;
