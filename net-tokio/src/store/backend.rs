//! What stands between `redb` and the index's file: it notices failed syncs, and can show the index as it was durable last.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use redb::{BackendError, StorageBackend};

use super::fs::Fs;
use super::health::Health;
use super::locks::lock;

/// `redb` keeps both of its commit slots in the first page.
const HEADER_LEN: usize = 4096;

/// What is known of the index's file across reopenings.
#[derive(Debug)]
pub(crate) struct Watch {
    health: Arc<Health>,
    /// The file that tells the next start of a failed sync, if this is a store's index.
    doubtful: Option<(Arc<dyn Fs>, PathBuf)>,
    len: AtomicU64,
    headers: Mutex<Headers>,
}

#[derive(Debug, Default)]
struct Headers {
    /// The first page as it was written last.
    written: Vec<u8>,
    /// The first page as it was synced last, once anything was.
    synced: Option<Vec<u8>>,
}

impl Watch {
    /// Watches a file that nobody needs any more when a sync of it fails.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { health: Arc::default(), doubtful: None, len: AtomicU64::new(0), headers: Mutex::default() })
    }

    /// Watches the index of a store. When a sync fails, whenever that is, the file at `doubtful` is made.
    pub(crate) fn of_index(health: Arc<Health>, fs: Arc<dyn Fs>, doubtful: PathBuf) -> Arc<Self> {
        Arc::new(Self { health, doubtful: Some((fs, doubtful)), len: AtomicU64::new(0), headers: Mutex::default() })
    }

    /// A sync has failed. Without the file that is made here the next start would take what the file system shows for what the
    /// disk holds. It need not be durable itself: a power loss takes away what is doubtful. A disk that cannot even make it
    /// takes no commits either.
    fn doubt(&self, error: &io::Error) {
        self.health.degrade(format!("syncing the index failed: {error}"));
        if let Some((fs, path)) = &self.doubtful {
            let _ = fs.create_file(path);
        }
    }

    /// Length of the index's file in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// Watches a freshly opened file.
    pub(crate) fn over(self: &Arc<Self>, file: Box<dyn StorageBackend>) -> io::Result<WatchedBackend> {
        let len = file.len()?;
        let mut header = vec![0; HEADER_LEN.min(usize::try_from(len).unwrap_or(HEADER_LEN))];
        file.read(0, &mut header)?;
        header.resize(HEADER_LEN, 0);
        self.len.store(len, Ordering::Relaxed);
        lock(&self.headers).written = header;
        Ok(WatchedBackend { file, watch: Arc::clone(self) })
    }

    /// The index as it was synced last, over a file whose later writes are of unknown fate. Needs nothing but the first
    /// page of that time: `redb` never overwrites a page of its last durable commit, or no crash could be survived.
    pub(crate) fn frozen(&self, file: Box<dyn StorageBackend>) -> io::Result<FrozenBackend> {
        let frozen = FrozenBackend::over(file)?;
        if let Some(header) = &lock(&self.headers).synced {
            frozen.write(0, header)?;
        }
        Ok(frozen)
    }
}

/// The index's file, watched.
#[derive(Debug)]
pub(crate) struct WatchedBackend {
    file: Box<dyn StorageBackend>,
    watch: Arc<Watch>,
}

impl StorageBackend for WatchedBackend {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.watch.len.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data().inspect_err(|error| self.watch.doubt(error))?;
        let mut headers = lock(&self.watch.headers);
        headers.synced = Some(headers.written.clone());
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)?;
        if let Ok(start) = usize::try_from(offset)
            && start < HEADER_LEN
        {
            let end = HEADER_LEN.min(start + data.len());
            lock(&self.watch.headers).written[start..end].copy_from_slice(&data[..end - start]);
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

const BLOCK_LEN: usize = 4096;

/// A file that is only read: writes stay in memory. `redb` writes a few pages when it opens one.
#[derive(Debug)]
pub(crate) struct FrozenBackend {
    file: Box<dyn StorageBackend>,
    state: Mutex<Frozen>,
}

#[derive(Debug)]
struct Frozen {
    file_len: u64,
    len: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl FrozenBackend {
    /// A file as it is now.
    pub(crate) fn over(file: Box<dyn StorageBackend>) -> io::Result<Self> {
        let len = file.len()?;
        Ok(Self { state: Mutex::new(Frozen { file_len: len, len, blocks: BTreeMap::new() }), file })
    }

    /// A block of the file alone, zero past its end.
    fn file_block(&self, file_len: u64, number: u64) -> io::Result<Vec<u8>> {
        let start = number * BLOCK_LEN as u64;
        let present = file_len.saturating_sub(start).min(BLOCK_LEN as u64);
        let mut block = vec![0; BLOCK_LEN];
        let present = usize::try_from(present).expect("at most a block");
        if present == 0 {
            return Ok(block);
        }
        self.file.read(start, &mut block[..present])?;
        Ok(block)
    }

    /// Calls `each` with every block that a range touches: its number, the range within it, and that in the buffer.
    fn for_blocks(
        offset: u64,
        len: usize,
        mut each: impl FnMut(u64, std::ops::Range<usize>, std::ops::Range<usize>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let start = usize::try_from(at % BLOCK_LEN as u64).expect("less than a block");
            let take = (BLOCK_LEN - start).min(len - done);
            each(at / BLOCK_LEN as u64, start..start + take, done..done + take)?;
            done += take;
        }
        Ok(())
    }
}

impl StorageBackend for FrozenBackend {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.state).len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = lock(&self.state);
        if offset + out.len() as u64 > state.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Self::for_blocks(offset, out.len(), |number, within, buffer| {
            match state.blocks.get(&number) {
                Some(block) => out[buffer].copy_from_slice(&block[within]),
                None => out[buffer].copy_from_slice(&self.file_block(state.file_len, number)?[within]),
            }
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        lock(&self.state).len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let state = &mut *lock(&self.state);
        Self::for_blocks(offset, data.len(), |number, within, buffer| {
            if !state.blocks.contains_key(&number) {
                let block = self.file_block(state.file_len, number)?;
                state.blocks.insert(number, block);
            }
            let block = state.blocks.get_mut(&number).expect("inserted above");
            block[within].copy_from_slice(&data[buffer]);
            Ok(())
        })
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}
