//! `weft serve`.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use quic_core::TransportConfig;
use serde_json::json;
use wt_api::{CertificateHash, Identity, Server};

use crate::{
    args::Serve,
    echo,
    exit::{Ended, Exit},
    reload::{CertificateFiles, INTERVAL},
    signals::{Hangup, Signals},
};

/// How long sessions may take to end after the first signal.
const DRAIN: Duration = Duration::from_secs(10);

pub(crate) async fn run(args: &Serve, json: bool) -> Result<Exit, Ended> {
    let (identity, reloading) = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => {
            let mut files = CertificateFiles::new(cert.clone(), key.clone());
            let identity = files.load().await.map_err(|error| Ended::new(Exit::Usage, error))?;
            (identity, Some((files, Hangup::listen()?)))
        }
        _ => {
            let identity = Identity::self_signed(["localhost", "127.0.0.1", "::1"]);
            (identity.map_err(|error| Ended::new(Exit::Failure, error))?, None)
        }
    };
    let hash = identity.certificate_hash();
    let server = start(identity, &args.listen, &args.origin, &args.congestion)?;
    let mut signals = Signals::listen()?;
    announce(server.local_addresses(), &hash, json);
    tokio::select! {
        () = echo::accept(&server) => Ok(Exit::Success),
        () = reload(&server, reloading, json) => Ok(Exit::Failure),
        () = signals.stop() => {
            tracing::info!("draining; a second signal ends at once");
            tokio::select! {
                () = server.shutdown(DRAIN) => Ok(Exit::Success),
                () = signals.stop() => Ok(Exit::Interrupted),
            }
        }
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
    identity: Identity,
    listen: &[SocketAddr],
    origins: &[String],
    congestion: &str,
) -> Result<Server, Ended> {
    let usage = |error: &dyn std::fmt::Display| Ended::new(Exit::Usage, error);
    let mut builder =
        Server::builder().identity(identity).transport(transport(congestion)?).http_handler(echo::http);
    for address in listen {
        builder = builder.listen(*address);
    }
    builder = if origins.iter().any(|origin| origin == "*") {
        builder.allow_any_origin()
    } else {
        builder.allowed_origins(origins)
    };
    builder.build().map_err(|error| usage(&error))
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

fn announce(addresses: &[SocketAddr], hash: &CertificateHash, json: bool) {
    let bytes: Vec<String> = hash.as_bytes().iter().map(|byte| format!("0x{byte:02x}")).collect();
    if json {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        println!("{}", json!({ "listening": addresses, "certificateHash": hash.to_string() }));
        return;
    }
    for address in addresses {
        println!("listening on {address} (UDP): https://{address}{}", echo::PATH);
    }
    println!("certificate hash for --cert-hash:\n  {hash}");
    println!(
        "and for a page:\n  serverCertificateHashes: [{{ algorithm: \"sha-256\", value: new Uint8Array(["
    );
    for line in bytes.chunks(12) {
        println!("    {},", line.join(", "));
    }
    println!("  ]) }}]");
}
