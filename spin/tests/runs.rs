//! Runs some seeds, and compares the list of calls with the source.

use std::path::Path;

use spin::{CALLS, Calls, NOT_CALLED, virtual_run};
use wt_api::testing::for_seeds;

#[global_allocator]
static HEAP: heap_meter::HeapMeter = heap_meter::HeapMeter;

/// This is enough for every function to be called.
const SEEDS: u64 = 80;

#[test]
fn some_seeds_call_everything_and_everything_settles() {
    let mut calls = Calls::new();
    let mut runs = 0;
    for_seeds(0..SEEDS, |seed| {
        runs += 1;
        for (name, count) in virtual_run(seed).unwrap_or_else(|failure| panic!("{failure}")) {
            *calls.entry(name).or_default() += count;
        }
    });
    let unknown: Vec<_> = calls.keys().filter(|name| !CALLS.contains(name)).collect();
    assert!(unknown.is_empty(), "not on the list: {unknown:?}");
    if runs == SEEDS {
        let never: Vec<_> = CALLS.iter().filter(|name| !calls.contains_key(*name)).collect();
        assert!(never.is_empty(), "never called: {never:?}");
    }
}

/// The files of `wt-api` whose public functions an application can name.
const FILES: &[&str] = &[
    "session",
    "connection",
    "datagrams",
    "options",
    "streams/bidirectional",
    "streams/options",
    "streams/incoming",
    "streams/group",
    "streams/recv",
    "streams/send",
    "client/handle",
    "client/builder",
    "server/handle",
    "server/request",
    "server/builder",
    "server/build",
    "reception/stats",
    "reception/admission",
    "server/metrics",
    "exchange/body",
    "exchange/incoming",
    "exchange/interim",
    "http3",
    "runtime/mod",
    "stats",
    "error/mod",
    "error/connecting",
    "error/server",
    "exchange_error",
    "error/identity",
    "close",
    "origin",
    "tls/identity",
    "tls/renewal",
    "tls/certificate",
    "tls/judge",
];

#[test]
fn the_list_names_every_public_function() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wt-api/src");
    let mut missing = Vec::new();
    for file in FILES {
        let text = std::fs::read_to_string(source.join(file).with_extension("rs")).unwrap();
        for name in functions(file, &text) {
            if !CALLS.contains(&name.as_str()) && !NOT_CALLED.contains(&name.as_str()) {
                missing.push(name);
            }
        }
    }
    assert!(missing.is_empty(), "spin does not call {missing:?}: call them, and name them in CALLS");
}

/// The names of functions: `Type::function` for those of a type, and the path as users write it for others.
fn functions(file: &str, text: &str) -> Vec<String> {
    let (mut found, mut of) = (Vec::new(), None);
    for line in text.lines() {
        if let Some(rest) = line.trim().strip_prefix("impl ") {
            let name = rest.rsplit(" for ").next().unwrap_or(rest);
            of = name.split([' ', '<']).next().map(str::to_owned);
        } else if line == "}" {
            of = None;
        }
        let words =
            line.trim().strip_prefix("pub ").map(|line| line.replace("const ", "").replace("async ", ""));
        let Some(name) = words.as_deref().and_then(|line| line.strip_prefix("fn ")) else { continue };
        let name = name.split(['(', '<']).next().unwrap_or_default();
        match of.as_deref() {
            Some("$name") => {
                found.push(format!("IncomingBidirectionalStreams::{name}"));
                found.push(format!("IncomingUnidirectionalStreams::{name}"));
            }
            Some(of) => found.push(format!("{of}::{name}")),
            None if file == "http3" => found.push(format!("http3::{name}")),
            None => found.push(name.to_owned()),
        }
    }
    found
}
