//! How the peer handles the endpoint's datagrams, and what it has recorded.

use std::collections::BTreeSet;

use quic_core::{
    ConnectionId, Space,
    crypto::unprotect_header,
    frame::{Frame, Frames},
    packet::{self, Header, LongType},
};

use super::{Close, Peer, Seen};

impl Peer {
    /// Handles a datagram of the endpoint.
    pub fn receive(&mut self, datagram: &[u8]) {
        let mut rest = datagram;
        if self.deaf {
            return;
        }
        while !rest.is_empty() {
            let Ok(header) = packet::parse(rest, self.scid.len(), true) else {
                self.undecryptable += 1;
                return;
            };
            let (space, pn_offset, end) = match header {
                Header::Long(long) => {
                    let space =
                        if long.kind == LongType::Initial { Space::Initial } else { Space::Handshake };
                    self.on_long(&long);
                    (space, long.pn_offset, long.end)
                }
                Header::Short(short) => (Space::Data, short.pn_offset, rest.len()),
                Header::Retry(retry) if self.side.is_client() && self.token.is_empty() => {
                    self.token = retry.token.to_vec();
                    return self.on_retry(retry.scid);
                }
                _ => {
                    self.undecryptable += 1;
                    return;
                }
            };
            self.zero_fixed_bits[space as usize] += usize::from(rest[0] & packet::FIXED_BIT == 0);
            self.open(space, &rest[..end], pn_offset);
            rest = &rest[end..];
        }
    }

    /// Handles a Retry: the ClientHello is sent again with the token.
    pub(super) fn on_retry(&mut self, scid: ConnectionId) {
        self.dcid = scid;
        self.initial_keys(scid);
        self.crypto[Space::Initial as usize].pending = self.hello.iter().copied().collect();
        self.crypto[Space::Initial as usize].sent = 0;
    }

    pub(super) fn on_long(&mut self, long: &packet::Long) {
        if !self.side.is_client() && self.tls.is_none() {
            if self.original_dcid.is_empty() {
                self.original_dcid = long.dcid;
            }
            self.initial_keys(long.dcid);
            self.dcid = long.scid;
            self.start_tls();
        } else if self.side.is_client() && self.received.iter().all(BTreeSet::is_empty) {
            self.dcid = long.scid;
        }
    }

    pub(super) fn open(&mut self, space: Space, packet: &[u8], pn_offset: usize) {
        let Some(keys) = &mut self.remote[space as usize] else {
            self.undecryptable += 1;
            return;
        };
        let mut packet = packet.to_vec();
        let expected = self.largest[space as usize].map_or(0, |largest| largest + 1);
        let opened = unprotect_header(keys.header(), &mut packet, pn_offset).and_then(|protected| {
            let number = packet::decode_packet_number(protected.number, protected.pn_size, expected);
            let header_size = pn_offset + protected.pn_size;
            let (generation, size) = keys.open(number, &mut packet, header_size)?;
            Some((number, generation, packet[header_size..header_size + size].to_vec()))
        });
        let Some((number, generation, payload)) = opened else {
            self.undecryptable += 1;
            return;
        };
        self.largest[space as usize] = self.largest[space as usize].max(Some(number));
        self.received[space as usize].insert(number);
        if self.forgets && self.received[space as usize].len() > 64 {
            self.received[space as usize].pop_first();
        }
        self.on_payload(space, &payload);
        let closes = |frame: &Frame<'_>| {
            matches!(frame, Frame::TransportClose { .. } | Frame::ApplicationClose { .. })
        };
        if !self.forgets || Frames::new(&payload).flatten().any(|frame| closes(&frame)) {
            self.seen.push(Seen { space, number, generation, payload });
        }
    }

    pub(super) fn on_payload(&mut self, space: Space, payload: &[u8]) {
        for frame in Frames::new(payload) {
            let frame = frame.expect("the endpoint sends valid frames");
            self.ack_due[space as usize] |= frame.is_ack_eliciting();
            if let Frame::Stream { id, .. } = frame
                && id.initiator() != self.side
            {
                let heard = &mut self.heard[id.dir() as usize];
                *heard = (*heard).max(id.index() + 1);
            }
            match frame {
                Frame::Crypto { offset, data } => {
                    self.crypto[space as usize].received.insert(offset, data.to_vec());
                    self.read_crypto(space);
                }
                Frame::Stream { id, offset, fin, data } if !self.forgets => {
                    self.streams.push((id.value(), offset, data.to_vec(), fin));
                }
                Frame::MaxData(limit) => self.max_data = self.max_data.max(limit),
                Frame::NewConnectionId { sequence, .. } => self.issued = self.issued.max(sequence),
                _ => {}
            }
        }
    }

    pub(super) fn read_crypto(&mut self, space: Space) {
        let stream = &mut self.crypto[space as usize];
        let mut bytes = Vec::new();
        for (offset, data) in &stream.received {
            let end = offset + data.len() as u64;
            if *offset <= stream.read && end > stream.read {
                bytes.extend(&data[(stream.read - offset) as usize..]);
                stream.read = end;
            }
        }
        let failed = match (&mut self.tls, bytes.is_empty()) {
            (Some(tls), false) => tls.read(&bytes).is_err(),
            _ => false,
        };
        self.tls_failed |= failed;
        self.drive();
    }

    /// All CONNECTION_CLOSE frames seen, without duplicates.
    #[must_use]
    pub fn closes(&self) -> Vec<Close> {
        let mut closes = Vec::new();
        for seen in &self.seen {
            for frame in Frames::new(&seen.payload).flatten() {
                let close = match frame {
                    Frame::TransportClose { code, frame_type, reason } => {
                        Close { application: false, code, frame_type, reason: reason.to_vec() }
                    }
                    Frame::ApplicationClose { code, reason } => {
                        Close { application: true, code, frame_type: 0, reason: reason.to_vec() }
                    }
                    _ => continue,
                };
                if !closes.contains(&close) {
                    closes.push(close);
                }
            }
        }
        closes
    }

    /// How many frames of the endpoint match.
    pub fn count(&self, mut fits: impl FnMut(&Frame<'_>) -> bool) -> usize {
        let frames = self.seen.iter().flat_map(|seen| Frames::new(&seen.payload).flatten());
        frames.filter(|frame| fits(frame)).count()
    }

    /// The connection IDs that the endpoint issued in frames: sequence number, ID, token.
    #[must_use]
    pub fn issued(&self) -> Vec<(u64, ConnectionId, [u8; 16])> {
        let frames = self.seen.iter().flat_map(|seen| Frames::new(&seen.payload).flatten());
        frames
            .filter_map(|frame| match frame {
                Frame::NewConnectionId { sequence, id, token, .. } => Some((sequence, id, token)),
                _ => None,
            })
            .collect()
    }
}
