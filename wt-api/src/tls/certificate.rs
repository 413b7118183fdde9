//! The contents of a certificate, for people who want to know whether a client accepts it.
//!
//! Owns reading X.509. It must never judge, which is the task of `verify`.

use std::time::{Duration, SystemTime};

use x509_parser::{
    prelude::{FromDer, GeneralName, X509Certificate},
    public_key::PublicKey,
    time::ASN1Time,
};

use super::pem;
use crate::{algorithms::digest, certificate_hash::CertificateHash};

/// The kind of a certificate's public key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateKey {
    /// ECDSA with P-256, which every client accepts.
    P256,
    /// ECDSA with P-384.
    P384,
    /// RSA.
    Rsa {
        /// The size of the modulus, in bits.
        bits: usize,
    },
    /// Ed25519, which browsers do not accept.
    Ed25519,
    /// Another kind, with the object identifier of its algorithm or curve.
    Other(String),
}

impl std::fmt::Display for CertificateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::P256 => f.write_str("ECDSA P-256"),
            Self::P384 => f.write_str("ECDSA P-384"),
            Self::Rsa { bits } => write!(f, "RSA of {bits} bits"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Other(identifier) => write!(f, "of kind {identifier}"),
        }
    }
}

/// The contents of a certificate, none of which are verified.
///
/// ```
/// use wt_api::{CertificateDetails, CertificateKey, Identity};
/// let identity = Identity::self_signed(["localhost"]).unwrap();
/// let details = CertificateDetails::from_der(&identity.certificate_chain()[0]).unwrap();
/// assert_eq!((details.key, details.version), (CertificateKey::P256, 3));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateDetails {
    /// The SHA-256 of the whole certificate, by which clients can accept it.
    pub hash: CertificateHash,
    /// The Base64 form of the public key's SHA-256, as Chromium's `--ignore-certificate-errors-spki-list`
    /// takes it.
    pub public_key_pin: String,
    /// The X.509 version: 1, 2 or 3.
    pub version: u32,
    /// The subject.
    pub subject: String,
    /// The issuer, which is the subject if the certificate is self-signed.
    pub issuer: String,
    /// The DNS names and IP addresses for which it is valid (RFC 5280 §4.2.1.6).
    pub names: Vec<String>,
    /// When its validity starts, to the second.
    pub not_before: SystemTime,
    /// The last second in which it is valid.
    pub not_after: SystemTime,
    /// The kind of its key.
    pub key: CertificateKey,
}

impl CertificateDetails {
    /// Reads a certificate in DER. `None` if it is not a certificate, if anything follows it, or if it is
    /// from before 1970.
    #[must_use]
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        let pin = digest::digest(&digest::SHA256, certificate.public_key().raw);
        rest.is_empty().then_some(())?;
        Some(Self {
            hash: CertificateHash::of_certificate(der),
            public_key_pin: pem::base64(pin.as_ref()),
            version: certificate.version().0.saturating_add(1),
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            names: names(&certificate),
            not_before: system_time(certificate.validity().not_before)?,
            not_after: system_time(certificate.validity().not_after)?,
            key: key(&certificate),
        })
    }
}

/// Checks that this is the certificate of a CA, in DER. A self-signed certificate is accepted too, and is
/// trusted for itself. The error says what is wrong and what to give instead.
pub(super) fn check_authority(der: &[u8]) -> Result<(), String> {
    if pem::is_pem(der) {
        return Err(
            "it is PEM, and DER is wanted: decode it, for example with rustls_pki_types::CertificateDer::pem_slice_iter"
                .to_owned(),
        );
    }
    // The TLS library judges what this parser does not know.
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Ok(()) };
    if certificate.is_ca() || certificate.subject() == certificate.issuer() {
        return Ok(());
    }
    let (subject, issuer) = (certificate.subject(), certificate.issuer());
    Err(format!(
        "it is that of a server or client ({subject}), which issues no others; give that of its issuer ({issuer})"
    ))
}

/// Whether it is the certificate of a CA (RFC 5280 §4.2.1.9).
pub(super) fn is_authority(der: &[u8]) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, certificate)| certificate.is_ca())
}

impl CertificateHash {
    /// The hash in Base64 (RFC 4648 §4), as some tools print it.
    #[must_use]
    pub fn to_base64(&self) -> String {
        pem::base64(self.as_bytes())
    }
}

fn system_time(time: ASN1Time) -> Option<SystemTime> {
    let seconds = u64::try_from(time.timestamp()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    let v6 = <[u8; 16]>::try_from(bytes).ok()?;
    Some(std::net::Ipv6Addr::from(v6).to_string())
}

fn key(certificate: &X509Certificate<'_>) -> CertificateKey {
    let info = certificate.public_key();
    if let Ok(PublicKey::RSA(rsa)) = info.parsed() {
        return CertificateKey::Rsa { bits: rsa.key_size() };
    }
    let curve = info.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    // With ECDSA the curve is a parameter of the algorithm (RFC 5480 §2.1.1). Ed25519 has no parameters (RFC
    // 8410 §3).
    let identifier = curve.unwrap_or_else(|| info.algorithm.algorithm.clone()).to_id_string();
    match identifier.as_str() {
        "1.2.840.10045.3.1.7" => CertificateKey::P256,
        "1.3.132.0.34" => CertificateKey::P384,
        "1.3.101.112" => CertificateKey::Ed25519,
        _ => CertificateKey::Other(identifier),
    }
}
