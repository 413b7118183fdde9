//! A server's certificate chain and private key.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::{error::IdentityError, options::CertificateHash};

/// A certificate chain with its private key.
///
/// ```
/// let identity = wt_api::Identity::self_signed(["localhost", "127.0.0.1"]).unwrap();
/// println!("hash for clients: {}", identity.certificate_hash());
/// ```
#[derive(Clone)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("hash", &self.certificate_hash()).finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads a PEM chain, end entity first, and a PEM key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// Nothing found in either text, or a key that does not belong to the first certificate.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let malformed = |error: rustls_pki_types::pem::Error| IdentityError::Malformed(error.to_string());
        let chain =
            CertificateDer::pem_slice_iter(certificates).collect::<Result<Vec<_>, _>>().map_err(malformed)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            rustls_pki_types::pem::Error::NoItemsFound => IdentityError::NoKey,
            error => malformed(error),
        })?;
        Self::checked(chain, key)
    }

    /// Takes a DER chain, end entity first, and a DER key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// No certificate, a malformed key, or one that does not belong to the first certificate.
    pub fn from_der(chain: Vec<Vec<u8>>, key: Vec<u8>) -> Result<Self, IdentityError> {
        let key = PrivateKeyDer::try_from(key).map_err(|error| IdentityError::Malformed(error.to_owned()))?;
        Self::checked(chain.into_iter().map(CertificateDer::from).collect(), key)
    }

    /// Makes an ECDSA P-256 certificate for `names` (DNS names and IP addresses) that is valid from an hour ago for
    /// 13 days: clients, browsers included, accept it by its [`certificate_hash`](Self::certificate_hash).
    ///
    /// # Errors
    /// A name that no certificate can hold.
    pub fn self_signed<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Result<Self, IdentityError> {
        let now = time::OffsetDateTime::from(crate::runtime::wall_clock());
        Self::self_signed_between(names, now - time::Duration::HOUR, now + time::Duration::days(13))
    }

    pub(crate) fn self_signed_between<N: Into<String>>(
        names: impl IntoIterator<Item = N>,
        from: time::OffsetDateTime,
        to: time::OffsetDateTime,
    ) -> Result<Self, IdentityError> {
        Self::generate(&rcgen::PKCS_ECDSA_P256_SHA256, None, names, (from, to))
    }

    /// A certificate and signatures whose sizes never vary: an Ed25519 key and a given serial number.
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
        let signing = super::provider().key_provider.load_private_key(key.clone_key()).map_err(malformed)?;
        match rustls::sign::CertifiedKey::new(chain.clone(), signing).keys_match() {
            Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
                return Err(IdentityError::KeyMismatch);
            }
            Ok(()) | Err(rustls::Error::InconsistentKeys(_)) => {}
            Err(error) => return Err(malformed(error)),
        }
        Ok(Self { chain, key: Arc::new(key) })
    }

    /// The SHA-256 of the end-entity certificate, for
    /// [`server_certificate_hashes`](crate::WebTransportOptions::server_certificate_hashes).
    #[must_use]
    pub fn certificate_hash(&self) -> CertificateHash {
        CertificateHash::of_certificate(self.chain.first().map_or(&[], |certificate| certificate))
    }

    /// The certificate chain in DER, end entity first.
    #[must_use]
    pub fn certificate_chain(&self) -> Vec<Vec<u8>> {
        self.chain.iter().map(|certificate| certificate.to_vec()).collect()
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
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
        assert_eq!(Identity::from_pem(b"", b"").unwrap_err(), IdentityError::NoKey);
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let pem = key.serialize_pem();
        assert_eq!(Identity::from_pem(b"", pem.as_bytes()).unwrap_err(), IdentityError::NoCertificate);
        let certificate =
            rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap().self_signed(&key).unwrap();
        let read = Identity::from_pem(certificate.pem().as_bytes(), pem.as_bytes()).unwrap();
        assert_eq!(read.certificate_chain(), [certificate.der().to_vec()]);
    }
}
