//! Reading the token of an `Authorization: Bearer` header (RFC 6750, section 2.1) and, deliberately, of nothing else:
//! no query and no body (section 5.3).

use http::{HeaderMap, header};

/// What a request has in its `Authorization` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bearer<'h> {
    /// No header, or one of another scheme, which an application may use for itself.
    Absent,
    One(&'h [u8]),
    /// The scheme is `Bearer` but what follows is not one token, or there is another `Authorization` header.
    Malformed,
}

impl<'h> Bearer<'h> {
    pub(crate) fn read(headers: &'h HeaderMap) -> Self {
        let lines = headers.get_all(header::AUTHORIZATION);
        let mut lines = lines.iter().map(|line| Self::parse(line.as_bytes()));
        match (lines.next(), lines.next()) {
            (None, _) => Self::Absent,
            (Some(only), None) => only,
            // An attacker could choose which one counts. Headers of other schemes are not looked at.
            (Some(first), Some(second)) => match [first, second].into_iter().chain(lines).all(Self::is_absent) {
                true => Self::Absent,
                false => Self::Malformed,
            },
        }
    }

    /// `credentials = "Bearer" 1*SP b64token`; the scheme in any case (RFC 9110, section 11.1).
    fn parse(line: &'h [u8]) -> Self {
        let line = line.trim_ascii();
        let scheme_len = line.iter().position(|byte| !is_token_char(*byte)).unwrap_or(line.len());
        let (scheme, rest) = line.split_at(scheme_len);
        if !scheme.eq_ignore_ascii_case(b"bearer") {
            return Self::Absent;
        }
        let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
        let token = rest.get(spaces..).unwrap_or_default();
        match spaces > 0 && is_b64token(token) {
            true => Self::One(token),
            false => Self::Malformed,
        }
    }

    pub(crate) const fn is_absent(self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// RFC 9110, section 5.6.2.
fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_b64token(bytes: &[u8]) -> bool {
    let len = bytes.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let (letters, _) = bytes.split_at(len);
    !letters.is_empty() && letters.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(lines: &[&[u8]]) -> Result<Option<Vec<u8>>, ()> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(line).unwrap());
        }
        match Bearer::read(&headers) {
            Bearer::Absent => Ok(None),
            Bearer::One(token) => Ok(Some(token.to_vec())),
            Bearer::Malformed => Err(()),
        }
    }

    #[test]
    fn scheme_is_matched_in_any_case() {
        for line in [
            "Bearer a.b-c_d~e+f/1==",
            "bearer a.b-c_d~e+f/1==",
            "BEARER    a.b-c_d~e+f/1==",
            " Bearer a.b-c_d~e+f/1== ",
        ] {
            assert_eq!(read(&[line.as_bytes()]), Ok(Some(b"a.b-c_d~e+f/1==".to_vec())), "{line}");
        }
    }

    #[test]
    fn other_schemes_are_absent() {
        for line in
            ["", "Basic dXNlcjpwYXNz", "Bearertoken", "Bearer- x", "DPoP a", "Digest a=\"Bearer x\"", "\"Bearer\" x"]
        {
            assert_eq!(read(&[line.as_bytes()]), Ok(None), "{line}");
        }
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b"Basic a", b"Digest b"]), Ok(None));
        assert_eq!(read(&[b"\xff"]), Ok(None));
    }

    #[test]
    fn anything_but_one_token_is_malformed() {
        for line in [
            "Bearer",
            "Bearer ",
            "Bearer A B",
            "Bearer A,B",
            "Bearer A, Bearer B",
            "Bearer =",
            "Bearer a=b",
            "Bearer\tA",
            "Bearer \tA",
            "Bearer \"A\"",
            "Bearer token=A",
            "Bearer,A",
            "Bearer=A",
            "bearer A;",
        ] {
            assert_eq!(read(&[line.as_bytes()]), Err(()), "{line}");
        }
        assert_eq!(read(&[b"Bearer \xff"]), Err(()));
        for lines in [[b"Bearer A", b"Bearer A"], [b"Bearer A", b"Basic AA"], [b"Basic AA", b"Bearer A"]] {
            assert_eq!(read(&[lines[0], lines[1]]), Err(()), "{lines:?}");
        }
        assert_eq!(read(&[b"Basic a", b"Basic b", b"Bearer c"]), Err(()));
    }
}
