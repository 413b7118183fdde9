//! The certificate while the server runs: whether browsers accept it by hash, changed files, renewals.

use wt_api::{Identity, Server};

use super::told;
use crate::{
    calendar::now,
    cert::rules,
    platform::Hangup,
    reload::{CertificateFiles, INTERVAL},
};

/// The rules of browsers for certificates by hash that this one breaks.
pub(super) fn broken_rules(identity: &Identity) -> Vec<String> {
    let Some(details) = identity.details() else { return vec!["it cannot be read".to_owned()] };
    let broken = rules::by_hash(&details, now()).into_iter().filter(|rule| !rule.ok);
    broken.map(|rule| format!("{}: {}", rule.rule, rule.found)).collect()
}

/// Prints the hashes whenever self-signed certificates were renewed, without end.
pub(super) async fn tell_renewals(server: &Server, json: bool) {
    let mut told = server.certificate_hashes();
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let hashes = server.certificate_hashes();
        // A certificate from files has one hash, and reading it again is reported elsewhere.
        if hashes.len() < 2 || hashes == told {
            continue;
        }
        told::renewed(&hashes, json);
        told = hashes;
    }
}

/// Follows the certificate files, if there are any, without end. Unusable files leave the identity unchanged.
pub(super) async fn reload(server: &Server, files: Option<(CertificateFiles, Hangup)>, json: bool) {
    let Some((mut files, mut hangup)) = files else { return std::future::pending().await };
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            () = hangup.next() => true,
            _ = ticks.tick() => false,
        };
        let read = if asked { Some(files.load().await) } else { files.poll().await };
        if let Some(read) = read {
            let used = read.map_err(|error| error.to_string()).and_then(|identity| {
                let (hash, broken) = (identity.certificate_hash(), broken_rules(&identity));
                server.set_identity(identity).map(|()| (hash, broken)).map_err(|error| error.to_string())
            });
            told::reloaded(&used, json);
        }
    }
}
