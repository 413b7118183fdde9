//! Random transfers under small limits. Writers continue only after an event, so a lost event would leave
//! data unsent.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::*;

/// What happens to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Whole,
    /// The writer resets it after its first write.
    Reset,
    /// The reader stops it when it arrives.
    Stop,
    /// Both; the written data is committed before the reset.
    Both,
}

fn ways() -> impl Strategy<Value = Vec<(usize, Way)>> {
    let way =
        prop_oneof![4 => Just(Way::Whole), 1 => Just(Way::Reset), 1 => Just(Way::Stop), 1 => Just(Way::Both)];
    vec((0_usize..400, way), 1..25)
}

/// The streams of one side in one session.
#[derive(Debug)]
struct Writer {
    session: SessionId,
    /// The streams to open; the next one is last.
    planned: Vec<(usize, Way)>,
    sending: BTreeMap<StreamId, Bytes>,
    /// The data of each stream.
    expected: BTreeMap<StreamId, (usize, Way)>,
}

impl Writer {
    fn open(&mut self, node: &mut Node, end: &mut End) {
        while let Some((size, way)) = self.planned.last().copied() {
            let Some(stream) = node.sessions.open(self.session, Dir::Uni, end).unwrap() else { return };
            self.planned.pop();
            self.expected.insert(stream, (size, way));
            self.sending.insert(stream, Bytes::from(vec![9; size]));
            self.write(stream, node, end);
            if matches!(way, Way::Reset | Way::Both) && self.sending.remove(&stream).is_some() {
                if way == Way::Both {
                    node.sessions.commit(stream, end).unwrap();
                }
                node.sessions.reset(stream, 1, end).unwrap();
            }
        }
    }

    fn write(&mut self, stream: StreamId, node: &mut Node, end: &mut End) {
        let Some(data) = self.sending.get_mut(&stream) else { return };
        // Writes until it is blocked, as the driver does.
        while !data.is_empty() {
            match node.sessions.write(stream, data, end) {
                Ok(0) => return,
                Ok(_) => {}
                Err(StreamError::Stopped(_)) => return drop(self.sending.remove(&stream)),
                Err(error) => panic!("{error}"),
            }
        }
        let _ = node.sessions.finish(stream, end);
        self.sending.remove(&stream);
    }

    fn on_events(&mut self, events: &[Event], node: &mut Node, end: &mut End) {
        for event in events {
            match event {
                Event::Writable { stream } => self.write(*stream, node, end),
                Event::Stopped { stream, .. } => drop(self.sending.remove(stream)),
                Event::StreamsAvailable { session, dir: Dir::Uni }
                    if session.is_none_or(|session| session == self.session) =>
                {
                    self.open(node, end);
                }
                _ => {}
            }
        }
    }
}

/// What arrived on each stream, and whether it is over.
type Arrived = BTreeMap<StreamId, (usize, bool)>;

fn read(events: &[Event], writer: &Writer, arrived: &mut Arrived, node: &mut Node, end: &mut End) {
    for event in events {
        let Event::Readable { stream } = event else { continue };
        let Some((_, way)) = writer.expected.get(stream) else { continue };
        if matches!(way, Way::Stop | Way::Both) {
            let _ = node.sessions.stop(*stream, 2, end);
            continue;
        }
        let (data, last) = node.read_all(*stream, end);
        let entry = arrived.entry(*stream).or_default();
        entry.0 += data.len();
        entry.1 |= last != Ok(Read::Blocked);
    }
}

/// Transfers everything that is planned, in two sessions and both directions, until nothing moves any more.
fn transfer(
    plans: Vec<Vec<(usize, Way)>>,
    (piece, window): (usize, u64),
    (max_data, streams): (u64, u64),
) -> Result<(), TestCaseError> {
    let flow = FlowControl {
        max_data,
        max_data_ceiling: max_data * 3,
        max_data_together: max_data * 5,
        max_streams_bidi: streams,
        max_streams_uni: streams,
    };
    let config = Config { flow_control: Some(flow), max_sessions: 2, ..config_of(Dialect::Draft16) };
    let mut duo = Duo::new(&config, &config);
    duo.run();
    for index in 0..2 {
        duo.connect();
        let (node, end) = (&mut duo.server, &mut duo.pair.server);
        node.sessions.accept(id(index), HeaderMap::new(), &mut node.h3, end).unwrap();
        duo.run();
    }
    (duo.pair.client.window, duo.pair.server.window) = (window, window);
    let mut writers: Vec<(Side, Writer)> = Vec::new();
    for (at, planned) in plans.into_iter().enumerate() {
        let (sending, expected) = Default::default();
        let writer = Writer { session: id(at as u64 / 2), planned, sending, expected };
        writers.push((BOTH[at % 2], writer));
    }
    for (side, writer) in &mut writers {
        let ((node, end), _) = duo.ends(*side);
        writer.open(node, end);
    }
    let mut arrived = Arrived::new();
    let mut idle = 0;
    while idle < 3 {
        duo.client.flush(&mut duo.pair.client);
        duo.server.flush(&mut duo.pair.server);
        let moved = duo.pair.deliver(piece);
        duo.client.pump(&mut duo.pair.client);
        duo.server.pump(&mut duo.pair.server);
        let events = BOTH.map(|side| std::mem::take(&mut duo.ends(side).0.0.events));
        for (side, writer) in &mut writers {
            let (own, peer) = if side.is_client() { (0, 1) } else { (1, 0) };
            let ((node, end), (peer_node, peer_end)) = duo.ends(*side);
            writer.on_events(&events[own], node, end);
            read(&events[peer], writer, &mut arrived, peer_node, peer_end);
        }
        idle = if moved { 0 } else { idle + 1 };
    }
    for (_, writer) in &writers {
        prop_assert!(writer.planned.is_empty(), "not opened: {:?}", writer);
        prop_assert!(writer.sending.is_empty(), "not sent: {:?}", writer);
        for (stream, (size, way)) in &writer.expected {
            if *way == Way::Whole {
                prop_assert_eq!(arrived.get(stream), Some(&(*size, true)));
            }
        }
    }
    for node in [&duo.client, &duo.server] {
        prop_assert!(node.sessions.is_open(id(0)) && node.sessions.is_open(id(1)));
        prop_assert_eq!(node.sessions.open_streams(), 0);
        prop_assert!(node.sessions.resetting.is_empty());
    }
    Ok(())
}

#[test]
fn a_window_of_one_byte_survives_a_stop() {
    let nothing = || vec![(0, Way::Whole)];
    let plans = vec![nothing(), nothing(), nothing(), vec![(27, Way::Whole), (165, Way::Stop)]];
    transfer(plans, (1, 168), (1, 1)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn everything_arrives_whatever_blocks_it(
        plans in vec(ways(), 4),
        piece in 1_usize..150,
        window in 20_u64..300,
        max_data in 1_u64..200,
        streams in 1_u64..5,
    ) {
        transfer(plans, (piece, window), (max_data, streams))?;
    }
}
