//! What the documents say of the code is true.

use std::{collections::BTreeSet, fs, path::Path};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names under these headings of `Cargo.toml`.
fn dependencies(heading: &str) -> BTreeSet<String> {
    let manifest = read("Cargo.toml");
    let section = manifest.split(&format!("\n[{heading}]\n")).nth(1).expect("such a section");
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| Some(line.split_once(" = ")?.0.to_owned())).collect()
}

#[test]
fn every_direct_dependency_has_a_reason() {
    let guide = read("CONTRIBUTING.md");
    let tables = guide.split("## Dependencies, and why").nth(1).expect("such a chapter");
    let (theirs, tests) = tables.split_once("For tests").expect("a second table");
    let listed = |text: &str| -> Vec<String> {
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.map(|row| {
            let reason = row.split(" | ").nth(1).unwrap_or_default();
            assert!(reason.len() > 5, "no reason: {row}");
            row.split('`').next().unwrap_or_default().to_owned()
        })
        .collect()
    };
    let used = dependencies("dependencies");
    assert_eq!(listed(theirs), used.iter().cloned().collect::<Vec<_>>());
    let only_tests = dependencies("dev-dependencies").into_iter().filter(|name| !used.contains(name));
    assert_eq!(listed(tests), only_tests.collect::<Vec<_>>());
}

#[test]
fn the_list_of_what_must_not_be_in_the_tree_is_not_lost() {
    let (deny, script) = (read("deny.toml"), read("scripts/test"));
    for rule in ["{ crate = \"rsa\" }", "unknown-registry = \"deny\"", "unknown-git = \"deny\"", "[advisories]"] {
        assert!(deny.contains(rule), "{rule}");
    }
    assert!(script.contains("step no_rsa"));
}
