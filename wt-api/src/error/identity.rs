//! Why a certificate and key cannot be an identity.

use std::path::{Path, PathBuf};

/// Why a certificate and key cannot be an identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The input has no certificate.
    #[error(
        "no certificate was found; PEM certificates start with -----BEGIN CERTIFICATE-----: check that this is the chain, not the key"
    )]
    NoCertificate,
    /// The input has no private key.
    #[error(
        "no private key was found; PEM keys start with -----BEGIN PRIVATE KEY----- or the like: check that this is the key, not the chain"
    )]
    NoKey,
    /// The input has more than one private key.
    #[error("{count} private keys were found; leave the one that belongs to the certificate")]
    SeveralKeys {
        /// How many.
        count: usize,
    },
    /// The private key is protected by a password.
    #[error(
        "the private key is encrypted; decrypt it first, for example with openssl pkey -in KEY -out DECRYPTED"
    )]
    EncryptedKey,
    /// The input is PEM where DER is expected.
    #[error("the {what} is PEM, and DER is wanted; read PEM with Identity::from_pem or from_pem_files")]
    PemForDer {
        /// "certificate chain" or "private key".
        what: &'static str,
    },
    /// The input is DER where PEM is expected.
    #[error("the {what} is DER, and PEM is wanted; convert it, for example with {}", conversion(.what))]
    DerForPem {
        /// "certificate chain" or "private key".
        what: &'static str,
    },
    /// The input is neither PEM nor DER.
    #[error("the input is malformed: {0}")]
    Malformed(String),
    /// The key does not belong to the certificate.
    #[error(
        "the private key does not belong to the certificate; check that both files are of the same pair, and that the chain begins with the server's own certificate (fullchain.pem of ACME tools, not chain.pem)"
    )]
    KeyMismatch,
    /// The key belongs to another certificate of the chain than the first one.
    #[error(
        "the private key belongs to certificate {position} of the chain; put that one first, its issuer after it"
    )]
    ChainOrder {
        /// The position of that certificate, from 2.
        position: usize,
    },
    /// A file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// An error with the files that caused it.
    #[error("{}: {error}", join(.files))]
    InFiles {
        /// The file; or the chain and the key, if the error concerns both.
        files: Vec<PathBuf>,
        /// The error.
        error: Box<IdentityError>,
    },
    /// The text is neither a DNS name nor `*.` followed by one.
    #[error(
        "{0:?} is no name that a client asks for; give a DNS name in ASCII, such as example.org, or *.example.org for all names one label longer"
    )]
    Name(String),
    /// A certificate could not be made.
    #[error("the certificate could not be made: {0}")]
    Generation(String),
}

impl IdentityError {
    /// Adds the files that caused the error.
    pub(crate) fn within<const N: usize>(self, files: [&Path; N]) -> Self {
        Self::InFiles { files: files.map(Path::to_owned).to_vec(), error: Box::new(self) }
    }
}

/// The command that converts DER to PEM.
fn conversion(what: &str) -> &'static str {
    match what {
        "certificate chain" => "openssl x509 -inform DER -in DER -out PEM",
        _ => "openssl pkey -inform DER -in DER -out PEM",
    }
}

fn join(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" and ")
}
