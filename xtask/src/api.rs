//! The public API of `wt-api` as a listing, so that nobody changes it unawares.
//!
//! Owns how the listing is made and compared. It is made in the folder of the documents' packages, where the
//! library looks as it does to programs outside: with its default features, and already built for the checks.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use crate::{
    outside,
    verdict::{Outcome, run},
};

/// The path of the listing, from the workspace's root.
const LISTING: &str = "docs/api.txt";

/// If this variable is set, the program runs in place of rustdoc.
const STAND_IN: &str = "WEFT_XTASK_ASKS_RUSTDOC";

/// The head of the listing.
const HEAD: &str = "# The public API of wt-api with its default features, an item a line, without what every derived Clone, Debug and\n\
    # PartialEq has. `cargo xtask api` writes this file, and `cargo xtask test` compares it with the code.\n";

/// Compares the listing with the code of the workspace at `root`. `cargo` makes commands of cargo.
pub(crate) fn check(root: &Path, folder: &Path, cargo: impl Fn(&[&str]) -> Command) -> Outcome {
    let listing = match listing(folder, cargo) {
        Ok(listing) => listing,
        Err(outcome) => return outcome,
    };
    let written = fs::read_to_string(root.join(LISTING)).unwrap_or_default();
    let differing = differences(&written, &listing);
    if differing.is_empty() {
        return Outcome::Passed;
    }
    differing.iter().for_each(|line| println!("{line}"));
    Outcome::Failed(format!(
        "{LISTING} is not the API: if the change is meant, write it with `cargo xtask api`"
    ))
}

/// `cargo xtask api`.
pub(crate) fn write(root: &Path, folder: &Path, cargo: impl Fn(&[&str]) -> Command) -> ExitCode {
    let outcome = match outside::check(root, folder, &cargo) {
        Outcome::Passed => listing(folder, cargo),
        other => Err(other),
    };
    let problem = match outcome {
        Ok(listing) => match fs::write(root.join(LISTING), listing) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => format!("{LISTING} cannot be written: {error}"),
        },
        Err(Outcome::Failed(why) | Outcome::Skipped(why)) => why,
        Err(Outcome::Passed) => "nothing was listed".to_owned(),
    };
    eprintln!("xtask: {problem}");
    ExitCode::FAILURE
}

fn listing(folder: &Path, cargo: impl Fn(&[&str]) -> Command) -> Result<String, Outcome> {
    let target = folder.join("target");
    let stand_in = env::current_exe().map_err(|error| Outcome::Skipped(error.to_string()))?;
    // Only the program that runs in place of rustdoc asks for JSON, so nothing changes for the compiler and
    // build scripts.
    let mut command = cargo(&["rustdoc", "--offline", "-p", "wt-api", "--lib", "--", "--cap-lints", "allow"]);
    command.current_dir(folder).env("CARGO_TARGET_DIR", &target);
    command.env("RUSTDOC", stand_in).env(STAND_IN, "1");
    match run(&mut command) {
        Outcome::Passed => {}
        other => return Err(other),
    }
    let api = public_api::Builder::from_rustdoc_json(target.join("doc/wt_api.json"))
        .omit_auto_trait_impls(true)
        .omit_blanket_impls(true)
        .build()
        .map_err(|error| Outcome::Skipped(format!("what this rustdoc tells cannot be read: {error}")))?;
    Ok(with_head(&api.to_string()))
}

fn with_head(items: &str) -> String {
    let mut listing = HEAD.to_owned();
    for line in items.lines().filter(|line| !is_derived(line)) {
        listing += line;
        listing.push('\n');
    }
    listing
}

/// Whether a line is a method of a derived trait. The trait itself has its own line.
fn is_derived(line: &str) -> bool {
    let methods = ["::fmt(&self, &mut core::fmt::Formatter<", "::clone(&self) -> ", "::eq(&self, &"];
    line.starts_with("impl core::marker::StructuralPartialEq for ")
        || (line.starts_with("pub fn ") && methods.iter().any(|method| line.contains(method)))
}

/// The lines that only one of the two has, as in a diff: `-` for the written listing, `+` for the actual one.
fn differences(written: &str, listing: &str) -> Vec<String> {
    let only = |of: &str, not: &str, sign: char| {
        let others: Vec<&str> = not.lines().collect();
        let lines = of.lines().filter(|line| !others.contains(line));
        lines.map(|line| format!("{sign} {line}")).collect::<Vec<_>>()
    };
    let mut all = only(written, listing, '-');
    all.extend(only(listing, written, '+'));
    if all.is_empty() && written != listing {
        all.push("the same lines in another order".to_owned());
    }
    all
}

/// Runs the toolchain's rustdoc for JSON if cargo started this program in its place. That format is unstable,
/// so rustdoc requires an explicit option for it. `None` if the program runs as itself.
pub(crate) fn stand_in() -> Option<ExitCode> {
    env::var_os(STAND_IN)?;
    let rustdoc = rustc().with_file_name(format!("rustdoc{}", env::consts::EXE_SUFFIX));
    let mut command = Command::new(rustdoc);
    command.args(env::args_os().skip(1)).env("RUSTC_BOOTSTRAP", "1");
    // If rustdoc is only asked for its version, there is nothing to document.
    if env::args().any(|argument| argument == "--crate-name") {
        command.args(["-Z", "unstable-options", "--output-format", "json"]);
    }
    Some(match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// The compiler of this toolchain; only its name if it cannot be found.
fn rustc() -> PathBuf {
    let told = Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot = told.map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned());
    sysroot.map_or_else(|_| PathBuf::from("rustc"), |sysroot| Path::new(&sysroot).join("bin/rustc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told() {
        assert!(differences("a\nb\n", "a\nb\n").is_empty());
        assert_eq!(differences("a\nb\n", "b\nc\n"), ["- a", "+ c"]);
        assert_eq!(differences("a\nb\n", "b\na\n"), ["the same lines in another order"]);
    }

    #[test]
    fn derived_methods_are_left_out_and_others_stay() {
        let items = "impl core::clone::Clone for a::B\n\
            pub fn a::B::clone(&self) -> a::B\n\
            impl core::marker::StructuralPartialEq for a::B\n\
            pub fn a::B::clone_from_parts(u8) -> a::B\n";
        let listing = with_head(items);
        let lines: Vec<&str> = listing.strip_prefix(HEAD).into_iter().flat_map(str::lines).collect();
        assert_eq!(lines, ["impl core::clone::Clone for a::B", "pub fn a::B::clone_from_parts(u8) -> a::B"]);
    }
}
