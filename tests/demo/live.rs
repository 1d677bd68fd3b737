//! Event streams and sockets, which close when the session ends on another node.

use std::{
    io::{BufRead as _, BufReader, Read},
    net::TcpStream,
    time::Duration,
};

use http::{StatusCode, header};
use serde_json::json;
use tungstenite::{
    Error, Message, WebSocket, client::IntoClientRequest as _, handshake::HandshakeError, protocol::CloseFrame,
};

use crate::{browser::Browser, nodes::two_nodes, process::Demo, redis_server::RedisServer};

const PATIENCE: Duration = Duration::from_secs(30);

/// The events of `/live`.
struct Events(BufReader<Box<dyn Read>>);

impl Events {
    fn of(browser: &Browser) -> Self {
        Self(BufReader::new(Box::new(browser.opened("/live").into_body().into_reader())))
    }

    /// Returns the name of the next event; `None` if the stream was closed.
    fn next(&mut self) -> Option<String> {
        let (mut name, mut line) = (None, String::new());
        loop {
            line.clear();
            if self.0.read_line(&mut line).expect("the stream is read") == 0 {
                return None;
            }
            match (line.trim_end(), &name) {
                ("", Some(_)) => return name,
                (field, _) => name = field.strip_prefix("event: ").map(str::to_owned).or(name),
            }
        }
    }

    /// Asserts that the stream ends. Ticks may come first; nothing comes after the end.
    fn expect_end(&mut self) {
        while let Some(event) = self.next() {
            if event == "ended" {
                assert_eq!(self.next(), None);
                return;
            }
            assert_eq!(event, "tick");
        }
        panic!("closed without an event");
    }
}

type Socket = WebSocket<TcpStream>;

fn connect(browser: &Browser, headers: &[(&'static str, &str)]) -> Result<Socket, StatusCode> {
    let host = browser.url().strip_prefix("http://").expect("http");
    let mut request = format!("ws://{host}/ws").into_client_request().expect("a request");
    let cookies = browser.cookie_header();
    for (name, value) in headers.iter().copied().chain([("cookie", cookies.as_str())]) {
        request.headers_mut().insert(name, value.parse().expect("a header"));
    }
    let stream = TcpStream::connect(host).expect("the demo listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(Error::Http(response))) => Err(response.status()),
        Err(error) => panic!("{error}"),
    }
}

fn echoes(socket: &mut Socket) {
    socket.send(Message::text("hello")).expect("an open socket");
    assert_eq!(socket.read().expect("an echo"), Message::text("hello"));
}

/// Returns the frame that closes the socket.
fn close_frame(socket: &mut Socket) -> CloseFrame {
    match socket.read().expect("a goodbye") {
        Message::Close(Some(frame)) => frame,
        other => panic!("{other:?}"),
    }
}

#[test]
fn streams_and_sockets_close_when_another_node_ends_the_session() {
    let redis = RedisServer::start();
    let (one, two) = two_nodes(&redis);
    let alice = one.alice();
    let mut there = alice.at_node(two.url());
    let mut other = two.alice();
    let (mut events, mut socket) = (Events::of(&alice), connect(&alice, &[]).expect("an open socket"));
    let (mut others, mut other_socket) = (Events::of(&other), connect(&other, &[]).expect("an open socket"));
    assert_eq!(events.next().as_deref(), Some("tick"));
    echoes(&mut socket);

    there.post("/auth/logout").expect_status(200);
    events.expect_end();
    let frame = close_frame(&mut socket);
    assert_eq!(u16::from(frame.code), 4401, "{frame:?}");

    // Another session of the same user is not affected.
    assert_eq!(others.next().as_deref(), Some("tick"));
    echoes(&mut other_socket);
    other.post("/auth/logout-all").expect_status(200);
    others.expect_end();
    assert_eq!(u16::from(close_frame(&mut other_socket).code), 4401);
}

#[test]
fn stream_ticks_every_second() {
    let demo = Demo::start();
    let alice = demo.alice();
    let mut events = Events::of(&alice);
    let begun = std::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(events.next().as_deref(), Some("tick"));
    }
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(1_500), "{took:?}");
}

#[test]
fn streams_and_sockets_survive_refresh_and_role_change() {
    let redis = RedisServer::start();
    let (one, two) = two_nodes(&redis);
    let bob = one.bob();
    let (mut events, mut socket) = (Events::of(&bob), connect(&bob, &[]).expect("an open socket"));
    bob.at_node(two.url()).post("/auth/refresh").expect_status(200);
    let mut alice = two.alice();
    alice.send("PUT", "/admin/users/bob/role", &json!({ "role": "admin" })).expect_status(200);
    for _ in 0..2 {
        assert_eq!(events.next().as_deref(), Some("tick"));
    }
    echoes(&mut socket);
    alice.delete("/admin/users/bob").expect_status(200);
    events.expect_end();
    assert_eq!(u16::from(close_frame(&mut socket).code), 4401);
}

#[test]
fn stream_and_socket_without_session_are_refused() {
    let demo = Demo::start();
    let mut anonymous = demo.browser();
    anonymous.get("/live").expect_problem(401, "missing_credentials");
    anonymous.get("/ws").expect_problem(401, "missing_credentials");
    assert_eq!(connect(&anonymous, &[]).unwrap_err(), StatusCode::UNAUTHORIZED);
}

#[test]
fn socket_from_other_origin_is_refused() {
    let demo = Demo::start();
    let alice = demo.alice();
    let own = alice.url();
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[("origin", "http://localhost:1")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), ("origin", "http://other.localhost")],
    ] {
        assert_eq!(connect(&alice, headers).unwrap_err(), StatusCode::FORBIDDEN, "{headers:?}");
    }
    alice.page_of_another_site().get("/ws").expect_problem(403, "cross_site_request");
    for headers in [&[("origin", own)][..], &[("sec-fetch-site", "same-origin"), ("origin", own)], &[]] {
        echoes(&mut connect(&alice, headers).expect("an open socket"));
    }
}

#[cfg(unix)]
#[test]
fn open_streams_do_not_delay_shutdown() {
    let demo = Demo::start();
    let alice = demo.alice();
    let (mut events, mut socket) = (Events::of(&alice), connect(&alice, &[]).expect("an open socket"));
    assert_eq!(events.next().as_deref(), Some("tick"));
    let begun = std::time::Instant::now();
    let closed = std::thread::spawn(move || (close_frame(&mut socket).code, socket.flush()));
    assert_eq!(demo.stop("-TERM").code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(u16::from(closed.join().expect("a close frame").0), 1001);
}

#[test]
fn stream_response_is_not_stored() {
    let demo = Demo::start();
    let alice = demo.alice();
    let response = alice.opened("/live");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
}
