//! The rules of session flow control: when it is in force, which capsules are valid, what breaks it. Rows W10
//! to W14.

use super::*;
use crate::{FlowViolation, Limited, SessionError};

const MAX_DATA: u64 = 0x190b_4d3d;
const MAX_STREAMS: [u64; 2] = [0x190b_4d3f, 0x190b_4d40];
const DATA_BLOCKED: u64 = 0x190b_4d41;
const STREAMS_BLOCKED: [u64; 2] = [0x190b_4d43, 0x190b_4d44];
const FLOW_ERROR: u64 = crate::codes::WT_FLOW_CONTROL_ERROR;
const DIRS: [Dir; 2] = [Dir::Bidi, Dir::Uni];
/// The dialects with session flow control.
const LIMITED: [Dialect; 3] = [Dialect::Draft16, Dialect::Draft14, Dialect::Draft07];

/// One dialect, limits of 100 bytes and 2 streams of each kind.
fn small(dialect: Dialect) -> Config {
    let flow = FlowControl {
        max_data: 100,
        max_data_ceiling: 100,
        max_data_together: 10_000,
        max_streams_bidi: 2,
        max_streams_uni: 2,
    };
    Config { flow_control: Some(flow), ..config_of(dialect) }
}

/// An established session with these limits; the peer announces the same.
fn limited(side: Side, dialect: Dialect) -> Rig {
    let config = small(dialect);
    let mut rig = Rig::new(side, &config, Sessions::settings(&config));
    match side {
        Side::Client => rig.connect(),
        Side::Server => drop(rig.ask(dialect.token())),
    }
    rig.establish();
    rig.node.events.clear();
    assert!(rig.node.sessions.flow_control());
    rig
}

fn varint_capsule(kind: u64, value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint::put(&mut bytes, value);
    capsule(kind, &bytes)
}

/// Asserts that the session ended with this error, its CONNECT stream was reset and stopped, and the
/// connection is alive.
#[track_caller]
fn assert_broken(rig: &mut Rig, expected: FlowViolation) {
    assert_eq!(rig.node.closed(), Some(&Err(SessionError::FlowControl(expected))));
    rig.assert_reset(id(0).0, FLOW_ERROR);
    assert!(!rig.node.sessions.is_open(id(0)));
}

/// Whether this end asks for flow control, what the peer announces, and the result for each dialect.
type Case<'a> = (bool, &'a dyn Fn(&mut Settings), [bool; 4]);

#[test]
fn each_dialect_has_its_own_rule_for_when_there_is_flow_control() {
    let plain = |sessions| {
        move |settings: &mut Settings| {
            (settings.wt_max_sessions_draft07, settings.wt_max_sessions_draft13) = (sessions, sessions);
        }
    };
    let initial = |settings: &mut Settings| settings.wt_initial_max_streams_uni = 1;
    for side in BOTH {
        for dialect in DIALECTS {
            // The announcements of this end and of the peer, and the results for drafts 16, 14, 07, 02.
            let cases: [Case<'_>; 4] = [
                (true, &initial, [true, true, true, false]),
                (true, &plain(2), [false, true, false, false]),
                (true, &plain(1), [false; 4]),
                (false, &initial, [false; 4]),
            ];
            for (at, (ours, theirs, expected)) in cases.into_iter().enumerate() {
                let config = if ours { small(dialect) } else { config_of(dialect) };
                let mut settings = settings_of(dialect);
                let before = (settings.wt_max_sessions_draft07, settings.wt_max_sessions_draft13);
                theirs(&mut settings);
                settings.wt_max_sessions_draft07 *= before.0;
                settings.wt_max_sessions_draft13 *= before.1;
                let rig = Rig::new(side, &config, settings);
                let place = DIALECTS.iter().position(|other| *other == dialect).unwrap();
                assert_eq!(rig.node.sessions.flow_control(), expected[place], "{side:?} {dialect} {at}");
            }
        }
    }
}

#[test]
fn settings_announce_sessions_and_limits() {
    let settings = Sessions::settings(&Config::default());
    assert_eq!((settings.wt_max_sessions_draft07, settings.wt_max_sessions_draft13), (1, 1));
    assert_eq!((settings.wt_initial_max_data, settings.wt_initial_max_streams_bidi), (0, 0));
    let none = FlowControl { max_data: 0, max_streams_bidi: 0, max_streams_uni: 0, ..FlowControl::default() };
    let several = Config { max_sessions: 7, flow_control: Some(none), ..Config::default() };
    let settings = Sessions::settings(&several);
    assert_eq!((settings.wt_max_sessions_draft07, settings.wt_max_sessions_draft13), (7, 7));
    assert_eq!((settings.wt_enabled, settings.wt_enabled_draft02), (1, 1));
    // A zero would announce nothing.
    assert_eq!((settings.wt_initial_max_data, settings.wt_initial_max_streams_bidi), (1, 1));
    assert_eq!(settings.wt_initial_max_streams_uni, 1);
    let defaults = Sessions::settings(&Config { max_sessions: 2, ..Config::default() });
    assert_eq!((defaults.wt_initial_max_data, defaults.wt_initial_max_streams_uni), (512 << 10, 256));
}

#[test]
fn w10_huge_capsules_of_flow_control() {
    for kind in
        [MAX_DATA, MAX_STREAMS[0], MAX_STREAMS[1], DATA_BLOCKED, STREAMS_BLOCKED[0], STREAMS_BLOCKED[1]]
    {
        for side in BOTH {
            let mut rig = limited(side, Dialect::Draft16);
            let mut bytes = Vec::new();
            varint::put(&mut bytes, kind);
            varint::put(&mut bytes, 1 << 32);
            bytes.extend([0; 10]);
            rig.send(&bytes);
            rig.run();
            assert!(matches!(rig.node.closed(), Some(Err(SessionError::Capsule(_)))));
            rig.assert_reset(id(0).0, MESSAGE_ERROR);
        }
        // The value is not one varint.
        for value in [&[][..], &[0x40], &[1, 2]] {
            let mut rig = limited(Side::Server, Dialect::Draft16);
            rig.send(&capsule(kind, value));
            rig.run();
            assert_eq!(rig.node.closed(), Some(&Err(SessionError::FlowCapsule(kind))));
            rig.assert_reset(id(0).0, MESSAGE_ERROR);
        }
    }
}

#[test]
fn w11_more_streams_than_can_exist() {
    for side in BOTH {
        for dialect in LIMITED {
            for dir in DIRS {
                for kind in [MAX_STREAMS[dir as usize], STREAMS_BLOCKED[dir as usize]] {
                    let mut rig = limited(side, dialect);
                    rig.send(&varint_capsule(kind, 1 << 60));
                    rig.run();
                    assert!(rig.node.sessions.is_open(id(0)));
                    let value = (1 << 60) + 1;
                    rig.send(&varint_capsule(kind, value));
                    rig.run();
                    assert_broken(&mut rig, FlowViolation::TooMany { what: Limited::Streams(dir), value });
                }
            }
        }
    }
}

#[test]
fn w12_limits_that_do_not_rise() {
    let kinds = [
        (MAX_DATA, Limited::Data, 100),
        (MAX_STREAMS[0], Limited::Streams(Dir::Bidi), 2),
        (MAX_STREAMS[1], Limited::Streams(Dir::Uni), 2),
    ];
    for side in BOTH {
        for (kind, what, initial) in kinds {
            // The dialect, a second value after 200, and whether that is an error.
            for (dialect, second, broken) in [
                (Dialect::Draft16, 201, false),
                (Dialect::Draft16, 200, true),
                (Dialect::Draft16, 199, true),
                (Dialect::Draft14, 200, false),
                (Dialect::Draft14, 199, true),
                (Dialect::Draft07, 199, false),
            ] {
                let mut rig = limited(side, dialect);
                // A capsule may repeat the limit of SETTINGS.
                rig.send(&[varint_capsule(kind, initial), varint_capsule(kind, 200)].concat());
                rig.run();
                assert!(rig.node.sessions.is_open(id(0)));
                rig.send(&varint_capsule(kind, second));
                rig.run();
                if broken {
                    assert_broken(&mut rig, FlowViolation::NotRaised { what, before: 200, now: second });
                } else {
                    assert!(rig.node.sessions.is_open(id(0)), "{dialect} {second}");
                    rig.alive();
                }
            }
        }
    }
}

#[test]
fn w13_prohibited_capsules_with_flow_control_too() {
    for side in BOTH {
        for dialect in LIMITED {
            for kind in [0x190b_4d3e, 0x190b_4d42] {
                let mut rig = limited(side, dialect);
                rig.send(&varint_capsule(kind, 4));
                rig.run();
                assert_eq!(rig.node.closed(), Some(&Err(SessionError::ProhibitedCapsule(kind))));
                rig.assert_reset(id(0).0, MESSAGE_ERROR);
            }
        }
    }
}

#[test]
fn w14_flow_control_of_one_side_alone_has_no_effect() {
    for side in BOTH {
        for dialect in DIALECTS {
            let config = small(dialect);
            let mut rig = Rig::new(side, &config, settings_of(dialect));
            match side {
                Side::Client => rig.connect(),
                Side::Server => drop(rig.ask(dialect.token())),
            }
            rig.establish();
            rig.node.events.clear();
            rig.send(&[varint_capsule(MAX_DATA, 5), varint_capsule(MAX_DATA, 1)].concat());
            rig.send(&varint_capsule(MAX_STREAMS[0], (1 << 60) + 1));
            // No limit applies to either end.
            let streams = [0; 3].map(|_| rig.push_stream(Dir::Uni, id(0), &[1; 80]));
            rig.run();
            let end = rig.pair.ends(side).0;
            for stream in streams {
                assert_eq!(rig.node.read_all(stream, end).0.len(), 80);
                let own = rig.node.sessions.open(id(0), Dir::Uni, end).unwrap().unwrap();
                assert_eq!(rig.node.sessions.write(own, &mut Bytes::from(vec![2; 80]), end), Ok(80));
            }
            rig.run();
            assert!(rig.node.sessions.is_open(id(0)));
            assert_eq!(rig.node.sessions.dirty, []);
        }
    }
}

#[test]
fn more_streams_than_granted_end_the_session() {
    for side in BOTH {
        for dialect in LIMITED {
            for dir in DIRS {
                let mut rig = limited(side, dialect);
                let streams = [0; 3].map(|_| rig.push_stream(dir, id(0), b"x"));
                rig.run();
                let what = Limited::Streams(dir);
                assert_broken(&mut rig, FlowViolation::Exceeded { what, limit: 2 });
                assert_eq!(rig.node.opened(), streams[..2]);
                for stream in streams {
                    assert_eq!(rig.peer_end().stop_received(stream), Some(GONE));
                }
                assert_eq!(rig.node.sessions.open_streams(), 0);
                let text = rig.node.closed().unwrap().as_ref().unwrap_err().to_string();
                assert!(text.contains("2 ") && text.contains("streams"), "{text}");
            }
        }
    }
}

#[test]
fn more_data_than_granted_ends_the_session() {
    for side in BOTH {
        for dialect in LIMITED {
            // Prefaces do not count, however long the peer encodes them.
            let mut rig = limited(side, dialect);
            let end = rig.peer_end();
            let long = end.open(Dir::Uni).unwrap();
            // The type takes 8 bytes, the session ID 4.
            end.push(long, &[0xc0, 0, 0, 0, 0, 0, 0, 0x54, 0x80, 0, 0, 0]);
            end.push(long, &[1; 60]);
            let other = rig.push_stream(Dir::Bidi, id(0), &[2; 40]);
            rig.run();
            assert!(rig.node.sessions.is_open(id(0)));
            rig.peer_end().push(other, &[3]);
            rig.run();
            let end = rig.pair.ends(side).0;
            let (data, last) = rig.node.read_all(other, end);
            assert_eq!((data.len(), last), (0, Err(StreamError::SessionGone)));
            rig.run();
            assert_broken(&mut rig, FlowViolation::Exceeded { what: Limited::Data, limit: 100 });
        }
    }
}

#[test]
fn the_final_size_of_a_reset_stream_counts() {
    for side in BOTH {
        let mut rig = limited(side, Dialect::Draft16);
        let stream = rig.push_stream(Dir::Uni, id(0), &[1; 90]);
        rig.peer_end().reset(stream, 7, 3).unwrap();
        rig.run();
        // Unsent bytes do not count: there is room for all of the rest.
        let kept = rig.pair.ends(side).0.received_end(stream).unwrap();
        assert_eq!(kept, 3);
        let other = rig.push_stream(Dir::Uni, id(0), &[1; 100]);
        rig.run();
        assert!(rig.node.sessions.is_open(id(0)));
        let end = rig.pair.ends(side).0;
        assert_eq!(rig.node.read_all(stream, end).1, Err(StreamError::Reset(None)));
        assert_eq!(rig.node.read_all(other, end).0.len(), 100);
    }
}

/// The peer gives no credit for capsules: however often limits change, only the newest of each will be sent.
#[test]
fn capsules_that_cannot_be_sent_do_not_pile_up() {
    for side in BOTH {
        let flow = FlowControl { max_streams_uni: 10_000, ..FlowControl::default() };
        let config = Config { flow_control: Some(flow), ..config_of(Dialect::Draft16) };
        let mut rig = Rig::new(side, &config, Sessions::settings(&config));
        match side {
            Side::Client => rig.connect(),
            Side::Server => drop(rig.ask(Dialect::Draft16.token())),
        }
        rig.establish();
        let end = rig.pair.ends(side).0;
        (end.window, end.grants) = (0, [2_000; 2]);
        rig.run();
        for _ in 0..400 {
            let stream = rig.push_stream(Dir::Uni, id(0), &[7; 1_000]);
            rig.peer_end().finish(stream).unwrap();
            rig.run();
            let end = rig.pair.ends(side).0;
            assert_eq!(rig.node.read_all(stream, end).0.len(), 1_000);
            let Node { sessions, h3, .. } = &mut rig.node;
            sessions.drain(id(0), h3, rig.pair.ends(side).0).unwrap();
            rig.run();
            let out = rig.node.sessions.sessions[&id(0)].out.len();
            assert!(out <= 2, "{out} capsules wait");
        }
        assert!(rig.node.sessions.is_open(id(0)));
        let Node { sessions, h3, .. } = &mut rig.node;
        sessions.close(id(0), CloseInfo::new(1, "x".repeat(1024)), h3, rig.pair.ends(side).0);
        rig.run();
        let out = rig.node.sessions.sessions[&id(0)].out.len();
        assert!((1..=3).contains(&out), "{out} capsules wait");
    }
}
