//! Endpoints that share an address: the connection ID tells which of them owns a datagram.

use bytes::BytesMut;
use quic_core::{
    CidFactory, ClientConfig, ConnectionId, DatagramEvent, DatagramMeta, Endpoint, EndpointConfig,
    base::{SeededEntropy, Timestamp},
    testing,
};

const KEY: [u8; 32] = [7; 32];
const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

fn endpoint(shard: u8, siblings: std::ops::Range<u8>) -> Endpoint {
    let config = EndpointConfig::new(CidFactory::new(8, shard, &KEY)).siblings(siblings);
    Endpoint::new(config, None, Box::new(SeededEntropy::new(u64::from(shard))))
}

fn meta() -> DatagramMeta {
    DatagramMeta::new(([192, 0, 2, 1], 4433).into()).allocation(1200)
}

fn id_of(shard: u8) -> ConnectionId {
    CidFactory::new(8, shard, &KEY).generate(&mut SeededEntropy::new(9))
}

/// A packet with a short header (RFC 9000 §17.3.1).
fn short(id: &ConnectionId) -> BytesMut {
    let mut packet = BytesMut::from(&[0x40][..]);
    packet.extend_from_slice(id.as_bytes());
    packet.extend_from_slice(&[0x55; 200]);
    packet
}

/// A packet with a long header of this type (RFC 9000 §17.2): 0 Initial, 1 0-RTT, 2 Handshake.
fn long(kind: u8, id: &ConnectionId) -> BytesMut {
    let mut packet = BytesMut::from(&[0xc0 | kind << 4, 0, 0, 0, 1, id.len() as u8][..]);
    packet.extend_from_slice(id.as_bytes());
    packet.extend_from_slice(&[0]);
    if kind == 0 {
        packet.extend_from_slice(&[0]);
    }
    packet.extend_from_slice(&[0x44, 0xb0]);
    packet.extend_from_slice(&[0x55; 1200]);
    packet
}

#[test]
fn a_datagram_of_a_sibling_is_handed_on_and_no_other_is() {
    let mut endpoint = endpoint(3, 2..5);
    for shard in 0..=255 {
        let (id, is_sibling) = (id_of(shard), [2, 4].contains(&shard));
        for packet in [short(&id), long(1, &id), long(2, &id)] {
            // RFC 9287: the connection may have agreed to a zero fixed bit, which only its endpoint knows.
            let mut greased = packet.clone();
            greased[0] &= !0x40;
            match endpoint.handle_datagram(NOW, &meta(), greased) {
                DatagramEvent::Sibling(to, _) => assert!(is_sibling && to == shard, "{shard}: {to}"),
                DatagramEvent::Dropped(_) => assert!(!is_sibling, "{shard}"),
                other => panic!("{shard}: {other:?}"),
            }
            match endpoint.handle_datagram(NOW, &meta(), packet.clone()) {
                DatagramEvent::Sibling(to, data) => {
                    assert!(is_sibling && to == shard && data == packet, "{shard}: {to}");
                }
                DatagramEvent::Respond(_) | DatagramEvent::Dropped(_) => assert!(!is_sibling, "{shard}"),
                other => panic!("{shard}: {other:?}"),
            }
        }
        // The first connection ID of a client is random.
        let event = endpoint.handle_datagram(NOW, &meta(), long(0, &id));
        assert!(!matches!(event, DatagramEvent::Sibling(..)), "{shard}");
    }
}

/// A Retry packet, or a Version Negotiation packet, for a client of this ID (RFC 9000 §17.2.1, §17.2.5).
fn for_clients(version: u32, id: &ConnectionId) -> BytesMut {
    let mut packet = BytesMut::from(&[0xf0][..]);
    packet.extend_from_slice(&version.to_be_bytes());
    packet.extend_from_slice(&[id.len() as u8]);
    packet.extend_from_slice(id.as_bytes());
    packet.extend_from_slice(&[4, 1, 2, 3, 4, 0, 0, 0, 1]);
    packet.extend_from_slice(&[0x55; 20]);
    packet
}

/// The responses to a connection that a sibling has opened begin with Initial and Retry packets.
#[test]
fn siblings_of_an_endpoint_that_connects_hand_on_the_responses() {
    let settings = EndpointConfig::new(CidFactory::new(8, 0, &KEY)).siblings(0..3);
    let [mut one, mut other] = [0, 1].map(|shard| {
        let mut config = settings.clone();
        config.cids = CidFactory::new(8, shard, &KEY);
        Endpoint::new(config, None, Box::new(SeededEntropy::new(u64::from(shard))))
    });
    let packets = |id: &ConnectionId| [long(0, id), for_clients(1, id), for_clients(0, id)];
    let handed_on = |endpoint: &mut Endpoint, packet| match endpoint.handle_datagram(NOW, &meta(), packet) {
        DatagramEvent::Sibling(to, _) => Some(to),
        DatagramEvent::Dropped(_) => None,
        other => panic!("{other:?}"),
    };
    for packet in packets(&id_of(1)) {
        assert_eq!(handed_on(&mut one, packet), None, "no sibling has opened a connection");
    }
    let (_, certificate) = testing::tls_server_config(b"test");
    let config = ClientConfig::new(testing::tls_client_config(&certificate, b"test"));
    other.connect(NOW, &config, "localhost", meta().remote).expect("a configuration that can be used");
    for (shard, expected) in [(0, None), (1, Some(1)), (2, Some(2)), (3, None)] {
        for packet in packets(&id_of(shard)) {
            assert_eq!(handed_on(&mut one, packet), expected, "{shard}");
        }
    }
}

#[test]
fn an_endpoint_without_siblings_hands_nothing_on() {
    let mut endpoint = endpoint(0, 0..0);
    for shard in 0..=255 {
        let event = endpoint.handle_datagram(NOW, &meta(), short(&id_of(shard)));
        assert!(!matches!(event, DatagramEvent::Sibling(..)), "{shard}");
    }
}

/// RFC 9000 §10.3: the peer of the sibling learns of it at once, and not after its idle timeout.
#[test]
fn a_datagram_for_a_sibling_that_is_gone_gets_its_reset() {
    let mut endpoint = endpoint(0, 0..2);
    let id = id_of(1);
    let DatagramEvent::Respond(answer) = endpoint.handle_orphan(NOW, &meta(), &short(&id)) else {
        panic!("no answer")
    };
    let token = CidFactory::new(8, 0, &KEY).reset_token(&id);
    assert!(answer.bytes.ends_with(&token[..]), "the key is that of all shards");
    assert_eq!((endpoint.stats().stateless_resets, answer.remote), (1, meta().remote));
    let event = endpoint.handle_orphan(NOW, &meta(), &long(2, &id));
    assert!(matches!(event, DatagramEvent::Dropped(_)), "no reset answers a long header");
}
