//! A cluster of real nodes in simulated time: how soon a node that joins is complete, how soon what a dead node held is
//! restored, and what nodes say to each other at rest in clusters of 10 to 300. Run once each, since what is measured is simulated time and
//! bytes, which are the same in each run.
//!
//!     cargo bench -p forever-benches --bench cluster              # all of it
//!     cargo bench -p forever-benches --bench cluster -- traffic   # join, loss or traffic
//!
//! The plot of the traffic goes to `sim/reports/traffic.svg`.

mod cluster;
mod plot;
mod repair;
mod traffic;

fn main() {
    let filters: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    if is_wanted("join") {
        repair::join();
    }
    if is_wanted("loss") {
        repair::loss();
    }
    if is_wanted("traffic") {
        traffic::curve();
    }
}
