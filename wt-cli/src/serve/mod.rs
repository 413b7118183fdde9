//! `weft serve`.
//!
//! Lowest first: [`told`] prints what happens, [`certificate`] follows the certificate, [`metrics`] serves
//! metrics, [`root`] serves files, [`refusals`] reports what limits refuse. This file has the server's life cycle.

mod certificate;
mod metrics;
mod refusals;
mod root;
mod told;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use wt_api::{Identity, SelfSigned, Server, ServerBuilder, ServerError, ServerKeys};

use crate::{
    args::Serve,
    congestion,
    echo::{self, Open, Service},
    exec::Exec,
    exit::{Ended, Exit},
    output,
    platform::{Hangup, Signals},
    qlogs,
    reload::CertificateFiles,
    state,
};
use root::Root;

/// How long sessions may take to end after the first signal.
const DRAIN: Duration = Duration::from_secs(10);

pub(crate) async fn run(args: &Serve, json: bool) -> Result<Exit, Ended> {
    let exec = Exec::of(args)?;
    let (certificate, reloading) = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => {
            let mut files = CertificateFiles::new(cert.clone(), key.clone());
            let identity = files.load().await.map_err(|error| Ended::new(Exit::Usage, error))?;
            (Certificate::Given(identity), Some((files, Hangup::listen()?)))
        }
        _ => (Certificate::Renewing(self_signed()?), None),
    };
    let keys = args.state.as_deref().map(state::keys).transpose()?;
    let broken = match &certificate {
        Certificate::Given(identity) => certificate::broken_rules(identity),
        Certificate::Renewing(_) => Vec::new(),
    };
    let server = Arc::new(start(certificate, builder(args, keys)?, &args.listen, &args.origin)?);
    let metrics = match args.metrics {
        Some(address) => Some(metrics::bind(address).await?),
        None => None,
    };
    let metrics_at = metrics.as_ref().and_then(|listener| listener.local_addr().ok());
    // Without files to read again, SIGHUP means that the terminal is gone.
    let mut signals = if reloading.is_some() { Signals::listen()? } else { Signals::with_hangup()? };
    let path = if args.exec.is_some() { "/" } else { echo::PATH };
    told::started(&server, path, metrics_at, &broken, json);
    // Without that output, nobody could know the server's address and hash. A reader that left after reading
    // is a different case.
    if output::unwritten().is_some() {
        return Ok(Exit::Success);
    }
    let service = Service { protocols: args.protocol.clone().into(), exec, ..Service::default() };
    let ended = tokio::select! {
        () = echo::accept(&server, &service) => Ok(Exit::Success),
        () = certificate::reload(&server, reloading, json) => Ok(Exit::Failure),
        () = certificate::tell_renewals(&server, json) => Ok(Exit::Failure),
        () = metrics::serve(metrics, &server) => Ok(Exit::Failure),
        () = refusals::tell(&server) => Ok(Exit::Failure),
        () = congestion::watch_all(&server, args.stats, json) => Ok(Exit::Failure),
        _ = signals.stop() => Ok(drain(&server, &service.open, DRAIN, &mut signals, json).await),
    };
    if let Some(exec) = &service.exec {
        exec.end().await;
    }
    ended
}

/// Ends the server gracefully. The first signal has started this; sessions have `limit` to end.
pub(crate) async fn drain(
    server: &Server,
    open: &Open,
    limit: Duration,
    signals: &mut Signals,
    json: bool,
) -> Exit {
    told::draining(open.count(), limit, json);
    let second = tokio::select! {
        () = server.shutdown(limit) => return Exit::Success,
        second = signals.stop() => second,
    };
    told::closing(open.count(), json);
    tokio::select! {
        () = server.shutdown(Duration::ZERO) => {}
        _ = signals.stop() => {}
    }
    second
}

/// The certificate that a server shows its clients.
pub(crate) enum Certificate {
    /// A certificate from files.
    Given(Identity),
    /// Self-signed certificates, each of which replaces the one before.
    Renewing(SelfSigned),
}

/// Self-signed certificates for this machine alone.
pub(crate) fn self_signed() -> Result<SelfSigned, Ended> {
    SelfSigned::new(["localhost", "127.0.0.1", "::1"]).map_err(|error| Ended::new(Exit::Failure, error))
}

/// A server as the command line describes it, without its certificate, addresses and origins.
fn builder(args: &Serve, keys: Option<ServerKeys>) -> Result<ServerBuilder, Ended> {
    let (kind, transport) = args.congestion.apply();
    let limited = args.limits.apply(Server::builder().key_log_file(true).congestion_control(kind), transport);
    let mut builder = limited.map_err(|error| Ended::new(Exit::Usage, error))?;
    if let Some(root) = args.root.as_deref().map(Root::new).transpose()? {
        builder = builder.http_service(move |request| {
            let root = root.clone();
            async move { root.answer(request).await }
        });
    } else if args.exec.is_none() {
        builder = builder.http_service(echo::http);
    }
    if let Some(keys) = keys {
        builder = builder.keys(keys);
    }
    if let Some(observers) = qlogs::observers() {
        builder = builder.observers(observers);
    }
    Ok(builder)
}

/// Starts a server.
pub(crate) fn start(
    certificate: Certificate,
    builder: ServerBuilder,
    listen: &[SocketAddr],
    origins: &[String],
) -> Result<Server, Ended> {
    let usage = |error: &dyn std::fmt::Display| Ended::new(Exit::Usage, error);
    let mut builder = match certificate {
        Certificate::Given(identity) => builder.identity(identity),
        Certificate::Renewing(identities) => builder.renew_self_signed(identities),
    };
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
