//! Tests of which side holds the connection's credit: the application or its peer.

use super::*;
use crate::event::StreamTag;

const WINDOW: u64 = 100_000;

/// A server whose window does not grow and whose streams all wait for nothing.
fn server() -> End {
    End::ready(StreamsConfig {
        connection_receive_window: WINDOW,
        connection_receive_window_max: WINDOW,
        stream_receive_window: WINDOW,
        stream_receive_window_max: WINDOW,
        ..StreamsConfig::new(Side::Server)
    })
}

fn uni(index: u64) -> StreamId {
    StreamId::new(Side::Client, Dir::Uni, index)
}

/// A server that received `of_application` bytes on a stream of the application, and the rest of the window
/// on another one.
fn shared(of_application: usize) -> End {
    let mut server = server();
    server.stream(uni(0), 0, &vec![7; of_application], false).expect("within the window");
    server.stream(uni(1), 0, &vec![7; WINDOW as usize - of_application], false).expect("within the window");
    assert!(server.streams.hand_over(uni(0)));
    server
}

fn hold(server: &mut End, stream_bytes: usize) {
    server.streams.set_held_above(&HeldAbove { stream_bytes, ..HeldAbove::default() });
}

#[test]
fn credit_is_withheld_by_what_the_application_leaves_unread_alone() {
    // An update is due at a quarter of the window. If a quarter is free except for what the application
    // leaves unread, the peer is responsible.
    for (of_application, withheld) in [
        (0, false),
        (1_000, false),
        (74_999, false),
        (75_000, false),
        (75_001, true),
        (99_000, true),
        (100_000, true),
    ] {
        let server = shared(of_application);
        assert_eq!(server.streams.withholds_credit(), withheld, "{of_application}");
    }
}

#[test]
fn unread_data_counts_here_and_above_together() {
    let mut server = shared(80_000);
    // Half of the data moves up, and is the application's as before.
    assert!(matches!(server.read(uni(0), 40_000), Ok(Read::Data(_))));
    hold(&mut server, 40_000);
    assert!(server.streams.withholds_credit());
    // Data that the application takes, there or here, no longer counts.
    hold(&mut server, 34_000);
    assert!(!server.streams.withholds_credit());
    hold(&mut server, 40_000);
    assert!(server.streams.withholds_credit());
    assert!(matches!(server.read(uni(0), 6_000), Ok(Read::Data(_))));
    assert!(!server.streams.withholds_credit());
}

#[test]
fn nothing_is_withheld_while_there_is_credit() {
    let mut server = server();
    server.stream(uni(0), 0, &[7; 99_999], false).expect("within the window");
    assert!(server.streams.hand_over(uni(0)));
    assert!(!server.streams.withholds_credit(), "a byte is left");
    server.stream(uni(0), 99_999, &[7], false).expect("the last one");
    assert!(server.streams.withholds_credit());
    // The amount held exceeds the window, which is possible above.
    hold(&mut server, usize::MAX);
    assert!(server.streams.withholds_credit());
}

#[test]
fn data_behind_a_gap_is_not_withheld_by_the_application() {
    let mut server = server();
    server.stream(uni(0), 1, &[7; 99_999], false).expect("within the window");
    assert!(server.streams.set_tag(uni(0), StreamTag(7)) && server.streams.hand_over(uni(0)));
    assert!(!server.streams.withholds_credit(), "nobody can read it");
    server.stream(uni(0), 0, &[7], false).expect("the hole is filled");
    assert!(server.streams.withholds_credit());
}

#[test]
fn data_given_up_is_not_withheld() {
    let mut stopped = shared(100_000);
    let End { streams, budget, .. } = &mut stopped;
    streams.stop_sending(uni(0), 1, budget).expect("it is there");
    assert!(!stopped.streams.withholds_credit());
    // The reset says how much is to be read; nobody reads the rest.
    let mut reset = shared(100_000);
    assert!(reset.streams.set_tag(uni(0), StreamTag(7)));
    reset.reset(uni(0), 1, 100_000, 80_000).expect("valid");
    assert!(reset.streams.withholds_credit());
    reset.reset(uni(0), 1, 100_000, 70_000).expect("valid");
    assert!(!reset.streams.withholds_credit());
    reset.reset(uni(0), 1, 100_000, 0).expect("valid");
    assert!(!reset.streams.withholds_credit());
    assert!(!reset.streams.hand_over(StreamId::new(Side::Server, Dir::Uni, 0)), "there is no such stream");
}
