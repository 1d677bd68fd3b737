//! Which module may import which: `src/lib.rs` lists the modules, this table orders them.
//!
//! A module imports only from rows above its own. The tests of a module may import anything.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Top to bottom: modules without imports come first. Modules of one row do not import each other.
const ROWS: &[&[&str]] = &[
    &["claims", "clock", "id", "log_lines", "pages"],
    &["problem"],
    &["error"],
    &["measure", "policy"],
    &["keys", "cookie"],
    &["jwt", "store", "token_response"],
    &["event"],
    &["health", "redis", "credentials", "dbsc"],
    &["revocation"],
    &["auth", "csrf"],
    &["guard", "manager"],
    &["renewal", "routes"],
    &["openapi"],
    &["testing"],
    &["guides"],
];

/// Crates that only some modules may name, so that their uses can be found and replaced.
const CONFINED: &[(&str, &[&str])] = &[
    ("fred", &["redis"]),
    ("jsonwebtoken", &["keys"]),
    ("aws_lc_rs", &["id", "keys"]),
    ("arc_swap", &["jwt", "auth"]),
    ("hmac", &["keys"]),
    ("sha2", &["jwt", "keys"]),
    ("zeroize", &["keys"]),
    ("base64_simd", &["id", "jwt"]),
    ("memchr", &["credentials"]),
    ("tower_cookies", &["cookie"]),
    ("tower_layer", &["auth", "csrf", "guard", "renewal"]),
    ("tower_service", &["auth", "csrf", "guard", "renewal"]),
    // The address of a request as the browser has it is an extension that only axum sets.
    ("axum", &["routes", "problem"]),
    ("form_urlencoded", &["routes"]),
    ("futures_core", &["routes"]),
    // The builders of manager and verifier take a function that renders responses.
    ("axum_core", &["pages", "problem", "error", "cookie", "token_response", "auth", "csrf", "guard", "manager"]),
    ("utoipa", &["openapi"]),
    ("metrics", &["measure"]),
];

fn row_of(module: &str) -> usize {
    ROWS.iter().position(|row| row.contains(&module)).unwrap_or_else(|| panic!("{module} is not in ROWS"))
}

/// Every source file with the name of its top-level module.
fn sources() -> Vec<(String, PathBuf)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                walk(&entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                found.push(entry);
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&src, &mut files);
    let module = |file: &Path| {
        let first = file.strip_prefix(&src).unwrap().components().next().unwrap();
        first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
    };
    files.into_iter().map(|file| (module(&file), file)).filter(|(module, _)| module != "lib").collect()
}

/// The code of a file: no comments, and nothing from its tests on.
fn code(file: &Path) -> String {
    if file.file_stem().is_some_and(|stem| stem == "tests") {
        return String::new();
    }
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The top-level modules that a file names after `crate::`, also within braces.
fn imports(code: &str) -> BTreeSet<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            let name = name(rest);
            // Exported macros are in the root, whichever module defines them.
            if !rest[name.len()..].starts_with('!') {
                found.insert(name);
            }
            continue;
        };
        let mut depth = 0;
        let mut begin = true;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begin = true,
                c if c.is_whitespace() => {}
                _ if begin && depth == 0 => {
                    found.insert(name(&group[at..]));
                    begin = false;
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn imports_are_read_from_paths_and_groups() {
    let code = "use crate::{\n    a::{B, c::D},\n    e,\n};\nuse crate::f::G;\nlet x = crate::h::i() + crate::j!();";
    assert_eq!(imports(code).into_iter().collect::<Vec<_>>(), ["a", "e", "f", "h"]);
}

#[test]
fn modules_import_only_from_rows_above() {
    let mut wrong = Vec::new();
    for (module, file) in sources() {
        for imported in imports(&code(&file)) {
            if imported != module && row_of(&imported) >= row_of(&module) {
                wrong.push(format!("{}: {module} imports {imported}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn confined_crates_are_named_only_in_their_modules() {
    let mut wrong = Vec::new();
    for (module, file) in sources() {
        let code = code(&file);
        for (krate, homes) in CONFINED {
            let named = code
                .match_indices(&format!("{krate}::"))
                .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'));
            if named && !homes.contains(&module.as_str()) && module != "testing" {
                wrong.push(format!("{}: {module} names {krate}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn source_files_have_at_most_450_lines_of_code() {
    for (_, file) in sources() {
        let lines = code(&file).lines().count();
        assert!(lines <= 450, "{} has {lines} lines of code: split it", file.display());
    }
}
