//! Sessions with wtransport.

use compare::{
    pair::{Pair, Role, pair, refused_by_ours, refused_by_theirs},
    peer::{Code, End, FORBIDDEN, Refused},
    scenarios::{self, CODES},
    within,
    wtransport::Wtransport,
};
use wt_api::{CloseInfo, ErrorCause};
use wtransport::{VarInt, error::ConnectionError};

/// Runs each scenario twice: with our client and with our server.
macro_rules! both_ways {
    ($($name:ident: $scenario:expr;)*) => {
        mod our_client {
            use super::*;
            $(#[tokio::test] async fn $name() { ($scenario)(pair::<Wtransport>(Role::OurClient).await).await; })*
        }
        mod our_server {
            use super::*;
            $(#[tokio::test] async fn $name() { ($scenario)(pair::<Wtransport>(Role::OurServer).await).await; })*
        }
    };
}

both_ways! {
    draft: scenarios::draft;
    bidirectional_streams: scenarios::bidirectional_streams;
    unidirectional_streams: scenarios::unidirectional_streams;
    datagrams: scenarios::datagrams;
    two_hundred_streams_at_once: scenarios::two_hundred_streams_at_once;
    resets_whose_codes_they_do_not_map: |pair| scenarios::resets(pair, |_| None, |code| Code::Quic(http_code(code)));
    stops_whose_codes_they_do_not_map: |pair| scenarios::stops(pair, |_| None, |code| Code::Quic(http_code(code)));
    codes_that_their_application_maps: mapped_resets;
    close_by_ours: |pair| scenarios::close_by_ours(pair, |code, reason| {
        End::Closed { code: code.into(), reason: reason.to_owned() }
    });
    close_by_theirs_ends_the_connection_without_a_capsule: |pair| async {
        let error = scenarios::close_by_theirs(pair, 7, "bye").await.expect_err("no close of the session");
        let ErrorCause::ConnectionClosed { by, code, reason } = error.cause() else { panic!("{error:?}") };
        assert_eq!((*by, *code, &**reason), (wt_api::ConnectionCloser::Peer, 7, "bye"));
    };
    their_closed_does_not_tell_our_code: |pair| async move {
        let pair: Pair<Wtransport> = pair;
        pair.ours.close(CloseInfo::new(7, "bye"));
        let end = within("end of their connection", wtransport::Connection::closed(&pair.theirs)).await;
        assert_eq!(end, ConnectionError::LocallyClosed);
    };
}

/// WebTransport over HTTP/3 §4.4: one in 31 codes is skipped.
fn http_code(code: u32) -> u64 {
    let code = u64::from(code);
    0x52e4_a40f_a8db + code + code / 30
}

/// wtransport 0.7.2 does not map the application's stream codes to those of HTTP/3 or back (WebTransport over
/// HTTP/3 §4.4), so its application has to.
async fn mapped_resets(pair: Pair<Wtransport>) {
    let mut incoming = pair.ours.incoming_unidirectional_streams();
    for code in CODES {
        let mapped = VarInt::try_from_u64(http_code(code)).expect("62 bits");
        let mut send = pair.theirs.open_uni().await.expect("credit").await.expect("a stream");
        send.write_all(b"x").await.expect("written");
        let mut receive =
            within("their stream", incoming.next()).await.expect("a stream").expect("a session");
        let byte = within("a byte", receive.read_chunk(1)).await.expect("no reset");
        assert_eq!(byte.as_deref(), Some(&b"x"[..]));
        send.reset(mapped).expect("open");
        let end = within("their reset", receive.read_to_end(1)).await.expect_err("a reset");
        assert!(matches!(end.cause(), ErrorCause::StreamReset(Some(told)) if *told == code), "{code}: {end}");
    }
}

#[tokio::test]
async fn their_server_refuses_with_a_status() {
    for (path, expected) in [(FORBIDDEN, 403), ("/nowhere", 404)] {
        let cause = refused_by_theirs::<Wtransport>(path).await;
        assert!(matches!(cause, ErrorCause::Status { status } if status == expected), "{path}: {cause:?}");
    }
}

#[tokio::test]
async fn our_server_refuses_and_their_client_does_not_tell_the_status() {
    assert_eq!(refused_by_ours::<Wtransport>(FORBIDDEN).await, Refused::WithoutStatus);
    assert_eq!(refused_by_ours::<Wtransport>("/nowhere").await, Refused::WithoutStatus);
}
