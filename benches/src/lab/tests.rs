//! Scenario files are checked with care, and a seed decides a run.

use std::{collections::BTreeSet, path::Path};

use quic_core::congestion::Algorithm;

use super::{
    catalog::built_in,
    figures::{of_link, of_shares},
    html,
    packets::{Logged, PacketLog},
    report::Report,
    run::{Run, Trial, run, run_on},
    scenario::{FIGURES, Scenario},
    weft::Weft,
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
    assert!(page.contains("pacing rate"));
    let series = &runs[0].flows[0].series;
    assert!(series.iter().any(|sample| sample.pacing_rate > sample.rate), "{:?}", series.last());
    let text = report.table(&scenarios);
    assert!(
        text.lines().nth(2).is_some_and(|line| line.contains("small") && line.contains("cubic")),
        "{text}"
    );
}

/// Compares the time and size of every packet and every received frame, not only what netsim sees.
#[test]
fn the_same_seed_gives_the_same_packet_log() {
    let text = SMALL.replacen("count = 2", "audio = { every = \"20 ms\", size = \"160 B\" }", 1);
    let scenario = Scenario::parse("small", &text).unwrap();
    for controller in [Algorithm::Cubic, Algorithm::Bbr3, Algorithm::LowLatency] {
        let logs = [1, 1, 2].map(|seed| {
            let log = PacketLog::default();
            let stack = Weft::new(controller.name(), &controller).logging(&log);
            run_on(&scenario, &stack, seed, Path::new(".")).unwrap();
            log.lines()
        });
        let kinds: BTreeSet<u64> = logs[0]
            .iter()
            .filter_map(|line| if let Logged::Frame { kind, .. } = line { Some(*kind) } else { None })
            .collect();
        // ACK, CRYPTO, STREAM, HANDSHAKE_DONE and DATAGRAM, in any form.
        for forms in [&[0x02, 0x03][..], &[0x06], &[0x08], &[0x1e], &[0x30, 0x31]] {
            assert!(forms.iter().any(|kind| kinds.contains(kind)), "{forms:x?} of {kinds:x?}");
        }
        assert!(logs[0].len() > 2_000, "{}", logs[0].len());
        let first = logs[0].iter().zip(&logs[1]).position(|(one, same)| one != same);
        assert_eq!((first, logs[0].len()), (None, logs[1].len()), "{}", controller.name());
        assert_ne!(logs[0], logs[2], "{}", controller.name());
    }
}

#[test]
fn errors_in_a_file_name_the_line_and_the_permitted_values() {
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
        ("count = 2", "memory = \"63 KiB\"", "from 64 KiB to 4 GB"),
        ("duration = \"1 s\"", "duration = \"99 ms\"", "between 0.1 s and 60 min"),
        ("duration = \"1 s\"", "duration = \"3601 s\"", "60 min at most"),
        ("loss = \"1 %\"", "suspended = { every = \"0 s\", lasts = \"0 s\" }", "at least 1 ms"),
        ("loss = \"1 %\"", "suspended = { every = \"1 s\", lasts = \"1 s\" }", "shorter than that"),
        ("loss = \"1 %\"", "jitter = \"999999999999 min\"", "60 min at most"),
        ("count = 2", "start = \"1 s\"", "never begins"),
        ("loss = \"1 %\"", "loss = \"1 %\"\n[[change]]\nat = \"1 s\"\nrate = \"1 Mbit/s\"", "never comes"),
        ("loss = \"1 %\"", "loss = \"1 %\"\n[[change]]\nat = \"0 s\"", "needs one of `rate`"),
        ("kind = \"bulk\"", "kind = \"tcp-vegas\"", "unknown variant `tcp-vegas`"),
        ("kind = \"bulk\"", "kind = \"tcp-reno\"\ncontroller = \"cubic\"", "which is a model"),
        ("kind = \"bulk\"", "kind = \"web\"\naudio = { every = \"20 ms\", size = \"160 B\" }", "a model"),
        ("count = 2", "page = \"300 kB\"", "for `kind = \"web\"` alone"),
        ("kind = \"bulk\"", "kind = \"web\"\npage = \"999 B\"", "between 1 kB and 1000 MB"),
        ("kind = \"bulk\"", "kind = \"web\"\npause = \"0 ms\"", "`pause` at least 1 ms"),
        ("kind = \"bulk\"", "kind = \"udp-media\"\nframe = \"11 MB\"", "at most 10 MB"),
        ("count = 2", "audio = { every = \"999 us\", size = \"160 B\" }", "`every` of at least 1 ms"),
        ("count = 2", "audio = { every = \"20 ms\", size = \"7 B\" }", "between 8 B and 1 kB"),
        ("count = 2", "audio = { every = \"20 ms\", size = \"9 B\", max = \"1 s\" }", "unknown field `max`"),
    ] {
        let error = Scenario::parse("small.toml", &SMALL.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(told) && error.starts_with("small.toml"), "{to}: {error}");
    }
    for (from, to) in [
        ("count = 2", "count = 999\nfps = 1000"),
        ("duration = \"1 s\"", "duration = \"100 ms\""),
        ("duration = \"1 s\"", "duration = \"60 min\""),
        ("loss = \"1 %\"", "suspended = { every = \"2 ms\", lasts = \"1 ms\" }"),
        ("kind = \"bulk\"", "kind = \"web\"\npage = \"1 kB\"\npause = \"1 ms\""),
        ("kind = \"bulk\"", "kind = \"udp-media\"\nframe = \"10 MB\""),
        ("count = 2", "audio = { every = \"1 ms\", size = \"1000 B\", max-age = \"1 ms\" }"),
    ] {
        let changed = SMALL.replacen(from, to, 1);
        Scenario::parse("small.toml", &changed).unwrap_or_else(|error| panic!("{to}: {error}"));
    }
    let error =
        Scenario::parse("small.toml", &SMALL.replacen("rtt = ", "rrt = ", 1)).unwrap_err().to_string();
    assert!(error.contains("line 7"), "{error}");
}

/// An unknown name must not be ignored, or be reported without its file.
#[test]
fn unknown_names_are_reported_with_their_line() {
    let target = |text: &str| format!("{SMALL}[target.{text} }}\n");
    for (text, line, told) in [
        (
            SMALL.replacen("count = 2", "controller = \"bbr9\"", 1),
            12,
            "is named \"bbr9\"; there are: newreno",
        ),
        (
            target("cubicc]\njain = { min = 0.9"),
            15,
            "\"cubicc\" is no mode (default, throughput, low-latency)",
        ),
        (target("cubic]\njane = { min = 0.9"), 16, "\"jane\" is no figure; there are: broken"),
        (target("cubic]\njain = {"), 16, "`min`, `max` or both"),
        (target("cubic]\njain = { min = nan"), 16, "finite"),
        (target("cubic]\njain = { min = 1, max = 0"), 16, "`min` is not above `max`"),
        (SMALL.replacen("\"small\"", "\"\"", 1), 2, "1 to 40 letters"),
        (SMALL.replacen("\"small\"", "\"../small\"", 1), 2, "is no short name"),
        (SMALL.replacen("\"small\"", "\"a|b\"", 1), 2, "is no short name"),
    ] {
        let error = Scenario::parse("small.toml", &text).unwrap_err().to_string();
        assert!(error.contains(told) && error.contains(&format!("line {line},")), "{text}{error}");
    }
}

/// A contradiction is reported with the line where its part begins.
#[test]
fn contradictions_are_reported_with_a_line() {
    let change =
        |text: &str| format!("{SMALL}[[change]]\nat = \"100 ms\"\nrate = \"1 Mbit/s\"\n[[change]]\n{text}\n");
    let lines = |text: &str| text.lines().count();
    for (text, line, told) in [
        (SMALL.replacen("count = 2", "count = 0", 1), 10, "at least 1"),
        (SMALL.replacen("duration = \"1 s\"", "duration = \"1 ms\"", 1), 4, "between 0.1 s and 60 min"),
        (change("at = \"2 s\"\nrate = \"1 Mbit/s\""), lines(SMALL) + 4, "a [[change]] never comes"),
        (change("at = \"0.5 s\""), lines(SMALL) + 4, "needs one of"),
    ] {
        let error = Scenario::parse("small.toml", &text).unwrap_err().to_string();
        assert!(
            error.contains(told) && error.starts_with(&format!("small.toml, line {line}:")),
            "{text}{error}"
        );
    }
}

/// Changes are applied in the order of time, whatever their order in the file, and the capacity follows them.
#[test]
fn changes_are_applied_in_the_order_of_time() {
    let (early, late) = (
        "[[change]]\nat = \"300 ms\"\nrate = \"5 Mbit/s\"\n",
        "[[change]]\nat = \"600 ms\"\nrate = \"20 Mbit/s\"\n",
    );
    let figures = |changes: String| {
        run(&Scenario::parse("small", &format!("{SMALL}{changes}")).unwrap(), &trial(1)).unwrap().figures
    };
    assert_eq!(figures(format!("{early}{late}")), figures(format!("{late}{early}")));
}

/// Frames that never arrive count with their age at the end.
#[test]
fn frames_that_do_not_arrive_count_with_their_age_at_the_end() {
    let mut came = netsim::Histogram::default();
    (1..=60).for_each(|ms| came.record(ms * 1_000_000));
    let (second, none) = (1_000_000_000, netsim::Histogram::default());
    let ages = |came: &netsim::Histogram, made| super::figures::ages_at_the_end(came, made, second);
    assert_eq!(ages(&came, 60), came);
    assert_eq!((ages(&came, 70).count(), ages(&came, 70).max()), (70, 9_500_000_000));
    assert_eq!((ages(&none, 100).count(), ages(&none, 100).max()), (100, 99_500_000_000));
}

/// A scenario that is cut off before its last flow begins says how long it must be.
#[test]
fn a_scenario_is_not_cut_off_before_its_last_flow_begins() {
    let text = SMALL.replacen("duration = \"1 s\"", "duration = \"9 s\"", 1).replacen(
        "count = 2",
        "start = \"2.5 s\"",
        1,
    );
    let mut scenario = Scenario::parse("small", &text).unwrap();
    let error = scenario.shorten(2).unwrap_err().to_string();
    assert!(error.contains("at 2.5 s: run it for 3 s at least"), "{error}");
    scenario.shorten(3).unwrap();
    assert_eq!(scenario.duration.0, 3_000_000_000);
}

/// A target for the controller takes precedence over one for its mode.
#[test]
fn a_target_is_that_of_the_controller_or_of_its_mode() {
    for (targets, judged) in [
        ("[target.cubic]\nutilization = { min = 2 }", "MISSED"),
        ("[target.default]\nutilization = { min = 2 }", "MISSED"),
        ("[target.default]\nutilization = { min = 2 }\n[target.cubic]\nutilization = { min = 0 }", "met"),
        ("[target.newreno]\nutilization = { min = 2 }", ""),
    ] {
        let scenario = Scenario::parse("small", &format!("{SMALL}{targets}")).unwrap();
        let report = Report { command: String::new(), runs: vec![run(&scenario, &trial(1)).unwrap()] };
        let cell = report.rows(&[scenario])[1].last().cloned().unwrap();
        assert!(cell.starts_with(judged) && cell.is_empty() == judged.is_empty(), "{targets}: {cell}");
    }
}

#[test]
fn every_figure_of_a_run_can_be_aimed_at_and_read_again() {
    let more = "audio = { every = \"20 ms\", size = \"160 B\" }\n[[flow]]\nkind = \"transfer\"\nbytes = \"10 kB\"\n\
                [[flow]]\nkind = \"web\"\npage = \"2 kB\"\npause = \"10 ms\"\n[[flow]]\nkind = \"udp-media\"\nfps = 10";
    // A handshake may lose a packet.
    let transfer = SMALL.replacen("count = 2", more, 1).replacen("1 s", "4 s", 1);
    let runs = vec![run(&Scenario::parse("small", &transfer).unwrap(), &trial(1)).unwrap()];
    for figure in runs[0].figures.keys() {
        assert!(FIGURES.contains(&figure.as_str()), "{figure}");
    }
    assert_eq!(runs[0].figures.len(), FIGURES.len(), "{:?}", runs[0].figures);
    let text = serde_json::to_string(&Report { command: String::new(), runs }).unwrap();
    serde_json::from_str::<Report>(&text).unwrap();
}

/// A comparison names what only one report has and what has other seeds.
#[test]
fn a_comparison_says_what_it_leaves_out() {
    let scenario = Scenario::parse("small", SMALL).unwrap();
    let of = |id: &str, seed| {
        let figures = [("jain".to_owned(), 0.5)].into();
        Run { scenario: id.to_owned(), figures, ..run(&scenario, &trial(seed)).unwrap() }
    };
    let report = |runs: &[Run]| Report { command: String::new(), runs: runs.to_vec() };
    let (a, b) = (of("a", 1), of("b", 1));
    let same = report(std::slice::from_ref(&a));
    assert_eq!(same.compare(&same).as_deref(), Some("no figure differs\n"));
    assert_eq!(same.compare(&report(std::slice::from_ref(&b))), None);
    let told = report(&[a.clone(), b]).compare(&report(&[a, of("a", 2), of("c", 1)])).unwrap();
    for line in ["only before: b cubic", "only after: c cubic", "a cubic: other seeds, 1 before and 2 after"]
    {
        assert!(told.lines().any(|told| told == line), "{line}: {told}");
    }
}

/// One line before the figures says it for all scenarios.
#[test]
fn a_comparison_mentions_other_seeds_once_and_omits_slight_changes() {
    let scenario = Scenario::parse("small", SMALL).unwrap();
    let one = run(&scenario, &trial(1)).unwrap();
    let report = |seeds: u64, goodput: f64| {
        let of = |id: &str, seed| {
            let figures = [("goodput".to_owned(), goodput), ("queue_p50".to_owned(), 1_000.0)].into();
            Run { scenario: id.to_owned(), figures, seed, ..one.clone() }
        };
        Report {
            command: String::new(),
            runs: (0..seeds).flat_map(|seed| [of("a", seed), of("b", seed)]).collect(),
        }
    };
    let told = report(1, 78_415_000.0).compare(&report(3, 78_385_000.0)).unwrap();
    assert_eq!(
        told, "everything: other seeds, 1 before and 3 after\n\nno figure differs by 0.05 % or more\n",
        "78.42 M and 78.39 M are written otherwise"
    );
    let mut other = report(1, 78_385_000.0);
    other.runs[0].figures.insert("queue_p50".to_owned(), 2_000.0);
    let told = report(1, 78_415_000.0).compare(&other).unwrap();
    assert!(
        told.contains("+100.0 %") && told.ends_with("left out: 2 that differ by less than 0.05 %\n"),
        "{told}"
    );
    assert!(!told.contains("0.0 % |\n| b") && !told.contains("goodput") && !told.contains("seeds"), "{told}");
}

/// The utilization of a link with a changed rate is what left it divided by what could have, in virtual and
/// in real time.
#[test]
fn utilization_follows_the_changes_of_the_rate() {
    let change = "[[change]]\nat = \"250 ms\"\nrate = \"2 Mbit/s\"\n";
    let scenario = Scenario::parse("small", &format!("{SMALL}{change}")).unwrap();
    // A quarter of a second at 10 Mbit/s, three at 2.
    let mut link = netsim::LinkStats::default();
    link.delivered_bytes = 500_000;
    for (nanos, used) in [(1_000_000_000, 1.0), (250_000_000, 1.6), (3_250_000_000, 500_000.0 / 1_062_500.0)]
    {
        let figures = of_link(&scenario, None, nanos, &link, &netsim::Histogram::default());
        assert!((figures["utilization"] - used).abs() < 1e-9, "{nanos}: {figures:?}");
    }
}

/// Without a greedy flow under test there is no share, rather than a share of zero.
#[test]
fn there_is_no_share_where_no_greedy_flow_is_under_test() {
    assert_eq!(of_shares(&[(3.0, false), (1.0, false)]).get("share"), None);
    assert_eq!(of_shares(&[(3.0, false), (1.0, true)])["share"], 0.25);
    assert_eq!(of_shares(&[(3.0, false), (0.0, true)])["share"], 0.0);
    assert!(of_shares(&[(3.0, true)]).is_empty() && of_shares(&[(0.0, true), (0.0, false)]).is_empty());
    // Only models are greedy here.
    let models = SMALL.replacen("kind = \"bulk\"", "kind = \"tcp-cubic\"", 1);
    let models = models.replacen("media-and-bulk", "udp-media", 1);
    let figures = run(&Scenario::parse("small", &models).unwrap(), &trial(1)).unwrap().figures;
    assert!(figures.contains_key("jain") && !figures.contains_key("share"), "{figures:?}");
}

/// Reading `/dev/zero` to its end would take all memory.
#[test]
fn a_file_that_is_no_scenario_is_not_read_to_its_end() {
    let directory = std::env::temp_dir().join(format!("cc-lab-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("long.toml");
    std::fs::write(&file, " ".repeat(1 << 20) + SMALL).unwrap();
    let error = Scenario::read(&file).unwrap_err().to_string();
    assert!(error.contains("no scenario is longer than 1 MiB"), "{error}");
    std::fs::write(&file, " ".repeat((1 << 20) - SMALL.len()) + SMALL).unwrap();
    Scenario::read(&file).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
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
    // The duration: the handshake, the bytes at the link's rate, and the propagation delay.
    assert!((110.0..400.0).contains(&completion), "{completion} ms");
    assert_eq!((result.figures["unfinished"], result.flows[0].bytes), (0.0, 100_009));
}

/// The `memory` of a flow bounds what is in flight, at both ends.
#[test]
fn a_flow_has_the_memory_that_it_is_given() {
    let goodput = |memory: &str| {
        let text = SMALL.replacen("count = 2", memory, 1).replacen("\"20 ms\"", "\"200 ms\"", 1);
        let text = text.replacen("\"1 s\"", "\"5 s\"", 1).replacen("loss = \"1 %\"", "", 1);
        let text = text.split("[[flow]]\nkind = \"media").next().unwrap_or_default();
        run(&Scenario::parse("small", text).unwrap(), &trial(1)).unwrap().figures["goodput"]
    };
    // 64 KiB in 200 ms are 2.6 of 10 Mbit/s.
    let (narrow, usual) = (goodput("memory = \"64 KiB\""), goodput(""));
    assert!((1.5e6..2.7e6).contains(&narrow) && usual > 5e6, "{narrow} {usual}");
}

/// A scenario of at most 20 seconds.
fn short(all: &[Scenario], id: &str) -> Scenario {
    let mut scenario = all.iter().find(|scenario| scenario.id.as_str() == id).unwrap().clone();
    scenario.duration.0 = scenario.duration.0.min(20_000_000_000);
    scenario
}

/// Expected ranges of figures of a shortened scenario with a seed.
fn stand(name: &str, controller: &Algorithm, seeds: u64, bounds: &[(&str, &str, f64, f64)]) {
    let all = built_in().unwrap();
    for (id, figure, least, most) in bounds {
        let scenario = short(&all, id);
        for seed in 1..=seeds {
            let value = run(&scenario, &Trial { name, controller, ..trial(seed) }).unwrap().figures[*figure];
            assert!((*least..=*most).contains(&value), "{name}, {id}, seed {seed}: {figure} is {value}");
        }
    }
}

#[test]
fn figures_of_cubic_are_where_they_should_be() {
    stand(
        "cubic",
        &Algorithm::Cubic,
        2,
        &[
            ("B1", "utilization", 0.97, 1.0),
            ("B1", "dropped", 0.0, 0.01),
            ("B6a", "utilization", 0.85, 1.0),
            // In 20 seconds; 0.889 is the least of 300 seeds.
            ("B7a", "jain", 0.85, 1.0),
            ("B8c", "share", 0.3, 0.7),
            ("B9a", "completion", 120.0, 200.0),
            ("B12b", "frame_p99", 30.0, 160.0),
            ("B13c", "utilization", 0.9, 1.0),
        ],
    );
}

/// The purpose of `throughput`: the link is used, random losses are no congestion, and queues are mostly
/// short.
#[test]
fn figures_of_bbr3_are_where_they_should_be() {
    stand(
        "bbr3",
        &Algorithm::Bbr3,
        1,
        &[
            ("B1", "utilization", 0.93, 1.0),
            ("B1", "queue_p50", 0.0, 5.0),
            ("B1", "dropped", 0.0, 0.005),
            ("B3b", "utilization", 0.9, 1.0),
            ("B7a", "jain", 0.9, 1.0),
            ("B12b", "frame_p50", 20.0, 40.0),
            ("B12b", "frame_p99", 40.0, 100.0),
            ("B13g", "utilization", 0.85, 1.0),
        ],
    );
}

/// The purpose of `low-latency`: frames next to bulk in one connection, short queues, no starvation.
#[test]
fn figures_of_low_latency_are_where_they_should_be() {
    stand(
        "low-latency",
        &Algorithm::LowLatency,
        1,
        &[
            ("B1", "utilization", 0.95, 1.0),
            ("B1", "queue_p50", 0.0, 3.0),
            ("B3b", "utilization", 0.9, 1.0),
            ("B6a", "utilization", 0.95, 1.0),
            ("B7a", "jain", 0.95, 1.0),
            ("B8a", "share", 0.15, 0.7),
            ("B10a", "completion", 2_000.0, 10_000.0),
            ("B11a", "utilization", 0.92, 1.0),
            ("B11a", "queue_p99", 0.0, 2.0),
            ("B12a", "frame_p99", 40.0, 54.0),
            ("B12b", "frame_p50", 20.0, 28.0),
            ("B12b", "frame_p99", 40.0, 62.0),
            ("B12d", "datagram_p99", 20.0, 60.0),
            ("B12g", "frame_p50", 20.0, 160.0),
        ],
    );
    // Jitter is no queue: 0.14 to 0.19 of the link were used when it was taken for one.
    let jittered = [("B10f", "utilization", 0.5, 1.0), ("B10f", "queue_p95", 0.0, 15.0)];
    stand("low-latency", &Algorithm::LowLatency, 3, &jittered);
}

/// Models share the link with connections, and have their own figures.
#[test]
fn modelled_flows_take_part_and_are_measured() {
    let text = SMALL.replacen("1 s", "20 s", 1).replacen("loss = \"1 %\"", "", 1).replacen(
        "count = 2",
        "[[flow]]\nkind = \"tcp-cubic\"\n[[flow]]\nkind = \"tcp-reno\"\n[[flow]]\nkind = \"web\"\npage = \"50 kB\"\n\
         [[flow]]\nkind = \"udp-media\"",
        1,
    );
    let scenario = Scenario::parse("small", &text).unwrap();
    let result = run(&scenario, &trial(1)).unwrap();
    let names: Vec<&str> = result.flows.iter().map(|flow| flow.name.as_str()).collect();
    assert_eq!(names, ["bulk cubic", "tcp-cubic", "tcp-reno", "web", "udp-media", "media-and-bulk cubic"]);
    for flow in &result.flows {
        assert!(flow.bytes > 500_000, "{}: {}", flow.name, flow.bytes);
    }
    // 1.2 Mbit/s at most: a key frame each second is more than the buffer takes, and nothing is sent again.
    assert!((1_500_000..2_950_000).contains(&result.flows[4].bytes), "{}", result.flows[4].bytes);
    let figures = &result.figures;
    assert!((0.3..0.7).contains(&figures["share"]), "two of four: {figures:?}");
    assert!(figures["page_p50"] > 40.0 && figures["call_p99"] >= figures["call_p50"], "{figures:?}");
    assert!(figures["call_p50"] > 10.0 && figures["utilization"] > 0.95, "{figures:?}");
    assert_eq!(run(&scenario, &trial(1)).unwrap().digest, result.digest);
    assert_ne!(run(&scenario, &trial(2)).unwrap().digest, result.digest);
}

/// Datagrams are sent before frames and bulk, and those that waited too long are not sent.
#[test]
fn datagrams_beside_bulk_are_young_and_those_that_waited_too_long_are_dropped() {
    let with = |audio: &str, changes: &str| {
        let text = format!(
            r#"
id = "voice"
title = "Voice, frames and bulk"
duration = "10 s"
[link]
rate = "10 Mbit/s"
rtt = "20 ms"
buffer = "1 BDP"
[[flow]]
kind = "media-and-bulk"
audio = {{ every = "20 ms", size = "160 B"{audio} }}
{changes}"#
        );
        run(&Scenario::parse("voice", &text).unwrap(), &trial(1)).unwrap().figures
    };
    let figures = with("", "");
    assert!((10.0..60.0).contains(&figures["datagram_p50"]), "{figures:?}");
    assert!(figures["datagram_p99"] < 100.0 && figures["expired"] == 0.0, "{figures:?}");
    assert!(figures["datagrams_missing"] < 0.02, "{figures:?}");
    // The link is almost stopped: nothing leaves, and datagrams expire.
    let silence =
        "[[change]]\nat = \"4 s\"\nrate = \"1 kbit/s\"\n[[change]]\nat = \"6 s\"\nrate = \"10 Mbit/s\"";
    let figures = with(", max-age = \"100 ms\"", silence);
    assert!(figures["expired"] > 0.05, "{figures:?}");
    assert_eq!(with("", silence)["expired"], 0.0);
}

/// Expected ranges of figures of experimental controllers.
#[test]
fn figures_of_controllers_for_experiments_are_where_they_should_be() {
    let all = built_in().unwrap();
    for (id, name, figure, least, most) in [
        ("B1", "copa", "utilization", 0.95, 1.0),
        ("B1", "copa", "queue_p50", 0.0, 4.0),
        ("B6b", "copa", "dropped", 0.0, 0.12),
        ("B11a", "prague", "utilization", 0.92, 1.0),
        ("B11a", "prague", "queue_p99", 0.0, 2.0),
        ("B1", "c4", "queue_p99", 0.0, 8.0),
        ("B12b", "c4", "frame_p99", 40.0, 75.0),
        ("B9a", "cubic+rapid-start", "completion", 110.0, 150.0),
        ("B9a", "newreno+rapid-start", "completion", 110.0, 150.0),
        ("B9b", "cubic+careful-resume=250kB/40ms", "completion", 250.0, 365.0),
        ("B1", "fixed-rate=10mbit", "goodput", 9.3e6, 1e7),
        ("B1", "fixed-window=50kB", "goodput", 8e6, 1e7),
    ] {
        let controller = name.parse().unwrap();
        let trial = Trial { name, controller: &controller, ..trial(1) };
        let value = run(&short(&all, id), &trial).unwrap().figures[figure];
        assert!((least..=most).contains(&value), "{id} {name}, seed 1: {figure} is {value}");
    }
}

/// On a short or slow path, a bandwidth-delay product is less than a packet. A buffer without room for one
/// drops the second of any two packets, which says nothing about a controller.
#[test]
fn every_buffer_has_room_for_a_packet() {
    for buffer in ["1 BDP", "100 B", "1 us"] {
        let text = format!(
            r#"
            id = "short"
            title = "A short path"
            duration = "2 s"
            link = {{ rate = "5 Mbit/s", rtt = "100 us", buffer = "{buffer}" }}
            flow = [{{ kind = "bulk" }}]
            "#
        );
        let scenario = Scenario::parse("short", &text).unwrap();
        assert_eq!(scenario.there(None).queue, 1_500, "{buffer}");
        let figures = run(&scenario, &trial(1)).unwrap().figures;
        assert!(figures["utilization"] > 0.9, "{buffer}: {figures:?}");
    }
}
