//! A stream and its end arrive in one burst. However the bytes are split, the application gets the stream
//! first, and then its reset, stop or end.

use proptest::{option, prelude::*};

use super::*;

const DATA: &[u8] = b"payload";

/// How the peer ends its side of a stream.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Open,
    Fin,
    Reset,
}

/// How the burst is split: its parts arrive in steps, and the node handles events after some of them.
#[derive(Clone, Debug)]
struct Cuts {
    /// How many bytes of preface and data arrive first.
    first: usize,
    /// How many bytes one delivery carries.
    piece: usize,
    /// After which steps the node handles events.
    told: [bool; 4],
}

/// Delivers everything in pieces; the node handles the events if this is one of its steps.
fn arrive(rig: &mut Rig, cuts: &Cuts, step: usize) {
    while rig.pair.deliver(cuts.piece) {}
    if cuts.told[step] {
        rig.node.pump(rig.pair.ends(rig.node.side).0);
    }
}

/// The application's events of `stream`, in order.
fn told(rig: &Rig, stream: StreamId) -> Vec<&'static str> {
    let of_stream = |event: &&Event| match event {
        Event::StreamOpened { stream: of, .. }
        | Event::Readable { stream: of }
        | Event::Stopped { stream: of, code: Some(8) } => *of == stream,
        _ => false,
    };
    let mut names: Vec<_> =
        rig.node.events.iter().filter(of_stream).map(|event| names(std::slice::from_ref(event))[0]).collect();
    names.dedup();
    names
}

fn play(side: Side, dir: Dir, early: bool, end: Ending, stop_at: Option<usize>, cuts: &Cuts) {
    let mut rig =
        if early { Rig::pending(side, Dialect::Draft16) } else { Rig::ready(side, Dialect::Draft16) };
    rig.node.events.clear();
    let stop_at = stop_at.filter(|_| dir == Dir::Bidi);
    let bytes = [&preface(dir, id(0))[..], DATA].concat();
    let (first, rest) = bytes.split_at(cuts.first.min(bytes.len()));
    let stream = rig.peer_end().open(dir).unwrap();
    for step in 0..4 {
        let peer = rig.peer_end();
        if stop_at == Some(step) {
            peer.stop_sending(stream, crate::codes::to_http(8)).unwrap();
        }
        match (step, end) {
            (0, _) => peer.push(stream, first),
            (1, _) => peer.push(stream, rest),
            (2, Ending::Fin) => peer.finish(stream).unwrap(),
            (2, Ending::Reset) => peer.reset(stream, crate::codes::to_http(7), 0).unwrap(),
            _ => {}
        }
        arrive(&mut rig, cuts, step);
    }
    rig.run();
    if early {
        assert_eq!(told(&rig, stream), Vec::<&str>::new());
        rig.establish();
    }
    assert_eq!(rig.node.opened(), [stream]);
    let told = told(&rig, stream);
    assert_eq!(told[..2], ["opened", "readable"], "{told:?}");
    let stops = rig.node.events.iter().filter(|event| matches!(event, Event::Stopped { .. })).count();
    assert_eq!(stops, usize::from(stop_at.is_some()), "{told:?}");
    let (read, last) = rig.node.read_all(stream, rig.pair.ends(side).0);
    assert!(DATA.starts_with(&read));
    match end {
        Ending::Open => assert_eq!((&read[..], last), (DATA, Ok(Read::Blocked))),
        Ending::Fin => assert_eq!((&read[..], last), (DATA, Ok(Read::Finished))),
        Ending::Reset => assert_eq!(last, Err(StreamError::Reset(Some(7)))),
    }
    rig.alive();
}

proptest! {
    #[test]
    fn a_stream_is_announced_before_its_end(
        server in any::<bool>(),
        bidi in any::<bool>(),
        early in any::<bool>(),
        end in prop_oneof![Just(Ending::Open), Just(Ending::Fin), Just(Ending::Reset)],
        stop_at in option::of(0_usize..4),
        first in 0_usize..12,
        piece in prop_oneof![1_usize..4, Just(usize::MAX)],
        told in any::<[bool; 4]>(),
    ) {
        let side = if server { Side::Server } else { Side::Client };
        let dir = if bidi { Dir::Bidi } else { Dir::Uni };
        play(side, dir, early, end, stop_at, &Cuts { first, piece, told });
    }
}
