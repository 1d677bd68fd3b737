//! A proxy between the browser and a server. It records all responses and breaks some of them on request.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The server carries it out; the response is lost with its connection.
    Lost,
    /// The proxy answers 503 itself.
    Unavailable,
}

/// Faults of the next requests to a path, and what was answered.
#[derive(Default)]
struct Plan {
    faults: VecDeque<(String, Fault)>,
    answered: Vec<(String, u16)>,
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
    let fault = {
        let mut plan = plan.lock().expect("no panic");
        let found = plan.faults.iter().position(|(of, _)| *of == path);
        found.and_then(|at| plan.faults.remove(at)).map(|(_, fault)| fault)
    };
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
    if fault == Some(Fault::Lost) {
        return Ok(());
    }
    browser.write_all(&response).await?;
    copy_bidirectional(&mut browser, &mut upstream).await.map(drop)
}
