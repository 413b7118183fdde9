//! A certificate that both browsers (by its hash) and aioquic (as its own authority) accept.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// A certificate for `localhost` and 127.0.0.1 with its key: ECDSA P-256, valid for ten days.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate in PEM.
    pub certificate: String,
    /// The key in PEM (PKCS#8).
    pub key: String,
    /// SHA-256 of the certificate in DER, in hexadecimal digits.
    pub hash: String,
}

impl Certificate {
    /// A fresh one.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = rcgen::CertificateParams::new(names).expect("valid names");
        let now = time::OffsetDateTime::now_utc();
        // Browsers accept hashes only of certificates that live for two weeks at most.
        params.not_before = now - time::Duration::days(1);
        params.not_after = now + time::Duration::days(9);
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate: certificate.pem(), key: key.serialize_pem(), hash: hash(certificate.der()) }
    }

    /// Writes `cert.pem` and `key.pem` into `folder`.
    ///
    /// # Panics
    /// If they cannot be written.
    #[must_use]
    pub fn write(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, &self.certificate).expect("a writable folder");
        std::fs::write(&key, &self.key).expect("a writable folder");
        (certificate, key)
    }
}

impl Default for Certificate {
    fn default() -> Self {
        Self::new()
    }
}

/// SHA-256 in hexadecimal digits.
#[must_use]
pub fn hash(der: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
