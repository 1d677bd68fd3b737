//! The demo as a process.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::browser::Browser;

/// Far more than needed, even on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);

pub(crate) const ACCESS_SECRET: &str = "the access secret that all nodes of the tests share";
pub(crate) const REFRESH_SECRET: &str = "the refresh secret that all nodes of the tests share";

/// A running demo; it ends with the test.
pub(crate) struct Demo {
    process: Child,
    url: String,
}

impl Demo {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(variables: &[(&str, &str)]) -> Self {
        Self::launch(
            command(&[("JWT_SECRET", ACCESS_SECRET), ("REFRESH_SECRET", REFRESH_SECRET)])
                .envs(variables.iter().copied()),
        )
    }

    /// Starts the demo without settings.
    pub(crate) fn start_without_secrets() -> Self {
        Self::launch(&mut command(&[]))
    }

    fn launch(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("the demo starts");
        let output = process.stdout.take().expect("its output is piped");
        let (announce, announced) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("listening on ") {
                    let _ = announce.send(url.to_owned());
                }
            }
        });
        match announced.recv_timeout(READY_WITHIN) {
            Ok(url) => Self { process, url },
            Err(_) => {
                let _ = process.kill();
                panic!("the demo does not listen: its status is {:?}", process.wait());
            }
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns a browser without cookies.
    pub(crate) fn browser(&self) -> Browser {
        Browser::at(&self.url)
    }

    /// Returns a browser that has logged in.
    pub(crate) fn logged_in(&self, username: &str, password: &str) -> Browser {
        let mut browser = self.browser();
        browser.log_in(username, password).expect_status(200);
        browser
    }

    pub(crate) fn alice(&self) -> Browser {
        self.logged_in("alice", "wonderland")
    }

    pub(crate) fn bob(&self) -> Browser {
        self.logged_in("bob", "builder")
    }

    /// Sends a signal and waits until the process has exited.
    pub(crate) fn stop(mut self, signal: &str) -> ExitStatus {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {signal} failed");
        self.process.wait().expect("the demo ends")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a demo that exits because of invalid settings.
pub(crate) fn run_to_its_end(variables: &[(&str, &str)]) -> Output {
    command(variables).env("RUST_LOG", "warn").output().expect("the demo starts")
}

/// Returns a command without the settings of the environment of the tests.
fn command(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program());
    for name in [
        "REDIS_URL",
        "JWT_SECRET",
        "REFRESH_SECRET",
        "ACCESS_TTL",
        "REFRESH_TTL",
        "ABSOLUTE_TTL",
        "REPLAY_WINDOW",
        "MAX_SESSIONS",
    ] {
        command.env_remove(name);
    }
    command.env("PORT", "0").env("RUST_LOG", "off").stdin(Stdio::null()).envs(variables.iter().copied());
    command
}

/// This test is `target/…/deps/demo-…`, and the example is `target/…/examples/demo`.
fn program() -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    let directory = test.ancestors().nth(2).expect("a directory two levels up");
    let program = directory.join("examples").join(format!("demo{}", env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is missing: cargo build --example demo --all-features", program.display());
    program
}
