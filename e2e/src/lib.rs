//! The harness of tests with other implementations: certificates, processes, a page, two browsers.
//!
//! Every wait is bounded, and only processes that a test started are ended, by their handles. The tests are
//! `#[ignore]`d, since not every machine has the programs; `cargo xtask test` finds or installs them and runs the tests.
#![forbid(unsafe_code)]

pub mod aioquic;
pub mod browser;
pub mod certificate;
pub mod chromium;
pub mod firefox;
pub mod marionette;
pub mod page;
pub mod process;
pub mod scenarios;
pub mod weft;

use std::{future::Future, path::PathBuf, time::Duration};

/// The longest that any single step may take.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Waits for `future`, at most [`LIMIT`].
///
/// # Panics
/// When the time is over; `what` says what was waited for.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(value) => value,
        Err(_) => panic!("no {what} within {LIMIT:?}"),
    }
}

/// A program by the variable that names it, or the first of `names` on the search path.
///
/// `None`, and a line that says so, when there is none; with CI=true that is a failure.
///
/// # Panics
/// When there is none and CI is "true".
#[must_use]
pub fn program(variable: &str, names: &[&str]) -> Option<PathBuf> {
    if let Some(given) = std::env::var_os(variable) {
        return Some(PathBuf::from(given));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)).collect::<Vec<_>>())
        .find(|candidate| candidate.is_file());
    if found.is_none() {
        assert!(!std::env::var("CI").is_ok_and(|ci| ci == "true"), "CI has no {}", names.join(" or "));
        eprintln!("skipped: no {} ({variable} can name it)", names.join(" or "));
    }
    found
}

/// A new empty folder under the build's target folder, for one test.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn scratch(name: &str) -> PathBuf {
    let folder = target().join("e2e").join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder under target");
    folder
}

/// The build's target folder, as an absolute path without detours: Chromium takes no other for its profile.
///
/// # Panics
/// When it is not there, which a running test rules out.
#[must_use]
pub fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target")), PathBuf::from);
    target.canonicalize().expect("the folder that this test was built in")
}
