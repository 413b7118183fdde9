//! Certificate files that change while the server runs.
//!
//! Owns the last contents of the files. It must never know the server.

use std::{path::PathBuf, time::Duration};

use wt_api::{Identity, IdentityError};

/// How often the files are read.
pub(crate) const INTERVAL: Duration = Duration::from_secs(2);

/// The contents of both files, or why they cannot be read.
type Contents = Result<[Vec<u8>; 2], String>;

/// The two files, each of which is read completely every time. They are small, and modification times are
/// less reliable than contents: they are coarse, and a file that is moved into place keeps its old one.
pub(crate) struct CertificateFiles {
    certificates: PathBuf,
    key: PathBuf,
    /// What the last attempt read.
    seen: Option<Contents>,
    /// Why that could not be used, if it was not reported yet.
    untold: Option<IdentityError>,
}

impl CertificateFiles {
    pub(crate) fn new(certificates: PathBuf, key: PathBuf) -> Self {
        Self { certificates, key, seen: None, untold: None }
    }

    /// The identity in the files, whether or not they changed.
    pub(crate) async fn load(&mut self) -> Result<Identity, IdentityError> {
        self.untold = None;
        self.seen = Some(self.contents().await);
        // Reads once more, because these errors name their file. The next poll sees a change in between.
        Identity::from_pem_files(&self.certificates, &self.key)
    }

    /// The identity in the files if they have changed since the last time. An error is reported once, and
    /// only if the next poll finds the files unchanged, because a tool that writes one file after the other
    /// leaves them inconsistent for a moment.
    pub(crate) async fn poll(&mut self) -> Option<Result<Identity, IdentityError>> {
        if self.seen.as_ref() == Some(&self.contents().await) {
            return self.untold.take().map(Err);
        }
        match self.load().await {
            Ok(identity) => Some(Ok(identity)),
            Err(error) => {
                self.untold = Some(error);
                None
            }
        }
    }

    async fn contents(&self) -> Contents {
        match (tokio::fs::read(&self.certificates).await, tokio::fs::read(&self.key).await) {
            (Ok(certificates), Ok(key)) => Ok([certificates, key]),
            (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn a_half_written_pair_is_not_reported() {
        let directory = std::env::temp_dir().join(format!("weft-half-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (cert, key) = (directory.join("cert.pem"), directory.join("key.pem"));
        let [old, new, other] = [(); 3].map(|()| Identity::self_signed(["localhost"]).unwrap());
        fs::write(&cert, old.certificate_chain_pem()).unwrap();
        fs::write(&key, old.private_key_pem()).unwrap();
        let mut files = CertificateFiles::new(cert.clone(), key.clone());
        files.load().await.unwrap();
        assert!(files.poll().await.is_none(), "nothing changed");
        fs::write(&key, new.private_key_pem()).unwrap();
        assert!(files.poll().await.is_none(), "in between");
        fs::write(&cert, new.certificate_chain_pem()).unwrap();
        let read = files.poll().await.unwrap().unwrap();
        assert_eq!(read.certificate_hash(), new.certificate_hash());
        // A lasting error is reported, once.
        fs::write(&key, other.private_key_pem()).unwrap();
        assert!(files.poll().await.is_none());
        let error = files.poll().await.unwrap().unwrap_err();
        assert!(matches!(error, IdentityError::InFiles { .. }), "{error}");
        assert!(files.poll().await.is_none());
        fs::remove_dir_all(&directory).unwrap();
    }
}
