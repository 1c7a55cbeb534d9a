//! The operations.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use bytes::Bytes;
use redb::StorageBackend;

use super::{Change, Class, Inode, MemoryFs, Node, State, index};
use crate::store::fs::{Entry, Fs, FsFile, Kind};

impl Fs for MemoryFs {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step(Class::Space)?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let parent = path.parent().ok_or_else(missing)?;
        if state.names.get(parent) != Some(&Node::Folder) {
            return Err(missing());
        }
        state.names.insert(path.into(), Node::Folder);
        Ok(())
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let mut state = self.step(Class::Space)?;
        if state.names.get(path.parent().ok_or_else(missing)?) != Some(&Node::Folder) {
            return Err(missing());
        }
        let inode = match state.names.get(path) {
            Some(Node::File(inode)) => *inode,
            Some(Node::Folder) => return Err(io::ErrorKind::IsADirectory.into()),
            None => {
                state.inodes.push(Inode::default());
                let inode = state.inodes.len() - 1;
                state.names.insert(path.into(), Node::File(inode));
                inode
            }
        };
        state.inodes[inode].change(Change::Len(0));
        let fs = self.clone();
        Ok(Box::new(MemoryFile { fs, inode, at: 0 }))
    }

    fn read(&self, path: &Path, len_max: u64) -> io::Result<Bytes> {
        let state = self.step(Class::Read)?;
        let Some(Node::File(inode)) = state.names.get(path) else {
            return Err(missing());
        };
        let data = &state.inodes[*inode].data;
        let len = data.len().min(usize::try_from(len_max).unwrap_or(usize::MAX));
        Ok(Bytes::copy_from_slice(&data[..len]))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.step(Class::Name)?;
        let node = state.names.remove(from).ok_or_else(missing)?;
        assert_ne!(node, Node::Folder, "the engine renames only files");
        state.names.insert(to.into(), node);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step(Class::Name)?;
        state.names.remove(path).map(drop).ok_or_else(missing)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step(Class::Name)?;
        if state.names.keys().any(|name| name.parent() == Some(path)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.names.remove(path).map(drop).ok_or_else(missing)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step(Class::Sync)?;
        let below = |name: &PathBuf| name.parent() == Some(path);
        state.durable_names.retain(|name, _| !below(name));
        let live: Vec<_> =
            state.names.iter().filter(|(name, _)| below(name)).map(|(name, node)| (name.clone(), *node)).collect();
        state.durable_names.extend(live);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let state = self.step(Class::Read)?;
        if state.names.get(path) != Some(&Node::Folder) {
            return Err(missing());
        }
        let below = state.names.iter().filter(|(name, _)| name.parent() == Some(path));
        let entries = below.map(|(name, node)| Entry {
            name: name.file_name().and_then(OsStr::to_str).expect("the engine names files in ASCII").into(),
            kind: kind(&state, *node),
        });
        Ok(entries.collect())
    }

    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        let state = self.step(Class::Read)?;
        Ok(state.names.get(path).map(|node| kind(&state, *node)))
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<Option<u64>> {
        Ok(self.step(Class::Read)?.free_bytes)
    }

    fn open_index(&self, path: &Path, create: bool) -> io::Result<Box<dyn StorageBackend>> {
        let is_there = self.state().names.contains_key(path);
        if !is_there && create {
            self.create_file(path)?;
        }
        let state = self.step(Class::Read)?;
        let Some(Node::File(inode)) = state.names.get(path).copied() else {
            return Err(missing());
        };
        let fs = self.clone();
        Ok(Box::new(MemoryIndex { fs, inode }))
    }
}

fn kind(state: &State, node: Node) -> Kind {
    match node {
        Node::Folder => Kind::Folder,
        Node::File(inode) => Kind::File { len: state.inodes[inode].data.len() as u64 },
    }
}

struct MemoryFile {
    fs: MemoryFs,
    inode: usize,
    at: u64,
}

impl FsFile for MemoryFile {
    fn write(&mut self, parts: &[Bytes]) -> io::Result<()> {
        for part in parts {
            self.fs.write_at(self.inode, self.at, part)?;
            self.at += part.len() as u64;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.fs.sync_step(self.inode)?.inodes[self.inode].sync();
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryIndex {
    fs: MemoryFs,
    inode: usize,
}

impl StorageBackend for MemoryIndex {
    fn len(&self) -> io::Result<u64> {
        Ok(self.fs.step(Class::Read)?.inodes[self.inode].data.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.fs.step(Class::Read)?;
        let start = index(offset);
        let bytes = state.inodes[self.inode].data.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fs.step(Class::Space)?.inodes[self.inode].change(Change::Len(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.fs.sync_step(self.inode)?;
        state.index_syncs += 1;
        state.held_index_syncs += 1;
        self.fs.shared.1.notify_all();
        while state.holds_index_syncs {
            state = self.fs.shared.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.held_index_syncs -= 1;
        state.inodes[self.inode].sync();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.fs.write_at(self.inode, offset, data)
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}
