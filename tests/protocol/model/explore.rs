//! Explores a model and reports its properties.

use std::{
    fmt::Debug,
    hash::Hash,
    io::{Write as _, stderr},
    time::Instant,
};

use stateright::{Checker as _, Expectation, HasDiscoveries, Model};

/// Explores every reachable state; no property may fail, and everything that should be possible must be.
pub(crate) fn holds<M>(name: &str, model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let began = Instant::now();
    let properties: Vec<_> =
        model.properties().into_iter().map(|property| (property.name, property.expectation)).collect();
    let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    for (property, expectation) in &properties {
        match (expectation, checker.discovery(property)) {
            (Expectation::Sometimes, None) => panic!("{name}: not reachable: {property}"),
            (Expectation::Sometimes, Some(_)) | (_, None) => {}
            (_, Some(path)) => {
                panic!("{name}: violated: {property}\n{:?}\n{:?}", path.clone().into_actions(), path.last_state())
            }
        }
    }
    let mut report = format!("{name}: {} states, {:.1?}\n", checker.unique_state_count(), began.elapsed());
    for (property, expectation) in properties {
        report.push_str(&format!("  {expectation:?}: {property}\n"));
    }
    print(&report);
}

/// Writes to standard error in one piece, so that passing tests show it, too.
pub(crate) fn print(report: &str) {
    stderr().write_all(report.as_bytes()).expect("standard error is writable");
}

/// Finds a path that violates this property, and reports its number of steps.
pub(crate) fn finds<M>(name: &str, model: M, broken: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let checker = model.checker().finish_when(HasDiscoveries::AnyOf([broken].into())).spawn_bfs().join();
    let path = checker
        .discovery(broken)
        .unwrap_or_else(|| panic!("{name}: not violated in {} states: {broken}", checker.unique_state_count()));
    print(&format!("{name}: breaks in {} steps: {broken}\n", path.into_actions().len()));
}
