//! Retry tokens (RFC 9000 §8.1.2, §8.1.4): they are sealed, bound to address, port and connection ID, and
//! short-lived.

use std::{net::SocketAddr, time::Duration};

use crate::{
    base::{Entropy, Reader, Timestamp, algorithms::aead},
    ids::ConnectionId,
};

const NONCE: usize = aead::NONCE_LEN;
/// A client answers a Retry within a round trip. On a lossy path it repeats the answer until its own
/// handshake times out.
const RETRY_LIFETIME: Duration = Duration::from_secs(30);
/// The first byte of the sealed content marks tokens of Retry packets (RFC 9000 §8.1.1).
const KIND_RETRY: u8 = 1;

/// The verdict on a token that a client presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The client's address is validated; the value is the destination connection ID of the first Initial.
    Valid(ConnectionId),
    /// The token is ours, but expired or presented by another client: the connection is refused (RFC 9000
    /// §8.1.2).
    Invalid,
    /// The token is not ours, and counts as absent.
    Unknown,
}

/// Seals and opens Retry tokens.
pub(super) struct TokenKey(aead::LessSafeKey);

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey")
    }
}

fn address_bytes(address: &SocketAddr, out: &mut Vec<u8>) {
    let ip = match address.ip() {
        std::net::IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        std::net::IpAddr::V6(ip) => ip,
    };
    out.extend(ip.octets());
    out.extend(address.port().to_be_bytes());
}

impl TokenKey {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let key = aead::UnboundKey::new(&aead::AES_256_GCM, key).expect("the key has 32 bytes");
        Self(aead::LessSafeKey::new(key))
    }

    /// A token for a Retry that changes the connection ID from `original` to `retry_source`.
    pub(super) fn seal(
        &self,
        remote: &SocketAddr,
        original: &ConnectionId,
        retry_source: &ConnectionId,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        let mut nonce = [0; NONCE];
        entropy.fill(&mut nonce);
        let mut content = vec![KIND_RETRY];
        address_bytes(remote, &mut content);
        content.extend((now + RETRY_LIFETIME).as_nanos().to_be_bytes());
        content.push(original.len() as u8);
        content.extend(original.as_bytes());
        content.extend(retry_source.as_bytes());
        self.0
            .seal_in_place_append_tag(
                aead::Nonce::assume_unique_for_key(nonce),
                aead::Aad::empty(),
                &mut content,
            )
            .expect("a token is far below the AEAD's limits");
        [&nonce[..], &content].concat()
    }

    /// Judges a token of an Initial from `remote` to `dcid`.
    pub(super) fn open(
        &self,
        token: &[u8],
        remote: &SocketAddr,
        dcid: &ConnectionId,
        now: Timestamp,
    ) -> Verdict {
        let Some((nonce, sealed)) = token.split_first_chunk::<NONCE>() else { return Verdict::Unknown };
        let nonce = aead::Nonce::assume_unique_for_key(*nonce);
        let mut sealed = sealed.to_vec();
        match self.0.open_in_place(nonce, aead::Aad::empty(), &mut sealed) {
            Ok(content) => judge(content, remote, dcid, now),
            Err(_) => Verdict::Unknown,
        }
    }
}

/// Judges the content of a token that this endpoint sealed itself.
fn judge(content: &[u8], remote: &SocketAddr, dcid: &ConnectionId, now: Timestamp) -> Verdict {
    let mut r = Reader::new(content);
    let mut expected = Vec::new();
    address_bytes(remote, &mut expected);
    let fields = (|| {
        let (kind, address, expires, length) = (r.u8().ok()?, r.bytes(18).ok()?, r.u64().ok()?, r.u8().ok()?);
        Some((kind, address, expires, ConnectionId::new(r.bytes(usize::from(length)).ok()?)?))
    })();
    let Some((KIND_RETRY, address, expires, original)) = fields else { return Verdict::Unknown };
    let bound_to_this = address == expected && r.rest() == dcid.as_bytes();
    let expires = Timestamp::from_nanos(expires);
    // A key may outlive its process, whose clock does not. A token that seems to come from the future is too
    // old to judge.
    if bound_to_this && now <= expires && expires <= now + RETRY_LIFETIME {
        Verdict::Valid(original)
    } else {
        Verdict::Invalid
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SeededEntropy;

    fn id(text: &[u8]) -> ConnectionId {
        ConnectionId::new(text).expect("short")
    }

    const NOW: Timestamp = Timestamp::from_nanos(5_000_000_000);

    #[test]
    fn a_token_of_a_clock_that_is_ahead_is_refused() {
        let (key, mut entropy) = (TokenKey::new(&[7; 32]), SeededEntropy::new(3));
        let remote: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let at = |seconds: u64| Timestamp::from_nanos(seconds * 1_000_000_000);
        let (original, source) = (id(b"original"), id(b"retrysrc"));
        let token = key.seal(&remote, &original, &source, at(1_000), &mut entropy);
        assert_eq!(key.open(&token, &remote, &source, at(1)), Verdict::Invalid);
        assert_eq!(key.open(&token, &remote, &source, at(999)), Verdict::Invalid);
        assert_eq!(key.open(&token, &remote, &source, at(1_000)), Verdict::Valid(original));
        assert_eq!(key.open(&token, &remote, &source, at(1_031)), Verdict::Invalid);
    }

    #[test]
    fn p07_tokens_are_bound_to_address_connection_id_and_time() {
        let key = TokenKey::new(&[1; 32]);
        let client: SocketAddr = "192.0.2.1:4433".parse().expect("an address");
        let other: SocketAddr = "192.0.2.1:4434".parse().expect("an address");
        let token = key.seal(&client, &id(b"original"), &id(b"retry"), NOW, &mut SeededEntropy::new(1));
        assert_eq!(key.open(&token, &client, &id(b"retry"), NOW), Verdict::Valid(id(b"original")));
        assert_eq!(
            key.open(&token, &client, &id(b"retry"), NOW + RETRY_LIFETIME),
            Verdict::Valid(id(b"original"))
        );
        let late = NOW + RETRY_LIFETIME + Duration::from_nanos(1);
        assert_eq!(key.open(&token, &client, &id(b"retry"), late), Verdict::Invalid);
        assert_eq!(key.open(&token, &other, &id(b"retry"), NOW), Verdict::Invalid);
        assert_eq!(key.open(&token, &client, &id(b"retrx"), NOW), Verdict::Invalid);
    }

    #[test]
    fn p08_garbage_counts_as_no_token() {
        let key = TokenKey::new(&[1; 32]);
        let client: SocketAddr = "[2001:db8::1]:4433".parse().expect("an address");
        let token = key.seal(&client, &id(b"original"), &id(b"retry"), NOW, &mut SeededEntropy::new(1));
        for length in 0..token.len() {
            assert_eq!(key.open(&token[..length], &client, &id(b"retry"), NOW), Verdict::Unknown);
        }
        for at in 0..token.len() {
            let mut forged = token.clone();
            forged[at] ^= 0x10;
            assert_eq!(key.open(&forged, &client, &id(b"retry"), NOW), Verdict::Unknown);
        }
        assert_eq!(TokenKey::new(&[2; 32]).open(&token, &client, &id(b"retry"), NOW), Verdict::Unknown);
    }
}
