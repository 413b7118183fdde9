//! What the first packets of a connection settle: its version and the peer's connection ID (RFC 9000 §7.2),
//! which a Retry (§17.2.5), a Version Negotiation packet (§6.2) or compatible version negotiation (RFC 9369 §4.1)
//! may change.
//!
//! Owns the contents of those packets until the transport parameters confirm them (§7.3). Never knows keys,
//! timers or the path: the caller hands in packets, and this module decides which of them count and what
//! follows.

use super::{ExpectedIds, VersionsAgreed};
use crate::{
    crypto::{constant_time_eq, retry_integrity_tag},
    error::DropReason,
    ids::{ConnectionId, Side},
    packet::{self, Long, LongType, Retry, VersionNegotiation},
    version::{Version, Versions},
};

/// The contents of the first packets.
#[derive(Debug)]
pub(crate) struct FirstFlight {
    side: Side,
    versions: Versions,
    /// The version of the client's first packets.
    original: Version,
    /// The version in use. It differs from the original one once the server has chosen another.
    version: Version,
    /// Whether the version in use may still change at this client.
    version_is_open: bool,
    /// Whether this client has begun again because of a Version Negotiation packet.
    begun_again: bool,
    /// The destination connection ID of the client's first Initial.
    original_destination: ConnectionId,
    /// The source connection ID of the Retry packet.
    retry_source: Option<ConnectionId>,
    /// The source connection ID of the peer's first packet.
    peer_source: Option<ConnectionId>,
    /// The token for the client's Initial packets.
    token: Vec<u8>,
}

impl FirstFlight {
    /// The state of a client of these versions that sends its first Initial, of `original`, to `destination`.
    pub(crate) fn of_client(versions: Versions, original: Version, destination: ConnectionId) -> Self {
        Self {
            side: Side::Client,
            versions,
            original,
            version: original,
            version_is_open: true,
            begun_again: false,
            original_destination: destination,
            retry_source: None,
            peer_source: None,
            token: Vec::new(),
        }
    }

    /// The state of a server of these versions whose client has the ID `peer_source` and sent its first Initial, of
    /// `original`, to `original_destination`. `retry_source` is the source ID of the Retry, if there was one.
    pub(crate) fn of_server(
        versions: Versions,
        original: Version,
        original_destination: ConnectionId,
        retry_source: Option<ConnectionId>,
        peer_source: ConnectionId,
    ) -> Self {
        Self {
            side: Side::Server,
            versions,
            original,
            version: original,
            version_is_open: false,
            begun_again: false,
            original_destination,
            retry_source,
            peer_source: Some(peer_source),
            token: Vec::new(),
        }
    }

    /// The same state, where the client has a token from an earlier connection (RFC 9000 §8.1.3).
    pub(crate) fn with_token(self, token: Option<bytes::Bytes>) -> Self {
        Self { token: token.map_or(Vec::new(), Vec::from), ..self }
    }

    /// The version in use.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// The version of packets of this type to send: 0-RTT packets keep the original one (RFC 9369 §4.1).
    pub(crate) fn version_of(&self, kind: LongType) -> Version {
        if kind == LongType::ZeroRtt { self.original } else { self.version }
    }

    /// What the transport parameters must confirm of the version.
    pub(crate) fn versions_agreed(&self) -> VersionsAgreed {
        VersionsAgreed {
            versions: self.versions,
            original: self.original,
            negotiated: self.version,
            begun_again: self.begun_again,
        }
    }

    /// The destination connection ID from which the keys of Initial packets are derived (RFC 9001 §5.2).
    pub(crate) fn initial_destination(&self) -> &ConnectionId {
        self.retry_source.as_ref().unwrap_or(&self.original_destination)
    }

    /// The server has chosen this version: at a server by its own decision, at a client by an authentic Initial
    /// packet of it.
    pub(crate) fn set_version(&mut self, version: Version) {
        self.version = version;
        self.version_is_open = false;
    }

    /// CRYPTO data came in an Initial packet. Servers send it in the negotiated version alone, so this client knows
    /// that version now (RFC 9369 §4.1).
    pub(crate) fn on_crypto(&mut self) {
        self.version_is_open = false;
    }

    /// Whether the version in use may become this one.
    fn may_become(&self, version: Version) -> bool {
        self.version_is_open && version != self.version && self.versions.accepts(version)
    }

    /// Whether packets of this type and version belong to the connection. A client keeps Handshake packets that
    /// overtake the Initial packet that tells their version.
    fn permits(&self, kind: LongType, version: Version) -> bool {
        match kind {
            LongType::Initial => [self.version, self.original].contains(&version) || self.may_become(version),
            LongType::ZeroRtt => version == self.original,
            LongType::Handshake => version == self.version || self.may_become(version),
        }
    }

    /// The token that Initial packets carry (RFC 9000 §17.2.2).
    pub(crate) fn token(&self) -> &[u8] {
        &self.token
    }

    /// The connection IDs that the peer's transport parameters must confirm (RFC 9000 §7.3).
    pub(crate) fn expected_ids(&self) -> ExpectedIds {
        ExpectedIds {
            peer: self.peer_source.unwrap_or(ConnectionId::EMPTY),
            original_destination: self.original_destination,
            retry_source: self.retry_source,
        }
    }

    /// Checks whether a packet whose protection is still on may come from the peer.
    ///
    /// # Errors
    /// Why the packet is to be dropped.
    pub(crate) fn check(&self, long: &Long) -> Result<(), DropReason> {
        // RFC 9000 §5.2.1, RFC 9369 §4.1.
        if !self.permits(long.kind, long.version) {
            return Err(DropReason::Version);
        }
        // RFC 9000 §7.2: the peer's connection ID does not change in the handshake once it is known.
        if self.peer_source.is_some_and(|known| known != long.scid) {
            return Err(DropReason::Unsolicited);
        }
        // RFC 9000 §17.2.2: servers send no token.
        if self.side.is_client() && !long.token.is_empty() {
            return Err(DropReason::HeaderMalformed);
        }
        Ok(())
    }

    /// A packet from `source` is authentic. Returns the ID to send to from now on, if it changes: a client
    /// takes over the connection ID of the first such packet (RFC 9000 §7.2).
    pub(crate) fn on_authentic(&mut self, source: ConnectionId) -> Option<ConnectionId> {
        if self.peer_source.is_some() {
            return None;
        }
        self.peer_source = Some(source);
        Some(source)
    }

    /// A Retry packet arrived, whose bytes are `packet` (RFC 9000 §17.2.5.2). It counts once per attempt,
    /// before any other packet, and with a valid tag. Returns the ID to send to from now on; Initial keys are
    /// derived from it.
    ///
    /// # Errors
    /// Why the packet is to be dropped.
    pub(crate) fn on_retry(&mut self, retry: &Retry<'_>, packet: &[u8]) -> Result<ConnectionId, DropReason> {
        let (covered, tag) = packet::retry_integrity_split(packet).ok_or(DropReason::Unsolicited)?;
        let current = self.original_destination;
        let acceptable = self.is_untouched()
            && retry.version == self.original
            && !retry.token.is_empty()
            && retry.scid != current
            && constant_time_eq(tag, &retry_integrity_tag(self.original, &current, covered));
        if !acceptable {
            return Err(DropReason::Unsolicited);
        }
        self.retry_source = Some(retry.scid);
        self.token = retry.token.to_vec();
        Ok(retry.scid)
    }

    /// A Version Negotiation packet arrived for this end, whose source ID is `local` (RFC 9000 §6.2). It
    /// counts only as the first answer to the first attempt, and only if it does not offer our version (RFC 9368
    /// §4). Returns the versions that the server offers.
    ///
    /// # Errors
    /// Why the packet is to be dropped.
    pub(crate) fn on_version_negotiation(
        &self,
        offer: &VersionNegotiation<'_>,
        local: &ConnectionId,
    ) -> Result<Vec<u32>, DropReason> {
        let ours = offer.dcid == local.as_bytes() && offer.scid == self.original_destination.as_bytes();
        let in_use = self.version.number();
        if !self.is_untouched()
            || self.begun_again
            || !ours
            || offer.versions().any(|version| version == in_use)
        {
            return Err(DropReason::Unsolicited);
        }
        Ok(offer.versions().collect())
    }

    /// The version in which this client begins again with a server that offers these ones (RFC 9368 §2.1).
    pub(crate) fn select(&self, offered: &[u32]) -> Option<Version> {
        self.versions.select(offered)
    }

    /// The state of the client that begins again, in another version and with a first Initial to `destination`.
    pub(crate) fn again(&self, original: Version, destination: ConnectionId) -> Self {
        Self { begun_again: true, ..Self::of_client(self.versions, original, destination) }
    }

    /// Whether this is a client that has accepted no packet yet: it still sends to the ID that it drew.
    pub(crate) fn is_untouched(&self) -> bool {
        self.side.is_client() && self.peer_source.is_none() && self.retry_source.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::Writer,
        packet::{Header, LongType, write_version_negotiation},
    };

    use Version::{V1, V2};

    fn id(bytes: &[u8]) -> ConnectionId {
        ConnectionId::new(bytes).expect("short")
    }

    fn client() -> FirstFlight {
        FirstFlight::of_client(Versions::default(), V1, id(b"original"))
    }

    fn server() -> FirstFlight {
        FirstFlight::of_server(Versions::default(), V1, id(b"original"), None, id(b"client"))
    }

    fn retry(scid: &[u8], token: &[u8], answers: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xf0, 0, 0, 0, 1, 6];
        bytes.extend(b"client");
        bytes.push(scid.len() as u8);
        bytes.extend([scid, token].concat());
        let tag = retry_integrity_tag(V1, &id(answers), &bytes);
        bytes.extend(tag);
        bytes
    }

    fn hear_retry(flight: &mut FirstFlight, bytes: &[u8]) -> Result<ConnectionId, DropReason> {
        let Ok(Header::Retry(retry)) = packet::parse(bytes, 0, false) else { panic!("a Retry: {bytes:x?}") };
        flight.on_retry(&retry, bytes)
    }

    fn hear_offer(flight: &FirstFlight, ids: [&[u8]; 2], versions: &[u32]) -> Result<Vec<u32>, DropReason> {
        let mut bytes = [0; 100];
        let mut w = Writer::new(&mut bytes);
        assert!(write_version_negotiation(&mut w, ids[0], ids[1], versions, 0));
        let Ok(Header::VersionNegotiation(offer)) = packet::parse(w.written(), 0, false) else {
            panic!("a Version Negotiation packet")
        };
        flight.on_version_negotiation(&offer, &id(b"client"))
    }

    fn initial(scid: &[u8], token: std::ops::Range<usize>) -> Long {
        let kind = LongType::Initial;
        Long { kind, version: V1, dcid: id(b"client"), scid: id(scid), token, pn_offset: 9, end: 99 }
    }

    #[test]
    fn p05_a_retry_counts_once_and_before_anything_else() {
        let good = retry(b"elsewhere", b"token", b"original");
        let mut flight = client();
        assert_eq!(hear_retry(&mut flight, &good), Ok(id(b"elsewhere")));
        assert_eq!(
            (flight.token(), flight.expected_ids().retry_source),
            (&b"token"[..], Some(id(b"elsewhere")))
        );
        let again = retry(b"third", b"other", b"elsewhere");
        assert_eq!(hear_retry(&mut flight, &again), Err(DropReason::Unsolicited));
        assert_eq!(flight.token(), b"token");
        // The server's first Initial may again come from another ID.
        assert_eq!(flight.check(&initial(b"server", 0..0)), Ok(()));
        assert_eq!(flight.on_authentic(id(b"server")), Some(id(b"server")));

        let mut late = client();
        assert!(late.on_authentic(id(b"server")).is_some());
        for mut deaf in [late, server()] {
            assert_eq!(hear_retry(&mut deaf, &good), Err(DropReason::Unsolicited));
            assert!(deaf.token().is_empty() && deaf.expected_ids().retry_source.is_none());
        }
    }

    #[test]
    fn p05_a_retry_with_a_bad_tag_no_token_or_the_same_id_is_dropped() {
        let good = retry(b"elsewhere", b"token", b"original");
        let mut forged = good.clone();
        *forged.last_mut().expect("a tag") ^= 1;
        let bad = [
            forged,
            retry(b"elsewhere", b"token", b"another"),
            retry(b"elsewhere", b"", b"original"),
            retry(b"original", b"token", b"original"),
        ];
        let mut flight = client();
        for bytes in &bad {
            assert_eq!(hear_retry(&mut flight, bytes), Err(DropReason::Unsolicited), "{bytes:x?}");
        }
        assert_eq!(hear_retry(&mut flight, &good), Ok(id(b"elsewhere")), "nothing of them was kept");
    }

    #[test]
    fn p04_version_negotiation_counts_only_first_with_our_ids_and_without_our_version() {
        const OTHERS: &[u32] = &[0x1a2a_3a4a, 7];
        let ours: [&[u8]; 2] = [b"client", b"original"];
        assert_eq!(hear_offer(&client(), ours, OTHERS), Ok(OTHERS.to_vec()));
        for (ids, versions) in [
            (ours, &[7, V1.number()][..]),
            ([b"other", b"original"], OTHERS),
            ([b"client", b"other"], OTHERS),
            ([b"original", b"client"], OTHERS),
        ] {
            assert_eq!(hear_offer(&client(), ids, versions), Err(DropReason::Unsolicited), "{ids:?}");
        }
        let (mut answered, mut sent_on) = (client(), client());
        assert!(answered.on_authentic(id(b"server")).is_some());
        assert!(hear_retry(&mut sent_on, &retry(b"elsewhere", b"token", b"original")).is_ok());
        for flight in [answered, sent_on, server()] {
            assert_eq!(hear_offer(&flight, ours, OTHERS), Err(DropReason::Unsolicited));
        }
    }

    fn of(kind: LongType, version: Version) -> Long {
        Long { kind, version, ..initial(b"peer", 0..0) }
    }

    /// Which of the types Initial, 0-RTT and Handshake are taken in versions 1 and 2.
    fn taken(flight: &FirstFlight) -> [[bool; 3]; 2] {
        let kinds = [LongType::Initial, LongType::ZeroRtt, LongType::Handshake];
        [V1, V2].map(|version| kinds.map(|kind| flight.check(&of(kind, version)).is_ok()))
    }

    /// RFC 9369 §4.1.
    #[test]
    fn a_client_takes_over_the_version_of_the_server_once() {
        let mut flight = client();
        assert_eq!(taken(&flight), [[true; 3], [true, false, true]], "the server has not chosen yet");
        flight.set_version(V2);
        assert_eq!(taken(&flight), [[true, true, false], [true, false, true]]);
        assert_eq!((flight.version_of(LongType::ZeroRtt), flight.version_of(LongType::Initial)), (V1, V2));
        assert_eq!(flight.versions_agreed().original, V1);

        let mut stays = client();
        stays.on_crypto();
        assert_eq!(taken(&stays), [[true; 3], [false; 3]], "the server sends CRYPTO data in version 1");
        let alone = FirstFlight::of_client(Versions::new([V1]), V1, id(b"original"));
        assert_eq!(taken(&alone), [[true; 3], [false; 3]], "version 2 is not accepted");
    }

    /// RFC 9369 §4.1.
    #[test]
    fn a_server_takes_early_packets_of_the_original_version_and_later_ones_of_its_own() {
        let mut flight = FirstFlight::of_server(Versions::default(), V1, id(b"original"), None, id(b"peer"));
        assert_eq!(taken(&flight), [[true; 3], [false; 3]]);
        flight.set_version(V2);
        assert_eq!(taken(&flight), [[true, true, false], [true, false, true]]);
    }

    #[test]
    fn a_client_begins_again_once() {
        let flight = client();
        assert_eq!(flight.select(&[7, V2.number()]), Some(V2));
        assert_eq!(flight.select(&[7]), None);
        let again = flight.again(V2, id(b"another"));
        assert_eq!((again.version(), again.versions_agreed().begun_again), (V2, true));
        let ours: [&[u8]; 2] = [b"client", b"another"];
        assert_eq!(hear_offer(&again, ours, &[7, V1.number()]), Err(DropReason::Unsolicited));
    }

    #[test]
    fn the_first_authentic_packet_fixes_the_peers_id() {
        let mut flight = client();
        for source in [b"server", b"forger"] {
            assert_eq!(flight.check(&initial(source, 0..0)), Ok(()), "nothing is known of the server yet");
        }
        assert_eq!(flight.on_authentic(id(b"server")), Some(id(b"server")));
        assert_eq!(flight.on_authentic(id(b"server")), None);
        assert_eq!(flight.check(&initial(b"server", 0..0)), Ok(()));
        assert_eq!(flight.check(&initial(b"forger", 0..0)), Err(DropReason::Unsolicited));
        assert_eq!(flight.check(&initial(b"server", 5..6)), Err(DropReason::HeaderMalformed), "a token");
        assert_eq!(flight.expected_ids().peer, id(b"server"));

        let mut accepted = server();
        assert_eq!(accepted.on_authentic(id(b"client")), None);
        assert_eq!(accepted.check(&initial(b"client", 5..6)), Ok(()), "clients do send tokens");
        assert_eq!(accepted.check(&initial(b"forger", 0..0)), Err(DropReason::Unsolicited));
    }
}
