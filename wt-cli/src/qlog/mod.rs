//! `weft qlog`: what files of qlog say, as a summary and as a page.
//!
//! Lowest first: [`read`] cuts files into records, [`series`] keeps figures in bounded memory, [`trace`] gathers what the
//! events say and [`mod@file`] what a file does, [`report`] and [`html`] tell it.

mod file;
mod html;
mod read;
mod report;
mod series;
mod trace;

use std::fs;

use crate::{
    args::QlogFiles,
    exit::{Ended, Exit},
    output,
};
use file::File;

pub(crate) fn run(args: &QlogFiles, json: bool) -> Result<Exit, Ended> {
    // Links and other spellings of a log's path lead to the same file.
    let page = args.html.as_deref().and_then(|page| page.canonicalize().ok());
    if page.is_some() && args.files.iter().any(|file| file.canonicalize().ok() == page) {
        return Err(Ended::new(Exit::Usage, "the page of --html would replace a log: give it another name"));
    }
    let mut files = Vec::new();
    for path in &args.files {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| Ended::new(Exit::Usage, format!("{name}: {error}")))?;
        if json {
            output::say_json(&report::json(&name, &file));
        } else {
            output::say(&report::text(&name, &file));
        }
        files.push((name, file));
    }
    if let Some(page) = &args.html {
        fs::write(page, html::page(&files))
            .map_err(|error| Ended::new(Exit::Usage, format!("{}: {error}", page.display())))?;
    }
    // A file without a single event is none of qlog.
    match files.iter().find(|(_, file)| file.trace.events == 0) {
        Some((name, _)) => Err(Ended::new(Exit::Failure, format!("{name} has no event of qlog"))),
        None => Ok(Exit::Success),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn read(text: &str) -> File {
        File::gather(|| Ok(text.as_bytes())).expect("memory")
    }

    const HEAD: &str = "\x1e{\"file_schema\":\"urn:ietf:params:qlog:file:sequential\",\"title\":\"a test\",\"trace\":{\"vantage_point\":{\"type\":\"client\"},\"common_fields\":{\"group_id\":\"ab12\"}}}\n";

    fn event(time: f64, name: &str, data: &Value) -> String {
        format!("\x1e{}\n", serde_json::json!({"time": time, "name": name, "data": data}))
    }

    fn connection() -> String {
        use serde_json::json;
        let packet = |number: u64| {
            json!({"header": {"packet_type": "1RTT", "packet_number": number}, "raw": {"length": 1200},
                "frames": [{"frame_type": "stream", "stream_id": 0, "raw": {"payload_length": 1100}}]})
        };
        let blocked = |reason: &str| json!({"old": "blocked", "new": "blocked", "reason": reason});
        [
            HEAD.to_owned(),
            event(0.0, "quic:connection_started", &json!({})),
            event(0.0, "quic:version_information", &json!({"chosen_version": "00000001"})),
            event(20.0, "quic:connection_state_updated", &json!({"new": "handshake_complete"})),
            event(20.0, "quic:connection_data_blocked_updated", &blocked("congestion_control")),
            event(30.0, "quic:packet_sent", &packet(1)),
            event(30.0, "quic:packet_sent", &packet(2)),
            event(
                60.0,
                "quic:recovery_metrics_updated",
                &json!({"min_rtt": 25.0, "latest_rtt": 30.0, "congestion_window": 12000}),
            ),
            event(
                60.0,
                "quic:packet_lost",
                &json!({"header": {"packet_type": "1RTT", "packet_number": 1}, "trigger": "time_threshold"}),
            ),
            event(80.0, "quic:connection_data_blocked_updated", &blocked("application")),
            event(90.0, "carrots:eaten", &json!({})),
            "\x1e{\"time\": 95\n".to_owned(),
            event(
                100.0,
                "quic:connection_closed",
                &json!({"initiator": "remote", "application_error": "unknown",
                "error_code": 7, "reason": "</script>enough", "trigger": "application"}),
            ),
        ]
        .concat()
    }

    #[test]
    fn the_summary_says_what_the_events_say() {
        let file = read(&connection());
        let (text, json) = (report::text("x", &file), report::json("x", &file));
        for part in [
            "client, a test, ab12",
            "QUIC version 1",
            "100.00 ms",
            "complete after 20.00 ms",
            "2 packets, 2400 bytes (2200 bytes of streams), 192.0 kbit/s",
            "1 packets (50.00 %): time_threshold 1",
            "congestion_control 60 % (60.00 ms), application 20 % (20.00 ms), handshake 20 % (20.00 ms)",
            "closed by the peer: application, code 0x7, </script>enough",
            "carrots:eaten 1",
            "1 records; line 12: ",
        ] {
            assert!(text.contains(part), "{part}\nin\n{text}");
        }
        assert_eq!(json["limited_ms"]["congestion_control"], 60.0);
        assert_eq!((json["unknown_events"].as_u64(), json["unreadable"].as_u64()), (Some(1), Some(1)));
        assert!(file.trace.packets[0].lost && !file.trace.packets[1].lost);
    }

    #[test]
    fn texts_of_a_file_cannot_control_the_terminal() {
        use serde_json::json;
        let bad = "\x1b[2J\u{9b}31m\nx";
        let head = json!({"title": bad, "trace": {"vantage_point": {"type": bad}, "common_fields": {"group_id": bad}}});
        let events = [
            event(0.0, bad, &json!({})),
            event(1.0, "loglevel:info", &json!({"message": bad})),
            event(1.0, "weft_webtransport:session_closed", &json!({"reason": bad})),
            event(1.0, "quic:version_information", &json!({"chosen_version": bad})),
            event(2.0, "quic:packet_lost", &json!({"trigger": bad})),
            event(
                3.0,
                "quic:connection_closed",
                &json!({"reason": bad, "trigger": bad, "connection_error": bad}),
            ),
        ];
        let file = read(&format!("\x1e{head}\n{}", events.concat()));
        let text = report::text(bad, &file);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert_eq!(text.matches("\\u{1b}[2J\\u{9b}31m\\nx").count(), 12, "{text}");
    }

    #[test]
    fn figures_of_a_file_do_not_overflow() {
        use serde_json::json;
        let most = u64::MAX;
        let packet = json!({"header": {"packet_number": most}, "raw": {"length": most},
            "frames": [{"frame_type": "stream", "raw": {"payload_length": most}}]});
        let datagrams = json!({"count": most, "raw": [{"length": most}, {"length": most}]});
        let text: String = [("quic:packet_sent", &packet), ("quic:udp_datagrams_received", &datagrams)]
            .into_iter()
            .flat_map(|(name, data)| [event(1.0, name, data), event(1e308, name, data)])
            .collect();
        let file = read(&text);
        let (sent, received) = (file.trace.sent, file.trace.received);
        assert_eq!((sent.packet_bytes, sent.stream_bytes), (most, most));
        assert_eq!((received.datagrams, received.datagram_bytes), (most, most));
        assert!(report::text("x", &file).contains("2 packets"));
        assert_eq!(report::json("x", &file)["sent"]["bytes"], most);
    }

    #[test]
    fn the_page_is_whole_and_takes_no_text_for_markup() {
        let page = html::page(&[("<b>name</b>".to_owned(), read(&connection()))]);
        assert_eq!(page.matches("</script>").count(), 1);
        assert!(!page.contains("<b>name") && page.contains("\\u003cb>name"));
        assert!(!page.contains("src=") && !page.contains("href="), "nothing is fetched");
    }

    #[test]
    fn older_drafts_and_relative_times_are_read() {
        let text = r#"{"qlog_version":"0.3","traces":[{"common_fields":{"ODCID":"01","time_format":"relative_to_previous_event"},
            "vantage_point":{"type":"server"},"events":[
            {"time":5,"name":"transport:packet_sent","data":{"header":{"packet_type":"initial","packet_number":0},"raw":{"length":1200}}},
            {"time":7,"name":"recovery:metrics_updated","data":{"latest_rtt":9.5,"min_rtt":9.5}}]}]}"#;
        let file = read(text);
        assert_eq!((file.trace.events, file.trace.sent.packets, file.bad), (2, 1, 0));
        assert_eq!(file.trace.head.vantage.as_deref(), Some("server"));
        assert_eq!((file.trace.min_rtt, file.trace.last), (Some(9.5), 7.0));
    }
}
