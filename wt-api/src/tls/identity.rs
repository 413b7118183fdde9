//! A server's certificate chain and private key.

use std::{fs, path::Path, sync::Arc, time::SystemTime};

use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{certificate::CertificateDetails, common::provider, pem};
use crate::{certificate_hash::CertificateHash, error::IdentityError};

/// A certificate chain with its private key.
///
/// ```
/// let identity = wt_api::Identity::self_signed(["localhost", "127.0.0.1"]).unwrap();
/// println!("hash for clients: {}", identity.certificate_hash());
/// ```
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    key: Arc<PrivateKeyDer<'static>>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("hash", &self.certificate_hash()).finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads a PEM chain, end entity first, and a PEM key (PKCS#8, PKCS#1 or SEC1), as ACME tools write them.
    /// Text and other blocks may come before and in between. Both arguments may be the same text.
    ///
    /// # Errors
    /// There is no certificate, no key or several keys; the key is encrypted, or does not belong to the first
    /// certificate.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        Self::checked(pem::certificates(certificates)?, pem::private_key(key)?)
    }

    /// Reads the same from two files, each in one read. They may be the same file.
    ///
    /// # Errors
    /// Those of [`from_pem`](Self::from_pem), and an unreadable file. Each error names the file.
    pub fn from_pem_files(
        certificates: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, IdentityError> {
        let (chain_path, key_path) = (certificates.as_ref(), key.as_ref());
        let read = |path: &Path| {
            let unreadable = |error: std::io::Error| IdentityError::Unreadable(error.to_string());
            fs::read(path).map_err(|error| unreadable(error).within([path]))
        };
        let (chain, key) = (read(chain_path)?, read(key_path)?);
        let chain = pem::certificates(&chain).map_err(|error| error.within([chain_path]))?;
        let key = pem::private_key(&key).map_err(|error| error.within([key_path]))?;
        Self::checked(chain, key).map_err(|error| error.within([chain_path, key_path]))
    }

    /// Takes a DER chain, end entity first, and a DER key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// The input is PEM; there is no certificate; the key is malformed, or does not belong to the first
    /// certificate.
    pub fn from_der(chain: Vec<Vec<u8>>, key: Vec<u8>) -> Result<Self, IdentityError> {
        if chain.iter().any(|certificate| pem::is_pem(certificate)) {
            return Err(IdentityError::PemForDer { what: pem::CHAIN });
        }
        if pem::is_pem(&key) {
            return Err(IdentityError::PemForDer { what: pem::KEY });
        }
        let key = PrivateKeyDer::try_from(key).map_err(|error| IdentityError::Malformed(error.to_owned()))?;
        Self::checked(chain.into_iter().map(CertificateDer::from).collect(), key)
    }

    /// Makes an ECDSA P-256 certificate for `names` (DNS names and IP addresses). It is valid for 13 days,
    /// starting an hour ago. Clients, including browsers, accept it by its
    /// [`certificate_hash`](Self::certificate_hash).
    ///
    /// # Errors
    /// A certificate cannot contain one of the names.
    pub fn self_signed<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Result<Self, IdentityError> {
        Self::self_signed_at(names, crate::runtime::wall_clock())
    }

    /// The same, made at `now`.
    pub(crate) fn self_signed_at<N: Into<String>>(
        names: impl IntoIterator<Item = N>,
        now: SystemTime,
    ) -> Result<Self, IdentityError> {
        let now = time::OffsetDateTime::from(now);
        let early = now.checked_sub(time::Duration::HOUR);
        let (Some(from), Some(to)) = (early, now.checked_add(time::Duration::days(13))) else {
            return Err(IdentityError::Generation("no certificate can hold this time".to_owned()));
        };
        Self::self_signed_between(names, from, to)
    }

    pub(crate) fn self_signed_between<N: Into<String>>(
        names: impl IntoIterator<Item = N>,
        from: time::OffsetDateTime,
        to: time::OffsetDateTime,
    ) -> Result<Self, IdentityError> {
        Self::generate(&rcgen::PKCS_ECDSA_P256_SHA256, None, names, (from, to))
    }

    /// A certificate and signatures of constant size: with an Ed25519 key and a given serial number.
    #[cfg(feature = "testing")]
    pub(crate) fn for_simulations<N: Into<String>>(
        names: impl IntoIterator<Item = N>,
        now: std::time::SystemTime,
    ) -> Result<Self, IdentityError> {
        let now = time::OffsetDateTime::from(now);
        let validity = (now - time::Duration::HOUR, now + time::Duration::days(13));
        Self::generate(&rcgen::PKCS_ED25519, Some(rcgen::SerialNumber::from(1)), names, validity)
    }

    fn generate<N: Into<String>>(
        algorithm: &'static rcgen::SignatureAlgorithm,
        serial: Option<rcgen::SerialNumber>,
        names: impl IntoIterator<Item = N>,
        (from, to): (time::OffsetDateTime, time::OffsetDateTime),
    ) -> Result<Self, IdentityError> {
        let generation = |error: rcgen::Error| IdentityError::Generation(error.to_string());
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let key = rcgen::KeyPair::generate_for(algorithm).map_err(generation)?;
        let mut params = rcgen::CertificateParams::new(names).map_err(generation)?;
        (params.not_before, params.not_after) = (from, to);
        params.serial_number = serial;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "WebTransport");
        let certificate = params.self_signed(&key).map_err(generation)?;
        Self::from_der(vec![certificate.der().to_vec()], key.serialize_der())
    }

    fn checked(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        if chain.is_empty() {
            return Err(IdentityError::NoCertificate);
        }
        let malformed = |error: rustls::Error| IdentityError::Malformed(error.to_string());
        let signing = provider().key_provider.load_private_key(key.clone_key()).map_err(malformed)?;
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
                return Err(mismatch(&certified));
            }
            Ok(()) | Err(rustls::Error::InconsistentKeys(_)) => {}
            Err(error) => return Err(malformed(error)),
        }
        Ok(Self { certified: Arc::new(certified), key: Arc::new(key) })
    }

    /// The SHA-256 of the end-entity certificate, for
    /// [`server_certificate_hashes`](crate::WebTransportOptions::server_certificate_hashes).
    #[must_use]
    pub fn certificate_hash(&self) -> CertificateHash {
        CertificateHash::of_certificate(self.end_entity())
    }

    /// The certificate chain in DER, end entity first.
    #[must_use]
    pub fn certificate_chain(&self) -> Vec<Vec<u8>> {
        self.certified.cert.iter().map(|certificate| certificate.to_vec()).collect()
    }

    /// The certificate chain in PEM, end entity first.
    #[must_use]
    pub fn certificate_chain_pem(&self) -> String {
        self.certified.cert.iter().map(|certificate| pem::write("CERTIFICATE", certificate)).collect()
    }

    /// The private key in PEM. Keep it where nobody else can read it.
    #[must_use]
    pub fn private_key_pem(&self) -> String {
        let label = match &*self.key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        pem::write(label, self.key.secret_der())
    }

    /// The validity period of the end-entity certificate, to the second. `None` if it cannot be read.
    #[must_use]
    pub fn validity(&self) -> Option<(SystemTime, SystemTime)> {
        self.details().map(|details| (details.not_before, details.not_after))
    }

    /// The DNS names and IP addresses for which the end-entity certificate is valid (RFC 5280 §4.2.1.6).
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.details().map(|details| details.names).unwrap_or_default()
    }

    /// The Base64 form of the SHA-256 of the end-entity certificate's public key (its
    /// `SubjectPublicKeyInfo`), as Chromium's option `--ignore-certificate-errors-spki-list` takes it. `None`
    /// if the certificate cannot be read.
    #[must_use]
    pub fn public_key_pin(&self) -> Option<String> {
        self.details().map(|details| details.public_key_pin)
    }

    /// The contents of the end-entity certificate. `None` if it cannot be read.
    #[must_use]
    pub fn details(&self) -> Option<CertificateDetails> {
        CertificateDetails::from_der(self.end_entity())
    }

    fn end_entity(&self) -> &[u8] {
        self.certified.cert.first().map_or(&[], |certificate| certificate)
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

/// The error if the key does not belong to the first certificate; it may belong to another one of the chain.
fn mismatch(certified: &CertifiedKey) -> IdentityError {
    let belongs = |certificate: &CertificateDer<'static>| {
        CertifiedKey::new(vec![certificate.clone()], Arc::clone(&certified.key)).keys_match().is_ok()
    };
    match certified.cert.iter().position(belongs) {
        Some(index) => IdentityError::ChainOrder { position: index + 1 },
        None => IdentityError::KeyMismatch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, two) = (Identity::self_signed(["a"]).unwrap(), Identity::self_signed(["a"]).unwrap());
        let swapped = Identity::from_der(one.certificate_chain(), two.key.secret_der().to_vec());
        assert_eq!(swapped.unwrap_err(), IdentityError::KeyMismatch);
        assert_ne!(one.certificate_hash(), two.certificate_hash());
    }

    #[test]
    fn pem_without_its_parts_is_named() {
        assert_eq!(Identity::from_pem(b"", b"").unwrap_err(), IdentityError::NoCertificate);
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let pem = key.serialize_pem();
        assert_eq!(Identity::from_pem(b"", pem.as_bytes()).unwrap_err(), IdentityError::NoCertificate);
        let certificate =
            rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap().self_signed(&key).unwrap();
        let read = Identity::from_pem(certificate.pem().as_bytes(), pem.as_bytes()).unwrap();
        assert_eq!(read.certificate_chain(), [certificate.der().to_vec()]);
    }
}
