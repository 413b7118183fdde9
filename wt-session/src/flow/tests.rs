//! Checks flow control against naive models.

use std::collections::VecDeque;

use proptest::{collection::vec, prelude::*};

use quic_core::{Dir, base::varint};

use super::{
    limits::{ALL, index},
    *,
};

fn limits(data: u64, bidi: u64, uni: u64) -> Limits {
    Limits { data, streams: [bidi, uni] }
}

fn messages(flow: &mut Flow) -> Vec<FlowMessage> {
    if flow.receive.wants_wider() {
        flow.receive.grow(u64::MAX);
    }
    std::iter::from_fn(|| flow.take_message()).collect()
}

const BIDI: Limited = Limited::Streams(Dir::Bidi);

#[test]
fn blocked_is_sent_once_for_each_limit() {
    let mut flow = Flow::new(limits(10, 1, 0), limits(1, 1, 1), 1, RaiseRule::Increase);
    flow.send.charge(Limited::Data, 10);
    for _ in 0..3 {
        flow.send.block(Limited::Data);
    }
    assert_eq!(messages(&mut flow), [FlowMessage::Blocked(Limited::Data, 10)]);
    flow.send.block(Limited::Data);
    assert!(!flow.has_messages());
    assert_eq!(flow.on_flow_message(FlowMessage::Max(Limited::Data, 12)), Ok(Raised::Awaited(Limited::Data)));
    // Nothing is blocked any more.
    assert_eq!(flow.on_flow_message(FlowMessage::Max(Limited::Data, 13)), Ok(Raised::Nothing));
    flow.send.charge(Limited::Data, 3);
    flow.send.block(Limited::Data);
    assert_eq!(messages(&mut flow), [FlowMessage::Blocked(Limited::Data, 13)]);
    flow.send.block(Limited::Streams(Dir::Uni));
    assert_eq!(messages(&mut flow), [FlowMessage::Blocked(Limited::Streams(Dir::Uni), 0)]);
}

#[test]
fn each_rule_permits_its_changes_of_a_limit() {
    // The rule, the capsules after a setting of 10, and whether each is permitted.
    let cases: [(RaiseRule, &[u64], bool); 9] = [
        (RaiseRule::Increase, &[10, 11, 12], true),
        (RaiseRule::Increase, &[9], false),
        (RaiseRule::Increase, &[10, 10], false),
        (RaiseRule::Increase, &[12, 12], false),
        (RaiseRule::NoDecrease, &[10, 10, 12, 12], true),
        (RaiseRule::NoDecrease, &[12, 11], false),
        (RaiseRule::NoDecrease, &[9], false),
        (RaiseRule::Any, &[3, 12, 12, 11, 0], true),
        (RaiseRule::Any, &[MAX_STREAMS + 1], false),
    ];
    for (rule, values, passes) in cases {
        let mut flow = Flow::new(limits(10, 10, 10), limits(1, 1, 1), 1, rule);
        let results: Vec<_> =
            values.iter().map(|value| flow.on_flow_message(FlowMessage::Max(BIDI, *value))).collect();
        let (last, before) = results.split_last().unwrap();
        assert!(before.iter().all(Result::is_ok), "{rule:?} {values:?}");
        assert_eq!(last.is_ok(), passes, "{rule:?} {values:?}");
        let highest = values.iter().copied().filter(|_| passes).max().unwrap_or(10).max(10);
        if passes {
            assert_eq!(flow.send.left(BIDI), highest);
        }
    }
    let mut flow = Flow::new(limits(1, 1, 1), limits(1, 1, 1), 1, RaiseRule::Any);
    assert_eq!(
        flow.on_flow_message(FlowMessage::Blocked(BIDI, MAX_STREAMS + 1)),
        Err(FlowViolation::TooMany { what: BIDI, value: MAX_STREAMS + 1 })
    );
    assert_eq!(flow.on_flow_message(FlowMessage::Blocked(BIDI, MAX_STREAMS)), Ok(Raised::Nothing));
    assert_eq!(flow.on_flow_message(FlowMessage::Max(Limited::Data, varint::MAX)), Ok(Raised::Nothing));
}

#[test]
fn the_window_grows_to_its_ceiling_for_a_reader_that_keeps_up() {
    let mut receive = ReceiveSide::new(limits(1000, 1, 1), 3500);
    let mut windows = Vec::new();
    for _ in 0..4 {
        let left = receive.data.limit - receive.data.received;
        receive.receive(left).unwrap();
        receive.consume(left);
        assert!(receive.data.window == 3500 || receive.wants_wider());
        receive.grow(u64::MAX);
        while receive.take_message().is_some() {}
        windows.push(receive.data.window);
    }
    assert_eq!(windows, [2000, 3500, 3500, 3500]);
    // It grows by no more than the spare bytes.
    let mut receive = ReceiveSide::new(limits(1000, 1, 1), 3500);
    receive.receive(1000).unwrap();
    receive.consume(1000);
    receive.grow(300);
    assert_eq!(receive.take_message(), Some(FlowMessage::Max(Limited::Data, 2300)));
    // For a reader that leaves most of it unread, the window does not grow.
    let mut receive = ReceiveSide::new(limits(1000, 1, 1), 3500);
    receive.receive(1000).unwrap();
    receive.consume(600);
    receive.grow(u64::MAX);
    assert_eq!(receive.take_message(), Some(FlowMessage::Max(Limited::Data, 1600)));
    assert_eq!(receive.data.window, 1000);
    // If the peer never comes near the limit, the window is large enough.
    let mut receive = ReceiveSide::new(limits(1000, 1, 1), 3500);
    for round in 1..10 {
        for _ in 0..3 {
            receive.receive(170).unwrap();
            receive.consume(170);
        }
        assert!(!receive.wants_wider());
        assert_eq!(receive.take_message(), Some(FlowMessage::Max(Limited::Data, 1000 + round * 510)));
    }
    assert_eq!(receive.data.window, 1000);
}

#[test]
fn a_peer_that_stops_at_an_earlier_limit_was_blocked() {
    for says_so in [false, true] {
        let mut receive = ReceiveSide::new(limits(1000, 1, 1), 3500);
        // Data arrives in small pieces and is read at once, so the limit rises long before it is reached. The
        // peer learns that a round trip later.
        let (mut known, mut windows) = (1000, Vec::new());
        for _ in 0..4 {
            let mut raised = known;
            // A stop for another reason says nothing about the window.
            while receive.data.received + 90 * u64::from(says_so) < known {
                let bytes = 90.min(known - receive.data.received);
                receive.receive(bytes).unwrap();
                receive.consume(bytes);
                while receive.is_due() {
                    if receive.wants_wider() {
                        receive.grow(u64::MAX);
                    }
                    let Some(FlowMessage::Max(Limited::Data, limit)) = receive.take_message() else {
                        panic!()
                    };
                    raised = limit;
                }
            }
            if says_so {
                receive.on_blocked(Limited::Data, known);
            }
            known = raised;
            windows.push(receive.data.window);
        }
        assert_eq!(windows.last(), Some(&3500), "{windows:?}");
    }
}

#[test]
fn held_bytes_earn_no_credit() {
    let mut receive = ReceiveSide::new(limits(1000, 1, 1), 4000);
    receive.receive(900).unwrap();
    assert_eq!(receive.hold(0), None, "nothing was read");
    receive.consume(900);
    assert_eq!(receive.hold(900), Some(400));
    receive.grow(u64::MAX);
    assert_eq!(receive.take_message(), None);
    assert_eq!(receive.data.window, 1000, "the application does not keep up");
    assert_eq!(receive.hold(401), Some(400));
    assert_eq!(receive.take_message(), None);
    assert_eq!(receive.hold(400), None);
    assert_eq!(receive.take_message(), Some(FlowMessage::Max(Limited::Data, 1500)));
    assert_eq!(receive.hold(400), None, "the peer has credit");
    receive.receive(500).unwrap();
    receive.consume(500);
    assert_eq!(receive.hold(900), Some(400));
    assert_eq!(receive.hold(0), None);
    assert_eq!(receive.take_message(), Some(FlowMessage::Max(Limited::Data, 2400)));
    // A peer without credit also gets small increases, because the application may need more data before it
    // reads on.
    receive.receive(1000).unwrap();
    receive.consume(1000);
    assert_eq!(receive.hold(1000), Some(938));
    assert_eq!(receive.hold(938), None);
    assert_eq!(receive.take_message(), Some(FlowMessage::Max(Limited::Data, 2462)));
}

#[test]
fn streams_are_granted_as_they_close() {
    let mut receive = ReceiveSide::new(limits(1, 2, 8), 1);
    receive.open(Dir::Bidi).unwrap();
    receive.open(Dir::Bidi).unwrap();
    let exceeded = FlowViolation::Exceeded { what: BIDI, limit: 2 };
    assert_eq!(receive.open(Dir::Bidi), Err(exceeded));
    assert_eq!(exceeded.to_string(), "the limit of 2 bidirectional streams was exceeded");
    assert_eq!(receive.take_message(), None);
    receive.close(Dir::Bidi);
    assert_eq!(receive.take_message(), Some(FlowMessage::Max(BIDI, 3)));
    receive.widen(Dir::Bidi, 10);
    receive.widen(Dir::Bidi, 4);
    assert_eq!(receive.take_message(), Some(FlowMessage::Max(BIDI, 11)));
    // A small increase is granted: the peer may have opened all its streams without sending a byte on them.
    receive.widen(Dir::Bidi, 11);
    assert_eq!(receive.take_message(), Some(FlowMessage::Max(BIDI, 12)));
    assert_eq!(receive.take_message(), None);
    receive.widen(Dir::Bidi, u64::MAX);
    assert_eq!(receive.take_message(), Some(FlowMessage::Max(BIDI, MAX_STREAMS)));
    for _ in 0..2 {
        receive.open(Dir::Uni).unwrap();
        receive.close(Dir::Uni);
    }
    // Two of eight: a quarter.
    assert_eq!(receive.take_message(), Some(FlowMessage::Max(Limited::Streams(Dir::Uni), 10)));
}

/// One step of two conforming ends.
#[derive(Clone, Debug)]
enum Step {
    Open(Dir),
    Send(u64),
    /// A stream is reset before some of its data was sent.
    Refund(u64),
    /// The receiver gets what was sent.
    Arrive,
    Consume(u64),
    Close(Dir),
    /// Capsules arrive, at most this many.
    Notes(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let dir = || prop_oneof![Just(Dir::Bidi), Just(Dir::Uni)];
    vec(
        prop_oneof![
            dir().prop_map(Step::Open),
            (0_u64..3000).prop_map(Step::Send),
            (0_u64..3000).prop_map(Step::Refund),
            Just(Step::Arrive),
            (0_u64..3000).prop_map(Step::Consume),
            dir().prop_map(Step::Close),
            (0_usize..4).prop_map(Step::Notes),
        ],
        0..200,
    )
}

/// The naive model of §5: plain sums.
#[derive(Debug, Default)]
struct Model {
    sent: u64,
    arrived: u64,
    consumed: u64,
    opened: [u64; 2],
    closed: [u64; 2],
}

proptest! {
    #[test]
    fn two_ends_never_break_a_limit_and_never_get_stuck(
        steps in steps(),
        data in 1_u64..5000,
        streams in 1_u64..9,
        growth in 1_u64..9,
    ) {
        let granted = limits(data, streams, streams);
        let mut sender = Flow::new(granted, limits(1, 1, 1), 1, RaiseRule::Increase);
        let mut receiver = Flow::new(limits(1, 1, 1), granted, data * growth, RaiseRule::Increase);
        let mut wire = VecDeque::new();
        let mut model = Model::default();
        let mut max = [data, streams, streams];
        for step in steps {
            match step {
                Step::Open(dir) if sender.send.left(Limited::Streams(dir)) == 0 => {
                    prop_assert_eq!(model.opened[dir as usize], max[1 + dir as usize]);
                    sender.send.block(Limited::Streams(dir));
                }
                Step::Open(dir) => {
                    sender.send.charge(Limited::Streams(dir), 1);
                    model.opened[dir as usize] += 1;
                    prop_assert_eq!(receiver.receive.open(dir), Ok(()));
                }
                Step::Send(bytes) => {
                    let bytes = bytes.min(sender.send.left(Limited::Data));
                    sender.send.charge(Limited::Data, bytes);
                    model.sent += bytes;
                }
                Step::Refund(bytes) => {
                    let bytes = bytes.min(model.sent - model.arrived);
                    sender.send.refund(bytes);
                    model.sent -= bytes;
                }
                Step::Arrive => {
                    prop_assert_eq!(receiver.receive.receive(model.sent - model.arrived), Ok(()));
                    model.arrived = model.sent;
                }
                Step::Consume(bytes) => {
                    let bytes = bytes.min(model.arrived - model.consumed);
                    receiver.receive.consume(bytes);
                    model.consumed += bytes;
                }
                Step::Close(dir) if model.closed[dir as usize] < model.opened[dir as usize] => {
                    receiver.receive.close(dir);
                    model.closed[dir as usize] += 1;
                }
                Step::Close(_) => {}
                Step::Notes(count) => {
                    wire.extend(messages(&mut receiver));
                    for message in wire.drain(..count.min(wire.len())) {
                        if let FlowMessage::Max(what, value) = message {
                            max[index(what)] = value;
                        }
                        prop_assert!(sender.on_flow_message(message).is_ok());
                    }
                }
            }
            prop_assert_eq!(sender.send.left(Limited::Data), max[0] - model.sent);
            // Unread bytes never exceed the ceiling, and open streams never exceed the window.
            prop_assert!(receiver.receive.data.limit <= model.consumed + data * growth);
            for dir in [Dir::Bidi, Dir::Uni] {
                let most = model.closed[dir as usize] + streams;
                prop_assert!(receiver.receive.streams[dir as usize].limit <= most);
            }
        }
        // Once everything is read and sent, there is credit again.
        prop_assert_eq!(receiver.receive.receive(model.sent - model.arrived), Ok(()));
        receiver.receive.consume(model.sent - model.consumed);
        for dir in [Dir::Bidi, Dir::Uni] {
            (model.closed[dir as usize]..model.opened[dir as usize]).for_each(|_| receiver.receive.close(dir));
        }
        wire.extend(messages(&mut receiver));
        for message in wire {
            prop_assert!(sender.on_flow_message(message).is_ok());
        }
        for what in ALL {
            prop_assert!(sender.send.left(what) > 0, "{}", what);
        }
    }

    #[test]
    fn a_peer_that_exceeds_a_limit_is_detected(
        amounts in vec(0_u64..400, 1..30),
        limit in 0_u64..3000,
    ) {
        let mut receive = ReceiveSide::new(limits(limit, limit, limit), limit);
        let mut sum = 0;
        for amount in amounts {
            sum += amount;
            prop_assert_eq!(receive.receive(amount).is_ok(), sum <= limit);
        }
    }

    #[test]
    fn stopped_streams_count_with_their_final_size(
        given_up in vec((0_u64..1000, 0_u64..1000), 1..20),
    ) {
        // Each stream is stopped after some bytes, and its final size is larger.
        let mut sum = 0;
        let granted = limits(1000, 1, 1);
        let mut sender = Flow::new(granted, granted, 1000, RaiseRule::Increase);
        let mut receiver = Flow::new(granted, granted, 1000, RaiseRule::Increase);
        for (seen, unseen) in given_up {
            let seen = seen.min(sender.send.left(Limited::Data));
            sender.send.charge(Limited::Data, seen);
            prop_assert_eq!(receiver.receive.receive(seen), Ok(()));
            let unseen = unseen.min(sender.send.left(Limited::Data));
            sender.send.charge(Limited::Data, unseen);
            receiver.receive.consume(seen);
            sum += seen + unseen;
            prop_assert_eq!(receiver.receive.receive(unseen), Ok(()));
            receiver.receive.consume(unseen);
            for message in messages(&mut receiver) {
                prop_assert!(sender.on_flow_message(message).is_ok());
            }
            // The peer always has credit, and never more than the window.
            prop_assert!((501..=1000).contains(&sender.send.left(Limited::Data)));
            prop_assert!(receiver.receive.data.limit <= sum + 1000);
        }
    }
}
