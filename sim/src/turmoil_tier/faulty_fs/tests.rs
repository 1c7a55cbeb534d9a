use std::sync::Arc;

use forever_core::ids::{BlobKey, ChunkId, OwnerId};
use forever_net_tokio::simulation::Simulated;
use forever_net_tokio::store::StoreConfig;

use super::super::disk::{ROOT, index_path, open, store_config};
use super::*;
use crate::draw::Draws;
use crate::store::{DiskLoss, Engine, Event};

const LIE: usize = 3;

/// Power losses with different luck.
fn seeds() -> impl Iterator<Item = u64> {
    (0..24).map(|nth| Draws::new(1).at(Site::new("luck"), 0, nth).next())
}

fn empty() -> FaultyFs {
    FaultyFs::new(MemoryFs::new(), 0, Board::new(Draws::new(1), Vec::new()))
}

/// A disk with a store on it, closed in order.
fn disk() -> FaultyFs {
    let disk = empty();
    drop(open(Arc::new(disk.clone()), &config()).unwrap());
    disk
}

fn config() -> StoreConfig {
    store_config(Simulated::default(), Engine::default())
}

fn begin_to_lie(disk: &FaultyFs) {
    disk.board.begin(LIE, Fault::LostDirSyncs { node: 0 });
}

fn write(disk: &FaultyFs, path: &Path, bytes: Vec<u8>) {
    let mut file = disk.create_file(path).unwrap();
    file.write(&[bytes.into()]).unwrap();
    file.sync().unwrap();
}

/// What was lost, and whether the lie is to blame.
fn losses(disk: &FaultyFs) -> (Vec<DiskLoss>, bool) {
    let (mut lost, mut has_bitten) = (Vec::new(), false);
    for event in disk.board.take_events() {
        if let Event::Lost { node: 0, what } = event {
            lost.push(what);
        } else {
            has_bitten |= matches!(event, Event::Bit { fault: LIE });
        }
    }
    (lost, has_bitten)
}

/// Writes the index anew as the engine does after a failed sync, over one with these bytes.
fn renamed_index(old: Option<&[u8]>) -> FaultyFs {
    let disk = disk();
    let index = index_path();
    let bytes = disk.memory().files()[&index].clone();
    if let Some(old) = old {
        disk.memory().overwrite(&index, old);
    }
    begin_to_lie(&disk);
    let new = index.with_extension("new");
    write(&disk, &new, bytes);
    disk.rename(&new, &index).unwrap();
    disk.sync_dir(Path::new(ROOT)).unwrap();
    disk
}

#[test]
fn an_index_whose_renaming_is_undone_is_not_to_be_trusted_any_more() {
    let mut undone = 0;
    for seed in seeds() {
        let disk = renamed_index(None);
        let left = disk.after_power_loss(seed);
        let is_undone = left.stamp(&index_path()).unwrap().0 != disk.memory().stamp(&index_path()).unwrap().0;
        let expected = if is_undone { vec![DiskLoss::Unknown] } else { Vec::new() };
        assert_eq!(losses(&disk), (expected, is_undone));
        undone += usize::from(is_undone);
    }
    assert!((1..24).contains(&undone), "{undone}");
}

#[test]
fn a_disk_whose_older_index_cannot_be_opened_is_replaced() {
    let mut replaced = 0;
    for seed in seeds() {
        let disk = renamed_index(Some(b"no index at all"));
        let left = disk.after_power_loss(seed);
        let is_replaced = left.stamp(&index_path()).is_none();
        let expected = if is_replaced { vec![DiskLoss::All] } else { Vec::new() };
        assert_eq!(losses(&disk), (expected, is_replaced));
        assert!(open(Arc::new(left), &config()).is_ok());
        replaced += usize::from(is_replaced);
    }
    assert!((1..24).contains(&replaced), "{replaced}");
}

#[test]
fn a_lied_sync_of_a_folder_above_loses_what_lies_below_it_although_its_own_folders_were_synced() {
    let blob = BlobKey { owner: OwnerId([7; 32]), chunk: ChunkId([8; 32]) };
    let mut lost = 0;
    for seed in seeds() {
        let disk = disk();
        begin_to_lie(&disk);
        let blobs = Path::new(ROOT).join("blobs");
        disk.create_dir(&blobs).unwrap();
        disk.sync_dir(Path::new(ROOT)).unwrap();
        disk.board.end(LIE);
        let owner = blobs.join(blob.owner.to_string());
        disk.create_dir(&owner).unwrap();
        disk.sync_dir(&blobs).unwrap();
        let path = owner.join(blob.chunk.to_string());
        write(&disk, &path, vec![1; 100]);
        disk.sync_dir(&owner).unwrap();
        let left = disk.after_power_loss(seed);
        let is_lost = left.stamp(&path).is_none();
        let expected = if is_lost { vec![DiskLoss::Blobs(vec![blob])] } else { Vec::new() };
        assert_eq!(losses(&disk), (expected, is_lost));
        lost += usize::from(is_lost);
    }
    assert!((1..24).contains(&lost), "{lost}");
}

#[test]
fn a_store_whose_own_name_was_never_synced_is_lost_whole() {
    let mut lost = 0;
    for seed in seeds() {
        let disk = empty();
        begin_to_lie(&disk);
        drop(open(Arc::new(disk.clone()), &config()).unwrap());
        let left = disk.after_power_loss(seed);
        let is_lost = left.stamp(&index_path()).is_none();
        let expected = if is_lost { vec![DiskLoss::All] } else { Vec::new() };
        assert_eq!(losses(&disk), (expected, is_lost));
        lost += usize::from(is_lost);
    }
    assert!((1..24).contains(&lost), "{lost}");
}

#[test]
fn what_was_synced_in_truth_since_is_not_lost() {
    for seed in seeds() {
        let disk = renamed_index(None);
        disk.board.end(LIE);
        disk.sync_dir(Path::new(ROOT)).unwrap();
        drop(disk.after_power_loss(seed));
        assert_eq!(losses(&disk), (Vec::new(), false));
    }
}

#[test]
fn who_looks_uses_up_no_access_and_sees_what_lies_there_without_power() {
    let disk = disk();
    let index = index_path();
    disk.memory().fail(1, forever_net_tokio::store::memory_fs::Fault::Crash);
    let look = || disk.memory().look(|| disk.memory().read(&index, 16));
    let seen = look().unwrap();
    assert!(disk.memory().is_armed() && !disk.memory().is_dead());
    assert!(disk.memory().read(&index, 16).is_err() && disk.memory().is_dead());
    assert_eq!(look().unwrap(), seen);
}
