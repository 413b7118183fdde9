//! `weft serve`.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use quic_core::TransportConfig;
use serde_json::json;
use wt_api::{CertificateHash, Identity, SelfSigned, Server, ServerError, ServerKeys};

use crate::{
    args::Serve,
    echo,
    exit::{Ended, Exit},
    platform::{Hangup, Signals},
    reload::{CertificateFiles, INTERVAL},
    state,
};

/// How long sessions may take to end after the first signal.
const DRAIN: Duration = Duration::from_secs(10);

pub(crate) async fn run(args: &Serve, json: bool) -> Result<Exit, Ended> {
    let (certificate, reloading) = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => {
            let mut files = CertificateFiles::new(cert.clone(), key.clone());
            let identity = files.load().await.map_err(|error| Ended::new(Exit::Usage, error))?;
            (Certificate::Given(identity), Some((files, Hangup::listen()?)))
        }
        _ => (Certificate::Renewing(self_signed()?), None),
    };
    let keys = args.state.as_deref().map(state::keys).transpose()?;
    let server = start(certificate, &args.listen, &args.origin, &args.congestion, keys)?;
    let mut signals = Signals::listen()?;
    announce(&server, json);
    tokio::select! {
        () = echo::accept(&server) => Ok(Exit::Success),
        () = reload(&server, reloading, json) => Ok(Exit::Failure),
        () = tell_renewals(&server, json) => Ok(Exit::Failure),
        () = signals.stop() => {
            tracing::info!("draining; a second signal closes all sessions, a third one ends at once");
            tokio::select! {
                () = server.shutdown(DRAIN) => return Ok(Exit::Success),
                () = signals.stop() => {}
            }
            tokio::select! {
                () = server.shutdown(Duration::ZERO) => {}
                () = signals.stop() => {}
            }
            Ok(Exit::Interrupted)
        }
    }
}

/// What a server shows its clients.
pub(crate) enum Certificate {
    /// One from files.
    Given(Identity),
    /// Self-signed ones that follow each other.
    Renewing(SelfSigned),
}

/// Self-signed certificates for this machine alone.
pub(crate) fn self_signed() -> Result<SelfSigned, Ended> {
    SelfSigned::new(["localhost", "127.0.0.1", "::1"]).map_err(|error| Ended::new(Exit::Failure, error))
}

/// Tells the hashes whenever self-signed certificates were renewed, without end.
async fn tell_renewals(server: &Server, json: bool) {
    let mut told = server.certificate_hashes();
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let hashes = server.certificate_hashes();
        // Read from files there is one, and reading it again is told elsewhere.
        if hashes.len() < 2 || hashes == told {
            continue;
        }
        if json {
            println!("{}", json!({ "renewed": true, "certificateHashes": texts(&hashes) }));
        } else {
            println!("certificate renewed");
            print_hashes(&hashes);
        }
        told = hashes;
    }
}

/// Follows the certificate files, if there are any, without end. Files that cannot be used leave the identity as it is.
async fn reload(server: &Server, files: Option<(CertificateFiles, Hangup)>, json: bool) {
    let Some((mut files, mut hangup)) = files else { return std::future::pending().await };
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            () = hangup.next() => true,
            _ = ticks.tick() => false,
        };
        let read = if asked { Some(files.load().await) } else { files.poll().await };
        if let Some(read) = read {
            let used = read.map_err(|error| error.to_string()).and_then(|identity| {
                let hash = identity.certificate_hash();
                server.set_identity(identity).map(|()| hash).map_err(|error| error.to_string())
            });
            tell_reload(&used, json);
        }
    }
}

fn tell_reload(used: &Result<CertificateHash, String>, json: bool) {
    if let Err(error) = used {
        eprintln!("weft: the certificate stays as it is: {error}");
    }
    match used {
        Ok(hash) if json => println!("{}", json!({ "reloaded": true, "certificateHash": hash.to_string() })),
        Ok(hash) => println!("certificate read again, hash for --cert-hash:\n  {hash}"),
        Err(error) if json => println!("{}", json!({ "reloaded": false, "error": error })),
        Err(_) => {}
    }
}

/// Starts the echo server.
pub(crate) fn start(
    certificate: Certificate,
    listen: &[SocketAddr],
    origins: &[String],
    congestion: &str,
    keys: Option<ServerKeys>,
) -> Result<Server, Ended> {
    let usage = |error: &dyn std::fmt::Display| Ended::new(Exit::Usage, error);
    let builder = match certificate {
        Certificate::Given(identity) => Server::builder().identity(identity),
        Certificate::Renewing(identities) => Server::builder().renew_self_signed(identities),
    };
    let mut builder = builder.key_log_file(true).transport(transport(congestion)?).http_handler(echo::http);
    if let Some(keys) = keys {
        builder = builder.keys(keys);
    }
    for address in listen {
        builder = builder.listen(*address);
    }
    builder = if origins.iter().any(|origin| origin == "*") {
        builder.allow_any_origin()
    } else {
        builder.allowed_origins(origins)
    };
    builder.build().map_err(|error| match error {
        ServerError::InvalidOrigin(error) => usage(&format_args!("--origin: {error}")),
        error => usage(&error),
    })
}

/// Transport settings with this congestion controller.
pub(crate) fn transport(congestion: &str) -> Result<TransportConfig, Ended> {
    let algorithm = congestion.parse().map_err(|error| Ended::new(Exit::Usage, error))?;
    Ok(TransportConfig {
        congestion: quic_core::congestion::CongestionConfig::new(algorithm),
        ..TransportConfig::default()
    })
}

/// Reads a file that the command line names.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Ended> {
    fs::read(path)
        .map_err(|error| Ended::new(Exit::Usage, format!("cannot read {}: {error}", path.display())))
}

fn announce(server: &Server, json: bool) {
    let (addresses, hashes) = (server.local_addresses(), server.certificate_hashes());
    if json {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let hashes = texts(&hashes);
        println!(
            "{}",
            json!({ "listening": addresses, "certificateHash": hashes.first(), "certificateHashes": hashes })
        );
        return;
    }
    for address in addresses {
        println!("listening on {address} (UDP): https://{}{}", from_here(*address), echo::PATH);
    }
    print_hashes(&hashes);
}

/// Where this machine reaches what listens there.
pub(crate) fn from_here(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn texts(hashes: &[CertificateHash]) -> Vec<String> {
    hashes.iter().map(ToString::to_string).collect()
}

/// The hash of the certificate, and that of the next one if it is made already: clients should know both.
fn print_hashes(hashes: &[CertificateHash]) {
    println!("certificate hash for --cert-hash:");
    for (hash, what) in hashes.iter().zip(["", "  (the next certificate)"]) {
        println!("  {hash}{what}");
    }
    println!("and for a page:\n  serverCertificateHashes: [");
    for hash in hashes {
        println!("    {{ algorithm: \"sha-256\", value: new Uint8Array([");
        let bytes: Vec<String> = hash.as_bytes().iter().map(|byte| format!("0x{byte:02x}")).collect();
        for line in bytes.chunks(12) {
            println!("      {},", line.join(", "));
        }
        println!("    ]) }},");
    }
    println!("  ]");
}
