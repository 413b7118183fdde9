//! Limits that follow from other limits: those of QUIC's streams and windows, and those of sessions.

use quic_core::TransportConfig;

/// The highest stream limit of a connection that is derived from sessions, for each kind of stream. The
/// application may set a higher one.
const MANY_STREAMS: u64 = 1 << 16;
/// The least initial window of a session in bytes, for any number of sessions.
const LEAST_WINDOW: u64 = 64 << 10;

/// Unidirectional streams that a peer opens for HTTP/3 itself: control, and two of QPACK (RFC 9114 §6.2).
pub(crate) const HTTP3_STREAMS: u64 = 3;

/// The least useful size of a session's DATAGRAM frame in bytes: its type, the session ID, and some data (RFC
/// 9297 §2.1).
pub(crate) const LEAST_DATAGRAM_FRAME: u64 = 16;

/// Ensures that HTTP/3 has the streams that it needs, among them `requests` bidirectional ones. Sessions then
/// work even if the application permits no streams of a kind.
pub(crate) fn suit_http3(transport: &mut TransportConfig, requests: u64) {
    transport.max_streams_bidi = transport.max_streams_bidi.max(requests);
    transport.max_streams_uni = transport.max_streams_uni.max(HTTP3_STREAMS);
}

/// Raises the initial stream limits to the expected numbers, in addition to HTTP/3's own streams, of which
/// `requests` are bidirectional.
pub(crate) fn permit(transport: &mut TransportConfig, anticipated: [Option<u16>; 2], requests: u64) {
    let [bidi, uni] = anticipated.map(|streams| streams.map(u64::from));
    if let Some(bidi) = bidi {
        transport.max_streams_bidi = transport.max_streams_bidi.max(bidi.saturating_add(requests));
    }
    if let Some(uni) = uni {
        transport.max_streams_uni = transport.max_streams_uni.max(uni + HTTP3_STREAMS);
    }
}

/// The same for each session, if there is session flow control.
pub(crate) fn permit_in_sessions(flow: &mut wt_session::FlowControl, anticipated: [Option<u16>; 2]) {
    let [bidi, uni] = anticipated.map(|streams| u64::from(streams.unwrap_or(0)));
    flow.max_streams_bidi = flow.max_streams_bidi.max(bidi);
    flow.max_streams_uni = flow.max_streams_uni.max(uni);
}

/// Ensures that sessions on one connection do not block each other with data that an application does not
/// read or accept. Each has its own streams, and the initial windows of all together are at most half of the
/// connection's largest window. Hundreds of sessions exceed that, and must be trusted to read. A stream limit
/// that differs from the default was set on purpose, and is kept.
pub(crate) fn share(transport: &mut TransportConfig, sessions: &mut wt_session::Config) {
    let count = sessions.max_sessions;
    if count <= 1 {
        return;
    }
    let flow = sessions.flow_control.get_or_insert_default();
    flow.max_data_together = transport.max_receive_window;
    flow.max_data = flow.max_data.min((transport.max_receive_window / count / 2).max(LEAST_WINDOW)).max(1);
    let raise = |limit: &mut u64, default: u64, each: u64, others: u64| {
        if *limit == default {
            *limit = default.max(count.saturating_mul(each).min(MANY_STREAMS) + others);
        }
    };
    let default = TransportConfig::default();
    // The requests for sessions use streams too.
    let requests = count.min(MANY_STREAMS);
    raise(&mut transport.max_streams_bidi, default.max_streams_bidi, flow.max_streams_bidi, requests);
    raise(&mut transport.max_streams_uni, default.max_streams_uni, flow.max_streams_uni, HTTP3_STREAMS);
}

/// Ensures that a peer may open all streams for which it has credit before its session is established, and
/// that none is refused for lack of room. This happens at a client whose server's answer was lost, or at a
/// server whose application is slow.
pub(crate) fn keep_early_streams(transport: &TransportConfig, sessions: &mut wt_session::Config) {
    let permitted = transport.max_streams_bidi.saturating_add(transport.max_streams_uni);
    let permitted = usize::try_from(permitted).unwrap_or(usize::MAX);
    sessions.max_early_streams = sessions.max_early_streams.max(permitted);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_share_what_the_connection_permits() {
        let mut transport = TransportConfig::default();
        let mut sessions = wt_session::Config::default();
        share(&mut transport, &mut sessions);
        assert_eq!((sessions.flow_control, transport.max_streams_uni), (None, 1000), "one alone has all");
        sessions.max_sessions = 8;
        share(&mut transport, &mut sessions);
        let flow = sessions.flow_control.unwrap();
        assert_eq!((flow.max_data, flow.max_data_together), (512 << 10, transport.max_receive_window));
        let streams = (transport.max_streams_bidi, transport.max_streams_uni);
        assert_eq!(streams, (8 * 256 + 8, 8 * 256 + 3));
        // A small window is divided, but not below the minimum.
        for (window, share_of_each) in [(4 << 20, 256 << 10), (1 << 20, 64 << 10), (1 << 10, 64 << 10)] {
            transport.max_receive_window = window;
            share(&mut transport, &mut sessions);
            assert_eq!(sessions.flow_control.unwrap().max_data, share_of_each);
        }
        let streams = |sessions: u64, bidi: u64| {
            let mut transport = TransportConfig::new().max_streams_bidi(bidi);
            let mut config = wt_session::Config::default();
            config.max_sessions = sessions;
            share(&mut transport, &mut config);
            transport.max_streams_bidi
        };
        // A few sessions leave the default, there is an upper bound, and an explicit number is kept.
        let wanted = [(2, 1000), (u64::MAX, 1000), (16, 5), (16, 100_000)];
        assert_eq!(wanted.map(|(sessions, bidi)| streams(sessions, bidi)), [1000, 1 << 17, 5, 100_000]);
    }
}
