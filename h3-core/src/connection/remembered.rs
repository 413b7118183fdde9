//! Settings of a server that a client remembers for 0-RTT (RFC 9114 §7.2.4.2).
//!
//! Owns the comparison with the settings that the server sends. Must never know where they were kept.

use super::Connection;
use crate::{error::H3Violation, settings::Settings};

impl Connection {
    /// The settings that the server had on the connection whose session this one resumes (client). They apply
    /// to requests and datagrams in 0-RTT, until the server's own arrive. If the server then has lower ones
    /// although it accepted 0-RTT, the connection ends with `H3_SETTINGS_ERROR`. To be called before
    /// [`start`](Self::start), if the transport offers 0-RTT ([`quic_core::EarlyData::Offered`]); with the
    /// default settings if none were kept. [`peer_settings`](Self::peer_settings) does not return them: a
    /// WebTransport session is not asked for in 0-RTT (WebTransport over HTTP/3 §3.2).
    ///
    /// Who sends requests in 0-RTT chooses safe ones, because they can be replayed (RFC 8470 §4).
    ///
    /// A server that accepts 0-RTT keeps to the settings that it had before: it passes the encoded ones as
    /// [`early_promise`](quic_core::ServerConfig) to QUIC, which then resumes no session that was made under
    /// others.
    pub fn remember_settings(&mut self, settings: Settings) {
        if self.side.is_client() && self.peer_settings.is_none() {
            self.remembered = Some(Box::new(settings));
        }
    }

    /// The settings of the peer that may be relied on now.
    pub(super) fn known_settings(&self) -> Option<&Settings> {
        self.peer_settings.as_ref().or(self.remembered.as_deref())
    }

    /// The server has not accepted 0-RTT, and is bound by nothing.
    pub(super) fn forget_settings(&mut self) {
        self.remembered = None;
    }

    /// The server's settings are here: they replace those that were remembered.
    pub(super) fn check_remembered(&mut self, settings: &Settings) -> Result<(), H3Violation> {
        self.remembered.take().map_or(Ok(()), |remembered| check(&remembered, settings))
    }
}

/// Compares what a server of accepted 0-RTT sends with what the client remembered.
fn check(before: &Settings, now: &Settings) -> Result<(), H3Violation> {
    // RFC 9204 §3.2.3: a table that the client may have filled has to stay as it was.
    if before.qpack_max_table_capacity != 0 && before.qpack_max_table_capacity != now.qpack_max_table_capacity
    {
        return Err(H3Violation::TableCapacityChanged);
    }
    let size = |settings: &Settings| settings.max_field_section_size.unwrap_or(u64::MAX);
    // WebTransport over HTTP/3 §3.2 adds the limits of sessions, RFC 9220 §3 and RFC 9297 §2.1.1 the switches.
    let limits = |settings: &Settings| {
        [
            size(settings),
            settings.qpack_blocked_streams,
            settings.enable_connect_protocol.into(),
            settings.h3_datagram.into(),
            settings.h3_datagram_draft04.into(),
            settings.wt_enabled,
            settings.wt_enabled_draft02,
            settings.wt_max_sessions_draft07,
            settings.wt_max_sessions_draft13,
            settings.wt_initial_max_data,
            settings.wt_initial_max_streams_uni,
            settings.wt_initial_max_streams_bidi,
        ]
    };
    let lowered = limits(now).iter().zip(limits(before)).any(|(now, before)| *now < before);
    if lowered { Err(H3Violation::SettingLowered) } else { Ok(()) }
}
