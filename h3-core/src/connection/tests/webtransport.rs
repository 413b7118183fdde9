//! WebTransport prefaces: HTTP/3 recognises such streams and hands them over.

use super::*;

fn preface(kind: &[u8], session: u64) -> Vec<u8> {
    let mut bytes = kind.to_vec();
    quic_core::base::varint::put(&mut bytes, session);
    bytes
}

const BIDI: &[u8] = &[0x40, 0x41];
const UNI: &[u8] = &[0x40, 0x54];

#[test]
fn prefaces_byte_by_byte_leave_the_payload_alone() {
    for side in BOTH {
        for (dir, kind, long) in
            [(Dir::Bidi, BIDI, &[0x80, 0, 0, 0x41][..]), (Dir::Uni, UNI, &[0x80, 0, 0, 0x54])]
        {
            for (kind, session, piece) in
                [(kind, 0, 1), (kind, 1 << 20, 1), (long, 4, 1), (long, 4, 99), (kind, 8, 99)]
            {
                let (mut rig, _) = Rig::ready(side, webtransport_settings());
                rig.piece = piece;
                let id = rig.peer().open(dir).unwrap();
                rig.push(id, &[&preface(kind, session)[..], b"payload"].concat());
                let found = rig.events.iter().find_map(|event| match event {
                    Event::StreamPreface { stream, kind, session_id, stopped: None } => {
                        Some((*stream, *kind, session_id.value()))
                    }
                    _ => None,
                });
                let expected = if dir == Dir::Bidi { PrefaceKind::Bidi } else { PrefaceKind::Uni };
                assert_eq!(found, Some((id, expected, session)));
                assert_eq!(rig.end().pull(id), b"payload");
                rig.assert_alive();
                assert_eq!(rig.connection.open_requests(), 0);
            }
        }
    }
}

#[test]
fn w01_session_ids_that_no_request_can_have() {
    for side in BOTH {
        for (dir, kind) in [(Dir::Bidi, BIDI), (Dir::Uni, UNI)] {
            for session in [1, 2, 3, 7] {
                let (mut rig, _) = Rig::ready(side, webtransport_settings());
                let id = rig.peer().open(dir).unwrap();
                rig.push(id, &preface(kind, session));
                rig.assert_failed(code::H3_ID_ERROR);
            }
        }
    }
}

#[test]
fn w02_the_signal_after_the_first_bytes() {
    for side in BOTH {
        let (mut rig, _) = Rig::ready(side, webtransport_settings());
        let id = rig.request();
        let bytes = [rig.first_headers(&[]), preface(BIDI, 0)].concat();
        rig.push(id, &bytes);
        rig.assert_failed(code::H3_FRAME_ERROR);
        let (mut rig, control) = Rig::ready(side, webtransport_settings());
        rig.push(control, &preface(BIDI, 0));
        rig.assert_failed(code::H3_FRAME_ERROR);
    }
}

#[test]
fn w21_reset_before_the_session_id() {
    for side in BOTH {
        for (dir, kind) in [(Dir::Bidi, BIDI), (Dir::Uni, UNI)] {
            for length in 0..2 {
                let (mut rig, _) = Rig::ready(side, webtransport_settings());
                let before = rig.end().open_streams();
                let id = rig.peer().open(dir).unwrap();
                rig.push(id, &kind[..length]);
                rig.peer().reset(id, 7, u64::MAX).unwrap();
                rig.run();
                rig.assert_alive();
                rig.end().forget_closed();
                assert_eq!(rig.end().open_streams(), before);
            }
        }
    }
}

/// A stop overtakes its stream's first bytes: the event of the preface reports it.
#[test]
fn a_stop_before_the_preface_is_reported_with_it() {
    for side in BOTH {
        let (mut rig, _) = Rig::ready(side, webtransport_settings());
        let id = rig.peer().open(Dir::Bidi).unwrap();
        rig.push(id, &BIDI[..1]);
        rig.peer().stop_sending(id, 77).unwrap();
        rig.run();
        assert!(!rig.events.iter().any(|event| matches!(event, Event::Stopped { .. })));
        rig.push(id, &preface(BIDI, 0)[1..]);
        let told = |event: &&Event| matches!(event, Event::StreamPreface { stream, stopped: Some(77), .. } if *stream == id);
        assert_eq!(rig.events.iter().filter(told).count(), 1);
        rig.assert_alive();
    }
}

#[test]
fn a_stop_before_the_request_is_reported_after_it() {
    // Before the kind of the stream is known, and before the head is whole.
    let bytes = get_with(&[]);
    for cut in [1, 4] {
        let (mut rig, _) = Rig::ready(Side::Server, webtransport_settings());
        let id = rig.peer().open(Dir::Bidi).unwrap();
        rig.push(id, &bytes[..cut]);
        rig.peer().stop_sending(id, 77).unwrap();
        rig.run();
        rig.events.clear();
        rig.push(id, &bytes[cut..]);
        assert!(
            matches!(rig.events[..], [Event::Request { stream, .. }, Event::Stopped { stream: of, code: 77 }]
                if stream == id && of == id),
            "{cut}: {:?}",
            rig.events
        );
        rig.assert_alive();
    }
}

#[test]
fn without_webtransport_the_types_mean_nothing() {
    let (mut rig, _) = Rig::ready(Side::Server, plain_settings());
    let id = rig.peer().open(Dir::Uni).unwrap();
    rig.push(id, &preface(UNI, 0));
    assert_eq!(rig.peer().stop_received(id), Some(code::H3_STREAM_CREATION_ERROR));
    rig.assert_alive();
}

#[test]
fn events_of_tagged_streams_are_not_handled() {
    let (mut rig, _) = Rig::ready(Side::Server, webtransport_settings());
    let id = rig.peer().open(Dir::Bidi).unwrap();
    rig.push(id, &preface(BIDI, 0));
    let event = quic_core::Event::StreamReadable(id, StreamTag(9));
    assert!(!rig.connection.on_event(&event, rig.now, &mut rig.pair.server));
}
