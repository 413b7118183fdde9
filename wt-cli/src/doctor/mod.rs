//! `weft doctor`: explains why a session can or cannot be made, and what to change.
//!
//! Lowest first: [`step`] is what is told, [`facts`] what was observed; [`target`], [`system`] and [`steps`] judge facts
//! and touch no network; [`probe`] collects them.

mod facts;
mod probe;
mod step;
mod steps;
mod system;
mod target;

use std::{net::SocketAddr, time::Duration};

use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use wt_api::{ConnectOptionsError, WebTransport, WebTransportOptions, check_origin};
use wt_session::{ConnectRequest, protocols};

use crate::{
    args::Doctor,
    calendar::now,
    connect,
    exit::{Ended, Exit},
    output::{Verdict, say},
};
use facts::{Attempt, Handshake, Session};
use step::Step;
use steps::{Trust, Wanted, network};
use target::Target;

/// Addresses that are tried at most.
const MAX_ADDRESSES: usize = 8;

pub(crate) async fn run(args: &Doctor, json: bool) -> Result<Exit, Ended> {
    let options = WebTransportOptions::new().key_log_file(true);
    let options = connect::trusting(options, &args.cert_hash, args.ca.as_deref())?;
    let (target, first) = match target::parse(&args.url) {
        Ok(parsed) => parsed,
        Err(step) => return Ok(tell(&args.url, None, &[meant(&args.url, step)], Exit::Usage, json)),
    };
    let limit = Duration::from_secs_f64(args.timeout);
    let found = resolve(&target, limit).await;
    let mut steps = vec![first, network::names(&target.host, &found)];
    steps.extend(system::limits().map(system::judge));
    let plan = probe::Plan {
        host: target.host.clone(),
        request: request(&target, args)?,
        tls: probe::config().map_err(|error| Ended::new(Exit::Failure, error))?,
        limit,
    };
    let attempts = probe_all(&plan, &found.unwrap_or_default()).await;
    steps.extend(network::reachable(&target.host, &attempts));
    // Of those that went equally far, the first: it is the one that clients take.
    let Some(best) = attempts.iter().rev().max_by_key(|attempt| attempt.progress()) else {
        return Ok(tell(&args.url, None, &steps, Exit::Connect, json));
    };
    let wanted = Wanted {
        host: target.host,
        trust: Trust { by_hash: !args.cert_hash.is_empty(), options },
        now: now(),
        protocols: args.protocol.clone(),
    };
    steps.extend(steps::explain(best, &wanted));
    Ok(tell(&args.url, Some(best.address), &steps, exit(best, &wanted), json))
}

/// What is wrong with a URL as a client says it, where that knows what was meant.
fn meant(url: &str, step: Step) -> Step {
    match WebTransport::new(url, WebTransportOptions::new()) {
        Err(ConnectOptionsError::InvalidUrl { message, .. }) => {
            Step::failed(step.name.clone(), format!("{url:?} is no URL of a session"), message)
        }
        _ => step,
    }
}

async fn resolve(target: &Target, limit: Duration) -> Result<Vec<SocketAddr>, String> {
    let looked_up = tokio::net::lookup_host((target.host.as_str(), target.port));
    let found = tokio::time::timeout(limit, looked_up)
        .await
        .map_err(|_| format!("no answer within {} s", limit.as_secs_f64()))?
        .map_err(|error| error.to_string())?;
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) && addresses.len() < MAX_ADDRESSES {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

fn request(target: &Target, args: &Doctor) -> Result<ConnectRequest, Ended> {
    let usage = |what: &str| Ended::new(Exit::Usage, format!("{what} has to be of printable ASCII"));
    if let Some(origin) = &args.origin {
        check_origin(origin).map_err(|error| Ended::new(Exit::Usage, format!("--origin: {error}")))?;
    }
    let origin = args.origin.as_deref().map(HeaderValue::from_str).transpose();
    let mut headers = HeaderMap::new();
    if !args.protocol.is_empty() {
        let offer = protocols::offer(&args.protocol).ok_or_else(|| usage("a protocol"))?;
        headers.insert(protocols::WT_AVAILABLE_PROTOCOLS, offer);
    }
    Ok(ConnectRequest {
        authority: target.authority.clone(),
        path: target.path.clone(),
        origin: origin.map_err(|_| usage("an origin"))?,
        headers,
    })
}

/// All at once, told in the order of the addresses.
async fn probe_all(plan: &probe::Plan, addresses: &[SocketAddr]) -> Vec<Attempt> {
    let probes: Vec<_> =
        addresses.iter().map(|address| tokio::spawn(probe::probe(plan.clone(), *address))).collect();
    let mut attempts = Vec::new();
    for (probe, address) in probes.into_iter().zip(addresses) {
        let failed = |error: tokio::task::JoinError| Attempt {
            handshake: Handshake::NotStarted(error.to_string()),
            ..Attempt::new(*address)
        };
        attempts.push(probe.await.unwrap_or_else(failed));
    }
    attempts
}

/// The exit status: 0 if a client with the given trust would have its session.
fn exit(attempt: &Attempt, wanted: &Wanted) -> Exit {
    let trusted = wanted.trust.options.judge_certificate(&wanted.host, &attempt.chain, wanted.now).is_ok();
    match (&attempt.handshake, &attempt.session) {
        (_, Session::Established { .. }) if trusted => Exit::Success,
        (Handshake::Complete(_), _) if !trusted => Exit::Certificate,
        (Handshake::Complete(_), _) => Exit::Refused,
        (handshake, _) if network::is_alpn(handshake) => Exit::Refused,
        _ => Exit::Connect,
    }
}

fn tell(url: &str, address: Option<SocketAddr>, steps: &[Step], exit: Exit, json: bool) -> Exit {
    let good = exit == Exit::Success;
    if json {
        let list: Vec<Value> = steps.iter().map(Step::json).collect();
        let address = address.map(|address| address.to_string());
        say(&format!("{}\n", json!({ "url": url, "ok": good, "address": address, "steps": list })));
        return exit;
    }
    let width = steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
    let lines: String = steps.iter().map(|step| step.text(width)).collect();
    let verdict = match steps.iter().find(|step| step.verdict == Verdict::Failed) {
        _ if good => "A session can be made.".to_owned(),
        Some(first) => format!("No session can be made. What to change first: {}.", first.name),
        None => "No session can be made.".to_owned(),
    };
    say(&format!("{url}\n{lines}{verdict}\n"));
    exit
}
