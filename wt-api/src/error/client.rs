//! Why a client could not be built.

use std::{io, net::SocketAddr, sync::Arc};

/// Why a [`Client`](crate::Client) could not be built.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The client cannot bind to the address.
    #[error("cannot bind to {address}: {error}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        error: Arc<io::Error>,
    },
    /// The application's socket cannot be used.
    #[error("the UDP socket cannot be used: {0}")]
    Socket(Arc<io::Error>),
    /// There are two sockets of one address family, so it would be unclear which one sends.
    #[error(
        "the client has a socket for {address}'s address family already; bind one address of each family, or build another client"
    )]
    SecondSocket {
        /// The address of the second one.
        address: SocketAddr,
    },
    /// Called outside an async runtime.
    #[error("there is no tokio runtime here; call from within one, for example under #[tokio::main]")]
    NoRuntime,
    /// The runtime around the call lacks a driver.
    #[error("the tokio runtime has no {missing} driver; build it with enable_all(), or under #[tokio::main]")]
    RuntimeDriver {
        /// What is missing: "time" or "I/O".
        missing: &'static str,
    },
}
