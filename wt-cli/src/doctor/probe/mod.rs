//! The prober contacts an address and records the responses. It is the only part of the diagnosis that uses
//! the network.

mod client;
mod plan;
mod tls;
mod versions;

use std::net::SocketAddr;

use super::facts::{Attempt, Handshake};
use client::Client;
pub(super) use plan::Plan;
pub(super) use tls::config;

/// Tries everything with one address, within three times the limit.
pub(super) async fn probe(plan: Plan, address: SocketAddr) -> Attempt {
    let limit = plan.limit;
    let (versions, mut attempt) = tokio::join!(versions::ask(address, limit), session(plan, address));
    attempt.versions = versions;
    attempt
}

/// Only requests a session, within twice the limit.
pub(super) async fn session(plan: Plan, address: SocketAddr) -> Attempt {
    match Client::new(&plan, address).await {
        Ok(client) => client.run().await,
        Err(error) => Attempt { handshake: Handshake::NotStarted(error), ..Attempt::new(address) },
    }
}
