//! Responses of an endpoint to datagrams that belong to no connection.

use std::{net::SocketAddr, sync::Arc};

use bytes::{BufMut, BytesMut};
use netsim::{Datagram, Endpoint as _, SECOND};
use quic_core::{
    ConnectionId, ServerConfig, Version, Versions,
    error::ConnectionError,
    packet::{self, Header},
    testing,
};
use soak::{Host, World, lan};

fn server() -> Host {
    let (tls, _) = testing::tls_server_config(soak::ALPN);
    let config = ServerConfig::new(tls, [1; 32]);
    Host::new(1, server_address(), Some(Arc::new(config)))
}

fn server_address() -> SocketAddr {
    "192.0.2.2:443".parse().expect("an address")
}

fn client_address() -> SocketAddr {
    "192.0.2.1:50000".parse().expect("an address")
}

fn answer(host: &mut Host, now: u64, datagram: &[u8]) -> Option<Datagram> {
    host.handle_datagram(now, client_address(), server_address(), 0, datagram);
    host.poll_transmit(now)
}

fn unknown_version(size: usize, dcid: &[u8], scid: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xc0, 0x1a, 0x1a, 0x1a, 0x1a, dcid.len() as u8];
    bytes.extend(dcid);
    bytes.push(scid.len() as u8);
    bytes.extend(scid);
    bytes.resize(size, 0);
    bytes
}

#[test]
fn p03_unknown_versions_are_answered_with_both_connection_ids_swapped() {
    let mut host = server();
    let (dcid, scid) = (vec![1; 255], vec![2; 255]);
    let answer = answer(&mut host, 0, &unknown_version(1200, &dcid, &scid)).expect("an answer");
    let Ok(Header::VersionNegotiation(vn)) = packet::parse(&answer.payload, 8, false) else { panic!("VN") };
    assert_eq!((vn.dcid, vn.scid), (&scid[..], &dcid[..]));
    let versions: Vec<_> = vn.versions().collect();
    assert!(versions.contains(&Version::V1.number()) && versions.iter().any(|v| Version::is_reserved(*v)));
    assert_eq!(host.driver.endpoint.connections(), 0);
}

#[test]
fn unknown_versions_in_small_datagrams_and_in_answers_are_dropped() {
    let mut host = server();
    assert!(answer(&mut host, 0, &unknown_version(1199, &[1; 8], &[2; 8])).is_none());
    let mut vn = unknown_version(1200, &[1; 8], &[2; 8]);
    vn[1..5].fill(0);
    assert!(answer(&mut host, 0, &vn).is_none(), "Version Negotiation is never answered");
}

#[test]
fn p01_an_initial_below_1200_bytes_is_dropped() {
    let mut world = World::new(1, &lan());
    world.connect();
    let initial = world.client_host().poll_transmit(0).expect("a first flight").payload;
    assert!(initial.len() >= 1200);
    let mut host = server();
    assert!(answer(&mut host, 0, &initial[..1199]).is_none());
    assert_eq!(host.driver.endpoint.connections(), 0);
    assert!(answer(&mut host, 0, &initial).is_some());
    assert_eq!(host.driver.endpoint.connections(), 1);
}

#[test]
fn an_initial_that_is_not_authentic_makes_no_connection() {
    let mut world = World::new(2, &lan());
    world.connect();
    let mut initial = world.client_host().poll_transmit(0).expect("a first flight").payload;
    let at = initial.len() - 1;
    initial[at] ^= 1;
    let mut host = server();
    assert!(answer(&mut host, 0, &initial).is_none());
    assert_eq!(host.driver.endpoint.connections(), 0);
}

#[test]
fn p18_unknown_connections_are_reset_with_less_than_they_sent_or_not_at_all() {
    let mut host = server();
    for size in 1..=64usize {
        let mut datagram = vec![0x41; size];
        datagram[size - 1] = size as u8;
        // There is one datagram per second, so that only the sizes decide.
        match answer(&mut host, size as u64 * SECOND, &datagram) {
            Some(reset) => assert!(reset.payload.len() < size && reset.payload.len() >= 21, "{size}"),
            None => assert!(size <= 21, "{size}"),
        }
    }
}

#[test]
fn p18_two_endpoints_that_reset_each_other_fall_silent() {
    let (mut a, mut b) = (server(), server());
    let mut datagram = vec![0x41; 1200];
    let mut exchanged = 0;
    loop {
        let host = if exchanged % 2 == 0 { &mut a } else { &mut b };
        match answer(host, 0, &datagram) {
            Some(reset) => datagram = reset.payload,
            None => break,
        }
        exchanged += 1;
    }
    assert!(exchanged < 10, "{exchanged} resets");
}

#[test]
fn garbage_is_dropped() {
    let mut host = server();
    for size in 0..60 {
        for first in [0x00, 0x40, 0x80, 0xc0, 0xff] {
            let mut datagram = BytesMut::new();
            datagram.put_bytes(first, size);
            let _ = answer(&mut host, size as u64 * SECOND, &datagram);
        }
    }
    assert_eq!(host.driver.endpoint.connections(), 0);
}

fn version_negotiation(dcid: &ConnectionId, scid: &ConnectionId, versions: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0; 200];
    let mut w = quic_core::base::Writer::new(&mut bytes);
    assert!(packet::write_version_negotiation(&mut w, dcid.as_bytes(), scid.as_bytes(), versions, 0));
    w.written().to_vec()
}

#[test]
fn p04_version_negotiation_is_obeyed_only_when_it_fits() {
    for (versions, wrong_ids, ends) in [
        (&[0x1a2a_3a4a, 7][..], false, true),
        (&[Version::V1.number(), 0x1a2a_3a4a], false, false),
        (&[0x1a2a_3a4a], true, false),
    ] {
        let mut world = World::new(3, &lan());
        world.connect();
        let host = world.client_host();
        let initial = host.poll_transmit(0).expect("a first flight").payload;
        let Ok(Header::Long(long)) = packet::parse(&initial, 8, false) else { panic!("an Initial") };
        let scid = if wrong_ids { long.scid } else { long.dcid };
        let vn = version_negotiation(&long.scid, &scid, versions);
        host.handle_datagram(0, server_address(), client_address(), 0, &vn);
        let peer = host.driver.connections.values().chain(&host.gone).next().expect("a connection");
        match (&peer.error, ends) {
            (Some(ConnectionError::VersionMismatch { offered, accepted }), true) => {
                assert_eq!((&offered[..], *accepted), (versions, Versions::default()));
            }
            (None, false) => {}
            (error, _) => panic!("{error:?}"),
        }
    }
}
