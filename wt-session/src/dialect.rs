//! Which draft's rules a connection speaks (§7.1), and whether the peer brings what that draft requires (§3.1).
//!
//! Pure functions of settings and transport parameters.

use h3_core::{Settings, settings::id};
use quic_core::Side;

use crate::Refusal;

/// A draft of WebTransport over HTTP/3 and the rules that are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Dialect {
    /// Draft 02, which Chromium and Firefox speak.
    Draft02,
    /// Draft 16, and 15.
    Draft16,
}

impl Dialect {
    /// The value of `:protocol`.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Draft02 => TOKEN_02,
            Self::Draft16 => TOKEN_16,
        }
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Draft02 => "draft 02",
            Self::Draft16 => "draft 16",
        })
    }
}

const TOKEN_02: &str = "webtransport";
const TOKEN_16: &str = "webtransport-h3";
/// Request field of draft 02 and of no other.
pub(crate) const REQUEST_HEADER_02: &str = "sec-webtransport-http3-draft02";
/// Response field of draft 02 and of no other.
pub(crate) const RESPONSE_HEADER_02: &str = "sec-webtransport-http3-draft";
/// The value of the latter.
pub(crate) const RESPONSE_VALUE_02: &str = "draft02";

/// True for a `:protocol` that means WebTransport in any dialect.
pub(crate) fn is_token(token: &str) -> bool {
    token == TOKEN_02 || token == TOKEN_16
}

/// What was agreed upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The rules.
    pub dialect: Dialect,
    /// Why these, in words.
    pub why: &'static str,
}

/// What the transport says about the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters {
    /// `max_datagram_frame_size` is not 0.
    pub(crate) datagrams: bool,
    /// `reset_stream_at` is there.
    pub(crate) reset_stream_at: bool,
}

/// The dialect that this end, `side`, speaks with a peer of these settings and parameters: the newest that both
/// announced (§7.1). `strict` also asks for what no browser sends.
pub(crate) fn negotiate(
    own: &Settings,
    peer: &Settings,
    parameters: Parameters,
    side: Side,
    strict: bool,
) -> Result<Negotiated, Refusal> {
    let chosen = choose(own, peer, side, strict)?;
    if !peer.datagrams() {
        return Err(missing("SETTINGS_H3_DATAGRAM", id::H3_DATAGRAM));
    }
    if chosen.dialect == Dialect::Draft16 && side.is_client() && !peer.enable_connect_protocol {
        return Err(missing("SETTINGS_ENABLE_CONNECT_PROTOCOL", id::ENABLE_CONNECT_PROTOCOL));
    }
    if !parameters.datagrams {
        return Err(Refusal::MissingParameter { name: "max_datagram_frame_size", id: 0x20 });
    }
    // §3.1 requires it, but no peer of today sends it: then streams are reset by plain RESET_STREAM.
    if chosen.dialect == Dialect::Draft16 && strict && !parameters.reset_stream_at {
        return Err(Refusal::MissingParameter { name: "reset_stream_at", id: 0x1d });
    }
    Ok(chosen)
}

fn choose(own: &Settings, peer: &Settings, side: Side, strict: bool) -> Result<Negotiated, Refusal> {
    // §3.1: a client refuses values above 1.
    if side.is_client() && own.wt_enabled != 0 && peer.wt_enabled > 1 {
        return Err(Refusal::SettingValue {
            name: "SETTINGS_WT_ENABLED",
            id: id::WT_ENABLED,
            value: peer.wt_enabled,
        });
    }
    if own.wt_enabled != 0 && peer.wt_enabled != 0 {
        let why = if own.wt_enabled_draft02 != 0 && peer.wt_enabled_draft02 != 0 {
            "draft 16: both sides sent SETTINGS_WT_ENABLED (0x2c7cf000), which goes before draft 02"
        } else {
            "draft 16: both sides sent SETTINGS_WT_ENABLED (0x2c7cf000)"
        };
        return Ok(Negotiated { dialect: Dialect::Draft16, why });
    }
    if own.wt_enabled_draft02 != 0 && peer.wt_enabled_draft02 != 0 {
        let why = if own.wt_enabled == 0 {
            "draft 02: both sides sent SETTINGS_ENABLE_WEBTRANSPORT (0x2b603742), and draft 16 is off here"
        } else {
            "draft 02: the peer sent SETTINGS_ENABLE_WEBTRANSPORT (0x2b603742) and no SETTINGS_WT_ENABLED (0x2c7cf000)"
        };
        return Ok(Negotiated { dialect: Dialect::Draft02, why });
    }
    // Clients of drafts 09 to 12 announced nothing, and asked by the token of draft 02.
    if side == Side::Server && !strict && own.wt_enabled_draft02 != 0 {
        let why =
            "draft 02: the client sent no enabling setting that this server knows, yet asks for a session";
        return Ok(Negotiated { dialect: Dialect::Draft02, why });
    }
    Err(if own.wt_enabled != 0 {
        missing("SETTINGS_WT_ENABLED", id::WT_ENABLED)
    } else {
        missing("SETTINGS_ENABLE_WEBTRANSPORT", id::WT_ENABLED_DRAFT02)
    })
}

fn missing(name: &'static str, id: u64) -> Refusal {
    Refusal::MissingSetting { name, id, value: 1 }
}
