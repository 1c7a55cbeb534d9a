//! The file system as the engine sees it: small, synchronous, and the only way from the engine to a disk.
//!
//! The simulator puts its own file system here and injects faults into it, so nothing in the engine may go around this
//! trait; the index does not either, because `redb` works on what [`Fs::open_index`] returns.

use std::fmt;
use std::io;
use std::path::Path;

use bytes::Bytes;
use redb::StorageBackend;

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file of so many bytes.
    File {
        /// Its length in bytes.
        len: u64,
    },
    /// A folder.
    Folder,
    /// Something that the engine neither makes nor touches, such as a socket.
    Other,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name; entries whose names are not UTF-8 are not the engine's and are left out.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// A file system. Nothing is durable before it was synced: bytes by [`FsFile::sync`], names by [`Fs::sync_dir`] of the
/// folder that holds them.
pub trait Fs: fmt::Debug + Send + Sync + 'static {
    /// Makes a folder in an existing one.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] if something is there.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Creates a file for writing, or empties the one that is there.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if its folder is missing.
    fn create_file(&self, path: &Path) -> io::Result<Box<dyn FsFile>>;

    /// Reads a file from its beginning, at most `len_max` bytes.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if it is missing.
    fn read(&self, path: &Path, len_max: u64) -> io::Result<Bytes>;

    /// Renames a file, replacing what is there, atomically.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if it is missing.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty folder.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if it is missing, [`io::ErrorKind::DirectoryNotEmpty`] if it is not empty.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    ///
    /// A failure is final for everything that was not synced before.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// The entries of a folder in order of their names.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if it is missing.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;

    /// What lies at a path; nothing is not an error.
    ///
    /// # Errors
    ///
    /// When the file system cannot tell.
    fn kind(&self, path: &Path) -> io::Result<Option<Kind>>;

    /// The bytes that may still be written below a path, if the file system knows.
    ///
    /// # Errors
    ///
    /// When the file system cannot tell.
    fn free_bytes(&self, path: &Path) -> io::Result<Option<u64>>;

    /// Opens the index's file for `redb`; with `create`, an empty one is made if it is missing.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if it is missing and not to be created.
    fn open_index(&self, path: &Path, create: bool) -> io::Result<Box<dyn StorageBackend>>;

    /// Opens the index's file for somebody who writes nothing: where the file system can tell, it need not be writable.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if it is missing.
    fn open_index_to_read(&self, path: &Path) -> io::Result<Box<dyn StorageBackend>> {
        self.open_index(path, false)
    }
}

/// A file being written.
pub trait FsFile: Send {
    /// Appends all parts in order.
    ///
    /// # Errors
    ///
    /// When not everything could be written.
    fn write(&mut self, parts: &[Bytes]) -> io::Result<()>;

    /// Makes the bytes durable.
    ///
    /// # Errors
    ///
    /// A failure is final: the bytes may be lost, and syncing again proves nothing.
    fn sync(&mut self) -> io::Result<()>;
}
