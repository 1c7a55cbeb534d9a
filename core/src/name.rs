//! Names of files, checked at the edge.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

/// The longest name, in bytes of UTF-8.
pub const NAME_LEN_MAX: usize = 4_096;

/// A valid name: 1 to [`NAME_LEN_MAX`] bytes of UTF-8, `/`-separated parts of which none is empty, `.` or `..`, and no
/// NUL or other control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty text.
    #[error("a name must not be empty")]
    Empty,
}

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// What is wrong with it and what to do.
    pub fn new(_text: impl Into<String>) -> Result<Self, NameError> {
        todo!()
    }

    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
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
