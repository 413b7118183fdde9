//! A peer that opens streams and ends them at once, as browsers do: all of it comes before the driver's next turn. The
//! application gets each stream, with its data where nothing took that back, and then its end.

use std::{collections::BTreeMap, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use h3_core::capsule::put_capsule;
use netsim::{Random, for_seeds};
use quic_core::{Dir, StreamId, StreamTag, TransportConfig, base::varint};
use wt_session::codes;

use super::{ConnTransport, Rig, once};
use crate::{ErrorCause, ReceiveStream, SendStream, Server, WebTransport, WebTransportError};

/// How a peer ends what it sends on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Fin,
    /// RESET_STREAM: what was sent before may be lost, but not that there was a stream.
    Reset(u32),
    /// RESET_STREAM_AT with all of the data in front of it.
    ResetBehind(u32),
    Open,
}

/// What the peer did with a stream.
#[derive(Clone, Copy, Debug)]
struct Sent {
    dir: Dir,
    data: usize,
    end: End,
    /// With STOP_SENDING of this code, if it is a bidirectional one.
    stopped: Option<u32>,
}

impl Sent {
    fn drawn(random: &mut Random) -> Self {
        let dir = if random.chance(0.5) { Dir::Bidi } else { Dir::Uni };
        let code = random.below(1 << 32) as u32;
        let end = match random.below(4) {
            0 => End::Fin,
            1 => End::Reset(code),
            2 => End::ResetBehind(code),
            _ => End::Open,
        };
        let stopped = (dir == Dir::Bidi && random.chance(0.4)).then_some(code ^ 1);
        Self { dir, data: [0, 1, 100, 3000][random.below(4) as usize], end, stopped }
    }
}

/// How the peer goes on in the same burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Nothing,
    ClosesSession,
    ClosesConnection,
}

impl Rig {
    /// What the client has to send now; the server does not have it yet.
    fn withhold(&mut self, burst: &mut Vec<Vec<u8>>) {
        let mut buffer = vec![0; 64 << 10];
        while let Some(sent) = self.client.poll_transmit(self.now, &mut buffer) {
            burst.extend(buffer[..sent.size].chunks(sent.segment_size).map(<[u8]>::to_vec));
        }
    }

    /// A stream of the session with data, which leaves, and its end behind it.
    fn begin_and_end(&mut self, session: StreamId, sent: Sent, burst: &mut Vec<Vec<u8>>) -> StreamId {
        let id = self.client.open(sent.dir).expect("there is credit");
        self.client.set_tag(id, StreamTag(1));
        let mut out = BytesMut::new();
        varint::put(&mut out, if sent.dir == Dir::Bidi { 0x41 } else { 0x54 });
        varint::put(&mut out, session.value());
        out.put_bytes(7, sent.data);
        let size = out.len() as u64;
        let mut out = out.freeze();
        self.client.write(id, &mut out).unwrap();
        assert!(out.is_empty());
        // The pacer wants a while for so many.
        while self.client.send_stream_stats(id).is_some_and(|stats| stats.bytes_sent < size) {
            self.now += Duration::from_millis(1);
            self.withhold(burst);
        }
        match sent.end {
            End::Fin => self.client.finish(id).unwrap(),
            End::Reset(code) => self.client.reset(id, codes::to_http(code), 0).unwrap(),
            End::ResetBehind(code) => self.client.reset(id, codes::to_http(code), size).unwrap(),
            End::Open => {}
        }
        if let Some(code) = sent.stopped {
            self.client.stop_sending(id, codes::to_http(code)).unwrap();
        }
        self.withhold(burst);
        id
    }
}

/// The streams of one kind that the application has got, in their order.
fn taken(session: &WebTransport, dir: Dir) -> Vec<(Option<SendStream>, ReceiveStream)> {
    let mut bidi = session.incoming_bidirectional_streams();
    let mut uni = session.incoming_unidirectional_streams();
    std::iter::from_fn(|| match dir {
        Dir::Bidi => once(bidi.next())?.and_then(Result::ok).map(|stream| {
            let (receive, send) = stream.split();
            (Some(send), receive)
        }),
        Dir::Uni => once(uni.next())?.and_then(Result::ok).map(|stream| (None, stream)),
    })
    .collect()
}

fn read(stream: &mut ReceiveStream) -> (usize, Option<Result<(), WebTransportError>>) {
    let mut bytes = 0;
    loop {
        match once(stream.read_chunk(usize::MAX)) {
            Some(Ok(Some(chunk))) => bytes += chunk.len(),
            Some(Ok(None)) => return (bytes, Some(Ok(()))),
            Some(Err(error)) => return (bytes, Some(Err(error))),
            None => return (bytes, None),
        }
    }
}

#[test]
fn streams_that_begin_and_end_in_one_burst_are_told_with_their_ends() {
    for_seeds(0..60, |seed| {
        let random = &mut Random::new(seed);
        let mut rig = Rig::new(Server::builder(), TransportConfig::default());
        let (session, stream) = rig.session();
        let then = [Then::Nothing, Then::ClosesSession, Then::ClosesConnection][seed as usize % 3];
        let mut burst = Vec::new();
        let sent: BTreeMap<u64, Sent> = (0..=random.below(12))
            .map(|_| {
                let sent = Sent::drawn(random);
                (rig.begin_and_end(stream, sent, &mut burst).value(), sent)
            })
            .collect();
        match then {
            Then::Nothing => {}
            Then::ClosesSession => {
                let mut out = BytesMut::new();
                put_capsule(0x2843, b"\0\0\0\x09done", &mut out);
                let mut transport = ConnTransport::new(&mut rig.client, rig.now);
                rig.h3.send_data(stream, &mut out.freeze(), &mut transport).unwrap();
                rig.h3.finish(stream, &mut transport).unwrap();
            }
            Then::ClosesConnection => rig.client.close(rig.now, 0x100, b""),
        }
        rig.withhold(&mut burst);
        burst.iter().for_each(|datagram| rig.deliver_to_server(datagram, &mut None));
        // What the pacer kept back follows.
        rig.run(Duration::from_secs(1));
        let mut got: Vec<_> =
            [Dir::Bidi, Dir::Uni].into_iter().flat_map(|dir| taken(&session, dir)).collect();
        // What the session's end alone ended need not be told to those who have not taken it before.
        let mut untold = sent.clone();
        untold.retain(|_, sent| then == Then::Nothing || sent.end != End::Open);
        for (_, receive) in &got {
            untold.remove(&receive.id());
        }
        assert!(untold.is_empty(), "seed {seed}, {then:?}: {untold:?}");
        for (send, receive) in &mut got {
            let sent = sent[&receive.id()];
            let case = format!("seed {seed}, {then:?}, {sent:?}");
            let (bytes, end) = read(receive);
            match (sent.end, end) {
                (End::Fin, Some(Ok(()))) => assert_eq!(bytes, sent.data, "{case}"),
                (End::Reset(code), Some(Err(error))) => {
                    assert!(
                        matches!(error.cause(), &ErrorCause::StreamReset(Some(told)) if told == code),
                        "{case}: {error}"
                    );
                }
                (End::ResetBehind(code), Some(Err(error))) => {
                    assert_eq!(bytes, sent.data, "{case}");
                    assert!(
                        matches!(error.cause(), &ErrorCause::StreamReset(Some(told)) if told == code),
                        "{case}: {error}"
                    );
                }
                (End::Open, Some(Err(_))) if then != Then::Nothing => {}
                (End::Open, None) if then == Then::Nothing => assert_eq!(bytes, sent.data, "{case}"),
                (_, end) => panic!("{case}: {bytes} bytes, then {end:?}"),
            }
            if let (Some(send), Some(code)) = (send, sent.stopped)
                && then == Then::Nothing
            {
                let error =
                    once(send.write_chunk(Bytes::from_static(b"late"))).expect("it is stopped").unwrap_err();
                assert!(
                    matches!(error.cause(), &ErrorCause::StreamStopped(Some(told)) if told == code),
                    "{case}: {error}"
                );
            }
        }
    });
}
