//! chromedriver, which all tests share.

use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

const READY_WITHIN: Duration = Duration::from_secs(60);

/// Starts chromedriver in a process group of its own, to which its browsers belong, and kills that group when its
/// standard input closes: also when the test process was killed, and although statics are never dropped. Profiles of
/// the browsers are in a folder that is removed.
const GUARDIAN: &str = r#"set -m; folder=$(mktemp -d) || exit 1; TMPDIR=$folder "$1" --port=0 </dev/null &
cat >/dev/null; kill -9 -- "-$!"; wait; rm -rf "$folder""#;

struct Driver {
    url: String,
    _guardian: Child,
}

/// The address of chromedriver.
pub(crate) fn url() -> &'static str {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    &DRIVER.get_or_init(launch).url
}

/// The browser that chromedriver starts, if it is not to choose one.
pub(crate) fn chromium() -> Option<String> {
    env::var("CHROMIUM_BIN").ok()
}

fn launch() -> Driver {
    let binary = env::var("CHROMEDRIVER_BIN").unwrap_or_else(|_| "chromedriver".to_owned());
    assert!(
        Command::new(&binary).arg("--version").output().is_ok_and(|output| output.status.success()),
        "{binary} does not run: install Chromium and its driver (apt install chromium chromium-driver), or set \
         CHROMEDRIVER_BIN and CHROMIUM_BIN to them"
    );
    let mut guardian = Command::new("bash")
        .args(["-c", GUARDIAN, "bash", &binary])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("bash runs");
    let output = guardian.stdout.take().expect("its output is piped");
    let (announce, announced) = mpsc::channel();
    // Keeps reading after the driver is ready, or it would block once the pipe is full.
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                let _ = announce.send(port.trim_end_matches('.').to_owned());
            }
        }
    });
    let port = announced.recv_timeout(READY_WITHIN).expect("chromedriver starts: run it by hand to see why not");
    Driver { url: format!("http://127.0.0.1:{port}"), _guardian: guardian }
}
