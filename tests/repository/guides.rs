//! The guides and the README: every guide is found, every link leads somewhere, and code fits into the page.

use std::{collections::BTreeSet, fs, path::Path};

/// The columns of a code block that docs.rs shows without a scroll bar.
const COLUMNS: usize = 88;

/// Where the pages of this crate are on docs.rs.
const DOCS: &str = "https://docs.rs/tower-jwt-sessions/latest/tower_jwt_sessions/";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The modules that a file declares and that are part of the documentation.
fn modules(file: &str) -> BTreeSet<String> {
    let source = read(file);
    let declared = source.lines().filter_map(|line| line.trim_start().strip_prefix("pub mod "));
    declared.map(|rest| rest.trim_end_matches([';', '{', '}', ' ']).to_owned()).collect()
}

/// The pages in a folder, without their extension.
fn pages(folder: &str) -> BTreeSet<String> {
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("a folder");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("text"));
    names.filter_map(|name| Some(name.strip_suffix(".md")?.to_owned())).collect()
}

/// The lines of the code blocks that readers see, with the number of each.
fn code(page: &str) -> Vec<(usize, &str)> {
    let mut is_code = false;
    let mut found = Vec::new();
    for (n, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if is_code && line != "#" && !line.starts_with("# ") {
            found.push((n + 1, line));
        }
    }
    found
}

#[test]
fn every_guide_has_a_module_and_the_crate_page_leads_to_it() {
    let guides = modules("src/guides.rs");
    let mut files = pages("docs/guides");
    assert!(files.remove("index"), "the page of all guides");
    assert_eq!(guides, files);
    let (modules, readme, root, index) =
        (read("src/guides.rs"), read("README.md"), read("src/lib.rs"), read("docs/guides/index.md"));
    for guide in guides {
        assert!(modules.contains(&format!("include_str!(\"../docs/guides/{guide}.md\")")), "{guide} shows its text");
        assert!(readme.contains(&format!("]: {DOCS}guides/{guide}/\n")), "{guide} is linked by the README");
        assert!(root.contains(&format!("]: crate::guides::{guide}\n")), "{guide} is linked by the crate page");
        assert!(index.contains(&format!("](self::{guide}) |")), "{guide} is in the list of guides");
    }
}

#[test]
fn guides_are_one_task_each_and_say_what_goes_wrong() {
    for guide in modules("src/guides.rs") {
        let text = read(&format!("docs/guides/{guide}.md"));
        let lines = text.lines().count();
        assert!((60..=150).contains(&lines), "{guide} has {lines} lines");
        for part in ["**You have**", "**You\nwant**", "\n```rust\n", "\n# What to know\n", "\n# What goes wrong"] {
            let text = text.replace("**You want**", "**You\nwant**");
            assert!(text.contains(part), "{guide} has no {part:?}");
        }
        assert!(
            !text.contains("```rust,ignore") && !text.contains("```ignore"),
            "{guide} has code that is not compiled"
        );
    }
}

#[test]
fn code_of_readme_and_guides_fits_into_the_page() {
    let guides = pages("docs/guides").into_iter().map(|name| format!("docs/guides/{name}.md"));
    let mut wide = Vec::new();
    for page in guides.chain(["README.md".to_owned()]) {
        for (n, line) in code(&read(&page)) {
            let columns = line.chars().count();
            if columns > COLUMNS {
                wide.push(format!("{page}:{n}: {columns} columns"));
            }
        }
    }
    assert!(wide.is_empty(), "{wide:#?}");
}

/// The targets of inline links and of link definitions, outside of code.
fn targets(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_code = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        let inline = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let defined = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
        found.extend(inline.chain(defined).map(|target| target.trim().to_owned()));
    }
    found
}

#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (top, guides) = (modules("src/lib.rs"), modules("src/guides.rs"));
    let folders = ["", "docs", "docs/guides"].map(|folder| (folder, pages(folder)));
    let mut checked = 0;
    for (folder, names) in folders {
        for page in names.iter().map(|name| Path::new(folder).join(format!("{name}.md"))) {
            for target in targets(&read(page.to_str().expect("text"))) {
                checked += 1;
                let broken = || format!("{}: {target}", page.display());
                if let Some(path) = target.strip_prefix(DOCS) {
                    let parts: Vec<&str> = path.split('#').next().unwrap_or_default().split('/').collect();
                    let is_page = match parts[..] {
                        ["guides", guide, ""] => guide.is_empty() || guides.contains(guide),
                        [module, ""] => top.contains(module),
                        _ => false,
                    };
                    assert!(is_page, "{}", broken());
                } else if !target.contains("://") && !target.starts_with(['#', '<']) && !target.contains("::") {
                    let file = root.join(folder).join(target.split('#').next().unwrap_or_default());
                    assert!(file.exists(), "{}", broken());
                }
            }
        }
    }
    assert!(checked > 20, "{checked} links: the pages are not read");
}

/// A message without the marks around its names.
fn plain(message: &str) -> String {
    message.replace('`', "").replace("tower_jwt_sessions::manager::", "")
}

#[test]
fn what_the_compiler_says_is_explained() {
    let index = read("docs/guides/index.md");
    let table = index.split("| the compiler says |").nth(1).expect("a table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split(" | ").next().unwrap_or_default());
    let messages: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile-errors/cases");
    let files = fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    let texts = files.filter(|path| path.extension().is_some_and(|extension| extension == "stderr"));
    let errors: Vec<_> = texts.map(|path| plain(&fs::read_to_string(path).expect("text"))).collect();
    for error in &errors {
        assert!(messages.iter().any(|message| error.contains(message)), "no row for\n{error}");
    }
    for message in messages {
        assert!(errors.iter().any(|error| error.contains(message)), "the compiler does not say {message:?}");
    }
}

#[test]
fn texts_are_read_as_markdown() {
    let page = "[a](b.md) and [c](https://d)\n\n```rust\n# hidden\nlet x = [1](2);\n#[test]\n```\n\n[e]: f\n";
    assert_eq!(targets(page), ["b.md", "https://d", "f"]);
    assert_eq!(code(page).iter().map(|(_, line)| *line).collect::<Vec<_>>(), ["let x = [1](2);", "#[test]"]);
}

/// What people search for on crates.io.
#[test]
fn crate_is_found_by_what_it_does() {
    let manifest = read("Cargo.toml");
    let line = |name: &str| {
        let found = manifest.lines().find(|line| line.starts_with(&format!("{name} = ")));
        found.unwrap_or_else(|| panic!("no {name}")).to_lowercase()
    };
    let keywords = line("keywords");
    for word in ["login", "session", "auth"] {
        assert!(line("description").contains(word) && keywords.contains(&format!("\"{word}\"")), "{word}");
    }
}
