//! Why a server could not be built.

use std::{io, net::SocketAddr, sync::Arc};

use super::identity::IdentityError;
use crate::origin::InvalidOrigin;

/// Why a secret cannot give keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerKeysError {
    /// The secret is too short.
    #[error("the secret has {size} bytes, and keys need 32 at least; make one with ServerKeys::new_secret()")]
    TooShort {
        /// Its size in bytes.
        size: usize,
    },
}

/// Why a server could not be built.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// No identity was given.
    #[error("a server needs a certificate: give one with identity(..), for example Identity::self_signed")]
    NoIdentity,
    /// The identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// One of the [`allowed_origins`](crate::ServerBuilder::allowed_origins) is invalid.
    #[error(transparent)]
    InvalidOrigin(#[from] InvalidOrigin),
    /// The server cannot listen on the address.
    #[error("cannot listen on {address}: {error}{}", bind_remedy(.error, *.address))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        error: Arc<io::Error>,
    },
    /// The transport settings refuse datagrams, which WebTransport requires (WebTransport over HTTP/3 §3.1).
    #[error(
        "WebTransport needs QUIC datagrams, and max_datagram_frame_size of the TransportConfig is {size}; leave it at its default, or give at least 16"
    )]
    NoDatagrams {
        /// `max_datagram_frame_size`, in bytes.
        size: u64,
    },
    /// The call was made outside an async runtime.
    #[error("there is no tokio runtime here; call from within one, for example under #[tokio::main]")]
    NoRuntime,
    /// The runtime around the call lacks a driver.
    #[error("the tokio runtime has no {missing} driver; build it with enable_all(), or under #[tokio::main]")]
    RuntimeDriver {
        /// What is missing: "time" or "I/O".
        missing: &'static str,
    },
    /// The TLS configuration cannot be used.
    #[error("the TLS configuration cannot be used: {0}")]
    Tls(String),
    /// QUIC cannot use the application's rustls configuration: it needs TLS 1.3 (RFC 9001 §4.2).
    #[error(
        "QUIC cannot use the rustls configuration: {0}; build it with TLS 1.3 (rustls::version::TLS13) and its usual cipher suites"
    )]
    NotForQuic(String),
    /// The server's certificates come from the application's rustls configuration.
    #[error(
        "the server was built with rustls_config(..), whose cert_resolver chooses certificates; change them there, or build the server with identity(..)"
    )]
    OwnConfiguration,
}

/// What to do if the server cannot listen on an address; empty if that is unknown.
fn bind_remedy(error: &io::Error, address: SocketAddr) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program has this UDP port, perhaps a web server for HTTP/3: end it, or choose another port"
        }
        io::ErrorKind::PermissionDenied if address.port() < 1024 => {
            "; ports below 1024 need a privilege, on Linux CAP_NET_BIND_SERVICE: grant it, or choose another port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "; this machine does not have the address: give one of its own, or [::] for all"
        }
        _ => "",
    }
}
