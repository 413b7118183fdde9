//! Table F: CRYPTO data and tokens.

use heap_meter::Measure;

use crate::common::*;

both_sides! {
    fn f14_crypto_beyond_the_largest_offset(side) {
        for (stage, space) in [
            (Stage::Initial, Space::Initial),
            (Stage::Handshake, Space::Handshake),
            (Stage::Confirmed, Space::Data),
        ] {
            for offset in [varint::MAX, varint::MAX - 3] {
                let mut w = World::at(side, stage);
                w.send(space, [wire::ints(&[0x06, offset, 4]), vec![1; 4]].concat());
                let close = w.expect_close(&[FRAME_ENCODING_ERROR, CRYPTO_BUFFER_EXCEEDED]);
                assert_eq!(close.frame_type, 0x06);
            }
        }
    }

    fn f15_crypto_beyond_the_buffer_in_1rtt(side) {
        let mut w = World::at(side, Stage::Confirmed);
        let offset = (64 << 10) + w.peer.crypto_sent(Space::Data);
        w.send(Space::Data, wire::frame(&Frame::Crypto { offset, data: &[1] }));
        w.expect_close_in(CRYPTO_BUFFER_EXCEEDED, 0x06);
    }

    /// Everything but the first byte is buffered, up to the limit and no further.
    fn f15_crypto_with_a_gap_fills_the_buffer_and_no_more(side) {
        let mut w = World::at(side, Stage::Confirmed);
        let start = w.peer.crypto_sent(Space::Data);
        let measure = Measure::start();
        for at in (1..64 << 10).step_by(1000) {
            let data = vec![1; 1000.min((64 << 10) - at)];
            w.send(Space::Data, wire::frame(&Frame::Crypto { offset: start + at as u64, data: &data }));
            assert!(w.app.error().is_none(), "within the limit at {at}");
        }
        assert!(measure.peak_growth() < 300 << 10, "{}", measure.peak_growth());
        w.send(Space::Data, wire::frame(&Frame::Crypto { offset: start + (64 << 10), data: &[1] }));
        w.expect_close_in(CRYPTO_BUFFER_EXCEEDED, 0x06);
    }
}

#[test]
fn f15_crypto_beyond_the_buffer_in_initial_server() {
    let mut w = World::before(Side::Server, Options::default());
    w.peer.start(numbered_cid(77));
    let (offset, data) = w.peer.take_crypto(Space::Initial, 20);
    w.send(Space::Initial, wire::frame(&Frame::Crypto { offset, data: &data }));
    assert!(w.connection.is_some() && w.app.error().is_none());
    w.send(Space::Initial, wire::frame(&Frame::Crypto { offset: 20 + (64 << 10), data: &[1] }));
    w.expect_close_in(CRYPTO_BUFFER_EXCEEDED, 0x06);
}

#[test]
fn f15_crypto_beyond_the_buffer_in_initial_client() {
    let mut w = World::at(Side::Client, Stage::Initial);
    w.send(Space::Initial, wire::frame(&Frame::Crypto { offset: 64 << 10, data: &[1] }));
    w.expect_close_in(CRYPTO_BUFFER_EXCEEDED, 0x06);
}

#[test]
fn f15_crypto_beyond_the_buffer_in_handshake_server() {
    let mut w = World::at(Side::Server, Stage::Handshake);
    w.send(Space::Handshake, wire::frame(&Frame::Crypto { offset: 64 << 10, data: &[1] }));
    w.expect_close_in(CRYPTO_BUFFER_EXCEEDED, 0x06);
}

#[test]
fn f15_crypto_beyond_the_buffer_in_handshake_client() {
    let mut w = World::at(Side::Client, Stage::Initial);
    let (offset, data) = w.peer.take_crypto(Space::Initial, usize::MAX);
    w.send(Space::Initial, wire::frame(&Frame::Crypto { offset, data: &data }));
    assert!(w.app.error().is_none());
    w.send(Space::Handshake, wire::frame(&Frame::Crypto { offset: 64 << 10, data: &[1] }));
    w.expect_close_in(CRYPTO_BUFFER_EXCEEDED, 0x06);
}

#[test]
fn f16_empty_token() {
    closes_with(Side::Client, vec![0x07, 0x00], FRAME_ENCODING_ERROR, 0x07);
}

#[test]
fn f16_tokens_without_end() {
    let mut w = World::at(Side::Client, Stage::Confirmed);
    w.flood(100_000, |w, n| {
        let mut token = [7; 42];
        (token[0], token[1]) = (0x07, 40);
        token[2..10].copy_from_slice(&n.to_be_bytes());
        w.send_fast(&token);
    });
    w.expect_alive();
}
