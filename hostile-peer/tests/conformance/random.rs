//! Any frames, with real keys, at any stage: the connection continues or ends properly, and frees everything.

use std::time::Duration;

use hostile_peer::{Stage, World, wire};
use proptest::prelude::*;
use quic_core::{ConnectionId, Dir, Event, Side, Space, StreamId, base::varint, frame::Frame};

/// A step of the peer, of the application or of time.
#[derive(Clone, Debug)]
enum Step {
    /// A packet with these frames, in the highest space of the stage or one lower.
    Packet { lower: bool, payload: Vec<u8>, generation: usize },
    /// The last datagram again, possibly with a flipped bit.
    Again { flip: Option<usize> },
    /// What an honest peer would send now.
    Honest,
    /// Milliseconds pass.
    Time(u16),
    /// The application opens a stream and writes to it.
    Write(Dir, usize),
    /// It resets it.
    Reset(Dir, u64),
    /// It stops reading this stream of the peer.
    Stop(Dir, u64),
    /// It sends a datagram.
    Datagram(usize),
    /// It stops or resumes reading.
    Reads(bool),
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 0..20u64,
        4 => 0..3000u64,
        1 => (0..=62u32, 0..3u64).prop_map(|(bits, d)| ((1u64 << bits) - 1).saturating_sub(d)),
        1 => 0..=varint::MAX,
    ]
}

fn stream_id() -> impl Strategy<Value = StreamId> {
    prop_oneof![12 => 0..24u64, 1 => number()].prop_map(|id| StreamId::from_value(id).expect("in range"))
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let data = prop::collection::vec(any::<u8>(), 0..40);
    let stream = (stream_id(), 0..60u64, any::<bool>(), data)
        .prop_map(|(id, offset, fin, data)| wire::stream(id, offset, fin, &data));
    prop_oneof![1 => stream, 2 => other_frame()]
}

fn other_frame() -> impl Strategy<Value = Vec<u8>> {
    let n = number;
    let data = || prop::collection::vec(any::<u8>(), 0..40);
    let dir = || prop_oneof![Just(Dir::Bidi), Just(Dir::Uni)];
    let w = |frame: Frame<'_>| wire::frame(&frame);
    prop_oneof![
        Just(vec![1]),
        (n(), n(), n(), prop::collection::vec((0..4u64, 0..4u64), 0..4)).prop_map(
            |(largest, delay, first, ranges)| wire::ack(largest, delay, first.min(largest), &ranges)
        ),
        (stream_id(), n(), n()).prop_map(move |(id, code, final_size)| w(Frame::ResetStream {
            id,
            code,
            final_size
        })),
        (stream_id(), n(), n(), n()).prop_map(move |(id, code, final_size, reliable)| {
            w(Frame::ResetStreamAt { id, code, final_size, reliable_size: reliable.min(final_size) })
        }),
        (stream_id(), n()).prop_map(move |(id, code)| w(Frame::StopSending { id, code })),
        (0..300u64, data()).prop_map(move |(offset, data)| w(Frame::Crypto { offset, data: &data })),
        n().prop_map(move |limit| w(Frame::MaxData(limit))),
        (stream_id(), n()).prop_map(move |(id, limit)| w(Frame::MaxStreamData { id, limit })),
        (dir(), n()).prop_map(move |(dir, limit)| w(Frame::MaxStreams { dir, limit: limit.min(1 << 60) })),
        n().prop_map(move |limit| w(Frame::DataBlocked(limit))),
        (stream_id(), n()).prop_map(move |(id, limit)| w(Frame::StreamDataBlocked { id, limit })),
        (dir(), n())
            .prop_map(move |(dir, limit)| w(Frame::StreamsBlocked { dir, limit: limit.min(1 << 60) })),
        (0..8u64, 0..8u64).prop_map(move |(sequence, retire)| w(Frame::NewConnectionId {
            sequence,
            retire_prior_to: retire.min(sequence),
            id: ConnectionId::new(&sequence.to_be_bytes()).expect("eight bytes"),
            token: [sequence as u8; 16],
        })),
        (0..6u64).prop_map(move |sequence| w(Frame::RetireConnectionId(sequence))),
        any::<[u8; 8]>().prop_map(move |data| w(Frame::PathChallenge(data))),
        any::<[u8; 8]>().prop_map(move |data| w(Frame::PathResponse(data))),
        data().prop_map(move |data| w(Frame::Datagram { data: &data, has_length: true })),
        (0..40usize).prop_map(|count| vec![0; count]),
        data(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let payload = || prop::collection::vec(frame(), 1..6).prop_map(|frames| frames.concat());
    let dir = || prop_oneof![Just(Dir::Bidi), Just(Dir::Uni)];
    prop_oneof![
        12 => (prop::bool::weighted(0.1), payload(), prop_oneof![20 => Just(0), 1 => 0..3usize])
            .prop_map(|(lower, payload, generation)| Step::Packet { lower, payload, generation }),
        1 => prop::option::of(0..1000usize).prop_map(|flip| Step::Again { flip }),
        4 => Just(Step::Honest),
        3 => (0..2000u16).prop_map(Step::Time),
        2 => (dir(), 0..20_000usize).prop_map(|(dir, size)| Step::Write(dir, size)),
        1 => (dir(), 0..4u64).prop_map(|(dir, index)| Step::Reset(dir, index)),
        1 => (dir(), 0..4u64).prop_map(|(dir, index)| Step::Stop(dir, index)),
        1 => (0..1200usize).prop_map(Step::Datagram),
        1 => any::<bool>().prop_map(Step::Reads),
    ]
}

fn play(w: &mut World, stage: Stage, steps: Vec<Step>) {
    let space = match stage {
        Stage::Initial => Space::Initial,
        Stage::Handshake => Space::Handshake,
        Stage::Confirmed => Space::Data,
    };
    let mut last = Vec::new();
    for step in steps {
        let (side, now) = (w.side(), w.now);
        match step {
            Step::Packet { lower, payload, generation } => {
                let space =
                    if lower && space > Space::Initial { Space::ALL[space as usize - 1] } else { space };
                w.peer.generation = generation;
                last = w.peer.sealed(space, payload);
                w.deliver(&last);
            }
            Step::Again { flip } => {
                if let (Some(at), false) = (flip, last.is_empty()) {
                    let at = at % (last.len() * 8);
                    last[at / 8] ^= 1 << (at % 8);
                }
                w.deliver(&last);
            }
            Step::Honest => drop(w.step()),
            Step::Time(milliseconds) => w.run_silently(Duration::from_millis(u64::from(milliseconds))),
            Step::Write(dir, size) => {
                if let Some(id) = w.connection().open(dir) {
                    let _ = w.connection().write(id, &mut vec![7; size].into());
                    let _ = w.connection().finish(id);
                }
            }
            Step::Reset(dir, index) => drop(w.connection().reset(StreamId::new(side, dir, index), 3, 0)),
            Step::Stop(dir, index) => {
                let _ = w.connection().stop_sending(StreamId::new(side.peer(), dir, index), 4);
            }
            Step::Datagram(size) => {
                let _ = w.connection().send_datagram(now, vec![8; size].into(), Default::default());
            }
            Step::Reads(reads) => w.reads = reads,
        }
        w.poll();
    }
}

/// Checks what holds whatever the peer did.
fn check(w: &mut World, validated: bool) {
    if !validated && w.side() == Side::Server {
        assert!(w.bytes_out <= 3 * w.bytes_in, "{} of {}", w.bytes_out, w.bytes_in);
    }
    assert!(w.connection().stats().memory_peak < 8 << 20);
    assert!(w.peer.closes().len() <= 1, "{:?}", w.peer.closes());
    if w.app.error().is_none() {
        let now = w.now;
        w.connection().close(now, 0, b"");
        w.poll();
    }
    w.expect_told();
    w.expect_gone();
    let opened = w.app.events.iter().filter(|event| matches!(event, Event::HandshakeComplete)).count();
    assert!(opened <= 1);
}

fn any_side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Server), Just(Side::Client)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_frames_after_the_handshake(side in any_side(), steps in prop::collection::vec(step(), 1..60)) {
        let mut w = World::at(side, Stage::Confirmed);
        let steps = steps.into_iter().map(|step| match step {
            Step::Packet { payload, generation, .. } => Step::Packet { lower: false, payload, generation },
            other => other,
        });
        play(&mut w, Stage::Confirmed, steps.collect());
        check(&mut w, true);
    }

    #[test]
    fn any_frames_during_the_handshake(
        side in any_side(),
        initial in any::<bool>(),
        steps in prop::collection::vec(step(), 1..20),
    ) {
        let stage = if initial { Stage::Initial } else { Stage::Handshake };
        let mut w = World::at(side, stage);
        // Initial packets alone do not prove the address.
        let steps: Vec<_> = steps.into_iter().filter(|step| !(initial && matches!(step, Step::Honest))).collect();
        play(&mut w, stage, steps);
        check(&mut w, !initial);
    }
}
