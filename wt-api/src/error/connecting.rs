//! Why no session could be established, as far as the client can tell: how far it got, what is wrong with the
//! server's certificate, contradicting options.

use std::{fmt, io, sync::Arc};

use crate::origin::InvalidOrigin;

/// What [`ErrorCause::Timeout`](crate::ErrorCause::Timeout) was waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectStage {
    /// The addresses of the host's name.
    Name,
    /// Any response to the handshake.
    Handshake {
        /// The UDP port that was tried.
        port: u16,
    },
    /// The response to the session's request, on an established connection.
    Answer,
    /// The same on a connection that other sessions share.
    SharedAnswer,
}

impl fmt::Display for ConnectStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("the name is not resolved"),
            Self::Handshake { port } => write!(f, "nothing answers on UDP port {port}{}", meant(*port)),
            Self::Answer => f.write_str("the connection stands, and the server does not answer the request"),
            Self::SharedAnswer => f.write_str("a shared connection does not answer the request"),
        }
    }
}

impl ConnectStage {
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Name => "check this host's network and its resolver's configuration",
            Self::Handshake { .. } => {
                "a firewall that drops UDP, a wrong address or port, or a server that does not run are the usual reasons"
            }
            // A hint about firewalls would be misleading here.
            Self::Answer | Self::SharedAnswer => {
                "the network and the port are right: the server's application is slow to accept the session, or does not take requests"
            }
        }
    }
}

/// A remark about the default port of URLs.
pub(super) fn meant(port: u16) -> &'static str {
    if port == 443 { " (443 is meant where a URL names no port)" } else { "" }
}

pub(super) fn unreachable_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "a firewall or another policy of this host, or of a router, forbids it: permit UDP to this address and port"
        }
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown | io::ErrorKind::AddrNotAvailable => {
            "check that this host's network is up and has a route to the address, and that the address is the server's"
        }
        // A router that forbids it reports this too (RFC 1122 §3.2.2.1: ICMP codes 10 and 13).
        io::ErrorKind::HostUnreachable => {
            "no host has the address, or a firewall on the way forbids it: check that the address is the server's, that this host's network has a route to the address, and that UDP to this address and port is permitted"
        }
        _ => "check this host's network, and that its links carry UDP datagrams of 1200 bytes",
    }
}

pub(super) fn status_remedy(status: u16) -> &'static str {
    match status {
        300..=399 => "WebTransport follows no redirects; connect to the final URL",
        401 | 407 => "credentials are missing; send them in a header",
        403 => "the server does not permit this origin or client; add the origin to its allowed origins",
        404 => "there is no session at this path; check the URL's path",
        405 | 501 => "the server has no WebTransport at this path",
        429 | 503 => "the server is busy; try again later",
        _ => "the server does not accept the session",
    }
}

/// Why the server's certificate was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The certificate has none of the given hashes.
    #[error(
        "the server's certificate has SHA-256 {actual}, which is not among the server_certificate_hashes; copy the server's current hash"
    )]
    HashMismatch {
        /// The hash of the certificate that the server presented, as hexadecimal digits.
        actual: String,
    },
    /// The validity period has ended.
    #[error("the server's certificate has expired; renew it on the server")]
    Expired,
    /// The validity period has not begun.
    #[error("the server's certificate is not valid yet; check the clocks of both machines")]
    NotYetValid,
    /// The certificate is valid for longer than hash authentication permits.
    #[error("a certificate that is accepted by hash is valid for at most 14 days; this one for {days}")]
    ValidForTooLong {
        /// Its validity, in whole days.
        days: u64,
    },
    /// Hash authentication does not permit this kind of key.
    #[error("a certificate that is accepted by hash must not have an RSA key; use ECDSA P-256")]
    RsaKey,
    /// It is not an X.509 version 3 certificate.
    #[error("the server's certificate is no X.509 version 3 certificate")]
    Malformed,
    /// The certificate is for other names.
    #[error("the server's certificate is not for the name {name:?}; connect to a name that it holds")]
    WrongName {
        /// The requested name.
        name: String,
    },
    /// No trusted CA issued the certificate.
    #[error(
        "the issuer of the server's certificate is not trusted; give its CA with trusted_certificates, or the certificate's hash with server_certificate_hashes"
    )]
    UnknownIssuer,
    /// The certificate is that of a CA, which a server must not present (RFC 5280 §4.2.1.9).
    #[error(
        "the server shows the certificate of a CA (CA:TRUE, as `openssl req -x509` makes by default); show one that this CA issued, make it with -addext basicConstraints=critical,CA:FALSE, or accept it by its hash with server_certificate_hashes"
    )]
    IsAuthority,
    /// Another reason, in the TLS library's words.
    #[error("the server's certificate is not acceptable: {0}")]
    Other(Arc<str>),
}

/// Why [`WebTransport::new`](crate::WebTransport::new) did not start (W3C `SyntaxError`, `TypeError`,
/// `NotSupportedError`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectOptionsError {
    /// The text is not a URL.
    #[error("{url:?} is not an absolute URL: {message}")]
    InvalidUrl {
        /// The text.
        url: String,
        /// What is wrong with it.
        message: String,
    },
    /// The scheme is not https.
    #[error("WebTransport needs an https URL, not {scheme}; write https://HOST:PORT/PATH")]
    NotHttps {
        /// The scheme.
        scheme: String,
    },
    /// The URL has a fragment, which has no meaning here.
    #[error("a URL has no fragment here; remove the part from # on")]
    Fragment,
    /// The URL has no host.
    #[error("the URL names no host")]
    NoHost,
    /// This library sets the header itself, or HTTP/3 forbids it.
    #[error("the header {0} cannot be set by the application")]
    ForbiddenHeader(String),
    /// The application protocol cannot be offered.
    #[error("the application protocol {protocol:?} cannot be offered: {problem}")]
    InvalidProtocol {
        /// The protocol.
        protocol: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The origin is invalid.
    #[error(transparent)]
    InvalidOrigin(#[from] InvalidOrigin),
    /// One of the [`trusted_certificates`](crate::WebTransportOptions::trusted_certificates) is not the
    /// certificate of a CA in DER.
    #[error("certificate {position} of those to trust cannot be used: {problem}")]
    TrustedCertificate {
        /// Its position in the list, from 1.
        position: usize,
        /// What is wrong with it, and what to give instead.
        problem: String,
    },
    /// The options have certificate hashes and allow sharing the connection (W3C `NotSupportedError`).
    #[error(
        "a connection whose certificate is accepted by hash is not shared; leave out allow_pooling or server_certificate_hashes"
    )]
    PoolingWithHashes,
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
    /// The system has no CA certificates, as in a small container, or they cannot be read.
    #[error(
        "the CAs that this system trusts cannot be used: {0}; install them (often a package ca-certificates), or say whom to trust with trusted_certificates or server_certificate_hashes"
    )]
    SystemTrust(String),
    /// The TLS options contradict each other or cannot be used.
    #[error("the TLS options cannot be used: {0}")]
    Tls(String),
}
