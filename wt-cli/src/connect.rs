//! `weft connect`.

use std::{io, time::Duration};

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use wt_api::{
    CertificateDetails, CertificateHash, CloseInfo, ConnectOptionsError, ErrorCause, ReceiveStream,
    SendStream, SendStreamOptions, WebTransport, WebTransportError, WebTransportOptions, WebTransportStats,
};

use crate::{
    args::{Asking, Connect},
    exit::{Ended, Exit},
    field, output,
    platform::Signals,
    serve, texts,
};

/// How long answers to the last datagrams are waited for.
const LAST_DATAGRAMS: Duration = Duration::from_secs(1);
const CHUNK: usize = 64 * 1024;

/// Why no more goes back and forth, before all has.
enum Stop {
    /// The session or a stream of it failed.
    Failed(WebTransportError),
    /// Standard input cannot be read.
    Input(io::Error),
    /// Nobody reads standard output any more, as with `| head`, or it cannot be written to.
    Output,
}

impl From<WebTransportError> for Stop {
    fn from(error: WebTransportError) -> Self {
        Self::Failed(error)
    }
}

pub(crate) async fn run(args: &Connect, json: bool) -> Result<Exit, Ended> {
    let session = open(args).await?;
    let mut signals = Signals::listen()?;
    let outcome = tokio::select! {
        outcome = exchange(&session, args) => outcome,
        () = signals.stop() => Ok(()),
    };
    let stats = session.get_stats().await;
    session.close(CloseInfo::default());
    let ending = async {
        let closed = session.closed().await;
        wt_api::wait_idle().await;
        closed
    };
    let closed = tokio::select! {
        closed = ending => closed,
        () = signals.stop() => return Ok(Exit::Interrupted),
    };
    // Who has seen enough wants no figures either.
    if !args.quiet && !matches!(outcome, Err(Stop::Output)) {
        tell_stats(stats, json);
    }
    judge(outcome, closed)
}

/// A session as the command line asks for it.
async fn open(args: &Connect) -> Result<WebTransport, Ended> {
    let session = WebTransport::new(&args.asking.url, options(args)?)
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

fn tell_stats(stats: Result<WebTransportStats, WebTransportError>, json: bool) {
    match stats {
        Ok(stats) if json => output::tell(&format!("{}\n", output::json(&stats))),
        Ok(stats) => output::tell(&output::table(&stats)),
        Err(error) => tracing::debug!(%error, "no statistics"),
    }
}

/// What came of it. A peer that closes the session is judged by its code, whatever was on its way then.
fn judge(outcome: Result<(), Stop>, closed: Result<CloseInfo, WebTransportError>) -> Result<Exit, Ended> {
    let failed = |error: &WebTransportError| {
        Err(Ended::new(Exit::Session, texts::session(error.cause())).with_cause(texts::word(error.cause())))
    };
    match outcome {
        Err(Stop::Output) => return Ok(Exit::Success),
        Err(Stop::Input(error)) => {
            return Err(Ended::new(Exit::Failure, format!("standard input cannot be read: {error}")));
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

fn options(args: &Connect) -> Result<WebTransportOptions, Ended> {
    let Connect { asking, timeout, congestion, .. } = args;
    let mut options = WebTransportOptions::new()
        .key_log_file(true)
        .transport(serve::transport(congestion)?)
        .connect_timeout(Duration::from_secs_f64(*timeout))
        .headers(field::map(&asking.header))
        .protocols(&asking.protocol);
    if let Some(origin) = &asking.origin {
        options = options.origin(origin);
    }
    trusting(options, asking)
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
        options = options.trusted_certificates(certificates(&serve::read(ca)?).map_err(|error| {
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

async fn exchange(session: &WebTransport, args: &Connect) -> Result<(), Stop> {
    if args.datagrams {
        return datagrams(session).await;
    }
    if args.uni {
        let writable = session.create_unidirectional_stream(SendStreamOptions::new()).await?;
        let answer = async {
            match session.incoming_unidirectional_streams().next().await {
                Some(readable) => print(readable?).await,
                None => Ok(()),
            }
        };
        return tokio::try_join!(send(session, writable), answer).map(|_| ());
    }
    let stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
    let (readable, writable) = stream.split();
    tokio::try_join!(send(session, writable), print(readable)).map(|_| ())
}

/// Standard input to the stream, as long as there is a session: nobody has to end the input of one that is over.
async fn send(session: &WebTransport, mut writable: SendStream) -> Result<(), Stop> {
    let mut input = tokio::io::stdin();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = tokio::select! {
            read = input.read(&mut buffer) => read.map_err(Stop::Input)?,
            _ = session.closed() => return Ok(()),
        };
        if read == 0 {
            return Ok(writable.finish()?);
        }
        writable.write_all(&buffer[..read]).await?;
    }
}

/// The stream to standard output.
async fn print(mut readable: ReceiveStream) -> Result<(), Stop> {
    let mut output = tokio::io::stdout();
    while let Some(chunk) = readable.read_chunk(CHUNK).await? {
        write(&mut output, &chunk).await?;
    }
    Ok(())
}

async fn write(output: &mut tokio::io::Stdout, data: &[u8]) -> Result<(), Stop> {
    let written = async {
        output.write_all(data).await?;
        output.flush().await
    };
    written.await.map_err(|error| {
        output::note_unwritten(&error);
        Stop::Output
    })
}

/// Lines to datagrams, datagrams to lines.
async fn datagrams(session: &WebTransport) -> Result<(), Stop> {
    let mut datagrams = session.datagrams();
    let sending = async {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Some(line) = lines.next_line().await.map_err(Stop::Input)? {
            if let Err(error) = datagrams.writable.send(line.into()).await {
                output::tell(&format!("weft: datagram not sent: {error}\n"));
            }
        }
        tokio::time::sleep(LAST_DATAGRAMS).await;
        Ok(())
    };
    let receiving = async {
        let mut output = tokio::io::stdout();
        loop {
            let payload = datagrams.readable.recv().await?;
            write(&mut output, &[&payload[..], b"\n"].concat()).await?;
        }
    };
    tokio::select! {
        result = sending => result,
        result = receiving => result,
    }
}
