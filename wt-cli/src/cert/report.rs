//! The report about a certificate: its hash, its validity, and what browsers need.

use std::time::SystemTime;

use serde_json::{Value, json};
use wt_api::{CertificateDetails, CertificateHash};

use super::rules::{Rule, by_hash};
use crate::{
    calendar::{span, utc},
    output::{mark, printable},
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
pub(super) fn text(details: &CertificateDetails, now: SystemTime) -> String {
    let length = details.not_after.duration_since(details.not_before).unwrap_or_default();
    let names =
        if details.names.is_empty() { "none".to_owned() } else { printable(&details.names.join(", ")) };
    let rules = by_hash(details, now);
    let takes = if rules.iter().all(|rule| rule.ok) { "takes" } else { "does not take" };
    let rules: String = rules
        .iter()
        .map(|Rule { rule, ok, found }| format!("  {}  {rule:<26}  {found}\n", mark(*ok)))
        .collect();
    format!(
        "SHA-256       {}\nin base64     {}\nvalid         {} to {} ({})\n\
         names         {names} (not checked by clients that accept it by hash)\nkey           {}\n\n\
         A browser {takes} it by hash:\n{rules}",
        details.hash,
        details.hash.to_base64(),
        utc(details.not_before),
        utc(details.not_after),
        span(length),
        details.key,
    )
}

/// What to write into a page and how to start browsers.
pub(super) fn recipes(details: &CertificateDetails, hashes: &[CertificateHash]) -> String {
    let hashes: String = hashes
        .iter()
        .map(|hash| format!("    {{algorithm: \"sha-256\", value: bytes(\"{hash}\")}},\n"))
        .collect();
    format!(
        "\nJavaScript:\n  \
         const bytes = hex => Uint8Array.from(hex.match(/../g), pair => parseInt(pair, 16));\n  \
         const transport = new WebTransport(url, {{serverCertificateHashes: [\n{hashes}  ]}});\n\n\
         Chromium without hashes, with a profile of its own (--user-data-dir):\n  \
         chromium --ignore-certificate-errors-spki-list={} --webtransport-developer-mode\n\n\
         Firefox: serverCertificateHashes as above; or a certificate that a CA of your own issued, and that CA\n\
         in the profile: certutil -A -d sql:PROFILE -n weft -t C,, -i ca.pem\n",
        details.public_key_pin
    )
}
