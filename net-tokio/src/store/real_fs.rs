//! The machine's own file system.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::path::Path;

use bytes::Bytes;
use redb::StorageBackend;
use redb::backends::FileBackend;

use super::fs::{Entry, Fs, FsFile, Kind};

/// Bytes of one `writev`: with files of 1 MiB and an fsync each, 256 KiB a call is half as fast again as 1 MiB a call.
const WRITE_LEN_MAX: usize = 256 * 1024;

/// `std::fs`, and `statvfs` through `rustix`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl Fs for RealFs {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        Ok(Box::new(RealFile(File::create(path)?)))
    }

    fn read(&self, path: &Path, len_max: u64) -> io::Result<Bytes> {
        let file = File::open(path)?;
        let len = file.metadata()?.len().min(len_max);
        let mut bytes = Vec::with_capacity(usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?);
        file.take(len).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        // Only Unix can open a folder to sync it; elsewhere the file system orders names itself.
        if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            entries.push(Entry { name, kind: kind_of(&entry.metadata()?) });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(kind_of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn free_bytes(&self, path: &Path) -> io::Result<Option<u64>> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Some(stat.f_bavail.saturating_mul(stat.f_frsize)))
    }

    fn open_index(&self, path: &Path, create: bool) -> io::Result<Box<dyn StorageBackend>> {
        let file = OpenOptions::new().read(true).write(true).create(create).truncate(false).open(path)?;
        let backend = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Box::new(backend))
    }

    fn open_index_to_read(&self, path: &Path) -> io::Result<Box<dyn StorageBackend>> {
        let backend = FileBackend::new(File::open(path)?).map_err(io::Error::other)?;
        Ok(Box::new(backend))
    }
}

fn kind_of(metadata: &fs::Metadata) -> Kind {
    if metadata.is_dir() {
        Kind::Folder
    } else if metadata.is_file() {
        Kind::File { len: metadata.len() }
    } else {
        Kind::Other
    }
}

struct RealFile(File);

impl FsFile for RealFile {
    fn write(&mut self, parts: &[Bytes]) -> io::Result<()> {
        let mut skipped = past_the_cache(&self.0, parts)?;
        let mut slices = Vec::new();
        let mut gathered = 0;
        let rest = parts.iter().map(|part| {
            let (_, rest) = part.split_at(skipped.min(part.len()));
            skipped -= part.len() - rest.len();
            rest
        });
        for chunk in rest.flat_map(|part| part.chunks(WRITE_LEN_MAX)) {
            if gathered + chunk.len() > WRITE_LEN_MAX {
                write_all_vectored(&mut self.0, &mut slices)?;
                slices.clear();
                gathered = 0;
            }
            gathered += chunk.len();
            slices.push(IoSlice::new(chunk));
        }
        write_all_vectored(&mut self.0, &mut slices)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Writes what it can past the page cache, and returns how many bytes that were.
fn past_the_cache(file: &File, parts: &[Bytes]) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    if file.metadata()?.len() == 0 {
        return super::direct::write_blocks(file, parts);
    }
    Ok(0)
}

/// Writes all slices; the file may take fewer bytes a call than it was given.
fn write_all_vectored(file: &mut File, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(len: usize) -> Bytes {
        (0..len).map(|at| u8::try_from(at % 251).expect("below 251")).collect()
    }

    /// Parts of lengths that fit no block, as the pieces of a blob do that came over a link.
    fn parts(content: &Bytes, len: usize) -> Vec<Bytes> {
        (0..content.len()).step_by(len).map(|at| content.slice(at..content.len().min(at + len))).collect()
    }

    #[test]
    fn a_file_holds_what_was_written_whatever_its_length_and_parts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mib = 1 << 20;
        for len in [0, 1, 4096, 65_535, 65_536, 65_537, mib - 1, mib, mib + 16, mib + 4096, 3 * mib + 5] {
            let content = content(len);
            for part_len in [777, 65_500, 4 * mib] {
                let mut file = RealFs.create_file(&path).unwrap();
                file.write(&parts(&content, part_len)).unwrap();
                file.write(&[Bytes::from_static(b"more")]).unwrap();
                file.sync().unwrap();
                let read = RealFs.read(&path, u64::MAX).unwrap();
                assert!(read[..len] == content && read[len..] == b"more"[..], "{len} bytes in parts of {part_len}");
            }
        }
    }
}
