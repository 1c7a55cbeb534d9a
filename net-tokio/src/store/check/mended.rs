//! What two checks of an open store say together: one before the node has mended what it could, one after.

use super::{Finding, Outcome, Problem, Report, Severity};

/// The second report, with those findings of the first that it has no more: they have been put in order.
#[must_use]
pub fn after_mending(before: Report, after: Report) -> Report {
    let is_left = |finding: &Finding| after.findings.iter().any(|other| is_same(finding, other));
    let mut findings: Vec<Finding> = before.findings.into_iter().filter(|finding| !is_left(finding)).collect();
    for finding in &mut findings {
        finding.outcome = match finding.problem.severity() {
            Severity::Lost => Outcome::Mended,
            Severity::Wrong | Severity::Note => Outcome::Repaired,
        };
    }
    findings.extend(after.findings);
    let mut summary = after.summary;
    summary.hashed_bytes = summary.hashed_bytes.max(before.summary.hashed_bytes);
    Report { findings, summary }
}

/// Whether both tell of the same thing: a version that lacks something may lack more, or less, by now.
fn is_same(one: &Finding, other: &Finding) -> bool {
    let record = |finding: &Finding| finding.affected.first().map(|affected| affected.place.record);
    match (&one.problem, &other.problem) {
        (Problem::Incomplete { .. }, Problem::Incomplete { .. }) => record(one) == record(other),
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(problems: Vec<Problem>) -> Report {
        let mut report = Report::default();
        for problem in problems {
            report.add(problem);
        }
        report
    }

    #[test]
    fn what_is_gone_was_put_in_order_and_what_is_left_stays_open() {
        let lost = Problem::Incomplete { pages: 0, missing: 1, damaged: 0, chunks: 2 };
        let temp = Problem::Temp { path: "a.part".into(), len: 1 };
        let foreign = Problem::Foreign { path: "b".into() };
        let merged = after_mending(report(vec![lost, temp, foreign.clone()]), report(vec![foreign]));
        let outcomes: Vec<_> = merged.findings.iter().map(|finding| finding.outcome.clone()).collect();
        assert_eq!(outcomes, [Outcome::Mended, Outcome::Repaired, Outcome::Found]);
        assert!(merged.is_in_order());
    }

    #[test]
    fn what_still_lacks_something_is_told_once_and_is_lost() {
        let lost = |missing, damaged| Problem::Incomplete { pages: 0, missing, damaged, chunks: 2 };
        let merged = after_mending(report(vec![lost(0, 1)]), report(vec![lost(1, 0)]));
        assert_eq!(merged.findings.len(), 1);
        assert!(merged.is_lossy());
    }
}
