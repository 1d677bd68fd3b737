//! `rediss://` against a real server with a certificate of an authority of this test.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener},
    process::{Command, Output},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tower_jwt_sessions::{error::ConfigErrorKind, redis::RedisStore, store::SessionStore as _};

use super::redis::{cluster_of_one, id, new_session, user};
use crate::support::{folder::Folder, redis_server::RedisServer};

/// Trusted authorities are read from the environment, so a child process connects, which runs this same test.
const CHILD: &str = "TEST_TLS_URL";
const NAME: &str = "tls::tls_server_with_trusted_certificate_is_reached";

#[tokio::test]
async fn tls_server_with_trusted_certificate_is_reached() {
    if let Ok(url) = env::var(CHILD) {
        return connect(&url).await;
    }
    for scheme in ["rediss", "rediss-cluster"] {
        is_reached_if_trusted(scheme).await;
    }
}

async fn is_reached_if_trusted(scheme: &str) {
    let folder = Folder::new();
    let trusted = authority(&folder, "trusted");
    authority(&folder, "other");
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    fs::write(folder.join("server.pem"), certificate.signed_by(&key, &trusted).unwrap().pem()).unwrap();
    fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();

    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let path = |name| folder.join(name).to_str().unwrap().to_owned();
    let (pem, key, ca) = (path("server.pem"), path("server.key"), path("trusted.pem"));
    let port = port.to_string();
    let tls = ["--tls-port", &port, "--tls-auth-clients", "no", "--tls-cert-file", &pem, "--tls-key-file", &key];
    let tls = [&tls[..], &["--tls-ca-cert-file", &ca]].concat();
    let _server = if scheme == "rediss" {
        RedisServer::start_with(&tls)
    } else {
        cluster_of_one(&folder, &[&tls[..], &["--tls-cluster", "yes"]].concat()).await
    };

    let reach = |authority: &str, scheme: &str, host: &str| -> Output {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(CHILD, format!("{scheme}://:the-password@{host}:{port}"))
            .env("SSL_CERT_FILE", folder.join(&format!("{authority}.pem")))
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap()
    };
    let plain = scheme.replace("rediss", "redis");
    for (authority, scheme, host, expected) in [
        ("trusted", scheme, "localhost", "reached"),
        ("other", scheme, "localhost", "unreachable; UnknownIssuer; name a file with its certificate in SSL_CERT_FILE"),
        // The certificate is for another name.
        ("trusted", scheme, "127.0.0.1", "unreachable; its certificate is for other names"),
        ("missing", scheme, "localhost", "unreachable; missing.pem; SSL_CERT_FILE must name a readable file"),
        ("trusted", &plain, "localhost", "unreachable; requires TLS: write rediss://"),
        // With a password, the first command is another one.
        ("trusted", &plain, "127.0.0.1", "unreachable; requires TLS: write rediss://"),
    ] {
        let output = reach(authority, scheme, host);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let outcome = text.lines().find_map(|line| line.split_once("outcome: ")).unwrap_or_default().1;
        for part in expected.split("; ") {
            assert!(outcome.contains(part), "{scheme}, {authority} at {host}: {part} is not in {text}");
        }
        assert!(!text.contains("the-password"), "{text}");
    }
}

/// Connects in the child, and uses the connection.
#[expect(clippy::print_stdout, reason = "the parent reads the outcome")]
async fn connect(url: &str) {
    // The server has no password, so it is omitted where the handshake succeeds.
    let url = url.replace(":the-password@localhost", "localhost");
    match RedisStore::connect(&url).await {
        Ok(store) => {
            store.create(&new_session(1)).await.unwrap();
            assert!(store.find(&user(), id(1)).await.unwrap().is_some());
            println!("outcome: reached");
        }
        Err(error) if error.kind() == ConfigErrorKind::StoreUnreachable => println!("outcome: unreachable, {error}"),
        Err(error) => panic!("{error}"),
    }
}

fn authority(folder: &Folder, name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join(&format!("{name}.pem")), issuer.pem()).unwrap();
    issuer
}
