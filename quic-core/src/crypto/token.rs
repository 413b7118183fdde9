//! Address tokens (RFC 9000 §8.1): those of Retry packets, which are bound to address, port and connection ID
//! for seconds, and those of NEW_TOKEN frames, which are bound to the address alone, for later connections. Both
//! are bound to the QUIC version (RFC 9369 §4.1, §5).

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::{
    base::{Entropy, Reader, Timestamp, algorithms::aead},
    ids::ConnectionId,
    version::Version,
};

const NONCE: usize = aead::NONCE_LEN;
/// A client answers a Retry within a round trip. On a lossy path it repeats the answer until its own
/// handshake times out.
const RETRY_LIFETIME: Duration = Duration::from_secs(30);
/// The clocks of servers that share a key may differ by this much.
const SKEW: Duration = Duration::from_secs(60);
/// The first byte of the sealed content marks tokens of Retry packets (RFC 9000 §8.1.1).
const KIND_RETRY: u8 = 1;
/// And this one marks tokens of NEW_TOKEN frames.
const KIND_NEW: u8 = 2;

/// The verdict on a token that a client presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The client has answered a Retry: its address is validated. The value is the destination connection ID
    /// of its first Initial.
    Retried(ConnectionId),
    /// The client was given the token on an earlier connection from its address, which is therefore
    /// validated. The number tells tokens apart.
    Known(u64),
    /// The token is that of a Retry packet of ours, but expired or presented by another client or in another
    /// version: the connection is refused (RFC 9000 §8.1.2).
    Invalid,
    /// The token is not ours, or too old, or of another address or version, and counts as absent (RFC 9000
    /// §8.1.3).
    Unknown,
}

/// Seals and opens tokens.
pub(crate) struct TokenKey {
    key: aead::LessSafeKey,
    /// How long tokens of NEW_TOKEN frames are good.
    lifetime: Duration,
    /// The Unix time at the origin of this server's timestamps.
    origin: Duration,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey")
    }
}

fn ip_bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
    .octets()
}

impl TokenKey {
    /// `lifetime` is that of tokens of NEW_TOKEN frames, `origin` the Unix time at the origin of timestamps.
    pub(crate) fn new(key: &[u8; 32], lifetime: Duration, origin: Duration) -> Self {
        let key = aead::UnboundKey::new(&aead::AES_256_GCM, key).expect("the key has 32 bytes");
        Self { key: aead::LessSafeKey::new(key), lifetime, origin }
    }

    fn seal(&self, mut content: Vec<u8>, entropy: &mut dyn Entropy) -> Vec<u8> {
        let mut nonce = [0; NONCE];
        entropy.fill(&mut nonce);
        self.key
            .seal_in_place_append_tag(
                aead::Nonce::assume_unique_for_key(nonce),
                aead::Aad::empty(),
                &mut content,
            )
            .expect("a token is far below the AEAD's limits");
        [&nonce[..], &content].concat()
    }

    fn unix_time(&self, now: Timestamp) -> Duration {
        self.origin.saturating_add(Duration::from_nanos(now.as_nanos()))
    }

    /// A token for later connections of a client at `ip` (RFC 9000 §8.1.3) that begin with `version`.
    pub(crate) fn seal_new(
        &self,
        version: Version,
        ip: IpAddr,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        let mut content = vec![KIND_NEW];
        content.extend(version.number().to_be_bytes());
        content.extend(ip_bytes(ip));
        content.extend(self.unix_time(now).as_secs().to_be_bytes());
        self.seal(content, entropy)
    }

    /// A token for a Retry of `version` that changes the connection ID from `original` to `retry_source`.
    pub(crate) fn seal_retry(
        &self,
        version: Version,
        remote: &SocketAddr,
        original: &ConnectionId,
        retry_source: &ConnectionId,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        let mut content = vec![KIND_RETRY];
        content.extend(version.number().to_be_bytes());
        content.extend(ip_bytes(remote.ip()));
        content.extend(remote.port().to_be_bytes());
        content.extend((now + RETRY_LIFETIME).as_nanos().to_be_bytes());
        content.push(original.len() as u8);
        content.extend(original.as_bytes());
        content.extend(retry_source.as_bytes());
        self.seal(content, entropy)
    }

    /// Judges a token of an Initial of `version` from `remote` to `dcid`.
    pub(crate) fn open(
        &self,
        version: Version,
        token: &[u8],
        remote: &SocketAddr,
        dcid: &ConnectionId,
        now: Timestamp,
    ) -> Verdict {
        let Some((nonce, sealed)) = token.split_first_chunk::<NONCE>() else { return Verdict::Unknown };
        let number = u64::from_be_bytes(*nonce.first_chunk().expect("a nonce has twelve bytes"));
        let nonce = aead::Nonce::assume_unique_for_key(*nonce);
        let mut sealed = sealed.to_vec();
        let Ok([kind, content @ ..]) = self.key.open_in_place(nonce, aead::Aad::empty(), &mut sealed) else {
            return Verdict::Unknown;
        };
        let Some((of, content)) = content.split_first_chunk() else { return Verdict::Unknown };
        let is_of_version = u32::from_be_bytes(*of) == version.number();
        match *kind {
            // RFC 9369 §4.1: a client stays with its version after a Retry.
            KIND_RETRY if !is_of_version => Verdict::Invalid,
            KIND_RETRY => judge_retry(content, remote, dcid, now),
            // RFC 9369 §5: a token of another version counts for nothing.
            KIND_NEW if is_of_version && self.knows(content, remote.ip(), now) => Verdict::Known(number),
            _ => Verdict::Unknown,
        }
    }

    /// Judges the content of a token of a NEW_TOKEN frame of this server, or of one with the same key.
    fn knows(&self, content: &[u8], ip: IpAddr, now: Timestamp) -> bool {
        let Some((address, made)) = content.split_first_chunk::<16>() else { return false };
        let Ok(made) = <[u8; 8]>::try_from(made) else { return false };
        let (made, now) = (Duration::from_secs(u64::from_be_bytes(made)), self.unix_time(now));
        *address == ip_bytes(ip)
            && made <= now.saturating_add(SKEW)
            && now <= made.saturating_add(self.lifetime)
    }
}

/// Judges the content of a Retry token that this endpoint sealed itself.
fn judge_retry(content: &[u8], remote: &SocketAddr, dcid: &ConnectionId, now: Timestamp) -> Verdict {
    let mut r = Reader::new(content);
    let fields = (|| {
        let (ip, port, expires) = (r.array::<16>().ok()?, r.u16().ok()?, r.u64().ok()?);
        let length = r.u8().ok()?;
        Some((ip, port, expires, ConnectionId::new(r.bytes(usize::from(length)).ok()?)?))
    })();
    let Some((ip, port, expires, original)) = fields else { return Verdict::Unknown };
    let bound_to_this = ip == ip_bytes(remote.ip()) && port == remote.port() && r.rest() == dcid.as_bytes();
    let expires = Timestamp::from_nanos(expires);
    // A key may outlive its process, whose clock does not. A token that seems to come from the future is too
    // old to judge.
    if bound_to_this && now <= expires && expires <= now + RETRY_LIFETIME {
        Verdict::Retried(original)
    } else {
        Verdict::Invalid
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SeededEntropy;
    use Version::{V1, V2};

    fn id(text: &[u8]) -> ConnectionId {
        ConnectionId::new(text).expect("short")
    }

    const DAY: Duration = Duration::from_secs(86_400);

    fn keyed(key: [u8; 32]) -> TokenKey {
        TokenKey::new(&key, DAY, Duration::from_secs(1_000_000))
    }

    const NOW: Timestamp = Timestamp::from_nanos(5_000_000_000);

    #[test]
    fn a_token_of_a_clock_that_is_ahead_is_refused() {
        let (key, mut entropy) = (keyed([7; 32]), SeededEntropy::new(3));
        let remote: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let at = |seconds: u64| Timestamp::from_nanos(seconds * 1_000_000_000);
        let (original, source) = (id(b"original"), id(b"retrysrc"));
        let token = key.seal_retry(V1, &remote, &original, &source, at(1_000), &mut entropy);
        assert_eq!(key.open(V1, &token, &remote, &source, at(1)), Verdict::Invalid);
        assert_eq!(key.open(V1, &token, &remote, &source, at(999)), Verdict::Invalid);
        assert_eq!(key.open(V1, &token, &remote, &source, at(1_000)), Verdict::Retried(original));
        assert_eq!(key.open(V1, &token, &remote, &source, at(1_031)), Verdict::Invalid);
    }

    #[test]
    fn p07_tokens_are_bound_to_address_connection_id_and_time() {
        let key = keyed([1; 32]);
        let client: SocketAddr = "192.0.2.1:4433".parse().expect("an address");
        let other: SocketAddr = "192.0.2.1:4434".parse().expect("an address");
        let token =
            key.seal_retry(V1, &client, &id(b"original"), &id(b"retry"), NOW, &mut SeededEntropy::new(1));
        assert_eq!(key.open(V1, &token, &client, &id(b"retry"), NOW), Verdict::Retried(id(b"original")));
        assert_eq!(
            key.open(V1, &token, &client, &id(b"retry"), NOW + RETRY_LIFETIME),
            Verdict::Retried(id(b"original"))
        );
        let late = NOW + RETRY_LIFETIME + Duration::from_nanos(1);
        assert_eq!(key.open(V1, &token, &client, &id(b"retry"), late), Verdict::Invalid);
        assert_eq!(key.open(V1, &token, &other, &id(b"retry"), NOW), Verdict::Invalid);
        assert_eq!(key.open(V1, &token, &client, &id(b"retrx"), NOW), Verdict::Invalid);
    }

    #[test]
    fn p08_garbage_counts_as_no_token() {
        let key = keyed([1; 32]);
        let client: SocketAddr = "[2001:db8::1]:4433".parse().expect("an address");
        let token =
            key.seal_retry(V1, &client, &id(b"original"), &id(b"retry"), NOW, &mut SeededEntropy::new(1));
        for length in 0..token.len() {
            assert_eq!(key.open(V1, &token[..length], &client, &id(b"retry"), NOW), Verdict::Unknown);
        }
        for at in 0..token.len() {
            let mut forged = token.clone();
            forged[at] ^= 0x10;
            assert_eq!(key.open(V1, &forged, &client, &id(b"retry"), NOW), Verdict::Unknown);
        }
        assert_eq!(keyed([2; 32]).open(V1, &token, &client, &id(b"retry"), NOW), Verdict::Unknown);
    }

    #[test]
    fn a_new_token_is_good_for_its_address_for_a_day_at_every_server_with_the_key() {
        let [client, elsewhere, mapped] = ["192.0.2.1:4433", "192.0.2.2:4433", "[::ffff:192.0.2.1]:9"]
            .map(|text| text.parse::<SocketAddr>().expect("an address"));
        let mut entropy = SeededEntropy::new(1);
        let token = keyed([1; 32]).seal_new(V1, client.ip(), NOW, &mut entropy);
        let verdict = |key: &TokenKey, remote, now| match key.open(V1, &token, &remote, &id(b"any"), now) {
            Verdict::Known(_) => true,
            verdict => {
                assert_eq!(verdict, Verdict::Unknown, "it is never a reason to close");
                false
            }
        };
        let ours = keyed([1; 32]);
        let last = NOW + DAY;
        assert!(verdict(&ours, client, NOW) && verdict(&ours, mapped, last));
        assert!(!verdict(&ours, client, last + Duration::from_secs(1)) && !verdict(&ours, elsewhere, NOW));
        assert!(!verdict(&keyed([2; 32]), client, NOW), "another key");
        // This server began a thousand seconds after the first: its timestamps are smaller.
        let later = TokenKey::new(&[1; 32], DAY, Duration::from_secs(1_001_000));
        assert!(verdict(&later, client, Timestamp::from_nanos(1)));
        let early = TokenKey::new(&[1; 32], DAY, Duration::from_secs(999_000));
        assert!(!verdict(&early, client, Timestamp::from_nanos(1)), "a token from the future");
        let other = ours.seal_new(V1, client.ip(), NOW, &mut entropy);
        let number = |token: &[u8]| ours.open(V1, token, &client, &id(b"any"), NOW);
        assert_ne!(number(&token), number(&other), "tokens of the same moment differ");
        for at in 0..token.len() {
            let mut forged = token.clone();
            forged[at] ^= 0x10;
            assert_eq!(number(&forged), Verdict::Unknown);
            assert_eq!(number(&token[..at]), Verdict::Unknown);
        }
    }

    /// RFC 9369 §4.1, §5.
    #[test]
    fn tokens_are_good_for_their_version_alone() {
        let (key, mut entropy) = (keyed([1; 32]), SeededEntropy::new(1));
        let client: SocketAddr = "192.0.2.1:4433".parse().expect("an address");
        for (own, other) in [(V1, V2), (V2, V1)] {
            let token = key.seal_new(own, client.ip(), NOW, &mut entropy);
            assert!(matches!(key.open(own, &token, &client, &id(b"any"), NOW), Verdict::Known(_)));
            assert_eq!(key.open(other, &token, &client, &id(b"any"), NOW), Verdict::Unknown);
            let token = key.seal_retry(own, &client, &id(b"original"), &id(b"retry"), NOW, &mut entropy);
            let verdict = Verdict::Retried(id(b"original"));
            assert_eq!(key.open(own, &token, &client, &id(b"retry"), NOW), verdict);
            assert_eq!(key.open(other, &token, &client, &id(b"retry"), NOW), Verdict::Invalid);
        }
    }
}
