//! Path transforms: where a blob lies below its namespace.

use alloc::string::String;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

/// The longest file or folder name that file systems agree on, in bytes.
pub const PART_LEN_MAX: usize = 255;

/// How a storage key becomes a path below `<root>/<OwnerId>/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathTransform {
    /// The key's SHA-1 in hex, cut into 8 folders of 5 digits; the file's name is all 40. As the seed had it; it only
    /// spreads files over folders and is not a security boundary.
    Cas,
    /// Two folders of the key's first two and next two characters, then a file named by the rest, as git lays out its
    /// objects. The key is at least 5 characters.
    #[default]
    Git,
    /// A file named by the key.
    Flat,
}

/// A key that has no safe path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Empty key.
    #[error("a storage key must not be empty")]
    Empty,
    /// Too short to be cut, or a part too long for a file's name.
    #[error("a storage key of {len} bytes does not fit the path transform: use 5 to 255 bytes")]
    Length {
        /// The key's length.
        len: usize,
    },
    /// A character that could lead elsewhere.
    #[error("a storage key may hold only ASCII letters, digits, `.`, `_` and `-`")]
    Character,
    /// A part that is `.` or `..`.
    #[error("a storage key must not lead to the folders `.` or `..`")]
    Dots,
}

/// Text that is not a path transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a path transform is `cas`, `git` or `flat`")]
pub struct ParsePathTransformError;

impl PathTransform {
    /// The relative path of a key's file, `/`-separated. Distinct keys never share a path (for [`PathTransform::Cas`],
    /// unless their SHA-1 is equal), and no path leaves the folder it is joined to.
    ///
    /// # Errors
    /// When the key is empty or, where it shows in the path, not plain.
    pub fn path(self, key: &str) -> Result<String, PathError> {
        if key.is_empty() {
            return Err(PathError::Empty);
        }
        match self {
            Self::Cas => Ok(cas(key)),
            Self::Git => {
                check_characters(key)?;
                if key.len() < 5 {
                    return Err(PathError::Length { len: key.len() });
                }
                let (folders, file) = key.split_at(4);
                let (outer, inner) = folders.split_at(2);
                for part in [outer, inner, file] {
                    check_part(part, key.len())?;
                }
                Ok(alloc::format!("{outer}/{inner}/{file}"))
            }
            Self::Flat => {
                check_characters(key)?;
                check_part(key, key.len())?;
                Ok(key.into())
            }
        }
    }
}

fn cas(key: &str) -> String {
    let digits = hex::encode(Sha1::digest(key.as_bytes()));
    let mut path = String::with_capacity(2 * digits.len() + 8);
    let mut rest = digits.as_str();
    while !rest.is_empty() {
        let (folder, behind) = rest.split_at(5);
        path.push_str(folder);
        path.push('/');
        rest = behind;
    }
    path.push_str(&digits);
    path
}

fn check_characters(key: &str) -> Result<(), PathError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if key.bytes().all(plain) { Ok(()) } else { Err(PathError::Character) }
}

fn check_part(part: &str, key_len: usize) -> Result<(), PathError> {
    if part.len() > PART_LEN_MAX {
        return Err(PathError::Length { len: key_len });
    }
    if part == "." || part == ".." {
        return Err(PathError::Dots);
    }
    Ok(())
}

impl FromStr for PathTransform {
    type Err = ParsePathTransformError;

    fn from_str(text: &str) -> Result<Self, ParsePathTransformError> {
        match text {
            "cas" => Ok(Self::Cas),
            "git" => Ok(Self::Git),
            "flat" => Ok(Self::Flat),
            _ => Err(ParsePathTransformError),
        }
    }
}

#[cfg(test)]
mod tests;
