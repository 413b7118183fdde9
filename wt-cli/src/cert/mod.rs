//! `weft cert`: certificates that browsers accept by hash.
//!
//! Lowest first: [`rules`] are the rules of browsers, [`files`] writes, and [`report`] prints.

mod files;
mod report;
pub(crate) mod rules;

use std::path::{Path, PathBuf};

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::json;
use wt_api::{CertificateDetails, Identity, IdentityError};

use crate::{
    args::{CertAction, CertFiles, CertMake, CertRotate},
    calendar::{now, span, utc},
    exit::{Ended, Exit},
    inputs,
    output::say,
};

pub(crate) fn run(action: &CertAction, json: bool) -> Result<Exit, Ended> {
    match action {
        CertAction::Make(args) => make(args, json),
        CertAction::Show { file } => show(file, json),
        CertAction::Rotate(args) => rotate(args, json),
    }
}

fn make(args: &CertMake, json: bool) -> Result<Exit, Ended> {
    let CertFiles { cert, key } = &args.files;
    if let Some(there) = [cert, key].into_iter().find(|path| path.exists()).filter(|_| !args.force) {
        let told = format!("{} already exists; --force replaces it", there.display());
        return Err(Ended::new(Exit::Usage, told));
    }
    let identity = Identity::self_signed(&args.name).map_err(|error| Ended::new(Exit::Usage, error))?;
    let details = details(&identity)?;
    write(&identity, cert, key)?;
    if json {
        let mut object = report::json(&details, now());
        object["files"] = json!({ "cert": cert, "key": key });
        say(&format!("{object}\n"));
        return Ok(Exit::Success);
    }
    let files = format!("certificate in {}, key in {}\n\n", cert.display(), key.display());
    say(&(files + &report::text(&details, now()) + &report::recipes(&details, &[details.hash])));
    Ok(Exit::Success)
}

fn show(file: &Path, json: bool) -> Result<Exit, Ended> {
    let content = inputs::read(file)?;
    // The end entity comes first in a chain. A file that is not PEM may be DER.
    let first = CertificateDer::pem_slice_iter(&content).next().and_then(Result::ok);
    let details = CertificateDetails::from_der(first.as_deref().unwrap_or(&content)).ok_or_else(|| {
        let told = format!("no certificate can be read from {}; give one in PEM or DER", file.display());
        Ended::new(Exit::Usage, told)
    })?;
    if json {
        say(&format!("{}\n", report::json(&details, now())));
        return Ok(Exit::Success);
    }
    say(&(report::text(&details, now()) + &report::recipes(&details, &[details.hash])));
    Ok(Exit::Success)
}

fn rotate(args: &CertRotate, json: bool) -> Result<Exit, Ended> {
    let CertFiles { cert, key } = &args.files;
    let usage = |error: IdentityError| Ended::new(Exit::Usage, error);
    let old = details(&Identity::from_pem_files(cert, key).map_err(usage)?)?;
    if !args.force && !rules::is_due(&old, now(), args.before) {
        let told = if json {
            let hashes = [old.hash.to_string()];
            json!({ "rotated": false, "current": report::json(&old, now()), "certificateHashes": hashes })
                .to_string()
        } else {
            let left = old.not_after.duration_since(now()).unwrap_or_default();
            format!("nothing to do: valid until {}, {} more\n  {}", utc(old.not_after), span(left), old.hash)
        };
        say(&(told + "\n"));
        return Ok(Exit::Success);
    }
    let identity = Identity::self_signed(old.names.iter().map(String::as_str)).map_err(usage)?;
    let new = details(&identity)?;
    write(&identity, cert, key)?;
    if json {
        let hashes = [old.hash.to_string(), new.hash.to_string()];
        let (previous, current) = (report::json(&old, now()), report::json(&new, now()));
        let told = json!({
            "rotated": true, "previous": previous, "current": current, "certificateHashes": hashes,
        });
        say(&format!("{told}\n"));
        return Ok(Exit::Success);
    }
    let told = format!(
        "before  {}  until {}\nnow     {}  until {}\n\
         Pages should list both until every server has read the new files.\n",
        old.hash,
        utc(old.not_after),
        new.hash,
        utc(new.not_after)
    );
    say(&(told + &report::recipes(&new, &[old.hash, new.hash])));
    Ok(Exit::Success)
}

fn details(identity: &Identity) -> Result<CertificateDetails, Ended> {
    identity.details().ok_or_else(|| Ended::new(Exit::Usage, "the certificate cannot be read"))
}

fn write(identity: &Identity, cert: &Path, key: &Path) -> Result<(), Ended> {
    files::write(identity, cert, key).map_err(|(path, error): (PathBuf, _)| {
        Ended::new(Exit::Usage, format!("cannot write {}: {error}", path.display()))
    })
}
