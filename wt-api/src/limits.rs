//! Limits that follow from others: of QUIC's streams and windows, and of those of sessions.

use quic_core::TransportConfig;

/// Streams of a kind that sessions together raise the connection's limit to. What more there may be is the
/// application's word.
const MANY_STREAMS: u64 = 1 << 16;
/// A session's first window is not made smaller than this, in bytes, however many sessions there may be.
const LEAST_WINDOW: u64 = 64 << 10;

/// Unidirectional streams that a peer opens for HTTP/3 itself: control, and two of QPACK (RFC 9114 §6.2).
pub(crate) const HTTP3_STREAMS: u64 = 3;

/// What a DATAGRAM frame of a session holds at least, in bytes: its type, the session's ID, and something (RFC 9297 §2.1).
pub(crate) const LEAST_DATAGRAM_FRAME: u64 = 16;

/// Leaves HTTP/3 the streams that it cannot do without, `requests` bidirectional ones among them: with none of a kind for
/// the application, sessions are made nevertheless.
pub(crate) fn suit_http3(transport: &mut TransportConfig, requests: u64) {
    transport.max_streams_bidi = transport.max_streams_bidi.max(requests);
    transport.max_streams_uni = transport.max_streams_uni.max(HTTP3_STREAMS);
}

/// Permits as many streams at first as are expected, by kind, beside those of HTTP/3: `requests` bidirectional ones.
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

/// Where there may be several sessions, none holds up the others by what it does not read or accept: each has its
/// streams, and the first windows of all together are no more than half of what the connection's window grows to.
/// Hundreds of sessions have more than that, and must be trusted to read. A limit of streams that is not the default is
/// meant as it is.
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
    // The requests for sessions are streams as well.
    let requests = count.min(MANY_STREAMS);
    raise(&mut transport.max_streams_bidi, default.max_streams_bidi, flow.max_streams_bidi, requests);
    raise(&mut transport.max_streams_uni, default.max_streams_uni, flow.max_streams_uni, HTTP3_STREAMS);
}

/// Whatever streams a peer has credit for, it may open before its session is there, and none is refused for want of room:
/// at a client whose server's answer was lost, or at a server whose application takes its time.
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
        // A small window is divided, but not into nothing.
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
        // Fewer than the default suffice; there is a bound; and who says a number means it.
        let wanted = [(2, 1000), (u64::MAX, 1000), (16, 5), (16, 100_000)];
        assert_eq!(wanted.map(|(sessions, bidi)| streams(sessions, bidi)), [1000, 1 << 17, 5, 100_000]);
    }
}
