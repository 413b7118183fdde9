//! `weft connect`.
//!
//! Lowest first: [`sink`] writes what comes, [`exchange`] is what goes back and forth; here a session is made and judged.

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
    texts,
};
use sink::Sink;
use stop::{END, Stop};

/// Bytes of answers that wait for their turn, of all streams together.
const WAITING: u64 = 16 << 20;

pub(crate) async fn run(args: &Connect, json: bool) -> Result<Exit, Ended> {
    let mut signals = Signals::with_hangup()?;
    let session = tokio::select! {
        session = open(args, json) => session?,
        signal = signals.stop() => {
            // The server need not wait for one who has left; a second signal does not wait for that either.
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
            // A write that it was at would keep the end from being told.
            drop(work);
            Err(Stop::Signal(signal))
        } else {
            // What would go on for ever is over when somebody says so.
            enough(work, &session, args, &sink).await
        },
    };
    // The peer may be silent and nobody read what is written, so a second signal is heard all along.
    tokio::select! {
        ended = end(&session, outcome, args, &sink) => ended,
        signal = signals.stop() => Err(Ended::told(signal)),
    }
}

/// Ends what has no end of its own: what has come by now is written. An output that takes nothing does not hold it up.
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

/// Tells how the connection does, if that is wanted, until nobody reads it.
async fn watch(session: &WebTransport, args: &Connect, json: bool, sink: &Sink) -> Stop {
    if let (Some(seconds), Some(connection)) = (args.stats, session.connection())
        && let Err(stop) =
            congestion::watch(&connection, seconds, json, async |event| sink.event(event).await).await
    {
        return stop;
    }
    std::future::pending().await
}

/// Ends the session, says what came of it, and judges it.
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
    // Who has seen enough wants no figures either.
    if !matches!(outcome, Err(Stop::Output)) {
        let wanted = stats.inspect_err(|error| tracing::debug!(%error, "no statistics"));
        let wanted = wanted.ok().filter(|_| !args.quiet);
        let _ = sink.event(&ended(&closed, wanted.as_ref())).await;
        match wanted {
            Some(stats) if !sink.tells_programs() => output::tell(&output::table(&stats)),
            _ => {}
        }
    }
    // The figures do not say whose fault it is, and --quiet leaves them out.
    if args.datagrams && dropped > 0 && !matches!(outcome, Err(Stop::Output)) {
        output::tell(&texts::dropped(dropped));
    }
    judge(outcome, closed)
}

/// What the peer hears: who is cut short must not be taken for one who has said everything.
fn farewell(outcome: &Result<(), Stop>) -> CloseInfo {
    let failure = |reason: &str| CloseInfo::new(u32::from(Exit::Failure.status()), reason);
    match outcome {
        Err(Stop::Signal(signal)) => CloseInfo::new(u32::from(signal.status()), "interrupted"),
        Err(Stop::Input(_)) => failure("the input could not be read to its end"),
        Err(Stop::Output) if output::unwritten().is_some() => failure("the output could not be written"),
        _ => CloseInfo::default(),
    }
}

/// The first event: what was agreed upon.
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

/// A session as the command line asks for it.
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

/// How a session ends that did not come about.
pub(crate) fn unconnected(cause: &ErrorCause) -> Ended {
    let exit = match cause {
        ErrorCause::Certificate(_) => Exit::Certificate,
        ErrorCause::Refused(_) | ErrorCause::Status { .. } | ErrorCause::NoHttp3 { .. } => Exit::Refused,
        _ => Exit::Connect,
    };
    Ended::new(exit, texts::session(cause)).with_cause(texts::word(cause))
}

/// What came of it. A peer that closes the session is judged by its code, whatever was on its way then.
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
    trusting(options, asking)
}

/// Settings of QUIC. Where answers are read in turn, those that wait must leave credit for the one whose turn it is: all of
/// them together get no more of the connection's window than it has.
fn suited(mut transport: TransportConfig, args: &Connect, json: bool) -> TransportConfig {
    if args.reads_in_turn(json) {
        let streams = args.streams as u64 + 1;
        transport.stream_receive_window = transport.stream_receive_window.min(WAITING / streams);
        let together = streams * transport.stream_receive_window;
        transport.receive_window = transport.receive_window.max(together);
    }
    transport
}

/// What a client would say of these options before it asks the network for anything.
pub(crate) fn check(url: &str, options: WebTransportOptions) -> Result<(), ConnectOptionsError> {
    // Nobody drives this runtime, so nothing is sent.
    let idle = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let idle = idle.map_err(|_| ConnectOptionsError::NoRuntime)?;
    let made = {
        let _context = idle.enter();
        WebTransport::new(url, options).map(drop)
    };
    idle.shutdown_background();
    made
}

/// Options with the trust that the command line asks for: certificates of these hashes, or of a CA in a file, or of those
/// that the system knows.
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

/// The certificates of a PEM file, in DER; at least one. A file in DER is one certificate.
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
