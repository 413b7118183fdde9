//! Programs that the end-to-end tests need: found, or installed where that can be done, or a line that says why not.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::verdict::{Outcome, run};

/// The version of aioquic that the tests were written against.
const AIOQUIC_VERSION: &str = "1.7.2";

/// A browser and its `WebDriver` server.
#[derive(Debug)]
pub(crate) struct Browser {
    /// The browser.
    pub(crate) chromium: PathBuf,
    /// The driver.
    pub(crate) chromedriver: PathBuf,
}

/// The first of `names` on the search path, or the program that the variable names.
fn find(variable: &str, names: &[&str]) -> Option<PathBuf> {
    if let Some(given) = env::var_os(variable) {
        return Some(PathBuf::from(given));
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)).collect::<Vec<_>>())
        .find(|candidate| candidate.is_file())
}

fn find_browser() -> Option<Browser> {
    let chromium = find("WEFT_CHROMIUM", &["chromium", "chromium-browser", "google-chrome"])?;
    let chromedriver = find("WEFT_CHROMEDRIVER", &["chromedriver"])?;
    Some(Browser { chromium, chromedriver })
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Chromium and its driver; the error says why there are none.
pub(crate) fn browser() -> Result<Browser, String> {
    if let Some(browser) = find_browser() {
        return Ok(browser);
    }
    if find("", &["apt-get"]).is_none() {
        return Err(
            "Chromium and chromedriver are not installed, and there is no apt-get to install them".to_owned()
        );
    }
    if !is_root() {
        return Err("Chromium and chromedriver are not installed: apt-get install chromium chromium-driver"
            .to_owned());
    }
    let apt = |arguments: &[&str]| {
        run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    // A stale index is no reason to give up: the install tells.
    apt(&["update", "-qq"]);
    match apt(&["install", "-y", "-qq", "--no-install-recommends", "chromium", "chromium-driver"]) {
        Outcome::Passed => find_browser().ok_or_else(|| "apt-get installed no Chromium".to_owned()),
        _ => Err("apt-get could not install chromium and chromium-driver".to_owned()),
    }
}

fn has_aioquic(python: &Path) -> bool {
    let program = format!("import aioquic; raise SystemExit(aioquic.__version__ != '{AIOQUIC_VERSION}')");
    let output = Command::new(python).args(["-c", &program]).output();
    output.is_ok_and(|output| output.status.success())
}

/// A Python that has aioquic, in a virtual environment under `target`; the error says why there is none.
pub(crate) fn aioquic(target: &Path) -> Result<PathBuf, String> {
    if let Some(given) = env::var_os("WEFT_PYTHON") {
        return Ok(PathBuf::from(given));
    }
    let venv = target.join("aioquic-venv");
    let python = venv.join("bin/python");
    if has_aioquic(&python) {
        return Ok(python);
    }
    let system = find("", &["python3"]).ok_or("there is no python3 for aioquic")?;
    let made = run(Command::new(system).args(["-m", "venv", "--clear"]).arg(&venv));
    if made != Outcome::Passed {
        return Err(
            "python3 cannot make a virtual environment (Debian: apt-get install python3-venv)".to_owned()
        );
    }
    let package = format!("aioquic=={AIOQUIC_VERSION}");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &package];
    run(Command::new(&python).args(pip));
    if has_aioquic(&python) { Ok(python) } else { Err(format!("pip could not install {package}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_on_the_search_path() {
        assert!(find("", &["no-such-program-anywhere", "cargo"]).is_some_and(|path| path.ends_with("cargo")));
        assert_eq!(find("", &["no-such-program-anywhere"]), None);
    }
}
