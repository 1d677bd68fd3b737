//! The files of each top-level module import each other without circles.
//!
//! A re-export is no import: a name that `mod.rs` re-exports counts as a name of the file that defines it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Circles that are still to be removed. Each entry covers the circles among its files; one without a circle fails.
const ALLOWED: &[&[&str]] = &[];

/// The code of each file by its module path, as in `jwt::codec`.
type Files = BTreeMap<String, String>;

fn files(folder: &Path, parent: &str, found: &mut Files) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let module = match (parent, stem) {
            (_, "tests" | "lib") => continue,
            (parent, "mod") => parent.to_owned(),
            ("", stem) => stem.to_owned(),
            (parent, stem) => format!("{parent}::{stem}"),
        };
        if path.is_dir() {
            files(&path, &module, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let text = without_imports_for_docs(text);
            let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
            found.insert(module, code.collect::<Vec<_>>().join("\n"));
        }
    }
}

/// Without the imports that only links of the documentation need.
fn without_imports_for_docs(text: &str) -> String {
    let mut parts = text.split("#[cfg(doc)]\nuse ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.filter_map(|part| part.split_once(';')).fold(first, |code, (_, rest)| code + rest)
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A path that the code names, and the name by which an import makes it known.
#[derive(Debug, PartialEq)]
struct Named {
    path: Vec<String>,
    alias: Option<String>,
}

/// The paths of a use tree, which also may be a path within an expression.
fn tree<'a>(mut text: &'a str, prefix: &[String], found: &mut Vec<Named>) -> &'a str {
    let mut path = prefix.to_vec();
    loop {
        text = text.trim_start();
        if let Some(group) = text.strip_prefix('{') {
            text = group.trim_start();
            while !text.is_empty() && !text.starts_with('}') {
                let rest = tree(text, &path, found).trim_start();
                let rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
                if rest.len() == text.len() {
                    return "";
                }
                text = rest;
            }
            return text.strip_prefix('}').unwrap_or(text);
        }
        let name: String = text.chars().take_while(|c| is_name(*c) || *c == '*').collect();
        text = &text[name.len()..];
        if name != "self" || path.is_empty() {
            path.push(name);
        }
        match text.strip_prefix("::") {
            Some(rest) if rest.starts_with(|c: char| is_name(c) || matches!(c, '{' | '*')) => text = rest,
            _ => break,
        }
    }
    let renamed = text.trim_start().strip_prefix("as ").map(|rest| {
        let name: String = rest.trim_start().chars().take_while(|c| is_name(*c)).collect();
        text = &rest.trim_start()[name.len()..];
        name
    });
    let alias = renamed.or_else(|| path.last().cloned());
    found.push(Named { path, alias });
    text
}

/// What a file names in its own crate: the paths of `pub use` and of `use`, and those within the code.
struct Imports {
    children: BTreeSet<String>,
    reexported: Vec<Named>,
    used: Vec<Named>,
}

fn imports(code: &str) -> Imports {
    let mut children = BTreeSet::new();
    for (at, _) in code.match_indices("mod ") {
        let name: String = code[at + 4..].chars().take_while(|c| is_name(*c)).collect();
        if code[at + 4 + name.len()..].starts_with(';') {
            children.insert(name);
        }
    }
    let mut found = Imports { children, reexported: Vec::new(), used: Vec::new() };
    let mut at = 0;
    while let Some(next) = code[at..].find(is_name) {
        at += next;
        let name: String = code[at..].chars().take_while(|c| is_name(*c)).collect();
        let before = code[..at].trim_end();
        let begins = !code[..at].ends_with(':') || code[..at].ends_with(": ");
        let end = at + name.len();
        let root = matches!(name.as_str(), "super" | "self" | "crate") || found.children.contains(&name);
        if root && begins && code[end..].starts_with("::") {
            let mut named = Vec::new();
            let rest = tree(&code[at..], &[], &mut named);
            let statement = before.rsplit([';', '}', '{']).next().unwrap_or_default();
            let public = statement.contains("pub ") || statement.contains("pub(");
            if before.ends_with("use") && public {
                found.reexported.extend(named);
            } else {
                if !before.ends_with("use") {
                    named.iter_mut().for_each(|named| named.alias = None);
                }
                found.used.extend(named);
            }
            at = code.len() - rest.len();
        } else {
            at = end;
        }
    }
    found
}

/// The file that defines what `path` names in `module`. `None` where that is in another top-level module.
fn resolve(module: &str, path: &[String], all: &BTreeMap<String, Imports>, depth: usize) -> Option<String> {
    let mut at = module.to_owned();
    let mut segments = path;
    match segments.first()?.as_str() {
        "crate" => {
            let top = segments.get(1)?;
            if module.split("::").next() != Some(top) {
                return None;
            }
            at.clone_from(top);
            segments = &segments[2..];
        }
        "self" => segments = &segments[1..],
        _ => {}
    }
    while segments.first().is_some_and(|segment| segment == "super") {
        at = at.rsplit_once("::")?.0.to_owned();
        segments = &segments[1..];
    }
    for (n, segment) in segments.iter().enumerate() {
        let child = format!("{at}::{segment}");
        if all.contains_key(&child) {
            at = child;
            continue;
        }
        let file = all.get(&at)?;
        let known = file.reexported.iter().chain(&file.used).find(|named| named.alias.as_ref() == Some(segment));
        return match known {
            Some(named) if depth < 8 && (at != module || n > 0) => {
                // Imports of another top-level module are no edge here, whichever file names them.
                resolve(&at, &named.path, all, depth + 1)
            }
            _ => Some(at),
        };
    }
    Some(at)
}

/// The sets of files that import each other in circles.
fn circles(files: &Files) -> BTreeSet<Vec<String>> {
    let all: BTreeMap<String, Imports> = files.iter().map(|(module, code)| (module.clone(), imports(code))).collect();
    let mut reached: BTreeMap<&String, BTreeSet<String>> = all
        .iter()
        .map(|(module, imports)| {
            let targets = imports.used.iter().filter_map(|named| resolve(module, &named.path, &all, 0));
            (module, targets.filter(|target| target != module).collect())
        })
        .collect();
    loop {
        let mut grown = false;
        for module in all.keys() {
            let further: BTreeSet<String> = reached[module].iter().flat_map(|next| reached[next].clone()).collect();
            let targets = reached.get_mut(module).unwrap();
            let before = targets.len();
            targets.extend(further);
            grown |= targets.len() > before;
        }
        if !grown {
            break;
        }
    }
    let together = |a: &String, b: &String| reached[a].contains(b) && reached[b].contains(a);
    let circular = all.keys().filter(|module| reached[module].contains(*module));
    circular.map(|module| all.keys().filter(|other| together(module, other)).cloned().collect()).collect()
}

fn made_up(files: &[(&str, &str)]) -> BTreeSet<Vec<String>> {
    circles(&files.iter().map(|(module, code)| ((*module).to_owned(), (*code).to_owned())).collect())
}

fn set(files: &[&str]) -> BTreeSet<Vec<String>> {
    BTreeSet::from([files.iter().map(|file| (*file).to_owned()).collect()])
}

#[test]
fn circle_of_three_files_is_found() {
    let found = made_up(&[
        ("m", "mod a;\nmod b;\nmod c;\npub use a::A;\npub use crate::m::b::B;"),
        ("m::a", "use super::{b::{self, C}, d as e};"),
        ("m::b", "fn f() { crate::m::c::g() }"),
        ("m::c", "use super::A;"),
        ("n", "use crate::m::A;"),
    ]);
    assert_eq!(found, set(&["m::a", "m::b", "m::c"]));
}

#[test]
fn circle_of_parent_and_child_is_found() {
    assert_eq!(made_up(&[("m", "mod a;\nuse a::A;\nstruct M;"), ("m::a", "use super::M;")]), set(&["m", "m::a"]));
}

#[test]
fn reexports_and_other_modules_make_no_circle() {
    let found = made_up(&[
        ("m", "mod a;\nmod b;\npub(crate) use self::{a::A, b::B as C};\nuse crate::n::N;"),
        ("m::a", "use super::{C, N};\nuse crate::n::A;"),
        ("m::b", "use crate::n::B;\nfn f(a: &super::N) { a::b() }"),
        ("n", "use crate::m::A;"),
    ]);
    assert_eq!(found, BTreeSet::new());
}

#[test]
fn files_of_a_module_import_each_other_without_circles() {
    let mut found = Files::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut found);
    assert!(found.len() > 50, "{} files: the code is not read", found.len());
    let circles = circles(&found);
    let covers = |entry: &[&str], circle: &Vec<String>| circle.iter().all(|file| entry.contains(&file.as_str()));
    let new: Vec<_> = circles.iter().filter(|circle| !ALLOWED.iter().any(|entry| covers(entry, circle))).collect();
    assert!(new.is_empty(), "circles: {new:#?}");
    let gone: Vec<_> = ALLOWED.iter().filter(|entry| !circles.iter().any(|circle| covers(entry, circle))).collect();
    assert!(gone.is_empty(), "no circle left, remove: {gone:?}");
}
