//! Requests per second over HTTP/1.1 with 32 connections, measured with wrk, which must be installed. Each app runs in
//! its own process on loopback; they are measured in turn.

use std::{
    env,
    io::Write as _,
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use peers::{BoxError, Peer, in_process, median, on_redis};
use tokio::net::TcpListener;

const ROUNDS: usize = 5;
const SECONDS: &str = "2";

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut peers = in_process().await?;
    if let Ok(url) = env::var("REDIS_URL") {
        peers.extend(on_redis(&url).await?);
    }
    match env::args().nth(1) {
        Some(name) => serve(peers.into_iter().find(|peer| peer.name == name).ok_or("no such app")?).await,
        None => compare(&peers.iter().map(|peer| peer.name).collect::<Vec<_>>()),
    }
}

/// Prints address and cookies, and serves until the process is killed.
async fn serve(peer: Peer) -> Result<(), BoxError> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}\n{}", listener.local_addr()?, peer.cookies.to_str()?);
    std::io::stdout().flush()?;
    axum::serve(listener, peer.app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

struct Server {
    process: Child,
    address: String,
    cookies: String,
}

impl Server {
    fn start(name: &str) -> Result<Self, BoxError> {
        use std::io::BufRead as _;
        let mut process = Command::new(env::current_exe()?).arg(name).stdout(Stdio::piped()).spawn()?;
        let stdout = process.stdout.take().ok_or("no output")?;
        let mut lines = std::io::BufReader::new(stdout).lines();
        let mut line = || lines.next().transpose()?.ok_or_else(|| BoxError::from("the server said nothing"));
        let (address, cookies) = (line()?, line()?);
        Ok(Self { process, address, cookies })
    }

    /// Returns the requests per second.
    fn load(&self) -> Result<f64, BoxError> {
        let cookies = format!("Cookie: {}", self.cookies);
        let output = Command::new("wrk")
            .args(["-t1", "-c32", "-d", SECONDS, "-H", &cookies])
            .arg(format!("http://{}/me", self.address))
            .output()
            .map_err(|error| format!("cannot run wrk, which must be installed: {error}"))?;
        let text = String::from_utf8(output.stdout)?;
        if text.contains("Non-2xx") {
            return Err(text.into());
        }
        let line = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")).ok_or("wrk counted nothing")?;
        Ok(line.trim().parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn compare(names: &[&str]) -> Result<(), BoxError> {
    let servers = names.iter().map(|name| Server::start(name)).collect::<Result<Vec<_>, _>>()?;
    let mut rates = vec![Vec::new(); servers.len()];
    for _ in 0..ROUNDS {
        for (server, rates) in servers.iter().zip(&mut rates) {
            rates.push(server.load()?);
        }
    }
    println!(
        "median of {ROUNDS} rounds of {SECONDS} s\n\n| | requests per second | of the bare route |\n|---|---|---|"
    );
    let bare = median(&rates[0]);
    for (name, rates) in names.iter().zip(&rates) {
        let rate = median(rates);
        println!("| {name} | {:.1} k | {:.0} % |", rate / 1e3, 100.0 * rate / bare);
    }
    Ok(())
}
