//! Verifies a certificate as a client would, without a connection.

use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::{client::verifier, verify};
use crate::{error::CertificateError, options::WebTransportOptions};

impl WebTransportOptions {
    /// Verifies a certificate chain (DER, end entity first) as a client with these options would at the time
    /// `at`, if a server at `host` presented it. `host` is a name, or an address without brackets. This is
    /// for diagnostic tools; a connection does it by itself. With an application's own rustls configuration,
    /// the operating system's root certificates are used instead.
    ///
    /// # Errors
    /// Why the client would not connect.
    pub fn judge_certificate(
        &self,
        host: &str,
        chain: &[Vec<u8>],
        at: SystemTime,
    ) -> Result<(), CertificateError> {
        let other = |error: String| CertificateError::Other(error.into());
        let name = ServerName::try_from(host).map_err(|error| other(error.to_string()))?;
        let (end_entity, intermediates) = chain.split_first().ok_or(CertificateError::Malformed)?;
        let intermediates: Vec<_> =
            intermediates.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let since_epoch = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let inner = verifier(&self.trust).map_err(|error| other(error.to_string()))?;
        let judging = verify::Naming { inner };
        let judged = rustls::client::danger::ServerCertVerifier::verify_server_cert(
            &judging,
            &CertificateDer::from(end_entity.as_slice()),
            &intermediates,
            &name,
            &[],
            UnixTime::since_unix_epoch(since_epoch),
        );
        judged.map(drop).map_err(|error| verify::translate(&error, host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    #[test]
    fn a_chain_is_judged_as_of_a_time() {
        let now = crate::runtime::system_time();
        let identity = Identity::self_signed(["localhost"]).unwrap();
        let chain = identity.certificate_chain();
        let options = WebTransportOptions::new().server_certificate_hashes([identity.certificate_hash()]);
        let day = Duration::from_secs(86_400);
        assert_eq!(options.judge_certificate("127.0.0.1", &chain, now), Ok(()));
        let later = options.judge_certificate("127.0.0.1", &chain, now + 14 * day);
        assert_eq!(later, Err(CertificateError::Expired));
        let trusted = WebTransportOptions::new().trusted_certificates(chain.clone());
        assert_eq!(trusted.judge_certificate("localhost", &chain, now), Ok(()));
        let wrong = trusted.judge_certificate("example.org", &chain, now);
        assert_eq!(wrong, Err(CertificateError::WrongName { name: "example.org".to_owned() }));
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let other = vec![other.cert.der().to_vec()];
        assert_eq!(
            WebTransportOptions::new().trusted_certificates(other).judge_certificate(
                "localhost",
                &chain,
                now
            ),
            Err(CertificateError::UnknownIssuer)
        );
        assert_eq!(options.judge_certificate("localhost", &[], now), Err(CertificateError::Malformed));
    }
}
