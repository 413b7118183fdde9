//! `weft doctor`: explains why a session can or cannot be established, and what to change.
//!
//! Lowest first: [`step`] is what is printed, and [`facts`] what was observed. [`target`], [`system`] and
//! [`steps`] judge facts and use no network; [`probe`] collects them.

mod facts;
mod probe;
mod step;
mod steps;
mod system;
mod target;

use std::{net::SocketAddr, time::Duration};

use http::HeaderValue;
use serde_json::{Value, json};
use wt_api::{ConnectOptionsError, WebTransportOptions, udp::loopback};
use wt_session::{ConnectRequest, protocols};

use crate::{
    args::Doctor,
    calendar::now,
    connect,
    exit::{Ended, Exit},
    field,
    output::{Verdict, say, say_json},
    texts,
};
use facts::{Attempt, Handshake, Session};
use step::Step;
use steps::{Trust, Wanted, network};
use target::Target;

/// The most addresses that are tried.
const MAX_ADDRESSES: usize = 8;

pub(crate) async fn run(args: &Doctor, json: bool) -> Result<Exit, Ended> {
    let url = &args.asking.url;
    let options = options(args)?;
    let (target, first) = match parse(url) {
        Ok(parsed) => parsed,
        Err(step) => {
            return Ok(Conclusion { steps: vec![step], address: None, exit: Exit::Usage }.tell(url, json));
        }
    };
    let checked = connect::check(url, options.clone());
    checked.map_err(|error| Ended::new(Exit::Usage, texts::options(&error, &args.asking)))?;
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
    // Among addresses that got equally far the first one, which clients use.
    let Some(best) = attempts.iter().rev().max_by_key(|attempt| attempt.progress()) else {
        return Ok(Conclusion { steps, address: None, exit: Exit::Connect }.tell(url, json));
    };
    let lost = network::is_lost_to_browsers(&target.host, &attempts);
    let wanted = Wanted {
        host: target.host.clone(),
        trust: Trust { by_hash: !args.asking.cert_hash.is_empty(), options },
        now: now(),
        protocols: args.asking.protocol.clone(),
    };
    steps.extend(steps::explain(best, &wanted));
    if plan.request.origin.is_none() && matches!(best.session, Session::Established { .. }) {
        steps.extend(pages(plan, &target, best.address).await);
    }
    let exit = match exit(best, &wanted) {
        Exit::Success if lost => Exit::Connect,
        exit => exit,
    };
    Ok(Conclusion { steps, address: Some(best.address), exit }.tell(url, json))
}

/// The options of a client with the same request.
fn options(args: &Doctor) -> Result<WebTransportOptions, Ended> {
    let options = WebTransportOptions::new().key_log_file(true).protocols(&args.asking.protocol);
    let options = match &args.asking.origin {
        Some(origin) => options.origin(origin),
        None => options,
    };
    connect::trusting(options, &args.asking)
}

/// Programs send no origin, but pages always do. This tries what a page of the server's own origin would see.
async fn pages(plan: probe::Plan, target: &Target, address: SocketAddr) -> Option<Step> {
    let origin = format!("https://{}", target.authority);
    let mut request = plan.request.clone();
    request.origin = Some(HeaderValue::from_str(&origin).ok()?);
    let attempt = probe::session(probe::Plan { request, ..plan }, address).await;
    steps::session::pages(&origin, &attempt.session)
}

/// The target, or what is wrong with the URL, in the words of a client that refuses it.
fn parse(url: &str) -> Result<(Target, Step), Step> {
    match connect::check(url, WebTransportOptions::new()) {
        Err(ConnectOptionsError::InvalidUrl { message, .. }) => {
            let (fact, remedy) = texts::url(url, &message);
            Err(Step::failed(target::NAME, fact, remedy))
        }
        _ => target::parse(url),
    }
}

async fn resolve(target: &Target, limit: Duration) -> Result<Vec<SocketAddr>, String> {
    // As in the library, whatever the system's resolver says.
    if let Some(both) = loopback(&target.host) {
        return Ok(both.map(|address| SocketAddr::new(address, target.port)).to_vec());
    }
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
    let origin = args.asking.origin.as_deref().map(HeaderValue::from_str).transpose();
    let mut headers = field::map(&args.asking.header);
    if !args.asking.protocol.is_empty() {
        let offer = protocols::offer(&args.asking.protocol).ok_or_else(|| usage("a protocol"))?;
        headers.insert(protocols::WT_AVAILABLE_PROTOCOLS, offer);
    }
    Ok(ConnectRequest::new(target.authority.clone(), target.path.clone())
        .with_origin(origin.map_err(|_| usage("an origin"))?)
        .with_headers(headers))
}

/// Probes all addresses at once. The results are in the order of the addresses.
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

/// The exit status: 0 if a client with the given trust would get its session.
fn exit(attempt: &Attempt, wanted: &Wanted) -> Exit {
    let trusted = wanted.trust.options.judge_certificate(&wanted.host, &attempt.chain, wanted.now).is_ok();
    match (&attempt.handshake, &attempt.session) {
        (_, Session::Established { .. }) if trusted => Exit::Success,
        (Handshake::Complete(..), _) if !trusted => Exit::Certificate,
        (Handshake::Complete(..), _) => Exit::Refused,
        (handshake, _) if network::is_alpn(handshake) => Exit::Refused,
        _ => Exit::Connect,
    }
}

/// The final result.
struct Conclusion {
    steps: Vec<Step>,
    /// The address that got furthest.
    address: Option<SocketAddr>,
    exit: Exit,
}

impl Conclusion {
    fn tell(&self, url: &str, json: bool) -> Exit {
        if json {
            let list: Vec<Value> = self.steps.iter().map(Step::json).collect();
            let (good, address) =
                (self.exit == Exit::Success, self.address.map(|address| address.to_string()));
            say_json(&json!({ "url": url, "ok": good, "address": address, "steps": list }));
            return self.exit;
        }
        let width = self.steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
        let lines: String = self.steps.iter().map(|step| step.text(width)).collect();
        say(&format!("{url}\n{lines}{}\n", self.verdict()));
        self.exit
    }

    /// The last line.
    fn verdict(&self) -> String {
        if self.exit == Exit::Success {
            return "A session can be made.".to_owned();
        }
        let failed: Vec<&Step> = self.steps.iter().filter(|step| step.verdict == Verdict::Failed).collect();
        let first = failed.first();
        let change = first.map_or(String::new(), |step| format!(" What to change first: {}.", step.name));
        if first.is_some() && failed.iter().all(|step| step.is_for_browsers) {
            return format!(
                "Programs can make a session; a browser that asks [::1] alone for localhost, as Chromium does, cannot.{change}"
            );
        }
        format!("No session can be made.{change}")
    }
}
