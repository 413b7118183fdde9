//! Errors of sockets, scripted: nothing that a system refuses to send is lost in silence.
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
    CertificateHash, ErrorCause, TransportConfig, WebTransport,
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

/// Echoes a megabyte with both hosts' sends answered by `answer`; how long that took, what was refused, and packets that
/// were lost.
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
fn a_megabyte_passes_sockets_that_refuse_and_no_packet_is_lost_for_it() {
    let (plain, _, lost_anyway) = echo(1, |_| Ok(()));
    assert_eq!(lost_anyway, 0);
    let every = |n: u64, code: i32| {
        move |send: &SendAttempt| if send.number.is_multiple_of(n) { error(code) } else { Ok(()) }
    };
    // Full and without memory: what is refused waits.
    for code in [libc::ENOBUFS, libc::ENOMEM, libc::EAGAIN] {
        for n in [2, 7, 50] {
            let (time, refused, lost) = echo(n, every(n, code));
            assert!(refused > 0 && lost == 0, "every {n}th, {code}: {lost} of {refused} lost");
            assert!(time < plain * 3, "every {n}th, {code}: {time:?} and not {plain:?}");
        }
    }
    // The answer to an earlier datagram, told once.
    for code in [libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::ENETUNREACH, libc::EMSGSIZE] {
        let (_, refused, lost) = echo(3, every(3, code));
        assert!(refused > 0 && lost == 0, "{code}: {lost} of {refused} lost");
    }
}

#[test]
fn datagrams_of_every_size_leave_in_trains_that_a_system_takes() {
    for size in (1200..=1500).chain([9000]) {
        let network = Network::new(size.into());
        let (server, client) = (network.host("server"), network.host("client"));
        network.link(&server, &client, &LinkConfig::new().delay(MILLISECOND));
        let transport = TransportConfig { max_datagram_size: size, ..TransportConfig::default() };
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
fn trains_too_long_leave_in_parts() {
    let (_, refused, lost) = echo(4, |send| if send.bytes > 9_000 { error(libc::EMSGSIZE) } else { Ok(()) });
    assert!(lost == 0 && (1..400).contains(&refused), "{lost} lost, {refused} refused");
}

#[test]
fn offload_or_marks_that_are_refused_are_done_without() {
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
fn an_address_that_cannot_be_sent_to_is_told_at_once_while_connecting() {
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
fn a_link_below_the_least_that_quic_needs_is_told_at_once() {
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
fn a_route_that_goes_and_comes_back_ends_no_session() {
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
