//! A proxy between the browser and a server. It records all responses and breaks some of them on request.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    time::Instant,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};

use crate::chromium::{AGAIN, SOON};

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The server carries it out; the response is lost with its connection.
    Lost,
    /// The server carries it out; the response never arrives, and the connection stays open until the browser closes it.
    Swallowed,
    /// The proxy answers 503 itself.
    Unavailable,
}

/// Faults of the next requests to a path, and what was answered.
#[derive(Default)]
struct Plan {
    faults: VecDeque<(String, Fault)>,
    outage: Option<Fault>,
    answered: Vec<(String, u16)>,
    /// The paths of the requests that are not completed.
    open: Vec<String>,
}

impl Plan {
    fn fault(&mut self, path: &str) -> Option<Fault> {
        let found = self.faults.iter().position(|(of, _)| of == path);
        let single = found.and_then(|at| self.faults.remove(at)).map(|(_, fault)| fault);
        single.or(self.outage.filter(|_| !is_file(path)))
    }
}

/// Whether this is the page or one of its files: an outage of sessions does not concern them.
fn is_file(path: &str) -> bool {
    ["/", ".js", ".css"].iter().any(|end| path.ends_with(end))
}

/// Counts a request as open until it is dropped.
struct Open {
    plan: Arc<Mutex<Plan>>,
    path: String,
}

impl Open {
    fn new(plan: Arc<Mutex<Plan>>, path: String) -> Self {
        plan.lock().expect("no panic").open.push(path.clone());
        Self { plan, path }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let open = &mut self.plan.lock().expect("no panic").open;
        if let Some(at) = open.iter().position(|path| *path == self.path) {
            open.swap_remove(at);
        }
    }
}

pub(crate) struct Proxy {
    url: String,
    plan: Arc<Mutex<Plan>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy in front of the server at this URL.
    pub(crate) async fn to(url: &str) -> Self {
        let server = url.trim_start_matches("http://").replace("localhost", "127.0.0.1");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let plan = Arc::<Mutex<Plan>>::default();
        let accepting = tokio::spawn({
            let plan = plan.clone();
            async move {
                while let Ok((browser, _)) = listener.accept().await {
                    // A connection that breaks is nothing to report.
                    tokio::spawn(forward(browser, server.clone(), plan.clone()));
                }
            }
        });
        Self { url: format!("http://localhost:{port}"), plan, accepting }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Breaks the next request to this path.
    pub(crate) fn break_next(&self, path: &str, fault: Fault) {
        self.plan.lock().expect("no panic").faults.push_back((path.to_owned(), fault));
    }

    /// Breaks every request, except those for the page and its files, until this is called with `None`.
    pub(crate) fn break_all(&self, fault: Option<Fault>) {
        self.plan.lock().expect("no panic").outage = fault;
    }

    /// How many requests to a path are open.
    pub(crate) fn open(&self, path: &str) -> usize {
        self.plan.lock().expect("no panic").open.iter().filter(|open| *open == path).count()
    }

    /// Waits until this many requests to a path are open.
    pub(crate) async fn until_open(&self, path: &str, count: usize) {
        let begun = Instant::now();
        while self.open(path) != count {
            assert!(begun.elapsed() < SOON, "{} requests to {path} are open, not {count}", self.open(path));
            sleep(AGAIN).await;
        }
    }

    /// The statuses of the responses to a path so far, also of those that were lost.
    pub(crate) fn answered(&self, path: &str) -> Vec<u16> {
        let plan = self.plan.lock().expect("no panic");
        plan.answered.iter().filter(|(asked, _)| asked == path).map(|(_, status)| *status).collect()
    }

    /// The paths of all requests that were answered with this status.
    pub(crate) fn paths_with(&self, status: u16) -> Vec<String> {
        let plan = self.plan.lock().expect("no panic");
        plan.answered.iter().filter(|(_, answered)| *answered == status).map(|(path, _)| path.clone()).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Forwards one request and closes the connection after its response, except where the request asks for a WebSocket.
async fn forward(mut browser: TcpStream, server: String, plan: Arc<Mutex<Plan>>) -> io::Result<()> {
    let mut request = Vec::new();
    let head = loop {
        if let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end;
        }
        if browser.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    };
    let text = String::from_utf8_lossy(&request[..head]).into_owned();
    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let _open = Open::new(plan.clone(), path.clone());
    let fault = plan.lock().expect("no panic").fault(&path);
    if fault == Some(Fault::Unavailable) {
        plan.lock().expect("no panic").answered.push((path, 503));
        let answer =
            b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return browser.write_all(answer).await;
    }

    let mut upstream = TcpStream::connect(server).await?;
    if text.to_ascii_lowercase().contains("\r\nupgrade: websocket") {
        upstream.write_all(&request).await?;
    } else {
        let kept = text.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        let head_without = kept.collect::<Vec<_>>().join("\r\n");
        upstream.write_all(format!("{head_without}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
        upstream.write_all(&request[head + 4..]).await?;
    }
    // The rest of the request is sent while the first bytes of the response are awaited.
    let mut response = Vec::new();
    let mut rest = Vec::new();
    while response.len() < 12 {
        tokio::select! {
            read = upstream.read_buf(&mut response) => if read? == 0 { return Ok(()) },
            read = browser.read_buf(&mut rest) => {
                if read? == 0 { return Ok(()) }
                upstream.write_all(&rest).await?;
                rest.clear();
            }
        }
    }
    let status = String::from_utf8_lossy(&response[9..12]).parse().unwrap_or_default();
    plan.lock().expect("no panic").answered.push((path, status));
    match fault {
        Some(Fault::Lost) => return Ok(()),
        Some(Fault::Swallowed) => return until_closed(&mut browser).await,
        _ => {}
    }
    browser.write_all(&response).await?;
    copy_bidirectional(&mut browser, &mut upstream).await.map(drop)
}

async fn until_closed(browser: &mut TcpStream) -> io::Result<()> {
    while browser.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}
