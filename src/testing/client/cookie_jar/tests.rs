//! Lines that browsers ignore or read in a particular way.

use super::*;

#[test]
fn cookie_jar_ignores_what_browsers_ignore() {
    const AT_FIRST: Timestamp = Timestamp::from_secs(0);
    let secure = Place { is_secure: true, host: "www.app.test", path: "/a/b" };
    let plain = Place { is_secure: false, ..secure };
    let long = "x".repeat(4097);
    for (line, from, expected) in [
        ("__Host-a=1; Path=/", secure, Err(IgnoredCookie::BrokenPrefix)),
        ("__Host-a=1; Secure", secure, Err(IgnoredCookie::BrokenPrefix)),
        ("__HOST-a=1; Secure; Path=/x", secure, Err(IgnoredCookie::BrokenPrefix)),
        ("__host-a=1; Secure; Path=/; Domain=app.test", secure, Err(IgnoredCookie::BrokenPrefix)),
        ("__secure-a=1", secure, Err(IgnoredCookie::BrokenPrefix)),
        ("=__Host-a=1; Secure; Path=/", secure, Err(IgnoredCookie::BrokenPrefix)),
        ("__Host-a; Secure; Path=/", secure, Err(IgnoredCookie::BrokenPrefix)),
        ("__Host-a=1; Secure; Path=/", secure, Ok(())),
        ("__Secure-a=1; SECURE; Domain=.App.Test", secure, Ok(())),
        ("a=1; Secure", plain, Err(IgnoredCookie::SecureOverHttp)),
        ("a=1; SameSite=None", secure, Err(IgnoredCookie::SameSiteNoneWithoutSecure)),
        ("a=1; SameSite=None; SameSite=Lax", secure, Ok(())),
        ("a=1; Domain=evil.test", secure, Err(IgnoredCookie::ForeignDomain)),
        ("a=1; Domain=pp.test", secure, Err(IgnoredCookie::ForeignDomain)),
        ("a=1; Domain=test", secure, Err(IgnoredCookie::ForeignDomain)),
        ("a=1; Domain=x.www.app.test", secure, Err(IgnoredCookie::ForeignDomain)),
        (&long, secure, Err(IgnoredCookie::TooLong)),
        ("=; Path=/", secure, Err(IgnoredCookie::Empty)),
        ("a=\u{1}", secure, Err(IgnoredCookie::ControlCharacter)),
    ] {
        assert_eq!(CookieJar::default().receive(line, from, AT_FIRST), expected, "{line}");
    }
    let kept = |line: &str| {
        let mut jar = CookieJar::default();
        jar.receive(line, secure, Timestamp::from_secs(1)).expect("an accepted line");
        jar.at(Timestamp::from_secs(1)).to_vec()
    };
    assert_eq!(kept("a=1")[0].path, "/a");
    assert_eq!(kept(&format!("a=1; Path=/{}", "x".repeat(1024)))[0].path, "/a", "an oversized attribute is ignored");
    assert_eq!(kept("a=1; Path=/x; Path=/y")[0].path, "/y");
    assert_eq!(kept("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT"), []);
    assert_eq!(
        kept("a=1; Max-Age=9; Expires=Thu, 01 Jan 1970 00:00:00 GMT")[0].expires_at,
        Some(Timestamp::from_secs(10))
    );
    assert_eq!(kept("a=1; Expires=Thu, 01 Jan 1970 00:01:00 GMT")[0].expires_at, Some(Timestamp::from_secs(60)));
    assert_eq!(
        kept("a=1; Expires=Fri, 31 Dec 2100 00:00:00 GMT")[0].expires_at,
        Some(Timestamp::from_secs(1 + 400 * 24 * 60 * 60))
    );
    assert_eq!(kept("a=1; Expires=soon")[0].expires_at, None);
    assert_eq!(kept("a=1; Max-Age=x")[0].expires_at, None);
    assert_eq!(kept("a=1; Max-Age=-5"), []);
    assert_eq!(
        kept("a=1; Max-Age=99999999999999999999")[0].expires_at,
        Some(Timestamp::from_secs(1 + 400 * 24 * 60 * 60))
    );

    let mut jar = CookieJar::default();
    jar.receive("a=1; Secure; Path=/", secure, AT_FIRST).expect("kept");
    assert_eq!(jar.receive("a=2; Path=/x", plain, AT_FIRST), Err(IgnoredCookie::OverlaysSecure));
    // A removal without the domain has no effect.
    jar.receive("a=3; Secure; Path=/; Domain=app.test", secure, AT_FIRST).expect("kept");
    jar.receive("a=; Path=/; Max-Age=0", secure, AT_FIRST).expect("kept");
    assert_eq!(jar.cookie_header(secure, AT_FIRST), "a=3");
    assert_eq!(jar.cookie_header(Place { host: "app.test", ..secure }, AT_FIRST), "a=3");
    assert_eq!(jar.cookie_header(plain, AT_FIRST), "");

    // A request from another site has some of them, a link a few more.
    let mut jar = CookieJar::default();
    for (name, same_site) in [("strict", "Strict"), ("lax", "Lax"), ("none", "None"), ("default", "")] {
        let line = format!("{name}=1; Secure; Path=/; SameSite={same_site}");
        jar.receive(&line, secure, AT_FIRST).expect("kept");
    }
    assert_eq!(jar.cross_site_cookie_header(secure, AT_FIRST, false), "none=1");
    assert_eq!(jar.cross_site_cookie_header(secure, AT_FIRST, true), "lax=1; none=1; default=1");
    jar.end_browser_session();
    assert_eq!(jar.cookie_header(secure, AT_FIRST), "");
}
