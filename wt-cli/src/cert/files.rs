//! Writes certificate and key: completely or not at all, and the key readable only for its owner.
//!
//! Owns temporary files and modes. It must never know the contents of a certificate.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use wt_api::Identity;

use crate::platform;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readers {
    Everybody,
    Owner,
}

/// A file with its content, under a temporary name until it is moved into place. Dropping it removes it.
struct Staged {
    temporary: PathBuf,
    target: PathBuf,
}

impl Staged {
    fn new(target: &Path, content: &str, readers: Readers) -> io::Result<Self> {
        let target = resolved(target);
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}", std::process::id()));
        let staged = Self { temporary: target.with_file_name(hidden), target };
        // A process with the same ID may have left a file behind.
        let _ = fs::remove_file(&staged.temporary);
        let mut file = create(&staged.temporary, readers)?;
        file.write_all(content.as_bytes())?;
        // The content must reach the disk before the name does.
        file.sync_all()?;
        Ok(staged)
    }

    fn commit(self) -> io::Result<()> {
        fs::rename(&self.temporary, &self.target)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a commit there is nothing to remove.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// The real path. A link stays a link, and the file to which it points is replaced. For a missing file, its
/// directory is resolved.
fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match (fs::canonicalize(parent), path.file_name()) {
            (Ok(parent), Some(name)) => parent.join(name),
            _ => path.to_owned(),
        }
    })
}

/// Creates a file that does not exist yet.
fn create(path: &Path, readers: Readers) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    if readers == Readers::Owner {
        platform::owner_alone(&mut options);
    }
    options.open(path)
}

/// Writes an identity. If both paths are the same, a reader sees either the old pair or the new one. Two
/// files are both complete before the first is moved into place, so a reader sees a key without its
/// certificate for an instant at most.
pub(super) fn write(identity: &Identity, certificate: &Path, key: &Path) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    let (chain, secret) = (identity.certificate_chain_pem(), identity.private_key_pem());
    if resolved(certificate) == resolved(key) {
        let both = Staged::new(key, &(secret + &chain), Readers::Owner).map_err(at(key))?;
        return both.commit().map_err(at(key));
    }
    let staged_key = Staged::new(key, &secret, Readers::Owner).map_err(at(key))?;
    let staged_certificate = Staged::new(certificate, &chain, Readers::Everybody).map_err(at(certificate))?;
    staged_key.commit().map_err(at(key))?;
    staged_certificate.commit().map_err(at(certificate))
}
