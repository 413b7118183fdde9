//! The H rows about single messages, at both ends: which are malformed, and how much of them the application
//! sees.

use super::{hostile::*, *};

/// A HEADERS frame with exactly these lines.
fn exactly(lines: &[(&str, &str)]) -> Vec<u8> {
    headers(lines)
}

/// Asserts that the message fails with `H3_MESSAGE_ERROR` on its stream and the application never sees it.
#[track_caller]
fn malformed(side: Side, bytes: &[u8]) {
    let (mut rig, id) = on_request(side, |_| bytes.to_vec());
    rig.assert_stream_error(id, code::H3_MESSAGE_ERROR);
    assert_eq!(rig.requests_seen(), 0);
    let seen = |event: &Event| matches!(event, Event::Response { .. } | Event::Finished { .. });
    assert!(!rig.events.iter().any(seen), "{:?}", rig.events);
}

/// The lines that begin the peer's part.
fn first(side: Side) -> &'static [(&'static str, &'static str)] {
    if side == Side::Server { &GET } else { &OK }
}

#[test]
fn h03_each_pseudo_header_twice() {
    for side in BOTH {
        for line in first(side) {
            malformed(side, &exactly(&[first(side), &[*line]].concat()));
            malformed(side, &exactly(&[&[*line], first(side)].concat()));
        }
    }
}

#[test]
fn h04_pseudo_headers_of_the_other_role_and_undefined_ones() {
    for side in BOTH {
        let undefined = [(":x", "1"), (":", "1"), (":Status", "200"), (":protocol", "x")];
        for line in undefined.iter().chain(first(side.peer())) {
            malformed(side, &exactly(&[first(side), &[*line]].concat()));
            malformed(side, &exactly(&[&[*line], first(side)].concat()));
        }
    }
}

#[test]
fn h05_pseudo_headers_late_and_in_trailers() {
    for side in BOTH {
        for at in 0..first(side).len() {
            let mut lines = first(side).to_vec();
            lines.insert(at, ("a", "b"));
            malformed(side, &exactly(&lines));
        }
        for line in first(side).iter().chain(&[(":x", "1")]) {
            let (mut rig, id) = on_request(side, |rig| [rig.first_headers(&[]), exactly(&[*line])].concat());
            rig.assert_stream_error(id, code::H3_MESSAGE_ERROR);
        }
    }
}

#[test]
fn h06_names_and_values() {
    for side in BOTH {
        for bad in [
            ("Upper", "x"),
            ("uppeR", "x"),
            ("", "x"),
            ("a b", "x"),
            ("a\0b", "x"),
            ("a\rb", "x"),
            ("a\nb", "x"),
            ("x", "a\0b"),
            ("x", "a\rb"),
            ("x", "a\nb"),
            ("x", "a\n"),
            ("x", " a"),
            ("x", "a "),
            ("x", "\ta"),
            ("x", "a\t"),
            ("x", " "),
            ("te", "gzip"),
            ("connection", "close"),
            ("transfer-encoding", "chunked"),
        ] {
            malformed(side, &exactly(&[first(side), &[bad]].concat()));
            // The same in trailers.
            let (mut rig, id) = on_request(side, |rig| [rig.first_headers(&[]), exactly(&[bad])].concat());
            rig.assert_stream_error(id, code::H3_MESSAGE_ERROR);
        }
    }
}

#[test]
fn h07_content_length_and_content() {
    for side in BOTH {
        // More than declared: no byte of the excess frame reaches the application.
        let (mut rig, id) = on_request(side, |rig| rig.first_headers(&[("content-length", "3")]));
        rig.push(id, b"\x00\x02ab");
        assert_eq!(rig.read_body(id), b"ab");
        rig.push(id, b"\x00\x02cd");
        rig.assert_stream_error(id, code::H3_MESSAGE_ERROR);
        assert_eq!(rig.read_body(id), b"");
        // Less than declared, and no content at all.
        for content in [&b"\x00\x02ab"[..], b""] {
            let (mut rig, id) = on_request(side, |rig| rig.first_headers(&[("content-length", "3")]));
            rig.push(id, content);
            rig.fin(id);
            rig.read_body(id);
            rig.assert_stream_error(id, code::H3_MESSAGE_ERROR);
        }
        // Exactly what was declared, in two frames and an empty one.
        let (mut rig, id) = on_request(side, |rig| rig.first_headers(&[("content-length", "3")]));
        rig.push(id, b"\x00\x02ab\x00\x00\x00\x01c");
        rig.fin(id);
        assert_eq!(rig.read_body(id), b"abc");
        rig.assert_alive();
        assert!(matches!(rig.events.last(), Some(Event::Finished { .. })));
    }
}

/// Values that are no numbers, and two different numbers.
#[test]
fn h07_content_lengths_that_are_malformed() {
    for side in BOTH {
        for bad in
            ["+5", "-5", "5,5", "5, 5", "", "5 5", "0x5", "18446744073709551616", "99999999999999999999999"]
        {
            malformed(side, &exactly(&[first(side), &[("content-length", bad)]].concat()));
        }
        malformed(
            side,
            &exactly(&[first(side), &[("content-length", "5"), ("content-length", "6")]].concat()),
        );
    }
}

/// RFC 9114 §4.2: only the heads of requests may have `te`.
#[test]
fn h06_te_belongs_to_the_head_of_a_request() {
    let te = ("te", "trailers");
    malformed(Side::Client, &exactly(&[first(Side::Client), &[te]].concat()));
    for side in BOTH {
        let (mut rig, id) = on_request(side, |rig| [rig.first_headers(&[]), exactly(&[te])].concat());
        rig.assert_stream_error(id, code::H3_MESSAGE_ERROR);
    }
    let (mut rig, id) = on_request(Side::Server, |_| exactly(&[first(Side::Server), &[te]].concat()));
    rig.assert_alive();
    // This side does not send it elsewhere either.
    let mut head = ResponseHead::new(http::StatusCode::OK);
    head.headers.insert("te", "trailers".parse().unwrap());
    let sent = rig.connection.send_response(id, &head, false, &mut rig.pair.server);
    assert_eq!(sent, Err(crate::SendError::Invalid(crate::StreamViolation::TeField)));
}

/// Responses to HEAD, 204 and 304 have no content, but may declare the length for a GET (RFC 9110 §8.6,
/// RFC 9114 §4.1.2).
#[test]
fn h07_lengths_without_content() {
    for (method, status) in
        [(http::Method::HEAD, "200"), (http::Method::GET, "204"), (http::Method::GET, "304")]
    {
        let (mut rig, _) = rig(Side::Client);
        let head = RequestHead { method, ..request_head() };
        let id = rig.connection.send_request(&head, true, &mut rig.pair.client).unwrap();
        rig.run();
        rig.push(id, &headers(&[(":status", status), ("content-length", "5")]));
        rig.fin(id);
        assert_eq!(rig.read_body(id), b"");
        rig.assert_alive();
        assert!(matches!(rig.events.last(), Some(Event::Finished { .. })), "{:?}", rig.events);
    }
}
