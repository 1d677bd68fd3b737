//! What the compiler says about the mistakes that users make most often.

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

/// Compiles the programs of `tests/compile-errors` and returns the errors of each by its name.
fn errors() -> BTreeMap<String, String> {
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Command::new(env!("CARGO"))
        .args(["check", "--locked", "--bins", "--keep-going", "--message-format=json", "--target-dir"])
        .arg(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| Path::new(root).join("target").into_os_string()))
        .current_dir(Path::new(root).join("tests/compile-errors"))
        .stderr(Stdio::piped())
        .output()
        .expect("cargo");
    let mut errors = BTreeMap::<String, String>::new();
    for line in String::from_utf8(output.stdout).expect("text").lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        let is_error = line["message"]["level"] == "error" && !line["message"]["spans"].as_array().unwrap().is_empty();
        if let (true, Some(name), Some(text)) =
            (is_error, line["target"]["name"].as_str(), line["message"]["rendered"].as_str())
        {
            errors.entry(name.to_owned()).or_default().push_str(text);
        }
    }
    assert!(!errors.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    errors
}

/// The name of this compiler. Another one may use other words.
fn compiler() -> String {
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("--version").output();
    String::from_utf8(output.expect("rustc").stdout).expect("text")
}

/// Leaves out what is different on each machine, and the notes that show places outside the program.
fn portable(error: &str) -> String {
    let mut parts: Vec<Vec<&str>> = Vec::new();
    for line in error.lines().map(str::trim_end) {
        let is_path = ["the full name for the type has been written", "consider using `--verbose`"];
        if is_path.iter().any(|text| line.contains(text)) {
            continue;
        }
        match parts.last_mut() {
            Some(part) if !["error", "note: ", "help: "].iter().any(|start| line.starts_with(start)) => part.push(line),
            _ => parts.push(vec![line]),
        }
    }
    let outside = |part: &Vec<&str>| part.iter().any(|line| line.trim_start().starts_with("--> /"));
    parts.retain(|part| !outside(part));
    parts.concat().iter().map(|line| format!("{line}\n")).collect()
}

/// The whole text is compared where the compiler is the one that wrote it. `BLESS=1` writes it anew.
#[test]
fn compile_errors_name_the_cure() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile-errors/cases");
    let (written_by, bless) = (cases.join("compiler"), env::var_os("BLESS").is_some());
    let mut errors = errors();
    let mut programs: Vec<_> = fs::read_dir(&cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    programs.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    assert!(programs.len() >= 10);
    if bless {
        fs::write(&written_by, compiler()).unwrap();
    }
    let is_same_compiler = fs::read_to_string(&written_by).unwrap() == compiler();
    for path in programs {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let error = portable(&errors.remove(name).unwrap_or_else(|| panic!("{name} compiles")));
        let program = fs::read_to_string(&path).unwrap();
        let cure =
            program.lines().next().unwrap().strip_prefix("// The error says: ").expect("a first line with the cure");
        assert!(error.contains(cure), "{name}: {cure:?} is not in\n{error}");
        let text = path.with_extension("stderr");
        if bless {
            fs::write(&text, &error).unwrap();
        }
        if is_same_compiler {
            assert_eq!(error, fs::read_to_string(&text).unwrap(), "{name}; BLESS=1 writes it anew");
        }
    }
    assert!(errors.is_empty(), "not expected: {errors:?}");
}
