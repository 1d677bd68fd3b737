//! TLS for `rediss://`.

use std::sync::Arc;

use fred::{
    rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs::default_provider},
    rustls_native_certs::load_native_certs,
    types::config::{TlsConfig, TlsConnector},
};

use crate::error::BoxError;

/// Returns settings that trust the root certificates of the system, to which operators add those of a private authority
/// (`SSL_CERT_FILE`, `SSL_CERT_DIR`).
///
/// fred's own default uses the provider of the process, and panics when two are compiled in.
pub(super) fn config() -> Result<TlsConfig, BoxError> {
    let mut roots = RootCertStore::empty();
    let found = load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let error = found.errors.into_iter().next();
        return Err(error.map_or_else(|| "the system has no root certificates".into(), BoxError::from));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(config).into())
}
