//! Key hashes: how a name becomes what peers see of it.

use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::NameId;
use crate::name::Name;

/// How a name is hashed into a [`NameId`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyHash {
    /// BLAKE3 keyed with the owner's name key: peers can neither read a name nor test a guess.
    #[default]
    Blake3Keyed,
    /// The 32 ASCII hex digits of the name's MD5, as the seed had it. Anybody can test a guess: not a security boundary.
    Md5,
}

/// Text that is not a key hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key hash is `blake3_keyed` or `md5`")]
pub struct ParseKeyHashError;

impl KeyHash {
    /// Hashes a name. `name_key` is not used by [`KeyHash::Md5`].
    pub(crate) fn name_id(self, name_key: &[u8; 32], name: &Name) -> NameId {
        let name = name.as_str().as_bytes();
        match self {
            Self::Blake3Keyed => NameId(*blake3::keyed_hash(name_key, name).as_bytes()),
            Self::Md5 => {
                let mut digits = [0; 32];
                hex::encode_to_slice(md5(name), &mut digits).expect("16 bytes have 32 hex digits");
                NameId(digits)
            }
        }
    }
}

fn md5(bytes: &[u8]) -> [u8; 16] {
    use md5::Digest;
    md5::Md5::digest(bytes).into()
}

impl FromStr for KeyHash {
    type Err = ParseKeyHashError;

    fn from_str(text: &str) -> Result<Self, ParseKeyHashError> {
        match text {
            "blake3_keyed" => Ok(Self::Blake3Keyed),
            "md5" => Ok(Self::Md5),
            _ => Err(ParseKeyHashError),
        }
    }
}

#[cfg(test)]
mod tests;
