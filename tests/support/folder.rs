//! Folders for tests, such as those in which servers of a cluster keep what they know of each other.

use std::{
    env, fs,
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// A folder of a test. It is removed when this is dropped or the test process ends, since statics are never dropped.
pub(crate) struct Folder {
    path: PathBuf,
    guardian: Child,
}

impl Folder {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("tower-jwt-sessions-{}-{number}", process::id()));
        let mut guardian = Command::new("sh");
        fs::create_dir_all(&path).expect("a folder");
        guardian.args(["-c", r#"cat >/dev/null; rm -rf "$1""#, "sh"]).arg(&path).stdin(Stdio::piped());
        Self { path, guardian: guardian.spawn().expect("sh runs") }
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        let _ = self.guardian.wait();
    }
}
