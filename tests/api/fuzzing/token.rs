//! Tokens: what is accepted is what a plain reading of the format accepts, and jsonwebtoken too, with equal claims.
//!
//! The first byte of an input says what the rest is, so that chance needs no key: as it stands `a` an access and `r` a
//! refresh token, `A` and `R` the payload of one to be signed, `H` and `J` its header and, after a line break, payload.

use std::{borrow::Cow, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header::COOKIE};
use serde_json::{Map, Value};

use crate::fuzzing::{
    members::Members,
    target::{ACCESS, ISSUER, Kind, NOW, REFRESH, SERVICE, Target, access_payload, refresh_payload},
};

pub(crate) const TARGET: Target = Target { check, seeds, words };

fn check(input: &[u8]) -> &'static str {
    let Some((what, rest)) = input.split_first() else { return "nothing" };
    let two_parts = || {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        (&rest[..end], rest.get(end + 1..).unwrap_or_default())
    };
    let (access, refresh) = (&SERVICE.access, &SERVICE.refresh);
    let signed = |token: String| Cow::Owned(token.into_bytes());
    let (is_access, token) = match what {
        b'a' => (true, Cow::Borrowed(rest)),
        b'r' => (false, Cow::Borrowed(rest)),
        b'A' => (true, signed(access.sign_payload(rest))),
        b'R' => (false, signed(refresh.sign_payload(rest))),
        b'H' => (true, signed(access.sign(two_parts().0, two_parts().1))),
        b'J' => (false, signed(refresh.sign(two_parts().0, two_parts().1))),
        _ => return "nothing",
    };
    let name = if is_access { ACCESS } else { REFRESH };
    let line = [name.as_bytes(), b"=", &token].concat();
    // Other bytes reach no program that speaks HTTP; what separates cookies is for the other target.
    let Ok(line) = HeaderValue::from_bytes(&line) else { return "nothing" };
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if token.contains(&b';') || is_blank(token.first()) || is_blank(token.last()) {
        return "nothing";
    }
    let headers = HeaderMap::from_iter([(COOKIE, line)]);
    let presented = SERVICE.verifier.present(&headers);
    let verified = SERVICE.verifier.verify(&headers).ok();
    assert_eq!(presented.session().is_some(), verified.is_some());
    match is_access {
        true => {
            let expected = plain_access(&token);
            assert_eq!(verified.is_some(), expected.is_some(), "{verified:?} but {expected:?}");
            let (Some(session), Some(plain)) = (verified, expected) else { return "refused" };
            assert_eq!(session.user_id().as_str(), plain.user);
            assert_eq!(session.id().to_string(), plain.session);
            assert_eq!(session.expires_in(), Duration::from_secs(plain.exp - NOW));
            assert_eq!(session.claims().as_object(), Some(&plain.app));
            agrees_with_jsonwebtoken(access, &token, ISSUER, &plain);
            "access accepted"
        }
        false => {
            let expected = plain_refresh(&token);
            assert_eq!(presented.has_refresh_token(), expected.is_some(), "{expected:?}");
            let Some(plain) = expected else { return "refused" };
            agrees_with_jsonwebtoken(refresh, &token, &format!("{ISSUER}#refresh"), &plain);
            "refresh accepted"
        }
    }
}

/// The parts of a token.
#[derive(Debug)]
struct Plain {
    user: String,
    session: String,
    generation: u32,
    epoch: Option<u32>,
    auth_time: u64,
    iat: u64,
    exp: u64,
    /// Empty also where a token has none.
    app: Map<String, Value>,
}

fn plain_access(token: &[u8]) -> Option<Plain> {
    let payload = plain_payload(&SERVICE.access, token)?;
    let plain = plain_claims(&payload, ISSUER, true)?;
    // Of this minute, for an hour at most, and not from before the store began.
    let is_now =
        plain.exp > NOW && (NOW..=NOW + 60).contains(&plain.iat) && plain.exp.saturating_sub(plain.iat) <= 3600;
    is_now.then_some(plain)
}

fn plain_refresh(token: &[u8]) -> Option<Plain> {
    let payload = plain_payload(&SERVICE.refresh, token)?;
    let plain = plain_claims(&payload, &format!("{ISSUER}#refresh"), false)?;
    // The store's clock decides their expiry, in the step.
    payload.ends_with(&format!(r#","exp":{}}}"#, plain.exp)).then_some(plain)
}

/// Returns the payload of a token whose header, signature and spelling are exactly those of issued tokens.
fn plain_payload(kind: &Kind, token: &[u8]) -> Option<String> {
    let token = std::str::from_utf8(token).ok().filter(|token| token.len() <= 4096)?;
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { return None };
    let bytes = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let is_ours = header == kind.header
        && signature == kind.signature(header, payload)
        && URL_SAFE_NO_PAD.encode(&bytes) == payload;
    String::from_utf8(bytes).ok().filter(|_| is_ours)
}

fn plain_claims(payload: &str, audience: &str, is_access: bool) -> Option<Plain> {
    let rest = payload.strip_prefix(&format!(r#"{{"iss":"{ISSUER}","aud":"{audience}","sub":"#))?;
    let (user, rest) = rest.split_once(r#","sid":""#)?;
    let (session, rest) = rest.split_once(r#"","gen":"#)?;
    let (generation, rest) = rest.split_once(if is_access { r#","epoch":"# } else { r#","auth_time":"# })?;
    let (epoch, rest) = match is_access {
        true => rest.split_once(r#","auth_time":"#).map(|(epoch, rest)| (Some(epoch), rest))?,
        false => (None, rest),
    };
    let (auth_time, rest) = rest.split_once(r#","iat":"#)?;
    let (iat, rest) = rest.split_once(r#","exp":"#)?;
    let (exp, rest) = rest.split_at(rest.find([',', '}'])?);
    let app = match rest {
        "}" => Map::new(),
        // No blank before the first name, and no comma with nothing behind it.
        rest => once(&format!("{{\"{}", rest.strip_prefix(",\"")?))?,
    };
    // In the one spelling that serde_json writes.
    let spelling = user;
    let user: String = serde_json::from_str(spelling).ok()?;
    (serde_json::to_string(&user).ok()? == spelling).then_some(())?;
    let is_id = |id: &str| URL_SAFE_NO_PAD.decode(id).is_ok_and(|bytes| bytes.len() == 16);
    let generation = number(generation).and_then(|n| u32::try_from(n).ok()).filter(|generation| *generation > 0)?;
    let epoch = match epoch {
        Some(epoch) => Some(u32::try_from(number(epoch)?).ok()?),
        None => None,
    };
    let plain = Plain {
        session: session.to_owned(),
        generation,
        epoch,
        auth_time: number(auth_time)?,
        iat: number(iat)?,
        exp: number(exp)?,
        app,
        user,
    };
    ((1..=255).contains(&plain.user.len()) && is_id(session)).then_some(plain)
}

/// Returns a number in its one spelling, of no more digits than always fit.
fn number(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text && text.len() < 20)
}

/// Verifies with strict settings and the same clock.
fn agrees_with_jsonwebtoken(kind: &Kind, token: &[u8], audience: &str, plain: &Plain) {
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    // Their clock is that of the system; ours was compared above.
    validation.validate_exp = false;
    #[expect(clippy::disallowed_methods, reason = "the oracle; the tests choose one backend")]
    let theirs = jsonwebtoken::decode::<Map<String, Value>>(token, &kind.decoding_key(), &validation);
    let mut theirs = theirs.expect("jsonwebtoken refuses an accepted token").claims;
    assert_eq!(theirs["sub"], plain.user);
    assert_eq!(theirs["sid"], plain.session);
    assert_eq!(theirs["gen"], plain.generation);
    assert_eq!(theirs.get("epoch").map(Value::to_string), plain.epoch.map(|epoch| epoch.to_string()));
    assert_eq!((&theirs["auth_time"], &theirs["iat"]), (&plain.auth_time.into(), &plain.iat.into()));
    assert_eq!(theirs["exp"], plain.exp);
    theirs
        .retain(|name, _| !["iss", "aud", "sub", "sid", "gen", "epoch", "auth_time", "iat", "exp"].contains(&&**name));
    assert_eq!(theirs, plain.app);
}

impl Kind {
    fn decoding_key(&self) -> jsonwebtoken::DecodingKey {
        jsonwebtoken::DecodingKey::from_secret(self.secret)
    }
}

/// Returns the members of an object without duplicates and reserved claims.
fn once(object: &str) -> Option<Map<String, Value>> {
    const OURS: [&str; 11] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "gen", "epoch", "auth_time"];
    let Members(members) = serde_json::from_str(object).ok()?;
    let count = members.len();
    let members: Map<String, Value> = members.into_iter().collect();
    (members.len() == count && !OURS.iter().any(|name| members.contains_key(*name))).then_some(members)
}

fn words() -> Vec<Vec<u8>> {
    let access = access_payload("alice");
    let mut words: Vec<Vec<u8>> = [
        r#"{"typ":"at+jwt","alg":"HS256","kid":""#,
        r#"","gen":"#,
        r#","epoch":"#,
        r#","auth_time":"#,
        r#","iat":"#,
        r#","exp":"#,
        r#","sid":""#,
        r#","nbf":"#,
        r#","role":"admin""#,
        r#","sub":"mallory""#,
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        "\\u0000",
        "\\ud800",
        "null",
        "true",
        "-1",
        "0",
        "00",
        "1e999",
        "1.0",
        ".",
        "..",
        "=",
        "A",
        "-_",
        "+/",
        "\u{feff}",
        "\u{1f980}",
        "\u{0}",
        " ",
        "\n",
        "4294967295",
        "4294967296",
        "18446744073709551615",
        "18446744073709551616",
        "a",
        "A",
        "r",
        "R",
        "H",
    ]
    .map(Into::into)
    .into();
    words.extend([NOW - 1, NOW, NOW + 1, NOW + 60, NOW + 61, NOW + 3600, NOW + 3601].map(|at| at.to_string().into()));
    words.extend([&SERVICE.access, &SERVICE.refresh].map(|kind| kind.header.clone().into_bytes()));
    words.extend([SERVICE.access.sign_payload(&access), access].map(String::into_bytes));
    words
}

fn seeds() -> Vec<Vec<u8>> {
    let (access, refresh) = (access_payload("alice"), refresh_payload("alice"));
    let (at, rt) = (SERVICE.access.sign_payload(&access), SERVICE.refresh.sign_payload(&refresh));
    let mut seeds = vec![
        // Valid tokens.
        format!("a{at}"),
        format!("r{rt}"),
        format!("A{access}"),
        format!("R{refresh}"),
        format!("A{}", access_payload("\u{1f980} \\\"quoted\\\" \\u0001")),
        format!("A{}", access.replace(r#","role":"member""#, "")),
        format!("A{}", access.replace("member", r#"x","teams":[7,{"a":null}],"more":"\u00fc"#)),
        // Access and refresh tokens exchanged.
        format!("a{rt}"),
        format!("r{at}"),
        format!("A{refresh}"),
        format!("R{access}"),
    ];
    // Spellings.
    let [header, payload, signature] = at.split('.').collect::<Vec<_>>()[..] else { unreachable!("three parts") };
    seeds.extend(
        [
            format!("{header}.{payload}."),
            format!("{header}.{payload}.{}", "A".repeat(43)),
            format!("{header}..{signature}"),
            format!(".{payload}.{signature}"),
            format!("{at}="),
            format!("{at}.{at}"),
            format!("x.{at}"),
            format!("{at}.x"),
            format!("{header}.{payload}.{signature}.{signature}.{signature}"),
            format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#),
            at.replace('.', "=."),
            format!("{}.{payload}.{}", header.replace('e', "f"), signature),
            "A".repeat(4097),
            ".".repeat(4096),
        ]
        .map(|token| format!("a{token}")),
    );
    // Headers, validly signed.
    let header = String::from_utf8(URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    for (from, to) in [
        ("HS256", "none"),
        ("HS256", "nOnE"),
        ("HS256", "hs256"),
        ("HS256", "HS384"),
        ("\"HS256\"", "null"),
        ("at+jwt", "JWT"),
        ("at+jwt", "AT+JWT"),
        ("at+jwt", "application/at+jwt"),
        ("at+jwt", "rt+jwt"),
        ("{", r#"{"crit":["exp"],"#),
        ("{", r#"{"crit":[],"#),
        ("{", r#"{"b64":false,"crit":["b64"],"#),
        ("{", r#"{"jku":"https://evil.test/","#),
        ("{", r#"{"jwk":{"kty":"oct","k":"AAAA"},"#),
        ("{", r#"{"cty":"JWT","#),
        ("{", r#"{"alg":"none","#),
        ("{", r#"{"x":1,"#),
        (r#""kid":""#, r#""kid":"../../dev/null"#),
        ("{", "{ "),
    ] {
        seeds.push(format!("H{}\n{access}", header.replacen(from, to, 1)));
    }
    seeds.push(format!("H{header}\n{access}"));
    // Claims, validly signed.
    for (from, to) in [
        (r#""iss":"https://app.test""#, r#""iss":["https://app.test"]"#),
        (r#""iss":"https://app.test""#, r#""iss":"https://app.test/""#),
        (r#""aud":"https://app.test""#, r#""aud":7"#),
        (r#""aud":"https://app.test""#, r#""aud":["https://app.test"]"#),
        (r#""sub":"alice""#, r#""sub":"""#),
        (r#""sub":"alice""#, r#""sub":"mallory","sub":"alice""#),
        (r#""sub":"alice","#, ""),
        (r#""gen":3"#, r#""gen":0"#),
        (r#""gen":3"#, r#""gen":03"#),
        (r#""gen":3"#, r#""gen":4294967296"#),
        (r#""epoch":2,"#, ""),
        (r#","role":"member""#, ","),
        (r#","role""#, r#", "role""#),
        (r#""role""#, r#""role":"admin","role""#),
        (r#""role""#, r#""exp":9999999999,"role""#),
        (r#""role""#, r#""\u0065xp":9999999999,"role""#),
        (r#""role""#, r#""nbf":9999999999,"role""#),
        // Twice with escapes, and beyond the first few.
        (r#""role""#, r#""\u0078":1,"\u0078":2,"role""#),
        (r#""role""#, r#""a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"i":2,"role""#),
        (r#""member"}"#, r#""member"}}"#),
        (r#""member"}"#, r#""member"} "#),
        (r#""member"}"#, r#""member",}"#),
        (r#""member"}"#, r#""member""#),
        ("{", "\u{feff}{"),
        ("{", " {"),
        ("{", "[{"),
    ] {
        seeds.push(format!("A{}", access.replacen(from, to, 1)));
    }
    let exp = format!(r#""exp":{}"#, NOW + 1800);
    for time in ["\"1\"", "null", "true", "-1", "1e999", "1.5", "[]", "0", "01767229200", "99999999999999999999"] {
        seeds.push(format!("A{}", access.replace(&exp, &format!(r#""exp":{time}"#))));
    }
    for at in [NOW, NOW + 1, NOW + 3600, NOW + 3601] {
        seeds.push(format!("A{}", access.replace(&exp, &format!(r#""exp":{at}"#))));
    }
    for at in [NOW - 1, NOW + 60, NOW + 61] {
        seeds.push(format!("A{}", access.replace(&format!(r#""iat":{NOW}"#), &format!(r#""iat":{at}"#))));
    }
    // Of every length around the longest that is read.
    let rest = |token: &str| (4096 - token.len()) / 4 * 3;
    for more in 0..12 {
        let padded = format!("member{}", "x".repeat(rest(&at) + more - 6));
        seeds.push(format!("A{}", access.replace("member", &padded)));
    }
    let nested = format!("{}{}", "[".repeat(200), "]".repeat(200));
    seeds.push(format!("A{}", access.replace(r#""member""#, &nested)));
    seeds.into_iter().map(String::into_bytes).collect()
}
