//! `weft connect`.
//!
//! Lowest first: [`sink`] writes what arrives, [`exchange`] is the data exchange; this file opens the session
//! and decides the exit status.

mod exchange;
mod sink;
mod stop;

use std::{pin::Pin, sync::Arc, time::Duration};

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use wt_api::{
    CertificateDetails, CertificateHash, CloseInfo, ConnectOptionsError, ErrorCause, TransportConfig,
    WebTransport, WebTransportError, WebTransportOptions, WebTransportStats,
};

use crate::{
    args::{Asking, Connect},
    congestion,
    exit::{Ended, Exit},
    field, inputs, output,
    platform::Signals,
    qlogs, texts,
};
use sink::Sink;
use stop::{END, Stop};

/// The most bytes of waiting answers, over all streams.
const WAITING: u64 = 16 << 20;

pub(crate) async fn run(args: &Connect, json: bool) -> Result<Exit, Ended> {
    let mut signals = Signals::with_hangup()?;
    let session = tokio::select! {
        session = open(args, json) => session?,
        signal = signals.stop() => {
            // Waits for the close to be sent, so that the server need not wait for a timeout. A second signal
            // ends this too.
            tokio::select! {
                () = wt_api::wait_idle() => {}
                _ = signals.stop() => {}
            }
            return Err(Ended::told(signal));
        }
    };
    exchange::prepare(&session, args);
    let sink = Arc::new(Sink::new(json));
    let mut work = Box::pin(async {
        sink.event(&connected(&session)).await?;
        let exchange = exchange::run(&session, args, &sink);
        tokio::select! {
            outcome = exchange => outcome,
            stop = watch(&session, args, json, &sink) => Err(stop),
        }
    });
    let outcome = tokio::select! {
        outcome = &mut work => outcome,
        signal = signals.stop() => if args.has_an_end() {
            // A pending write would block the report of the end.
            drop(work);
            Err(Stop::Signal(signal))
        } else {
            // The signal ends exchanges that have no end of their own.
            enough(work, &session, args, &sink).await
        },
    };
    // The peer may be silent and the output unread, so a second signal is noticed all the time.
    tokio::select! {
        ended = end(&session, outcome, args, &sink) => ended,
        signal = signals.stop() => Err(Ended::told(signal)),
    }
}

/// Ends an exchange that has no end of its own: writes out what has arrived. A blocked output does not hold
/// this up.
async fn enough(
    mut work: Pin<Box<impl Future<Output = Result<(), Stop>>>>,
    session: &WebTransport,
    args: &Connect,
    sink: &Sink,
) -> Result<(), Stop> {
    let rest = async move {
        tokio::select! {
            outcome = &mut work => return outcome,
            () = sink.settled() => {}
        }
        drop(work);
        exchange::rest(session, args, sink).await
    };
    tokio::time::timeout(END, rest).await.unwrap_or(Ok(()))
}

/// Reports the state of the connection, if wanted, until nobody reads it.
async fn watch(session: &WebTransport, args: &Connect, json: bool, sink: &Sink) -> Stop {
    if let (Some(seconds), Some(connection)) = (args.stats, session.connection())
        && let Err(stop) =
            congestion::watch(&connection, seconds, json, async |event| sink.event(event).await).await
    {
        return stop;
    }
    std::future::pending().await
}

/// Ends the session, prints the result, and decides the exit status.
async fn end(
    session: &WebTransport,
    outcome: Result<(), Stop>,
    args: &Connect,
    sink: &Sink,
) -> Result<Exit, Ended> {
    let outcome = match outcome {
        Err(stop) => stop.unless_over(session).await,
        Ok(()) if sink.unsent() > 0 => Err(Stop::Unsent(sink.unsent())),
        outcome => outcome,
    };
    let stats = session.get_stats().await;
    let dropped =
        stats.as_ref().ok().and_then(|stats| stats.datagrams).map_or(0, |counts| counts.dropped_incoming);
    session.close(farewell(&outcome));
    let closed = session.closed().await;
    wt_api::wait_idle().await;
    // A reader that has left wants no statistics either.
    if !matches!(outcome, Err(Stop::Output)) {
        let wanted = stats.inspect_err(|error| tracing::debug!(%error, "no statistics"));
        let wanted = wanted.ok().filter(|_| !args.quiet);
        let _ = sink.event(&ended(&closed, wanted.as_ref())).await;
        match wanted {
            Some(stats) if !sink.tells_programs() => output::tell(&output::table(&stats)),
            _ => {}
        }
    }
    // The statistics do not say who caused the drops, and --quiet omits them.
    if args.datagrams && dropped > 0 && !matches!(outcome, Err(Stop::Output)) {
        output::tell(&texts::dropped(dropped));
    }
    judge(outcome, closed)
}

/// The close that the peer gets. An interrupted exchange must not look like a complete one.
fn farewell(outcome: &Result<(), Stop>) -> CloseInfo {
    let failure = |reason: &str| CloseInfo::new(u32::from(Exit::Failure.status()), reason);
    match outcome {
        Err(Stop::Signal(signal)) => CloseInfo::new(u32::from(signal.status()), "interrupted"),
        Err(Stop::Input(_)) => failure("the input could not be read to its end"),
        Err(Stop::Output) if output::unwritten().is_some() => failure("the output could not be written"),
        _ => CloseInfo::default(),
    }
}

/// The first event: what was negotiated.
fn connected(session: &WebTransport) -> Value {
    let fields = session.response_headers().map(|fields| {
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let fields = fields.keys().map(|name| {
            let values: Vec<String> = fields.get_all(name).iter().map(text).collect();
            (name.to_string(), Value::from(values.join(", ")))
        });
        fields.collect::<serde_json::Map<_, _>>()
    });
    json!({
        "event": "connected",
        "dialect": session.negotiated_draft().map(|(draft, _)| draft),
        "protocol": session.protocol().as_deref(),
        "remote": session.remote_address().map(|address| address.to_string()),
        "fields": fields,
    })
}

/// The last event.
fn ended(closed: &Result<CloseInfo, WebTransportError>, stats: Option<&WebTransportStats>) -> Value {
    let stats = stats.map(output::json);
    match closed {
        Ok(info) => {
            json!({ "event": "closed", "code": info.close_code, "reason": info.reason, "stats": stats })
        }
        Err(error) => json!({ "event": "failed", "cause": texts::word(error.cause()), "stats": stats }),
    }
}

/// Opens a session as the command line asks.
async fn open(args: &Connect, json: bool) -> Result<WebTransport, Ended> {
    if let Some(refused) = texts::credentials(&args.asking.url) {
        return Err(Ended::new(Exit::Usage, refused));
    }
    let session = WebTransport::new(&args.asking.url, options(args, json)?)
        .map_err(|error| Ended::new(Exit::Usage, texts::options(&error, &args.asking)))?;
    let ready = session.ready().await;
    ready.map_err(|error| unconnected(error.cause()).with_hint(texts::more_about(args)))?;
    if let Some((draft, why)) = session.negotiated_draft() {
        tracing::info!(draft, %why, "connected");
    }
    Ok(session)
}

/// The end of a command whose session was not established.
pub(crate) fn unconnected(cause: &ErrorCause) -> Ended {
    let exit = match cause {
        ErrorCause::Certificate(_) => Exit::Certificate,
        ErrorCause::Refused(_) | ErrorCause::Status { .. } | ErrorCause::NoHttp3 { .. } => Exit::Refused,
        _ => Exit::Connect,
    };
    Ended::new(exit, texts::session(cause)).with_cause(texts::word(cause))
}

/// Decides the exit status. If the peer closed the session, its code decides, whatever was pending then.
fn judge(outcome: Result<(), Stop>, closed: Result<CloseInfo, WebTransportError>) -> Result<Exit, Ended> {
    let failed = |error: &WebTransportError| {
        Err(Ended::new(Exit::Session, texts::session(error.cause())).with_cause(texts::word(error.cause())))
    };
    match outcome {
        Err(Stop::Output) => return Ok(Exit::Success),
        Err(Stop::Signal(signal)) => return Err(Ended::told(signal)),
        Err(Stop::Unsent(lines)) => {
            let lines = if lines == 1 { "1 line was".to_owned() } else { format!("{lines} lines were") };
            return Err(Ended::new(Exit::Failure, format!("{lines} not sent")));
        }
        Err(Stop::Input(error)) => {
            return Err(Ended::new(Exit::Failure, format!("standard input cannot be read: {error}")));
        }
        Err(Stop::Stopped(code)) => {
            let told = ErrorCause::StreamStopped(code);
            return Err(Ended::new(Exit::Session, &told).with_cause(texts::word(&told)));
        }
        Err(Stop::Failed(error)) if !matches!(error.cause(), ErrorCause::SessionClosed { .. }) => {
            return failed(&error);
        }
        Err(Stop::Failed(_)) | Ok(()) => {}
    }
    match closed {
        Ok(info) if info.close_code != 0 => {
            let told = format!("closed with code {}: {}", info.close_code, output::printable(&info.reason));
            Err(Ended::new(Exit::Session, told).with_cause("closed"))
        }
        Ok(_) => Ok(Exit::Success),
        Err(error) => failed(&error),
    }
}

fn options(args: &Connect, json: bool) -> Result<WebTransportOptions, Ended> {
    let Connect { asking, timeout, .. } = args;
    let (kind, transport) = args.congestion.apply();
    let mut options = WebTransportOptions::new()
        .key_log_file(true)
        .congestion_control(kind)
        .transport(suited(transport, args, json))
        .connect_timeout(Duration::from_secs_f64(*timeout))
        .headers(field::map(&asking.header))
        .protocols(&asking.protocol);
    if let Some(origin) = &asking.origin {
        options = options.origin(origin);
    }
    if let Some(observers) = qlogs::observers() {
        options = options.observers(observers);
    }
    trusting(options, asking)
}

/// The transport settings. If answers are read in turn, waiting answers must leave credit for the one being
/// read. Together they get less of the connection's window than it has.
fn suited(mut transport: TransportConfig, args: &Connect, json: bool) -> TransportConfig {
    if args.reads_in_turn(json) {
        let streams = args.streams as u64 + 1;
        transport.stream_receive_window = transport.stream_receive_window.min(WAITING / streams);
        let together = streams * transport.stream_receive_window;
        transport.receive_window = transport.receive_window.max(together);
    }
    transport
}

/// Checks options as a client does before it uses the network.
pub(crate) fn check(url: &str, options: WebTransportOptions) -> Result<(), ConnectOptionsError> {
    // This runtime is never driven, so nothing is sent.
    let idle = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let idle = idle.map_err(|_| ConnectOptionsError::NoRuntime)?;
    let made = {
        let _context = idle.enter();
        WebTransport::new(url, options).map(drop)
    };
    idle.shutdown_background();
    made
}

/// Adds the trust that the command line asks for: certificates with these hashes, those of a CA in a file, or
/// those that the system trusts.
pub(crate) fn trusting(
    mut options: WebTransportOptions,
    asking: &Asking,
) -> Result<WebTransportOptions, Ended> {
    if !asking.cert_hash.is_empty() {
        let hashes: Result<Vec<CertificateHash>, _> =
            asking.cert_hash.iter().map(|hash| hash.parse()).collect();
        options = options.server_certificate_hashes(hashes.map_err(|error| Ended::new(Exit::Usage, error))?);
    }
    if let Some(ca) = &asking.ca {
        options = options.trusted_certificates(certificates(&inputs::read(ca)?).map_err(|error| {
            Ended::new(Exit::Usage, format!("no certificate can be read from {}: {error}", ca.display()))
        })?);
    }
    Ok(options)
}

/// The certificates of a PEM file in DER, at least one. A DER file is one certificate.
fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, rustls_pki_types::pem::Error> {
    if CertificateDetails::from_der(pem).is_some() {
        return Ok(vec![pem.to_vec()]);
    }
    let certificates: Result<Vec<Vec<u8>>, _> =
        CertificateDer::pem_slice_iter(pem).map(|certificate| Ok(certificate?.to_vec())).collect();
    certificates.and_then(|list| {
        if list.is_empty() { Err(rustls_pki_types::pem::Error::NoItemsFound) } else { Ok(list) }
    })
}
