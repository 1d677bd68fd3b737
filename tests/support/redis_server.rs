//! Real Redis servers for tests. They keep nothing on disk and end with the test process.

use std::{
    collections::VecDeque,
    env,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// Starts the server, prints its process id, and kills it when its standard input closes: also when the test process
/// was killed, and although statics are never dropped. In a folder of its own, since a replica writes its data to disk,
/// and every server loads the data that it finds. From then on only the server holds the output, which so ends with it.
const GUARDIAN: &str = r#"folder=$(mktemp -d) || exit 1; server=$1; file=$2; shift 2
"$server" ${file:+"$file"} --dir "$folder" "$@" 2>&1 &
echo "pid $!"; exec >/dev/null; cat; kill -9 $!; wait; rm -rf "$folder""#;
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How many of the last lines of a server that ended are shown.
const LAST_LINES: usize = 5;

/// Options of a master that is copied as soon as a replica asks. By default it waits five seconds for others.
pub(crate) const COPIED_AT_ONCE: [&str; 2] = ["--repl-diskless-sync-delay", "0"];

pub(crate) struct RedisServer {
    port: u16,
    options: Vec<String>,
    guardian: Child,
    pid: u32,
}

impl RedisServer {
    /// A server of its own, for tests that stop it or configure it.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server of its own with further options, as on the command line of redis-server.
    pub(crate) fn start_with(options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        // Another process may take the port before the server binds it.
        for _ in 0..10 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let port = free.local_addr().expect("the port").port();
            drop(free);
            match launch(port, &options) {
                Ok((guardian, pid)) => return Self { port, options, guardian, pid },
                Err(Refusal::PortInUse) => {}
                Err(Refusal::Ended(said)) => panic!("{} does not start with {options:?}: {said}", binary()),
            }
        }
        panic!("every port was taken before {} could bind it", binary());
    }

    /// A sentinel, with this file for its configuration.
    pub(crate) fn start_sentinel(file: &str) -> Self {
        Self::start_with(&[file, "--sentinel"])
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills the server and waits until it has ended.
    pub(crate) fn kill(&mut self) {
        drop(self.guardian.stdin.take());
        self.guardian.wait().expect("the server's supervisor ends");
    }

    /// Restarts the server, empty, on the same port.
    pub(crate) fn restart(&mut self) {
        self.kill();
        (self.guardian, self.pid) = launch(self.port, &self.options).expect("the server starts on the same port");
    }

    /// Restarts the server with other options.
    pub(crate) fn restart_with(&mut self, options: &[&str]) {
        self.options = options.iter().map(ToString::to_string).collect();
        self.restart();
    }

    /// Stops the server from responding; it keeps its connections.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets the server respond again.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.pid.to_string()]).status().expect("kill(1) runs");
        assert!(status.success(), "kill {signal} failed");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The server that tests share, and a key prefix that no other test uses.
pub(crate) fn shared() -> (&'static RedisServer, String) {
    static SERVER: OnceLock<RedisServer> = OnceLock::new();
    static TESTS: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("t{}:", TESTS.fetch_add(1, Ordering::Relaxed));
    (SERVER.get_or_init(RedisServer::start), prefix)
}

/// Why a server did not start.
#[derive(Debug)]
enum Refusal {
    PortInUse,
    /// With the last lines that it wrote, and what helps.
    Ended(String),
}

fn binary() -> String {
    env::var("REDIS_SERVER_BIN").unwrap_or_else(|_| "redis-server".to_owned())
}

fn launch(port: u16, options: &[String]) -> Result<(Child, u32), Refusal> {
    let binary = binary();
    let mut version = Command::new(&binary);
    assert!(
        version.arg("--version").output().is_ok_and(|output| output.status.success()),
        "{binary} does not run: install Redis 6.2 or later (apt install redis-server), or set REDIS_SERVER_BIN to it"
    );
    // A file of settings precedes all options.
    let (file, options) = match options.split_first() {
        Some((file, others)) if !file.starts_with('-') => (file.as_str(), others),
        _ => ("", options),
    };
    let mut guardian = Command::new("sh")
        .args(["-c", GUARDIAN, "sh", &binary, file, "--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "notice"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh runs");
    let output = guardian.stdout.take().expect("its output is piped");
    let (ready, wait) = mpsc::channel();
    // Keeps reading after the server is ready, or it would block once the pipe is full.
    thread::spawn(move || {
        let (mut pid, mut said) = (None, VecDeque::new());
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("pid ") {
                pid = number.trim().parse::<u32>().ok();
            }
            if line.contains("Ready to accept connections") || line.contains("Sentinel ID is") {
                let _ = ready.send(pid.ok_or_else(|| Refusal::Ended("its process id is unknown".to_owned())));
            }
            let refusals = ["Failed listening on port", "Address already in use", "port number too high"];
            if refusals.iter().any(|refusal| line.contains(refusal)) {
                let _ = ready.send(Err(Refusal::PortInUse));
            }
            said.push_back(line);
            if said.len() > LAST_LINES {
                said.pop_front();
            }
        }
        let _ = ready.send(Err(Refusal::Ended(with_remedy(&Vec::from(said).join("\n")))));
    });
    let outcome = wait.recv_timeout(READY_WITHIN);
    match outcome.unwrap_or_else(|_| Err(Refusal::Ended("it was not ready in time".to_owned()))) {
        Ok(pid) => Ok((guardian, pid)),
        Err(refusal) => {
            drop(guardian.stdin.take());
            let _ = guardian.wait();
            Err(refusal)
        }
    }
}

/// The last lines of a server that ended, and what helps.
fn with_remedy(last: &str) -> String {
    let without_tls = ["Failed finding TLS support", "'tls-port", "Bad directive"];
    if last.contains("tls") && without_tls.iter().any(|sign| last.contains(sign)) {
        return format!(
            "it was compiled without TLS: set REDIS_SERVER_BIN to one that was compiled with it, as that of Debian \
             (apt install redis-server), or leave these tests out with `-- --skip tls::`\n{last}"
        );
    }
    last.to_owned()
}
