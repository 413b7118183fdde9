//! Makes sessions, each on its own connection and all from one socket: one after the other, or idle ones.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use wt_api::{Client, CloseInfo, WebTransport};

use super::super::{
    growth::{AskServer, REST, Resident, SETTLE, WARM},
    report::Outcome,
    terms::{clock, failed},
};
use crate::{args::Perf, connect, exit::Ended};

/// Establishes a session.
pub(super) async fn session(client: &Client, url: &str) -> Result<WebTransport, Ended> {
    let session = client.connect(url).map_err(|error| failed(url, error))?;
    session.ready().await.map_err(|error| connect::unconnected(error.cause()))?;
    Ok(session)
}

/// Establishes sessions, a limited number at a time. Each is closed as soon as it is established.
pub(super) async fn handshakes(client: &Client, url: &str, options: &Perf) -> Result<Outcome, Ended> {
    let (duration, began) = (Duration::from_secs_f64(options.seconds), clock());
    let mut tasks = JoinSet::new();
    for _ in 0..options.conns() {
        let (client, url) = (client.clone(), url.to_owned());
        tasks.spawn(async move { one_after_the_other(&client, &url, began, duration).await });
    }
    let mut latencies = Vec::new();
    while let Some(task) = tasks.join_next().await {
        // A task that panicked has printed why.
        latencies.extend(task.unwrap_or_else(|_| Ok(Vec::new()))?);
    }
    let operations = latencies.len() as u64;
    Ok(Outcome { operations, elapsed: began.elapsed(), latencies, ..Outcome::default() })
}

async fn one_after_the_other(
    client: &Client,
    url: &str,
    began: Instant,
    duration: Duration,
) -> Result<Vec<Duration>, Ended> {
    let mut latencies = Vec::new();
    while began.elapsed() < duration {
        let asked = clock();
        let session = session(client, url).await?;
        latencies.push(asked.elapsed());
        session.close(CloseInfo::default());
    }
    Ok(latencies)
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
