//! The examples of this repository that are servers, as processes.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// Far more than needed, even on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);

pub(crate) const ACCESS_SECRET: &str = "the access secret that all nodes of the tests share";
pub(crate) const REFRESH_SECRET: &str = "the refresh secret that all nodes of the tests share";

/// A running server; it ends with the test.
pub(crate) struct Program {
    process: Child,
    url: String,
    #[cfg_attr(not(feature = "dbsc"), allow(dead_code, reason = "there is none"))]
    spki: String,
}

impl Program {
    /// Starts an example with the secrets of the tests.
    pub(crate) fn start(name: &str, variables: &[(&str, &str)]) -> Self {
        let secrets = [("JWT_SECRET", ACCESS_SECRET), ("REFRESH_SECRET", REFRESH_SECRET)];
        Self::launch(command(name, &secrets).envs(variables.iter().copied()))
    }

    pub(crate) fn launch(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("the program starts");
        let output = process.stdout.take().expect("its output is piped");
        let (announce, announced) = mpsc::channel();
        thread::spawn(move || {
            let mut spki = String::new();
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(digest) = line.strip_prefix("spki ") {
                    spki = digest.to_owned();
                }
                if let Some(url) = line.strip_prefix("listening on ") {
                    let _ = announce.send((url.to_owned(), spki.clone()));
                }
            }
        });
        match announced.recv_timeout(READY_WITHIN) {
            Ok((url, spki)) => Self { process, url, spki },
            Err(_) => {
                let _ = process.kill();
                panic!("the program does not listen: its status is {:?}", process.wait());
            }
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The hash of the key of its certificate; empty where it serves plain http.
    #[cfg(feature = "dbsc")]
    pub(crate) fn spki(&self) -> &str {
        &self.spki
    }

    /// Sends a signal and waits until the process has exited.
    pub(crate) fn stop(mut self, signal: &str) -> ExitStatus {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {signal} failed");
        self.process.wait().expect("the program ends")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns a command without the settings of the environment of the tests.
pub(crate) fn command(name: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(path(name));
    for name in [
        "REDIS_URL",
        "JWT_SECRET",
        "REFRESH_SECRET",
        "ACCESS_TTL",
        "REFRESH_TTL",
        "ABSOLUTE_TTL",
        "REPLAY_WINDOW",
        "MAX_SESSIONS",
        "DEMO_TLS",
        "BOUND_TTL",
    ] {
        command.env_remove(name);
    }
    command.env("PORT", "0").env("RUST_LOG", "off").stdin(Stdio::null()).envs(variables.iter().copied());
    command
}

/// This test is `target/…/deps/demo-…`, and an example is `target/…/examples/demo`.
fn path(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    let directory = test.ancestors().nth(2).expect("a directory two levels up");
    let program = directory.join("examples").join(format!("{name}{}", env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is missing: cargo build --all-features --example {name}", program.display());
    program
}
