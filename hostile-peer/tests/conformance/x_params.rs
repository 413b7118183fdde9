//! Table X: transport parameters.

use crate::common::*;

fn integer(id: u64, value: u64) -> Vec<u8> {
    raw_param(id, &wire::ints(&[value]))
}

/// A world with these parameters, in which the peer's first flight has arrived.
fn with_params(side: Side, params: EncodeParams) -> World {
    let mut w = World::with(side, Stage::Initial, Options { params, ..Options::default() });
    if side == Side::Client {
        w.step();
    }
    w
}

/// Honest parameters followed by `more` must be refused.
#[track_caller]
fn refuses(side: Side, more: Vec<u8>) {
    let params = move |honest: TransportParameters| [encode(&honest), more.clone()].concat();
    with_params(side, Box::new(params)).expect_close_in(TRANSPORT_PARAMETER_ERROR, 0x06);
}

/// The level at which the peer sends its transport parameters.
fn parameter_level(side_under_test: Side) -> Space {
    if side_under_test == Side::Server { Space::Initial } else { Space::Handshake }
}

both_sides! {
    fn x01_duplicate_parameters(side) {
        refuses(side, integer(0x04, 1));
        refuses(side, [integer(0x7f0, 1), integer(0x7f0, 1)].concat());
    }

    fn x03_values_out_of_range(side) {
        for (id, value) in [(0x03, 1199), (0x0a, 21), (0x0b, 1 << 14), (0x0e, 1), (0x08, (1 << 60) + 1), (0x09, (1 << 60) + 1)] {
            let params = move |mut honest: TransportParameters| {
                // Omitted if they have their defaults, so that only the bad value is present.
                honest.active_connection_id_limit = 2;
                honest.initial_max_streams_bidi = 0;
                honest.initial_max_streams_uni = 0;
                [encode(&honest), integer(id, value)].concat()
            };
            with_params(side, Box::new(params)).expect_close_in(TRANSPORT_PARAMETER_ERROR, 0x06);
        }
    }

    fn x04_initial_source_connection_id_missing_or_wrong(side) {
        let wrong = quic_core::ConnectionId::new(b"hostile?");
        for id in [None, wrong, Some(quic_core::ConnectionId::EMPTY)] {
            let params = changed(move |honest| honest.initial_source_connection_id = id);
            with_params(side, params).expect_close_in(TRANSPORT_PARAMETER_ERROR, 0x06);
        }
    }

    fn x06_no_transport_parameters(side) {
        for other_id in [None, Some(0xffa5)] {
            let level = parameter_level(side);
            let tamper = move |space, bytes: Vec<u8>| {
                if space != level {
                    return bytes;
                }
                edit_extensions(&bytes, |id, value| {
                    if id == 0x39 { other_id.map(|id| (id, value.to_vec())) } else { Some((id, value.to_vec())) }
                })
            };
            let mut w = tampered(side, Box::new(tamper));
            // A client that gets an extension without having offered it may use this code instead (RFC 8446
            // §4.2).
            let unsolicited = 0x016e;
            let codes = if other_id.is_some() && side == Side::Client {
                vec![MISSING_EXTENSION, unsolicited]
            } else {
                vec![MISSING_EXTENSION]
            };
            w.expect_close(&codes);
        }
    }

    fn x07_version_information_that_does_not_parse(side) {
        let reserved = 0x1a2a_3a4a_u32.to_be_bytes();
        let one = 1_u32.to_be_bytes();
        for value in [
            vec![],
            vec![0, 0, 1],
            [&one[..], &one, &[0, 0]].concat(),
            // A chosen or an available version of zero.
            [[0; 4], one].concat(),
            [one, [0; 4]].concat(),
            [one, one, [0; 4], reserved].concat(),
        ] {
            refuses(side, raw_param(0x11, &value));
        }
    }

    fn x07_chosen_version_that_is_not_in_use(side) {
        for chosen in [0x6b33_43cf_u32, 0x1a2a_3a4a, 2] {
            let value = [chosen.to_be_bytes(), 1_u32.to_be_bytes(), chosen.to_be_bytes()].concat();
            let params = move |honest: TransportParameters| [encode(&honest), raw_param(0x11, &value)].concat();
            with_params(side, Box::new(params)).expect_close_in(VERSION_NEGOTIATION_ERROR, 0x06);
        }
    }

    /// The counterpart: the version in use, before or after unknown ones.
    fn x07_chosen_version_in_use(side) {
        let reserved = 0x1a2a_3a4a_u32.to_be_bytes();
        let one = 1_u32.to_be_bytes();
        for value in [[one, one, reserved].concat(), [one, reserved, one].concat()] {
            let params = move |honest: TransportParameters| [encode(&honest), raw_param(0x11, &value)].concat();
            let mut w = with_params(side, Box::new(params));
            goes_on(&mut w);
        }
    }

    fn x08_values_of_the_wrong_shape(side) {
        for (id, value) in [
            (0x20, &[][..]),
            (0x20, &[0x40]),
            (0x20, &[1, 1]),
            (0x1d, &[0]),
            (0x0017_f758_6d2c_b571, &[0]),
            (0x2ab2, &[0]),
        ] {
            let params = move |mut honest: TransportParameters| {
                honest.max_datagram_frame_size = 0;
                honest.reset_stream_at = false;
                [encode(&honest), raw_param(id, value)].concat()
            };
            with_params(side, Box::new(params)).expect_close_in(TRANSPORT_PARAMETER_ERROR, 0x06);
        }
    }
}

#[test]
fn x02_parameters_of_servers_from_a_client() {
    let preferred = [&[127, 0, 0, 1, 1, 1][..], &[0; 18], &[4, 1, 2, 3, 4], &[7; 16]].concat();
    for more in [
        raw_param(0x00, b"12345678"),
        raw_param(0x02, &[1; 16]),
        raw_param(0x0d, &preferred),
        raw_param(0x10, b"12345678"),
    ] {
        refuses(Side::Server, more);
    }
}

#[test]
fn x05_preferred_address_that_does_not_parse() {
    for length in [0, 3, 5, 255] {
        let value = [&[0; 24][..], &[length], &[1; 4], &[7; 16]].concat();
        refuses(Side::Client, raw_param(0x0d, &value));
    }
}

/// The counterpart: a valid address does not end the connection.
#[test]
fn x05_preferred_address_that_parses() {
    let value = [&[127, 0, 0, 1, 1, 1][..], &[0; 18], &[4, 1, 2, 3, 4], &[7; 16]].concat();
    let params = move |honest: TransportParameters| [encode(&honest), raw_param(0x0d, &value)].concat();
    let mut w = with_params(Side::Client, Box::new(params));
    w.step();
    w.expect_alive();
}

#[test]
fn x07_chosen_version_that_a_client_does_not_list() {
    for value in [vec![1_u32], vec![1, 2, 3], vec![1, 0x1a2a_3a4a]] {
        let value: Vec<u8> = value.into_iter().flat_map(u32::to_be_bytes).collect();
        refuses(Side::Server, raw_param(0x11, &value));
    }
}

/// A server may be about to stop supporting the version in use (RFC 9368 §3).
#[test]
fn x07_chosen_version_that_a_server_does_not_list() {
    for value in [vec![1_u32], vec![1, 0x6b33_43cf]] {
        let value: Vec<u8> = value.into_iter().flat_map(u32::to_be_bytes).collect();
        let params = move |honest: TransportParameters| [encode(&honest), raw_param(0x11, &value)].concat();
        let mut w = with_params(Side::Client, Box::new(params));
        goes_on(&mut w);
    }
}

/// What this stack itself sends.
#[test]
fn x07_version_information_sent() {
    for side in [Side::Server, Side::Client] {
        let mut w = World::at(side, Stage::Confirmed);
        let bytes = w.peer.tls().and_then(|tls| tls.peer_parameters()).expect("parameters").to_vec();
        let params = TransportParameters::parse(&bytes, side).expect("valid");
        let info = params.version_information.expect("version information");
        assert_eq!((info.chosen, &info.available[..2], info.available.len()), (1, &[1, 0x6b33_43cf][..], 3));
        assert!(quic_core::Version::is_reserved(info.available[2]));
        w.expect_alive();
    }
}
