//! Programs that the end-to-end tests need. They are found, or installed where that is possible, or the error
//! says why not.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::verdict::{Outcome, run};

/// The version of aioquic for which the tests were written.
const AIOQUIC_VERSION: &str = "1.7.2";
/// The same for niquests.
const NIQUESTS_VERSION: &str = "3.21.2";

/// Chromium and its `WebDriver` server.
#[derive(Debug)]
pub(crate) struct Chromium {
    /// The browser.
    pub(crate) chromium: PathBuf,
    /// The driver.
    pub(crate) chromedriver: PathBuf,
}

/// The program in the environment variable, or the first of `names` on the search path.
fn find(variable: &str, names: &[&str]) -> Option<PathBuf> {
    if let Some(given) = env::var_os(variable) {
        return Some(PathBuf::from(given));
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)).collect::<Vec<_>>())
        .find(|candidate| candidate.is_file())
}

fn find_chromium() -> Option<Chromium> {
    let chromium = find("WEFT_CHROMIUM", &["chromium", "chromium-browser", "google-chrome"])?;
    let chromedriver = find("WEFT_CHROMEDRIVER", &["chromedriver"])?;
    Some(Chromium { chromium, chromedriver })
}

fn find_firefox() -> Option<PathBuf> {
    find("WEFT_FIREFOX", &["firefox-esr", "firefox"])
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Finds a tool, and installs Debian packages if necessary. The error says why there is none.
fn found_or_installed<T>(packages: &[&str], find_it: impl Fn() -> Option<T>) -> Result<T, String> {
    if let Some(found) = find_it() {
        return Ok(found);
    }
    let (and, with_spaces) = (packages.join(" and "), packages.join(" "));
    if find("", &["apt-get"]).is_none() {
        return Err(format!("not installed: {and}, and there is no apt-get to install it"));
    }
    if !is_root() {
        return Err(format!("not installed: apt-get install {with_spaces}"));
    }
    let apt = |arguments: &[&str]| {
        run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    // A stale index is no reason to give up, because the installation would fail then.
    apt(&["update", "-qq"]);
    match apt(&[&["install", "-y", "-qq", "--no-install-recommends"], packages].concat()) {
        Outcome::Passed => find_it().ok_or_else(|| format!("apt-get installed {and}, but no program")),
        _ => Err(format!("apt-get could not install {and}")),
    }
}

/// Chromium and its driver. The error says why there are none.
pub(crate) fn chromium() -> Result<Chromium, String> {
    found_or_installed(&["chromium", "chromium-driver"], find_chromium)
}

/// Firefox, which needs no driver. The error says why there is none.
pub(crate) fn firefox() -> Result<PathBuf, String> {
    found_or_installed(&["firefox-esr"], find_firefox)
}

fn has(python: &Path, package: &str, version: &str) -> bool {
    let program = format!("import {package}; raise SystemExit({package}.__version__ != '{version}')");
    let output = Command::new(python).args(["-c", &program]).output();
    output.is_ok_and(|output| output.status.success())
}

/// A Python with aioquic, in a virtual environment under `target`. The error says why there is none.
pub(crate) fn aioquic(target: &Path) -> Result<PathBuf, String> {
    python_with("aioquic", AIOQUIC_VERSION, "WEFT_PYTHON", target)
}

/// The same with niquests.
pub(crate) fn niquests(target: &Path) -> Result<PathBuf, String> {
    python_with("niquests", NIQUESTS_VERSION, "WEFT_NIQUESTS", target)
}

fn python_with(package: &str, version: &str, variable: &str, target: &Path) -> Result<PathBuf, String> {
    if let Some(given) = env::var_os(variable) {
        return Ok(PathBuf::from(given));
    }
    let venv = target.join(format!("{package}-venv"));
    let python = venv.join("bin/python");
    if has(&python, package, version) {
        return Ok(python);
    }
    let system = find("", &["python3"]).ok_or_else(|| format!("there is no python3 for {package}"))?;
    let made = run(Command::new(system).args(["-m", "venv", "--clear"]).arg(&venv));
    if made != Outcome::Passed {
        return Err(
            "python3 cannot make a virtual environment (Debian: apt-get install python3-venv)".to_owned()
        );
    }
    let wanted = format!("{package}=={version}");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &wanted];
    run(Command::new(&python).args(pip));
    if has(&python, package, version) { Ok(python) } else { Err(format!("pip could not install {wanted}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_on_the_search_path() {
        assert!(find("", &["no-such-program-anywhere", "cargo"]).is_some_and(|path| path.ends_with("cargo")));
        assert_eq!(find("", &["no-such-program-anywhere"]), None);
    }

    #[test]
    fn what_is_there_is_not_installed() {
        assert_eq!(found_or_installed(&["no-such-package-anywhere"], || Some(5)), Ok(5));
    }
}
