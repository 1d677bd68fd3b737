//! The programs of `docs/access-tokens.md`, run as they stand there against a service with a JWK set: they accept the
//! access tokens of this crate, and no other ones.
//!
//! `scripts/test` installs PyJWT into `target/python` and jose into `target/npm`. `NODE_BIN` names another Node.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "to panic is how a test fails")]

mod service;
mod tokens;

#[path = "../support/folder.rs"]
mod folder;

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use self::{folder::Folder, service::Service, tokens::presented};

const PAGE: &str = include_str!("../../docs/access-tokens.md");

/// Reads tokens, one a line, and says of each whose it is, or that it is refused.
const PYTHON_CALLER: &str = r#"
import sys

for line in sys.stdin:
    try:
        print("accepted", read(line.strip())["sub"])
    except jwt.PyJWTError as error:
        assert not isinstance(error, jwt.PyJWKClientConnectionError), error
        print("refused", repr(error))
"#;

const NODE_CALLER: &str = r#"
import { createInterface } from "node:readline";

for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log("accepted", (await read(line)).sub);
  } catch (error) {
    if (!/^ERR_(JWT|JWS|JOSE|JWKS_NO_MATCHING_KEY)/.test(error.code)) throw error;
    console.log("refused", error.code, error.message);
  }
}
"#;

/// The program of the page in this language, with the URL of the keys of this service.
fn program(language: &str, service: &Service) -> String {
    let program = PAGE.split(&format!("```{language}\n")).nth(1).and_then(|rest| rest.split("```").next());
    let program = program.unwrap_or_else(|| panic!("no program in {language}"));
    let published = "https://app.example/auth/jwks.json";
    assert_eq!(program.matches(published).count(), 1, "the address of the keys");
    program.replace(published, &format!("{}/auth/jwks.json", service.url()))
}

/// A file or folder that `scripts/test` installs.
fn installed(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder").join(path);
    assert!(path.exists(), "{} is missing: scripts/test installs it", path.display());
    path
}

/// Gives all tokens to a program, and compares what it says of each.
fn check(command: &mut Command, service: &Service) {
    let tokens = presented(service);
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut input = process.stdin.take().expect("its input is piped");
    for token in &tokens {
        writeln!(input, "{}", token.text).expect("the program reads");
    }
    drop(input);
    let output = process.wait_with_output().expect("the program ends");
    assert!(output.status.success(), "the program failed");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said.len(), tokens.len(), "{said:#?}");
    for (token, said) in tokens.iter().zip(said) {
        match token.is_valid {
            true => assert_eq!(said, "accepted alice", "{}", token.what),
            false => assert!(said.starts_with("refused "), "{}: {said}", token.what),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pyjwt_accepts_access_tokens_and_nothing_else() {
    let (service, folder) = (Service::start().await, Folder::new());
    let file = folder.join("reader.py");
    fs::write(&file, program("python", &service) + PYTHON_CALLER).expect("a file");
    check(Command::new(installed("python/bin/python")).arg(&file), &service);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jose_accepts_access_tokens_and_nothing_else() {
    let (service, folder) = (Service::start().await, Folder::new());
    // Node looks for packages beside the program.
    std::os::unix::fs::symlink(installed("npm/node_modules"), folder.join("node_modules")).expect("a link");
    installed("npm/node_modules/jose/package.json");
    let file = folder.join("reader.mjs");
    fs::write(&file, program("js", &service) + NODE_CALLER).expect("a file");
    let node = env::var_os("NODE_BIN").unwrap_or_else(|| "node".into());
    check(Command::new(node).arg(&file), &service);
}
