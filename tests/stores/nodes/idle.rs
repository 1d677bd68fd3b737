//! Connections that a firewall forgets because they are idle.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::support::{
    nodes::{node, redis_store, soon},
    redis_server::RedisServer,
};

/// Each connection can be forgotten: nothing passes any more, and neither side is told.
struct Firewall {
    port: u16,
    connections: Arc<Mutex<Vec<Arc<Notify>>>>,
}

impl Firewall {
    async fn before(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections: Arc<Mutex<Vec<Arc<Notify>>>> = Arc::default();
        let accepted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let forgotten = Arc::new(Notify::new());
                accepted.lock().unwrap().push(Arc::clone(&forgotten));
                tokio::spawn(async move {
                    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        // Both stay open.
                        () = forgotten.notified() => std::future::pending().await,
                    }
                });
            }
        });
        Self { port, connections }
    }

    fn accepted(&self) -> usize {
        self.connections.lock().unwrap().len()
    }
}

#[tokio::test]
async fn forgotten_idle_connection_is_replaced_before_a_request_needs_it() {
    let server = RedisServer::start();
    let firewall = Firewall::before(server.port()).await;
    // The first connection is that of the steps, the second one that of the log, which is never idle.
    let store = redis_store(&format!("redis://127.0.0.1:{}", firewall.port), "").await;
    let node = node(store.clone()).build().unwrap();
    node.revocation_feed().caught_up().await;
    let _cookies = node.login("alice").await.unwrap();
    soon("the log is read", || firewall.accepted() == 2).await;
    firewall.connections.lock().unwrap()[0].notify_one();
    soon("the connection is replaced", || firewall.accepted() == 3).await;
    soon("the new one is ready", || format!("{store:?}").contains("connected: true")).await;
    let _cookies = node.login("alice").await.expect("the first request since then");
}
