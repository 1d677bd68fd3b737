//! Listening on localhost, and stopping without cutting anybody off.

use std::{
    future::IntoFuture as _,
    io::{self, ErrorKind, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use axum::Router;
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time};

/// How long requests that were begun may take to end once the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// Tells what stays open that the server stops.
#[derive(Clone)]
pub(crate) struct Stopping(watch::Receiver<()>);

impl Stopping {
    pub(crate) async fn requested(mut self) {
        // Fails when the sender is dropped, which is the signal.
        while self.0.changed().await.is_ok() {}
    }
}

/// Serves what `app` makes.
pub(crate) async fn serve(app: impl FnOnce(Stopping) -> Router, port: u16) -> Result<(), String> {
    let listeners = listen(port).await.map_err(|error| format!("PORT: cannot listen on port {port}: {error}"))?;
    // Before anybody learns that we run, and might want us to stop.
    let mut shutdown = Shutdown::new().map_err(|error| format!("cannot listen for signals: {error}"))?;
    announce(&listeners);

    let (stop, stopping) = watch::channel(());
    let stopping = Stopping(stopping);
    let app = app(stopping.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let mut servers = JoinSet::new();
    for listener in listeners {
        let server = axum::serve(listener, app.clone()).with_graceful_shutdown(stopping.clone().requested());
        servers.spawn(server.into_future());
    }
    shutdown.requested().await;
    tracing::info!("stopping");
    drop(stop);
    tokio::select! {
        _ = servers.join_all() => {}
        () = time::sleep(GRACE) => tracing::warn!("some requests took too long and were cut off"),
        // Whoever presses Ctrl-C again does not want to wait.
        () = shutdown.requested() => tracing::warn!("requests that were under way were cut off"),
    }
    Ok(())
}

/// "localhost" is 127.0.0.1 for some programs and ::1 for others, so both.
async fn listen(port: u16) -> io::Result<Vec<TcpListener>> {
    let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let bound = v4.local_addr()?.port();
    match TcpListener::bind((Ipv6Addr::LOCALHOST, bound)).await {
        Ok(v6) => Ok(vec![v4, v6]),
        // Somebody else's: half of the clients would end up there.
        Err(error) if error.kind() == ErrorKind::AddrInUse && port != 0 => Err(error),
        Err(error) => {
            tracing::debug!(%error, "not listening on ::1");
            Ok(vec![v4])
        }
    }
}

fn announce(listeners: &[TcpListener]) {
    if let Some(Ok(address)) = listeners.first().map(TcpListener::local_addr) {
        // On standard output, for people and for scripts that wait for it; the log is on standard error.
        let _ = writeln!(io::stdout(), "listening on http://localhost:{}", address.port());
    }
}

/// Ctrl-C, or SIGTERM, with which service managers and containers stop a program.
#[cfg(unix)]
struct Shutdown {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Shutdown {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Shutdown;

#[cfg(not(unix))]
impl Shutdown {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn requested(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            // Then only the system can stop us.
            std::future::pending().await
        }
    }
}
