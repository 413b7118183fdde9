//! Makes sessions, each on its own connection and all from one socket: one after the other, or idle ones.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;
use wt_api::{Client, CloseInfo, SendStreamOptions, WebTransport, WebTransportError};

use super::super::{
    growth::{AskServer, REST, Resident, SETTLE, WARM},
    report::Outcome,
    terms::{clock, failed},
    wire::Request,
};
use crate::{
    args::{Perf, PerfMode},
    connect,
    exit::Ended,
};

/// Establishes a session.
pub(super) async fn session(client: &Client, url: &str) -> Result<WebTransport, Ended> {
    let session = client.connect(url).map_err(|error| failed(url, error))?;
    session.ready().await.map_err(|error| connect::unconnected(error.cause()))?;
    Ok(session)
}

/// Establishes sessions, a limited number at a time. Each is closed as soon as it is established. One whose
/// connection is to be resumed first sends a request, so that its ticket has arrived.
pub(super) async fn handshakes(client: &Client, url: &str, options: &Perf) -> Result<Outcome, Ended> {
    let asks = options.mode == PerfMode::Resume;
    let (duration, began) = (Duration::from_secs_f64(options.seconds), clock());
    let mut tasks = JoinSet::new();
    for _ in 0..options.conns() {
        let (client, url) = (client.clone(), url.to_owned());
        tasks.spawn(async move { one_after_the_other(&client, &url, began, duration, asks).await });
    }
    let (mut latencies, mut resumed) = (Vec::new(), 0);
    while let Some(task) = tasks.join_next().await {
        // A task that panicked has printed why.
        let (took, again) = task.unwrap_or_else(|_| Ok(Default::default()))?;
        latencies.extend(took);
        resumed += again;
    }
    let (operations, resumed) = (latencies.len() as u64, asks.then_some(resumed));
    Ok(Outcome { operations, elapsed: began.elapsed(), latencies, resumed, ..Outcome::default() })
}

/// Asks for as little as there is, and waits for it.
async fn ask(session: &WebTransport) -> Result<(), WebTransportError> {
    let mut stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
    stream.writable.write_chunk(Bytes::copy_from_slice(&Request::Count.encode())).await?;
    stream.writable.finish()?;
    stream.readable.read_to_end(64).await.map(drop)
}

async fn one_after_the_other(
    client: &Client,
    url: &str,
    began: Instant,
    duration: Duration,
    asks: bool,
) -> Result<(Vec<Duration>, u64), Ended> {
    let (mut latencies, mut resumed) = (Vec::new(), 0);
    while began.elapsed() < duration {
        let asked = clock();
        let session = session(client, url).await?;
        latencies.push(asked.elapsed());
        if asks {
            let parameters = session.connection().and_then(|connection| connection.parameters());
            resumed += u64::from(parameters.is_some_and(|parameters| parameters.resumed));
            ask(&session).await.map_err(|error| failed("session", error))?;
        }
        session.close(CloseInfo::default());
    }
    Ok((latencies, resumed))
}

/// Holds idle sessions.
pub(super) async fn idle(
    client: &Client,
    url: &str,
    options: &Perf,
    ask: AskServer<'_>,
) -> Result<Outcome, Ended> {
    let conns = options.conns();
    let mut held = Vec::with_capacity(WARM + conns);
    for _ in 0..WARM {
        held.push(session(client, url).await?);
    }
    tokio::time::sleep(SETTLE).await;
    let (before, began) = (Resident::now(ask)?, clock());
    for _ in 0..conns {
        held.push(session(client, url).await?);
    }
    let elapsed = began.elapsed();
    tokio::time::sleep(REST).await;
    let growth = Resident::now(ask)?.growth_each(before, conns);
    Ok(Outcome { operations: conns as u64, elapsed, growth: Some(growth), ..Outcome::default() })
}
