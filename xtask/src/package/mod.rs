//! The published crates as a registry would get them: packed under their published names, and each built from
//! its own package.
//!
//! Owns the copy of the workspace with those names. The packages of the workspace keep their own names,
//! because programs beside a clone depend on them by path.

mod manifest;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use toml::Table;

use crate::verdict::{Outcome, run};
use manifest::Names;

/// The files beside a package's manifest that belong to the package.
const OF_PACKAGES: [&str; 3] = ["src", "examples", "README.md"];

/// The files of which each package gets a copy.
const OF_ALL: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

/// The files that each package must have.
const OF_EACH: [&str; 4] = ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "src/lib.rs"];

/// The minor version of the first cargo that can pack packages that depend on each other and are on no
/// registry.
const LEAST_CARGO: u32 = 90;

/// The folder of the unpacked packages, inside the copy.
const UNPACKED: &str = "unpacked";

/// `cargo xtask package`.
pub(crate) fn package(root: &Path, folders: &Folders, cargo: impl Fn(&[&str]) -> Command) -> ExitCode {
    match check(root, folders, cargo) {
        Outcome::Passed => {
            println!("the packages are in {}", folders.packages().display());
            ExitCode::SUCCESS
        }
        Outcome::Failed(why) | Outcome::Skipped(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The folders of the output.
pub(crate) struct Folders {
    /// The folder of the copy of the workspace.
    pub(crate) copy: PathBuf,
    /// The target folder, which others may share.
    pub(crate) target: PathBuf,
}

impl Folders {
    fn packages(&self) -> PathBuf {
        self.copy.join("target/package")
    }
}

/// Packs the crates of the workspace at `root`, and compiles each from its package. `cargo` makes commands of
/// cargo.
pub(crate) fn check(root: &Path, folders: &Folders, cargo: impl Fn(&[&str]) -> Command) -> Outcome {
    let version = cargo(&["--version"]).output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if !version.is_ok_and(|text| minor(&text).is_some_and(|minor| minor >= LEAST_CARGO)) {
        return Outcome::Skipped(format!("needs cargo 1.{LEAST_CARGO}"));
    }
    if run(&mut cargo(&["fetch", "--locked"])) != Outcome::Passed {
        return Outcome::Skipped("what the crates depend on cannot be downloaded here".to_owned());
    }
    let packages = match write(root, &folders.copy) {
        Ok(packages) => packages,
        Err(error) => return Outcome::Failed(format!("packages: {error}")),
    };
    // Without cargo's own verification: cargo 1.95 unpacks a crate that others depend on only once for each
    // version number, and would compile against the state of an earlier run. Offline, because no registry has
    // the names that cargo would look up.
    let mut pack = cargo(&["package", "--workspace", "--offline", "--allow-dirty", "--no-verify"]);
    let mut outcome =
        run(pack.current_dir(&folders.copy).env("CARGO_TARGET_DIR", folders.copy.join("target")));
    if outcome != Outcome::Passed {
        return outcome;
    }
    if let Err(why) = unpack(&packages, folders) {
        return Outcome::Failed(why);
    }
    for Published { published, .. } in &packages {
        // One by one, so that each has only the features that it enables itself.
        let mut compile = cargo(&["check", "--offline", "-p", published]);
        compile.current_dir(folders.copy.join(UNPACKED)).env("CARGO_TARGET_DIR", &folders.target);
        outcome = run(&mut compile);
        if outcome != Outcome::Passed {
            break;
        }
    }
    outcome
}

/// Unpacks the packages side by side, into a workspace where each depends on the others by path.
fn unpack(packages: &[Published], folders: &Folders) -> Result<(), String> {
    let unpacked = folders.copy.join(UNPACKED);
    let written = |result: io::Result<()>| result.map_err(|error| format!("{}: {error}", unpacked.display()));
    if unpacked.exists() {
        written(fs::remove_dir_all(&unpacked))?;
    }
    written(fs::create_dir(&unpacked))?;
    let mut members: Vec<(&str, String)> = Vec::new();
    for Published { published, version, .. } in packages {
        let folder = format!("{published}-{version}");
        let file = folders.packages().join(format!("{folder}.crate"));
        let mut tar = Command::new("tar");
        // With the present time: cargo gives all files of a package the same old time, so changed files would
        // look unchanged.
        let outcome = run(tar.arg("-xzmf").arg(&file).arg("-C").arg(&unpacked));
        if let Outcome::Failed(why) | Outcome::Skipped(why) = outcome {
            return Err(why);
        }
        for file in OF_EACH {
            if !unpacked.join(&folder).join(file).is_file() {
                return Err(format!("the package of {published} has no {file}"));
            }
        }
        members.push((published, folder));
    }
    let workspace = manifest::of_unpacked(&members).to_string();
    written(fs::write(unpacked.join("Cargo.toml"), workspace))?;
    written(fs::copy(folders.copy.join("Cargo.lock"), unpacked.join("Cargo.lock")).map(drop))
}

/// The minor version in the output of `cargo --version`.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("cargo 1.")?.split('.').next()?.parse().ok()
}

/// A published package.
struct Published {
    /// Its name in the workspace, which is also its folder.
    name: String,
    /// Its name on the registry.
    published: String,
    version: String,
    manifest: Table,
}

/// Writes the copy of the workspace, and returns its packages.
fn write(root: &Path, folder: &Path) -> io::Result<Vec<Published>> {
    let workspace = read(&root.join("Cargo.toml"))?;
    let packages = published(root, &workspace)?;
    let names: Names =
        packages.iter().map(|package| (package.name.clone(), package.published.clone())).collect();
    let workspace = manifest::of_workspace(workspace, &names).map_err(io::Error::other)?;
    fs::create_dir_all(folder)?;
    fs::write(folder.join("Cargo.toml"), workspace.to_string())?;
    // The tested versions. Cargo removes what the copy does not need.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    for Published { name, manifest, .. } in &packages {
        let (from, to) = (root.join(name), folder.join(name));
        if to.exists() {
            fs::remove_dir_all(&to)?;
        }
        fs::create_dir(&to)?;
        let told = |why: String| io::Error::other(format!("{name}: {why}"));
        let manifest = manifest::of_package(manifest.clone(), name, &names, &workspace).map_err(told)?;
        fs::write(to.join("Cargo.toml"), manifest.to_string())?;
        for part in OF_PACKAGES {
            copy(&from.join(part), &to.join(part))?;
        }
        for file in OF_ALL {
            fs::copy(root.join(file), to.join(file))?;
        }
    }
    Ok(packages)
}

/// The published packages of the workspace. A package that lacks required fields is an error.
fn published(root: &Path, workspace: &Table) -> io::Result<Vec<Published>> {
    let version =
        manifest::version(workspace).ok_or_else(|| io::Error::other("the workspace has no version"))?;
    let mut packages = Vec::new();
    for name in manifest::members(workspace) {
        let manifest = read(&root.join(name).join("Cargo.toml"))?;
        let Some(published) = manifest::published_as(&manifest).map(str::to_owned) else { continue };
        if let [first, ..] = manifest::untold(&manifest)[..] {
            return Err(io::Error::other(format!("{name} does not say its {first}")));
        }
        packages.push(Published { name: name.to_owned(), published, version: version.to_owned(), manifest });
    }
    if packages.is_empty() { Err(io::Error::other("none is published")) } else { Ok(packages) }
}

fn read(manifest: &Path) -> io::Result<Table> {
    let text = fs::read_to_string(manifest)?;
    text.parse().map_err(|error| io::Error::other(format!("{}: {error}", manifest.display())))
}

/// Copies a file, or a folder with everything in it. A missing source is skipped.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_file() {
        return fs::copy(from, to).map(drop);
    }
    if !from.is_dir() {
        return Ok(());
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_cargo_is_read() {
        assert_eq!(minor("cargo 1.95.0 (f2d3ce0bd 2026-03-21)\n"), Some(95));
        assert_eq!(minor("cargo 2.0.0\n"), None);
    }

    #[test]
    fn every_published_package_says_what_a_registry_asks() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
        let workspace = read(&root.join("Cargo.toml")).unwrap_or_else(|error| panic!("{error}"));
        let packages = published(root, &workspace).unwrap_or_else(|error| panic!("{error}"));
        let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
        assert!(names.contains(&"wt-api") && !names.contains(&"xtask"), "{names:?}");
        assert!(packages.iter().all(|package| package.published.starts_with("weft-")), "{names:?}");
    }
}
