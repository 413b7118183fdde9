//! Sessions with web-transport-quinn.

use compare::{
    pair::{Role, connect, listen, pair, refused_by_ours, refused_by_theirs},
    peer::{Code, End, FORBIDDEN, Listener as _, Refused},
    scenarios,
    web_transport_quinn::WebTransportQuinn,
    within,
};
use wt_api::ErrorCause;

/// Runs each scenario twice: with our client and with our server.
macro_rules! both_ways {
    ($($name:ident: $scenario:expr;)*) => {
        mod our_client {
            use super::*;
            $(#[tokio::test] async fn $name() { ($scenario)(pair::<WebTransportQuinn>(Role::OurClient).await).await; })*
        }
        mod our_server {
            use super::*;
            $(#[tokio::test] async fn $name() { ($scenario)(pair::<WebTransportQuinn>(Role::OurServer).await).await; })*
        }
    };
}

both_ways! {
    draft: scenarios::draft;
    protocol: scenarios::protocol;
    bidirectional_streams: scenarios::bidirectional_streams;
    unidirectional_streams: scenarios::unidirectional_streams;
    datagrams: scenarios::datagrams;
    two_hundred_streams_at_once: scenarios::two_hundred_streams_at_once;
    resets: |pair| scenarios::resets(pair, Some, Code::Application);
    stops: |pair| scenarios::stops(pair, Some, Code::Application);
    close_by_ours: |pair| scenarios::close_by_ours(pair, |code, reason| {
        End::Closed { code: code.into(), reason: reason.to_owned() }
    });
    close_by_theirs: |pair| async {
        let closed = scenarios::close_by_theirs(pair, u32::MAX, "done: fertig").await.expect("a close");
        assert_eq!((closed.close_code, closed.reason.as_str()), (u32::MAX, "done: fertig"));
    };
}

#[tokio::test]
async fn their_server_refuses_with_a_status() {
    for (path, expected) in [(FORBIDDEN, 403), ("/nowhere", 404)] {
        let cause = refused_by_theirs::<WebTransportQuinn>(path).await;
        assert!(matches!(cause, ErrorCause::Status { status } if status == expected), "{path}: {cause:?}");
    }
}

#[tokio::test]
async fn our_server_refuses_with_a_status() {
    assert_eq!(refused_by_ours::<WebTransportQuinn>(FORBIDDEN).await, Refused::Status(403));
    assert_eq!(refused_by_ours::<WebTransportQuinn>("/nowhere").await, Refused::Status(404));
}

/// A bug of web-transport-quinn 0.13.5: `Request::reject` drops the last handle of the connection, so quinn
/// closes it with code 0 before the response is sent.
#[tokio::test]
async fn the_status_of_their_reject_is_never_sent() {
    let (mut listener, identity) = listen::<WebTransportQuinn>().await;
    let port = listener.port();
    let rejects = async {
        let request = within("request", listener.request()).await;
        request.reject(http::StatusCode::FORBIDDEN).await
    };
    let (ours, rejected) = tokio::join!(connect(port, FORBIDDEN, &identity, &[]), rejects);
    rejected.expect("they take it for answered");
    let cause = ours.expect_err("no session").cause().clone();
    assert!(matches!(cause, ErrorCause::ConnectionClosed { code: 0, .. }), "{cause:?}");
}

/// Another bug: it also ends the control stream (RFC 9114 §6.2.1), which is what we see if something else
/// keeps the connection open.
#[tokio::test]
async fn their_reject_ends_the_control_stream() {
    let (mut listener, identity) = listen::<WebTransportQuinn>().await;
    let port = listener.port();
    let rejects = async {
        let request = within("request", listener.request()).await;
        let connection = request.conn().clone();
        request.reject(http::StatusCode::FORBIDDEN).await.expect("they take it for answered");
        within("our answer", connection.closed()).await
    };
    let (ours, closed) = tokio::join!(connect(port, FORBIDDEN, &identity, &[]), rejects);
    let cause = ours.expect_err("no session").cause().clone();
    assert!(matches!(cause, ErrorCause::Http3(_)), "{cause:?}");
    let closed = closed.to_string();
    assert!(closed.contains("260"), "H3_CLOSED_CRITICAL_STREAM, not {closed}");
}
