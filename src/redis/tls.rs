//! TLS for `rediss://`.

use std::{env, path::PathBuf, sync::Arc};

use fred::{
    rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs::default_provider},
    rustls_native_certs::{Error, ErrorKind, load_native_certs},
    types::config::{TlsConfig, TlsConnector},
};

use super::remedy::unreachable;
use crate::error::{BoxError, ConfigError};

/// Names a file of certificates to trust instead of those of the system.
const FILE: &str = "SSL_CERT_FILE";

/// Returns settings that trust the root certificates of the system, to which operators add those of a private authority
/// (`SSL_CERT_FILE`, `SSL_CERT_DIR`).
///
/// fred's own default uses the provider of the process, and panics when two are compiled in.
pub(super) fn config() -> Result<TlsConfig, ConfigError> {
    let mut roots = RootCertStore::empty();
    let found = load_native_certs();
    roots.add_parsable_certificates(found.certs);
    // Folders may have files that cannot be read beside others. But the file that an operator has named must be readable,
    // or the server's certificate would be refused for a reason that says nothing of this one.
    let named = env::var_os(FILE).map(PathBuf::from);
    let is_named = |error: &Error| matches!(&error.kind, ErrorKind::Io { path, .. } if named.as_ref() == Some(path));
    let error = found.errors.into_iter().find(|error| roots.is_empty() || is_named(error));
    if roots.is_empty() || error.is_some() {
        let error = error.map_or_else(|| BoxError::from("no certificate to trust was found"), BoxError::from);
        return Err(match named {
            Some(_) => {
                unreachable(error, "SSL_CERT_FILE must name a readable file of certificates in PEM, or not be set")
            }
            None => unreachable(error, "install root certificates (ca-certificates), or name a file in SSL_CERT_FILE"),
        });
    }
    let config =
        ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let config = config.map_err(|error| unreachable(error, "the provider of TLS has no protocol version"))?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(config).into())
}
