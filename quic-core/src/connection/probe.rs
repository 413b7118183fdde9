//! Datagrams that validate a path, and responses to the peer's validation (RFC 9000 §8.2).

use super::{
    Connection, Transmit,
    plan::{Content, Plan},
};
use crate::{
    base::{Ecn, Timestamp},
    frame::{Frame, FrameWriter, Receipt},
    ids::{Level, PathId, Space},
    packet::MIN_INITIAL_SIZE,
};

/// The least credit that an unvalidated address must have: room for a challenge and a response.
const LEAST_PROBE: u64 = 64;

impl Connection {
    /// Writes a datagram for a path that has challenges or responses to send.
    pub(super) fn write_path_probe(&mut self, now: Timestamp, buf: &mut [u8]) -> Option<Transmit> {
        if !self.paths.wants() || !self.life.is_open() || !self.keyring.has(Level::OneRtt) {
            return None;
        }
        let id = self.paths.next_probe(LEAST_PROBE)?;
        let in_use = self.paths.active.id == id;
        let path = self.paths.get_mut(id)?;
        // RFC 9000 §8.2.1, §8.2.2: the datagram has 1200 bytes, unless the address lacks the credit.
        let credit = usize::try_from(path.route.amplification_credit()).unwrap_or(usize::MAX);
        let size = credit.min(MIN_INITIAL_SIZE);
        let (remote, local_ip) = (path.route.remote, path.route.local_ip);
        // Only the path in use tries marks, because the peer counts them for all paths together.
        let ecn = if in_use { path.ecn() } else { Ecn::NotEct };
        let mut contents = [Content::Nothing; 3];
        contents[Space::Data as usize] = Content::PathProbe(id);
        let size =
            self.write_planned(&Plan { contents, size, expand: true }, buf.get_mut(..size)?, ecn, now)?;
        self.paths.get_mut(id)?.route.on_datagram_sent(size);
        self.count_sent(size, ecn, now);
        Some(Transmit { remote, local_ip, ecn, size, segment_size: size })
    }

    /// Writes the frames of such a datagram. On a path that is not in use they are probing frames only. On
    /// the path in use, a non-probing frame goes along with a response, which exposes an attacker that
    /// forwards packets (RFC 9000 §9.3.3).
    pub(super) fn write_path_frames(&mut self, id: PathId, w: &mut FrameWriter<'_>, now: Timestamp) {
        let mut data = [0; 8];
        let in_use = self.paths.active.id == id;
        let Some(path) = self.paths.get_mut(id) else { return };
        if path.route.wants_challenge() {
            self.entropy.fill(&mut data);
            let full = path.route.amplification_credit() >= MIN_INITIAL_SIZE as u64;
            path.route.write_challenge(w, data, full, now);
        }
        let answered = path.route.write_responses(w);
        if !in_use {
            // The peer may want a connection ID for this path.
            self.cids.local.write(w);
        } else if answered {
            let _ = w.frame(&Frame::Ping, Receipt::Nothing);
        }
    }
}
