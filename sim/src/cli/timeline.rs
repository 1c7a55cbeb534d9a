//! `forever-sim timeline`: a case as a page.

use forever_sim::store::Store;
use forever_sim::story;

use super::output::Output;
use super::{CliError, TimelineArgs, Verdict, case, print};

pub(crate) fn timeline(args: &TimelineArgs) -> Result<Verdict, CliError> {
    let case = case::read(&args.file)?;
    let page = Output::open(Some(&args.output))?;
    let watched = Store::watch(&case.scenario);
    let mut timeline = watched.timeline;
    let violation = watched.outcome.violation.as_ref();
    timeline.story = story::tell(&case.scenario, violation, case.shrunk_from, &watched.remarks);
    page.map_or(Ok(()), |file| file.write(&timeline.page()))?;
    print(&format!("{}\n", args.output.display()));
    Ok(Verdict::Clean)
}
