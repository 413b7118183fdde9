//! How a connection behaves, beside the settings it sends.

use std::time::Duration;

use crate::settings::Settings;

/// The limit of field sections when the settings name none, in bytes.
pub(super) const DEFAULT_MAX_FIELD_SECTION_SIZE: u64 = 64 * 1024;

/// How long the head of a request may take, unless the configuration says otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How a connection behaves, beside the settings it sends.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// What is sent in SETTINGS. `max_field_section_size` becomes 64 KiB if it is not set, since what is not
    /// announced cannot be enforced; the two QPACK settings are taken as 0.
    pub settings: Settings,
    /// Bytes of unfinished header sections that all streams together may make this side hold. Default 256 KiB.
    pub header_memory: usize,
    /// Requests in one second that the peer may open and make useless, before the connection is closed with
    /// `H3_EXCESSIVE_LOAD` (server). Default 1000.
    pub resets_per_second: u32,
    /// How long a stream of the peer may take until it is known what it is and, if it is a request, its head is whole (server):
    /// so long after the first that is heard of it, whatever comes meanwhile. A session's request has the same time to be
    /// followed by SETTINGS. Beyond it the stream is given up, a request with `H3_REQUEST_INCOMPLETE` (RFC 9114 §4.1). It has
    /// the same time anew if this side [leaves it unread](crate::Connection::hold_requests) then, or if
    /// [the application alone](crate::Transport::withholds_credit) leaves the peer no credit: not if the peer has filled
    /// that itself. Default 30 s; `None` and zero: no limit.
    pub request_timeout: Option<Duration>,
    /// Any number: picks the identifiers that are sent only to be ignored (RFC 9114 §7.2.8).
    pub grease: u64,
}

impl Config {
    /// The defaults with these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            header_memory: 256 << 10,
            resets_per_second: 1000,
            request_timeout: Some(REQUEST_TIMEOUT),
            grease: 0x5eed,
        }
    }
}
