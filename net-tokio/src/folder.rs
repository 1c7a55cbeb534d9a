//! The data folder: what a node keeps between runs, besides its store.
//!
//! ```text
//! <data>/                0700
//!   format               `foreverstore data folder, format 1`; written last, so a folder without it was never finished
//!   node.key             x25519 static secret, 64 hex digits
//!   owner.secret         the owner's secret, 64 hex digits
//!   cluster.key          the key that the nodes of a cluster share, 64 hex digits
//!   api.token            bearer token of the HTTP API, 64 hex digits
//!   config.toml          settings, all of them optional
//!   lock                 locked while a node, `clear` or `fsck` uses the folder; holds its process number
//!   api.addr             where the HTTP API listens; there only while a node serves
//!   store/               the storage engine's
//! ```
//! All files are 0600.

mod create;
mod error;
mod files;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use forever_core::ids::{NodeId, OwnerId};
use forever_core::secrets::{OwnerKeys, OwnerSecret};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use create::{Owner, create};
pub use error::FolderError;
pub use files::{Key32, read_key};

use files::{loose_permissions, remove_if_there, sync_folder, write_new};

/// The format this program reads and writes.
pub const FORMAT: u32 = 1;

pub(crate) const FORMAT_FILE: &str = "format";
pub(crate) const NODE_KEY: &str = "node.key";
pub(crate) const OWNER_SECRET: &str = "owner.secret";
pub(crate) const CLUSTER_KEY: &str = "cluster.key";
pub(crate) const API_TOKEN: &str = "api.token";
pub(crate) const CONFIG: &str = "config.toml";
pub(crate) const LOCK: &str = "lock";
pub(crate) const API_ADDRESS: &str = "api.addr";
pub(crate) const STORE: &str = "store";

/// What a folder is, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does not exist, or holds nothing.
    Empty,
    /// A data folder.
    Ready,
}

/// A data folder that need not be this process's: what a client of a running node needs of it.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// Where a running node's HTTP API listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiAddress {
    /// The address.
    pub api: SocketAddr,
    /// The node's process number.
    pub pid: u32,
}

impl Folder {
    /// Looks at a folder and checks that it is a data folder of a format this program knows, or empty.
    ///
    /// # Errors
    /// When it is foreign, half made, newer, or cannot be read.
    pub fn inspect(path: &Path) -> Result<State, FolderError> {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Empty),
            Err(error) => return Err(FolderError::io("read", path, error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| FolderError::io("read", path, error))?;
            names.push(entry.file_name());
        }
        if names.iter().any(|name| name == FORMAT_FILE) {
            check_format(path)?;
            return Ok(State::Ready);
        }
        // The root of a fresh ext4 file system is an empty folder to everybody but readdir.
        names.retain(|name| name != "lost+found");
        if names.is_empty() {
            return Ok(State::Empty);
        }
        let ours = [NODE_KEY, OWNER_SECRET, CLUSTER_KEY, API_TOKEN, CONFIG];
        if names.iter().any(|name| ours.iter().any(|our| name == our)) {
            return Err(FolderError::HalfMade(path.to_owned()));
        }
        Err(FolderError::Foreign(path.to_owned()))
    }

    /// A folder that [`Folder::inspect`] finds ready.
    ///
    /// # Errors
    /// When it is not.
    pub fn at(path: &Path) -> Result<Self, FolderError> {
        match Self::inspect(path)? {
            State::Ready => Ok(Self { path: path.to_owned() }),
            State::Empty => Err(FolderError::Missing(path.to_owned())),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the storage engine keeps its files; made by it.
    #[must_use]
    pub fn store_path(&self) -> PathBuf {
        self.path.join(STORE)
    }

    /// The settings file.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// The bearer token of the HTTP API.
    ///
    /// # Errors
    /// When its file is missing or damaged.
    pub fn api_token(&self) -> Result<Zeroizing<String>, FolderError> {
        let token = read_key(&self.path.join(API_TOKEN))?;
        Ok(Zeroizing::new(hex::encode(*token)))
    }

    /// The owner's secret.
    ///
    /// # Errors
    /// When its file is missing or damaged.
    pub fn owner_secret(&self) -> Result<OwnerSecret, FolderError> {
        Ok(OwnerSecret::new(*read_key(&self.path.join(OWNER_SECRET))?))
    }

    /// Where the HTTP API of the node that runs on this folder listens; `None` if no node wrote it down. A node that was
    /// killed leaves a stale one behind.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn api_address(&self) -> Result<Option<ApiAddress>, FolderError> {
        let path = self.path.join(API_ADDRESS);
        match fs::read(&path) {
            Ok(json) => Ok(serde_json::from_slice(&json).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FolderError::io("read", &path, error)),
        }
    }

    /// Keeps nodes off the folder until what is returned is dropped, and changes nothing in it; `None` if no node ever ran
    /// there. A node that is started meanwhile names the last one as whoever has the folder.
    ///
    /// # Errors
    /// When another process has it.
    pub fn hold(&self) -> Result<Option<File>, FolderError> {
        let path = self.path.join(LOCK);
        match File::open(&path) {
            Ok(mut lock) => {
                try_lock(&self.path, &mut lock)?;
                Ok(Some(lock))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FolderError::io("open", &path, error)),
        }
    }

    /// Takes the folder for this process and reads all its keys.
    ///
    /// # Errors
    /// When another process has it, or a key file is missing or damaged.
    pub fn open(self) -> Result<OpenFolder, FolderError> {
        let lock = take_lock(&self.path)?;
        let path = &self.path;
        let node_key = read_key(&path.join(NODE_KEY))?;
        let cluster_key = read_key(&path.join(CLUSTER_KEY))?;
        let owner_secret = self.owner_secret()?;
        self.api_token()?;
        for name in [NODE_KEY, OWNER_SECRET, CLUSTER_KEY, API_TOKEN] {
            if let Some(mode) = loose_permissions(&path.join(name)) {
                tracing::warn!(
                    "{} may be read by others (mode {mode:o}): run `chmod 600` on it",
                    path.join(name).display()
                );
            }
        }
        Ok(OpenFolder { folder: self, node_key, cluster_key, owner_secret, _lock: lock })
    }
}

/// A data folder that this process has to itself until it is dropped.
#[derive(Debug)]
pub struct OpenFolder {
    folder: Folder,
    node_key: Key32,
    cluster_key: Key32,
    owner_secret: OwnerSecret,
    _lock: File,
}

impl OpenFolder {
    /// What clients see of it.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The device's x25519 static secret.
    #[must_use]
    pub fn node_key(&self) -> &[u8; 32] {
        &self.node_key
    }

    /// The key that the nodes of the cluster share.
    #[must_use]
    pub fn cluster_key(&self) -> &[u8; 32] {
        &self.cluster_key
    }

    /// The owner's secret.
    #[must_use]
    pub fn owner_secret(&self) -> &OwnerSecret {
        &self.owner_secret
    }

    /// This device.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        node_id(&self.node_key)
    }

    /// Its owner.
    #[must_use]
    pub fn owner_id(&self) -> OwnerId {
        OwnerKeys::derive(&self.owner_secret).owner_id()
    }

    /// Tells clients where the HTTP API listens.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn publish_api(&self, api: SocketAddr) -> Result<(), FolderError> {
        let path = self.folder.path.join(API_ADDRESS);
        let address = ApiAddress { api, pid: std::process::id() };
        let json = serde_json::to_vec(&address).expect("an address and a number are always JSON");
        let fresh = self.folder.path.join(format!("{API_ADDRESS}.new"));
        remove_if_there(&fresh)?;
        write_new(&fresh, &json)?;
        fs::rename(&fresh, &path).map_err(|error| FolderError::io("write", &path, error))
    }

    /// Tells clients that no node serves any more.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn retract_api(&self) -> Result<(), FolderError> {
        remove_if_there(&self.folder.path.join(API_ADDRESS))
    }

    /// Wipes this node's copy of everything that is stored, and keeps its keys and settings.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn clear(&self) -> Result<(), FolderError> {
        let store = self.folder.store_path();
        match fs::remove_dir_all(&store) {
            Ok(()) => sync_folder(&self.folder.path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(FolderError::io("remove", &store, error)),
        }
    }
}

/// The public half of a device's static key.
#[must_use]
pub fn node_id(node_key: &[u8; 32]) -> NodeId {
    let secret = x25519_dalek::StaticSecret::from(*node_key);
    NodeId(x25519_dalek::PublicKey::from(&secret).to_bytes())
}

fn check_format(path: &Path) -> Result<(), FolderError> {
    let file = path.join(FORMAT_FILE);
    let text = fs::read_to_string(&file).map_err(|error| FolderError::io("read", &file, error))?;
    if text.is_empty() {
        return Err(FolderError::HalfMade(path.to_owned()));
    }
    let number =
        text.trim_end().strip_prefix("foreverstore data folder, format ").and_then(|number| number.parse::<u32>().ok());
    match number {
        Some(FORMAT) => Ok(()),
        Some(found) if found > FORMAT => Err(FolderError::Newer { path: path.to_owned(), found }),
        Some(_) | None => Err(FolderError::Foreign(path.to_owned())),
    }
}

fn take_lock(folder: &Path) -> Result<File, FolderError> {
    let path = folder.join(LOCK);
    let mut lock = files::open_private(&path)?;
    try_lock(folder, &mut lock)?;
    let note = (|| {
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}", std::process::id())
    })();
    note.map_err(|error| FolderError::io("write", &path, error))?;
    Ok(lock)
}

fn try_lock(folder: &Path, lock: &mut File) -> Result<(), FolderError> {
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // The number is a courtesy; without it the message still says what is wrong.
            let _ = lock.read_to_string(&mut pid);
            Err(FolderError::InUse { path: folder.to_owned(), pid: pid.trim().parse().ok() })
        }
        Err(TryLockError::Error(error)) => Err(FolderError::io("lock", &folder.join(LOCK), error)),
    }
}

#[cfg(test)]
mod tests;
