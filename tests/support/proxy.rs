//! A network between nodes and a server that delays, cuts and loses what passes.

use std::{
    io,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

/// What happens to what passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Network {
    Works,
    /// Replies arrive this much later.
    Late(Duration),
    /// Each reply arrives up to this much later, in order.
    Jitters(Duration),
    /// Replies arrive byte by byte, one in a millisecond or two.
    Trickles,
    /// Replies are held, and arrive when the network works.
    Holds,
    /// One reply in this many is lost with its connection: the server has run the command.
    Loses(u64),
    /// One reply in this many is cut in the middle, and its connection reset.
    Cuts(u64),
    /// The peer vanished: nothing arrives in either direction, and no connection is closed. Connections of this time
    /// stay dead.
    IsSilent,
}

/// A proxy in front of a server. Its connections end when it is dropped.
pub(crate) struct Proxy {
    port: u16,
    network: watch::Sender<Network>,
    behind: Arc<AtomicU16>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("the port");
        let network = watch::Sender::new(Network::Works);
        let behind = Arc::new(AtomicU16::new(port));
        let accepting = tokio::spawn(accept(listener, network.subscribe(), Arc::clone(&behind)));
        Self { port: address.port(), network, behind, accepting }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn set(&self, network: Network) {
        self.network.send_replace(network);
    }

    /// Leads new connections to another server, as a name does that was changed.
    pub(crate) fn lead_to(&self, port: u16) {
        self.behind.store(port, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, network: watch::Receiver<Network>, behind: Arc<AtomicU16>) {
    while let Ok((client, _)) = listener.accept().await {
        // A server that is down: the connection closes at once.
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, behind.load(Ordering::Relaxed))).await else {
            let _ = client.set_zero_linger();
            continue;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        tokio::spawn(connection(client, server, network.clone()));
    }
}

/// Ends when either side closes, or when the proxy is gone.
async fn connection(client: TcpStream, server: TcpStream, mut network: watch::Receiver<Network>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (queue, queued) = mpsc::unbounded_channel();
    let is_dead = AtomicBool::new(*network.borrow() == Network::IsSilent);
    tokio::select! {
        () = requests(from_client, to_server, &is_dead) => {}
        () = read_replies(from_server, queue, &is_dead) => {}
        _ = write_replies(to_client, queued, network.clone()) => {}
        () = watch_for_silence(&mut network, &is_dead) => {}
    }
}

/// Returns when the proxy is gone.
async fn watch_for_silence(network: &mut watch::Receiver<Network>, is_dead: &AtomicBool) {
    while network.changed().await.is_ok() {
        if *network.borrow() == Network::IsSilent {
            is_dead.store(true, Ordering::Relaxed);
        }
    }
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_dead: &AtomicBool) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if !is_dead.load(Ordering::Relaxed) && to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

type Chunk = (Instant, Vec<u8>);

async fn read_replies(mut from: OwnedReadHalf, queue: mpsc::UnboundedSender<Chunk>, is_dead: &AtomicBool) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if !is_dead.load(Ordering::Relaxed) && queue.send((Instant::now(), bytes[..read].to_vec())).is_err() {
            return;
        }
    }
    if is_dead.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

async fn write_replies(
    mut to: OwnedWriteHalf,
    mut queued: mpsc::UnboundedReceiver<Chunk>,
    mut network: watch::Receiver<Network>,
) -> io::Result<()> {
    let mut due = Instant::now();
    while let Some((arrived, bytes)) = queued.recv().await {
        let now = *network.borrow_and_update();
        match now {
            Network::Works => to.write_all(&bytes).await?,
            Network::Late(by) => {
                sleep_until(arrived + by).await;
                to.write_all(&bytes).await?;
            }
            Network::Jitters(most) => {
                due = due.max(arrived + most.mul_f64(random(1000) as f64 / 1000.0));
                sleep_until(due).await;
                to.write_all(&bytes).await?;
            }
            Network::Trickles => {
                for byte in &bytes {
                    to.write_all(&[*byte]).await?;
                    sleep(Duration::from_millis(1)).await;
                }
            }
            Network::Holds => {
                let _ = network.wait_for(|network| *network != Network::Holds).await;
                to.write_all(&bytes).await?;
            }
            Network::Loses(one_in) if random(one_in) == 0 => return reset(to),
            Network::Cuts(one_in) if random(one_in) == 0 => {
                to.write_all(&bytes[..bytes.len() / 2]).await?;
                return reset(to);
            }
            Network::Loses(_) | Network::Cuts(_) => to.write_all(&bytes).await?,
            Network::IsSilent => std::future::pending::<()>().await,
        }
    }
    Ok(())
}

fn reset(connection: OwnedWriteHalf) -> io::Result<()> {
    let stream: &TcpStream = connection.as_ref();
    stream.set_zero_linger()
}

/// A number below the bound, the same ones in every run.
fn random(bound: u64) -> u64 {
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    let mut x = DRAWN.fetch_add(1, Ordering::Relaxed).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ (x >> 31)) % bound.max(1)
}
