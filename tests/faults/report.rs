//! What the table in `docs/faults.md` expects, and the table that `scripts/test-faults` prints.

use std::{env, fs::OpenOptions, io::Write as _, thread, time::Duration};

use crate::ledger::Loss;

/// Whether faults last long, and the bounds are those of an idle machine.
pub(crate) fn is_long() -> bool {
    env::var("FAULTS").is_ok_and(|form| form == "long")
}

/// What clients see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Responses {
    /// Some responses are 503.
    Unavailable,
    /// All requests succeed, but a few that came at the wrong moment may be answered with 503.
    AlmostAsUsual,
    /// All requests succeed, later perhaps.
    AsUsual,
    /// A node refuses valid access tokens, so that clients refresh more often.
    Refused,
}

/// What a row of the table in `docs/faults.md` says.
pub(crate) struct Expected {
    pub(crate) responses: Responses,
    pub(crate) loss: Loss,
    /// Log lines at WARN and ERROR, of both nodes.
    pub(crate) lines: usize,
}

impl Expected {
    /// Reads the row of the test that runs on this thread.
    pub(crate) fn of_this_test() -> Self {
        let name = test();
        let cell = format!("| `tests/faults/matrix/{} |", name.replacen("::", ".rs::", 1) + "`");
        let page = include_str!("../../docs/faults.md");
        let Some(row) = page.lines().find(|line| line.ends_with(&cell)) else { panic!("no row ends with {cell}") };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let loss = match cells[3] {
            "nothing" => Loss::Nothing,
            "all" => Loss::All,
            recent => {
                let seconds = recent.strip_suffix(" s").and_then(|number| number.parse().ok());
                Loss::Recent(Duration::from_secs_f64(seconds.unwrap_or_else(|| panic!("no loss: {recent}"))))
            }
        };
        let responses = match cells[2] {
            "503" => Responses::Unavailable,
            "few 503" => Responses::AlmostAsUsual,
            "as usual" | "slower" => Responses::AsUsual,
            "401" => Responses::Refused,
            other => panic!("no responses: {other}"),
        };
        Self { responses, loss, lines: cells[4].parse().expect("a number of lines") }
    }
}

/// The name of the row, such as `network::jitter`.
fn test() -> String {
    let thread = thread::current();
    let name = thread.name().and_then(|name| name.strip_prefix("matrix::"));
    name.expect("a row runs on the thread of its test").to_owned()
}

/// A row of the report, appended to the file that `FAULTS_REPORT` names. Written when it is dropped, so that a row that
/// failed is there, too.
#[derive(Default)]
pub(crate) struct Row {
    pub(crate) requests: usize,
    pub(crate) unavailable: usize,
    pub(crate) longest_ms: u128,
    pub(crate) lines: usize,
    pub(crate) lost: usize,
    pub(crate) recovered_after: Option<f64>,
    pub(crate) passed: bool,
}

impl Drop for Row {
    fn drop(&mut self) {
        let Some(file) = env::var_os("FAULTS_REPORT") else { return };
        let name = test();
        let recovered = self.recovered_after.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.2}"));
        let Self { requests, unavailable, longest_ms, lines, lost, passed, .. } = self;
        let passed = if *passed { "yes" } else { "NO" };
        let row = format!("{name}\t{requests}\t{unavailable}\t{longest_ms}\t{lines}\t{lost}\t{recovered}\t{passed}\n");
        // One write, since rows run at the same time.
        let written = OpenOptions::new().create(true).append(true).open(&file);
        if let Err(error) = written.and_then(|mut file| file.write_all(row.as_bytes())) {
            assert!(thread::panicking(), "the report: {error}");
        }
    }
}
