//! The second pass: manifest pages against their addresses.

use forever_core::ids::{OwnerId, PageId};
use forever_core::manifest::{ManifestError, check_page};

use super::{Problem, Progress, Seen, Step, Watcher};
use crate::store::OpenError;
use crate::store::check::view::View;

pub(super) fn check(view: &View<'_>, seen: &mut Seen, watch: Watcher<'_>) -> Result<(), OpenError> {
    view.each_entry(b'P', |key, data| {
        let Some((owner, page)) = owner_and_page(key) else {
            seen.report.add(Problem::Unknown { key: key.to_vec() });
            return Ok(());
        };
        seen.report.summary.pages += 1;
        watch(Progress { step: Step::Pages, done: seen.report.summary.pages, total: None });
        match check_page(page, data) {
            Ok(_) => {}
            Err(ManifestError::WrongHash | ManifestError::TooLong) => {
                if view.get(key)?.is_none_or(|now| now != data) {
                    // It was replaced or removed a moment ago.
                    return Ok(());
                }
                let finding = seen.report.add(Problem::Page { owner, page });
                seen.damaged_pages.insert((owner, page), finding);
            }
            // The bytes are those that the address names, so they are what its owner has made.
            Err(
                ManifestError::UnknownFormat
                | ManifestError::Malformed
                | ManifestError::NotCanonical
                | ManifestError::BadIndex
                | ManifestError::BadEntryCount
                | ManifestError::BadEntryLength
                | ManifestError::BadTag
                | ManifestError::SecretsMismatch
                | ManifestError::BadFileLength,
            ) => {
                seen.report.add(Problem::Unknown { key: key.to_vec() });
            }
        }
        Ok(())
    })
}

/// The key of a page (see `core/FORMAT.md`, Index).
pub(super) fn page_key(owner: OwnerId, page: PageId) -> Vec<u8> {
    [&b"P"[..], &owner.0, &page.0].concat()
}

/// The key that says that a page needs a chunk here.
pub(super) fn reference_key(owner: OwnerId, chunk: &[u8; 32], page: PageId) -> Vec<u8> {
    [&b"F"[..], &owner.0, chunk, &page.0].concat()
}

fn owner_and_page(key: &[u8]) -> Option<(OwnerId, PageId)> {
    let (owner, page) = key.get(1..)?.split_first_chunk()?;
    Some((OwnerId(*owner), PageId(page.try_into().ok()?)))
}
