//! What probably helps when Redis cannot be reached: the error itself is in the words of another program.

use fred::{
    error::{Error as FredError, ErrorKind},
    types::config::Config,
};

use crate::error::{BoxError, ConfigError, ConfigErrorKind};

/// Parts of an error that occur with and without TLS, and what they probably mean.
const ALWAYS: &[(&str, &str)] = &[
    ("NOAUTH", "it requires a password: write redis://user:password@host"),
    ("WRONGPASS", "check the user and the password, in which reserved characters are percent-encoded"),
    ("NOPERM", "allow the user this command: the page redis_in_production has the ACL that is needed"),
    ("DENIED", "it is in protected mode, which allows local connections only: set a password"),
    ("cluster support disabled", "it is no cluster: write redis:// or rediss://"),
    ("DB index is out of range", "it has no database of that number: correct the end of the URL"),
    ("max number of clients reached", "it has too many connections: raise maxclients"),
    ("LOADING", "it is reading its data: try again when it has finished"),
    ("failed to lookup address", "the name of the host is unknown: check how it is written, and the name service"),
    ("ConnectionRefused", REFUSED),
    ("Connection refused", REFUSED),
    ("NetworkUnreachable", UNREACHABLE),
    ("HostUnreachable", UNREACHABLE),
];

const WITH_TLS: &[(&str, &str)] = &[
    ("UnknownIssuer", AUTHORITY),
    // Of an authority with the same name.
    ("BadSignature", AUTHORITY),
    ("NotValidForName", NAMES),
    ("certificate not valid for name", NAMES),
    ("Expired", "its certificate has expired: renew it, or correct the clock of this machine"),
    ("NotValidYet", "its certificate is not valid yet: correct the clock of this machine"),
    ("CertificateRequired", CLIENT_CERTIFICATE),
    ("HandshakeFailure", CLIENT_CERTIFICATE),
    ("InvalidContentType", NO_TLS),
    ("corrupt message", NO_TLS),
];

const REFUSED: &str = "no server listens there: check host and port, and that it is running";
const UNREACHABLE: &str = "no network leads there: check the host and the routes of this machine";
const AUTHORITY: &str = "its certificate is of an authority that is not trusted: add the authority to those of the \
                         system, or name a file with its certificate in SSL_CERT_FILE";
const NAMES: &str = "its certificate is for other names: connect to one of those, or issue it for this one";
const CLIENT_CERTIFICATE: &str = "it requires a certificate of its clients: give a fred client with one to \
                                  RedisStore::new, or set tls-auth-clients no";
const NO_TLS: &str = "it does not use TLS at this port: write redis://, or the port that is its tls-port";
const TLS: &str = if cfg!(feature = "redis-rustls") {
    "it closed the connection before it answered, probably since this port requires TLS: write rediss://"
} else {
    "it closed the connection before it answered, probably since this port requires TLS: enable the feature \
     redis-rustls and write rediss://"
};
const CLOSED: &str = "it closed the connection before it answered: check that this is the port of Redis, and its log";
const SILENT: &str =
    "it did not answer in time: check host and port, that it is running, and that no firewall is in between";
/// Redis waits for more where it reads the begin of TLS as a command.
const SILENT_TLS: &str = "it did not answer in time: check host and port, that it is running, that no firewall is in \
                          between, and that the port is its tls-port: write redis:// for a port without TLS";
const UNKNOWN: &str = "check the address, the password and that it is running";

/// Returns the error for a server that could not be reached, with what probably helps.
pub(super) fn unreachable(error: impl Into<BoxError>, remedy: &str) -> ConfigError {
    let source = error.into();
    ConfigError::new(ConfigErrorKind::StoreUnreachable, format!("Redis unreachable ({source}): {remedy}"))
        .caused_by(source)
}

/// Returns what probably helps against an error of a client with this configuration.
pub(super) fn remedy(error: &FredError, config: &Config) -> &'static str {
    let uses_tls = config.uses_tls();
    let said = |signs: &[(&str, &'static str)]| {
        signs.iter().find(|(sign, _)| error.details().contains(sign)).map(|(_, remedy)| *remedy)
    };
    let known = said(ALWAYS).or_else(|| said(WITH_TLS).filter(|_| uses_tls));
    let closed = ["ConnectionReset", "Connection reset", "UnexpectedEof", "BrokenPipe", "Broken pipe"];
    known.unwrap_or_else(|| match error.kind() {
        ErrorKind::Timeout if uses_tls => SILENT_TLS,
        ErrorKind::Timeout => SILENT,
        _ if !closed.iter().any(|sign| error.details().contains(sign)) => UNKNOWN,
        _ if uses_tls => CLOSED,
        _ => TLS,
    })
}
