//! Which draft's rules a connection speaks (§7.1), and whether the peer brings what that draft requires (§3.1).
//!
//! Pure functions of settings and transport parameters.

use h3_core::{Settings, settings::id};
use http::StatusCode;
use quic_core::Side;

use crate::{
    flow::{MAX_STREAMS, RaiseRule},
    refusal::Refusal,
};

/// A draft of WebTransport over HTTP/3 and the rules that are its own. Drafts that cannot be told apart on the wire
/// are one dialect. Newer ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Dialect {
    /// Draft 02, which Chromium and Firefox speak.
    Draft02,
    /// Draft 07, and those up to 12.
    Draft07,
    /// Drafts 13 and 14, which Safari speaks.
    Draft14,
    /// Draft 16, and 15.
    Draft16,
}

impl Dialect {
    /// All of them, the newest first: the order of preference (§7.1).
    pub const ALL: [Self; 4] = [Self::Draft16, Self::Draft14, Self::Draft07, Self::Draft02];

    /// The value of `:protocol`.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Draft02 | Self::Draft07 | Self::Draft14 => TOKEN_OLD,
            Self::Draft16 => TOKEN_16,
        }
    }

    /// The status with which a server refuses a session at a resource that does not support WebTransport (§3.2).
    #[must_use]
    pub const fn unsupported_status(self) -> StatusCode {
        match self {
            Self::Draft02 | Self::Draft07 | Self::Draft14 => StatusCode::NOT_FOUND,
            Self::Draft16 => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// The draft's name as in that of its document, such as `draft-02`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft02 => "draft-02",
            Self::Draft07 => "draft-07",
            Self::Draft14 => "draft-14",
            Self::Draft16 => "draft-16",
        }
    }

    /// The setting that announces it: its name and its identifier.
    #[must_use]
    pub const fn setting(self) -> (&'static str, u64) {
        match self {
            Self::Draft02 => ("SETTINGS_ENABLE_WEBTRANSPORT", id::WT_ENABLED_DRAFT02),
            Self::Draft07 => ("SETTINGS_WEBTRANSPORT_MAX_SESSIONS", id::WT_MAX_SESSIONS_DRAFT07),
            Self::Draft14 => ("SETTINGS_WT_MAX_SESSIONS", id::WT_MAX_SESSIONS_DRAFT13),
            Self::Draft16 => ("SETTINGS_WT_ENABLED", id::WT_ENABLED),
        }
    }

    /// The value of that setting in these settings; 0: not announced. For drafts 07 to 14 it is the number of sessions
    /// that one connection may carry at once.
    pub(crate) const fn announced(self, settings: &Settings) -> u64 {
        match self {
            Self::Draft02 => settings.wt_enabled_draft02,
            Self::Draft07 => settings.wt_max_sessions_draft07,
            Self::Draft14 => settings.wt_max_sessions_draft13,
            Self::Draft16 => settings.wt_enabled,
        }
    }

    /// Whether sessions have flow control of their own between two ends with these settings (§5.1). Draft 13 had it
    /// for more than one session only, and cannot be told from draft 14; drafts 07 to 11 had none, and their peers send
    /// none of the settings.
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

    /// Whether peers take a GOAWAY for what it is: a word to wind sessions up, which go on (§4.7). Draft 02 does not say
    /// so, and the network process of a released browser that speaks it crashes when a page opens a bidirectional stream
    /// after GOAWAY. All its sessions are lost then, and of that it tells nobody.
    pub(crate) const fn bears_goaway(self) -> bool {
        !matches!(self, Self::Draft02)
    }

    /// What a later capsule may say about a limit (§5.6). Draft 15 forbade a decrease only, and cannot be told from
    /// draft 16.
    pub(crate) const fn raise_rule(self) -> RaiseRule {
        match self {
            Self::Draft02 | Self::Draft07 => RaiseRule::Any,
            Self::Draft14 => RaiseRule::NoDecrease,
            Self::Draft16 => RaiseRule::Increase,
        }
    }
}

/// §5.1: any of the three settings asks for flow control.
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
    /// Every dialect there is.
    pub const ALL: Self = Self(0b1111);

    /// One alone.
    #[must_use]
    pub const fn only(dialect: Dialect) -> Self {
        Self(1 << dialect as u8)
    }

    /// Whether it holds `dialect`.
    #[must_use]
    pub const fn contains(self, dialect: Dialect) -> bool {
        self.0 & 1 << dialect as u8 != 0
    }

    /// The settings that announce these, with the number of sessions where the draft's setting is a number.
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
/// Request field of draft 02 and of no other.
pub(crate) const REQUEST_HEADER_02: &str = "sec-webtransport-http3-draft02";
/// Response field of draft 02 and of no other.
pub(crate) const RESPONSE_HEADER_02: &str = "sec-webtransport-http3-draft";
/// The value of the latter.
pub(crate) const RESPONSE_VALUE_02: &str = "draft02";

/// True for a `:protocol` that means WebTransport in any dialect.
pub(crate) fn is_token(token: &str) -> bool {
    token == TOKEN_OLD || token == TOKEN_16
}

/// What was agreed upon.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// The rules.
    pub dialect: Dialect,
    /// Why these, in words.
    pub why: String,
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
    // Draft 02 alone did not ask for it.
    if chosen.dialect > Dialect::Draft02 && side.is_client() && !peer.enable_connect_protocol {
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

/// A setting of WebTransport with a value that it cannot have. The connection ends, whether a session is asked for or not.
pub(crate) fn impossible(peer: &Settings, side: Side) -> Option<Refusal> {
    // §3.1: a client refuses values above 1; from clients the setting is not defined.
    if side.is_client() && peer.wt_enabled > 1 {
        let (name, id) = Dialect::Draft16.setting();
        return Some(Refusal::SettingValue { name, id, value: peer.wt_enabled });
    }
    // There are no more streams than that (§5.6.2).
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
    // Clients of drafts 09 to 12 need not announce anything, and asked by the old token.
    let silent = [Dialect::Draft07, Dialect::Draft02].into_iter().find(|old| old.announced(own) != 0);
    if let Some(dialect) = silent.filter(|_| side == Side::Server && !strict) {
        let why = format!(
            "{dialect}: the client sent no enabling setting that this server knows, yet asks for a session, as clients \
             of drafts 09 to 12 did"
        );
        return Ok(Negotiated { dialect, why });
    }
    let newest = Dialect::ALL.into_iter().find(|dialect| dialect.announced(own) != 0);
    let (name, id) = newest.unwrap_or(Dialect::Draft16).setting();
    Err(missing(name, id))
}

/// Why `chosen`, and why none that is newer.
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
