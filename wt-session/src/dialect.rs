//! Chooses the draft whose rules a connection follows (§7.1), and checks what that draft requires of the peer
//! (§3.1).
//!
//! All functions are pure functions of settings and transport parameters.

use h3_core::{Settings, settings::id};
use http::StatusCode;
use quic_core::Side;

use crate::{
    flow::{MAX_STREAMS, RaiseRule},
    refusal::Refusal,
};

/// A draft of WebTransport over HTTP/3 with its own rules. Drafts that cannot be told apart on the wire are
/// one dialect. A newer dialect is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Dialect {
    /// Draft 02, which Chromium and Firefox speak.
    Draft02,
    /// Drafts 07 to 12.
    Draft07,
    /// Drafts 13 and 14, which Safari speaks.
    Draft14,
    /// Drafts 15 and 16.
    Draft16,
}

impl Dialect {
    /// All dialects in the order of preference, the newest first (§7.1).
    pub const ALL: [Self; 4] = [Self::Draft16, Self::Draft14, Self::Draft07, Self::Draft02];

    /// The value of `:protocol`.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Draft02 | Self::Draft07 | Self::Draft14 => TOKEN_OLD,
            Self::Draft16 => TOKEN_16,
        }
    }

    /// The status with which a server refuses a session at a resource that does not support WebTransport
    /// (§3.2).
    #[must_use]
    pub const fn unsupported_status(self) -> StatusCode {
        match self {
            Self::Draft02 | Self::Draft07 | Self::Draft14 => StatusCode::NOT_FOUND,
            Self::Draft16 => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// The draft's name as in its document's name, such as `draft-02`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft02 => "draft-02",
            Self::Draft07 => "draft-07",
            Self::Draft14 => "draft-14",
            Self::Draft16 => "draft-16",
        }
    }

    /// The name and identifier of the setting that announces the dialect.
    #[must_use]
    pub const fn setting(self) -> (&'static str, u64) {
        match self {
            Self::Draft02 => ("SETTINGS_ENABLE_WEBTRANSPORT", id::WT_ENABLED_DRAFT02),
            Self::Draft07 => ("SETTINGS_WEBTRANSPORT_MAX_SESSIONS", id::WT_MAX_SESSIONS_DRAFT07),
            Self::Draft14 => ("SETTINGS_WT_MAX_SESSIONS", id::WT_MAX_SESSIONS_DRAFT13),
            Self::Draft16 => ("SETTINGS_WT_ENABLED", id::WT_ENABLED),
        }
    }

    /// The value of the dialect's setting; 0 means not announced. For drafts 07 to 14 it is the number of
    /// sessions that one connection may carry at once.
    pub(crate) const fn announced(self, settings: &Settings) -> u64 {
        match self {
            Self::Draft02 => settings.wt_enabled_draft02,
            Self::Draft07 => settings.wt_max_sessions_draft07,
            Self::Draft14 => settings.wt_max_sessions_draft13,
            Self::Draft16 => settings.wt_enabled,
        }
    }

    /// Whether these settings put session flow control in force (§5.1). Draft 13, which cannot be told from
    /// draft 14, had it only for more than one session. Drafts 07 to 11 had none, and their peers send none
    /// of its settings.
    pub(crate) const fn has_flow_control(self, own: &Settings, peer: &Settings) -> bool {
        match self {
            Self::Draft02 => false,
            Self::Draft14 => {
                (limits_sessions(own) || own.wt_max_sessions_draft13 > 1)
                    && (limits_sessions(peer) || peer.wt_max_sessions_draft13 > 1)
            }
            Self::Draft07 | Self::Draft16 => limits_sessions(own) && limits_sessions(peer),
        }
    }

    /// Whether sessions survive a GOAWAY, which only asks to wind them up (§4.7). Draft 02 does not say so. A
    /// released browser speaks draft 02, and its network process crashes when a page opens a bidirectional
    /// stream after GOAWAY: all its sessions are lost without an event.
    pub(crate) const fn survives_goaway(self) -> bool {
        !matches!(self, Self::Draft02)
    }

    /// How a later capsule may change a limit (§5.6). Draft 15, which cannot be told from draft 16, forbade
    /// only a decrease.
    pub(crate) const fn raise_rule(self) -> RaiseRule {
        match self {
            Self::Draft02 | Self::Draft07 => RaiseRule::Any,
            Self::Draft14 => RaiseRule::NoDecrease,
            Self::Draft16 => RaiseRule::Increase,
        }
    }
}

/// §5.1: each of the three settings asks for flow control.
const fn limits_sessions(settings: &Settings) -> bool {
    settings.wt_initial_max_data | settings.wt_initial_max_streams_bidi | settings.wt_initial_max_streams_uni
        != 0
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Draft02 => "draft 02",
            Self::Draft07 => "draft 07",
            Self::Draft14 => "draft 14",
            Self::Draft16 => "draft 16",
        })
    }
}

/// A set of dialects.
///
/// ```
/// use wt_session::{Dialect, Dialects};
/// assert!(Dialects::ALL.contains(Dialect::Draft07));
/// assert!(!Dialects::only(Dialect::Draft02).contains(Dialect::Draft16));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialects(u8);

impl Dialects {
    /// Every dialect.
    pub const ALL: Self = Self(0b1111);

    /// A set of one dialect.
    #[must_use]
    pub const fn only(dialect: Dialect) -> Self {
        Self(1 << dialect as u8)
    }

    /// Whether the set contains `dialect`.
    #[must_use]
    pub const fn contains(self, dialect: Dialect) -> bool {
        self.0 & 1 << dialect as u8 != 0
    }

    /// Sets the settings that announce these dialects. `sessions` is the value where the draft's setting is a
    /// number of sessions.
    pub(crate) fn announce(self, sessions: u64, settings: &mut Settings) {
        let value = |dialect| u64::from(self.contains(dialect));
        settings.wt_enabled_draft02 = value(Dialect::Draft02);
        settings.wt_max_sessions_draft07 = value(Dialect::Draft07) * sessions;
        settings.wt_max_sessions_draft13 = value(Dialect::Draft14) * sessions;
        settings.wt_enabled = value(Dialect::Draft16);
    }
}

const TOKEN_OLD: &str = "webtransport";
const TOKEN_16: &str = "webtransport-h3";
/// The request field that only draft 02 has.
pub(crate) const REQUEST_HEADER_02: &str = "sec-webtransport-http3-draft02";
/// The response field that only draft 02 has.
pub(crate) const RESPONSE_HEADER_02: &str = "sec-webtransport-http3-draft";
/// The value of [`RESPONSE_HEADER_02`].
pub(crate) const RESPONSE_VALUE_02: &str = "draft02";

/// True for a `:protocol` that means WebTransport in any dialect.
pub(crate) fn is_token(token: &str) -> bool {
    token == TOKEN_OLD || token == TOKEN_16
}

/// The result of the negotiation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// The dialect whose rules apply.
    pub dialect: Dialect,
    /// Why this dialect was chosen.
    pub why: String,
}

/// The peer's transport parameters that matter here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters {
    /// Whether `max_datagram_frame_size` is not 0.
    pub(crate) datagrams: bool,
    /// Whether the peer sent `reset_stream_at`.
    pub(crate) reset_stream_at: bool,
}

/// Chooses the newest dialect that both sides announced (§7.1). This end is `side`; `strict` also requires
/// what no browser sends.
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
    // Only draft 02 did not require it.
    if chosen.dialect > Dialect::Draft02 && side.is_client() && !peer.enable_connect_protocol {
        return Err(missing("SETTINGS_ENABLE_CONNECT_PROTOCOL", id::ENABLE_CONNECT_PROTOCOL));
    }
    if !parameters.datagrams {
        return Err(Refusal::MissingParameter { name: "max_datagram_frame_size", id: 0x20 });
    }
    // §3.1 requires it, but no peer sends it today; without it, streams are reset with a plain RESET_STREAM.
    if chosen.dialect == Dialect::Draft16 && strict && !parameters.reset_stream_at {
        return Err(Refusal::MissingParameter { name: "reset_stream_at", id: 0x1d });
    }
    Ok(chosen)
}

/// Finds a WebTransport setting with an invalid value. Such a setting ends the connection, whether a session
/// was requested or not.
pub(crate) fn impossible(peer: &Settings, side: Side) -> Option<Refusal> {
    // §3.1: a client refuses values above 1; the setting is not defined for clients.
    if side.is_client() && peer.wt_enabled > 1 {
        let (name, id) = Dialect::Draft16.setting();
        return Some(Refusal::SettingValue { name, id, value: peer.wt_enabled });
    }
    // §5.6.2: a connection cannot have more streams.
    [
        (
            "SETTINGS_WT_INITIAL_MAX_STREAMS_BIDI",
            id::WT_INITIAL_MAX_STREAMS_BIDI,
            peer.wt_initial_max_streams_bidi,
        ),
        (
            "SETTINGS_WT_INITIAL_MAX_STREAMS_UNI",
            id::WT_INITIAL_MAX_STREAMS_UNI,
            peer.wt_initial_max_streams_uni,
        ),
    ]
    .into_iter()
    .find(|(_, _, value)| *value > MAX_STREAMS)
    .map(|(name, id, value)| Refusal::SettingValue { name, id, value })
}

fn choose(own: &Settings, peer: &Settings, side: Side, strict: bool) -> Result<Negotiated, Refusal> {
    if let Some(refusal) = impossible(peer, side) {
        return Err(refusal);
    }
    let both = |dialect: &Dialect| dialect.announced(own) != 0 && dialect.announced(peer) != 0;
    if let Some(dialect) = Dialect::ALL.into_iter().find(both) {
        return Ok(Negotiated { dialect, why: why(dialect, own) });
    }
    // Clients of drafts 09 to 12 did not have to announce anything; they use the old token.
    let silent = [Dialect::Draft07, Dialect::Draft02].into_iter().find(|old| old.announced(own) != 0);
    if let Some(dialect) = silent.filter(|_| side == Side::Server && !strict) {
        let why = format!(
            "{dialect}: the client asks for a session but sent no enabling setting that this server knows, \
             as clients of drafts 09 to 12 did"
        );
        return Ok(Negotiated { dialect, why });
    }
    let newest = Dialect::ALL.into_iter().find(|dialect| dialect.announced(own) != 0);
    let (name, id) = newest.unwrap_or(Dialect::Draft16).setting();
    Err(missing(name, id))
}

/// Explains why `chosen` was chosen and no newer dialect.
fn why(chosen: Dialect, own: &Settings) -> String {
    let (name, id) = chosen.setting();
    let mut text = format!("{chosen}: both sides sent {name} ({id:#x})");
    for newer in Dialect::ALL.into_iter().take_while(|dialect| *dialect > chosen) {
        let (name, id) = newer.setting();
        text.push_str(&match newer.announced(own) {
            0 => format!("; not {newer}, which is off here"),
            _ => format!("; not {newer}: the peer sent no {name} ({id:#x})"),
        });
    }
    text
}

fn missing(name: &'static str, id: u64) -> Refusal {
    Refusal::MissingSetting { name, id, value: 1 }
}
