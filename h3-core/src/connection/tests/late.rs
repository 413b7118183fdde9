//! Requests whose heads do not arrive in time.

use super::*;
use crate::error::code;

const SECOND: Duration = Duration::from_secs(1);

fn rig() -> Rig {
    Rig::ready(Side::Server, webtransport_settings()).0
}

/// Advances the time and handles the timeouts that are due.
fn pass(rig: &mut Rig, time: Duration) {
    let end = rig.now + time;
    while let Some(at) = rig.connection.poll_timeout().filter(|at| *at <= end) {
        rig.now = rig.now.max(at);
        rig.connection.handle_timeout(rig.now, rig.pair.ends(Side::Server).0);
        rig.run();
    }
    rig.now = end;
}

/// A request of at least `size` bytes.
fn large(size: usize) -> Vec<u8> {
    get_with(&[("x-long", &"~".repeat(size))])
}

/// Asserts that both sides of the stream were given up.
#[track_caller]
fn assert_given_up(rig: &mut Rig, id: StreamId) {
    assert_eq!(rig.peer().stop_received(id), Some(code::H3_REQUEST_INCOMPLETE));
    rig.assert_stream_error(id, code::H3_REQUEST_INCOMPLETE);
    assert!(rig.events.iter().any(|event| matches!(event, Event::NoRequest { stream } if *stream == id)));
    assert_eq!((rig.connection.poll_timeout(), rig.connection.budget.used()), (None, 0));
}

#[test]
fn a_head_that_arrives_in_small_pieces_times_out() {
    // The pieces end within the frame head, and within the section.
    for first in [1, 2, 40] {
        let mut rig = rig();
        let (id, bytes) = (rig.request(), large(1000));
        rig.push(id, &bytes[..first]);
        for byte in &bytes[first..first + 29] {
            pass(&mut rig, SECOND);
            rig.push(id, &[*byte]);
        }
        pass(&mut rig, SECOND - Duration::from_millis(1));
        rig.assert_alive();
        assert_eq!(rig.peer().reset_received(id), None);
        pass(&mut rig, Duration::from_millis(1));
        assert_given_up(&mut rig, id);
        // Other requests are served.
        let id = rig.request();
        rig.push(id, &get_with(&[]));
        assert_eq!((rig.requests_seen(), rig.end().closed.is_none()), (1, true));
    }
}

#[test]
fn a_head_that_is_complete_in_time_is_served() {
    let mut rig = rig();
    let (id, bytes) = (rig.request(), large(29));
    let step = bytes.len().div_ceil(30);
    for part in bytes.chunks(step) {
        rig.push(id, part);
        pass(&mut rig, SECOND);
    }
    assert_eq!(rig.requests_seen(), 1);
    // Its content and its end have no deadline here.
    rig.push(id, &frame(0, b"con")[..3]);
    pass(&mut rig, 1000 * SECOND);
    rig.assert_alive();
    assert_eq!((rig.connection.poll_timeout(), rig.connection.open_requests()), (None, 1));
}

#[test]
fn a_thousand_half_open_streams_time_out_and_leave_nothing() {
    let mut rig = rig();
    rig.end().grants = [2000; 2];
    rig.run();
    let request = large(150);
    // A stream that is silent at first, half a frame head, unknown frames, half a section, half the signal of
    // a session's stream.
    let beginnings: [&[u8]; 5] =
        [&[0x40], &request[..2], &[0x21, 0x02, 0x00], &request[..100], &[0x40, 0x41]];
    let heap = Measure::start();
    let mut ids = Vec::new();
    for n in 0..1000 {
        let id = rig.request();
        rig.push(id, beginnings[n % beginnings.len()]);
        let uni = rig.peer().open(Dir::Uni).unwrap();
        rig.push(uni, &[0x40]);
        ids.push((id, uni));
    }
    assert!(rig.connection.budget.used() > 10_000);
    pass(&mut rig, 30 * SECOND);
    for (id, uni) in ids {
        let codes = (rig.peer().reset_received(id), rig.peer().stop_received(id));
        assert_eq!(codes, (Some(code::H3_REQUEST_INCOMPLETE), Some(code::H3_REQUEST_INCOMPLETE)), "{id:?}");
        assert_eq!(rig.peer().stop_received(uni), Some(code::H3_STREAM_CREATION_ERROR));
    }
    assert_eq!(rig.end().closed, None, "late requests are no flood");
    let connection = &rig.connection;
    assert_eq!((connection.open_requests(), connection.incoming.len(), connection.budget.used()), (0, 0, 0));
    assert_eq!(connection.poll_timeout(), None);
    rig.events = Vec::new();
    rig.end().forget_closed();
    rig.peer().forget_closed();
    drop(std::mem::take(&mut rig.pair));
    let growth = heap.growth();
    assert!(growth < 32 << 10, "{growth} bytes are left");
}

#[test]
fn the_deadline_of_a_held_request_starts_when_it_is_read() {
    let mut rig = rig();
    let (id, silent, bytes) = (rig.request(), rig.request(), large(1000));
    rig.push(id, &bytes[..100]);
    rig.push(silent, &bytes[..100]);
    rig.connection.hold_requests();
    rig.push(id, &bytes[100..200]);
    pass(&mut rig, 100 * SECOND);
    assert_eq!(rig.peer().reset_received(id), None);
    assert_eq!(
        rig.peer().reset_received(silent),
        Some(code::H3_REQUEST_INCOMPLETE),
        "the peer sent nothing more"
    );
    rig.events.clear();
    let (now, end) = (rig.now, rig.pair.ends(Side::Server).0);
    assert!(rig.connection.read_held_request(now, end));
    pass(&mut rig, 29 * SECOND);
    rig.assert_alive();
    rig.push(id, &bytes[200..]);
    assert_eq!(rig.requests_seen(), 1);
    pass(&mut rig, 100 * SECOND);
    rig.assert_alive();
}

#[test]
fn a_peer_is_not_late_while_the_application_withholds_credit() {
    let mut rig = rig();
    let (id, body, bytes) = (rig.request(), rig.request(), large(100));
    rig.push(id, &bytes[..50]);
    // The application does not read this content.
    rig.push(body, &[get_with(&[]), frame(0, &[7; 5000])].concat());
    assert_eq!(rig.requests_seen(), 1);
    let left = rig.end().bytes_read(body).map(|read| rig.end().received_end(body).unwrap() - read).unwrap();
    rig.end().receive_window = left;
    rig.end().hand_over(body);
    pass(&mut rig, 100 * SECOND);
    rig.assert_alive();
    // The peer can continue once some of it is read.
    assert!(!rig.read_body(body).is_empty());
    pass(&mut rig, 30 * SECOND);
    assert_eq!(rig.peer().reset_received(id), Some(code::H3_REQUEST_INCOMPLETE));
    assert_eq!((rig.connection.open_requests(), rig.connection.poll_timeout()), (1, None));
}

#[test]
fn a_peer_that_has_used_up_its_credit_itself_is_late() {
    let mut rig = rig();
    // The content of a request that no application gets, and a silent stream of unknown kind.
    let (body, half) = (rig.request(), rig.request());
    rig.push(body, &[get_with(&[]), frame(0, &[7; 5000])].concat());
    rig.push(half, &large(100)[..50]);
    rig.end().receive_window = 1000;
    pass(&mut rig, 30 * SECOND - Duration::from_millis(1));
    rig.assert_alive();
    pass(&mut rig, Duration::from_millis(1));
    assert_eq!(rig.peer().reset_received(half), Some(code::H3_REQUEST_INCOMPLETE));
    assert_eq!((rig.connection.open_requests(), rig.connection.poll_timeout()), (1, None));
}

/// A request that is left unread has no deadline: the peer decides when it reads responses.
#[test]
fn a_held_request_has_not_begun() {
    let mut rig = rig();
    let (id, bytes) = (rig.request(), large(100));
    rig.push(id, &bytes[..50]);
    assert!(rig.connection.has_begun(id));
    rig.connection.hold_requests();
    rig.push(id, &bytes[50..60]);
    assert!(!rig.connection.has_begun(id));
    let (now, end) = (rig.now, rig.pair.ends(Side::Server).0);
    assert!(rig.connection.read_held_request(now, end));
    assert!(rig.connection.has_begun(id));
}

#[test]
fn a_session_is_not_waited_for_without_settings() {
    let connect = headers(&[
        (":method", "CONNECT"),
        (":protocol", "webtransport"),
        (":scheme", "https"),
        (":authority", "a.test"),
        (":path", "/"),
    ]);
    let mut rig = Rig::new(Side::Server, webtransport_settings());
    let id = rig.request();
    rig.push(id, &connect);
    assert_eq!(rig.requests_seen(), 1);
    pass(&mut rig, 29 * SECOND);
    rig.assert_alive();
    pass(&mut rig, SECOND);
    assert_eq!(rig.peer().stop_received(id), Some(code::H3_REQUEST_INCOMPLETE));
    rig.assert_stream_error(id, code::H3_REQUEST_INCOMPLETE);
    // With SETTINGS it may stay as long as it likes, answered or not.
    let (mut rig, _) = Rig::ready(Side::Server, webtransport_settings());
    let id = rig.request();
    rig.push(id, &connect);
    pass(&mut rig, 1000 * SECOND);
    rig.assert_alive();
    assert_eq!((rig.connection.open_requests(), rig.connection.poll_timeout()), (1, None));
}

#[test]
fn there_are_no_deadlines_without_a_timeout_nor_at_clients() {
    for timeout in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
        let mut rig = rig();
        rig.connection.config.request_timeout = timeout;
        let id = rig.request();
        rig.push(id, &[0x40]);
        pass(&mut rig, 1_000_000 * SECOND);
        rig.assert_alive();
        assert_eq!(rig.peer().reset_received(id), None);
    }
    let mut client = Rig::ready(Side::Client, webtransport_settings()).0;
    let id = client.request();
    let bytes = client.first_headers(&[]);
    client.push(id, &bytes[..1]);
    assert_eq!(client.connection.poll_timeout(), None);
}
