//! Lints for systems other than this machine's, so that code that only builds here is found early.
//!
//! Owns how a target's standard library is installed, and the stand-in for a C compiler. It must never know
//! what the code does there: nothing is linked and nothing is run.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use crate::verdict::{Outcome, run};

/// If this variable is set, the program stands in for a C compiler and an archiver.
const STAND_IN: &str = "WEFT_XTASK_STANDS_IN";

/// Lints `packages`, and their dependencies here, for `target`. `cargo` makes commands of cargo. A real build
/// for `target` does not use the stand-in's objects, because build scripts run again with another compiler.
pub(crate) fn check(target: &str, packages: &[&str], cargo: impl Fn(&[&str]) -> Command) -> Outcome {
    if run(&mut cargo(&["fetch", "--locked", "--target", target])) != Outcome::Passed {
        return Outcome::Skipped(format!("the crates that only {target} needs cannot be downloaded here"));
    }
    let mut command = cargo(&["clippy", "--locked"]);
    command.args(packages.iter().flat_map(|package| ["-p", package]));
    run_for(target, command, &["--", "-D", "warnings"])
}

/// Runs a cargo command that checks or lints for `target`, with these additional arguments.
pub(crate) fn run_for(target: &str, mut command: Command, arguments: &[&str]) -> Outcome {
    if let Err(why) = standard_library(target) {
        return Outcome::Skipped(why);
    }
    let Ok(stand_in) = env::current_exe() else {
        return Outcome::Skipped("this program does not know where it lies".to_owned());
    };
    command.args(["--target", target]).args(arguments).env(STAND_IN, "1");
    for tool in ["CC", "AR"] {
        command.env(format!("{tool}_{}", target.replace('-', "_")), &stand_in);
    }
    run(&mut command)
}

/// Checks that the toolchain has a standard library for `target`, or installs one. The error says what is
/// missing.
fn standard_library(target: &str) -> Result<(), String> {
    let sysroot = sysroot()?;
    if has(&sysroot, target) {
        return Ok(());
    }
    let missing = format!("the toolchain has no standard library for {target}");
    if Command::new("rustup").arg("--version").output().is_err() {
        return Err(format!("{missing}, and there is no rustup to get it"));
    }
    run(Command::new("rustup").args(["target", "add", target]));
    if has(&sysroot, target) { Ok(()) } else { Err(format!("{missing}, and rustup could not get it")) }
}

/// The folder of the toolchain.
fn sysroot() -> Result<PathBuf, String> {
    let told = Command::new("rustc").args(["--print", "sysroot"]).output();
    let told = told.map_err(|error| format!("rustc could not be asked for its folder: {error}"))?;
    Ok(PathBuf::from(String::from_utf8_lossy(&told.stdout).trim()))
}

fn has(sysroot: &Path, target: &str) -> bool {
    sysroot.join("lib/rustlib").join(target).join("lib").is_dir()
}

/// A check needs no objects, but crates with C code compile it anyway. Few machines have a cross compiler for
/// each system, so this program writes the requested files, empty. `None` if the program runs as itself.
pub(crate) fn stand_in() -> Option<ExitCode> {
    env::var_os(STAND_IN)?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    let written = outputs(&arguments).try_for_each(|file| fs::write(file, ""));
    Some(if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The files that the arguments of a compiler or archiver request.
fn outputs(arguments: &[String]) -> impl Iterator<Item = &String> {
    let before = std::iter::once(None).chain(arguments.iter().map(Some));
    arguments.iter().zip(before).filter_map(|(argument, before)| {
        let is_archive = Path::new(argument).extension().is_some_and(|extension| extension == "a");
        (is_archive || before.is_some_and(|before| before == "-o")).then_some(argument)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_are_asked_for_are_known() {
        let outputs = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            outputs(&words).cloned().collect::<Vec<_>>()
        };
        assert_eq!(outputs("-O2 -c in.c -o out/in.o"), ["out/in.o"]);
        assert_eq!(outputs("cq out/libin.a out/in.o"), ["out/libin.a"]);
        assert_eq!(outputs("-E flags.c"), [] as [&str; 0]);
    }

    #[test]
    fn a_target_that_the_toolchain_lacks_is_not_there() {
        let sysroot = sysroot().expect("a toolchain");
        let targets = fs::read_dir(sysroot.join("lib/rustlib")).expect("libraries").flatten();
        let names = targets.map(|entry| entry.file_name().to_string_lossy().into_owned());
        assert!(names.into_iter().any(|name| has(&sysroot, &name)));
        assert!(!has(&sysroot, "pdp11-unknown-none"));
    }
}
