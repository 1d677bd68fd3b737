//! The rows of `docs/faults.md` and the tests of the fault matrix are the same.

use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn every_row_of_the_fault_matrix_is_a_test_and_every_test_a_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/faults.md")).expect("the page");
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains("`tests/faults/matrix/"));
    let rows: Vec<String> = rows
        .map(|row| {
            let [_, fault, responses, _, _, test, _] = row.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
                panic!("not five cells: {row}")
            };
            assert!(!fault.is_empty() && ["503", "few 503", "401", "slower", "as usual"].contains(&responses), "{row}");
            test.trim_matches('`').to_owned()
        })
        .collect();
    let mut tests = BTreeSet::new();
    for entry in fs::read_dir(root.join("tests/faults/matrix")).expect("the tests") {
        let path = entry.expect("a file").path();
        let file = path.file_name().and_then(|name| name.to_str()).expect("a name of text").to_owned();
        let code = fs::read_to_string(&path).expect("a file of text");
        let marked = code.split("#[tokio::test]\nasync fn ").skip(1);
        tests
            .extend(marked.filter_map(|rest| Some(format!("tests/faults/matrix/{file}::{}", rest.split_once('(')?.0))));
    }
    assert!(tests.len() >= 10, "{tests:?}: the tests are not read");
    assert_eq!(rows.iter().cloned().collect::<BTreeSet<_>>(), tests);
    assert_eq!(rows.len(), tests.len(), "two rows of one test");
}
