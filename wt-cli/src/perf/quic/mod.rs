//! The level of QUIC: `quic-core`, driven by hand over one UDP socket on the caller's thread, as an embedder
//! would.

mod client;
mod connections;
mod datagrams;
mod server;

use std::{net::SocketAddr, sync::Arc};

use quic_core::{
    ClientConfig, ServerConfig,
    base::{Entropy, SystemEntropy},
    crypto::{SessionCache, TlsClientConfig, TlsServerConfig},
};
use wt_cli::engine;

use super::{growth::AskServer, report::Outcome, terms::transport, tls};
use crate::{
    args::{Perf, PerfMode},
    exit::Ended,
};

/// Serves until the process is ended.
pub(super) async fn server(options: &Perf, ready: impl FnOnce(SocketAddr)) -> Result<(), Ended> {
    let mut token_key = [0; 32];
    SystemEntropy::new().fill(&mut token_key);
    let config = ServerConfig::new(
        TlsServerConfig::new(tls::server(&options.directory(), tls::ALPN_BENCH)?),
        token_key,
    )
    .transport(Arc::new(transport(options)));
    let bound = engine::Options { address: options.addr, socket_buffer: options.buf, retry: false };
    let mut engine = engine::Engine::bind(bound, Some(Arc::new(config)))?;
    ready(engine.local_address()?);
    Ok(engine.run(&mut server::Application::default()).await?)
}

/// Measures as the options say.
pub(super) async fn client(options: &Perf, ask: AskServer<'_>) -> Result<Outcome, Ended> {
    let tls = tls::client(&options.directory(), tls::ALPN_BENCH, false)?;
    let sessions = (options.mode == PerfMode::Resume).then(|| SessionCache::new(1));
    let config = ClientConfig::new(TlsClientConfig::new(tls))
        .transport(Arc::new(transport(options)))
        .sessions(sessions);
    let any = if options.addr.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let address = any.parse().expect("an address");
    let bound = engine::Options { address, socket_buffer: options.buf, retry: false };
    let mut engine = engine::Engine::bind(bound, None)?;
    engine.connect(&config, "localhost", options.addr)?;
    match options.mode {
        PerfMode::Handshake | PerfMode::Resume => {
            let mut application = connections::Handshakes::new(options);
            engine.run(&mut application).await?;
            application.outcome()
        }
        PerfMode::Idle => {
            let mut application = connections::Idle::new(options, ask);
            engine.run(&mut application).await?;
            application.outcome()
        }
        PerfMode::Datagram => {
            let mut application = datagrams::Datagrams::new(options);
            engine.run(&mut application).await?;
            application.outcome()
        }
        PerfMode::Bulk | PerfMode::Multi | PerfMode::Upload | PerfMode::Rr => {
            let mut application = client::Application::new(options);
            engine.run(&mut application).await?;
            application.outcome()
        }
    }
}
