//! The planted bugs fit the sources: `scripts/test-histories planted` builds and catches them.

use std::{fs, path::Path};

/// Returns the pieces of a patch: the file, and the lines that are there before it.
fn pieces(patch: &str) -> Vec<(String, String)> {
    let (mut pieces, mut file): (Vec<(String, String)>, _) = (Vec::new(), String::new());
    for line in patch.lines().skip_while(|line| !line.starts_with("--- a/")) {
        match line.split_at_checked(1) {
            _ if line.starts_with("+++ ") => {}
            _ if line.starts_with("--- a/") => line["--- a/".len()..].clone_into(&mut file),
            _ if line.starts_with("@@ ") => pieces.push((file.clone(), String::new())),
            Some((" " | "-", before)) => {
                let (_, lines) = pieces.last_mut().expect("a piece begins with @@");
                lines.push_str(&format!("{before}\n"));
            }
            _ => {}
        }
    }
    pieces
}

#[test]
fn planted_bugs_fit_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("tests/histories/README.md")).expect("the page");
    let mut found = 0;
    for patch in fs::read_dir(root.join("tests/histories/planted")).expect("the folder") {
        let path = patch.expect("an entry").path();
        let patch = fs::read_to_string(&path).expect("a text");
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a plain name");
        let pieces = pieces(&patch);
        assert!(!pieces.is_empty(), "{name} is no patch");
        for (file, before) in pieces {
            let source = fs::read_to_string(root.join(&file)).expect("a source file");
            assert!(source.contains(&before), "{file} has changed: plant the bug {name} in it again\n{before}");
        }
        assert!(readme.contains(&format!("| `{name}` |")), "{name} is not in the table of tests/histories/README.md");
        found += 1;
    }
    assert!(found > 12, "{found} bugs");
}
