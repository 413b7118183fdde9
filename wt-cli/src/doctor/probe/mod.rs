//! The prober: knocks at an address and notes what comes back. The only part of the diagnosis that touches the network.

mod client;
mod tls;
mod versions;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::net::UdpSocket;
use wt_session::ConnectRequest;

use super::facts::{Attempt, Handshake};
use crate::platform;
use client::Client;
pub(super) use tls::config;

/// What is asked of each address.
#[derive(Clone)]
pub(super) struct Plan {
    /// The name or address in the URL, for TLS.
    pub(super) host: String,
    pub(super) request: ConnectRequest,
    pub(super) tls: Arc<rustls::ClientConfig>,
    /// How long each stage may take.
    pub(super) limit: Duration,
}

/// Tries everything with one address, within three times the limit.
pub(super) async fn probe(plan: Plan, address: SocketAddr) -> Attempt {
    let limit = plan.limit;
    let (versions, mut attempt) = tokio::join!(versions::ask(address, limit), session(plan, address));
    attempt.versions = versions;
    attempt
}

/// Asks for a session alone, within twice the limit.
pub(super) async fn session(plan: Plan, address: SocketAddr) -> Attempt {
    match Client::new(&plan, address).await {
        Ok(client) => client.run().await,
        Err(error) => Attempt { handshake: Handshake::NotStarted(error), ..Attempt::new(address) },
    }
}

/// A socket that talks to this address alone, and so hears of refusals.
async fn connect(remote: SocketAddr) -> io::Result<UdpSocket> {
    let any = match remote {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind(SocketAddr::from((any, 0))).await?;
    socket.connect(remote).await?;
    // What arrives in pieces here would not arrive from a browser.
    platform::forbid_fragments(&socket, remote)?;
    Ok(socket)
}
