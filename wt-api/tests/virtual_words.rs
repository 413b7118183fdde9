//! Every call that meets a close reports its code, its reason and its side: calls that waited, calls made
//! while the close is on its way, and later ones.

mod virtual_common;

use std::{pin::Pin, time::Duration};

use virtual_common::seconds;
use wt_api::{
    CloseInfo, ClosedBy, ErrorCause, SendStreamOptions, WebTransport, WebTransportError,
    WebTransportErrorSource,
    testing::{self, Pair},
};

type Call = Pin<Box<dyn Future<Output = Option<WebTransportError>> + Send>>;

/// Calls that end when the session does. The `opened` streams are complete, and neither side ends one.
fn calls(session: &WebTransport, opened: Option<wt_api::BidirectionalStream>) -> Vec<(&'static str, Call)> {
    let (a, b, c, d) = (session.clone(), session.clone(), session.clone(), session.clone());
    let mut readable = session.datagrams().readable;
    let mut calls: Vec<(&'static str, Call)> = vec![
        ("accept_bidirectional_stream", Box::pin(async move { a.accept_bidirectional_stream().await.err() })),
        (
            "accept_unidirectional_stream",
            Box::pin(async move { b.accept_unidirectional_stream().await.err() }),
        ),
        ("receive_datagram", Box::pin(async move { c.receive_datagram().await.err() })),
        ("recv", Box::pin(async move { readable.recv().await.err() })),
        // 100 are permitted, and all are open where `opened` is given.
        (
            "create_unidirectional_stream",
            Box::pin(async move {
                loop {
                    match d.create_unidirectional_stream(SendStreamOptions::new()).await {
                        Ok(stream) => std::mem::forget(stream),
                        Err(error) => return Some(error),
                    }
                }
            }),
        ),
    ];
    if let Some(stream) = opened {
        let (mut readable, mut writable) = stream.split();
        calls.push(("read", Box::pin(async move { readable.read(&mut [0; 8]).await.err() })));
        calls.push((
            "write",
            Box::pin(async move {
                loop {
                    if let Err(error) = writable.write_all(&[0; 65536]).await {
                        return Some(error);
                    }
                }
            }),
        ));
    }
    calls
}

/// Calls that answer at once.
fn at_once(session: &WebTransport) -> Vec<(&'static str, Option<WebTransportError>)> {
    let datagrams = session.datagrams().writable;
    let datagram = match datagrams.try_send("late".into()) {
        Err(wt_api::DatagramError::Session(error)) => Some(error),
        other => panic!("{other:?}"),
    };
    vec![("create_send_group", session.create_send_group().err()), ("try_send", datagram)]
}

fn check(told: Option<&WebTransportError>, by: ClosedBy, info: &CloseInfo, what: &str) {
    let Some(error) = told else { panic!("{what} told no error") };
    assert_eq!(error.close_info(), Some(info), "{what}: {error}");
    assert!(
        matches!(error.cause(), ErrorCause::SessionClosed { by: told, .. } if *told == by),
        "{what}: {error}"
    );
    assert_eq!(error.error_source(), WebTransportErrorSource::Session, "{what}");
}

#[test]
fn every_call_reports_the_code_reason_and_side_of_a_close() {
    for client_closes in [true, false] {
        for (code, reason) in [(0, ""), (7, "enough"), (u32::MAX, "\u{1b}[31m äöü")] {
            let info = CloseInfo::new(code, reason);
            let Pair { network, client, server, link, .. } = testing::pair(u64::from(code) + 1);
            network.run(async {
                let (closer, hearer) = if client_closes { (client, server) } else { (server, client) };
                let mut waiting = Vec::new();
                let mut inner = Vec::new();
                for (session, by) in [(&closer, ClosedBy::ThisSide), (&hearer, ClosedBy::Peer)] {
                    let stream = session.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap();
                    // Without this, the other side's accepting call would get a stream.
                    network.sleep(Duration::from_millis(10)).await;
                    inner.push((session.clone(), stream, by));
                }
                for session in [&closer, &hearer] {
                    std::mem::forget(session.accept_bidirectional_stream().await.unwrap());
                }
                for (session, stream, by) in inner {
                    for (what, call) in calls(&session, Some(stream)) {
                        waiting.push((what, by, network.spawn(call)));
                    }
                }
                // Calls that accept what the other side's call creates have completed, but only those that
                // accept streams.
                network.sleep(seconds(1)).await;
                closer.close(info.clone());
                for (what, told) in at_once(&closer) {
                    check(told.as_ref(), ClosedBy::ThisSide, &info, what);
                }
                assert_eq!(hearer.closed().await.unwrap(), info);
                assert_eq!(closer.closed().await.unwrap(), info);
                for (what, by, call) in waiting {
                    let told = call.await;
                    if what != "accept_unidirectional_stream" {
                        check(told.as_ref(), by, &info, &format!("{what} that waited at {by}"));
                    }
                }
                for (session, by) in [(&closer, ClosedBy::ThisSide), (&hearer, ClosedBy::Peer)] {
                    let names: Vec<_> = calls(session, None);
                    for (what, call) in names {
                        // Streams that arrived before the end can still be accepted.
                        let mut told = call.await;
                        while what == "accept_unidirectional_stream" && told.is_none() {
                            told = session.accept_unidirectional_stream().await.err();
                        }
                        check(told.as_ref(), by, &info, &format!("{what} after the end at {by}"));
                    }
                    for (what, told) in at_once(session) {
                        check(told.as_ref(), by, &info, what);
                    }
                }
                drop(link);
            });
        }
    }
}

/// The text quotes the peer's reason, so that it cannot move a terminal's cursor.
#[test]
fn the_peers_reason_is_quoted() {
    let error = |info| {
        WebTransportError::new(
            WebTransportErrorSource::Session,
            ErrorCause::SessionClosed { by: ClosedBy::Peer, info },
        )
        .to_string()
    };
    assert_eq!(
        error(CloseInfo::new(7, "a\u{1b}[2J")),
        "the peer closed the session (code 7, reason \"a\\u{1b}[2J\"); connect again for a new one"
    );
    assert_eq!(
        error(CloseInfo::new(0, "")),
        "the peer closed the session (code 0); connect again for a new one"
    );
}

/// A session that its application closes while it connects reports the application's own code and reason.
#[test]
fn closing_a_connecting_session_reports_the_applications_close() {
    let network = testing::Network::new(3);
    let host = network.host("client");
    network.run(async {
        let options = wt_api::WebTransportOptions::new();
        let session = host.enter(|| WebTransport::new("https://192.0.2.1/", options)).unwrap();
        network.sleep(Duration::from_millis(50)).await;
        let info = CloseInfo::new(4, "changed my mind");
        session.close(info.clone());
        check(session.ready().await.err().as_ref(), ClosedBy::ThisSide, &info, "ready");
        check(session.closed().await.err().as_ref(), ClosedBy::ThisSide, &info, "closed");
        for (what, call) in calls(&session, None) {
            check(call.await.as_ref(), ClosedBy::ThisSide, &info, what);
        }
    });
}
