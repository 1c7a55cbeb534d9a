//! What faults destroy on a disk for good, told to the oracles as it happens.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use forever_core::ids::BlobKey;
use forever_net_tokio::simulation::Simulated;
use forever_net_tokio::store::Store;
use forever_net_tokio::store::fs::Fs;
use forever_net_tokio::store::inspect::{self, Seen};
use forever_net_tokio::store::memory_fs::MemoryFs;

use super::FaultyFs;
use crate::draw::Site;
use crate::store::{DiskLoss, Engine, Fault};
use crate::turmoil_tier::disk::{ROOT, index_path, store_config};

const MISDIRECTED: Site = Site::new("turmoil.fs.misdirected");
const VICTIM: Site = Site::new("turmoil.fs.victim");
const ROT: Site = Site::new("turmoil.fs.rot");
const INDEX_ROT: Site = Site::new("turmoil.fs.index-rot");

impl FaultyFs {
    /// The files of blobs that are whole.
    fn blob_files(&self) -> Vec<(PathBuf, BlobKey)> {
        let mut files = Vec::new();
        self.fs.each_file(|path, _| files.extend(blob_at(path).map(|blob| (path.to_path_buf(), blob))));
        files
    }

    /// Lets bits of blobs flip that lie there now, each with a chance of so many in a thousand, once for each fault.
    pub(crate) fn rot(&self, fault: usize, per_mille: u32) {
        let mut damaged = Vec::new();
        for (path, blob) in self.blob_files() {
            if !self.state().spared.insert((fault, path.clone())) {
                continue;
            }
            let mut draw = self.board.draw(ROT, fault as u64);
            let Ok(bytes) = self.look_at(&path) else { continue };
            if draw.per_mille(u64::from(per_mille)) && !bytes.is_empty() {
                let mut bytes = bytes.to_vec();
                let place = draw.index(bytes.len());
                bytes[place] ^= 1 << draw.below(8);
                self.fs.overwrite(&path, &bytes);
                damaged.push(blob);
            }
        }
        self.destroyed(fault, damaged);
    }

    /// Lets bits of the index flip, wherever in its file.
    pub(crate) fn rot_index(&self, fault: usize, bits: u32) {
        let Ok(bytes) = self.look_at(&index_path()) else { return };
        let before = self.index();
        let mut bytes = bytes.to_vec();
        if bytes.is_empty() {
            return;
        }
        for _ in 0..bits {
            let mut draw = self.board.draw(INDEX_ROT, fault as u64);
            let place = draw.index(bytes.len());
            bytes[place] ^= 1 << draw.below(8);
        }
        self.fs.overwrite(&index_path(), &bytes);
        self.state().rotten.get_or_insert(before);
        self.board.bite(fault);
    }

    /// Whether bits of the index have flipped since a store was opened over it.
    pub(crate) fn is_rotten(&self) -> bool {
        self.state().rotten.is_some()
    }

    /// A store has been opened. If bits of its index had flipped and it holds something else than before, an older commit, nothing
    /// on the disk counts any more.
    pub(crate) fn note_opened(&self) {
        let before = self.state().rotten.take();
        if before.is_some_and(|before| before != self.index()) {
            self.board.lost(self.node, DiskLoss::Unknown);
        }
    }

    /// A store that refuses to open over a damaged index gets an empty disk from its operator.
    pub(crate) fn replaced(&self) -> Self {
        self.forget();
        self.board.lost(self.node, DiskLoss::All);
        self.board.reach(crate::store::probes::INDEX_REFUSED);
        self.replaced_by(MemoryFs::new())
    }

    /// What the index says, as an honest reader finds it.
    fn index(&self) -> Seen {
        self.fs.look(|| inspect::look(&self.fs, Path::new(ROOT))).unwrap_or_default()
    }

    /// Lets the file at `temp`, about to become the blob's at `path`, be written over another blob, with nothing but zeros
    /// where it should be.
    pub(super) fn misdirect(&self, temp: &Path, path: &Path) {
        let Some(blob) = blob_at(path) else { return };
        let rates = self.board.pick(|fault| {
            if let Fault::Misdirected { node, per_mille } = fault {
                (*node == self.node).then_some(*per_mille)
            } else {
                None
            }
        });
        for (id, per_mille) in rates {
            let others = self.blob_files();
            let others: Vec<_> = others.iter().filter(|(other, _)| other != path).collect();
            let strikes = self.board.draw(MISDIRECTED, id as u64).per_mille(u64::from(per_mille));
            let Ok(bytes) = self.look_at(temp) else { return };
            if strikes && !others.is_empty() {
                let (victim, lost) = self.board.draw(VICTIM, id as u64).pick(&others);
                self.fs.overwrite(victim, &bytes);
                self.fs.overwrite(temp, &vec![0; bytes.len()]);
                self.destroyed(id, vec![*lost, blob]);
            }
        }
    }

    /// Reads a file without an access of the disk.
    fn look_at(&self, path: &Path) -> std::io::Result<bytes::Bytes> {
        self.fs.look(|| self.fs.read(path, u64::MAX))
    }

    fn destroyed(&self, fault: usize, blobs: Vec<BlobKey>) {
        if !blobs.is_empty() {
            self.board.lost(self.node, DiskLoss::Blobs(blobs));
            self.board.bite(fault);
        }
    }

    /// What a power loss leaves, and tells what it destroyed because syncs of folders had done nothing: all whose names, or the
    /// names of folders above them, say something else than before.
    pub(crate) fn after_power_loss(&self, seed: u64) -> MemoryFs {
        let left = self.fs.after_power_loss(seed);
        let lies = std::mem::take(&mut self.state().unsynced_folders);
        let file_at = |fs: &MemoryFs, path: &Path| fs.stamp(path).map(|(file, _)| file);
        let mut paths = Vec::new();
        self.fs.each_file(|path, _| paths.push(path.to_path_buf()));
        let (mut lost, mut index_is_lost) = (Vec::new(), false);
        for path in paths {
            let lie = path.ancestors().skip(1).find_map(|folder| lies.get(folder));
            let is_index = path == index_path();
            let blob = blob_at(&path);
            if let Some(fault) = lie
                && (is_index || blob.is_some())
                && file_at(&self.fs, &path) != file_at(&left, &path)
            {
                self.board.bite(*fault);
                lost.extend(blob);
                index_is_lost |= is_index;
            }
        }
        if index_is_lost {
            return self.without_index(left);
        }
        if !lost.is_empty() {
            self.board.lost(self.node, DiskLoss::Blobs(lost));
        }
        left
    }

    /// What becomes of a disk whose index is gone, or is an older one again. If no store can be opened there any more, its
    /// operator puts in another.
    fn without_index(&self, left: MemoryFs) -> MemoryFs {
        let copy = Arc::new(left.after_kill());
        if Store::open(copy, &store_config(Simulated::default(), Engine::default())).is_ok()
            && left.stamp(&index_path()).is_some()
        {
            self.board.lost(self.node, DiskLoss::Unknown);
            return left;
        }
        self.board.lost(self.node, DiskLoss::All);
        self.forget();
        MemoryFs::new()
    }
}

/// The blob whose file lies at a path, if it is one's and whole.
fn blob_at(path: &Path) -> Option<BlobKey> {
    let relative = path.strip_prefix(Path::new(ROOT).join("blobs")).ok()?.to_str()?;
    let (owner, chunk) = relative.split_once('/')?;
    Some(BlobKey { owner: owner.parse().ok()?, chunk: chunk.replace('/', "").parse().ok()? })
}
