//! Secrets and the keys derived from them.

use core::fmt;

use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ids::{NameId, NodeId, OwnerId, RecordId};
use crate::key_hash::KeyHash;
use crate::name::Name;

macro_rules! secret32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Serialize, Deserialize, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps 32 secret bytes.
            #[must_use]
            pub fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes, for use in a cipher or to be written to a file of mode 0600.
            #[must_use]
            pub fn expose(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(***)"))
            }
        }
    };
}

secret32! {
    /// The owner's secret: everything the owner needs is derived from it. Shown as a 24-word phrase.
    OwnerSecret
}
secret32! {
    /// The key of one chunk.
    ChunkKey
}
secret32! {
    /// The key of one manifest page.
    PageKey
}

/// Contexts of `blake3::derive_key`: one a purpose, so that no two derived keys are related.
pub(crate) mod context {
    pub(crate) const SIGNING_KEY: &str = "foreverstore 2026 owner signing key";
    pub(crate) const CONVERGENCE_SECRET: &str = "foreverstore 2026 convergence secret";
    pub(crate) const NAME_KEY: &str = "foreverstore 2026 name key";
    pub(crate) const RECORD_KEY_ROOT: &str = "foreverstore 2026 record-key root";
    pub(crate) const PAGE_SALT_KEY: &str = "foreverstore 2026 page salt key";
    pub(crate) const PAGE_KEY_KEY: &str = "foreverstore 2026 page key key";
    pub(crate) const PAGE_CIPHER_KEY: &str = "foreverstore 2026 page cipher key";
    pub(crate) const PAGE_MAC_KEY: &str = "foreverstore 2026 page mac key";
    pub(crate) const CHUNK_IV: &str = "foreverstore 2026 chunk iv";
    pub(crate) const CHECKPOINT_NAME_KEY: &str = "foreverstore 2026 checkpoint name key";
    pub(crate) const CHECKPOINT_TERM_KEY: &str = "foreverstore 2026 checkpoint term key";
    pub(crate) const CHECKPOINT_SUM_KEY: &str = "foreverstore 2026 checkpoint sum key";
}

/// Derives a key for a purpose. The buffer wipes itself.
pub(crate) fn derive(context: &str, key_material: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(blake3::derive_key(context, key_material))
}

/// Where a simulator keeps the signatures of one owner, so that none is made twice.
#[cfg(feature = "simulation")]
pub trait SignatureMemory: Send + Sync {
    /// The signature of a message: the one that was made before, or else what `sign` makes.
    fn signature(&self, message: &[u8], sign: &dyn Fn() -> [u8; 64]) -> [u8; 64];
}

/// The keys derived from an [`OwnerSecret`].
#[derive(Clone)]
pub struct OwnerKeys {
    signing: SigningKey,
    convergence: Zeroizing<[u8; 32]>,
    name: Zeroizing<[u8; 32]>,
    page_salt: Zeroizing<[u8; 32]>,
    page_key: Zeroizing<[u8; 32]>,
    checkpoint_name: Zeroizing<[u8; 32]>,
    checkpoint_term: Zeroizing<[u8; 32]>,
    checkpoint_sum: Zeroizing<[u8; 32]>,
    key_hash: KeyHash,
    #[cfg(feature = "simulation")]
    memory: Option<alloc::sync::Arc<dyn SignatureMemory>>,
}

impl OwnerKeys {
    /// Derives all keys. Names are hashed by [`KeyHash::Blake3Keyed`].
    #[must_use]
    pub fn derive(secret: &OwnerSecret) -> Self {
        let secret = secret.expose();
        let record_root = derive(context::RECORD_KEY_ROOT, secret);
        let name = derive(context::NAME_KEY, secret);
        Self {
            signing: SigningKey::from_bytes(&derive(context::SIGNING_KEY, secret)),
            convergence: derive(context::CONVERGENCE_SECRET, secret),
            checkpoint_name: derive(context::CHECKPOINT_NAME_KEY, &name),
            checkpoint_term: derive(context::CHECKPOINT_TERM_KEY, &record_root),
            checkpoint_sum: derive(context::CHECKPOINT_SUM_KEY, &record_root),
            name,
            page_salt: derive(context::PAGE_SALT_KEY, &record_root),
            page_key: derive(context::PAGE_KEY_KEY, &record_root),
            key_hash: KeyHash::default(),
            #[cfg(feature = "simulation")]
            memory: None,
        }
    }

    /// The same keys, which make the same signatures, and none of them twice. The memory must be of this owner alone.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn with_memory(mut self, memory: alloc::sync::Arc<dyn SignatureMemory>) -> Self {
        self.memory = Some(memory);
        self
    }

    /// The same keys, with names hashed otherwise.
    #[must_use]
    pub fn with_key_hash(mut self, key_hash: KeyHash) -> Self {
        self.key_hash = key_hash;
        self
    }

    /// The public half of the signing key.
    #[must_use]
    pub fn owner_id(&self) -> OwnerId {
        OwnerId(self.signing.verifying_key().to_bytes())
    }

    /// All keys that are derived from the owner's secret, each with what it is: for those who look for them where they must not be.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn derived(&self) -> [(&'static str, [u8; 32]); 5] {
        [
            ("signing key", self.signing.to_bytes()),
            ("convergence secret", *self.convergence),
            ("key of names", *self.name),
            ("key of page salts", *self.page_salt),
            ("key of page keys", *self.page_key),
        ]
    }

    /// A name as peers see it.
    #[must_use]
    pub fn name_id(&self, name: &Name) -> NameId {
        self.key_hash.name_id(&self.name, name)
    }

    /// The name under which a device signs its checkpoints: no name that can be put, since those are hashed under another key.
    #[must_use]
    pub fn checkpoint_name(&self, device: NodeId) -> NameId {
        NameId(*blake3::keyed_hash(&self.checkpoint_name, device.as_bytes()).as_bytes())
    }

    /// What a record adds to the sum of a set (see [`crate::checkpoint::Census`]).
    pub(crate) fn checkpoint_term(&self, record: RecordId) -> [u8; 32] {
        *blake3::keyed_hash(&self.checkpoint_term, record.as_bytes()).as_bytes()
    }

    /// Keys the hash of a set's count and sum, which is its fingerprint.
    pub(crate) fn checkpoint_sum_key(&self) -> &[u8; 32] {
        &self.checkpoint_sum
    }

    /// Keys the hash of a chunk's plaintext, which is the chunk's key.
    pub(crate) fn convergence_secret(&self) -> &[u8; 32] {
        &self.convergence
    }

    /// Keys the hash of a page's plaintext, which is the page's salt.
    pub(crate) fn page_salt_key(&self) -> &[u8; 32] {
        &self.page_salt
    }

    /// Keys the hash of a page's place and salt, which is the page's key.
    pub(crate) fn page_key_key(&self) -> &[u8; 32] {
        &self.page_key
    }

    /// Signs `bytes`, which must start with a domain tag of their own.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let sign = || self.signing.sign(bytes).to_bytes();
        #[cfg(feature = "simulation")]
        if let Some(memory) = &self.memory {
            return memory.signature(bytes, &sign);
        }
        sign()
    }
}

impl fmt::Debug for OwnerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerKeys(***)")
    }
}

#[cfg(test)]
mod tests;
