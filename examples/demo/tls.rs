//! https for localhost, with a certificate that is made at start and that no authority has signed.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use axum::serve::Listener;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::PublicKeyData as _;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs::default_provider, pki_types::PrivateKeyDer},
    server::TlsStream,
};

/// A client that has not finished its handshake by then is disconnected.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long to wait after connections could not be accepted, such as for lack of file descriptors.
const PAUSE: Duration = Duration::from_secs(1);
/// How many connections may wait for the server after their handshake.
const WAITING: usize = 64;

/// A certificate with its key.
#[derive(Clone)]
pub(crate) struct Certificate {
    acceptor: TlsAcceptor,
    spki: String,
}

impl Certificate {
    /// Makes a key and a certificate for a host.
    pub(crate) fn generate(host: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let made = rcgen::generate_simple_self_signed([host.to_owned()])?;
        let info = made.signing_key.subject_public_key_info();
        let spki = STANDARD.encode(digest(&SHA256, &info));
        let key = PrivateKeyDer::from(made.signing_key);
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.into()], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: Arc::new(config).into(), spki })
    }

    /// The SHA-256 of its public key (SubjectPublicKeyInfo) in base64, as Chromium's flag
    /// `--ignore-certificate-errors-spki-list` takes it.
    pub(crate) fn spki(&self) -> &str {
        &self.spki
    }

    /// Serves TLS on the connections of a listener.
    pub(crate) fn listen(&self, listener: TcpListener) -> io::Result<TlsListener> {
        let address = listener.local_addr()?;
        let (sender, connections) = mpsc::channel(WAITING);
        tokio::spawn(accept(listener, self.acceptor.clone(), sender));
        Ok(TlsListener { connections, address })
    }
}

/// Connections after their handshake. Stops to listen when it is dropped.
pub(crate) struct TlsListener {
    connections: mpsc::Receiver<Connection>,
    address: SocketAddr,
}

type Connection = (TlsStream<TcpStream>, SocketAddr);

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Connection {
        match self.connections.recv().await {
            Some(connection) => connection,
            // The task that accepts them ends no sooner than this value.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Accepts connections until the receiver is gone. Each has its handshake in a task of its own, so that a slow client
/// delays no other.
async fn accept(listener: TcpListener, acceptor: TlsAcceptor, sender: mpsc::Sender<Connection>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = sender.closed() => return,
        };
        let (stream, address) = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        tokio::spawn(async move {
            match timeout(HANDSHAKE, acceptor.accept(stream)).await {
                // Fails when the server stops.
                Ok(Ok(stream)) => drop(sender.send((stream, address)).await),
                // Mostly a browser that does not trust the certificate.
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            }
        });
    }
}
