//! `rediss://` against a real server with a certificate of an authority that only this test knows.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tower_jwt_sessions::{ConfigError, redis::RedisStore, store::SessionStore as _};

use super::redis::{id, new_session, user};
use crate::support::redis_server::RedisServer;

/// Which authorities are trusted is read from the environment, so a process of its own connects: this same test.
const CHILD: &str = "TEST_TLS_URL";
const NAME: &str = "store::tls::a_server_is_reached_over_tls_if_its_certificate_is_trusted";

#[tokio::test]
async fn a_server_is_reached_over_tls_if_its_certificate_is_trusted() {
    if let Ok(url) = env::var(CHILD) {
        return connect(&url).await;
    }
    let folder = Folder::new();
    let trusted = authority(&folder, "trusted");
    authority(&folder, "other");
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    fs::write(folder.path("server.pem"), certificate.signed_by(&key, &trusted).unwrap().pem()).unwrap();
    fs::write(folder.path("server.key"), key.serialize_pem()).unwrap();

    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let (pem, key, ca) = (folder.path("server.pem"), folder.path("server.key"), folder.path("trusted.pem"));
    let port = port.to_string();
    let tls = ["--tls-port", &port, "--tls-auth-clients", "no", "--tls-cert-file", &pem, "--tls-key-file", &key];
    let _server = RedisServer::start_with(&[&tls[..], &["--tls-ca-cert-file", &ca]].concat());

    let reach = |authority: &str, host: &str| -> Output {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(CHILD, format!("rediss://:the-password@{host}:{port}"))
            .env("SSL_CERT_FILE", folder.path(&format!("{authority}.pem")))
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap()
    };
    for (authority, host, expected) in [
        ("trusted", "localhost", "reached"),
        ("other", "localhost", "unreachable"),
        // The certificate is for another name.
        ("trusted", "127.0.0.1", "unreachable"),
    ] {
        let output = reach(authority, host);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(&format!("outcome: {expected}")), "{authority} at {host}: {text}");
        assert!(!text.contains("the-password"), "{text}");
    }
}

/// What the child does: connects, and uses the connection.
#[expect(clippy::print_stdout, reason = "this is how it answers")]
async fn connect(url: &str) {
    // The server has no password, so it is left out for those that get as far as to send it.
    let url = url.replace(":the-password@localhost", "localhost");
    match RedisStore::connect(&url).await {
        Ok(store) => {
            store.create(&new_session(1)).await.unwrap();
            assert!(store.find(&user(), id(1)).await.unwrap().is_some());
            println!("outcome: reached");
        }
        Err(error @ ConfigError::StoreUnreachable { .. }) => println!("outcome: unreachable, {error}"),
        Err(error) => panic!("{error}"),
    }
}

fn authority(folder: &Folder, name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.path(&format!("{name}.pem")), issuer.pem()).unwrap();
    issuer
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
