//! Bugs put into the code on purpose, one at a time: the proof that the simulator finds bugs. Each is a mistake that an
//! engineer could make where it stands, and none has a test of its own.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// Defines the bugs. `needs` names what a run must have for the bug to show: families of faults, or kinds of operations.
macro_rules! bugs {
    ($($bug:ident $name:literal in $part:literal needs $needs:expr, $about:literal;)+) => {
        /// A bug put into the code on purpose.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum PlantedBug {
            $(
                #[doc = $about]
                #[serde(rename = $name)]
                $bug,
            )+
        }

        impl PlantedBug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$bug),+];

            /// Its name on a command line and in a case file.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$bug => $name),+ }
            }

            /// The file that has it.
            #[must_use]
            pub const fn part(self) -> &'static str {
                match self { $(Self::$bug => $part),+ }
            }

            /// What a run must have for it to show: families of faults (`network`, `process`, `clock`, `disk`, `liar`,
            /// `buggify`), each as often as it must strike.
            #[must_use]
            pub const fn needs(self) -> &'static [&'static str] {
                match self { $(Self::$bug => &$needs),+ }
            }

            /// What is wrong, in one sentence.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$bug => $about),+ }
            }
        }
    };
}

bugs! {
    SkipHashCheck "skip-hash-check" in "net-tokio/store/perform.rs" needs ["disk"],
        "A blob read from the disk is not hashed before it is served.";
}

impl fmt::Display for PlantedBug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No planted bug has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no planted bug has this name; `forever-sim mutants` lists them")]
pub struct UnknownBug;

impl FromStr for PlantedBug {
    type Err = UnknownBug;

    fn from_str(name: &str) -> Result<Self, UnknownBug> {
        Self::ALL.iter().copied().find(|bug| bug.name() == name).ok_or(UnknownBug)
    }
}
