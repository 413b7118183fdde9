//! The configuration of sessions, and its announcement to the peer.

use std::time::Duration;

use h3_core::Settings;
use quic_core::base::varint;

use crate::{dialect::Dialects, flow::MAX_STREAMS};

/// The default of [`Config::early_timeout`].
const EARLY_TIMEOUT: Duration = Duration::from_secs(30);

/// The configuration of the sessions of a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How many sessions the connection may carry at once, at least 1. A number above 1 also announces
    /// session flow control (§5.1), without which most dialects permit one session only. A client requests no
    /// more than this number either. Default 1.
    pub max_sessions: u64,
    /// Session flow control (§5): the initial limits of the peer in each session. `None` asks for it only if
    /// there may be several sessions, with the default limits. It is in force if the peer also asks for it.
    /// Default `None`.
    pub flow_control: Option<FlowControl>,
    /// How many streams of the peer one session may have open at once. Further ones are refused with
    /// `WT_BUFFERED_STREAM_REJECTED`. Do not set it below the limits of the transport and of session flow
    /// control: then even a conforming peer has streams refused that it has credit for. Default: only those
    /// two limits apply.
    pub max_open_streams: usize,
    /// How many streams are kept before their session is established (§4.6); further ones are refused. Only
    /// the stream's ID is kept here; its data stays in the transport and is bounded there. To refuse none,
    /// set it to the transport's stream limit. Default 24.
    pub max_early_streams: usize,
    /// How many datagrams are kept before their session is established (§4.6). Default 64.
    pub max_early_datagrams: usize,
    /// How many bytes of datagram payload are kept before their session is established. Default 64 KiB.
    pub early_datagram_bytes: usize,
    /// How long streams and datagrams are kept while nothing of their session's request has arrived (server,
    /// §4.6). After that streams are refused with `WT_BUFFERED_STREAM_REJECTED`, and datagrams are dropped.
    /// Once the request has begun, its own deadline applies ([`h3_core::Config::request_timeout`]), and then
    /// the application decides. The time starts anew if it ends while [the application
    /// alone](h3_core::Transport::withholds_credit) leaves the peer no credit, but not if these streams
    /// themselves use it up. Default 30 s; `None` and zero mean no limit.
    pub early_timeout: Option<Duration>,
    /// How many datagrams of one session may wait for [`Sessions::poll_event`](super::Sessions::poll_event).
    /// Further ones are dropped and counted. Default 1024.
    pub max_queued_datagrams: usize,
    /// Whether to require everything that draft 16 requires, also what today's browsers lack:
    /// `reset_stream_at`, an enabling setting from every client, and the `:protocol` of the dialect. Default
    /// false.
    pub strict: bool,
    /// Whether a client refuses a session if it offered application protocols and the server chose none of
    /// them (§3.3); the code is `WT_ALPN_ERROR` from draft 15 on. A server refuses with its response instead.
    /// Default false.
    pub require_protocol: bool,
    /// The dialects to announce. The newest one that the peer also announces is used (§7.1). Default: all.
    pub dialects: Dialects,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_sessions: 1,
            flow_control: None,
            max_open_streams: usize::MAX,
            max_early_streams: 24,
            max_early_datagrams: 64,
            early_datagram_bytes: 64 * 1024,
            early_timeout: Some(EARLY_TIMEOUT),
            max_queued_datagrams: 1024,
            strict: false,
            require_protocol: false,
            dialects: Dialects::ALL,
        }
    }
}

/// The limits of the peer in each session (§5), in addition to QUIC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlowControl {
    /// The first window: how many bytes of stream data may be in flight or unread. Default 512 KiB.
    pub max_data: u64,
    /// The largest window, in bytes, to which it grows while the application reads as fast as data arrives;
    /// at least `max_data`. Default 16 MiB.
    pub max_data_ceiling: u64,
    /// The largest sum of the windows of all sessions of the connection, in bytes. Up to half of it is
    /// reserved for the first windows of further sessions. If it does not exceed the transport's limit for
    /// the connection, a session whose application reads nothing cannot block another one. Default 24 MiB.
    pub max_data_together: u64,
    /// How many bidirectional streams of the peer may be open at once, at most 2^60. Default 256.
    pub max_streams_bidi: u64,
    /// How many unidirectional streams of the peer may be open at once, at most 2^60. Default 256.
    pub max_streams_uni: u64,
}

impl Default for FlowControl {
    fn default() -> Self {
        Self {
            max_data: 512 << 10,
            max_data_ceiling: 16 << 20,
            max_data_together: 24 << 20,
            max_streams_bidi: 256,
            max_streams_uni: 256,
        }
    }
}

impl Config {
    /// The most sessions at once that this side permits.
    pub(super) fn sessions(&self) -> u64 {
        self.max_sessions.clamp(1, varint::MAX)
    }

    /// The limits to announce. A zero announces nothing, and with several sessions all three must be
    /// announced (browsers insist).
    pub(super) fn flow(&self) -> Option<FlowControl> {
        let several = self.sessions() > 1;
        let flow = self.flow_control.or_else(|| several.then(FlowControl::default))?;
        let least = u64::from(several);
        Some(FlowControl {
            max_data: flow.max_data.clamp(least, varint::MAX),
            max_streams_bidi: flow.max_streams_bidi.clamp(least, MAX_STREAMS),
            max_streams_uni: flow.max_streams_uni.clamp(least, MAX_STREAMS),
            ..flow
        })
    }

    pub(super) fn announce(&self, settings: &mut Settings) {
        self.dialects.announce(self.sessions(), settings);
        if let Some(flow) = self.flow() {
            settings.wt_initial_max_data = flow.max_data;
            settings.wt_initial_max_streams_bidi = flow.max_streams_bidi;
            settings.wt_initial_max_streams_uni = flow.max_streams_uni;
        }
    }
}
