//! The script of the handshake: keys, transport parameters, completion, confirmation (RFC 9001 §4).

use super::{Connection, close::Failure, zero_rtt::peer_limits};
use crate::{
    base::Timestamp,
    config::AckFrequency,
    event::{EarlyData, Event},
    handshake::{Progress, check_connection_ids},
    ids::{Level, Space},
    params::TransportParameters,
    recovery::Conditions,
};

impl Connection {
    /// Applies the results of a step of TLS.
    pub(super) fn apply_progress(&mut self, progress: Progress, now: Timestamp) -> Result<(), Failure> {
        if let Some(version) = progress.version.filter(|version| *version != self.first_flight.version()) {
            self.change_version(version);
        }
        if let Some(secret) = &progress.early {
            self.begin_early_data(secret, progress.remembered, now);
        }
        if progress.retried && self.early_data == EarlyData::Offered {
            // RFC 8446 §4.2.10: the server does not accept 0-RTT. That is settled when the handshake is
            // complete; until then nothing more is sent in vain, and what was sent does not fill the window,
            // which the second ClientHello needs.
            self.keyring.discard(Level::ZeroRtt);
            self.give_up_early_data();
        }
        for (level, local, remote) in &progress.keys {
            self.keyring.install(*level, local, remote);
            if *level == Level::OneRtt && self.side.is_client() {
                // RFC 9001 §4.9.3: 0-RTT packets end here.
                self.keyring.discard(Level::ZeroRtt);
            }
        }
        if let Some(parameters) = progress.parameters {
            self.apply_parameters(parameters, now)?;
        }
        if progress.completed {
            self.counters.complete = Some(now);
            self.membership.on_complete();
            self.life.on_handshake_complete();
            self.out.events.push_back(Event::HandshakeComplete);
            if !self.side.is_client() {
                // RFC 9001 §4.1.2: at a server, a complete handshake is confirmed, and the client is told at
                // once.
                self.control.send_handshake_done();
                self.confirm(now);
                self.give_token(now);
                self.keyring.discard_early_at(now + self.three_pto());
            }
        }
        Ok(())
    }

    fn apply_parameters(&mut self, parameters: TransportParameters, now: Timestamp) -> Result<(), Failure> {
        check_connection_ids(self.side, &parameters, &self.first_flight.expected_ids())?;
        let versions = self.first_flight.versions_agreed();
        if self.side.is_client() {
            versions.check_server(&parameters)?;
        } else {
            versions.check_client(&parameters)?;
        }
        if self.early_data == EarlyData::Offered {
            self.settle_early_data(&parameters, now)?;
        }
        self.life.negotiate_idle_timeout(parameters.max_idle_timeout);
        let least = parameters.min_ack_delay.filter(|_| self.config.ack_frequency == AckFrequency::Requested);
        self.requests.set_peer(parameters.max_ack_delay, least);
        let limits = peer_limits(&parameters);
        self.streams.set_peer_limits(limits, &mut self.schedule, &mut self.out.events);
        self.datagrams.set_peer_max_frame(parameters.max_datagram_frame_size);
        self.paths.active.limit_datagram_size(parameters.max_udp_payload_size, now);
        let limit = parameters.active_connection_id_limit;
        self.cids.local.set_peer_limit(limit, self.entropy.as_mut(), &mut self.out.cid_changes);
        if let Some(token) = parameters.stateless_reset_token {
            self.cids.remote.set_first_token(token, &mut self.out.cid_changes);
        }
        if let Some(address) = &parameters.preferred_address {
            self.cids.remote.add_preferred(address.connection_id, address.token);
        }
        self.peer = parameters;
        self.trace_peer_parameters(now);
        Ok(())
    }

    /// The handshake is confirmed (RFC 9001 §4.1.2): its keys are no longer needed (§4.9.2).
    pub(super) fn confirm(&mut self, now: Timestamp) {
        if self.handshake.confirm() {
            self.counters.confirmed = Some(now);
            self.discard(Space::Initial, now);
            self.discard(Space::Handshake, now);
            self.paths.active.start_mtu_discovery();
            self.out.events.push_back(Event::HandshakeConfirmed);
            if self.side.is_client() {
                self.prefer_address(now);
            }
        }
    }

    /// Forgets a space and its level: keys, CRYPTO data, packets in flight (RFC 9001 §4.9, RFC 9002 §6.4).
    pub(super) fn discard(&mut self, space: Space, now: Timestamp) {
        if self.keyring.has(space.level()) {
            self.keyring.discard(space.level());
            self.handshake.discard(space, &mut self.memory.fed);
            let paths = &mut self.paths;
            self.recovery.discard_space(space, now, &mut |path, bytes| paths.on_landed(path, bytes));
            self.outgoing.set_probes(space, 0);
            if space == Space::Handshake {
                self.acks.end_handshake();
            }
        }
    }

    /// The state of the connection that recovery depends on.
    pub(super) fn conditions(&self) -> Conditions {
        let client = self.side.is_client();
        let waits = |space: &Space| self.keyring.has(space.level()) && self.handshake.wants(*space);
        Conditions {
            max_ack_delay: self.requests.max_delay(),
            handshake_confirmed: self.handshake.is_confirmed(),
            // RFC 9002 §6.2.2.1: a client knows this only when a Handshake packet of its own was
            // acknowledged.
            peer_completed_address_validation: !client
                || self.handshake.is_confirmed()
                || self.recovery.largest_acked(Space::Handshake).is_some(),
            has_handshake_keys: self.keyring.has(Level::Handshake),
            crypto_waits: [Space::Initial, Space::Handshake].into_iter().find(waits),
            amplification_limited: !client && self.paths.active.route.is_amplification_limited(),
            scarce_memory: self.is_memory_short(),
            elsewhere_rtt: self.paths.elsewhere_rtt(),
        }
    }
}
