//! The `Cookie` header: the session cookies that are found agree with a plain reading of it.
//!
//! Inputs are the lines of the header, except that some bytes that no header has stand for names and tokens, which
//! random mutations hardly produce.

use http::{HeaderMap, HeaderValue, header::COOKIE};
use tower_jwt_sessions::auth::VerifyError;

use crate::fuzzing::target::{ACCESS, REFRESH, SERVICE, Target, access_payload, refresh_payload};

pub(crate) const TARGET: Target = Target { check, seeds, words };

/// The bytes of an input that stand for names and tokens.
fn short_forms() -> &'static [(u8, String); 5] {
    static FORMS: std::sync::LazyLock<[(u8, String); 5]> = std::sync::LazyLock::new(|| {
        [
            (1, ACCESS.to_owned()),
            (2, REFRESH.to_owned()),
            (3, SERVICE.access.sign_payload(access_payload("alice"))),
            (4, SERVICE.access.sign_payload(access_payload("mallory"))),
            (5, SERVICE.refresh.sign_payload(refresh_payload("alice"))),
        ]
    });
    &FORMS
}

fn check(input: &[u8]) -> &'static str {
    let mut headers = HeaderMap::new();
    let mut whole = String::new();
    for line in input.split(|byte| *byte == b'\n') {
        let mut long = Vec::new();
        for byte in line {
            match short_forms().iter().find(|(short, _)| short == byte) {
                Some((_, form)) => long.extend_from_slice(form.as_bytes()),
                None => long.push(*byte),
            }
        }
        // HTTP servers reject other bytes.
        let Ok(value) = HeaderValue::from_bytes(&long) else { return "nothing" };
        headers.append(COOKIE, value);
        // Several lines are one; a character for each byte.
        whole.extend(long.iter().copied().map(char::from));
        whole.push(';');
    }
    let values = |name: &str| -> Vec<&str> {
        let pairs = whole.split(';').filter_map(|pair| pair.split_once('='));
        let named = pairs.filter(|(found, _)| found.trim_matches([' ', '\t']) == name);
        named.map(|(_, value)| value.trim_matches([' ', '\t'])).collect()
    };
    let (access, refresh) = (values(ACCESS), values(REFRESH));
    let [_, _, (_, alice), (_, mallory), (_, good_refresh)] = short_forms();
    let expected = match access[..] {
        [] if refresh.is_empty() => Err(VerifyError::NoCredentials),
        [] => Err(VerifyError::OnlyRefreshToken),
        [token] if token == alice => Ok("alice"),
        [token] if token == mallory => Ok("mallory"),
        [_] => Err(VerifyError::InvalidToken),
        _ => Err(VerifyError::AmbiguousCookie),
    };
    let verified = SERVICE.verifier.verify(&headers);
    let actual = verified.as_ref().map(|session| session.user_id().as_str()).map_err(|reason| *reason);
    assert_eq!(actual, expected);
    let presented = SERVICE.verifier.present(&headers);
    assert_eq!(presented.session().map(|session| session.user_id().as_str()), expected.ok());
    assert_eq!(presented.has_refresh_token(), refresh == [good_refresh]);
    match expected {
        Ok("alice") => "session",
        Ok(_) => "another session",
        Err(VerifyError::AmbiguousCookie) => "ambiguous",
        Err(VerifyError::OnlyRefreshToken) => "only refresh",
        Err(_) => "refused",
    }
}

fn words() -> Vec<Vec<u8>> {
    [
        "\u{1}",
        "\u{2}",
        "\u{3}",
        "\u{4}",
        "\u{5}",
        "\u{1}=\u{3}",
        "\u{1}=\u{4}",
        "\u{2}=\u{5}",
        "; ",
        ";",
        "=",
        "\n",
        "\t",
        " ",
        "__Host-",
        "__host-",
        "%5F%5FHost-access",
        "__%48ost-access",
        "\u{2000}",
        "\u{a0}",
        "\u{85}",
        "\"",
        ",",
        "$Version=1",
        "$Path=/",
        "access",
        "\\",
        "%3B",
        "%3D",
        "+",
    ]
    .map(|word| word.as_bytes().to_vec())
    .into()
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [
        "\u{1}=\u{3}; \u{2}=\u{5}",
        "a=b; \u{1}=\u{3}; c=d",
        "\u{2}=\u{5}",
        "a=b\nc=d; \u{1}=\u{3}\n\u{2}=\u{5}",
        "  \u{1} =\t \u{3}\t; c=d",
        ";;;=;\u{1}=\u{3};=;;",
        "\u{1}=\u{3}; \u{1}=\u{4}",
        "\u{1}=\u{4}\n\u{1}=\u{3}",
        "\u{1}=; \u{1}=\u{3}",
        "\u{1}=\u{3}; %5F%5FHost-access=\u{4}",
        "__%48ost-access=\u{4}",
        "__host-access=\u{4}; __HOST-ACCESS=\u{4}",
        "\u{2000}\u{1}=\u{4}",
        "\u{a0}\u{1}=\u{4}; \u{85}\u{1}=\u{4}",
        "$Version=1, \u{1}=\u{4}",
        "$Version=1; \u{1}=\u{3}; $Path=/",
        "=\u{1}=\u{4}",
        "x=\u{1}=\u{4}",
        "\"\u{1}\"=\u{4}; \u{1}=\"\u{3}\"",
        "x=\"a; \u{1}=\u{3}; b\"",
        "\u{1}\u{3}",
        "\u{1}",
        "\u{1}=",
        "\u{1}=\u{5}; \u{2}=\u{3}",
        "\u{2}=\u{5}; \u{2}=\u{5}; \u{1}=\u{3}",
        "x=%ff; \u{1}=\u{3}",
        "",
        ";",
        "=",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .into();
    seeds.push(b"x=\xff\xe2\x80\x80; \x01=\x03; \xff".to_vec());
    seeds.push(b"\x85\x01=\x04; \xa0\x02=\x05".to_vec());
    seeds.push([b"x=".as_slice(), &[b'y'; 1024], b"; \x01=\x03"].concat());
    seeds.push([&b"a=b; ".repeat(100)[..], b"\x01=\x03"].concat());
    seeds
}
