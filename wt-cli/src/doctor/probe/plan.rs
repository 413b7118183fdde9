//! What to ask an address, and the socket for it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::net::UdpSocket;
use wt_session::ConnectRequest;

use crate::platform;

/// What to ask each address.
#[derive(Clone)]
pub(in super::super) struct Plan {
    /// The name or address in the URL, for TLS.
    pub(in super::super) host: String,
    pub(in super::super) request: ConnectRequest,
    pub(in super::super) tls: Arc<rustls::ClientConfig>,
    /// How long each stage may take.
    pub(in super::super) limit: Duration,
}

/// A socket that is connected to this address, and so receives refusals.
pub(super) async fn connect(remote: SocketAddr) -> io::Result<UdpSocket> {
    let any = match remote {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind(SocketAddr::from((any, 0))).await?;
    socket.connect(remote).await?;
    // A fragmented response here would not arrive at a browser.
    platform::forbid_fragments(&socket, remote)?;
    Ok(socket)
}
