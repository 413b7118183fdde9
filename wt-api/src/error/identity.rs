//! Why a certificate and key cannot be an identity.

use std::path::{Path, PathBuf};

/// Why a certificate and key cannot be an identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// No certificate in the input.
    #[error(
        "no certificate was found; PEM certificates start with -----BEGIN CERTIFICATE-----: check that this is the chain, not the key"
    )]
    NoCertificate,
    /// No private key in the input.
    #[error(
        "no private key was found; PEM keys start with -----BEGIN PRIVATE KEY----- or the like: check that this is the key, not the chain"
    )]
    NoKey,
    /// More than one private key in the input.
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
    /// PEM where DER is wanted.
    #[error("the {what} is PEM, and DER is wanted; read PEM with Identity::from_pem or from_pem_files")]
    PemForDer {
        /// "certificate chain" or "private key".
        what: &'static str,
    },
    /// DER where PEM is wanted.
    #[error("the {what} is DER, and PEM is wanted; convert it, for example with {}", conversion(.what))]
    DerForPem {
        /// "certificate chain" or "private key".
        what: &'static str,
    },
    /// Bytes that are neither.
    #[error("the input is malformed: {0}")]
    Malformed(String),
    /// The key does not belong to the certificate.
    #[error(
        "the private key does not belong to the certificate; check that both files are of the same pair, and that the chain begins with the server's own certificate (fullchain.pem of ACME tools, not chain.pem)"
    )]
    KeyMismatch,
    /// The key belongs to another certificate of the chain than the first.
    #[error(
        "the private key belongs to certificate {position} of the chain; put that one first, its issuer after it"
    )]
    ChainOrder {
        /// Which one, from 2.
        position: usize,
    },
    /// A file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// What is wrong, and in which files.
    #[error("{}: {error}", join(.files))]
    InFiles {
        /// The file, or the chain and the key if it takes both to see it.
        files: Vec<PathBuf>,
        /// What is wrong there.
        error: Box<IdentityError>,
    },
    /// A text that is not a DNS name, nor `*.` and one.
    #[error(
        "{0:?} is no name that a client asks for; give a DNS name in ASCII, such as example.org, or *.example.org for all names one label longer"
    )]
    Name(String),
    /// A certificate could not be made.
    #[error("the certificate could not be made: {0}")]
    Generation(String),
}

impl IdentityError {
    /// The same, said of files.
    pub(crate) fn within<const N: usize>(self, files: [&Path; N]) -> Self {
        Self::InFiles { files: files.map(Path::to_owned).to_vec(), error: Box::new(self) }
    }
}

/// The command that makes PEM of DER.
fn conversion(what: &str) -> &'static str {
    match what {
        "certificate chain" => "openssl x509 -inform DER -in DER -out PEM",
        _ => "openssl pkey -inform DER -in DER -out PEM",
    }
}

fn join(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" and ")
}
