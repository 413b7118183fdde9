//! Scripted socket errors: nothing that a system refuses to send is lost silently.
#![cfg(unix)]

mod virtual_common;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use virtual_common::{connect, echo_all, options, pattern, round_trip, seconds, serve};
use wt_api::{
    AcceptOptions, CertificateHash, CloseInfo, ErrorCause, SendStreamOptions, TransportConfig, WebTransport,
    testing::{Host, LinkConfig, MILLISECOND, Network, SendAttempt},
};

fn error(code: i32) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(code))
}

/// A network with a server that echoes, the client's host, and the certificate's hash.
fn network(seed: u64) -> (Network, Host, Host, CertificateHash) {
    let network = Network::new(seed);
    let (server, client) = (network.host("server"), network.host("client"));
    network.link(&server, &client, &LinkConfig::new().delay(5 * MILLISECOND).rate(100_000_000));
    let (listener, hash) = serve(&network, &server, TransportConfig::default());
    drop(server.spawn(echo_all(server.clone(), listener)));
    (network, server, client, hash)
}

/// Echoes a megabyte while `answer` decides the result of both hosts' sends. Returns how long that took, how
/// many sends were refused, and how many packets were lost.
fn echo(
    seed: u64,
    answer: impl FnMut(&SendAttempt) -> io::Result<()> + Clone + Send + 'static,
) -> (Duration, u64, u64) {
    let (network, server, client, hash) = network(seed);
    let refused = Arc::new(AtomicU64::new(0));
    for host in [&server, &client] {
        let (refused, mut answer) = (Arc::clone(&refused), answer.clone());
        host.answer_sends(move |send| {
            answer(send).inspect_err(|_| {
                refused.fetch_add(1, Relaxed);
            })
        });
    }
    let lost = client.run(async {
        let session = connect("server", options(hash)).await.unwrap();
        let data = pattern(seed, 1 << 20);
        assert!(round_trip(&session, data.clone()).await.unwrap() == data);
        session.get_stats().await.unwrap().packets_lost.unwrap()
    });
    (network.now(), refused.load(Relaxed), lost)
}

#[test]
fn sockets_that_refuse_sends_lose_no_packet_of_a_megabyte() {
    let (plain, _, lost_anyway) = echo(1, |_| Ok(()));
    assert_eq!(lost_anyway, 0);
    let every = |n: u64, code: i32| {
        move |send: &SendAttempt| if send.number.is_multiple_of(n) { error(code) } else { Ok(()) }
    };
    // A full buffer or no memory: the refused datagram waits.
    for code in [libc::ENOBUFS, libc::ENOMEM, libc::EAGAIN] {
        for n in [2, 7, 50] {
            let (time, refused, lost) = echo(n, every(n, code));
            assert!(refused > 0 && lost == 0, "every {n}th, {code}: {lost} of {refused} lost");
            assert!(time < plain * 3, "every {n}th, {code}: {time:?} and not {plain:?}");
        }
    }
    // Errors caused by an earlier datagram, which the system reports once.
    for code in [libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::ENETUNREACH, libc::EMSGSIZE] {
        let (_, refused, lost) = echo(3, every(3, code));
        assert!(refused > 0 && lost == 0, "{code}: {lost} of {refused} lost");
    }
}

#[test]
fn datagrams_of_every_size_leave_in_batches_that_a_system_accepts() {
    for size in (1200..=1500).chain([9000]) {
        let network = Network::new(size.into());
        let (server, client) = (network.host("server"), network.host("client"));
        network.link(&server, &client, &LinkConfig::new().delay(MILLISECOND));
        let transport = TransportConfig::new().max_datagram_size(size);
        let (listener, hash) = serve(&network, &server, transport.clone());
        drop(server.spawn(echo_all(server.clone(), listener)));
        let (refused, longest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        for host in [&server, &client] {
            let (refused, longest) = (Arc::clone(&refused), Arc::clone(&longest));
            host.answer_sends(move |send| {
                longest.fetch_max(send.segments as u64, Relaxed);
                if send.bytes > 65_507 || send.segments > 64 {
                    refused.fetch_add(1, Relaxed);
                    return error(libc::EMSGSIZE);
                }
                Ok(())
            });
        }
        client.run(async {
            let session = connect("server", options(hash).transport(transport)).await.unwrap();
            let data = pattern(size.into(), 300_000);
            assert!(round_trip(&session, data.clone()).await.unwrap() == data, "{size}");
        });
        assert_eq!(refused.load(Relaxed), 0, "{size}");
        assert!(longest.load(Relaxed) >= 5, "trains were sent: {longest:?} of {size}");
    }
}

#[test]
fn batches_that_are_too_long_leave_in_parts() {
    // A batch holds what the pacer permits in a millisecond, which is little at 100 Mbit/s.
    let (_, refused, lost) = echo(4, |send| if send.bytes > 3_000 { error(libc::EMSGSIZE) } else { Ok(()) });
    assert!(lost == 0 && (1..400).contains(&refused), "{lost} lost, {refused} refused");
}

#[test]
fn refused_offload_or_ecn_marks_are_switched_off() {
    for code in [libc::EIO, libc::EINVAL] {
        let (_, refused, lost) = echo(5, move |send| if send.segments > 1 { error(code) } else { Ok(()) });
        assert!(lost == 0 && (1..=4).contains(&refused), "{lost} lost, {refused} refused");
        let (_, refused, lost) = echo(6, move |send| if send.control { error(code) } else { Ok(()) });
        assert!(lost == 0 && (1..=6).contains(&refused), "{lost} lost, {refused} refused");
    }
}

#[test]
fn a_link_that_carries_less_is_found_at_once() {
    // 1372 bytes: an Ethernet of MTU 1400.
    let (_, refused, lost) =
        echo(7, |send| if send.segment > 1_372 { error(libc::EMSGSIZE) } else { Ok(()) });
    assert!(lost == 0 && refused <= 2 * 2 * 6, "{lost} lost, {refused} refused");
}

#[test]
fn a_link_that_shrinks_while_data_flows_costs_a_round_trip_and_not_the_connection() {
    for code in [libc::EMSGSIZE, libc::EINVAL] {
        let (network, _server, client, hash) = network(8);
        client.run(async {
            let session = connect("server", options(hash)).await.unwrap();
            let data = pattern(8, 1 << 20);
            assert!(round_trip(&session, data.clone()).await.unwrap() == data);
            let largest = session.datagrams().writable.max_datagram_size();
            client.answer_sends(move |send| match (send.segment, send.segments) {
                (..=1_300, _) => Ok(()),
                (_, 1) => error(libc::EMSGSIZE),
                _ => error(code),
            });
            let before = network.now();
            assert!(round_trip(&session, data.clone()).await.unwrap() == data);
            assert!(network.now() - before < seconds(2), "{:?}", network.now() - before);
            assert!(session.datagrams().writable.max_datagram_size() < largest);
            let stats = session.get_stats().await.unwrap();
            assert!(stats.packets_lost < Some(200), "{stats:?}");
        });
    }
}

#[test]
fn an_address_that_cannot_be_sent_to_fails_the_attempt_at_once() {
    let codes = [
        libc::ENETUNREACH,
        libc::EHOSTUNREACH,
        libc::EACCES,
        libc::EPERM,
        libc::ENETDOWN,
        libc::EADDRNOTAVAIL,
    ];
    for code in codes {
        let (network, _server, client, hash) = network(9);
        client.answer_sends(move |_| error(code));
        client.run(async {
            let session = WebTransport::new("https://10.9.9.9:4433/", options(hash)).unwrap();
            let failed = session.ready().await.unwrap_err();
            let ErrorCause::Unreachable { remote, error } = failed.cause() else { panic!("{failed}") };
            assert_eq!(remote.to_string(), "10.9.9.9:4433");
            assert_eq!(error.raw_os_error(), Some(code));
            assert!(failed.to_string().starts_with("10.9.9.9:4433 cannot be reached from here"), "{failed}");
        });
        assert_eq!(network.now(), Duration::ZERO);
    }
}

#[test]
fn the_next_address_is_tried_at_once() {
    let (network, server, client, hash) = network(10);
    let reachable = server.addresses()[0];
    network.name("both", ["10.9.9.9".parse().unwrap(), reachable]);
    client
        .answer_sends(move |send| if send.to.ip() == reachable { Ok(()) } else { error(libc::EHOSTUNREACH) });
    client.run(async {
        connect("both", options(hash)).await.unwrap();
    });
    assert!(network.now() < Duration::from_millis(100), "{:?}", network.now());
}

#[test]
fn a_link_below_the_minimum_of_quic_fails_the_attempt_at_once() {
    let (network, _server, client, hash) = network(11);
    client.answer_sends(|send| if send.segment > 1_000 { error(libc::EMSGSIZE) } else { Ok(()) });
    client.run(async {
        let failed = connect("server", options(hash)).await.unwrap_err();
        assert!(matches!(failed.cause(), ErrorCause::Unreachable { .. }), "{failed}");
        assert!(failed.to_string().contains("1200 bytes"), "{failed}");
    });
    assert_eq!(network.now(), Duration::ZERO);
}

#[test]
fn a_route_that_disappears_for_a_while_ends_no_session() {
    for code in [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::EPERM, libc::ENETDOWN] {
        let (network, _server, client, hash) = network(12);
        client.run(async {
            let session = connect("server", options(hash)).await.unwrap();
            let data = pattern(12, 200_000);
            assert!(round_trip(&session, data.clone()).await.unwrap() == data);
            let (back, clock) = (network.now() + seconds(3), network.clone());
            client.answer_sends(move |_| if clock.now() < back { error(code) } else { Ok(()) });
            assert!(round_trip(&session, data.clone()).await.unwrap() == data);
            assert!(network.now() > back);
            client.answer_sends(|_| Ok(()));
        });
    }
}

/// The error does not blame the peer for its silence when this end could not send to it.
#[test]
fn a_route_that_disappears_for_good_is_the_reported_cause() {
    for code in [libc::ENETUNREACH, libc::EPERM] {
        let (network, _server, client, hash) = network(13);
        client.run(async {
            let transport = TransportConfig::new().idle_timeout(Some(seconds(6)));
            let session = connect("server", options(hash).transport(transport)).await.unwrap();
            client.answer_sends(move |_| error(code));
            let ended = session.closed().await.unwrap_err();
            let ErrorCause::Unreachable { error, .. } = ended.cause() else { panic!("{ended}") };
            assert_eq!(error.raw_os_error(), Some(code));
        });
        assert!(network.now() < seconds(20), "{:?}", network.now());
    }
}

/// The errors of a system that does not accept any datagram.
const NOTHING_TAKEN: [i32; 3] = [libc::ENOBUFS, libc::ENOMEM, libc::EAGAIN];

#[test]
fn a_session_ends_on_time_although_nothing_leaves() {
    for (seed, code) in NOTHING_TAKEN.into_iter().enumerate() {
        let (network, _server, client, hash) = network(seed as u64);
        let host = client.clone();
        client.run(async move {
            let transport = TransportConfig::new().idle_timeout(Some(seconds(6)));
            let limited = options(hash).transport(transport);
            let session = connect("server", limited.clone()).await.unwrap();
            let closing = connect("server", limited.clone()).await.unwrap();
            let quiet = connect("server", limited).await.unwrap();
            let mut stream = session.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap();
            host.answer_sends(move |_| error(code));
            stream.writable.write_all(&[7; 100_000]).await.unwrap();
            closing.close(CloseInfo::new(7, "bye"));
            // This end's own timers bound its close.
            let _ = closing.closed().await;
            let error = session.closed().await.unwrap_err();
            let ErrorCause::Socket(cause) = error.cause() else { panic!("{code}: {error}") };
            assert!(cause.to_string().contains("takes no datagrams to send"), "{cause}");
            assert!(stream.readable.read_chunk(1).await.is_err());
            // Also a session that only sends keep-alives.
            let error = quiet.closed().await.unwrap_err();
            assert!(matches!(error.cause(), ErrorCause::Socket(_)), "{code}: {error}");
            wt_api::wait_idle().await;
        });
        assert!(network.now() < seconds(14), "{code}: {:?}", network.now());
    }
}

#[test]
fn a_server_ends_its_sessions_on_time_although_nothing_leaves() {
    for (seed, code) in NOTHING_TAKEN.into_iter().enumerate() {
        let network = Network::new(seed as u64);
        let (host, client) = (network.host("server"), network.host("client"));
        network.link(&host, &client, &LinkConfig::new().delay(5 * MILLISECOND).rate(100_000_000));
        let transport = TransportConfig::new().idle_timeout(Some(seconds(6)));
        let (server, hash) = serve(&network, &host, transport);
        drop(client.spawn(async move {
            let mut sessions = Vec::new();
            for _ in 0..10 {
                // The response to the last request may not leave any more.
                sessions.extend(connect("server", options(hash)).await.ok());
            }
            for session in sessions {
                let _ = session.closed().await;
            }
        }));
        let (own, began) = (host.clone(), network.clone());
        host.run(async move {
            let mut sessions = Vec::new();
            for _ in 0..10 {
                let request = server.accept().await.unwrap();
                sessions.push(request.accept(AcceptOptions::new()).await.unwrap());
            }
            own.answer_sends(move |_| error(code));
            let (half, start) = (sessions.split_off(5), began.now());
            for session in &half {
                let data = vec![7; 100_000];
                let mut stream =
                    session.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
                stream.write_all(&data).await.unwrap();
            }
            for session in sessions.iter().chain(&half) {
                assert!(session.closed().await.is_err());
            }
            // The clients probe until their own idle timeout, and the server's idle timeout starts with their
            // last probe.
            assert!(began.now() - start < seconds(20), "{code}: {:?}", began.now() - start);
            assert_eq!(server.stats().await.connections, 0, "{code}");
            // New clients are not served, and do not keep the server from ending either.
            let start = began.now();
            server.shutdown(seconds(2)).await;
            assert!(began.now() - start < seconds(5), "{code}: {:?}", began.now() - start);
        });
    }
}

#[test]
fn a_shutdown_ends_on_time_although_nothing_leaves() {
    for (seed, code) in NOTHING_TAKEN.into_iter().enumerate() {
        let network = Network::new(seed as u64);
        let (host, client) = (network.host("server"), network.host("client"));
        network.link(&host, &client, &LinkConfig::new().delay(5 * MILLISECOND).rate(100_000_000));
        let (server, hash) = serve(&network, &host, TransportConfig::default());
        drop(client.spawn(async move {
            let session = connect("server", options(hash)).await.unwrap();
            let _ = session.closed().await;
        }));
        let (own, began) = (host.clone(), network.clone());
        host.run(async move {
            let session = server.accept().await.unwrap().accept(AcceptOptions::new()).await.unwrap();
            own.answer_sends(move |_| error(code));
            let start = began.now();
            server.shutdown(seconds(2)).await;
            let took = began.now() - start;
            assert!(took >= seconds(2) && took < seconds(5), "{code}: {took:?}");
            assert!(session.closed().await.is_err());
        });
    }
}

#[test]
fn a_socket_that_fails_to_receive_is_retried_and_reported() {
    for (seed, code) in [libc::EIO, libc::ENOSYS, libc::ENOMEM, libc::EPERM].into_iter().enumerate() {
        // While connecting.
        let (network, _server, client, hash) = network(seed as u64);
        let calls = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&calls);
        client.answer_receives(move |number| {
            count.store(number, Relaxed);
            error(code)
        });
        let failed = client.run(async { connect("server", options(hash)).await.unwrap_err() });
        let ErrorCause::Socket(cause) = failed.cause() else { panic!("{code}: {failed}") };
        assert!(cause.to_string().contains("gives no datagrams"), "{cause}");
        assert!(network.now() < seconds(3), "{:?}", network.now());
        assert!(calls.load(Relaxed) < 100, "{} calls", calls.load(Relaxed));
    }
    // In the middle of the session: it survives 2 s of failures. If the failure lasts, it ends and says why.
    let (network, _server, client, hash) = network(9);
    let (host, clock) = (client.clone(), network.clone());
    client.run(async move {
        let transport = TransportConfig::new().idle_timeout(Some(seconds(6)));
        let session = connect("server", options(hash).transport(transport)).await.unwrap();
        let until = clock.now() + seconds(2);
        let (now, calls) = (clock.clone(), Arc::new(AtomicU64::new(0)));
        let count = Arc::clone(&calls);
        host.answer_receives(move |number| {
            count.store(number, Relaxed);
            if now.now() < until { error(libc::ENOMEM) } else { Ok(()) }
        });
        let data = pattern(9, 100_000);
        assert!(round_trip(&session, data.clone()).await.unwrap() == data);
        assert!(clock.now() >= until && clock.now() < until + seconds(2), "{:?}", clock.now());
        host.answer_receives(|_| error(libc::EIO));
        let failed = session.closed().await.unwrap_err();
        assert!(matches!(failed.cause(), ErrorCause::Socket(_)), "{failed}");
    });
}

#[test]
fn a_client_waits_for_an_answer_as_long_as_its_timeout_says() {
    let network = Network::new(4);
    let (host, client) = (network.host("server"), network.host("client"));
    network.link(&host, &client, &LinkConfig::new().delay(5 * MILLISECOND));
    let (server, hash) = serve(&network, &host, TransportConfig::default());
    let (slow, clock) = (network.clone(), network.clone());
    drop(host.spawn(async move {
        slow.sleep(seconds(75)).await;
        let session = server.accept().await.unwrap().accept(AcceptOptions::new()).await.unwrap();
        let _ = session.closed().await;
    }));
    client.run(async move {
        let patient = options(hash).connect_timeout(seconds(120));
        connect("server", patient).await.unwrap();
        assert!(clock.now() >= seconds(75), "{:?}", clock.now());
    });
}
