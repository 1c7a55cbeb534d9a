//! Making a data folder.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use forever_core::secrets::OwnerSecret;

use super::files::{Key32, random_key, sync_folder, write_key, write_new};
use super::{API_TOKEN, CLUSTER_KEY, CONFIG, FORMAT, FORMAT_FILE, Folder, FolderError, NODE_KEY, OWNER_SECRET, State};
use crate::settings::DEFAULT_CONFIG;

/// Whose node it will be.
#[derive(Debug)]
pub enum Owner {
    /// A new owner's.
    New,
    /// That of a secret recovered from a phrase.
    Recovered(OwnerSecret),
}

/// Makes a data folder at an absent or empty path. `format` is written last: a folder that has it is whole.
///
/// # Errors
/// When something is there already, or the file system refuses.
pub fn create(path: &Path, owner: Owner, cluster_key: Option<Key32>) -> Result<Folder, FolderError> {
    match Folder::inspect(path)? {
        State::Empty => {}
        State::Ready => return Err(FolderError::Exists(path.to_owned())),
    }
    let owner = match owner {
        Owner::New => OwnerSecret::new(*random_key()?),
        Owner::Recovered(secret) => secret,
    };
    let cluster_key = cluster_key.map_or_else(random_key, Ok)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o700)))
        .map_err(|error| FolderError::io("make", path, error))?;
    // Each file is made exclusively, so of two that make the same folder at once one fails at the first.
    write_key(&path.join(NODE_KEY), &*random_key()?)?;
    write_key(&path.join(OWNER_SECRET), owner.expose())?;
    write_key(&path.join(CLUSTER_KEY), &cluster_key)?;
    write_key(&path.join(API_TOKEN), &*random_key()?)?;
    write_new(&path.join(CONFIG), DEFAULT_CONFIG.as_bytes())?;
    sync_folder(path)?;
    let format = format!("foreverstore data folder, format {FORMAT}\n");
    write_new(&path.join(FORMAT_FILE), format.as_bytes())?;
    sync_folder(path)?;
    if let Some(parent) = path.canonicalize().ok().as_deref().and_then(Path::parent) {
        // The parent may be one that this user cannot open for reading; then its own sync has to do.
        let _ = sync_folder(parent);
    }
    Folder::at(path)
}
