//! Programs of others.

use std::path::PathBuf;

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
