//! Checks statements of the documents about the code.

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
fn banned_crates_are_listed_for_cargo_deny_and_the_script() {
    let (deny, script) = (read("deny.toml"), read("scripts/test"));
    let banned = ["rsa", "openssl-sys", "ring"];
    for krate in banned {
        // The one exception is for an example: the script permits it to no user of the crate.
        let exception = if krate == "rsa" { ", wrappers = [\"openidconnect\"]" } else { "" };
        assert!(deny.contains(&format!("\n    {{ crate = \"{krate}\"{exception} }},\n")), "{krate}");
    }
    for rule in ["unknown-registry = \"deny\"", "unknown-git = \"deny\"", "[advisories]"] {
        assert!(deny.contains(rule), "{rule}");
    }
    assert!(script.contains("\nstep no_banned_crates\n") && script.contains(&format!("'^({}) '", banned.join("|"))));
}

/// The rows of the requirements: number, what is asked for, and where it is tested.
fn requirements() -> Vec<(usize, String, Vec<String>)> {
    let text = read("docs/requirements.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| R"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_end_matches('|').split(" | ").collect();
        let [number, what, tests] = cells[..] else { panic!("not three cells: {row}") };
        let tests = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        (number.parse().expect("a number"), what.to_owned(), tests)
    })
    .collect()
}

/// Returns whether this function is a test: marked as one, or run on every store.
fn is_test(source: &str, name: &str) -> bool {
    let Some(at) = source.find(&format!("fn {name}(")) else { return false };
    let before = source[..at].rsplit_once('\n').map_or("", |(before, _)| before);
    let attributes = || before.lines().rev().map(str::trim).take_while(|line| line.starts_with(['#', '/']));
    let marked = attributes().any(|line| line == "#[test]" || line.starts_with("#[tokio::test"));
    if attributes().any(|line| line.starts_with("#[ignore")) {
        return false;
    }
    let listed = source
        .split_once("on_every_store!(")
        .and_then(|(_, rest)| rest.split_once(");"))
        .is_some_and(|(cases, _)| cases.split(',').any(|case| case.trim() == name));
    marked || listed
}

/// Returns whether `mod` declarations lead from the root of a crate to this file; otherwise it is not compiled.
fn is_compiled(file: &Path) -> bool {
    let (Some(folder), Some(stem)) = (file.parent(), file.file_stem().and_then(|stem| stem.to_str())) else {
        return false;
    };
    if stem == "main" || file == Path::new("src/lib.rs") || folder == Path::new("tests") {
        return true;
    }
    let (module, home) = match (stem, folder.file_name().and_then(|name| name.to_str())) {
        ("mod", Some(name)) => (name, folder.parent().unwrap_or(folder)),
        _ => (stem, folder),
    };
    let parents = [home.join("main.rs"), home.join("mod.rs"), home.join("lib.rs"), home.with_extension("rs")];
    let declaration = format!("mod {module};");
    parents.iter().filter(|parent| *parent != file).any(|parent| {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(parent)).unwrap_or_default();
        let is_declaration =
            |line: &str| line == declaration || line.starts_with("pub") && line.ends_with(&declaration);
        text.lines().any(is_declaration) && is_compiled(parent)
    })
}

#[test]
fn every_requirement_names_tests_that_exist() {
    let rows = requirements();
    assert_eq!(rows.iter().map(|(number, ..)| *number).collect::<Vec<_>>(), (1..=107).collect::<Vec<_>>());
    for (number, what, tests) in rows {
        assert!(!tests.is_empty() || what.ends_with("Yours"), "R{number} has no test");
        for test in tests {
            let (file, name) = test.split_once("::").expect("a file and a name");
            assert!(is_test(&read(file), name), "R{number}: {test} is no test");
            assert!(is_compiled(Path::new(file)), "R{number}: no module has {file}");
        }
    }
}

/// Whether a text names a row, also as one of several: "(R38, R41)", "R1–R37".
fn names_row(text: &str, number: usize) -> bool {
    let numbers: Vec<(usize, usize, bool)> = text
        .match_indices('R')
        .filter_map(|(at, _)| {
            let digits: String = text[at + 1..].chars().take_while(char::is_ascii_digit).collect();
            let goes_on = text[at + 1 + digits.len()..].starts_with('–');
            Some((at, digits.parse().ok()?, goes_on))
        })
        .collect();
    numbers.iter().enumerate().any(|(n, (_, from, goes_on))| match (goes_on, numbers.get(n + 1)) {
        (true, Some((_, to, _))) => (*from..=*to).contains(&number),
        _ => *from == number,
    })
}

#[test]
fn deviations_and_duties_are_explained_in_security_page() {
    let page = read("docs/security.md");
    let chapter = |title: &str| {
        let rest = page.split(&format!("\n## {title}\n")).nth(1).expect("such a chapter");
        rest.split("\n## ").next().unwrap_or_default().to_owned()
    };
    let (decisions, duties) = (chapter("Decisions"), chapter("What stays yours"));
    for (number, what, _) in requirements() {
        assert_eq!(names_row(&decisions, number), what.contains("Decided otherwise"), "R{number}: {what}");
        assert_eq!(names_row(&duties, number), what.contains("Yours"), "R{number}: {what}");
    }
}

/// Checks the values of the table in `docs/security.md` that the API returns.
#[cfg(feature = "test-util")]
#[tokio::test]
async fn defaults_are_as_documented() {
    use axum_core::response::IntoResponse as _;
    use tower_jwt_sessions::{
        KeyRing, MemoryStore, SessionManager,
        policy::{MAX_CLOCK_SKEW, ReplayWindow, SessionLimit},
        testing::TestClock,
    };

    let page = read("docs/security.md");
    let said = |what: &str| {
        let row = page.lines().find(|line| line.starts_with(&format!("| {what} |"))).expect("a row of this name");
        row.split(" | ").nth(1).unwrap_or_default().to_owned()
    };
    let clock = TestClock::new();
    let sessions = SessionManager::<()>::builder()
        .access_keys(KeyRing::hs256([1; 32]).unwrap())
        .refresh_keys(KeyRing::hs256([2; 32]).unwrap())
        .issuer("https://app.test")
        .store(MemoryStore::with_clock(clock.clone()))
        .clock(clock)
        .build()
        .unwrap();
    let response = sessions.login("alice").await.unwrap().into_response();
    let lines = response.headers().get_all("set-cookie");
    let lines: Vec<&str> = lines.iter().map(|line| line.to_str().unwrap()).collect();
    for (line, name, max_age) in [(lines[0], "__Host-access", 3600), (lines[1], "__Host-refresh", 7 * 86_400)] {
        assert!(line.starts_with(name) && line.contains(&format!("; Max-Age={max_age}")), "{line}");
        for attribute in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(line.contains(attribute) && said("cookies").contains(attribute), "{line}");
        }
        assert!(said("cookies").contains(name));
    }
    assert_eq!(
        (said("lifetime of access tokens").as_str(), said("lifetime of refresh tokens and cookies").as_str()),
        ("1 hour", "7 days")
    );
    assert_eq!(said("lifetime of sessions"), "30 days");
    let ReplayWindow::UntilConfirmed(window) = ReplayWindow::default() else { panic!("another window") };
    assert!(said("superseded refresh token").contains(&format!("{} seconds after the first use", window.as_secs())));
    assert_eq!(said("sessions of one user"), SessionLimit::default().max().to_string());
    assert_eq!(said("allowed clock skew"), format!("{} seconds", MAX_CLOCK_SKEW.as_secs()));
}

/// The source files of the crate, without their comments and unit tests.
fn sources(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let code = |text: String| {
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
        code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
    };
    entries
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => sources(&path),
            Some(extension) if extension == "rs" => vec![code(fs::read_to_string(&path).expect("a file of text"))],
            _ => vec![],
        })
        .collect()
}

/// The literals of a piece of code.
fn literals(code: &str) -> Vec<&str> {
    code.split('"').skip(1).step_by(2).collect()
}

#[test]
fn operations_page_lists_metrics_events_and_log_lines() {
    let page = read("docs/operations.md");
    let code = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let row = |name: &str| page.lines().any(|line| line.starts_with(&format!("| `{name}` |")));
    let mut counted = BTreeSet::new();
    let mut logged = 0;
    for file in &code {
        counted.extend(literals(file).into_iter().filter(|literal| literal.starts_with("tower_jwt_sessions_")));
        for level in ["ERROR", "WARN"] {
            for call in file.split(&format!("tracing::{}!(", level.to_lowercase())).skip(1) {
                let call = call.split(");").next().unwrap_or_default();
                let Some(text) = literals(call).pop().filter(|text| *text != "{}" && *text != "{self}") else {
                    continue;
                };
                // Arguments of the format are in the row, too.
                let pieces: Vec<&str> = text.split(['{', '}']).step_by(2).collect();
                let is_listed = |line: &str| {
                    line.starts_with(&format!("| {level} |")) && pieces.iter().all(|piece| line.contains(piece))
                };
                assert!(page.lines().any(is_listed), "{level} {text:?} has no row");
                logged += 1;
            }
        }
    }
    assert!(counted.len() >= 3 && logged >= 10, "{counted:?}, {logged} texts: the code is not read");
    for name in counted {
        assert!(row(name), "{name} has no row");
    }

    let events = read("src/event.rs");
    let names = events.split("const fn name(").nth(1).expect("the names of the events");
    let names: BTreeSet<&str> = literals(names).into_iter().collect();
    assert!(names.iter().all(|name| row(name)), "{names:?}");
    let chapter = page.split("\n## Events\n").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a chapter");
    let listed = chapter.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(listed.collect::<BTreeSet<_>>(), names, "events that do not exist");
}

#[test]
fn builder_options_are_listed_in_their_table() {
    let source = read("src/manager/builder.rs");
    let options = source.split("    pub fn ").skip(1).filter(|method| {
        let signature = method.split(" {").next().unwrap_or_default();
        signature.contains("self") && signature.contains("-> Self")
    });
    let options: Vec<&str> = options.filter_map(|method| method.split(['(', '<']).next()).collect();
    assert!(options.len() > 20, "{options:?}");
    let table: String = source.lines().filter(|line| line.contains("| ") && line.contains("(Self::")).collect();
    for option in options {
        assert!(table.contains(&format!("[`{option}`](Self::{option})")), "{option}");
    }
}

/// The texts in backquotes.
fn quoted(page: &str) -> Vec<&str> {
    page.split('`').skip(1).step_by(2).filter(|text| !text.contains('\n')).collect()
}

#[test]
fn files_that_pages_name_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = 0;
    for page in ["CONTRIBUTING.md", "README.md", "docs/design.md", "docs/operations.md", "docs/security.md"] {
        let text = read(page);
        let folders = ["benches/", "docs/", "examples/", "fuzz/", "scripts/", "src/", "tests/"];
        let paths = quoted(&text).into_iter().filter(|path| folders.iter().any(|folder| path.starts_with(folder)));
        for path in paths.filter(|path| !path.contains([' ', ':', '*'])) {
            assert!(root.join(path).exists(), "{page} names {path}, which does not exist");
            named += 1;
        }
    }
    assert!(named > 60, "{named} names: the pages are not read");
}

/// The servers that the tests run on are those of the workflow and of the page.
#[test]
fn servers_of_the_tests_are_listed() {
    let (requirements, workflow, page) =
        (read("tests/servers/requirements.txt"), read(".github/workflows/ci.yml"), read("docs/redis.md"));
    let servers: Vec<&str> =
        requirements.lines().filter_map(|line| line.strip_prefix("# server ")?.split(' ').next()).collect();
    assert!(servers.len() > 4, "{servers:?}");
    assert!(workflow.contains(&format!("server: [{}]", servers.join(", "))), "{servers:?}");
    let rows: String =
        page.lines().filter(|line| line.starts_with("| Redis") || line.starts_with("| Valkey")).collect();
    for server in servers {
        let (name, version) = server.split_once('-').expect("a name and a version");
        assert!(rows.to_lowercase().contains(name) && rows.contains(version), "{server}");
    }
}

#[test]
fn every_module_has_a_row_in_the_contributors_page() {
    let guide = read("CONTRIBUTING.md");
    let table = guide.split("| module | purpose |").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a table");
    let rows = table.lines().filter_map(|line| line.split(" | ").next());
    let listed: BTreeSet<&str> = rows.flat_map(quoted).collect();
    let root = read("src/lib.rs");
    let declared =
        root.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'));
    assert_eq!(listed, declared.collect());
}
