//! `forever-sim mutants`: the planted bugs, each hunted until it is found.

#[cfg(feature = "planted-bugs")]
mod hunt;

use super::{CliError, MutantsArgs, Verdict};

#[cfg(feature = "planted-bugs")]
pub(crate) fn mutants(args: &MutantsArgs) -> Result<Verdict, CliError> {
    hunt::hunt(args)
}

#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn mutants(args: &MutantsArgs) -> Result<Verdict, CliError> {
    let _ = (&args.only, &args.json, &args.cases, args.world_seeds, args.turmoil_seeds, &args.set, args.needs);
    Err(CliError::NoMutants)
}
