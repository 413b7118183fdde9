//! Certificate files that change while the server runs.
//!
//! Owns what was read last. Must never know the server.

use std::{path::PathBuf, time::Duration};

use wt_api::{Identity, IdentityError};

/// How often the files are looked at.
pub(crate) const INTERVAL: Duration = Duration::from_secs(2);

/// What is in both files, or why that cannot be read.
type Contents = Result<[Vec<u8>; 2], String>;

/// The two files, each read whole every time. They are small, and times of modification tell less than the content: they
/// are coarse, and a file that is moved into place keeps its old one.
pub(crate) struct CertificateFiles {
    certificates: PathBuf,
    key: PathBuf,
    /// What the last attempt found.
    seen: Option<Contents>,
}

impl CertificateFiles {
    pub(crate) fn new(certificates: PathBuf, key: PathBuf) -> Self {
        Self { certificates, key, seen: None }
    }

    /// The identity in the files, whether or not they changed.
    pub(crate) async fn load(&mut self) -> Result<Identity, IdentityError> {
        self.seen = Some(self.contents().await);
        // Reads once more, for errors that name their file; a change in between is seen by the next poll.
        Identity::from_pem_files(&self.certificates, &self.key)
    }

    /// The identity in the files if they are not as they were the last time. What cannot be used is told once, and again
    /// after the next change: a tool that writes one file after the other is in between for a moment.
    pub(crate) async fn poll(&mut self) -> Option<Result<Identity, IdentityError>> {
        if self.seen.as_ref() == Some(&self.contents().await) {
            return None;
        }
        Some(self.load().await)
    }

    async fn contents(&self) -> Contents {
        match (tokio::fs::read(&self.certificates).await, tokio::fs::read(&self.key).await) {
            (Ok(certificates), Ok(key)) => Ok([certificates, key]),
            (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
        }
    }
}
