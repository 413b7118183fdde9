//! Scenario files are read with care, and a run is what its seed says.

use std::path::Path;

use quic_core::congestion::Algorithm;

use super::{
    html,
    report::Report,
    run::{Trial, run},
    scenario::{Scenario, built_in},
};

fn trial(seed: u64) -> Trial<'static> {
    Trial { name: "cubic", controller: &Algorithm::Cubic, seed, traces: Path::new(".") }
}

const SMALL: &str = r#"
id = "small"
title = "Two flows and frames, for a second"
duration = "1 s"
[link]
rate = "10 Mbit/s"
rtt = "20 ms"
buffer = "1 BDP"
loss = "1 %"
[[flow]]
kind = "bulk"
count = 2
[[flow]]
kind = "media-and-bulk"
"#;

#[test]
fn all_that_comes_with_it_can_be_read_and_is_named_as_its_file() {
    let all = built_in().unwrap();
    let mut ids: Vec<&str> = all.iter().map(|scenario| scenario.id.as_str()).collect();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lab/scenarios");
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), count, "a file is not built in");
}

#[test]
fn one_seed_one_run() {
    let scenario = Scenario::parse("small", SMALL).unwrap();
    let runs = [1, 1, 2].map(|seed| run(&scenario, &trial(seed)).unwrap());
    assert_eq!(runs[0].digest, runs[1].digest);
    assert_ne!(runs[0].digest, runs[2].digest);
    let figures = &runs[0].figures;
    assert!((0.5..=1.0).contains(&figures["utilization"]), "{figures:?}");
    assert!(figures["frame_p50"] > 10.0 && figures["frame_p50"] < 100.0, "{figures:?}");
    assert_eq!(figures["broken"], 0.0);
    let (report, scenarios) = (Report { command: "a < b".to_owned(), runs: runs.to_vec() }, [scenario]);
    let page = html::html(&report, &scenarios).unwrap();
    assert!(
        page.contains("a &lt; b") && page.matches("<svg").count() == 1,
        "one picture, and nothing unescaped"
    );
    let text = report.table(&scenarios);
    assert!(
        text.lines().nth(2).is_some_and(|line| line.contains("small") && line.contains("cubic")),
        "{text}"
    );
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_line_and_what_may_stand_there() {
    for (from, to, told) in [
        ("rate = \"10 Mbit/s\"", "rate = \"10 MBit\"", "rate like \"20 Mbit/s\""),
        ("rtt = ", "rrt = ", "unknown field `rrt`"),
        ("kind = \"bulk\"", "kind = \"bulky\"", "unknown variant `bulky`"),
        ("loss = \"1 %\"", "loss = \"101 %\"", "from 0 % to 100 %"),
        ("rate = \"10 Mbit/s\"", "", "needs one of `rate` and `trace`"),
        ("count = 2", "count = 0", "at least 1"),
        ("kind = \"bulk\"", "kind = \"transfer\"", "`bytes`"),
        ("count = 2", "count = 1000", "at most 1000"),
        ("count = 2", "fps = 1001", "`fps` is at most 1000"),
        ("duration = \"1 s\"", "duration = \"99 ms\"", "between 0.1 s and 60 min"),
        ("duration = \"1 s\"", "duration = \"3601 s\"", "between 0.1 s and 60 min"),
        ("loss = \"1 %\"", "suspended = { every = \"0 s\", lasts = \"0 s\" }", "at least 1 ms"),
        ("loss = \"1 %\"", "suspended = { every = \"1 s\", lasts = \"1 s\" }", "shorter than that"),
    ] {
        let error = Scenario::parse("small.toml", &SMALL.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(told) && error.starts_with("small.toml"), "{to}: {error}");
    }
    for (from, to) in [
        ("count = 2", "count = 999\nfps = 1000"),
        ("duration = \"1 s\"", "duration = \"100 ms\""),
        ("duration = \"1 s\"", "duration = \"60 min\""),
        ("loss = \"1 %\"", "suspended = { every = \"2 ms\", lasts = \"1 ms\" }"),
    ] {
        let changed = SMALL.replacen(from, to, 1);
        Scenario::parse("small.toml", &changed).unwrap_or_else(|error| panic!("{to}: {error}"));
    }
    let error =
        Scenario::parse("small.toml", &SMALL.replacen("rtt = ", "rrt = ", 1)).unwrap_err().to_string();
    assert!(error.contains("line 7"), "{error}");
}

#[test]
fn a_transfer_alone_ends_the_run() {
    let text = SMALL.replacen("count = 2", "", 1).replacen(
        "kind = \"bulk\"",
        "kind = \"transfer\"\nbytes = \"100 kB\"",
        1,
    );
    let text = text.split("[[flow]]\nkind = \"media").next().unwrap_or_default();
    let result = run(&Scenario::parse("small", text).unwrap(), &trial(1)).unwrap();
    let completion = result.figures["completion"];
    // The handshake, the bytes at the link's rate, and the way.
    assert!((110.0..400.0).contains(&completion), "{completion} ms");
    assert_eq!((result.figures["unfinished"], result.flows[0].bytes), (0.0, 100_009));
}

/// CUBIC as it is, with room for change: a shorter B1, and those that are short.
#[test]
fn figures_of_cubic_are_where_they_should_be() {
    let all = built_in().unwrap();
    for (id, figure, least, most) in [
        ("B1", "utilization", 0.97, 1.0),
        ("B1", "dropped", 0.0, 0.01),
        ("B6a", "utilization", 0.85, 1.0),
        ("B7a", "jain", 0.9, 1.0),
        ("B9a", "completion", 120.0, 200.0),
        ("B12b", "frame_p99", 30.0, 160.0),
        ("B13c", "utilization", 0.9, 1.0),
    ] {
        let mut scenario = all.iter().find(|scenario| scenario.id == id).unwrap().clone();
        scenario.duration.0 = scenario.duration.0.min(20_000_000_000);
        for seed in 1..=2 {
            let value = run(&scenario, &trial(seed)).unwrap().figures[figure];
            assert!((least..=most).contains(&value), "{id}, seed {seed}: {figure} is {value}");
        }
    }
}
