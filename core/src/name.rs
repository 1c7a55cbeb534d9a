//! Names of files, checked at the edge.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

/// The longest name, in bytes of UTF-8.
pub const NAME_LEN_MAX: usize = 1_024;

/// A valid name: 1 to [`NAME_LEN_MAX`] bytes of UTF-8, `/`-separated parts of which none is empty, `.` or `..`, and no
/// NUL or other control characters. A backslash is a character like any other.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty text.
    #[error("a name must not be empty: give at least one character")]
    Empty,
    /// Too long.
    #[error("a name of {len} bytes is too long: use at most {NAME_LEN_MAX} bytes of UTF-8")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A NUL character.
    #[error("a name must not hold a NUL character (byte {at}): remove it")]
    Nul {
        /// Its byte offset.
        at: usize,
    },
    /// Another control character.
    #[error("a name must not hold control characters (U+{code:04X} at byte {at}): remove it")]
    Control {
        /// Its code point.
        code: u32,
        /// Its byte offset.
        at: usize,
    },
    /// `/` at the start.
    #[error("a name must not start with `/`: names are relative, leave it out")]
    LeadingSlash,
    /// `/` at the end.
    #[error("a name must not end with `/`: it names a file, leave it out")]
    TrailingSlash,
    /// `//`.
    #[error("a name must not hold `//`: use one `/` between parts")]
    EmptyPart,
    /// A part that is `.`.
    #[error("a name must not have `.` as a part: leave it out")]
    Dot,
    /// A part that is `..`.
    #[error("a name must not have `..` as a part: write the path out")]
    DotDot,
}

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// What is wrong with it and what to do.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        check(&text)?;
        Ok(Self(text))
    }

    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > NAME_LEN_MAX {
        return Err(NameError::TooLong { len: text.len() });
    }
    if let Some((at, control)) = text.char_indices().find(|(_, character)| character.is_control()) {
        return Err(match u32::from(control) {
            0 => NameError::Nul { at },
            code => NameError::Control { code, at },
        });
    }
    if text.starts_with('/') {
        return Err(NameError::LeadingSlash);
    }
    if text.ends_with('/') {
        return Err(NameError::TrailingSlash);
    }
    text.split('/').try_for_each(|part| match part {
        "" => Err(NameError::EmptyPart),
        "." => Err(NameError::Dot),
        ".." => Err(NameError::DotDot),
        _ => Ok(()),
    })
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl core::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// Names are content to protect: a trace shows only their length.
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({} B, ***)", self.0.len())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
