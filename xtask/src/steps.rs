//! The steps of `test`, in order, `fuzz` and `soak`.
//!
//! All test steps select the whole workspace and one profile, so that features are resolved once and nothing
//! is built twice. Only the sweeps are optimised. Tests with other programs are `#[ignore]`d tests of the
//! crate `e2e`, selected by name. Tests with other libraries are a separate workspace, `compare/`, with its
//! own target folder.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use crate::{
    api, dependencies, documents, house,
    options::{TestOptions, is_ci},
    outside, package, systems, tools,
    verdict::{Outcome, Run, run},
};

/// The manifest of the tests with other libraries, from the workspace's root.
const PEERS: &str = "compare/Cargo.toml";

/// The other systems for which the code is linted, and the packages. The command differs between systems, but
/// not with the size of pointers.
const SYSTEMS: [(&str, &str, &[&str]); 3] = [
    ("lints for Windows", "x86_64-pc-windows-gnu", &["wt-api", "wt-cli"]),
    ("lints for macOS", "x86_64-apple-darwin", &["wt-api", "wt-cli"]),
    ("lints for 32 bits", "i686-unknown-linux-gnu", &["wt-api"]),
];

fn cargo_path() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

fn root() -> PathBuf {
    // The manifest of this crate is one folder below the workspace.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(cargo_path());
    command.args(arguments).current_dir(root());
    // The cargo that runs this program has set these, and another cargo must not inherit them.
    for variable in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
        command.env_remove(variable);
    }
    command
}

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The folder of the documents' packages.
fn outside_folder() -> PathBuf {
    target().join("outside")
}

/// The folder of the published crates' packages. Their dependencies are those of the documents' packages.
fn package_folders() -> package::Folders {
    package::Folders { copy: target().join("published"), target: outside_folder().join("target") }
}

/// `cargo xtask package`.
pub(crate) fn package() -> ExitCode {
    package::package(&root(), &package_folders(), cargo)
}

/// `cargo xtask api`.
pub(crate) fn api() -> ExitCode {
    api::write(&root(), &outside_folder(), cargo)
}

/// `cargo xtask test`.
pub(crate) fn test(options: &TestOptions) -> ExitCode {
    let mut all = Run::new(options.keep_going, options.only.clone());
    all.step("format", || run(&mut cargo(&["fmt", "--all", "--check"])));
    all.step("format of the fuzz targets", || {
        run(&mut cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))
    });
    all.step("format of the tests with other libraries", || {
        run(&mut cargo(&["fmt", "--manifest-path", PEERS, "--check"]))
    });
    all.step("dependencies", || dependencies::check(&cargo_path()));
    all.step("documents", || documents::check(&root()));
    all.step("house", || house::check(&root()));
    all.step("lints", || {
        run(&mut cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    });
    all.step("rustdoc", || {
        let documentation = ["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"];
        run(cargo(&documentation).env("RUSTDOCFLAGS", "-D warnings"))
    });
    all.step("code of README and guide, outside the workspace", || {
        outside::check(&root(), &outside_folder(), cargo)
    });
    all.step("public API against its listing", || api::check(&root(), &outside_folder(), cargo));
    all.step("package", || missing_in_ci(package::check(&root(), &package_folders(), cargo)));
    all.step("lints of the other provider (aws-lc-rs)", aws_lc);
    for (name, target, packages) in SYSTEMS {
        all.step(name, || systems::check(target, packages, cargo));
    }
    all.step("code of README and guide, for Windows", || {
        outside::check_for("x86_64-pc-windows-gnu", &root(), &outside_folder(), cargo)
    });
    all.step("unit, property, vector, simulation and documentation tests", || {
        // All that fail are told, not only those of the first package.
        run(&mut cargo(&["test", "--locked", "--workspace", "--no-fail-fast"]))
    });
    all.step("simulated networks: 2,000 transfers, 10,000 handshakes, lost datagrams", simulated_networks);
    all.step("fuzz corpora", || run(&mut fuzz_command(&["--replay".to_owned()])));
    if !options.no_e2e {
        all.step("end to end: wtransport, web-transport-quinn", peers);
        all.step("end to end: aioquic", || missing_in_ci(aioquic()));
        all.step("end to end: niquests", || missing_in_ci(niquests()));
    }
    if !options.no_e2e && !options.no_browser {
        all.step("end to end: Chromium", || missing_in_ci(chromium()));
        all.step("end to end: Firefox", || missing_in_ci(firefox()));
    }
    all.finish()
}

/// aws-lc-rs builds C, so it needs a C compiler.
fn aws_lc() -> Outcome {
    if Command::new("cc").arg("--version").output().is_err() {
        return Outcome::Skipped("needs a C compiler".to_owned());
    }
    // The library without ring, and the command with that library.
    let alone = ["--no-default-features", "--features", "aws-lc-rs"];
    run(&mut cargo(
        &[&["clippy", "--locked", "-p", "wt-cli"], &alone[..], &["--", "-D", "warnings"]].concat(),
    ))
}

/// A command that runs the optimised binary for sweeps over seeds.
fn soak_command(arguments: &[&str]) -> Command {
    let mut command = cargo(&["run", "--quiet", "--release", "--locked", "-p", "soak", "--"]);
    command.args(arguments);
    command
}

fn simulated_networks() -> Outcome {
    let sweeps: [&[&str]; 3] =
        [&["sweep", "--seeds", "2000"], &["handshakes", "--seeds", "10000"], &["patterns"]];
    // A run takes a minute, and full optimisation at link time would take longer than it saves.
    let quickly = [("CARGO_PROFILE_RELEASE_LTO", "off"), ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")];
    let outcomes = sweeps.map(|arguments| run(soak_command(arguments).envs(quickly)));
    outcomes.into_iter().find(|outcome| *outcome != Outcome::Passed).unwrap_or(Outcome::Passed)
}

/// `cargo xtask soak`.
pub(crate) fn soak(arguments: &[String]) -> ExitCode {
    crate::soak::soak(arguments, &root(), soak_command(&[]))
}

/// Runs the sessions with other libraries. Their build stays out of the product's target folder. It is not
/// built a second time for lints, because there are only a few tests.
fn peers() -> Outcome {
    let mut command = cargo(&["test", "--locked", "--manifest-path", PEERS, "--target-dir"]);
    run(command.arg(target().join("compare")).env("RUSTFLAGS", "-D warnings"))
}

fn end_to_end(tests: &[&str]) -> Command {
    let mut command = cargo(&["test", "--locked", "--workspace"]);
    command.args(tests.iter().flat_map(|test| ["--test", test]));
    command.args(["--", "--ignored", "--test-threads", "2"]);
    command
}

fn aioquic() -> Outcome {
    match tools::aioquic(&target()) {
        Ok(python) => run(end_to_end(&["aioquic", "interop"]).env("WEFT_PYTHON", python)),
        Err(why) => Outcome::Skipped(why),
    }
}

fn niquests() -> Outcome {
    match tools::niquests(&target()) {
        Ok(python) => run(end_to_end(&["niquests"]).env("WEFT_NIQUESTS", python)),
        Err(why) => Outcome::Skipped(why),
    }
}

fn chromium() -> Outcome {
    match tools::chromium() {
        Ok(browser) => run(end_to_end(&["chromium", "chromium_experimental", "demo_page", "root_page"])
            .env("WEFT_CHROMIUM", browser.chromium)
            .env("WEFT_CHROMEDRIVER", browser.chromedriver)),
        Err(why) => Outcome::Skipped(why),
    }
}

fn firefox() -> Outcome {
    match tools::firefox() {
        Ok(firefox) => {
            run(end_to_end(&["firefox", "exec_page", "demo_page_firefox"]).env("WEFT_FIREFOX", firefox))
        }
        Err(why) => Outcome::Skipped(why),
    }
}

/// A tool that may be missing on a developer's machine must not be missing in CI.
fn missing_in_ci(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Skipped(why) if is_ci() => Outcome::Failed(why),
        other => other,
    }
}

fn fuzz_command(arguments: &[String]) -> Command {
    let manifest = root().join("fuzz/Cargo.toml");
    let mut command = cargo(&["run", "--quiet", "--locked", "--manifest-path"]);
    // The same target folder, so that common dependencies of both workspaces are built once.
    command.arg(manifest).arg("--target-dir").arg(target()).arg("--").args(arguments);
    command
}

/// `cargo xtask fuzz`.
pub(crate) fn fuzz(arguments: &[String]) -> ExitCode {
    match run(&mut fuzz_command(arguments)) {
        Outcome::Passed => ExitCode::SUCCESS,
        Outcome::Failed(why) | Outcome::Skipped(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
