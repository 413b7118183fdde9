//! What `weft serve` keeps from one run to the next: a secret from which it derives its keys.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use wt_api::ServerKeys;

use crate::{
    exit::{Ended, Exit},
    platform::owner_alone,
};

/// The secret's file name in the directory.
const SECRET: &str = "server.secret";

/// The keys derived from the secret in this directory. Both are created if they are missing.
pub(crate) fn keys(directory: &Path) -> Result<ServerKeys, Ended> {
    let path = directory.join(SECRET);
    let secret = read_or_make(directory, &path).map_err(|error| {
        let remedy = "give --state a directory that the server may write to";
        Ended::new(Exit::Usage, format!("no keys in {}: {error}; {remedy}", path.display()))
    })?;
    ServerKeys::from_secret(&secret).map_err(|error| {
        let remedy = "remove the file, and the server makes a new one";
        Ended::new(Exit::Usage, format!("{} is damaged: {error}; or {remedy}", path.display()))
    })
}

fn read_or_make(directory: &Path, path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    fs::create_dir_all(directory)?;
    let secret = ServerKeys::new_secret();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    owner_alone(&mut options);
    let mut file = match options.open(path) {
        // Another server created it first.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return fs::read(path),
        file => file?,
    };
    file.write_all(&secret)?;
    file.sync_all()?;
    Ok(secret.to_vec())
}
