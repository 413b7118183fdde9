//! The steps for the server's SETTINGS, one by one.

use h3_core::{Settings, settings::id};
use wt_session::Dialect;

use super::super::step::Step;

pub(super) fn judge(settings: Option<&Settings>) -> Vec<Step> {
    let Some(settings) = settings else {
        let remedy = "the server has to send SETTINGS first of all on its control stream (RFC 9114 §6.2.1)";
        return vec![Step::failed("SETTINGS", "none came in time", remedy)];
    };
    let mut steps = vec![extended_connect(settings), datagrams(settings)];
    steps.extend(Dialect::ALL.map(|dialect| enabling(dialect, settings)));
    steps.extend([session_flow_control(settings), fields(settings)]);
    steps
}

fn extended_connect(settings: &Settings) -> Step {
    let name = format!("ENABLE_CONNECT_PROTOCOL ({:#x})", id::ENABLE_CONNECT_PROTOCOL);
    if settings.enable_connect_protocol {
        return Step::ok(name, "1: extended CONNECT is understood (RFC 9220)");
    }
    let remedy = format!("send {:#x} = 1", id::ENABLE_CONNECT_PROTOCOL);
    // Only draft 02 did not require it.
    let only_02 = newest(settings) == Some(Dialect::Draft02);
    if only_02 {
        Step::warning(name, "not sent; draft 02 implies it", remedy)
    } else {
        Step::failed(name, "not sent: no extended CONNECT (RFC 9220)", remedy)
    }
}

fn datagrams(settings: &Settings) -> Step {
    let name = format!("H3_DATAGRAM ({:#x}, {:#x})", id::H3_DATAGRAM, id::H3_DATAGRAM_DRAFT04);
    let remedy = format!("send {:#x} = 1", id::H3_DATAGRAM);
    match (settings.h3_datagram, settings.h3_datagram_draft04) {
        (true, true) => Step::ok(name, "1 under both numbers: HTTP datagrams are understood (RFC 9297)"),
        (true, false) => Step::ok(name, format!("1 under {:#x} (RFC 9297)", id::H3_DATAGRAM)),
        (false, true) => Step::warning(name, "1 under the number of an old draft alone", remedy),
        (false, false) => Step::failed(name, "not sent: no HTTP datagrams (RFC 9297)", remedy),
    }
}

/// The value with which a dialect is announced; 0 if it is not announced.
fn announced(dialect: Dialect, settings: &Settings) -> u64 {
    match dialect {
        Dialect::Draft02 => settings.wt_enabled_draft02,
        Dialect::Draft07 => settings.wt_max_sessions_draft07,
        Dialect::Draft14 => settings.wt_max_sessions_draft13,
        Dialect::Draft16 => settings.wt_enabled,
        // A dialect of a later version of the library has its own setting.
        _ => 0,
    }
}

/// The newest dialect that the server announces.
pub(super) fn newest(settings: &Settings) -> Option<Dialect> {
    Dialect::ALL.into_iter().find(|dialect| announced(*dialect, settings) != 0)
}

fn enabling(dialect: Dialect, settings: &Settings) -> Step {
    let (setting, id) = dialect.setting();
    let name = format!("{} ({id:#x})", setting.trim_start_matches("SETTINGS_"));
    match (announced(dialect, settings), dialect) {
        (0, Dialect::Draft02) => Step::warning(
            name,
            "not sent: Chromium and Firefox, which speak draft 02 alone by default, find no WebTransport",
            format!("send {id:#x} = 1 beside the newer ones"),
        ),
        (0, _) => Step::ok(name, format!("not sent: {dialect} is not offered")),
        (value @ 2.., Dialect::Draft16) => {
            Step::failed(name, format!("{value}: only 0 and 1 are permitted"), format!("send {id:#x} = 1"))
        }
        (value, _) => Step::ok(name, format!("{value}: {dialect} is offered")),
    }
}

fn session_flow_control(settings: &Settings) -> Step {
    let name = format!(
        "WT_INITIAL_MAX_* ({:#x}, {:#x}, {:#x})",
        id::WT_INITIAL_MAX_DATA,
        id::WT_INITIAL_MAX_STREAMS_UNI,
        id::WT_INITIAL_MAX_STREAMS_BIDI
    );
    let (data, uni, bidi) = (
        settings.wt_initial_max_data,
        settings.wt_initial_max_streams_uni,
        settings.wt_initial_max_streams_bidi,
    );
    if data | uni | bidi == 0 {
        return Step::ok(name, "not sent: no flow control of sessions, QUIC's alone counts");
    }
    Step::ok(name, format!("{data} bytes, {uni} unidirectional and {bidi} bidirectional streams a session"))
}

fn fields(settings: &Settings) -> Step {
    // A browser's request has several hundred bytes of fields.
    const TIGHT: u64 = 2_048;
    const NAME: &str = "field sections";
    let limit = settings.max_field_section_size;
    let size = limit.map_or("of any size".to_owned(), |limit| format!("of up to {limit} bytes"));
    let fact = format!("{size}; QPACK table {} bytes", settings.qpack_max_table_capacity);
    if limit.is_some_and(|limit| limit < TIGHT) {
        return Step::warning(
            NAME,
            fact,
            "raise MAX_FIELD_SECTION_SIZE (0x6): requests of browsers may not fit",
        );
    }
    Step::ok(NAME, fact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Verdict;

    fn all() -> Settings {
        wt_session::Sessions::settings(&wt_session::Config::default())
    }

    /// The steps with a complaint.
    fn complaints(settings: &Settings) -> Vec<(String, Verdict)> {
        let steps = judge(Some(settings)).into_iter().filter(|step| step.verdict != Verdict::Ok);
        steps.map(|step| (step.name.split(' ').next().unwrap().to_owned(), step.verdict)).collect()
    }

    fn complaint(name: &str, verdict: Verdict) -> (String, Verdict) {
        (name.to_owned(), verdict)
    }

    #[test]
    fn settings_of_this_library_have_no_complaints() {
        assert_eq!(complaints(&all()), []);
        assert_eq!(judge(Some(&all())).len(), 8);
        assert_eq!(newest(&all()), Some(Dialect::Draft16));
        assert_eq!(judge(None)[0].verdict, Verdict::Failed);
    }

    #[test]
    fn missing_settings_are_named() {
        let plain = Settings::default();
        assert_eq!(
            complaints(&plain),
            [
                complaint("ENABLE_CONNECT_PROTOCOL", Verdict::Failed),
                complaint("H3_DATAGRAM", Verdict::Failed),
                complaint("ENABLE_WEBTRANSPORT", Verdict::Warning),
            ]
        );
        let old = Settings::new().wt_enabled_draft02(1).h3_datagram_draft04(true);
        assert_eq!(
            complaints(&old),
            [
                complaint("ENABLE_CONNECT_PROTOCOL", Verdict::Warning),
                complaint("H3_DATAGRAM", Verdict::Warning)
            ]
        );
        let wrong = all().wt_enabled(2).max_field_section_size(Some(100));
        assert_eq!(
            complaints(&wrong),
            [complaint("WT_ENABLED", Verdict::Failed), complaint("field", Verdict::Warning)]
        );
        let limited = all().wt_initial_max_data(7);
        assert!(judge(Some(&limited))[6].fact.starts_with("7 bytes"));
    }
}
