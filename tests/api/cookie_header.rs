//! Session cookies are found among others by exact name, and refused when they are ambiguous.

use crate::support::*;

const ANONYMOUS: &str = "hello, anonymous";

async fn greets(world: &World, lines: &[Vec<u8>]) -> String {
    let headers: Vec<(&str, &[u8])> = lines.iter().map(|line| ("cookie", &line[..])).collect();
    send(&world.app, "GET /greet", &headers).await.is(200).body.clone()
}

#[tokio::test]
async fn session_cookie_is_found_among_others() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let ours = format!("{ACCESS}={}", browser.access()).into_bytes();
    let junk: Vec<u8> = [b"x=".as_slice(), &[b'y'; 16_384]].concat();
    let around: [(&[u8], &[u8]); 16] = [
        (b"", b""),
        (b"  \t", b" \t "),
        (b"a=b; ", b"; c=d"),
        (b"a=b;", b";c=d"),
        (b";;;=;", b";;;"),
        (b"=x; ", b"; ="),
        (b"nonsense; ", b"; nonsense"),
        (b"x=\xe2\x80\x80; ", b"; x=%ff"),
        (b"\xff\xfe=\xff; ", b"; \xff"),
        (b"x=\"a; ", b"; b\""),
        (b"$Version=1; ", b"; $Path=/"),
        (b"__host-access=evil; ", b"; __HOST-ACCESS=evil"),
        (b"%5F%5FHost-access=evil; ", b"; __%48ost-access=evil"),
        (b"access=evil; ", b"; __Secure-access=evil"),
        (b"__Host-accessx=evil; ", b"; x__Host-access=evil"),
        (b"\xe2\x80\x80__Host-access=evil; ", b"; \xa0__Host-access=evil"),
    ];
    for (before, after) in around {
        let line = [before, &ours, after].concat();
        assert_eq!(greets(&world, &[line]).await, "hello, alice", "between {before:?} and {after:?}");
    }
    assert_eq!(greets(&world, &[[&junk, b"; ".as_slice(), &ours].concat()]).await, "hello, alice");
    assert_eq!(greets(&world, &[b"a=b".to_vec(), junk, ours.clone(), b"\xff".to_vec()]).await, "hello, alice");
    // Spaces around the equals sign, which browsers do not send.
    let spaced = [ACCESS.as_bytes(), b" =\t ", browser.access().as_bytes(), b" "].concat();
    assert_eq!(greets(&world, &[spaced]).await, "hello, alice");
}

#[tokio::test]
async fn cookies_of_similar_names_are_ignored() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let token = browser.access();
    for name in [
        "__host-access",
        "__HOST-access",
        "__Host-Access",
        "__Host-access ",
        "access",
        "_Host-access",
        "__Secure-access",
        "%5F%5FHost-access",
        "__%48ost-access",
        "__Host-acces%73",
        "\u{2000}__Host-access",
        "\u{85}__Host-access",
        "\u{a0}__Host-access",
        "\u{b}__Host-access",
        "\u{c}__Host-access",
        "=__Host-access",
        "\"__Host-access\"",
        "$__Host-access",
        "__Host-access[]",
        "__Host-access.0",
        "+__Host-access",
        "",
    ] {
        if name == "__Host-access " || name.contains(['\u{b}', '\u{c}']) {
            // A space is not part of a name; the other two are not allowed in a header.
            continue;
        }
        for line in [format!("{name}={token}"), format!("$Version=1,{name}={token}")] {
            assert_eq!(greets(&world, &[line.into_bytes()]).await, ANONYMOUS, "{name:?}");
        }
    }
    for line in [format!("{ACCESS} {token}"), format!("{ACCESS}:{token}"), ACCESS.to_owned(), token.clone()] {
        assert_eq!(greets(&world, &[line.into_bytes()]).await, ANONYMOUS);
    }
    for line in [format!("\"{ACCESS}={token}\""), format!("{ACCESS}=\"{token}\""), format!("{ACCESS}={token},a=b")] {
        assert_eq!(greets(&world, &[line.into_bytes()]).await, ANONYMOUS);
    }
}

#[tokio::test]
async fn duplicate_access_cookie_is_anonymous() {
    let world = World::new(Backend::Memory).await;
    let (mut alice, mut mallory) = (world.browser(), world.browser());
    alice.login("alice").await;
    mallory.login("mallory").await;
    let good = format!("{ACCESS}={}", alice.access()).into_bytes();
    for other in [format!("{ACCESS}={}", mallory.access()), format!("{ACCESS}="), format!("{ACCESS}=x")] {
        let other = other.into_bytes();
        for lines in [
            vec![[&good[..], b"; ", &other].concat()],
            vec![[&other[..], b"; ", &good].concat()],
            vec![good.clone(), other.clone()],
            vec![other.clone(), good.clone()],
            vec![other.clone(), b"a=b".to_vec(), good.clone()],
        ] {
            assert_eq!(greets(&world, &lines).await, ANONYMOUS);
            let headers: Vec<(&str, &Vec<u8>)> = lines.iter().map(|line| ("cookie", line)).collect();
            send(&world.app, "GET /me", &headers).await.is_problem(401, "invalid_token");
            assert_eq!(send(&world.app, "GET /why", &headers).await.body, "AmbiguousCookie");
        }
    }
    assert_eq!(greets(&world, &[good.clone(), good]).await, ANONYMOUS, "also when both are equal");
}

#[tokio::test]
async fn missing_or_invalid_cookie_of_pair_is_named_as_reason() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let access = format!("{ACCESS}={}", browser.access());
    let refresh = format!("{REFRESH}={}", browser.refresh_token());
    let bad = format!("{REFRESH}=x");
    for (cookies, reason) in [
        (access.clone(), "alice"),
        (format!("{access}; {bad}"), "alice"),
        (refresh.clone(), "OnlyRefreshToken"),
        (bad, "OnlyRefreshToken"),
        (format!("{refresh}; {ACCESS}="), "InvalidToken"),
        ("a=b".to_owned(), "NoCredentials"),
    ] {
        let headers = [("cookie", &cookies)];
        assert_eq!(send(&world.app, "GET /why", &headers).await.body, reason);
        let response = send(&world.app, "GET /me", &headers).await;
        match reason {
            "alice" => drop(response.is(200)),
            "NoCredentials" => drop(response.is_problem(401, "missing_credentials")),
            _ => drop(response.is_problem(401, "invalid_token")),
        }
    }
}

#[tokio::test]
async fn duplicate_refresh_cookie_is_refused() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.events();
    let good = format!("{REFRESH}={}", browser.refresh_token());
    for cookies in [format!("{good}; {good}"), format!("{good}; {REFRESH}=x"), format!("{REFRESH}=; {good}")] {
        let headers = [("cookie", &cookies)];
        send(&world.app, "POST /auth/refresh", &headers).await.is_problem(401, "invalid_refresh_token");
    }
    assert_eq!(world.events(), []);
    browser.refresh().await.is(200);
}
