//! The last datagram of a connection that cannot be used any more.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Connection, Transmit,
    plan::{Content, Limits, plan},
};
use crate::{
    base::{Ecn, Timestamp},
    error::{CloseReason, ConnectionError, TransportErrorCode},
    ids::Space,
    packet::MIN_INITIAL_SIZE,
};

impl Connection {
    /// Ends a connection whose state cannot be trusted any more, because code of the application panicked in
    /// one of its calls, such as a certificate verifier or a congestion controller. Writes a CONNECTION_CLOSE
    /// with `INTERNAL_ERROR` into `buf`, which must have at least 1200 bytes, at every level that the peer
    /// may be able to read (RFC 9000 §10.2.3). Returns `None` if the connection has already ended, if the
    /// peer must not be sent anything (§8.1), or if `buf` is shorter. The caller drops the connection
    /// afterwards.
    ///
    /// This calls neither TLS nor the congestion controller. It never uses a packet number twice, whatever
    /// the panic interrupted, because a number counts as used before its packet is sealed.
    pub fn farewell(&mut self, now: Timestamp, buf: &mut [u8]) -> Option<Transmit> {
        let buf = buf.get_mut(..MIN_INITIAL_SIZE)?;
        let now = self.clock.read(now);
        let reason = CloseReason::Transport {
            code: TransportErrorCode::INTERNAL_ERROR,
            frame_type: 0,
            reason: Bytes::from_static(b"the application failed"),
        };
        let error = ConnectionError::Internal("code of the application panicked");
        self.life.close(reason, error, now, Duration::ZERO);
        let interests = Space::ALL.map(|space| self.interest(space, now));
        let limits = Limits {
            room: buf.len(),
            amplification: self.paths.active.route.amplification_credit(),
            window: 0,
            pacing: 0,
        };
        let plan = plan(&interests, &limits, self.side.is_client()).ok()?;
        let (mut last, mut position) = (None, 0);
        self.out.receipts.clear();
        for space in Space::ALL {
            if plan.contents[space as usize] != Content::Close {
                continue;
            }
            if let Some(packet) = self.write_packet(space, Content::Close, buf, position, plan.size, now) {
                position = packet.sealed_end();
                if let Some(mut previous) = last.replace(packet) {
                    self.protect(&mut previous, buf, None, now);
                }
            }
        }
        let size = if plan.expand { plan.size } else { position };
        self.protect(&mut last?, buf, Some(size), now);
        self.life.on_close_sent();
        Some(self.transmit(Ecn::NotEct, size, size))
    }
}
