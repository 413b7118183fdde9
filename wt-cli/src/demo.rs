//! `weft demo`: a server, a client, and a page for trying it by hand.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::json;
use wt_api::{
    CertificateHash, CloseInfo, SendStreamOptions, Server, WebTransport, WebTransportOptions,
    WebTransportStats,
};

use crate::{
    args::Demo,
    echo,
    exit::{Ended, Exit},
    lab, modes, output, page,
    platform::Signals,
    relay::{LinkSpec, Relay},
    serve::{self, Certificate},
};

/// The time limit of a step. On one machine no step takes this long.
const STEP_LIMIT: Duration = Duration::from_secs(10);
const DRAIN: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: &Demo, json: bool) -> Result<Exit, Ended> {
    let mut signals = Signals::with_hangup()?;
    let identities = serve::self_signed()?;
    let listener = page::bind(args.port).await.map_err(|error| {
        Ended::new(Exit::Usage, format!("cannot serve the page on port {}: {error}", args.port))
    })?;
    let page_port = listener.local_addr().map_err(|error| Ended::new(Exit::Failure, error))?.port();
    let origins = [format!("http://localhost:{page_port}"), format!("http://127.0.0.1:{page_port}")];
    let listen = [
        SocketAddr::from(([127, 0, 0, 1], args.port)),
        "[::1]:0".parse().map_err(|e| Ended::new(Exit::Failure, e))?,
    ];
    let server = Arc::new(serve::start(
        Certificate::Renewing(identities),
        Server::builder().key_log_file(true).http_service(echo::http),
        &listen,
        &origins,
    )?);
    let service = echo::Service { modes: true, ..echo::Service::default() };
    let accepting = echo::accept(&server, &service);
    tokio::pin!(accepting);
    let addresses = server.local_addresses().to_vec();
    let mut good = true;
    for address in &addresses {
        let steps = tokio::select! {
            steps = drive(*address, server.certificate_hashes()) => steps,
            () = &mut accepting => return Err(Ended::new(Exit::Failure, "the server stopped")),
            signal = signals.stop() => return Err(Ended::told(signal)),
        };
        good &= report(*address, &steps, json);
    }
    if args.once {
        tokio::select! {
            () = server.shutdown(DRAIN) => {}
            signal = signals.stop() => return Err(Ended::told(signal)),
        }
        return Ok(if good { Exit::Success } else { Exit::Failure });
    }
    let url = format!("https://{}{}", addresses[0], lab::PATH);
    let page = format!("http://localhost:{page_port}/");
    if json {
        let hashes: Vec<String> = server.certificate_hashes().iter().map(ToString::to_string).collect();
        output::say_json(&json!({ "page": page, "url": url, "certificateHashes": hashes }));
    } else {
        invite(&page, &url, &server);
    }
    let relay = relay(&args.link, addresses[0]).await?;
    let modes = relay.address().map_err(|error| Ended::new(Exit::Failure, error))?;
    let shown = page::Shown {
        url,
        modes: format!("https://{modes}{}", modes::PATH),
        link: args.link.text().to_owned(),
        server: Arc::clone(&server),
    };
    let mut relaying = pin!(relay.run());
    let broken = |error| Ended::new(Exit::Failure, format!("the link failed: {error}"));
    tokio::select! {
        () = page::serve(listener, move || shown.page()) => {}
        error = &mut relaying => return Err(broken(error)),
        () = &mut accepting => {}
        _ = signals.stop() => {}
    }
    // The signal also ends the sessions over the link.
    let ended = tokio::select! {
        ended = serve::drain(&server, &service.open, DRAIN, &mut signals, json) => ended,
        error = &mut relaying => return Err(broken(error)),
    };
    Ok(if good || ended != Exit::Success { ended } else { Exit::Failure })
}

/// The link to the server at `server` on which the page compares the kinds of congestion control.
async fn relay(link: &LinkSpec, server: SocketAddr) -> Result<Relay, Ended> {
    let bound = Relay::bind(link, server, SocketAddr::new(server.ip(), 0)).await;
    bound.map_err(|error| Ended::new(Exit::Failure, format!("no socket for the link: {error}")))
}

/// The steps of a client with one address.
struct Steps {
    steps: Vec<(&'static str, Result<String, String>)>,
    stats: Option<WebTransportStats>,
}

async fn drive(address: SocketAddr, hashes: Vec<CertificateHash>) -> Steps {
    let mut steps = Steps { steps: Vec::new(), stats: None };
    let options = WebTransportOptions::new().server_certificate_hashes(hashes);
    let session = match WebTransport::new(&format!("https://{address}{}", echo::PATH), options) {
        Ok(session) => session,
        Err(error) => {
            steps.steps.push(("connect", Err(error.to_string())));
            return steps;
        }
    };
    let connected = step(async {
        session.ready().await?;
        Ok(session.negotiated_draft().map(|(_, why)| why.to_string()).unwrap_or_default())
    });
    steps.steps.push(("connect", connected.await));
    if steps.steps[0].1.is_err() {
        return steps;
    }
    steps.steps.push(("bidirectional stream", step(bidirectional(&session)).await));
    steps.steps.push(("unidirectional streams", step(unidirectional(&session)).await));
    steps.steps.push(("datagrams", step(datagrams(&session)).await));
    steps.steps.push(("reset with code 42", step(reset(&session)).await));
    steps.stats = session.get_stats().await.ok();
    steps.steps.push(("close with code 7", step(close(&session)).await));
    steps
}

/// What a step found, in words.
type StepResult = Result<String, Box<dyn std::error::Error + Send + Sync>>;

async fn step(work: impl Future<Output = StepResult>) -> Result<String, String> {
    match tokio::time::timeout(STEP_LIMIT, work).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("still running after {STEP_LIMIT:?}")),
    }
}

fn expect(got: &[u8], expected: &[u8]) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    Err(format!("{} bytes came back, not the {} that were sent", got.len(), expected.len()))
}

fn pattern(size: usize) -> Bytes {
    (0..size).map(|i| (i % 251) as u8).collect::<Vec<u8>>().into()
}

async fn bidirectional(session: &WebTransport) -> StepResult {
    let data = pattern(1 << 20);
    let stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
    let (mut readable, mut writable) = stream.split();
    let send = async {
        writable.write_chunk(data.clone()).await?;
        writable.finish()
    };
    let ((), echo) = tokio::try_join!(send, readable.read_to_end(2 << 20))?;
    expect(&echo, &data)?;
    Ok(format!("{} bytes out and back", data.len()))
}

async fn unidirectional(session: &WebTransport) -> StepResult {
    let data = pattern(100_000);
    let mut writable = session.create_unidirectional_stream(SendStreamOptions::new()).await?;
    writable.write_chunk(data.clone()).await?;
    writable.finish()?;
    let Some(readable) = session.incoming_unidirectional_streams().next().await else {
        return Err("no stream came back".into());
    };
    let echo = readable?.read_to_end(1 << 20).await?;
    expect(&echo, &data)?;
    Ok(format!("{} bytes on one out, on another back", data.len()))
}

async fn datagrams(session: &WebTransport) -> StepResult {
    let mut datagrams = session.datagrams();
    let count = 20u8;
    for n in 0..count {
        datagrams.writable.send(Bytes::from(vec![n; 100 + usize::from(n)])).await?;
    }
    for _ in 0..count {
        let payload = datagrams.readable.recv().await?;
        let n = payload.first().copied().unwrap_or(u8::MAX);
        expect(&payload, &vec![n; 100 + usize::from(n)])?;
    }
    Ok(format!("{count} out and back, at most {} bytes each", datagrams.writable.max_datagram_size()))
}

async fn reset(session: &WebTransport) -> StepResult {
    let mut stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
    stream.writable.write_all(b"never mind").await?;
    let echo = stream.readable.read_chunk(100).await?;
    expect(&echo.unwrap_or_default(), b"never mind")?;
    stream.writable.reset(42);
    match stream.readable.read_chunk(100).await {
        Err(error) if error.stream_error_code() == Some(42) => {
            Ok("the server answered with the same code".to_owned())
        }
        other => Err(format!("expected a reset, got {other:?}").into()),
    }
}

async fn close(session: &WebTransport) -> StepResult {
    session.close(CloseInfo::new(7, "demonstrated"));
    let info = session.closed().await?;
    if info.close_code == 7 && info.reason == "demonstrated" {
        return Ok("reason “demonstrated”".to_owned());
    }
    Err(format!("closed with {info:?}").into())
}

/// Tells people how to continue.
fn invite(page: &str, url: &str, server: &Server) {
    let hashes: String = server.certificate_hashes().iter().map(|hash| format!("  {hash}\n")).collect();
    output::say(&format!(
        "\nOpen {page} in a browser to go on by hand (Ctrl-C ends).\n\
         Session URL {url}, hashes of its certificate and of the next one\n{hashes}"
    ));
}

/// Prints what happened. Returns whether all steps succeeded.
fn report(address: SocketAddr, steps: &Steps, json: bool) -> bool {
    let good = steps.steps.iter().all(|(_, result)| result.is_ok()) && steps.steps.len() > 1;
    if json {
        let list: Vec<_> = steps
            .steps
            .iter()
            .map(|(name, result)| match result {
                Ok(detail) => json!({ "step": name, "ok": true, "detail": detail }),
                Err(detail) => json!({ "step": name, "ok": false, "detail": detail }),
            })
            .collect();
        let stats = steps.stats.as_ref().map(output::json);
        let told = json!({ "server": address.to_string(), "ok": good, "steps": list, "stats": stats });
        output::say_json(&told);
        return good;
    }
    let mut text = format!("Session with {address}\n");
    for (name, result) in &steps.steps {
        let detail = result.as_ref().unwrap_or_else(|error| error);
        text += &format!("  {}  {name:<22}  {detail}\n", output::mark(result.is_ok()));
    }
    if let Some(stats) = &steps.stats {
        text += &format!("Statistics of the connection\n{}\n", output::table(stats));
    }
    output::say(&text);
    good
}
