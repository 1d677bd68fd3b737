//! nginx with the configuration of `docs/behind-a-proxy.md`, in which only ports and paths are replaced.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::folder::Folder;

const READY_WITHIN: Duration = Duration::from_secs(20);

/// Kills nginx when its standard input closes: also when the test process was killed.
const GUARDIAN: &str = r#""$@" & cat >/dev/null; kill -9 $!; wait"#;

pub(crate) struct Nginx {
    folder: Folder,
    port: u16,
    guardian: Child,
}

impl Nginx {
    /// Starts nginx in front of servers at these addresses.
    pub(crate) fn before(one: &str, two: &str) -> Self {
        let folder = Folder::new();
        let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        fs::write(folder.join("server.pem"), key.cert.pem()).expect("a file");
        fs::write(folder.join("server.key"), key.signing_key.serialize_pem()).expect("a file");
        // Another process may take the port before nginx binds it.
        for _ in 0..10 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let port = free.local_addr().expect("the port").port();
            drop(free);
            fs::write(folder.join("nginx.conf"), configuration(&folder, port, [one, two])).expect("a file");
            if let Some(guardian) = launch(&folder, port) {
                return Self { folder, port, guardian };
            }
        }
        let log = fs::read_to_string(folder.join("error.log")).unwrap_or_default();
        panic!("nginx does not start: {log}");
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// What nginx answered: the node that it asked (several, if the first was not available), the status, the path.
    pub(crate) fn answers(&self) -> Vec<[String; 3]> {
        let log = fs::read_to_string(self.folder.join("access.log")).expect("the log");
        log.lines()
            .map(|line| {
                let mut columns = line.splitn(3, '|').map(str::to_owned);
                [(); 3].map(|()| columns.next().unwrap_or_default())
            })
            .collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        let _ = self.guardian.wait();
    }
}

/// The configuration of the page, in the frame that a file of its own needs.
fn configuration(folder: &Folder, port: u16, nodes: [&str; 2]) -> String {
    let page = include_str!("../../docs/behind-a-proxy.md");
    let documented =
        page.split("```nginx\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a configuration");
    let path = |name: &str| folder.join(name).display().to_string();
    let address = |url: &str| url.trim_start_matches("http://").replace("localhost", "127.0.0.1");
    let mut site = documented.to_owned();
    for (from, to) in [
        ("127.0.0.1:3001", address(nodes[0])),
        ("127.0.0.1:3002", address(nodes[1])),
        ("listen 443 ", format!("listen 127.0.0.1:{port} ")),
        ("app.example.com;", "localhost;".to_owned()),
        ("/etc/ssl/app.example.com.pem", path("server.pem")),
        ("/etc/ssl/app.example.com.key", path("server.key")),
    ] {
        assert!(site.contains(from), "{from} is not in the configuration");
        site = site.replace(from, &to);
    }
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|kind| format!("    {kind}_temp_path {};\n", path(kind))).concat();
    format!(
        "daemon off;\nmaster_process off;\npid {pid};\nerror_log {errors};\nevents {{}}\nhttp {{\n{temporary}    log_format \
         short '$upstream_addr|$status|$request_uri';\n    access_log {log} short;\n{site}}}\n",
        pid = path("pid"),
        errors = path("error.log"),
        log = path("access.log"),
    )
}

/// `None` when nginx ended before it listened.
fn launch(folder: &Folder, port: u16) -> Option<Child> {
    let mut guardian = Command::new("sh")
        .args(["-c", GUARDIAN, "sh"])
        .arg(binary())
        .args([
            "-e".as_ref(),
            folder.join("error.log").as_os_str(),
            "-c".as_ref(),
            folder.join("nginx.conf").as_os_str(),
        ])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh runs");
    let begun = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if begun.elapsed() > READY_WITHIN {
            drop(guardian.stdin.take());
            let _ = guardian.wait();
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
    Some(guardian)
}

fn binary() -> PathBuf {
    let runs = |binary: &PathBuf| Command::new(binary).arg("-v").output().is_ok_and(|output| output.status.success());
    let named = env::var_os("NGINX_BIN").map(|name| vec![PathBuf::from(name)]);
    // Debian's is not in the path of all users.
    let places = named.unwrap_or_else(|| vec!["nginx".into(), "/usr/sbin/nginx".into()]);
    places.into_iter().find(runs).expect("nginx is missing: install it (apt install nginx), or set NGINX_BIN to it")
}
