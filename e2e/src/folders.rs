//! Folders under the build's.

use std::path::PathBuf;

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
