//! `cargo xtask`: the checks and tools of the project itself.
//!
//! Owns the order of the checks, and how their tools are found or installed. It must never know what a check
//! checks: each step is a command, and its exit status is the verdict.
#![forbid(unsafe_code)]

mod api;
mod dependencies;
mod documents;
mod house;
mod options;
mod outside;
mod package;
mod soak;
mod steps;
mod systems;
mod tools;
mod verdict;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <command>

  test [--no-browser] [--no-e2e] [--keep-going] [--only WORDS]
        Everything: format, what the product depends on, documents against the code, the code against the layers that it
        has (house.toml), lints, rustdoc, the code of README and guide as their readers compile it, the public API against its
        listing, the crates as packages for a registry, lints as Windows, macOS and 32 bits see the code, unit, property, vector,
        simulation and documentation tests, optimised sweeps over thousands of simulated networks, replay of the fuzz corpora,
        and the end-to-end tests with wtransport, web-transport-quinn, aioquic, headless Chromium and headless Firefox.
        Installs what those need where it can; says in one line what is missing. With CI=true a missing tool fails.
        --no-browser   neither Chromium nor Firefox
        --no-e2e       neither browsers nor aioquic nor other libraries
        --keep-going   go on after a step that failed
        --only WORDS   only the steps whose names have these words in them, for example --only lints

  fuzz [TARGET] [--seconds N] [--seed S]
        Mutates the corpus of TARGET (all targets, one after the other, without it) for N seconds each (default 20).
        A failure prints the seed and the input, and keeps the input in fuzz/failures/.
  fuzz --replay [TARGET]     runs every file of fuzz/corpus/<target>/ once
  fuzz --list                names the targets
  fuzz --make-corpus         writes the seed corpora anew

  soak --seeds N
        Runs N transfers over simulated networks that were not run before, and adds a line to docs/security.md.

  api   Writes docs/api.txt anew, the listing of wt-api's public API, which a change of that API has to update.

  package   Packs the published crates under their published names, and builds each from its package.

  help  this text

Environment: CI=true makes missing tools failures; WEFT_CHROMIUM, WEFT_CHROMEDRIVER, WEFT_FIREFOX and WEFT_PYTHON name
programs to use instead of those found (WEFT_PYTHON: a Python that has aioquic).
";

fn main() -> ExitCode {
    if let Some(ended) = systems::stand_in().or_else(api::stand_in) {
        return ended;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((command, rest)) if command == "test" => match options::TestOptions::parse(rest) {
            Ok(options) => steps::test(&options),
            Err(unknown) => usage(&format!("test does not know {unknown}")),
        },
        Some((command, rest)) if command == "fuzz" => steps::fuzz(rest),
        Some((command, [])) if command == "api" => steps::api(),
        Some((command, [])) if command == "package" => steps::package(),
        Some((command, rest)) if command == "soak" => steps::soak(rest),
        Some((command, _)) if matches!(command.as_str(), "help" | "--help" | "-h") => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Some((command, _)) => usage(&format!("there is no command {command}")),
        None => usage("a command is missing"),
    }
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("xtask: {problem}\n\n{HELP}");
    ExitCode::from(2)
}
