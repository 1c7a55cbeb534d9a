//! The catalogues of buggify points and probes name exactly what the code has.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

type Catalogue = &'static [(&'static str, &'static str)];

/// The first string literal after each use of a macro in all sources below a folder.
fn used(folder: &Path, macro_name: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            used(&path, macro_name, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            for call in code.join("\n").split(&format!("{macro_name}!(")).skip(1) {
                let name = call.split('"').nth(1).unwrap();
                assert!(found.insert(name.to_string()), "{name} stands at two places");
            }
        }
    }
}

fn check(sources: &str, macro_name: &str, catalogue: Catalogue) {
    let mut found = BTreeSet::new();
    used(&Path::new(env!("CARGO_MANIFEST_DIR")).join(sources), macro_name, &mut found);
    let named: BTreeSet<String> = catalogue.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(named.len(), catalogue.len(), "a name stands twice in the catalogue");
    assert_eq!(found, named);
}

#[test]
fn every_buggify_point_is_in_its_catalogue() {
    check("../core/src", "buggify", forever_core::simulation::SITES);
    check("../net-tokio/src", "buggify", forever_net_tokio::simulation::SITES);
}

#[test]
fn every_probe_is_in_its_catalogue() {
    check("../core/src", "sometimes", forever_core::simulation::PROBES);
    check("../net-tokio/src", "sometimes", forever_net_tokio::simulation::PROBES);
}
