//! 0-RTT at the streams (RFC 9001 §4.6.2): which of them had early data, and how all of them begin again if the
//! server has not accepted it.

use super::{
    PeerLimits, Streams,
    flow::SendCredit,
    initial_send_limit,
    table::{Early, pending},
};
use crate::{
    ids::{Dir, StreamId},
    schedule::Schedule,
};

impl Streams {
    /// Data of the stream came in a 0-RTT packet.
    pub(crate) fn note_early(&mut self, id: StreamId) {
        if let Some(stream) = self.table.find(id).and_then(|slot| self.table.get_mut(slot)) {
            stream.early = Early::Arrived;
        }
    }

    /// Whether any data of the stream came in 0-RTT packets.
    pub(crate) fn arrived_early(&mut self, id: StreamId) -> bool {
        self.table
            .find(id)
            .and_then(|slot| self.table.get(slot))
            .is_some_and(|stream| stream.early == Early::Arrived)
    }

    /// The server has dropped everything that this client sent so far, and has these limits in place of the
    /// remembered ones. All data is sent again. Streams above the new limit wait until it rises.
    ///
    /// The caller has settled all receipts as lost, so that other frames are sent again, too.
    pub(crate) fn begin_again(&mut self, peer: PeerLimits, schedule: &mut Schedule) {
        self.peer = Some(peer);
        self.credit = SendCredit::of(peer.max_data);
        self.data_blocked_wanted = false;
        self.limits.local(Dir::Bidi).replace(peer.max_streams_bidi);
        self.limits.local(Dir::Uni).replace(peer.max_streams_uni);
        self.unpermitted = 0;
        for slot in self.table.slots() {
            let Some(stream) = self.table.get_mut(slot) else { continue };
            let id = stream.id;
            if id.index() >= self.limits.local(id.dir()).limit {
                stream.early = Early::Unpermitted;
                self.unpermitted += 1;
            }
            if let Some(send) = &mut stream.send {
                send.begin_again(initial_send_limit(self.config.side, Some(&peer), id));
                if send.reset_state().is_some() {
                    self.want(slot, pending::RESET);
                }
            }
            self.activate(slot, schedule);
        }
        self.unblock(schedule);
    }

    /// The peer's limit may have risen: streams that waited for it may send.
    pub(crate) fn permit(&mut self, schedule: &mut Schedule) {
        if self.unpermitted == 0 {
            return;
        }
        for slot in self.table.slots() {
            let Some(stream) = self.table.get_mut(slot).filter(|stream| stream.early == Early::Unpermitted)
            else {
                continue;
            };
            let (id, bits) = (stream.id, stream.pending);
            if id.index() < self.limits.local(id.dir()).limit {
                stream.early = Early::Nothing;
                self.unpermitted -= 1;
                self.want(slot, bits);
                self.activate(slot, schedule);
            }
        }
    }
}
