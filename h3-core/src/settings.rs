//! SETTINGS (RFC 9114 §7.2.4): the known settings as fields, the others as pairs.
//!
//! The decoder reads a frame of any size in pieces and keeps a bounded number of unknown settings. The layer
//! above interprets the WebTransport settings.

use bytes::BufMut;
use quic_core::base::varint;

use crate::{error::H3Violation, frame};

/// Setting identifiers.
pub mod id {
    /// `SETTINGS_QPACK_MAX_TABLE_CAPACITY` (RFC 9204 §5).
    pub const QPACK_MAX_TABLE_CAPACITY: u64 = 0x01;
    /// `SETTINGS_MAX_FIELD_SECTION_SIZE` (RFC 9114 §7.2.4.1).
    pub const MAX_FIELD_SECTION_SIZE: u64 = 0x06;
    /// `SETTINGS_QPACK_BLOCKED_STREAMS` (RFC 9204 §5).
    pub const QPACK_BLOCKED_STREAMS: u64 = 0x07;
    /// `SETTINGS_ENABLE_CONNECT_PROTOCOL` (RFC 9220 §3).
    pub const ENABLE_CONNECT_PROTOCOL: u64 = 0x08;
    /// `SETTINGS_H3_DATAGRAM` (RFC 9297 §2.1.1).
    pub const H3_DATAGRAM: u64 = 0x33;
    /// The datagram setting of an old draft that browsers still send.
    pub const H3_DATAGRAM_DRAFT04: u64 = 0xff_d277;
    /// `SETTINGS_WT_ENABLED` (draft 15 and later).
    pub const WT_ENABLED: u64 = 0x2c7c_f000;
    /// `SETTINGS_ENABLE_WEBTRANSPORT` of draft 02.
    pub const WT_ENABLED_DRAFT02: u64 = 0x2b60_3742;
    /// The maximum number of sessions of drafts 07 to 12.
    pub const WT_MAX_SESSIONS_DRAFT07: u64 = 0xc671_706a;
    /// `SETTINGS_WT_MAX_SESSIONS` of drafts 13 and 14.
    pub const WT_MAX_SESSIONS_DRAFT13: u64 = 0x14e9_cd29;
    /// `SETTINGS_WT_INITIAL_MAX_DATA`.
    pub const WT_INITIAL_MAX_DATA: u64 = 0x2b61;
    /// `SETTINGS_WT_INITIAL_MAX_STREAMS_UNI`.
    pub const WT_INITIAL_MAX_STREAMS_UNI: u64 = 0x2b64;
    /// `SETTINGS_WT_INITIAL_MAX_STREAMS_BIDI`.
    pub const WT_INITIAL_MAX_STREAMS_BIDI: u64 = 0x2b65;
}

/// How many unknown settings are kept.
const MAX_EXTRA: usize = 32;
/// How many identifiers of unknown settings are remembered to find a duplicate.
const MAX_SEEN: usize = 64;

/// Defines chainable setters, one for each field.
macro_rules! setters {
    ($($name:ident: $type:ty,)*) => {$(
        #[doc = concat!("Sets [`", stringify!($name), "`](Self#structfield.", stringify!($name), ").")]
        #[must_use]
        pub fn $name(mut self, $name: $type) -> Self {
            self.$name = $name;
            self
        }
    )*};
}

/// The settings of one side. The defaults are zero, false and `None`; a setting with its default is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The largest QPACK dynamic table that the peer's encoder may use, in bytes (RFC 9204 §5).
    pub qpack_max_table_capacity: u64,
    /// The largest field section accepted, in bytes as RFC 9114 §4.2.2 counts them; `None` is unlimited.
    pub max_field_section_size: Option<u64>,
    /// How many streams may wait for entries of that table.
    pub qpack_blocked_streams: u64,
    /// Extended CONNECT is understood.
    pub enable_connect_protocol: bool,
    /// HTTP datagrams are understood.
    pub h3_datagram: bool,
    /// HTTP datagrams are understood, in the form of an old draft.
    pub h3_datagram_draft04: bool,
    /// WebTransport of draft 15 and later.
    pub wt_enabled: u64,
    /// WebTransport of draft 02.
    pub wt_enabled_draft02: u64,
    /// Sessions by the rules of drafts 07 to 12.
    pub wt_max_sessions_draft07: u64,
    /// Sessions by the rules of drafts 13 and 14.
    pub wt_max_sessions_draft13: u64,
    /// Initial limit of stream data of a session, in bytes.
    pub wt_initial_max_data: u64,
    /// Initial limit of unidirectional streams of a session.
    pub wt_initial_max_streams_uni: u64,
    /// Initial limit of bidirectional streams of a session.
    pub wt_initial_max_streams_bidi: u64,
    /// Other settings, in order, without the reserved ones. At most 32 of the peer's are kept.
    pub extra: Vec<(u64, u64)>,
}

impl Settings {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        qpack_max_table_capacity: u64,
        max_field_section_size: Option<u64>,
        qpack_blocked_streams: u64,
        enable_connect_protocol: bool,
        h3_datagram: bool,
        h3_datagram_draft04: bool,
        wt_enabled: u64,
        wt_enabled_draft02: u64,
        wt_max_sessions_draft07: u64,
        wt_max_sessions_draft13: u64,
        wt_initial_max_data: u64,
        wt_initial_max_streams_uni: u64,
        wt_initial_max_streams_bidi: u64,
        extra: Vec<(u64, u64)>,
    }

    /// True if a setting of any draft enables WebTransport.
    #[must_use]
    pub const fn webtransport(&self) -> bool {
        self.wt_enabled
            | self.wt_enabled_draft02
            | self.wt_max_sessions_draft07
            | self.wt_max_sessions_draft13
            != 0
    }

    /// True if a setting of any draft enables HTTP datagrams.
    #[must_use]
    pub const fn datagrams(&self) -> bool {
        self.h3_datagram || self.h3_datagram_draft04
    }

    /// Reads what [`encode`](Self::encode) wrote, for a client that keeps the settings of a server beside the
    /// session that it may resume with 0-RTT (RFC 9114 §7.2.4.2).
    ///
    /// # Errors
    /// The bytes are no payload of a SETTINGS frame.
    pub fn decode(mut payload: bytes::Bytes) -> Result<Self, H3Violation> {
        let mut decoder = SettingsDecoder::default();
        decoder.feed(&mut payload)?;
        decoder.finish()
    }

    /// Appends the payload of a SETTINGS frame, including one reserved setting, which peers must ignore;
    /// `grease` selects it.
    pub fn encode(&self, grease: u64, out: &mut impl BufMut) {
        let mut put = |id: u64, value: u64| {
            varint::put(out, id);
            varint::put(out, value);
        };
        let known = [
            (id::QPACK_MAX_TABLE_CAPACITY, self.qpack_max_table_capacity),
            (id::QPACK_BLOCKED_STREAMS, self.qpack_blocked_streams),
            (id::ENABLE_CONNECT_PROTOCOL, self.enable_connect_protocol.into()),
            (id::H3_DATAGRAM, self.h3_datagram.into()),
            (id::H3_DATAGRAM_DRAFT04, self.h3_datagram_draft04.into()),
            (id::WT_ENABLED, self.wt_enabled),
            (id::WT_ENABLED_DRAFT02, self.wt_enabled_draft02),
            (id::WT_MAX_SESSIONS_DRAFT07, self.wt_max_sessions_draft07),
            (id::WT_MAX_SESSIONS_DRAFT13, self.wt_max_sessions_draft13),
            (id::WT_INITIAL_MAX_DATA, self.wt_initial_max_data),
            (id::WT_INITIAL_MAX_STREAMS_UNI, self.wt_initial_max_streams_uni),
            (id::WT_INITIAL_MAX_STREAMS_BIDI, self.wt_initial_max_streams_bidi),
        ];
        known.into_iter().filter(|(_, value)| *value != 0).for_each(|(id, value)| put(id, value));
        if let Some(size) = self.max_field_section_size {
            put(id::MAX_FIELD_SECTION_SIZE, size);
        }
        self.extra.iter().for_each(|(id, value)| put(*id, *value));
        // RFC 9114 §7.2.4.1: endpoints should send a reserved identifier.
        put(0x1f * (grease % (1 << 32)) + 0x21, grease & 0xff);
    }
}

/// Reads the payload of a SETTINGS frame in pieces.
#[derive(Debug, Default)]
pub(crate) struct SettingsDecoder {
    settings: Settings,
    pair: frame::HeadReader,
    known: u32,
    seen: Vec<u64>,
}

impl SettingsDecoder {
    /// Reads the next bytes of the payload.
    pub(crate) fn feed(&mut self, data: &mut bytes::Bytes) -> Result<(), H3Violation> {
        while let Some(pair) = self.pair.take(data) {
            self.on_setting(pair.kind, pair.length)?;
        }
        Ok(())
    }

    /// Ends the payload.
    pub(crate) fn finish(self) -> Result<Settings, H3Violation> {
        if self.pair.is_empty() { Ok(self.settings) } else { Err(H3Violation::FrameLength) }
    }

    fn on_setting(&mut self, id: u64, value: u64) -> Result<(), H3Violation> {
        let settings = &mut self.settings;
        let bit = match id {
            // RFC 9114 §7.2.4.1: HTTP/2 defined these settings, and HTTP/3 reserves them.
            0x00 | 0x02..=0x05 => return Err(H3Violation::SettingReserved),
            id::QPACK_MAX_TABLE_CAPACITY => set(&mut settings.qpack_max_table_capacity, value, 0),
            id::QPACK_BLOCKED_STREAMS => set(&mut settings.qpack_blocked_streams, value, 1),
            id::MAX_FIELD_SECTION_SIZE => {
                settings.max_field_section_size = Some(value);
                2
            }
            id::ENABLE_CONNECT_PROTOCOL => set(&mut settings.enable_connect_protocol, flag(value)?, 3),
            id::H3_DATAGRAM => set(&mut settings.h3_datagram, flag(value)?, 4),
            id::H3_DATAGRAM_DRAFT04 => set(&mut settings.h3_datagram_draft04, flag(value)?, 5),
            id::WT_ENABLED => set(&mut settings.wt_enabled, value, 6),
            id::WT_ENABLED_DRAFT02 => set(&mut settings.wt_enabled_draft02, value, 7),
            id::WT_MAX_SESSIONS_DRAFT07 => set(&mut settings.wt_max_sessions_draft07, value, 8),
            id::WT_MAX_SESSIONS_DRAFT13 => set(&mut settings.wt_max_sessions_draft13, value, 9),
            id::WT_INITIAL_MAX_DATA => set(&mut settings.wt_initial_max_data, value, 10),
            id::WT_INITIAL_MAX_STREAMS_UNI => set(&mut settings.wt_initial_max_streams_uni, value, 11),
            id::WT_INITIAL_MAX_STREAMS_BIDI => set(&mut settings.wt_initial_max_streams_bidi, value, 12),
            _ => return self.on_unknown(id, value),
        };
        // RFC 9114 §7.2.4: an identifier must not occur twice.
        if self.known & 1 << bit != 0 {
            return Err(H3Violation::SettingDuplicate);
        }
        self.known |= 1 << bit;
        Ok(())
    }

    fn on_unknown(&mut self, id: u64, value: u64) -> Result<(), H3Violation> {
        if self.seen.contains(&id) {
            return Err(H3Violation::SettingDuplicate);
        }
        if self.seen.len() < MAX_SEEN {
            self.seen.push(id);
        }
        if !frame::is_grease(id) && self.settings.extra.len() < MAX_EXTRA {
            self.settings.extra.push((id, value));
        }
        Ok(())
    }
}

fn set<T>(field: &mut T, value: T, bit: u32) -> u32 {
    *field = value;
    bit
}

fn flag(value: u64) -> Result<bool, H3Violation> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(H3Violation::SettingValue),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::{collection::vec, prelude::*};

    fn decode(payload: &[u8], piece: usize) -> Result<Settings, H3Violation> {
        let mut decoder = SettingsDecoder::default();
        for chunk in payload.chunks(piece) {
            decoder.feed(&mut Bytes::copy_from_slice(chunk))?;
        }
        decoder.finish()
    }

    fn payload(pairs: &[(u64, u64)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (id, value) in pairs {
            varint::put(&mut out, *id);
            varint::put(&mut out, *value);
        }
        out
    }

    #[test]
    fn bad_values_duplicates_and_reserved() {
        for id in [id::ENABLE_CONNECT_PROTOCOL, id::H3_DATAGRAM, id::H3_DATAGRAM_DRAFT04] {
            assert_eq!(decode(&payload(&[(id, 2)]), 9), Err(H3Violation::SettingValue));
        }
        for id in [0x00, 0x02, 0x03, 0x04, 0x05] {
            assert_eq!(decode(&payload(&[(id, 0)]), 9), Err(H3Violation::SettingReserved));
        }
        for id in [id::H3_DATAGRAM, id::WT_INITIAL_MAX_DATA, 0x4242, 0x21] {
            assert_eq!(decode(&payload(&[(id, 1), (id, 1)]), 9), Err(H3Violation::SettingDuplicate));
        }
        assert_eq!(decode(&[0x33], 1), Err(H3Violation::FrameLength));
        assert_eq!(decode(&[0x33, 0x40], 1), Err(H3Violation::FrameLength));
    }

    #[test]
    fn unknown_settings_are_kept_up_to_a_bound() {
        let pairs: Vec<_> = (0..10_000).map(|n| (0x10_0000 + n, n)).collect();
        let mut decoder = SettingsDecoder::default();
        decoder.feed(&mut Bytes::from(payload(&pairs))).unwrap();
        assert_eq!(decoder.seen.len(), 64);
        assert_eq!(decoder.finish().unwrap().extra.len(), 32);
    }

    proptest! {
        #[test]
        fn encode_then_decode(
            n in vec(0..=varint::MAX, 10),
            flags in vec(any::<bool>(), 4),
            extra in 0x4000_0000_u64..0x5000_0000,
            piece in 1_usize..40,
        ) {
            let settings = Settings {
                qpack_max_table_capacity: n[0],
                max_field_section_size: flags[0].then_some(n[1]),
                qpack_blocked_streams: n[2],
                enable_connect_protocol: flags[1],
                h3_datagram: flags[2],
                h3_datagram_draft04: flags[3],
                wt_enabled: n[3],
                wt_enabled_draft02: n[4],
                wt_max_sessions_draft07: n[5],
                wt_max_sessions_draft13: n[6],
                wt_initial_max_data: n[7],
                wt_initial_max_streams_uni: n[8],
                wt_initial_max_streams_bidi: n[9],
                extra: if frame::is_grease(extra) { vec![] } else { vec![(extra, n[0])] },
            };
            let mut payload = Vec::new();
            settings.encode(n[1], &mut payload);
            // In rare cases the reserved setting has the identifier of another one and is a duplicate.
            let decoded = decode(&payload, piece);
            prop_assert!(decoded == Ok(settings) || decoded == Err(H3Violation::SettingDuplicate));
        }

        #[test]
        fn decoding_never_panics(payload in vec(any::<u8>(), 0..300), piece in 1_usize..20) {
            let _ = decode(&payload, piece);
        }
    }
}
