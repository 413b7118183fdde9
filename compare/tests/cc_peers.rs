//! Other libraries on simulated links: the meaning of a seed, and their figures.

use std::path::Path;

use benches::lab::{catalog::select, node::Stack, run::run_on, scenario::Scenario};
use compare::lab::{
    noq::{self, Noq},
    quinn::{self, Quinn},
    refusal,
};

/// A transfer and bulk, for three seconds.
fn small() -> Scenario {
    let text = r#"
id = "small"
title = "A transfer beside bulk"
duration = "3 s"
[link]
rate = "10 Mbit/s"
rtt = "20 ms"
buffer = "1 BDP"
[[flow]]
kind = "bulk"
[[flow]]
kind = "transfer"
bytes = "200 kB"
start = "1 s"
"#;
    Scenario::parse("small", text).expect("a scenario")
}

/// Their BBR controllers draw random numbers that no seed decides.
#[test]
fn one_seed_one_run() {
    let stacks: [Box<dyn Stack>; 4] = [
        Box::new(Quinn::new(quinn::Controller::Cubic)),
        Box::new(Quinn::new(quinn::Controller::NewReno)),
        Box::new(Noq::new(noq::Controller::Cubic)),
        Box::new(Noq::new(noq::Controller::NewReno)),
    ];
    for stack in stacks {
        let [one, same, other] =
            [1, 1, 2].map(|seed| run_on(&small(), &*stack, seed, Path::new(".")).expect("it runs"));
        assert_eq!((one.digest, &one.figures), (same.digest, &same.figures), "{}", stack.name());
        assert_ne!(one.digest, other.digest, "{}", stack.name());
        let figures = &one.figures;
        assert!(figures["utilization"] > 0.7 && figures["broken"] == 0.0, "{}: {figures:?}", stack.name());
        // 200 kB with a stream's header, over a shared link.
        assert_eq!((one.flows[1].bytes, figures["unfinished"]), (200_008, 0.0), "{}", stack.name());
        assert!((160.0..2_000.0).contains(&figures["completion"]), "{}: {figures:?}", stack.name());
        assert_eq!(one.controller, stack.name());
    }
}

#[test]
fn every_controller_carries_bytes() {
    for stack in compare::lab::all() {
        let run = run_on(&small(), &*stack, 1, Path::new(".")).expect("it runs");
        assert!(run.flows[0].bytes > 1_000_000, "{}: {}", stack.name(), run.flows[0].bytes);
        assert!(run.flows[0].name.ends_with(stack.name()), "{}", run.flows[0].name);
    }
}

#[test]
fn scenarios_with_frames_or_datagrams_are_refused() {
    let names = ["B1", "B8", "B12b"].map(str::to_owned);
    let refused: Vec<String> = select(&names).expect("they are there").iter().filter_map(refusal).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].starts_with("B12b: "), "{refused:?}");
}
