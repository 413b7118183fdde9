//! Tests of the command `cc-lab`.

use std::{
    fs::{self, OpenOptions},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

fn lab(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cc-lab"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn output(arguments: &[&str]) -> Output {
    lab(arguments).output().expect("cc-lab runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A new empty directory.
fn directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("made");
    directory
}

/// Output files are checked before hours of running.
#[test]
fn unwritable_files_are_reported_before_anything_runs() {
    let directory = directory("cc-lab-places");
    let (file, kept) = (directory.join("file"), directory.join("kept.json"));
    fs::write(&file, "").expect("written");
    fs::write(&kept, "a report").expect("written");
    let (file, kept) = (file.to_str().expect("text"), kept.to_str().expect("text"));
    for place in [["--plots", file], ["--json", "/no/such/directory/a.json"], ["--html", "/"]] {
        let out = output(&[&["run", "B9a", "--json", kept][..], &place[..]].concat()[..]);
        let out = if place[0] == "--json" { output(&["run", "B9a", place[0], place[1]]) } else { out };
        assert_eq!((out.status.code(), text(&out.stdout)), (Some(2), String::new()), "{place:?}");
        assert!(text(&out.stderr).contains(place[1]), "{}", text(&out.stderr));
    }
    assert_eq!(fs::read_to_string(kept).expect("there"), "a report", "it is replaced at the end alone");
}

#[test]
fn a_scenario_that_is_named_twice_runs_once() {
    let directory = directory("cc-lab-twice");
    let report = directory.join("report.json");
    let report = report.to_str().expect("text");
    let controllers = ["--controller", "cubic", "--controller", "cubic"];
    let out = output(&[&["run", "B9a", "B9a", "--json", report][..], &controllers[..]].concat());
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let told: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(report).expect("there")).expect("JSON");
    assert_eq!(told["runs"].as_array().map(Vec::len), Some(1));
    // Two scenarios that share only the name.
    let files = ["a.toml", "b.toml"].map(|name| directory.join(name).to_str().expect("text").to_owned());
    for file in &files {
        fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lab/scenarios/B9a.toml"), file).expect("copied");
    }
    let out = output(&["run", &files[0], &files[1]]);
    assert_eq!((out.status.code(), text(&out.stdout)), (Some(2), String::new()));
    assert!(text(&out.stderr).contains("b.toml: the name (`id`) B9a is taken"), "{}", text(&out.stderr));
    for none in ["", "Z9", "b9"] {
        let out = output(&["run", none]);
        assert!(out.status.code() == Some(2) && text(&out.stderr).contains("there is no scenario"), "{none}");
    }
}

#[test]
fn reports_with_nothing_in_common_are_not_compared() {
    let directory = directory("cc-lab-compare");
    let report = directory.join("none.json");
    fs::write(&report, r#"{ "command": "", "runs": [] }"#).expect("written");
    let report = report.to_str().expect("text");
    let out = output(&["compare", report, report]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("nothing to compare"), "{}", text(&out.stderr));
}

#[test]
fn a_closed_pipe_is_no_error_and_a_full_disk_is() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let out = lab(&["list"]).stdout(writer).stderr(Stdio::piped()).output().expect("it ends");
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), String::new()));
    if cfg!(target_os = "linux") {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("it is there");
        let out = lab(&["list"]).stdout(full).stderr(Stdio::piped()).output().expect("it ends");
        assert_eq!(out.status.code(), Some(2));
        assert!(text(&out.stderr).contains("standard output cannot be written to"), "{}", text(&out.stderr));
    }
}

/// A machine that does not permit the run gives its own exit status and one line.
#[test]
fn in_real_time_it_runs_or_says_what_is_missing() {
    let directory = directory("cc-lab-real");
    let report = directory.join("real.json");
    let report = report.to_str().expect("text");
    // The kernel's TCP next to ours, and ours next to the kernel's.
    for (scenario, controller, expected) in [
        ("B8c", "cubic", ["bulk cubic", "kernel-cubic"]),
        ("B8a", "kernel-cubic", ["bulk kernel-cubic", "bulk cubic"]),
    ] {
        let arguments = ["real", scenario, "--seconds", "3", "--controller", controller, "--json", report];
        let out = output(&arguments);
        let said = text(&out.stderr);
        match out.status.code() {
            Some(0) => {
                let told: serde_json::Value =
                    serde_json::from_str(&fs::read_to_string(report).expect("there")).expect("JSON");
                let flows = told["runs"][0]["flows"].as_array().expect("flows");
                for flow in flows {
                    assert!(flow["bytes"].as_u64() > Some(10_000), "{flow}");
                }
                let names: Vec<&str> = flows.iter().filter_map(|flow| flow["name"].as_str()).collect();
                assert_eq!(names, expected);
                assert!(text(&out.stdout).contains("the link was up to"), "{}", text(&out.stdout));
            }
            Some(3) => {
                assert_eq!(said.lines().filter(|line| line.starts_with("cc-lab: ")).count(), 1, "{said}");
            }
            status => panic!("{status:?}: {said}"),
        }
    }
}

#[test]
fn scenarios_that_cannot_run_in_real_time_are_refused() {
    let mut cases = vec![(vec!["real", "B7c"], 2, "`rtt` of its own")];
    if cfg!(target_os = "linux") {
        cases.push((vec!["real", "B1", "--controller", "kernel-none"], 3, "the kernel offers no none"));
        cases.push((vec!["real", "B13a", "--seconds", "2"], 2, "run it for 21 s at least"));
    } else {
        cases = vec![(vec!["real", "B1"], 3, "which Linux has")];
    }
    for (arguments, status, told) in cases {
        let out = output(&arguments);
        assert_eq!(out.status.code(), Some(status), "{arguments:?}: {}", text(&out.stderr));
        assert!(text(&out.stderr).contains(told), "{arguments:?}: {}", text(&out.stderr));
    }
}
