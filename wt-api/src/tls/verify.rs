//! A client's verification of a server's certificate.

use std::sync::Arc;

use rustls::{
    CertificateError as RustlsCertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

use super::certificate::is_authority;
use crate::{certificate_hash::CertificateHash, error::CertificateError};

/// The longest validity of a certificate that is accepted by hash, in seconds (W3C "custom certificate requirements").
const MAX_VALIDITY: i64 = 14 * 24 * 60 * 60;

/// Explains why a certificate was refused. It knows the name that the client requested, if the client verifies
/// certificates with this module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict(Option<Arc<str>>);

impl Verdict {
    /// For a client that requested this name.
    pub(crate) fn for_name(name: &str) -> Self {
        Self(Some(name.into()))
    }

    /// Why the certificate was refused, if `failure`, the error of TLS, says that it was.
    pub(crate) fn of(
        &self,
        failure: Option<&(dyn std::error::Error + Send + Sync + 'static)>,
    ) -> Option<CertificateError> {
        let name = self.0.as_ref()?;
        match failure?.downcast_ref::<Error>()? {
            error @ Error::InvalidCertificate(_) => Some(translate(error, name)),
            _ => None,
        }
    }
}

/// A verifier that delegates to another one and gives its errors specific texts.
#[derive(Debug)]
pub(super) struct Naming {
    pub(super) inner: Arc<dyn ServerCertVerifier>,
}

impl ServerCertVerifier for Naming {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|error| {
            let why = translate(&error, &server_name.to_str());
            // The inner verifier has no specific error for this.
            if matches!(why, CertificateError::Other(_)) && is_authority(end_entity) {
                return refusal(CertificateError::IsAuthority);
            }
            error
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// A word of ours in an error of TLS.
fn refusal(error: CertificateError) -> Error {
    Error::InvalidCertificate(RustlsCertificateError::Other(rustls::OtherError(Arc::new(error))))
}

/// What an error of TLS says of the certificate of the server with this name.
pub(super) fn translate(error: &Error, name: &str) -> CertificateError {
    let Error::InvalidCertificate(error) = error else {
        return CertificateError::Other(error.to_string().into());
    };
    match error {
        RustlsCertificateError::Expired | RustlsCertificateError::ExpiredContext { .. } => {
            CertificateError::Expired
        }
        RustlsCertificateError::NotValidYet | RustlsCertificateError::NotValidYetContext { .. } => {
            CertificateError::NotYetValid
        }
        RustlsCertificateError::NotValidForName | RustlsCertificateError::NotValidForNameContext { .. } => {
            CertificateError::WrongName { name: name.to_owned() }
        }
        RustlsCertificateError::UnknownIssuer => CertificateError::UnknownIssuer,
        // The error of `ByHash`.
        RustlsCertificateError::Other(other) => match other.0.downcast_ref::<CertificateError>() {
            Some(found) => found.clone(),
            None => CertificateError::Other(error.to_string().into()),
        },
        error => CertificateError::Other(error.to_string().into()),
    }
}

/// Accepts certificates by their SHA-256 (W3C `serverCertificateHashes`).
#[derive(Debug)]
pub(super) struct ByHash {
    pub(super) hashes: Vec<CertificateHash>,
    pub(super) provider: Arc<CryptoProvider>,
}

impl ByHash {
    fn judge(&self, der: &[u8], now: UnixTime) -> Result<(), CertificateError> {
        let hash = CertificateHash::of_certificate(der);
        if !self.hashes.contains(&hash) {
            return Err(CertificateError::HashMismatch { actual: hash.to_string() });
        }
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() || certificate.version() != X509Version::V3 {
            return Err(CertificateError::Malformed);
        }
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let validity = certificate.validity();
        let (from, to) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        if now < from {
            return Err(CertificateError::NotYetValid);
        }
        if now > to {
            return Err(CertificateError::Expired);
        }
        let length = to.saturating_sub(from);
        if length > MAX_VALIDITY {
            return Err(CertificateError::ValidForTooLong { days: length.unsigned_abs() / 86_400 });
        }
        // The key's algorithm, not the signature's: RSA is 1.2.840.113549.1.1 and everything below it.
        let algorithm = certificate.public_key().algorithm.algorithm.to_id_string();
        if algorithm.starts_with("1.2.840.113549.1.1.") {
            return Err(CertificateError::RsaKey);
        }
        Ok(())
    }
}

impl ServerCertVerifier for ByHash {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(end_entity, now).map(|()| ServerCertVerified::assertion()).map_err(refusal)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Accepts every certificate whose key signed the handshake.
#[derive(Debug)]
pub(super) struct Nothing {
    pub(super) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Nothing {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::{Duration as Days, OffsetDateTime};

    use super::*;
    use crate::Identity;

    const NOW: i64 = 1_790_000_000;

    fn judge(from: i64, to: i64, own_hash: bool) -> Result<(), CertificateError> {
        let at = |days| OffsetDateTime::from_unix_timestamp(NOW).unwrap() + Days::days(days);
        let identity = Identity::self_signed_between(["localhost"], at(from), at(to)).unwrap();
        let hash = if own_hash { identity.certificate_hash() } else { CertificateHash::new([1; 32]) };
        let verifier = ByHash { hashes: vec![hash], provider: super::super::common::provider() };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW.unsigned_abs()));
        verifier.judge(&identity.certificate_chain()[0], now)
    }

    #[test]
    fn a_hash_admits_only_short_lived_certificates_within_their_validity() {
        assert_eq!(judge(-1, 13, true), Ok(()));
        assert_eq!(judge(-1, 14, true), Err(CertificateError::ValidForTooLong { days: 15 }));
        assert_eq!(judge(-14, -1, true), Err(CertificateError::Expired));
        assert_eq!(judge(1, 10, true), Err(CertificateError::NotYetValid));
        assert!(matches!(judge(-1, 13, false), Err(CertificateError::HashMismatch { .. })));
    }
}
