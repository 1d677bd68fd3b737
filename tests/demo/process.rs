//! The demo as a process.

use std::process::{ExitStatus, Output};

pub(crate) use crate::program::ACCESS_SECRET;
use crate::{
    browser::Browser,
    program::{Program, command},
};

/// A running demo; it ends with the test.
pub(crate) struct Demo(Program);

impl Demo {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(variables: &[(&str, &str)]) -> Self {
        Self(Program::start("demo", variables))
    }

    /// Starts the demo without settings.
    pub(crate) fn start_without_secrets() -> Self {
        Self(Program::launch(&mut command("demo", &[])))
    }

    pub(crate) fn url(&self) -> &str {
        self.0.url()
    }

    #[cfg(feature = "dbsc")]
    pub(crate) fn spki(&self) -> &str {
        self.0.spki()
    }

    /// Returns a browser without cookies.
    pub(crate) fn browser(&self) -> Browser {
        Browser::at(self.url())
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
    pub(crate) fn stop(self, signal: &str) -> ExitStatus {
        self.0.stop(signal)
    }
}

/// Runs a demo that exits because of invalid settings.
pub(crate) fn run_to_its_end(variables: &[(&str, &str)]) -> Output {
    command("demo", variables).env("RUST_LOG", "warn").output().expect("the demo starts")
}
