//! Whether a browser accepts a certificate by its hash, rule by rule (W3C "custom certificate requirements").
//!
//! These are pure functions of the certificate and the time.

use std::time::{Duration, SystemTime};

use wt_api::{CertificateDetails, CertificateKey};

use crate::calendar::{DAY, span, utc};

/// The longest accepted validity.
const LONGEST: Duration = Duration::from_secs(14 * 86_400);

/// The result of one rule for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The requirement.
    pub(crate) rule: &'static str,
    /// Whether the certificate meets it.
    pub(crate) ok: bool,
    /// What the certificate has.
    pub(crate) found: String,
}

/// All rules, in the order in which a browser applies them.
pub(crate) fn by_hash(details: &CertificateDetails, now: SystemTime) -> [Rule; 4] {
    let (from, to) = (details.not_before, details.not_after);
    let found = match (now < from, now >= to + Duration::from_secs(1)) {
        (true, _) => format!("not before {}", utc(from)),
        (_, true) => format!("expired at {}", utc(to)),
        _ => format!("until {}, {} more", utc(to), span(to.duration_since(now).unwrap_or_default())),
    };
    let length = to.duration_since(from).unwrap_or_default();
    [
        Rule {
            rule: "X.509 version 3",
            ok: details.version == 3,
            found: format!("version {}", details.version),
        },
        Rule { rule: "valid now", ok: from <= now && now < to + Duration::from_secs(1), found },
        Rule { rule: "valid for at most 14 days", ok: length <= LONGEST, found: span(length) },
        Rule {
            rule: "key ECDSA P-256 or P-384",
            ok: matches!(details.key, CertificateKey::P256 | CertificateKey::P384),
            found: format!("key {}", details.key),
        },
    ]
}

/// Whether the certificate is valid for less than `before_days` more days, or not any more.
pub(super) fn is_due(details: &CertificateDetails, now: SystemTime, before_days: u32) -> bool {
    match details.not_after.duration_since(now) {
        Ok(left) => left < DAY * before_days,
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    /// A certificate of this key that is valid for `days` days and an hour, from an hour before the 10th of
    /// January 1970.
    fn details(days: u32, key: &rcgen::KeyPair) -> CertificateDetails {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let from = START + 10 * DAY;
        params.not_before = rcgen::date_time_ymd(1970, 1, 11);
        let mut details =
            CertificateDetails::from_der(params.self_signed(key).expect("signed").der()).expect("DER");
        (details.not_before, details.not_after) = (from, from + DAY * days);
        details
    }

    fn key(algorithm: &'static rcgen::SignatureAlgorithm) -> rcgen::KeyPair {
        rcgen::KeyPair::generate_for(algorithm).expect("a key")
    }

    fn broken(details: &CertificateDetails, now: SystemTime) -> Vec<&'static str> {
        by_hash(details, now).into_iter().filter(|rule| !rule.ok).map(|rule| rule.rule).collect()
    }

    #[test]
    fn each_rule_is_reported_separately() {
        let p256 = key(&rcgen::PKCS_ECDSA_P256_SHA256);
        let good = details(14, &p256);
        assert_eq!(broken(&good, START + 10 * DAY), [] as [&str; 0]);
        assert_eq!(broken(&good, START + 24 * DAY), [] as [&str; 0], "the last second counts");
        let second = Duration::from_secs(1);
        assert_eq!(broken(&good, START + 10 * DAY - second), ["valid now"]);
        assert_eq!(broken(&good, START + 24 * DAY + second), ["valid now"]);
        assert_eq!(broken(&details(15, &p256), START + 11 * DAY), ["valid for at most 14 days"]);
        for (algorithm, taken) in [(&rcgen::PKCS_ECDSA_P384_SHA384, true), (&rcgen::PKCS_ED25519, false)] {
            assert_eq!(broken(&details(14, &key(algorithm)), START + 11 * DAY).is_empty(), taken);
        }
        let mut old = good.clone();
        old.version = 1;
        assert_eq!(broken(&old, START + 11 * DAY), ["X.509 version 3"]);
        let expired = &by_hash(&good, START + 30 * DAY)[1];
        assert_eq!(expired.found, "expired at 1970-01-25T00:00:00Z");
    }

    #[test]
    fn a_certificate_is_due_when_too_little_time_is_left() {
        let details = details(13, &key(&rcgen::PKCS_ECDSA_P256_SHA256));
        assert!(!is_due(&details, START + 17 * DAY, 6));
        assert!(is_due(&details, START + 17 * DAY + Duration::from_secs(1), 6));
        assert!(is_due(&details, START + 90 * DAY, 0));
    }
}
