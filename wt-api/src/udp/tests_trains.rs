//! Trains on scripted sockets: refused parts leave in another way, once and in order.

use std::{cell::RefCell, io, net::SocketAddr, time::Duration};

use proptest::prelude::*;
use quic_core::{Transmit, base::Ecn};

use super::{Progress, SendTrouble, Train, TrainSocket, Trains};

/// The error numbers on Linux.
mod errno {
    pub(super) const EPERM: i32 = 1;
    pub(super) const EIO: i32 = 5;
    pub(super) const EAGAIN: i32 = 11;
    pub(super) const ENOMEM: i32 = 12;
    pub(super) const EACCES: i32 = 13;
    pub(super) const EINVAL: i32 = 22;
    pub(super) const EMSGSIZE: i32 = 90;
    pub(super) const ENOPROTOOPT: i32 = 92;
    pub(super) const ENETDOWN: i32 = 100;
    pub(super) const ENETUNREACH: i32 = 101;
    pub(super) const ENOBUFS: i32 = 105;
    pub(super) const ECONNREFUSED: i32 = 111;
    pub(super) const EHOSTUNREACH: i32 = 113;
}

/// The arguments of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Call {
    number: usize,
    bytes: usize,
    segments: usize,
    source: bool,
    plain: bool,
}

/// A socket that returns scripted results and keeps accepted datagrams.
struct Scripted<F> {
    answer: F,
    calls: RefCell<usize>,
    /// The datagrams as the network would see them.
    taken: RefCell<Vec<Vec<u8>>>,
}

impl<F: Fn(Call) -> Option<i32>> Scripted<F> {
    fn new(answer: F) -> Self {
        Self { answer, calls: RefCell::new(0), taken: RefCell::default() }
    }

    fn call(&self, contents: &[u8], segment: usize, source: bool, plain: bool) -> io::Result<()> {
        *self.calls.borrow_mut() += 1;
        let (bytes, segments) = (contents.len(), contents.len().div_ceil(segment));
        let call = Call { number: *self.calls.borrow(), bytes, segments, source, plain };
        if let Some(code) = (self.answer)(call) {
            return Err(io::Error::from_raw_os_error(code));
        }
        self.taken.borrow_mut().extend(contents.chunks(segment).map(<[u8]>::to_vec));
        Ok(())
    }

    fn calls(&self) -> usize {
        *self.calls.borrow()
    }
}

impl<F: Fn(Call) -> Option<i32>> TrainSocket for Scripted<F> {
    fn try_send(&self, transmit: &quinn_udp::Transmit<'_>) -> io::Result<()> {
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len());
        self.call(transmit.contents, segment, transmit.src_ip.is_some(), false)
    }

    fn try_send_plain(&self, _: SocketAddr, contents: &[u8]) -> io::Result<()> {
        self.call(contents, contents.len(), false, true)
    }
}

fn transmit(size: usize, segment_size: usize, remote: &str) -> Transmit {
    let remote: SocketAddr = remote.parse().expect("an address");
    Transmit { remote, local_ip: Some(remote.ip()), ecn: Ecn::Ect0, size, segment_size }
}

fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}

/// Sends until the train is done. Returns how often it had to wait, and the trouble.
fn drive<F: Fn(Call) -> Option<i32>>(
    trains: &mut Trains,
    socket: &Scripted<F>,
    transmit: Transmit,
) -> (usize, SendTrouble) {
    let (mut train, contents, mut waits) = (Train::new(transmit), bytes(transmit.size), 0);
    loop {
        match trains.send(socket, &mut train, &contents) {
            Progress::Done(trouble) => return (waits, trouble),
            Progress::Blocked | Progress::Later(_) => waits += 1,
        }
        assert!(waits < 1_000, "no way through");
    }
}

fn expect_all<F>(socket: &Scripted<F>, transmit: &Transmit) {
    let expected: Vec<Vec<u8>> =
        bytes(transmit.size).chunks(transmit.segment_size).map(<[u8]>::to_vec).collect();
    assert!(*socket.taken.borrow() == expected, "each datagram once, in order");
}

const V4: &str = "192.0.2.1:443";
const V6: &str = "[2001:db8::1]:443";

#[test]
fn a_train_is_no_longer_than_a_link_carries_in_one_piece() {
    let trains = Trains::new(64);
    for size in (1200..=1500).chain([9000, 40_000]) {
        let segments = |remote: &str| trains.segments(size, &remote.parse().expect("an address"));
        for (remote, most) in [(V4, 65_489), (V6, 65_469), ("[::ffff:192.0.2.1]:443", 65_489)] {
            let segments = segments(remote);
            assert!(
                segments * size <= most && (segments + 1) * size > most,
                "{segments} of {size} to {remote}"
            );
        }
    }
    assert_eq!(trains.segments(100, &V4.parse().expect("an address")), 64);
    assert_eq!(trains.segments(66_000, &V4.parse().expect("an address")), 1);
}

#[test]
fn a_too_long_train_leaves_in_shorter_ones_and_the_next_is_shorter() {
    let mut trains = Trains::new(64);
    let socket = Scripted::new(|call| (call.bytes > 30_000).then_some(errno::EMSGSIZE));
    let whole = transmit(45 * 1452 - 100, 1452, V4);
    let (waits, trouble) = drive(&mut trains, &socket, whole);
    assert!(waits == 0 && trouble.is_none(), "{trouble:?}");
    expect_all(&socket, &whole);
    // Any limit of the system is found after a bounded number of refusals.
    let mut last = u64::MAX;
    for _ in 0..64 {
        last = trains.refused();
        let segments = trains.segments(1452, &whole.remote);
        drive(&mut trains, &socket, transmit(segments * 1452, 1452, V4));
    }
    assert_eq!(trains.refused(), last, "nothing is refused any more");
    assert!(trains.segments(1452, &whole.remote) == 30_000 / 1452);
    assert_eq!(
        trains.segments(1452, &V6.parse().expect("an address")),
        45,
        "the other family is not affected"
    );
}

#[test]
fn a_too_large_datagram_is_reported_and_the_shorter_last_one_leaves() {
    for code in [errno::EMSGSIZE, errno::EINVAL] {
        // Some kernels report a train of too large segments as invalid, and only a single one as too long.
        let socket = Scripted::new(|call| match (call.segments, call.bytes) {
            (1, ..=1400) => None,
            (1, _) => Some(errno::EMSGSIZE),
            _ => Some(code),
        });
        let mut trains = Trains::new(64);
        let (_, trouble) = drive(&mut trains, &socket, transmit(10 * 1452 + 700, 1452, V4));
        assert_eq!(trouble.too_large, Some(1452));
        assert!(trouble.failed.is_none());
        assert_eq!(*socket.taken.borrow(), [bytes(10 * 1452 + 700).split_off(10 * 1452)]);
        assert!(socket.calls() < 16, "not one call for each: {}", socket.calls());
        assert_eq!(trains.segments(1400, &V4.parse().expect("an address")), 46, "offload stays enabled");
    }
}

#[test]
fn an_answer_to_an_earlier_datagram_costs_nothing() {
    for code in [errno::EMSGSIZE, errno::ECONNREFUSED, errno::EHOSTUNREACH, errno::ENETUNREACH] {
        let socket = Scripted::new(|call| (call.number == 1).then_some(code));
        let mut trains = Trains::new(64);
        let whole = transmit(45 * 1452, 1452, V4);
        let (_, trouble) = drive(&mut trains, &socket, whole);
        assert!(trouble.is_none(), "{trouble:?}");
        expect_all(&socket, &whole);
        assert_eq!(socket.calls(), 2);
        assert_eq!(trains.segments(1452, &whole.remote), 45);
    }
}

#[test]
fn refused_offload_is_disabled() {
    for code in [errno::EIO, errno::EINVAL] {
        let socket = Scripted::new(|call| (call.segments > 1 && !call.plain).then_some(code));
        let mut trains = Trains::new(64);
        let whole = transmit(20 * 1300, 1300, V4);
        let (_, trouble) = drive(&mut trains, &socket, whole);
        assert!(trouble.is_none(), "{trouble:?}");
        expect_all(&socket, &whole);
        assert_eq!(socket.calls(), 21, "one refusal");
        assert_eq!(trains.segments(1300, &whole.remote), 1);
        assert_eq!(trains.refused(), 1);
    }
}

#[test]
fn refused_marks_are_disabled() {
    for code in [errno::EIO, errno::EINVAL, errno::ENOPROTOOPT] {
        let socket = Scripted::new(|call| (!call.plain).then_some(code));
        let mut trains = Trains::new(64);
        let whole = transmit(3 * 1300 + 5, 1300, V6);
        for _ in 0..2 {
            let (_, trouble) = drive(&mut trains, &socket, whole);
            assert!(trouble.is_none(), "{trouble:?}");
            expect_all(&socket, &whole);
            socket.taken.borrow_mut().clear();
        }
        assert_eq!(socket.calls(), 3 + 8, "three refusals, then none");
        assert_eq!(trains.segments(1300, &whole.remote), 1);
        assert_eq!(
            trains.segments(1300, &V4.parse().expect("an address")),
            50,
            "the other family is not affected"
        );
    }
}

#[test]
fn an_unusable_source_address_is_omitted_for_its_train_only() {
    let socket = Scripted::new(|call| call.source.then_some(errno::EINVAL));
    let mut trains = Trains::new(64);
    let whole = transmit(30 * 1300, 1300, V4);
    let (_, trouble) = drive(&mut trains, &socket, whole);
    assert!(trouble.is_none(), "{trouble:?}");
    expect_all(&socket, &whole);
    assert_eq!(trains.segments(1300, &whole.remote), 50, "offload and marks stay enabled");
}

#[test]
fn without_memory_retries_become_slower() {
    let socket = Scripted::new(|call| (call.number <= 12).then_some(errno::ENOBUFS));
    let mut trains = Trains::new(64);
    let whole = transmit(45 * 1452, 1452, V4);
    let (mut train, contents, mut waits) = (Train::new(whole), bytes(whole.size), Vec::new());
    loop {
        match trains.send(&socket, &mut train, &contents) {
            Progress::Later(wait) => waits.push(wait),
            Progress::Done(trouble) => break assert!(trouble.is_none(), "{trouble:?}"),
            Progress::Blocked => panic!("the socket is not full"),
        }
    }
    expect_all(&socket, &whole);
    let expected = [0, 1, 2, 4, 8, 16, 32, 64, 64, 64, 64, 64].map(Duration::from_millis);
    assert_eq!(waits, expected);
}

#[test]
fn a_train_that_cannot_be_sent_counts_as_lost_and_is_reported() {
    for code in
        [errno::ENETUNREACH, errno::EHOSTUNREACH, errno::EACCES, errno::EPERM, errno::ENETDOWN, errno::EINVAL]
    {
        let socket = Scripted::new(|_| Some(code));
        let mut trains = Trains::new(64);
        let (_, trouble) = drive(&mut trains, &socket, transmit(45 * 1452, 1452, V4));
        assert_eq!(trouble.failed.and_then(|error| error.raw_os_error()), Some(code));
        assert!(socket.calls() <= 4, "the rest is not tried: {}", socket.calls());
        assert_eq!(trains.segments(1452, &V4.parse().expect("an address")), 45, "the limit is unchanged");
    }
}

proptest! {
    /// Whatever is refused for a time, each datagram leaves once and in order, and the parts respect the
    /// limits of the family.
    #[test]
    fn nothing_is_lost_nor_sent_twice(
        segment in 1200_usize..2000,
        segments in 1_usize..45,
        last in 1_usize..1200,
        answers in proptest::collection::vec(
            prop_oneof![
                4 => Just(None),
                1 => prop_oneof![
                    Just(errno::EAGAIN), Just(errno::ENOBUFS), Just(errno::ENOMEM), Just(errno::EMSGSIZE)
                ].prop_map(Some),
            ],
            0..40,
        ),
        most in 4_000_usize..70_000,
        offload in any::<bool>(),
    ) {
        let (count, family_limit) = (answers.len(), 65_489);
        let socket = Scripted::new(|call| {
            assert!(call.bytes <= family_limit && call.segments <= 64, "{call:?}");
            if call.segments > 1 && !offload {
                return Some(errno::EIO);
            }
            if call.bytes > most {
                return Some(errno::EMSGSIZE);
            }
            // Two refusals in a row for the size of a single datagram would be final.
            let scripted = answers.get(call.number % (2 * count.max(1))).copied().flatten();
            scripted.filter(|code| *code != errno::EMSGSIZE || call.number % 2 == 0 && call.segments == 1)
        });
        let segments = segments.min(65_489 / segment - 1);
        let whole = transmit(segments * segment + last, segment, V4);
        let mut trains = Trains::new(64);
        for _ in 0..3 {
            let (_, trouble) = drive(&mut trains, &socket, whole);
            prop_assert!(trouble.is_none(), "{trouble:?}");
            let expected: Vec<Vec<u8>> = bytes(whole.size).chunks(segment).map(<[u8]>::to_vec).collect();
            prop_assert!(*socket.taken.borrow() == expected, "each datagram once, in order");
            socket.taken.borrow_mut().clear();
        }
    }
}
