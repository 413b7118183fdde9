//! Table F: acknowledgments.

use heap_meter::Measure;
use quic_core::{AckFrequency, frame::Frames};

use crate::common::*;

both_sides! {
    fn f08_ack_of_packets_never_sent(side) {
        closes_with(side, wire::ack(10_000, 0, 0, &[]), PROTOCOL_VIOLATION, 0x02);
        closes_with(side, wire::ack(varint::MAX, 0, varint::MAX, &[]), PROTOCOL_VIOLATION, 0x02);
        for (stage, space) in [(Stage::Initial, Space::Initial), (Stage::Handshake, Space::Handshake)] {
            let mut w = World::at(side, stage);
            w.send(space, wire::ack(50, 0, 0, &[]));
            w.expect_close_in(PROTOCOL_VIOLATION, 0x02);
        }
    }

    /// The endpoint sometimes skips a number to detect exactly this (RFC 9000 §21.4).
    fn f08_ack_of_a_skipped_number(side) {
        let mut w = World::at(side, Stage::Confirmed);
        for _ in 0..40 {
            let received = w.peer.received(Space::Data);
            let largest = received.last().copied().unwrap_or_default();
            if (0..largest).any(|number| !received.contains(&number)) {
                break;
            }
            w.expect_alive();
        }
        let received = w.peer.received(Space::Data);
        let largest = received.last().copied().expect("packets");
        let skipped = (0..largest).rev().find(|number| !received.contains(number)).expect("a gap");
        w.send(Space::Data, wire::ack(largest, 0, largest - skipped, &[]));
        w.expect_close_in(PROTOCOL_VIOLATION, 0x02);
    }

    fn f09_ack_ranges_below_zero(side) {
        for frame in [
            wire::ack(1, 0, 2, &[]),
            wire::ack(1, 0, 0, &[(0, 0)]),
            wire::ack(3, 0, 0, &[(0, 2)]),
            wire::ack(3, 0, 0, &[(varint::MAX, varint::MAX)]),
        ] {
            closes_with(side, frame.clone(), FRAME_ENCODING_ERROR, 0x02);
            // With ECN counts.
            closes_with(side, [&[0x03], &frame[1..], &[0, 0, 0]].concat(), FRAME_ENCODING_ERROR, 0x03);
            for (stage, space) in [(Stage::Initial, Space::Initial), (Stage::Handshake, Space::Handshake)] {
                let mut w = World::at(side, stage);
                w.send(space, frame.clone());
                w.expect_close_in(FRAME_ENCODING_ERROR, 0x02);
            }
        }
    }

    fn f10_ack_with_more_ranges_than_bytes(side) {
        let payload = [wire::ints(&[0x02, 1, 0, 1 << 32, 0]), vec![0; 20]].concat();
        let mut w = World::at(side, Stage::Confirmed);
        let measure = Measure::start();
        w.send_fast(&payload);
        // This sum includes the close and the peer's processing of it.
        assert!(measure.peak_growth() < 16 << 10, "{}", measure.peak_growth());
        w.expect_close_in(FRAME_ENCODING_ERROR, 0x02);
        let measure = Measure::start();
        assert!(Frames::new(&payload).next().is_some_and(|frame| frame.is_err()));
        assert!(measure.peak_growth() < 4 << 10, "{}", measure.peak_growth());
    }

    /// Time stands still until the first timer fires, so round trips of zero occur.
    fn f11_ack_delay_overflows(side) {
        let params = |mut p: quic_core::TransportParameters| {
            p.ack_delay_exponent = 20;
            p.max_ack_delay = std::time::Duration::from_millis((1 << 14) - 1);
            encode(&p)
        };
        let options = Options { params: Box::new(params), ..Options::default() };
        let mut w = World::with(side, Stage::Confirmed, options);
        w.peer.acks = false;
        for _ in 0..3 {
            w.connection().ping();
            w.poll();
            let largest = w.peer.received(Space::Data).last().copied().expect("a packet");
            w.send(Space::Data, wire::ack(largest, varint::MAX, 0, &[]));
        }
        let stats = w.connection().stats();
        assert!(stats.smoothed_rtt < Duration::from_secs(1), "{stats:?}");
        w.peer.acks = true;
        w.expect_alive();
    }

    /// ack-frequency §4: a delay below the one that the endpoint has told, or of 2^14 ms and more, even in a frame
    /// whose number is not the highest.
    fn ack_frequency_with_a_delay_out_of_range(side) {
        for delay in [0, 999, (1 << 14) * 1_000, varint::MAX] {
            closes_with(side, wire::ints(&[0xaf, 0, 1, delay, 1]), PROTOCOL_VIOLATION, 0xaf);
            let earlier = wire::ints(&[0xaf, 5, 1, 1_000, 1, 0xaf, 4, 1, delay, 1]);
            closes_with(side, earlier, PROTOCOL_VIOLATION, 0xaf);
        }
        let mut w = World::at(side, Stage::Confirmed);
        let greedy = wire::ints(&[0xaf, 0, varint::MAX, ((1 << 14) - 1) * 1_000, varint::MAX]);
        w.send(Space::Data, greedy);
        w.send(Space::Data, wire::ints(&[0xaf, varint::MAX, 0, 1_000, 0, 0x1f]));
        goes_on(&mut w);
    }

    /// ack-frequency §3: an endpoint that offered nothing knows neither frame.
    fn ack_frequency_frames_though_not_offered(side) {
        for (frame, kind) in [(wire::ints(&[0xaf, 0, 1, 25_000, 1]), 0xaf), (vec![0x1f], 0x1f)] {
            let transport = TransportConfig::new().ack_frequency(AckFrequency::Off);
            let options = Options { transport, ..Options::default() };
            let mut w = World::with(side, Stage::Confirmed, options);
            w.send(Space::Data, frame.clone());
            w.expect_close_in(FRAME_ENCODING_ERROR, kind);
            for (stage, space) in [(Stage::Initial, Space::Initial), (Stage::Handshake, Space::Handshake)] {
                let mut w = World::at(side, stage);
                w.send(space, frame.clone());
                w.expect_close_in(PROTOCOL_VIOLATION, kind);
            }
        }
    }

    /// ack-frequency §8, RFC 9000 §21.9: they cost what other small frames cost.
    fn ack_frequency_frames_without_end(side) {
        let mut w = World::at(side, Stage::Confirmed);
        let payload = [0x1f; 1_000];
        for _ in 0..40 {
            w.send_fast(&payload);
        }
        w.expect_close_in(PROTOCOL_VIOLATION, 0x1f);
    }
}
