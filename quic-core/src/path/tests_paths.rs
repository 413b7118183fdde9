//! Validation, routes and the paths of a connection, with plain values.

use std::{net::SocketAddr, time::Duration};

use super::{Expired, Path, Paths, Proof, Route, validation::Validation};
use crate::{
    base::Timestamp,
    config::TransportConfig,
    frame::{Frame, FrameWriter, Frames},
    ids::PathId,
};

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);
const PERIOD: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(3);

fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], port))
}

fn paths() -> Paths {
    let route = Route::new(address(1, 1), None, true);
    Paths::new(Path::new(PathId::FIRST, route, &TransportConfig::default(), NOW, 0))
}

fn add(paths: &mut Paths, remote: SocketAddr) -> (PathId, Option<SocketAddr>) {
    let (id, gone) = paths.add(Route::new(remote, None, false), &TransportConfig::default(), NOW, 0);
    (id, gone.map(|route| route.remote))
}

/// Sends the due challenge with `data`. Returns whether one was due.
fn challenge(route: &mut Route, data: [u8; 8], full: bool, now: Timestamp) -> bool {
    let (mut payload, mut receipts) = ([0; 100], Vec::new());
    let mut w = FrameWriter::new(&mut payload, &mut receipts);
    route.write_challenge(&mut w, data, full, now);
    let size = w.written();
    Frames::new(&payload[..size]).next() == Some(Ok(Frame::PathChallenge(data)))
}

#[test]
fn challenges_are_repeated_at_growing_intervals_until_patience_is_over() {
    let mut validation = Validation::new(NOW, PERIOD, PATIENCE);
    let mut sent = Vec::new();
    let mut now = NOW;
    for n in 0.. {
        while validation.wants() {
            validation.on_sent(now, [n; 8], true);
            sent.push((now - NOW).as_millis());
        }
        now = validation.deadline();
        if !validation.on_timeout(now) {
            break;
        }
    }
    assert_eq!(sent, [0, 100, 100, 300, 300, 700, 700, 1_500, 1_500]);
    assert_eq!(now, NOW + PATIENCE);
}

/// RFC 9000 §8.2.3: any challenge may be answered, and a small one proves the address alone.
#[test]
fn an_answer_proves_what_its_challenge_asked() {
    let mut route = Route::new(address(1, 1), None, false);
    route.ask(NOW, PERIOD, PATIENCE);
    assert!(challenge(&mut route, [1; 8], false, NOW) && !challenge(&mut route, [2; 8], true, NOW));
    assert!(!route.gave_up(NOW + PERIOD));
    assert!(challenge(&mut route, [2; 8], true, NOW + PERIOD));
    assert_eq!(route.on_response([3; 8]), None);
    assert!(!route.is_validated());
    assert_eq!(route.on_response([1; 8]), Some(Proof::Address));
    assert_eq!((route.is_validated(), route.on_response([1; 8])), (true, None), "told once");
    // No datagram of 1200 bytes passes.
    route.ask(NOW, PERIOD, PATIENCE);
    assert!(challenge(&mut route, [4; 8], true, NOW));
    route.on_carried(1199);
    assert!(route.gave_up(NOW + PATIENCE) && !route.gave_up(NOW + PATIENCE));
    // Data has passed in such a datagram, though no challenge was answered.
    route.ask(NOW, PERIOD, PATIENCE);
    assert!(challenge(&mut route, [6; 8], true, NOW));
    route.on_carried(1200);
    assert!(!route.gave_up(NOW + PATIENCE) && !route.is_asked());
    route.ask(NOW, PERIOD, PATIENCE);
    assert!(challenge(&mut route, [5; 8], true, NOW));
    assert_eq!(route.on_response([5; 8]), Some(Proof::Path));
    // An address that was validated once is not given up because of a later silence.
    route.ask(NOW, PERIOD, PATIENCE);
    assert!(!route.gave_up(NOW + PATIENCE) && !route.is_asked());
}

#[test]
fn a_few_paths_are_remembered_and_those_that_never_worked_go_first() {
    let mut paths = paths();
    let (valid, _) = add(&mut paths, address(2, 2));
    paths.get_mut(valid).expect("just made").route.validate();
    let mut names = vec![PathId::FIRST, valid];
    for port in 0..100 {
        let (id, gone) = add(&mut paths, address(3, port));
        assert!(!names.contains(&id), "no name is used twice");
        names.push(id);
        assert_eq!(gone.is_some(), port >= 2);
        assert!(gone.is_none_or(|gone| gone.ip() == address(3, 0).ip()));
        assert!(paths.iter().count() <= 4);
    }
    assert_eq!(paths.fallback(), Some(valid));
    assert_eq!(paths.find(address(2, 2), None), Some(valid));
    assert_eq!(paths.find(address(3, 0), None), None, "forgotten");
}

/// A move to another port keeps the flight; a move to another host does not. The way back has what it had.
#[test]
fn a_move_to_another_port_keeps_what_is_known_of_the_path() {
    let mut paths = paths();
    paths.active.in_flight = 5_000;
    let (port, _) = add(&mut paths, address(1, 9));
    assert!(paths.differs_by_port_only(port));
    assert_eq!(paths.activate(port, true), Some(port));
    assert_eq!((paths.active.id, paths.active.in_flight), (PathId::FIRST, 5_000));
    assert_eq!(paths.active.route.remote, address(1, 9));
    assert_eq!(paths.get_mut(port).map(|path| path.route.remote), Some(address(1, 1)));

    let (host, _) = add(&mut paths, address(2, 2));
    assert!(!paths.differs_by_port_only(host));
    assert_eq!(paths.activate(host, false), Some(PathId::FIRST));
    assert_eq!((paths.active.id, paths.active.in_flight), (host, 0));
    paths.on_landed(PathId::FIRST, 2_000);
    paths.on_landed(PathId(99), 2_000);
    assert_eq!(paths.activate(PathId::FIRST, false), Some(host));
    assert_eq!(paths.active.in_flight, 3_000);
}

#[test]
fn paths_expire_except_the_fallback() {
    let mut paths = paths();
    paths.active.route.kept_until = NOW;
    let (id, _) = add(&mut paths, address(2, 2));
    paths.get_mut(id).expect("just made").route.ask(NOW, PERIOD, PATIENCE);
    assert_eq!(paths.activate(id, false), Some(PathId::FIRST));
    // The old path is no longer needed, but there is no other.
    assert_eq!(paths.expire(NOW + PERIOD), None);
    assert!(challenge(&mut paths.active.route, [1; 8], true, NOW));
    let proof = paths.on_response([1; 8]);
    assert_eq!(proof, Some((id, Proof::Path)));
    assert_eq!(paths.deadline(), Some(NOW));
    assert_eq!(paths.expire(NOW + PERIOD), Some(Expired::Spare(PathId::FIRST)));
    assert!(paths.remove(PathId::FIRST).is_some() && paths.expire(NOW + PERIOD).is_none());
    // Attempts fail, and so does the path in use if it was never validated.
    let (attempt, _) = add(&mut paths, address(3, 3));
    paths.get_mut(attempt).expect("just made").route.ask(NOW, PERIOD, PATIENCE);
    assert_eq!(paths.expire(NOW + PATIENCE), Some(Expired::Attempt(attempt)));
    paths.get_mut(attempt).expect("still there").route.ask(NOW, PERIOD, PATIENCE);
    paths.activate(attempt, false);
    assert_eq!(paths.expire(NOW + PATIENCE), Some(Expired::Active));
}

/// RFC 9000 §9.3: reordered packets do not move the connection back.
#[test]
fn only_the_newest_number_counts() {
    let mut paths = paths();
    let newest: Vec<bool> = [0, 3, 2, 3, 4].into_iter().map(|number| paths.is_newest(number)).collect();
    assert_eq!(newest, [true, true, false, false, true]);
}
