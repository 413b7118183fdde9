//! The configuration of a connection: its settings and local limits.

use std::time::Duration;

use qpack::EncoderOptions;

use crate::settings::Settings;

/// The limit of field sections if the settings have none, in bytes.
pub(super) const DEFAULT_MAX_FIELD_SECTION_SIZE: u64 = 64 * 1024;

/// The dynamic table that is offered to the peer's encoder, in bytes: as large as that of HTTP/2, which peers
/// are made for. It holds the fields of some dozen requests.
const TABLE_CAPACITY: u64 = 4096;

/// How many streams may wait for entries of that table. With sections of 16 KiB each, [`Config::header_memory`]
/// holds as many; the first flight of a page's requests is not much larger, and later ones seldom wait.
const BLOCKED_STREAMS: u64 = 16;

/// The default of [`Config::request_timeout`].
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The configuration of a connection: its settings and local limits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// What is sent in SETTINGS. `max_field_section_size` becomes 64 KiB if it is not set, because a limit
    /// must be announced to be enforced. If both QPACK settings are 0, [`Config::new`] sets them: a dynamic
    /// table of 4096 bytes, and 16 streams that may wait for its entries (RFC 9204 §5). Setting them to 0
    /// after that offers no table.
    pub settings: Settings,
    /// How this side uses the dynamic table that the peer's settings offer. Until they arrive, and if they
    /// offer none, it uses the static table.
    pub encoder: EncoderOptions,
    /// How many bytes of unfinished header sections this side buffers for all streams together. Default 256
    /// KiB.
    pub header_memory: usize,
    /// How many requests the peer may open and abandon in one second before the connection is closed with
    /// `H3_EXCESSIVE_LOAD` (server). Default 1000.
    pub resets_per_second: u32,
    /// How long a stream of the peer may take, from its first frame on, until its kind is known and, for a
    /// request, its head is complete (server). A session's request waits for the peer's SETTINGS as long.
    /// After that the stream is reset, a request with `H3_REQUEST_INCOMPLETE` (RFC 9114 §4.1). The time
    /// starts anew if it ends while this side [leaves the request unread](crate::Connection::hold_requests),
    /// or while [the application alone](crate::Transport::withholds_credit) leaves the peer no credit. It
    /// does not if the peer itself has used up the credit. Default 30 s; `None` and zero mean no limit.
    pub request_timeout: Option<Duration>,
    /// Any number; it selects the reserved identifiers that are sent to be ignored (RFC 9114 §7.2.8).
    pub grease: u64,
}

impl Config {
    /// The defaults with these settings.
    #[must_use]
    pub fn new(mut settings: Settings) -> Self {
        if (settings.qpack_max_table_capacity, settings.qpack_blocked_streams) == (0, 0) {
            settings.qpack_max_table_capacity = TABLE_CAPACITY;
            settings.qpack_blocked_streams = BLOCKED_STREAMS;
        }
        Self {
            settings,
            encoder: EncoderOptions::new(),
            header_memory: 256 << 10,
            resets_per_second: 1000,
            request_timeout: Some(REQUEST_TIMEOUT),
            grease: 0x5eed,
        }
    }
}
