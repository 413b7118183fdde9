//! What is told about a certificate: its hash, its validity, what browsers need.

use std::time::SystemTime;

use serde_json::{Value, json};
use wt_api::{CertificateDetails, CertificateHash};

use super::rules::{Rule, by_hash};
use crate::{
    calendar::{span, utc},
    output::mark,
};

/// The certificate as a JSON object.
pub(super) fn json(details: &CertificateDetails, now: SystemTime) -> Value {
    let rules = by_hash(details, now);
    let list: Vec<Value> = rules
        .iter()
        .map(|Rule { rule, ok, found }| json!({ "rule": rule, "ok": ok, "found": found }))
        .collect();
    json!({
        "certificateHash": details.hash.to_string(),
        "certificateHashBase64": details.hash.to_base64(),
        "publicKeyPin": details.public_key_pin,
        "names": details.names,
        "subject": details.subject,
        "issuer": details.issuer,
        "key": details.key.to_string(),
        "notBefore": utc(details.not_before),
        "notAfter": utc(details.not_after),
        "acceptedByHash": rules.iter().all(|rule| rule.ok),
        "rules": list,
    })
}

/// The certificate for people.
pub(super) fn print(details: &CertificateDetails, now: SystemTime) {
    let length = details.not_after.duration_since(details.not_before).unwrap_or_default();
    println!("SHA-256       {}", details.hash);
    println!("in base64     {}", details.hash.to_base64());
    println!("valid         {} to {} ({})", utc(details.not_before), utc(details.not_after), span(length));
    let names = if details.names.is_empty() { "none".to_owned() } else { details.names.join(", ") };
    println!("names         {names} (not checked by clients that accept it by hash)");
    println!("key           {}", details.key);
    let rules = by_hash(details, now);
    let good = rules.iter().all(|rule| rule.ok);
    println!("\nA browser {} it by hash:", if good { "takes" } else { "does not take" });
    for Rule { rule, ok, found } in &rules {
        println!("  {}  {rule:<26}  {found}", mark(*ok));
    }
}

/// What to write into a page and how to start browsers.
pub(super) fn print_recipes(details: &CertificateDetails, hashes: &[CertificateHash]) {
    println!("\nJavaScript:");
    println!("  const bytes = hex => Uint8Array.from(hex.match(/../g), pair => parseInt(pair, 16));");
    println!("  const transport = new WebTransport(url, {{serverCertificateHashes: [");
    for hash in hashes {
        println!("    {{algorithm: \"sha-256\", value: bytes(\"{hash}\")}},");
    }
    println!("  ]}});");
    println!("\nChromium without hashes, with a profile of its own (--user-data-dir):");
    println!(
        "  chromium --ignore-certificate-errors-spki-list={} --webtransport-developer-mode",
        details.public_key_pin
    );
    println!(
        "\nFirefox: serverCertificateHashes as above; or a certificate that a CA of your own issued, and that CA"
    );
    println!("in the profile: certutil -A -d sql:PROFILE -n weft -t C,, -i ca.pem");
}
