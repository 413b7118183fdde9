//! `weft connect`.

use std::{path::Path, time::Duration};

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use wt_api::{
    CertificateDetails, CertificateHash, CloseInfo, ErrorCause, ReceiveStream, SendStream, SendStreamOptions,
    WebTransport, WebTransportError, WebTransportOptions,
};

use crate::{
    args::Connect,
    exit::{Ended, Exit},
    output,
    platform::Signals,
    serve, texts,
};

/// How long answers to the last datagrams are waited for.
const LAST_DATAGRAMS: Duration = Duration::from_secs(1);
const CHUNK: usize = 64 * 1024;

pub(crate) async fn run(args: &Connect, json: bool) -> Result<Exit, Ended> {
    let session = WebTransport::new(&args.url, options(args)?)
        .map_err(|error| Ended::new(Exit::Usage, texts::options(&error, args)))?;
    session.ready().await.map_err(|error| {
        let told = format!("{}\nweft: {}", texts::session(&error), texts::more_about(args));
        Ended::new(exit_of(&error), told)
    })?;
    if let Some((draft, why)) = session.negotiated_draft() {
        tracing::info!(draft, %why, "connected");
    }
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
    match stats {
        Ok(stats) if json => eprintln!("{}", output::json(&stats)),
        Ok(stats) => eprint!("{}", output::table(&stats)),
        Err(error) => tracing::debug!(%error, "no statistics"),
    }
    outcome.map_err(|error| Ended::new(Exit::Session, texts::session(&error)))?;
    match closed {
        Ok(info) if info.close_code != 0 => {
            Err(Ended::new(Exit::Session, format!("closed with code {}: {}", info.close_code, info.reason)))
        }
        Ok(_) => Ok(Exit::Success),
        Err(error) => Err(Ended::new(Exit::Session, texts::session(&error))),
    }
}

fn options(args: &Connect) -> Result<WebTransportOptions, Ended> {
    let options =
        WebTransportOptions::new().key_log_file(true).transport(serve::transport(&args.congestion)?);
    trusting(options, &args.cert_hash, args.ca.as_deref())
}

/// Options with the trust that the command line asks for: certificates of these hashes, or of a CA in a file, or of those
/// that the system knows.
pub(crate) fn trusting(
    mut options: WebTransportOptions,
    hashes: &[String],
    ca: Option<&Path>,
) -> Result<WebTransportOptions, Ended> {
    if !hashes.is_empty() {
        let hashes: Result<Vec<CertificateHash>, _> = hashes.iter().map(|hash| hash.parse()).collect();
        options = options.server_certificate_hashes(hashes.map_err(|error| Ended::new(Exit::Usage, error))?);
    }
    if let Some(ca) = ca {
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

/// The exit status for a session that did not come about.
fn exit_of(error: &WebTransportError) -> Exit {
    match error.cause() {
        ErrorCause::Certificate(_) => Exit::Certificate,
        ErrorCause::Refused(_) | ErrorCause::Status { .. } | ErrorCause::NoHttp3 { .. } => Exit::Refused,
        _ => Exit::Connect,
    }
}

async fn exchange(session: &WebTransport, args: &Connect) -> Result<(), WebTransportError> {
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
        return tokio::try_join!(send(writable), answer).map(|_| ());
    }
    let stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
    let (readable, writable) = stream.split();
    tokio::try_join!(send(writable), print(readable)).map(|_| ())
}

/// Standard input to the stream.
async fn send(mut writable: SendStream) -> Result<(), WebTransportError> {
    let mut input = tokio::io::stdin();
    let mut buffer = vec![0; CHUNK];
    loop {
        match input.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(size) => writable.write_all(&buffer[..size]).await?,
        }
    }
    writable.finish()
}

/// The stream to standard output.
async fn print(mut readable: ReceiveStream) -> Result<(), WebTransportError> {
    let mut output = tokio::io::stdout();
    while let Some(chunk) = readable.read_chunk(CHUNK).await? {
        if output.write_all(&chunk).await.is_err() || output.flush().await.is_err() {
            // Nobody reads any more, as with `| head`.
            return Ok(());
        }
    }
    Ok(())
}

/// Lines to datagrams, datagrams to lines.
async fn datagrams(session: &WebTransport) -> Result<(), WebTransportError> {
    let mut datagrams = session.datagrams();
    let sending = async {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Err(error) = datagrams.writable.send(line.into()).await {
                eprintln!("weft: datagram not sent: {error}");
            }
        }
        tokio::time::sleep(LAST_DATAGRAMS).await;
    };
    let receiving = async {
        let mut output = tokio::io::stdout();
        loop {
            let payload = datagrams.readable.recv().await?;
            let line = [&payload[..], b"\n"].concat();
            if output.write_all(&line).await.is_err() || output.flush().await.is_err() {
                return Ok(());
            }
        }
    };
    tokio::select! {
        () = sending => Ok(()),
        result = receiving => result,
    }
}
