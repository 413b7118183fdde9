//! Help, completions and manual pages of every subcommand.

use std::fs;

use crate::{code, directory, output, text};

const ALL: [&[&str]; 14] = [
    &[],
    &["demo"],
    &["serve"],
    &["connect"],
    &["get"],
    &["doctor"],
    &["cert"],
    &["cert", "make"],
    &["cert", "show"],
    &["cert", "rotate"],
    &["perf"],
    &["qlog"],
    &["completions"],
    &["man"],
];

#[test]
fn every_subcommand_has_help_and_a_manual_page() {
    let directory = directory("man").join("new");
    let out = output(&["man", directory.to_str().expect("text")], b"");
    assert_eq!(code(&out), Some(0), "{}", text(&out.stderr));
    let top = text(&output(&["--help"], b"").stdout);
    for subcommand in ALL {
        let help = output(&[subcommand, &["--help"]].concat(), b"");
        assert_eq!(code(&help), Some(0), "{subcommand:?}");
        let usage = format!("Usage: {}", [&["weft"], subcommand].concat().join(" "));
        assert!(text(&help.stdout).contains(&usage), "{usage}: {}", text(&help.stdout));
        assert!(top.contains(subcommand.first().unwrap_or(&"")), "{subcommand:?} is in the list");
        let page = format!("{}.1", [&["weft"], subcommand].concat().join("-"));
        let page =
            fs::read_to_string(directory.join(&page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(page.starts_with(".ie") && page.contains(".SH NAME"), "{page}");
        // The synopsis shows options with their values, and marks repeatable ones.
        for (of, called) in [
            (&[][..], r"[\-v|\-\-verbose]... [\-\-json]"),
            (&[], "<COMMAND>"),
            (&["connect"], r"[\-\-cert\-hash <HEX>]... [\-\-ca <PEM>]"),
            (&["connect"], "[\\-\\-timeout <SECONDS>] [\\-q|\\-\\-quiet]"),
            (&["connect"], "<URL>"),
            (&["serve"], r"[\-\-exec\-limit <N>]"),
            (&["serve"], r"[\-\- <ARGUMENT>...]"),
            (&["cert", "show"], "<FILE>"),
        ] {
            let synopsis =
                page.lines().skip_while(|line| *line != ".SH SYNOPSIS").nth(1).expect("a synopsis");
            assert!(of != subcommand || synopsis.contains(called), "{called}: {synopsis}");
        }
    }
    let pages = fs::read_dir(&directory).expect("there").flatten().map(|entry| entry.file_name());
    let told: Vec<_> = pages.filter(|name| !name.to_string_lossy().contains("help")).collect();
    assert_eq!(told.len(), ALL.len(), "this test knows all of them: {told:?}");
}

#[test]
fn every_shell_has_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let out = output(&["completions", shell], b"");
        assert_eq!(code(&out), Some(0), "{}", text(&out.stderr));
        let script = text(&out.stdout);
        for word in ["connect", "cert-hash", "doctor", "exec-limit"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(code(&output(&["completions", "cmd"], b"")), Some(2));
}
