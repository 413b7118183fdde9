//! The link between a peer and an endpoint: in memory, or over a UDP socket. A case on it needs only the
//! endpoint's datagrams, so it can test any endpoint.

use quic_core::{
    ConnectionId, Side, Space,
    frame::{Frame, Frames},
};

use crate::{
    cases::{Case, Expect},
    peer::{Close, Peer},
    wire,
    world::{Stage, World},
};

/// The link between the peer and the endpoint under test.
pub trait Ground {
    /// The peer.
    fn peer(&mut self) -> &mut Peer;
    /// Sends a datagram of the peer.
    fn put(&mut self, datagram: &[u8]);
    /// Waits for the endpoint. Returns false once it has been silent for its longest response time.
    fn listen(&mut self) -> bool;
}

/// In memory, time passes when the peer listens.
impl Ground for World {
    fn peer(&mut self) -> &mut Peer {
        &mut self.peer
    }

    fn put(&mut self, datagram: &[u8]) {
        self.deliver(datagram);
    }

    fn listen(&mut self) -> bool {
        let seen = self.peer.seen.len();
        if self.connection.is_some() {
            self.run_silently(std::time::Duration::from_millis(50));
        }
        self.peer.seen.len() > seen
    }
}

/// Plays a case. Returns what was observed.
///
/// # Errors
/// The endpoint did not react as the case requires. The text says what was observed instead.
pub fn play(case: &Case, ground: &mut dyn Ground) -> Result<String, String> {
    advance(ground, case.stage)?;
    let datagrams = (case.stimulus)(ground.peer());
    for datagram in &datagrams {
        ground.put(datagram);
    }
    let reaction = match &case.expect {
        Expect::Close { codes, frame_type } => expect_close(ground, codes, *frame_type),
        Expect::Alive => expect_alive(ground),
    };
    leave(ground);
    reaction
}

/// Brings the handshake to the stage at which the case begins.
fn advance(ground: &mut dyn Ground, stage: Option<Stage>) -> Result<(), String> {
    if ground.peer().side.is_client() {
        if ground.peer().original_dcid.is_empty() {
            // Unique for this peer, because the endpoint may still remember the previous one.
            let id = [b"orig", ground.peer().scid.as_bytes()].concat();
            ground.peer().start(ConnectionId::new(&id).expect("short"));
        }
        flight(ground);
    } else {
        until(ground, |peer| !peer.original_dcid.is_empty(), false)
            .then_some(())
            .ok_or("no client came to the server")?;
    }
    match (stage, ground.peer().side) {
        // The rest is the case itself.
        (None, _) | (Some(Stage::Initial), Side::Server) => Ok(()),
        // A server sends its whole flight at once.
        (Some(Stage::Initial | Stage::Handshake), Side::Client) => {
            until(ground, Peer::is_complete, false).then_some(()).ok_or_else(|| stuck(ground))
        }
        (Some(Stage::Handshake), Side::Server) => {
            flight(ground);
            Ok(())
        }
        (Some(Stage::Confirmed), _) => confirm(ground),
    }
}

fn stuck(ground: &mut dyn Ground) -> String {
    format!("the handshake did not complete; closes: {:?}", ground.peer().closes())
}

/// Plays the honest rest of the handshake.
fn confirm(ground: &mut dyn Ground) -> Result<(), String> {
    let done = |peer: &Peer| {
        peer.is_complete()
            && (!peer.side.is_client() || peer.count(|frame| matches!(frame, Frame::HandshakeDone)) > 0)
    };
    until(ground, done, true).then_some(()).ok_or_else(|| stuck(ground))?;
    flight(ground);
    Ok(())
}

/// Sends what an honest peer would. Returns whether there was anything.
fn flight(ground: &mut dyn Ground) -> bool {
    let datagrams = ground.peer().flight();
    for datagram in &datagrams {
        ground.put(datagram);
    }
    !datagrams.is_empty()
}

/// Listens until `so` holds. Responds with honest flights, either at once or only when the endpoint is
/// silent.
fn until(ground: &mut dyn Ground, so: impl Fn(&Peer) -> bool, answers: bool) -> bool {
    let mut silent = false;
    while !so(ground.peer()) {
        let spoke = (answers || silent) && flight(ground);
        if so(ground.peer()) {
            break;
        }
        let heard = ground.listen();
        if silent && !heard && !spoke {
            return so(ground.peer());
        }
        silent = !heard;
    }
    true
}

fn expect_close(ground: &mut dyn Ground, codes: &[u64], frame_type: Option<u64>) -> Result<String, String> {
    until(ground, |peer| !peer.closes().is_empty(), true);
    match &ground.peer().closes()[..] {
        [close]
            if !close.application
                && codes.contains(&close.code)
                && frame_type.is_none_or(|frame_type| frame_type == close.frame_type) =>
        {
            Ok(told(close))
        }
        [] => Err(format!("no close; one of {codes:x?} in frame {frame_type:x?} was due")),
        closes => Err(format!(
            "{}; one of {codes:x?} in frame {frame_type:x?} was due",
            closes.iter().map(told).collect::<Vec<_>>().join(", ")
        )),
    }
}

fn told(close: &Close) -> String {
    let kind = if close.application { "application close" } else { "close" };
    let reason = String::from_utf8_lossy(&close.reason);
    format!("{kind} {:#04x} in frame {:#04x} ({reason})", close.code, close.frame_type)
}

/// The handshake completes, and two more packets are acknowledged.
fn expect_alive(ground: &mut dyn Ground) -> Result<String, String> {
    confirm(ground)?;
    let mut last = 0;
    for _ in 0..2 {
        last = *ground.peer().next_number(Space::Data);
        let ping = ground.peer().sealed(Space::Data, vec![1]);
        ground.put(&ping);
    }
    let alive = until(ground, |peer| acknowledged(peer, last), true);
    let closes = ground.peer().closes();
    match (alive, &closes[..]) {
        (true, []) => Ok("ignored, and the connection lives".to_owned()),
        (false, []) => Err("silence".to_owned()),
        (_, [close, ..]) => Err(format!("{}; no close was expected", told(close))),
    }
}

fn acknowledged(peer: &Peer, number: u64) -> bool {
    peer.count(|frame| match frame {
        Frame::Ack(ack) => ack.ranges().any(|range| range.contains(&number)),
        _ => false,
    }) > 0
}

/// Closes the connection, so that the endpoint need not wait for its idle timeout.
fn leave(ground: &mut dyn Ground) {
    let goodbye = wire::frame(&Frame::TransportClose { code: 0, frame_type: 0, reason: b"" });
    debug_assert!(Frames::new(&goodbye).all(|frame| frame.is_ok()));
    for space in Space::ALL {
        if ground.peer().has(space) && ground.peer().closes().is_empty() {
            let sealed = ground.peer().sealed(space, goodbye.clone());
            ground.put(&sealed);
        }
    }
}
