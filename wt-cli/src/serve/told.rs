//! What `weft serve` prints while it runs: text for people, or one JSON object per line.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use serde_json::json;
use wt_api::{CertificateHash, Server};

use crate::{
    output::{say, say_json, tell},
    reach::from_here,
};

/// Prints where the server listens, at which `path` it takes sessions, where its metrics are, and its
/// certificate. `broken` says why browsers do not accept that by hash.
pub(super) fn started(
    server: &Server,
    path: &str,
    metrics: Option<SocketAddr>,
    broken: &[String],
    json: bool,
) {
    let (addresses, hashes) = (server.local_addresses(), server.certificate_hashes());
    if json {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let hashes = texts(&hashes);
        say_json(&json!({
            "listening": addresses,
            "certificateHash": hashes.first(),
            "certificateHashes": hashes,
            "acceptedByHash": broken.is_empty(),
            "brokenRules": broken,
            "metrics": metrics.map(|address| address.to_string()),
        }));
        return;
    }
    let listening = addresses
        .iter()
        .map(|address| format!("listening on {address} (UDP): https://{}{}\n", from_here(*address), path));
    let metrics = metrics.map(|address| format!("metrics at http://{address}/metrics (TCP)\n"));
    say(&(listening.collect::<String>() + &metrics.unwrap_or_default() + &certificate(&hashes, broken)));
    warn_of(broken);
}

/// Prints the hashes of renewed self-signed certificates.
pub(super) fn renewed(hashes: &[CertificateHash], json: bool) {
    if json {
        say_json(&json!({ "renewed": true, "certificateHashes": texts(hashes) }));
    } else {
        say(&("certificate renewed\n".to_owned() + &certificate(hashes, &[])));
    }
}

/// Files were read again: prints the new hash and the rules that the certificate breaks, or why it cannot be
/// used.
pub(super) fn reloaded(used: &Result<(CertificateHash, Vec<String>), String>, json: bool) {
    match used {
        Ok((hash, broken)) if json => say_json(&json!({
            "reloaded": true,
            "certificateHash": hash.to_string(),
            "acceptedByHash": broken.is_empty(),
            "brokenRules": broken,
        })),
        Ok((hash, broken)) => {
            say(&format!("certificate read again, {}:\n  {hash}\n", heading(broken)));
            warn_of(broken);
        }
        Err(error) => {
            tell(&format!("weft: the certificate stays as it is: {error}\n"));
            if json {
                say_json(&json!({ "reloaded": false, "error": error }));
            }
        }
    }
}

/// The first signal arrived while `open` sessions were open.
pub(super) fn draining(open: usize, limit: Duration, json: bool) {
    if json {
        say_json(&json!({ "draining": true, "sessions": open, "seconds": limit.as_secs() }));
        return;
    }
    let seconds = limit.as_secs();
    let waiting = match open {
        0 => "no session is open".to_owned(),
        1 => format!("waiting up to {seconds} s for the session that is open"),
        open => format!("waiting up to {seconds} s for {open} sessions to end"),
    };
    tell(&format!(
        "weft: draining, {waiting}; another signal (Ctrl-C) closes them now, and one more ends the process at once\n"
    ));
}

/// The second signal arrived.
pub(super) fn closing(open: usize, json: bool) {
    if json {
        say_json(&json!({ "closing": true, "sessions": open }));
    } else {
        tell(&format!("weft: closing all sessions ({open}); another signal ends the process at once\n"));
    }
}

fn warn_of(broken: &[String]) {
    if !broken.is_empty() {
        tell(&format!(
            "weft: warning: browsers do not accept this certificate by its hash ({}); pages reach this server if they trust its \
             issuer, or with a certificate of `weft cert make`\n",
            broken.join("; ")
        ));
    }
}

fn texts(hashes: &[CertificateHash]) -> Vec<String> {
    hashes.iter().map(ToString::to_string).collect()
}

/// The heading of a hash, which says what it is good for.
const fn heading(broken: &[String]) -> &'static str {
    if broken.is_empty() { "hash for --cert-hash" } else { "hash, by which no client accepts it" }
}

/// The hash of the certificate, and of the next one if it exists already. Clients should know both.
fn certificate(hashes: &[CertificateHash], broken: &[String]) -> String {
    let mut text = format!("certificate {}:\n", heading(broken));
    for (hash, what) in hashes.iter().zip(["", "  (the next certificate)"]) {
        let _ = writeln!(text, "  {hash}{what}");
    }
    if !broken.is_empty() {
        return text;
    }
    text += "and for a page:\n  serverCertificateHashes: [\n";
    for hash in hashes {
        text += "    { algorithm: \"sha-256\", value: new Uint8Array([\n";
        let bytes: Vec<String> = hash.as_bytes().iter().map(|byte| format!("0x{byte:02x}")).collect();
        for line in bytes.chunks(12) {
            let _ = writeln!(text, "      {},", line.join(", "));
        }
        text += "    ]) },\n";
    }
    text + "  ]\n"
}
