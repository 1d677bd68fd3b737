//! Login and refresh relative to the unavoidable part: a bare `EVALSHA` of the same script, with the same arguments for
//! other users, through the same client and with as many tasks.

#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum_core::response::IntoResponse as _;
use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{
        ClusterHash, CustomCommand, Value,
        config::{Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy},
    },
};
use http::{HeaderMap, HeaderValue, header};
use tower_jwt_sessions::{KeyRing, SessionCookies, SessionManager, redis::RedisStore};

#[path = "../tests/support/redis_server.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with tests, which use all of it")]
mod redis_server;

const TASKS: usize = 64;
const ROUNDS: usize = 9;
/// The users of one round.
const USERS: usize = 6_000;

#[tokio::main]
async fn main() {
    let server = redis_server::RedisServer::start();
    let client = connect(&server.url()).await;
    let sessions = SessionManager::builder()
        .access_keys(KeyRing::hs256([1; 32]).expect("a long secret"))
        .refresh_keys(KeyRing::hs256([2; 32]).expect("a long secret"))
        .issuer("https://app.test")
        .store(RedisStore::new(client.clone()).expect("safe settings"))
        .build()
        .expect("a configuration that works");

    // From here on the server has the scripts.
    refresh(&sessions, &browser(Some(login(&sessions, "warm").await))).await;
    let monitor = Monitor::start(server.port());
    refresh(&sessions, &browser(Some(login(&sessions, "probe").await))).await;
    let steps = monitor.stop("EVALSHA");
    let [create, rotate] = steps.as_slice() else { panic!("a login and a refresh are two steps, not {}", steps.len()) };

    let (mut logins, mut refreshes) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let user = move |n: usize| format!("{round}-{n}");
        let cookies: Arc<[OnceLock<SessionCookies>]> = (0..USERS).map(|_| OnceLock::new()).collect();
        let create = Bare::new(&client, create, round);
        let rotate = Bare::new(&client, rotate, round);

        let bare = rate(move |n| create.clone().run(n)).await;
        let whole = rate({
            let (sessions, cookies) = (sessions.clone(), Arc::clone(&cookies));
            move |n| {
                let (sessions, cookies) = (sessions.clone(), Arc::clone(&cookies));
                async move { assert!(cookies[n].set(login(&sessions, &user(n)).await).is_ok()) }
            }
        })
        .await;
        logins.push((whole, bare));

        let browsers: Arc<[HeaderMap]> = cookies.iter().map(|cookies| browser(cookies.get().cloned())).collect();
        let bare = rate(move |n| rotate.clone().run(n)).await;
        let whole = rate({
            let sessions = sessions.clone();
            move |n| {
                let (sessions, browsers) = (sessions.clone(), Arc::clone(&browsers));
                async move { refresh(&sessions, &browsers[n]).await }
            }
        })
        .await;
        refreshes.push((whole, bare));
    }
    println!("{TASKS} tasks, medians of {ROUNDS} rounds of {USERS}, per second\n");
    println!("| | ratio | with tokens and cookies | bare EVALSHA |\n|---|---|---|---|");
    print("login", logins);
    print("refresh", refreshes);
}

/// Connects as `RedisStore::connect` does.
async fn connect(url: &str) -> Client {
    let config = Config::from_url(url).expect("a URL");
    let performance =
        PerformanceConfig { default_command_timeout: Duration::from_secs(5), ..PerformanceConfig::default() };
    let mut connection = ConnectionConfig { max_command_attempts: 1, ..ConnectionConfig::default() };
    connection.tcp.nodelay = Some(true);
    let policy = ReconnectPolicy::new_exponential(0, 50, 1_000, 2);
    let client = Client::new(config, Some(performance), Some(connection), Some(policy));
    client.init().await.expect("the server runs");
    client
}

async fn login(sessions: &SessionManager, user: &str) -> SessionCookies {
    sessions.login(user).await.expect("a login")
}

async fn refresh(sessions: &SessionManager, headers: &HeaderMap) {
    let presented = sessions.verifier().present(headers);
    let _cookies = sessions.refresh(&presented).await.expect("a refresh");
}

fn browser(cookies: Option<SessionCookies>) -> HeaderMap {
    let cookies = cookies.expect("a login has run");
    let response = cookies.into_response();
    let lines = response.headers().get_all(header::SET_COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs: Vec<&str> = lines.filter_map(|line| line.split(';').next()).collect();
    HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(&pairs.join("; ")).expect("cookies are ASCII"))])
}

/// Returns the operations per second over all users of a round.
async fn rate<F: Future<Output = ()> + Send + 'static>(
    step: impl Fn(usize) -> F + Clone + Send + Sync + 'static,
) -> f64 {
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let (next, step) = (Arc::clone(&next), step.clone());
        tasks.spawn(async move {
            loop {
                match next.fetch_add(1, Ordering::Relaxed) {
                    n if n < USERS => step(n).await,
                    _ => break,
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no step panics");
    }
    USERS as f64 / begun.elapsed().as_secs_f64()
}

fn print(name: &str, rates: Vec<(f64, f64)>) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let ratio = median(rates.iter().map(|(whole, bare)| whole / bare).collect());
    let (whole, bare) = rates.into_iter().unzip();
    println!("| {name} | {ratio:.2} | {:.0} | {:.0} |", median(whole), median(bare));
}

/// Returns the command of an operation, for the same session id of other users.
#[derive(Clone)]
struct Bare {
    client: Client,
    args: Arc<[Vec<u8>]>,
    round: usize,
}

impl Bare {
    fn new(client: &Client, captured: &[Vec<u8>], round: usize) -> Self {
        let mut args = captured.to_vec();
        // Script, number of keys, three keys, and then the deadline of the caller: none.
        args[5].clear();
        Self { client: client.clone(), args: args.into(), round }
    }

    async fn run(self, n: usize) {
        let user = format!("{{bare-{}-{n}}}", self.round);
        let args = self.args.iter().enumerate().map(|(at, arg)| match at {
            2 => Value::from(format!("sessions:{user}")),
            3 => Value::from(format!("session-data:{user}")),
            _ => Value::from(arg.as_slice()),
        });
        let command = CustomCommand::new_static("EVALSHA", ClusterHash::FirstKey, false);
        let reply: Value = self.client.custom(command, args.collect()).await.expect("the step succeeds");
        let Value::Array(reply) = reply else { panic!("a step returns a list") };
        let outcome = reply.get(1).and_then(Value::as_str);
        assert!(matches!(outcome.as_deref(), Some("created" | "rotated")), "{reply:?}");
    }
}

/// Records the commands that the server receives meanwhile.
struct Monitor(BufReader<TcpStream>);

impl Monitor {
    fn start(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server runs");
        stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
        stream.write_all(b"MONITOR\r\n").expect("the server listens");
        let mut lines = BufReader::new(stream);
        lines.read_line(&mut String::new()).expect("OK");
        Self(lines)
    }

    /// Returns the arguments of all commands with this name.
    fn stop(self, name: &str) -> Vec<Vec<Vec<u8>>> {
        let start = format!("\"{name}\" ");
        let lines = self.0.lines().map_while(Result::ok);
        lines.filter_map(|line| Some(arguments(line.split_once(&start)?.1))).collect()
    }
}

/// Parses quoted strings that are separated by spaces.
fn arguments(line: &str) -> Vec<Vec<u8>> {
    let (mut all, mut current, mut quoted) = (Vec::new(), Vec::new(), false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted => all.push(std::mem::take(&mut current)),
            '"' | ' ' if !quoted => {}
            '\\' => match chars.next().expect("something escaped") {
                'n' => current.push(b'\n'),
                'r' => current.push(b'\r'),
                't' => current.push(b'\t'),
                'a' => current.push(7),
                'b' => current.push(8),
                'x' => {
                    let hex: String = chars.by_ref().take(2).collect();
                    current.push(u8::from_str_radix(&hex, 16).expect("two digits"));
                }
                other => current.push(u8::try_from(other).expect("ASCII")),
            },
            other => current.push(u8::try_from(other).expect("ASCII")),
        }
        quoted ^= c == '"';
    }
    all
}
