//! The server's certificate, and whether a client accepts it.

use std::time::SystemTime;

use wt_api::{CertificateDetails, CertificateError};

use super::{super::step::Step, Wanted};
use crate::{
    calendar::{span, utc},
    cert::rules,
    output::Verdict,
    texts,
};

/// The steps for a chain; none if no certificate arrived.
pub(super) fn judge(chain: &[Vec<u8>], wanted: &Wanted) -> Vec<Step> {
    let Some(end_entity) = chain.first() else { return Vec::new() };
    let Some(details) = CertificateDetails::from_der(end_entity) else {
        return vec![Step::failed("certificate", "it cannot be read as X.509", "replace it on the server")];
    };
    let mut steps =
        vec![chain_step(&details, chain.len()), names(&details, wanted), validity(&details, wanted.now)];
    let trust = trust(chain, &details, wanted);
    if wanted.trust.by_hash {
        let taken = trust.verdict == Verdict::Ok;
        steps.extend(browser_rules(&details, wanted.now, taken));
    }
    steps.push(trust);
    steps
}

fn chain_step(details: &CertificateDetails, length: usize) -> Step {
    let issuer = if details.issuer == details.subject {
        "issued by itself".to_owned()
    } else {
        format!("issued by {}", details.issuer)
    };
    let others = match length {
        1 => "alone".to_owned(),
        length => format!("with {} more in the chain", length - 1),
    };
    let fact =
        format!("{}, {issuer}, {others}; key {}; SHA-256 {}", details.subject, details.key, details.hash);
    Step::ok("certificate", fact)
}

fn names(details: &CertificateDetails, wanted: &Wanted) -> Step {
    const NAME: &str = "certificate names";
    let list = if details.names.is_empty() { "none".to_owned() } else { details.names.join(", ") };
    if covers(&details.names, &wanted.host) {
        return Step::ok(NAME, list);
    }
    if wanted.trust.by_hash {
        return Step::ok(NAME, format!("{list}; not {}, which does not matter by hash", wanted.host));
    }
    let fact = format!("{list}; not {}", wanted.host);
    Step::failed(NAME, fact, "connect to one of these names, or get a certificate that holds the other")
}

/// Whether a certificate with these names is valid for the host. A wildcard stands for one label (RFC 9525
/// §6.3).
fn covers(names: &[String], host: &str) -> bool {
    names.iter().any(|name| match name.strip_prefix("*.") {
        Some(parent) => host
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent)),
        None => name.eq_ignore_ascii_case(host),
    })
}

fn validity(details: &CertificateDetails, now: SystemTime) -> Step {
    const NAME: &str = "certificate validity";
    let (from, to) = (details.not_before, details.not_after);
    if now < from {
        let fact = format!("valid only from {} on; it is {}", utc(from), utc(now));
        return Step::failed(NAME, fact, "check the clocks of both machines");
    }
    match to.duration_since(now) {
        Err(_) => {
            let fact = format!("expired at {}; it is {}", utc(to), utc(now));
            Step::failed(NAME, fact, "renew it on the server, and see that the server reads the new one")
        }
        Ok(left) => Step::ok(NAME, format!("{} to {}, {} more", utc(from), utc(to), span(left))),
    }
}

/// The rules of browsers for certificates by hash that this certificate breaks. The validity is reported
/// elsewhere. A certificate that this library accepts anyway is no failure.
fn browser_rules(details: &CertificateDetails, now: SystemTime, taken: bool) -> Vec<Step> {
    let broken = rules::by_hash(details, now).into_iter().filter(|rule| !rule.ok && rule.rule != "valid now");
    let remedy = "make one that browsers take by hash: weft cert make";
    let step = |name, found| {
        if taken { Step::warning(name, found, remedy) } else { Step::failed(name, found, remedy) }
    };
    broken.map(|rule| step(format!("by hash: {}", rule.rule), rule.found)).collect()
}

fn trust(chain: &[Vec<u8>], details: &CertificateDetails, wanted: &Wanted) -> Step {
    const NAME: &str = "certificate trust";
    let judged = wanted.trust.options.judge_certificate(&wanted.host, chain, wanted.now);
    let Err(error) = judged else {
        let how = if wanted.trust.by_hash {
            "its hash is one of those given"
        } else {
            "an authority vouches for it"
        };
        return Step::ok(NAME, how);
    };
    let by_hash = rules::by_hash(details, wanted.now).iter().all(|rule| rule.ok);
    let remedy = match &error {
        CertificateError::HashMismatch { .. } => "give the hash of the certificate that the server shows now".to_owned(),
        CertificateError::Expired | CertificateError::NotYetValid | CertificateError::WrongName { .. } => {
            "see above".to_owned()
        }
        _ if wanted.trust.by_hash => "make one that browsers take by hash: weft cert make".to_owned(),
        _ if by_hash => {
            format!("accept it by hash: --cert-hash {}, in a page serverCertificateHashes", details.hash)
        }
        _ => "get one from a public authority, give its CA with --ca, or make one to accept by hash: weft cert make"
            .to_owned(),
    };
    Step::failed(NAME, texts::certificate(&error), remedy)
}

#[cfg(test)]
mod tests {
    use wt_api::{CertificateHash, Identity, WebTransportOptions};

    use super::{super::Trust, *};
    use crate::calendar::{DAY, now};

    fn failed(chain: &[Vec<u8>], wanted: &Wanted) -> Vec<String> {
        let steps = judge(chain, wanted).into_iter().filter(|step| step.verdict == Verdict::Failed);
        steps.map(|step| step.name).collect()
    }

    fn wanted(host: &str, hash: Option<CertificateHash>, now: SystemTime) -> Wanted {
        let options = match hash {
            Some(hash) => WebTransportOptions::new().server_certificate_hashes([hash]),
            None => WebTransportOptions::new().trusted_certificates([]),
        };
        let trust = Trust { by_hash: hash.is_some(), options };
        Wanted { host: host.to_owned(), trust, now, protocols: Vec::new() }
    }

    #[test]
    fn each_reason_has_its_step() {
        let identity = Identity::self_signed(["localhost"]).unwrap();
        let (chain, hash) = (identity.certificate_chain(), identity.certificate_hash());
        let own = Some(hash);
        assert_eq!(failed(&chain, &wanted("localhost", own, now())), [] as [&str; 0]);
        assert_eq!(failed(&chain, &wanted("127.0.0.1", own, now())), [] as [&str; 0]);
        let other = Some(CertificateHash::new([1; 32]));
        assert_eq!(failed(&chain, &wanted("localhost", other, now())), ["certificate trust"]);
        let late = ["certificate validity", "certificate trust"];
        assert_eq!(failed(&chain, &wanted("localhost", own, now() + 14 * DAY)), late);
        assert_eq!(failed(&chain, &wanted("localhost", own, now() - DAY)), late);
        let steps = judge(&chain, &wanted("example.org", None, now()));
        let last = steps.last().unwrap();
        assert_eq!(last.verdict, Verdict::Failed);
        assert!(last.remedy.as_ref().unwrap().contains(&hash.to_string()), "{last:?}");
        assert_eq!(steps[1].verdict, Verdict::Failed, "names count then: {steps:?}");
        assert_eq!(judge(&[], &wanted("a", None, now())), []);
        assert_eq!(failed(&[vec![1, 2]], &wanted("a", None, now())), ["certificate"]);
    }

    #[test]
    fn a_certificate_for_fifteen_days_breaks_the_rule_of_hashes() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(2026, 1, 1), rcgen::date_time_ymd(2026, 1, 16));
        let der = params.self_signed(&key).unwrap().der().to_vec();
        let at = SystemTime::UNIX_EPOCH + 20_460 * DAY;
        let wanted = wanted("localhost", Some(CertificateHash::of_certificate(&der)), at);
        assert_eq!(failed(&[der], &wanted), ["by hash: valid for at most 14 days", "certificate trust"]);
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let names = ["*.example.org".to_owned(), "192.0.2.1".to_owned()];
        for (host, expected) in [
            ("www.EXAMPLE.org", true),
            ("192.0.2.1", true),
            ("example.org", false),
            ("a.b.example.org", false),
            (".example.org", false),
        ] {
            assert_eq!(covers(&names, host), expected, "{host}");
        }
    }
}
