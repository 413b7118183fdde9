//! The controller that `--congestion` names is in use, and `--stats` reports its state.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use serde_json::Value;

use crate::{Server, code, output, text, weft};

/// The values of the option, and the controller that each selects.
const CHOICES: [(&str, &str); 9] = [
    ("default", "cubic"),
    ("throughput", "bbr3"),
    ("low-latency", "low-latency"),
    ("cubic", "cubic"),
    ("newreno", "newreno"),
    ("bbr3", "bbr3"),
    ("c4", "c4"),
    ("newreno+rapid-start", "newreno+rapid-start"),
    ("fixed-rate=20mbit", "fixed-rate"),
];

fn object(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn both_ends_report_the_chosen_controller_while_they_run() {
    for (asked, controller) in CHOICES {
        let mut server = Server::start(&["--congestion", asked, "--stats=0.02"]);
        let url = server.url("/echo");
        let arguments =
            ["--json", "connect", &url, "--cert-hash", &server.hash, "--congestion", asked, "--stats=0.02"];
        let mut client =
            weft(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("weft starts");
        // The input stays open until both have reported.
        let input = client.stdin.take().expect("piped");
        let mut lines = BufReader::new(client.stdout.take().expect("piped")).lines();
        let mut told = || object(&lines.next().expect("it goes on").expect("text"));
        let stats = std::iter::repeat_with(&mut told).find(|event| event["event"] == "stats").expect("told");
        assert_eq!(stats["controller"], controller, "{stats}");
        assert!(stats["window"].as_u64().is_some_and(|window| window > 0), "{stats}");
        let mut line = String::new();
        server.lines.read_line(&mut line).expect("told");
        let stats = object(&line);
        assert_eq!((&stats["event"], &stats["controller"]), (&"stats".into(), &controller.into()), "{stats}");
        drop(input);
        let closed = std::iter::repeat_with(told).find(|event| event["event"] == "closed").expect("told");
        assert_eq!(closed["stats"]["congestionController"], controller, "{closed}");
        assert!(client.wait().expect("it ends").success());
    }
}

#[test]
fn without_json_the_lines_are_for_people_on_standard_error() {
    let server = Server::start(&[]);
    let url = server.url("/echo");
    // Standard output only has the lines of the exchange.
    let out =
        output(&["connect", &url, "--cert-hash", &server.hash, "--stats", "--lines"], &b"x\n".repeat(300));
    assert_eq!((code(&out), out.stdout.len()), (Some(0), 600), "{}", text(&out.stderr));
}

#[test]
fn unknown_controllers_and_wrong_intervals_are_refused_with_a_list() {
    for (option, remedy) in [
        ("--congestion=fastest", "newreno, cubic, bbr3, low-latency, copa, prague, c4, fixed-rate=20mbit"),
        ("--congestion=cubic+fastest", "; or a kind: default, throughput, low-latency"),
        ("--stats=0", "from 0.01 to 3600"),
        ("--stats=3601", "from 0.01 to 3600"),
    ] {
        let out = output(&["connect", "https://localhost/", option], b"");
        assert_eq!(code(&out), Some(2), "{option}");
        assert!(text(&out.stderr).contains(remedy), "{option}: {}", text(&out.stderr));
    }
    for link in ["20mbit", "0mbit,40ms,1bdp", "1gbit,2s,9bdp"] {
        let out = output(&["demo", "--link", link], b"");
        assert_eq!(code(&out), Some(2), "{link}");
    }
}
