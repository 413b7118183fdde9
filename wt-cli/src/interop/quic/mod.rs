//! Transfers directly over `quic-core`: HTTP/0.9 for the QUIC cases, and the HTTP/3 client, whose requests
//! share one connection.

mod hq_client;
mod hq_server;
mod http3;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use quic_core::{
    ClientConfig, ServerConfig, TransportConfig, Version, Versions,
    base::{Entropy, SystemEntropy},
    crypto::{Resumption, SessionCache, TlsClientConfig, TlsServerConfig},
};
use url::Url;
use wt_cli::engine::{Engine, Options};

use hq_client::Tickets;

use crate::{
    case::Feature,
    environment::Environment,
    logs,
    tell::{Failure, announce},
    tls::{self, Suites},
};

/// The size of the socket buffers, in bytes.
const SOCKET_BUFFER: usize = 4 << 20;

/// Sessions that a server keeps, and servers that a client remembers.
const SESSIONS: usize = 64;

fn suites(feature: Feature) -> Suites {
    if feature == Feature::ChaCha20 { Suites::ChaCha20 } else { Suites::All }
}

/// The versions of either end. A client opens in version 1 in any case.
fn versions(feature: Feature) -> Versions {
    let [older, newer] = [Version::V1, Version::V2];
    if feature == Feature::Version2 { Versions::new([newer, older]) } else { Versions::default() }
}

/// Serves files over HTTP/0.9 until the process is ended.
pub(crate) async fn server(feature: Feature, environment: &Environment) -> Result<(), Failure> {
    let mut token_key = [0; 32];
    SystemEntropy::new().fill(&mut token_key);
    let tls = TlsServerConfig::new(tls::server(environment, tls::ALPN_HQ, suites(feature))?);
    let early = || tls.with_resumption(&Resumption::stateful_with_early_data(SESSIONS));
    let tls = if feature == Feature::ZeroRtt { early() } else { tls };
    let transport = TransportConfig::new().versions(versions(feature));
    let config = ServerConfig::new(tls, token_key).transport(Arc::new(transport));
    let address = (std::net::Ipv6Addr::UNSPECIFIED, environment.port).into();
    let retry = feature == Feature::Retry;
    let mut engine =
        Engine::bind(Options { address, socket_buffer: SOCKET_BUFFER, retry }, Some(Arc::new(config)))?;
    announce(engine.local_address()?);
    Ok(engine.run(&mut hq_server::Application::new(environment.www.clone())).await?)
}

/// The server in a client's URLs.
struct Target {
    host: String,
    remote: SocketAddr,
    /// The paths of the files, in the order of `REQUESTS`.
    paths: Vec<String>,
}

impl Target {
    /// Resolves the URLs, which all name the same server.
    async fn of(requests: &[String]) -> Result<Self, Failure> {
        let urls: Result<Vec<_>, _> = requests.iter().map(|request| Url::parse(request)).collect();
        let urls = urls.map_err(|error| format!("REQUESTS: {error}"))?;
        let first = urls.first().ok_or("REQUESTS names no file")?;
        let host = match first.host().ok_or("a URL has no host")? {
            url::Host::Domain(name) => name.to_owned(),
            url::Host::Ipv4(address) => address.to_string(),
            url::Host::Ipv6(address) => address.to_string(),
        };
        let port = first.port().unwrap_or(443);
        let addresses = tokio::net::lookup_host((host.as_str(), port)).await;
        let remote = addresses.map_err(|error| format!("{host}: {error}"))?.next();
        let remote = remote.ok_or_else(|| format!("{host} has no address"))?;
        Ok(Self { host, remote, paths: urls.iter().map(|url| url.path().to_owned()).collect() })
    }

    fn engine(&self) -> Result<Engine, Failure> {
        let any = if self.remote.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let address = any.parse().map_err(|_| "no address")?;
        Ok(Engine::bind(Options { address, socket_buffer: SOCKET_BUFFER, retry: false }, None)?)
    }
}

/// Transport settings with windows that files of a megabyte exceed several times.
fn transport() -> TransportConfig {
    TransportConfig::new()
        .stream_receive_window(64 << 10)
        .receive_window(256 << 10)
        // Some cases lose three of ten packets in each direction.
        .handshake_timeout(Some(Duration::from_secs(60)))
        .observers(logs::observers())
}

/// Gets the files of `REQUESTS` over HTTP/0.9.
pub(crate) async fn client(feature: Feature, environment: &Environment) -> Result<(), Failure> {
    let target = Target::of(&environment.requests).await?;
    let (tls, seen) = tls::client(tls::ALPN_HQ, suites(feature), feature == Feature::Resumption)?;
    let cache = (feature == Feature::ZeroRtt).then(|| SessionCache::new(SESSIONS));
    let config = ClientConfig::new(TlsClientConfig::new(tls))
        .transport(Arc::new(transport().versions(versions(feature))))
        .early_data(cache.is_some())
        .sessions(cache.clone());
    let groups: Vec<&[String]> = match feature {
        Feature::Connections => target.paths.chunks(1).collect(),
        Feature::Resumption | Feature::ZeroRtt => {
            let (first, rest) = target.paths.split_at(1);
            [first, rest].into_iter().filter(|paths| !paths.is_empty()).collect()
        }
        _ => vec![&target.paths],
    };
    let connections = groups.len();
    for (nth, paths) in groups.into_iter().enumerate() {
        let wants_ticket = match (&cache, feature) {
            (Some(cache), _) => Some(Tickets::Cache(cache.clone())),
            (None, Feature::Resumption) => Some(Tickets::Seen(Arc::clone(&seen))),
            _ => None,
        };
        let (downloads, early) = (&environment.downloads, cache.is_some() && nth > 0);
        let mut application = hq_client::Application::new(paths, downloads, feature, wants_ticket, early);
        let mut engine = target.engine()?;
        engine.connect(&config, &target.host, target.remote)?;
        engine.run(&mut application).await?;
        application.outcome()?;
    }
    judge(feature, connections, seen.certificates())
}

/// Checks that the server showed a certificate in as many handshakes as the case expects.
fn judge(feature: Feature, connections: usize, certificates: usize) -> Result<(), Failure> {
    let resumes = matches!(feature, Feature::Resumption | Feature::ZeroRtt);
    let expected = if resumes { 1 } else { connections };
    if certificates == expected {
        return Ok(());
    }
    Err(format!("{certificates} of {connections} handshakes showed a certificate, not {expected}"))
}

/// Gets the files of `REQUESTS` over HTTP/3, all on one connection.
pub(crate) async fn http3_client(environment: &Environment) -> Result<(), Failure> {
    let target = Target::of(&environment.requests).await?;
    let (tls, _) = tls::client(tls::ALPN_H3, Suites::All, false)?;
    let config = ClientConfig::new(TlsClientConfig::new(tls)).transport(Arc::new(transport()));
    let mut application = http3::Application::new(&environment.requests, &environment.downloads)?;
    let mut engine = target.engine()?;
    engine.connect(&config, &target.host, target.remote)?;
    engine.run(&mut application).await?;
    application.outcome()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_resumed_handshake_shows_no_certificate() {
        assert_eq!(judge(Feature::Resumption, 2, 1), Ok(()));
        assert!(judge(Feature::Resumption, 2, 2).is_err());
        assert_eq!(judge(Feature::Connections, 50, 50), Ok(()));
        assert!(judge(Feature::Connections, 50, 49).is_err());
    }
}
