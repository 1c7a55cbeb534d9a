//! The signatures that an owner's devices have made: to verify one of them takes a look.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use forever_core::secrets::SignatureMemory;

/// The most signatures remembered. Beyond it, all are forgotten.
const REMEMBERED_MAX: usize = 8_192;

/// Signatures of one owner, by what was signed.
#[derive(Debug, Default)]
pub(super) struct Signatures(Mutex<BTreeMap<Vec<u8>, [u8; 64]>>);

impl SignatureMemory for Signatures {
    fn signature(&self, message: &[u8], sign: &dyn Fn() -> [u8; 64]) -> [u8; 64] {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signature) = made.get(message) {
            return *signature;
        }
        if made.len() >= REMEMBERED_MAX {
            made.clear();
        }
        let signature = sign();
        made.insert(message.to_vec(), signature);
        signature
    }
}
