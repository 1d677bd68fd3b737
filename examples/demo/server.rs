//! Listens on localhost and shuts down gracefully.

use std::{
    fmt,
    future::IntoFuture as _,
    io::{self, ErrorKind, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use axum::{
    Router,
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time};

/// How long requests may take after a shutdown was requested.
const GRACE: Duration = Duration::from_secs(10);

/// Resolves when the server stops, for connections that stay open.
#[derive(Clone)]
pub(crate) struct Stopping(watch::Receiver<()>);

impl Stopping {
    pub(crate) async fn requested(mut self) {
        // Fails when the sender is dropped, which is the signal.
        while self.0.changed().await.is_ok() {}
    }
}

/// Serves the router that `app` makes. What is announced goes to standard output, for people and for scripts that wait
/// for it; the log is on standard error.
pub(crate) async fn serve<L>(
    app: impl FnOnce(Stopping) -> Router,
    listeners: Vec<L>,
    announcement: &str,
) -> Result<(), String>
where
    L: Listener,
    L::Addr: fmt::Debug,
    for<'s> SocketAddr: Connected<IncomingStream<'s, L>>,
{
    // Before the address is printed, since a signal may follow at once.
    let mut shutdown = Shutdown::new().map_err(|error| format!("cannot listen for signals: {error}"))?;
    let _ = writeln!(io::stdout(), "{announcement}");

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
        () = time::sleep(GRACE) => tracing::warn!("requests aborted: they took too long"),
        // A second signal means to stop at once.
        () = shutdown.requested() => tracing::warn!("requests aborted: a second signal arrived"),
    }
    Ok(())
}

/// Listens at this port, 0 for a free one, and returns it. Clients that connect before the application serves them wait.
pub(crate) async fn listen(port: u16) -> Result<(Vec<TcpListener>, u16), String> {
    let failed = |error| format!("PORT: cannot listen on port {port}: {error}");
    let listeners = listen_on_both(port).await.map_err(failed)?;
    let bound = listeners.first().map_or(Ok(port), |first| Ok(first.local_addr()?.port()));
    Ok((listeners, bound.map_err(failed)?))
}

/// Listens on both addresses: "localhost" is 127.0.0.1 for some programs and ::1 for others.
async fn listen_on_both(port: u16) -> io::Result<Vec<TcpListener>> {
    let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let bound = v4.local_addr()?.port();
    match TcpListener::bind((Ipv6Addr::LOCALHOST, bound)).await {
        Ok(v6) => Ok(vec![v4, v6]),
        // Another program has it, and some clients would reach that one.
        Err(error) if error.kind() == ErrorKind::AddrInUse && port != 0 => Err(error),
        Err(error) => {
            tracing::debug!(%error, "not listening on ::1");
            Ok(vec![v4])
        }
    }
}

/// Ctrl-C, or SIGTERM, which service managers and container runtimes send.
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
            // The signal cannot be received: only the system can stop the process.
            std::future::pending().await
        }
    }
}
