//! A server's rustls configuration: what it presents.

use std::sync::Arc;

use super::{
    common::{ALPN_H3, provider},
    identities::Identities,
};
use crate::error::ServerError;

/// A server's configuration with identities.
pub(crate) fn server_config(identities: Arc<Identities>) -> Result<rustls::ServerConfig, ServerError> {
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| ServerError::Tls(error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(identities);
    config.alpn_protocols = vec![ALPN_H3.to_vec()];
    Ok(config)
}

/// The application's own configuration, if QUIC can use it.
pub(crate) fn own_server_config(config: &rustls::ServerConfig) -> Result<rustls::ServerConfig, ServerError> {
    let mut config = config.clone();
    if config.alpn_protocols.is_empty() {
        config.alpn_protocols = vec![ALPN_H3.to_vec()];
    }
    // rustls only shows the versions of a configuration when it makes a connection (RFC 9001 §4.2: TLS 1.3 or
    // newer).
    let shared = Arc::new(config.clone());
    rustls::quic::ServerConnection::new(shared, rustls::quic::Version::V1, Vec::new())
        .map_err(|error| ServerError::NotForQuic(error.to_string()))?;
    Ok(config)
}
