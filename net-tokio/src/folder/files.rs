//! The folder's small files: made once, private, durable.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use super::FolderError;

/// 32 secret bytes, wiped when dropped.
pub type Key32 = Zeroizing<[u8; 32]>;

/// 32 bytes from the operating system.
pub(crate) fn random_key() -> Result<Key32, FolderError> {
    let mut key = Key32::default();
    getrandom::fill(key.as_mut()).map_err(|error| FolderError::Random(error.to_string()))?;
    Ok(key)
}

/// Reads a file of 64 hex digits and a newline.
///
/// # Errors
/// When it cannot be read or holds anything else.
pub fn read_key(path: &Path) -> Result<Key32, FolderError> {
    let text = Zeroizing::new(fs::read(path).map_err(|error| FolderError::io("read", path, error))?);
    let mut key = Key32::default();
    hex::decode_to_slice(text.trim_ascii_end(), key.as_mut()).map_err(|_| FolderError::DamagedKey(path.to_owned()))?;
    Ok(key)
}

/// Makes a key's file.
pub(crate) fn write_key(path: &Path, key: &[u8; 32]) -> Result<(), FolderError> {
    let mut text = Zeroizing::new([0; 65]);
    hex::encode_to_slice(key, &mut text[..64]).expect("64 digits hold 32 bytes");
    text[64] = b'\n';
    write_new(path, text.as_ref())
}

/// Makes a private file that was not there, and makes it durable.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> Result<(), FolderError> {
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written.map_err(|error| FolderError::io("write", path, error))
}

/// Opens a private file, made if it is not there.
pub(crate) fn open_private(path: &Path) -> Result<File, FolderError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| FolderError::io("open", path, error))
}

/// Makes what happened in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), FolderError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|error| FolderError::io("sync", path, error))
}

pub(crate) fn remove_if_there(path: &Path) -> Result<(), FolderError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FolderError::io("remove", path, error)),
    }
}

/// The permissions of a file, if anybody but its owner has any.
pub(crate) fn loose_permissions(path: &Path) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}
