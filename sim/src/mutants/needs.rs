//! Which faults a find cannot do without: measured, by leaving out all others.

use crate::shrink::ddmin;
use crate::store::Scenario;
use crate::system::{Plan, Step};

/// The families of the faults that are left of a scenario when none of them can be left out without the failure going, too:
/// each as often as it strikes, and `buggify` if points in the code must.
///
/// Any broken rule counts as the failure: without the bug the scenario breaks none.
pub(super) fn needs(scenario: &Scenario, fails: &dyn Fn(&Scenario) -> bool) -> Vec<String> {
    let mut scenario = scenario.clone();
    if let Some(calm) = scenario.without_buggify()
        && fails(&calm)
    {
        scenario = calm;
    }
    let with = |faults: &[_]| {
        let plan = Plan { faults: faults.to_vec(), ..scenario.plan.clone() };
        Scenario { plan, ..scenario.clone() }
    };
    let faults = ddmin::minimise(scenario.plan.faults.clone(), &mut |faults| fails(&with(faults)));
    let least = with(&faults);
    // With fewer faults it may have become dispensable.
    let buggify = least.without_buggify().is_some_and(|calm| !fails(&calm));
    let mut families: Vec<String> = faults.iter().map(|fault| fault.what.family().to_string()).collect();
    families.extend(buggify.then(|| "buggify".to_string()));
    families.sort_unstable();
    families
}
