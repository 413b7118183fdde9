//! How sessions behave, and how the peer is told.

use std::time::Duration;

use h3_core::Settings;
use quic_core::base::varint;

use crate::{dialect::Dialects, flow::MAX_STREAMS};

/// How long what came early waits for a session's request, unless the configuration says otherwise.
const EARLY_TIMEOUT: Duration = Duration::from_secs(30);

/// How sessions behave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Sessions that the connection may carry at once, at least 1. More than one are announced, and with them session
    /// flow control (§5.1), without which most dialects permit no second one. A client asks for no more either.
    /// Default 1.
    pub max_sessions: u64,
    /// Session flow control (§5): what each session's peer may send at first. `None` asks for it only if there may be
    /// several sessions, with the defaults; it is in force if the peer asks for it as well. Default `None`.
    pub flow_control: Option<FlowControl>,
    /// Streams of the peer that one session may have open at once. More are refused with
    /// `WT_BUFFERED_STREAM_REJECTED`, which an honest peer meets as soon as the transport's limit and that of session flow
    /// control permit more: the peer waits for credit, and is not to be refused what it was given. Default: no bound but
    /// these two.
    pub max_open_streams: usize,
    /// Streams kept before their session is established (§4.6); more are refused. What is kept is a name, the rest is the
    /// transport's and bounded there: a user whose peer is to lose none sets as many as the transport permits. Default 24.
    pub max_early_streams: usize,
    /// Datagrams kept before their session is established (§4.6). Default 64.
    pub max_early_datagrams: usize,
    /// The same in bytes of payload. Default 64 KiB.
    pub early_datagram_bytes: usize,
    /// How long streams and datagrams are kept whose session's request has not come at all (server, §4.6). Beyond it streams
    /// are refused with `WT_BUFFERED_STREAM_REJECTED`, and datagrams dropped. Once something of the request is there, its own
    /// deadline counts ([`h3_core::Config::request_timeout`]), then the application's decision. They have the same time anew
    /// if [the application alone](h3_core::Transport::withholds_credit) leaves the peer no credit then, not if they do
    /// themselves. Default 30 s; `None` and zero: no limit.
    pub early_timeout: Option<Duration>,
    /// Datagrams of one session that may wait for [`Sessions::poll_event`](super::Sessions::poll_event). When there
    /// are so many, new ones are dropped and counted. Default 1024.
    pub max_queued_datagrams: usize,
    /// Require all that draft 16 requires, also what today's browsers lack: `reset_stream_at`, an enabling setting
    /// of every client, and the `:protocol` of the dialect. Default false.
    pub strict: bool,
    /// A client's session for which application protocols were offered is refused, with `WT_ALPN_ERROR` from draft 15 on,
    /// if the server chose none of them (§3.3). Servers refuse by their answer. Default false.
    pub require_protocol: bool,
    /// The dialects announced. Default all: the newest that the peer announces as well is spoken (§7.1).
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

/// What the peer may send in each session (§5), beside what QUIC permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlowControl {
    /// Bytes of stream data that may be on their way or unread: the first window. Default 512 KiB.
    pub max_data: u64,
    /// What the window grows to, in bytes, while the application reads as fast as data comes; at least `max_data`.
    /// Default 16 MiB.
    pub max_data_ceiling: u64,
    /// What the windows of all sessions of the connection grow to together, in bytes; of it the first windows of
    /// sessions that may still come are kept, up to a half. With no more than the transport's own limit for the
    /// connection, a session whose application reads nothing holds up no other one. Default 24 MiB.
    pub max_data_together: u64,
    /// Bidirectional streams of the peer that may be open at once, at most 2^60. Default 256.
    pub max_streams_bidi: u64,
    /// Unidirectional streams of the peer that may be open at once, at most 2^60. Default 256.
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

    /// What is announced of session flow control: a zero would say nothing, and where there are several sessions all
    /// three must say something (browsers insist).
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
