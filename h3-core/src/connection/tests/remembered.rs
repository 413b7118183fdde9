//! Settings of a server that a client remembers for 0-RTT.

use super::*;
use crate::error::{H3Violation, SendError};

fn remembered() -> Settings {
    Settings {
        qpack_max_table_capacity: 4096,
        qpack_blocked_streams: 5,
        max_field_section_size: Some(500),
        wt_initial_max_data: 7,
        wt_initial_max_streams_uni: 7,
        wt_initial_max_streams_bidi: 7,
        ..webtransport_settings()
    }
}

/// A client that remembers these settings, and what becomes of it if the server has those.
fn met(before: &Settings, now: &Settings, accepted: bool) -> Option<H3Error> {
    let mut rig = Rig::new(Side::Client, webtransport_settings());
    rig.connection.remember_settings(before.clone());
    rig.pair.ends(Side::Client).0.events.push_back(quic_core::Event::EarlyDataDecided { accepted });
    rig.run();
    let control = rig.peer().open(Dir::Uni).unwrap();
    let mut payload = Vec::new();
    now.encode(1, &mut payload);
    rig.peer().push(control, &[&[0][..], &frame(4, &payload)].concat());
    rig.run();
    assert_eq!(rig.connection.peer_settings().is_some(), rig.connection.failure().is_none());
    rig.connection.failure()
}

fn lowered(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = remembered();
    change(&mut settings);
    settings
}

#[test]
fn h27_settings_below_the_remembered_ones() {
    let before = remembered();
    let lower: [fn(&mut Settings); 5] = [
        |s| s.qpack_blocked_streams = 4,
        |s| s.max_field_section_size = Some(499),
        |s| s.enable_connect_protocol = false,
        |s| s.h3_datagram = false,
        |s| s.wt_enabled = 0,
    ];
    for (nth, change) in lower.into_iter().enumerate() {
        let now = lowered(change);
        let error = H3Error::Violation(H3Violation::SettingLowered);
        assert_eq!(met(&before, &now, true), Some(error), "{nth}");
        assert_eq!(error.code(), code::H3_SETTINGS_ERROR);
        assert_eq!(
            met(&before, &now, false),
            None,
            "a server that accepted nothing is bound by nothing: {nth}"
        );
        assert_eq!(met(&now, &before, true), None, "more is welcome: {nth}");
    }
    assert_eq!(met(&before, &before, true), None);
    assert_eq!(met(&before, &lowered(|s| s.max_field_section_size = None), true), None, "unlimited");
}

#[test]
fn q17_another_table_capacity_than_remembered() {
    let before = remembered();
    for capacity in [0, 1, 4095, 4097] {
        let error = H3Error::Violation(H3Violation::TableCapacityChanged);
        assert_eq!(met(&before, &lowered(|s| s.qpack_max_table_capacity = capacity), true), Some(error));
        assert_eq!(error.code(), 0x202);
        let none = lowered(|s| s.qpack_max_table_capacity = 0);
        assert_eq!(met(&none, &lowered(|s| s.qpack_max_table_capacity = capacity), true), None);
    }
}

#[test]
fn w23_session_limits_below_the_remembered_ones() {
    let lower: [fn(&mut Settings); 3] = [
        |s| s.wt_initial_max_data = 6,
        |s| s.wt_initial_max_streams_uni = 6,
        |s| s.wt_initial_max_streams_bidi = 0,
    ];
    for change in lower {
        let error = H3Error::Violation(H3Violation::SettingLowered);
        assert_eq!(met(&remembered(), &lowered(change), true), Some(error));
    }
}

#[test]
fn requests_keep_to_the_remembered_settings_and_sessions_wait_for_the_real_ones() {
    let mut rig = Rig::new(Side::Client, webtransport_settings());
    rig.connection.remember_settings(remembered());
    assert_eq!(rig.connection.peer_settings(), None);
    let end = rig.pair.ends(Side::Client).0;
    let long = RequestHead::new(
        http::Method::GET,
        "a.test".parse().unwrap(),
        format!("/{}", "x".repeat(400)).parse().unwrap(),
    );
    let error = rig.connection.send_request(&long, true, end).unwrap_err();
    assert!(matches!(error, SendError::TooLarge { size: 501.., limit: 500 }), "{error:?}");
    assert!(rig.connection.send_request(&request_head(), true, end).is_ok());
}

#[test]
fn settings_are_kept_as_bytes() {
    let mut bytes = Vec::new();
    remembered().encode(3, &mut bytes);
    assert_eq!(Settings::decode(bytes.clone().into()), Ok(remembered()));
    assert_eq!(Settings::decode(bytes[..bytes.len() - 1].to_vec().into()), Err(H3Violation::FrameLength));
}
