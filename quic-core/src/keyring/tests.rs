use super::*;
use crate::{
    base::Writer,
    crypto::Suite,
    ids::ConnectionId,
    packet::{KEY_PHASE_BIT, TAG_SIZE, write_short_header},
    version::Version,
};

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);
const OLD_KEY_TIME: Duration = Duration::from_millis(300);

fn pair() -> (Keyring, Keyring) {
    let a = Secret::new(Version::V1, Suite::Aes128Gcm, &[1; 32]).expect("32 bytes");
    let b = Secret::new(Version::V1, Suite::Aes128Gcm, &[2; 32]).expect("32 bytes");
    let (mut one, mut two) = (Keyring::new(), Keyring::new());
    one.install(Level::OneRtt, &a, &b);
    two.install(Level::OneRtt, &b, &a);
    (one, two)
}

fn sealed(keys: &mut Keyring, number: u64) -> Vec<u8> {
    let mut packet = vec![0; 64];
    let mut w = Writer::new(&mut packet);
    assert!(write_short_header(&mut w, &ConnectionId::EMPTY, number, 4, keys.key_phase(), false));
    let header_size = w.position();
    assert!(w.bytes(b"payload"));
    let size = w.position() + TAG_SIZE;
    packet.truncate(size);
    assert!(keys.seal(Level::OneRtt, PacketPlace { number, header_size, pn_size: 4 }, &mut packet));
    packet
}

fn opened(keys: &mut Keyring, packet: &[u8]) -> Result<u64, OpenFailure> {
    let mut packet = packet.to_vec();
    let header = keys.unprotect(Level::OneRtt, &mut packet, 1).map_err(OpenFailure::Drop)?;
    let place =
        PacketPlace { number: header.number, header_size: 1 + header.pn_size, pn_size: header.pn_size };
    let phase = header.first & KEY_PHASE_BIT != 0;
    let size = keys.open(Level::OneRtt, place, &mut packet, phase, NOW, OLD_KEY_TIME)?;
    assert_eq!(&packet[place.header_size..place.header_size + size], b"payload");
    Ok(header.number)
}

/// Makes an update of `one` legal: a packet of the phase went each way and was acknowledged.
fn settle(one: &mut Keyring, two: &mut Keyring, number: u64) {
    let packet = sealed(one, number);
    assert_eq!(opened(two, &packet), Ok(number));
    two.on_ack_sent(number);
    one.on_acked(number);
    let packet = sealed(two, number);
    assert_eq!(opened(one, &packet), Ok(number));
    one.on_ack_sent(number);
    two.on_acked(number);
    one.on_timeout(NOW + OLD_KEY_TIME);
    two.on_timeout(NOW + OLD_KEY_TIME);
}

#[test]
fn updates_of_both_ends_follow_each_other() {
    let (mut one, mut two) = pair();
    assert!(!one.start_update(), "nothing was acknowledged yet");
    for round in 0..6 {
        settle(&mut one, &mut two, round);
        let updater = if round % 2 == 0 { &mut one } else { &mut two };
        assert!(updater.start_update());
        assert!(!updater.start_update(), "not twice without an acknowledgment");
        // If `two` updated, `one` follows when it opens the packet of the new phase.
        if round % 2 == 1 {
            let packet = sealed(&mut two, 50 + round);
            assert_eq!(opened(&mut one, &packet), Ok(50 + round));
        }
    }
    settle(&mut one, &mut two, 100);
    assert_eq!((one.updates(), two.updates()), (6, 6));
}

#[test]
fn reordered_packets_of_the_previous_phase_open_until_the_keys_go() {
    let (mut one, mut two) = pair();
    settle(&mut one, &mut two, 0);
    let old = [sealed(&mut one, 1), sealed(&mut one, 2)];
    assert!(one.start_update());
    let new = sealed(&mut one, 3);
    assert_eq!(opened(&mut two, &new), Ok(3));
    assert_eq!(opened(&mut two, &old[0]), Ok(1));
    assert_eq!(two.deadline(), Some(NOW + OLD_KEY_TIME));
    two.on_timeout(NOW + OLD_KEY_TIME);
    assert_eq!(opened(&mut two, &old[1]), Err(OpenFailure::Drop(DropReason::Decryption)));
}

#[test]
fn x14_a_second_update_before_the_first_was_acknowledged() {
    let (mut one, mut two) = pair();
    settle(&mut one, &mut two, 0);
    assert!(one.start_update());
    let first = sealed(&mut one, 1);
    // A hostile peer updates again at once.
    one.on_acked(1);
    one.data.as_mut().expect("keys").rotate();
    let second = sealed(&mut one, 2);
    assert_eq!(opened(&mut two, &first), Ok(1));
    assert_eq!(opened(&mut two, &second), Err(OpenFailure::Violation(Violation::KeyUpdateTooEarly)));
}

#[test]
fn x14_old_keys_on_a_higher_packet_number() {
    let (mut one, mut two) = pair();
    settle(&mut one, &mut two, 0);
    let old = sealed(&mut one, 5);
    assert!(one.start_update());
    let new = sealed(&mut one, 4);
    assert_eq!(opened(&mut two, &new), Ok(4));
    assert_eq!(opened(&mut two, &old), Err(OpenFailure::Violation(Violation::KeyUpdateOldKeys)));
}

#[test]
fn p17_one_forged_packet_more_than_the_integrity_limit() {
    let (mut one, mut two) = pair();
    two.cap_integrity_limit(3);
    let mut forged = sealed(&mut one, 0);
    *forged.last_mut().expect("bytes") ^= 1;
    for _ in 0..3 {
        assert_eq!(opened(&mut two, &forged), Err(OpenFailure::Drop(DropReason::Decryption)));
    }
    assert_eq!(opened(&mut two, &forged), Err(OpenFailure::Violation(Violation::AeadIntegrityLimit)));
}

#[test]
fn discarded_keys_open_nothing() {
    let (mut one, mut two) = pair();
    let packet = sealed(&mut one, 0);
    two.discard(Level::OneRtt);
    assert!(!two.has(Level::OneRtt));
    assert_eq!(opened(&mut two, &packet), Err(OpenFailure::Drop(DropReason::KeysUnavailable)));
}

#[test]
fn each_level_has_keys_of_its_own() {
    let secret = |byte| Secret::new(Version::V1, Suite::Aes128Gcm, &[byte; 32]).expect("32 bytes");
    let levels = [Level::Initial, Level::ZeroRtt, Level::Handshake, Level::OneRtt];
    let (mut one, mut two) = (Keyring::new(), Keyring::new());
    for (level, byte) in levels.into_iter().zip(1..) {
        assert!(!one.has(level));
        one.install(level, &secret(byte), &secret(byte + 10));
        two.install(level, &secret(byte + 10), &secret(byte));
    }
    let place = PacketPlace { number: 7, header_size: 5, pn_size: 4 };
    let sealed = levels.map(|level| {
        let mut packet = vec![0xc3, 0, 0, 0, 7, 1, 2, 3];
        packet.resize(packet.len() + TAG_SIZE, 0);
        assert!(one.seal(level, place, &mut packet));
        packet
    });
    for (at, level) in levels.into_iter().enumerate() {
        for (sealed_at, packet) in sealed.iter().enumerate() {
            let mut packet = packet.clone();
            two.unprotect(level, &mut packet, 1).expect("long enough for the sample");
            let opened = two.open(level, place, &mut packet, false, NOW, OLD_KEY_TIME);
            assert_eq!(opened.is_ok(), at == sealed_at, "{level:?}, packet {sealed_at}");
        }
        two.discard(level);
        assert_eq!(levels.map(|other| two.has(other)), levels.map(|other| other > level));
    }
}

#[test]
fn the_keys_of_early_data_go_in_their_time() {
    let secret = Secret::new(Version::V1, Suite::Aes128Gcm, &[3; 32]).expect("32 bytes");
    let (mut keys, _) = pair();
    keys.discard_early_at(NOW);
    assert_eq!(keys.deadline(), None, "there are none to discard");
    keys.install_early(&secret);
    assert!(keys.has(Level::ZeroRtt));
    keys.discard_early_at(NOW);
    assert_eq!(keys.deadline(), Some(NOW));
    keys.on_timeout(NOW.saturating_sub(Duration::from_millis(1)));
    assert!(keys.has(Level::ZeroRtt));
    keys.on_timeout(NOW);
    assert!(!keys.has(Level::ZeroRtt) && keys.deadline().is_none() && keys.has(Level::OneRtt));
}
