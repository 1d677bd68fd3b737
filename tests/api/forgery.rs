//! Forged tokens are refused by every route with the same response, and change nothing in the store.

use tower_jwt_sessions::{
    clock::Clock as _,
    event::{RefreshKind, SessionEventKind as Event},
};

use crate::support::*;

/// A browser with a session, and assertions that a token is refused.
struct Subject {
    world: World,
    browser: Browser,
}

impl Subject {
    async fn new(backend: Backend) -> Self {
        let world = World::new(backend).await;
        let mut browser = world.browser();
        browser.login("alice").await;
        world.events();
        Self { world, browser }
    }

    fn access(&self) -> Forgery {
        Forgery::of(&self.browser.access(), ACCESS_SECRET)
    }

    fn refresh(&self) -> Forgery {
        Forgery::of(&self.browser.refresh_token(), REFRESH_SECRET)
    }

    /// As an access token: 401 with the one public code, anonymous where a session is optional.
    async fn refuses(&self, token: impl AsRef<[u8]>) {
        let cookie = [ACCESS.as_bytes(), b"=", token.as_ref()].concat();
        let headers = [("cookie", &cookie)];
        send(&self.world.app, "GET /me", &headers).await.is_problem(401, "invalid_token");
        assert_eq!(send(&self.world.app, "GET /greet", &headers).await.is(200).body, "hello, anonymous");
        send(&self.world.app, "GET /auth/sessions", &headers).await.is_problem(401, "invalid_token");
    }

    /// As a refresh token: 401, and no session changes.
    async fn refuses_refresh(&self, token: impl AsRef<[u8]>) {
        let cookie = [REFRESH.as_bytes(), b"=", token.as_ref()].concat();
        let headers = [("cookie", &cookie)];
        send(&self.world.app, "POST /auth/refresh", &headers).await.is_problem(401, "invalid_refresh_token");
        send(&self.world.app, "POST /auth/logout", &headers).await.is(200);
        send(&self.world.app, "POST /auth/logout-all", &headers).await.is_problem(401, "invalid_token");
    }

    /// Asserts that the session is unchanged.
    async fn assert_unchanged(mut self) {
        assert_eq!(self.world.events(), []);
        self.browser.get("/me").await.is(200);
        self.browser.refresh().await.is(200);
        assert_eq!(self.world.events(), [Event::Refreshed(RefreshKind::Rotated)]);
    }
}

#[tokio::test]
async fn tokens_of_other_headers_and_keys_are_refused() {
    let subject = Subject::new(Backend::Memory).await;
    for (good, is_access) in [(subject.access(), true), (subject.refresh(), false)] {
        let header = |from: &str, to: &str| {
            assert!(good.header.contains(from), "{}", good.header);
            good.clone().header(good.header.replace(from, to))
        };
        let mut forged = Vec::new();
        for none in ["none", "None", "NONE", "nOnE", "noNE", "none ", ""] {
            let without = header(r#""alg":"HS256""#, &format!(r#""alg":"{none}""#));
            forged.extend([without.unsigned(), without.signed()]);
        }
        for (from, to) in [
            (r#""alg":"HS256","#, ""),
            ("HS256", "hs256"),
            ("HS256", "HS256 "),
            ("HS256", "HS384"),
            ("HS256", "ES256"),
            (r#""HS256""#, r#"["HS256"]"#),
            (r#""HS256""#, "null"),
            (r#"{"#, r#"{"crit":["x"],"#),
            (r#"{"#, r#"{"crit":[],"#),
            (r#"{"#, r#"{"crit":["b64"],"b64":false,"#),
            (r#"{"#, r#"{"jku":"http://169.254.169.254/","#),
            (r#"{"#, r#"{"x5u":"https://evil.test/","#),
            (r#"{"#, r#"{"jwk":{"kty":"oct","k":"AAAA"},"#),
            (r#"{"#, r#"{"cty":"JWT","#),
            (r#"{"#, r#"{ "#),
            (r#"{"#, r#"{"alg":"none","#),
            (r#""kid":"#, r#""kid":"x","kid":"#),
            (r#""kid":""#, r#""kid":"../../dev/null"#),
            (r#""kid":""#, r#""kid":"x' UNION SELECT '1';--"#),
            ("+jwt", ""),
            (r#"jwt""#, r#"JWT""#),
        ] {
            forged.push(header(from, to).signed());
        }
        forged.push(good.clone().header(r#"{"alg":"HS256"}"#).signed());
        forged.push(good.clone().header(r#"{"typ":"JWT","alg":"HS256"}"#).signed());
        forged.push(good.clone().header("").signed());
        forged.push(good.clone().header("[]").signed());
        forged.push(good.unsigned());
        // Signed with other keys, including that of the other kind of token.
        let token = if is_access { subject.browser.access() } else { subject.browser.refresh_token() };
        for secret in ["", "secret", ISSUER, if is_access { REFRESH_SECRET } else { ACCESS_SECRET }] {
            forged.push(Forgery::of(&token, secret).signed());
        }
        for token in forged {
            match is_access {
                true => subject.refuses(token).await,
                false => subject.refuses_refresh(token).await,
            }
        }
    }
    subject.assert_unchanged().await;
}

#[tokio::test]
async fn other_spellings_of_token_are_refused() {
    let subject = Subject::new(Backend::Memory).await;
    let (access, refresh) = (subject.browser.access(), subject.browser.refresh_token());
    for token in respelled(&access) {
        subject.refuses(token).await;
    }
    for token in respelled(&refresh) {
        subject.refuses_refresh(token).await;
    }
    let parts: Vec<&str> = access.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    for token in [
        format!("{{\"protected\":\"{header}\",\"payload\":\"{payload}\",\"signature\":\"{signature}\"}}"),
        format!("{header}.{payload}.{signature}.{signature}.{signature}"),
        format!("{header}..{payload}.{signature}"),
        format!(".{access}"),
        format!("{access}."),
        format!("x.{access}"),
        format!("{access}.x"),
        format!("{access}.{access}"),
        format!("{access}{access}"),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!("{payload}.{header}.{signature}"),
        format!("Bearer {access}"),
        access.to_lowercase(),
    ] {
        subject.refuses(token).await;
    }
    subject.assert_unchanged().await;
}

/// Signed with the right key, with claims that are never issued.
#[tokio::test]
async fn invalid_claims_are_refused() {
    let subject = Subject::new(Backend::Memory).await;
    let good = subject.access();
    for (from, to) in [
        (r#""iss":"https://app.test""#, r#""iss":"https://app.test/""#),
        (r#""iss":"https://app.test""#, r#""iss":"HTTPS://app.test""#),
        (r#""iss":"https://app.test""#, r#""iss":["https://app.test"]"#),
        (r#""iss":"https://app.test","#, ""),
        (r#""aud":"https://app.test""#, r#""aud":"https://other.test""#),
        (r#""aud":"https://app.test""#, r#""aud":"https://app.test#refresh""#),
        (r#""aud":"https://app.test""#, r#""aud":["https://app.test"]"#),
        (r#""aud":"https://app.test""#, r#""aud":7"#),
        (r#""aud":"https://app.test""#, r#""aud":null"#),
        (r#""aud":"https://app.test","#, ""),
        (r#""sub":"alice""#, r#""sub":"""#),
        (r#""sub":"alice""#, r#""sub":null"#),
        (r#""sub":"alice""#, r#""sub":"mallory","sub":"alice""#),
        (r#""sub":"alice","#, ""),
        (r#""sid":""#, r#""sid":"A"#),
        (r#""gen":1"#, r#""gen":0"#),
        (r#""gen":1"#, r#""gen":01"#),
        (r#""gen":1"#, r#""gen":-1"#),
        (r#""gen":1"#, r#""gen":4294967297"#),
        (r#""epoch":0"#, r#""epoch":-0"#),
        (r#""epoch":0,"#, ""),
        (r#""role":"member""#, r#""role":7"#),
        (r#""role":"member""#, r#""role":"member","role":"admin""#),
        (r#""role":"member""#, r#""role":"member","x":1,"x":1"#),
        // A duplicate of a reserved claim among the application's, and claims of RFC 7519 that are not issued.
        (r#""role":"member""#, r#""role":"member","exp":9999999999"#),
        (r#""role":"member""#, r#""exp":9999999999,"role":"member""#),
        (r#""role":"member""#, r#""role":"member","\u0065xp":9999999999"#),
        (r#""role":"member""#, r#""role":"member","sub":"mallory""#),
        (r#""role":"member""#, r#""role":"member","iss":"https://evil.test""#),
        (r#""role":"member""#, r#""role":"member","aud":"https://other.test""#),
        (r#""role":"member""#, r#""role":"member","iat":0"#),
        (r#""role":"member""#, r#""role":"member","nbf":9999999999"#),
        (r#""role":"member""#, r#""role":"member","nbf":0"#),
        (r#""role":"member""#, r#""role":"member","jti":"x""#),
        (r#""role":"member""#, r#""role":"member","sid":"AAAAAAAAAAAAAAAAAAAAAA""#),
        (r#""role":"member""#, r#""role":"member","gen":2"#),
        (r#""role":"member""#, r#""role":"member","epoch":9"#),
        (r#""role":"member""#, r#""role":"member","auth_time":0"#),
        (r#","role":"member""#, ""),
        (r#""role":"member""#, r#""role":"member","#),
        (r#"{"iss""#, r#" {"iss""#),
        (r#"{"iss""#, "\u{feff}{\"iss\""),
        (r#"{"iss""#, r#"[{"iss""#),
        (r#","sub""#, r#", "sub""#),
    ] {
        subject.refuses(good.clone().claim(from, to).signed()).await;
    }
    for tail in ["x", "}", " {}", "\0"] {
        let payload = format!("{}{tail}", good.payload);
        subject.refuses(good.clone().payload(payload).signed()).await;
    }
    // The unchanged text signed by the same code is the issued token: the refusals above are due to the changes.
    assert_eq!(good.signed(), subject.browser.access());
    subject.assert_unchanged().await;
}

#[tokio::test]
async fn invalid_times_are_refused() {
    let subject = Subject::new(Backend::Memory).await;
    let now = subject.world.clock.now().as_secs();
    let (iat, exp) = (format!(r#""iat":{now}"#), format!(r#""exp":{}"#, now + 3600));
    let good = subject.access();
    for time in ["\"1\"", "null", "true", "-1", "1e999", "1.5", "[]", "0", "1", "01767229200", "99999999999999999999"] {
        subject.refuses(good.clone().claim(&exp, &format!(r#""exp":{time}"#)).signed()).await;
    }
    subject.refuses(good.clone().claim(&format!(",{exp}"), "").signed()).await;
    let at = |issued: u64, expires: u64| {
        let token = good.clone().claim(&iat, &format!(r#""iat":{issued}"#));
        token.claim(&exp, &format!(r#""exp":{expires}"#)).signed()
    };
    for (issued, expires, accepted) in [
        (now, now, false),
        (now, now + 1, true),
        (now - 1800, now + 1800, true),
        // Revocations are forgotten after the longest lifetime.
        (now, now + 3601, false),
        (now - 1, now + 3600, false),
        // Clocks may disagree by a minute.
        (now + 60, now + 3660, true),
        (now + 61, now + 3661, false),
    ] {
        let token = at(issued, expires);
        match accepted {
            // The store in memory knows that no token was issued before it began.
            true if issued < now => subject.refuses(token).await,
            true => {
                let cookie = format!("{ACCESS}={token}");
                send(&subject.world.app, "GET /me", &[("cookie", &cookie)]).await.is(200);
            }
            false => subject.refuses(token).await,
        }
    }
    subject.assert_unchanged().await;
}

#[tokio::test]
async fn tokens_of_other_kinds_are_refused() {
    let subject = Subject::new(Backend::Memory).await;
    let (access, refresh) = (subject.browser.access(), subject.browser.refresh_token());
    subject.refuses(&refresh).await;
    subject.refuses_refresh(&access).await;
    // Also when the other ring signs them, with either type in the header.
    let as_access = Forgery::of(&refresh, ACCESS_SECRET).header(subject.access().header);
    subject.refuses(as_access.signed()).await;
    let as_refresh = Forgery::of(&access, REFRESH_SECRET).header(subject.refresh().header);
    subject.refuses_refresh(as_refresh.signed()).await;
    subject.assert_unchanged().await;
}

#[tokio::test]
async fn malformed_and_oversized_tokens_are_refused() {
    let subject = Subject::new(Backend::Memory).await;
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for token in [
        Vec::new(),
        b".".to_vec(),
        b"..".to_vec(),
        b"x".to_vec(),
        b"\xff\xfe".to_vec(),
        b"eyJhbGciOiJIUzI1NiJ9".to_vec(),
        vec![b'A'; 4097],
        vec![b'.'; 65_536],
        [subject.browser.access().as_bytes(), &vec![b'A'; 65_536]].concat(),
        subject.access().claim(r#""role""#, &format!(r#""x":{nested},"role""#)).signed().into_bytes(),
        subject.access().claim(r#""member""#, &nested[9_000..11_000]).signed().into_bytes(),
    ] {
        subject.refuses(&token).await;
        subject.refuses_refresh(&token).await;
    }
    let crowd = "a=b; ".repeat(1000);
    let cookies = format!("{crowd}{}", subject.browser.cookies());
    send(&subject.world.app, "GET /me", &[("cookie", &cookies)]).await.is(200);
    subject.assert_unchanged().await;
}

#[tokio::test]
async fn tokens_outside_cookies_are_ignored() {
    let subject = Subject::new(Backend::Memory).await;
    let (access, refresh) = (subject.browser.access(), subject.browser.refresh_token());
    let none: [(&str, &str); 0] = [];
    for place in [format!("/me?access_token={access}"), format!("/me?{ACCESS}={access}")] {
        let response = send(&subject.world.app, &format!("GET {place}"), &none).await;
        response.is_problem(401, "missing_credentials");
    }
    let bearer = format!("Bearer {access}");
    for (name, value) in [("authorization", &bearer), ("x-access-token", &access), (ACCESS, &access)] {
        send(&subject.world.app, "GET /me", &[(name, value)]).await.is_problem(401, "missing_credentials");
    }
    let query = format!("POST /auth/refresh?refresh_token={refresh}&{REFRESH}={refresh}");
    send(&subject.world.app, &query, &none).await.is_problem(401, "missing_credentials");
    subject.assert_unchanged().await;
}

/// A change of one bit of any character.
#[tokio::test]
async fn token_with_any_changed_byte_is_refused() {
    let subject = Subject::new(Backend::Memory).await;
    let token = subject.browser.access().into_bytes();
    for n in 0..token.len() {
        for bit in [1, 2, 32] {
            let mut changed = token.clone();
            changed[n] ^= bit;
            // These end the cookie or are invalid in a header; other tests cover them.
            if !matches!(changed[n], b';' | b'=' | b' ' | b'\t' | 0..32 | 127) {
                let cookie = [ACCESS.as_bytes(), b"=", &changed].concat();
                let response = send(&subject.world.app, "GET /why", &[("cookie", &cookie)]).await;
                assert_eq!(response.body, "InvalidToken", "byte {n}, bit {bit}");
            }
        }
    }
    subject.assert_unchanged().await;
}
