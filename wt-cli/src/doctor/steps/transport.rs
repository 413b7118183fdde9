//! The steps for QUIC's transport parameters, as far as sessions depend on them.

use quic_core::TransportParameters;

use super::super::step::Step;

/// The least useful datagram size. QUIC itself needs paths that carry 1200 bytes (RFC 9000 §14).
const USEFUL_DATAGRAM: u64 = 1200;
/// How many unidirectional streams HTTP/3 needs: the control stream and two QPACK streams (RFC 9114 §6.2).
const CRITICAL_STREAMS: u64 = 3;
/// The least useful stream limit. At the limit, Chromium fails a new stream instead of waiting, and the
/// session itself takes one.
const ENOUGH_STREAMS: u64 = 256;

pub(super) fn judge(parameters: &TransportParameters) -> [Step; 5] {
    [
        datagrams(parameters.max_datagram_frame_size),
        resets(parameters.reset_stream_at),
        bidirectional(parameters.initial_max_streams_bidi),
        unidirectional(parameters.initial_max_streams_uni),
        flow_control(parameters),
    ]
}

fn datagrams(size: u64) -> Step {
    const NAME: &str = "max_datagram_frame_size";
    let fact = format!("{size} bytes");
    match size {
        0 => Step::failed(
            NAME,
            "not sent: no datagrams (RFC 9221)",
            "enable QUIC datagrams on the server; every draft of WebTransport needs them",
        ),
        1..USEFUL_DATAGRAM => Step::warning(
            NAME,
            fact,
            "let the server accept frames of 65535 bytes: the path is the limit then",
        ),
        _ => Step::ok(NAME, fact),
    }
}

fn resets(understood: bool) -> Step {
    const NAME: &str = "reset_stream_at";
    if understood {
        return Step::ok(NAME, "streams can be reset after their header arrives");
    }
    Step::warning(
        NAME,
        "not sent: a stream that is reset early may reach no session",
        "enable RESET_STREAM_AT on the server if its QUIC stack has it: draft 16 asks for it",
    )
}

fn bidirectional(streams: u64) -> Step {
    const NAME: &str = "bidirectional streams";
    let fact = format!("{streams} at first");
    match streams {
        0 => Step::failed(NAME, fact, "let clients open streams: a session begins with one"),
        1..ENOUGH_STREAMS => Step::warning(
            NAME,
            fact,
            "offer 256 or more: Chromium does not wait for credit, its next stream fails at the limit",
        ),
        _ => Step::ok(NAME, fact),
    }
}

fn unidirectional(streams: u64) -> Step {
    const NAME: &str = "unidirectional streams";
    let fact = format!("{streams} at first");
    match streams {
        0..CRITICAL_STREAMS => Step::failed(NAME, fact, "offer more: HTTP/3 itself needs 3 (RFC 9114 §6.2)"),
        CRITICAL_STREAMS..ENOUGH_STREAMS => Step::warning(
            NAME,
            fact,
            "offer 256 or more: Chromium does not wait for credit, its next stream fails at the limit",
        ),
        _ => Step::ok(NAME, fact),
    }
}

fn flow_control(parameters: &TransportParameters) -> Step {
    const NAME: &str = "flow control";
    let (all, bidi, uni) = (
        parameters.initial_max_data,
        parameters.initial_max_stream_data_bidi_remote,
        parameters.initial_max_stream_data_uni,
    );
    let idle = match parameters.max_idle_timeout {
        timeout if timeout.is_zero() => "no idle timeout".to_owned(),
        timeout => format!("idle timeout {} s", timeout.as_secs_f64()),
    };
    let fact = format!("{all} bytes, {bidi} and {uni} a stream; {idle}");
    if all.min(bidi).min(uni) == 0 {
        return Step::failed(NAME, fact, "offer credit for data: without it no request can be sent");
    }
    Step::ok(NAME, fact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Verdict::{self, Failed, Ok, Warning};

    fn verdicts(change: impl FnOnce(&mut TransportParameters)) -> [Verdict; 5] {
        let mut parameters = TransportParameters::new()
            .max_datagram_frame_size(65_535)
            .reset_stream_at(true)
            .initial_max_streams_bidi(1000)
            .initial_max_streams_uni(1000)
            .initial_max_data(1 << 20)
            .initial_max_stream_data_bidi_remote(1 << 18)
            .initial_max_stream_data_uni(1 << 18);
        change(&mut parameters);
        let steps = judge(&parameters);
        assert!(steps.iter().all(|step| step.remedy.is_some() == (step.verdict != Ok)));
        steps.map(|step| step.verdict)
    }

    #[test]
    fn each_parameter_is_judged_by_itself() {
        assert_eq!(verdicts(|_| {}), [Ok; 5]);
        assert_eq!(verdicts(|p| p.max_datagram_frame_size = 0), [Failed, Ok, Ok, Ok, Ok]);
        assert_eq!(verdicts(|p| p.max_datagram_frame_size = 1199), [Warning, Ok, Ok, Ok, Ok]);
        assert_eq!(verdicts(|p| p.reset_stream_at = false), [Ok, Warning, Ok, Ok, Ok]);
        assert_eq!(verdicts(|p| p.initial_max_streams_bidi = 0), [Ok, Ok, Failed, Ok, Ok]);
        assert_eq!(verdicts(|p| p.initial_max_streams_bidi = 100), [Ok, Ok, Warning, Ok, Ok]);
        assert_eq!(verdicts(|p| p.initial_max_streams_uni = 2), [Ok, Ok, Ok, Failed, Ok]);
        assert_eq!(verdicts(|p| p.initial_max_streams_uni = 3), [Ok, Ok, Ok, Warning, Ok]);
        assert_eq!(verdicts(|p| p.initial_max_stream_data_uni = 0), [Ok, Ok, Ok, Ok, Failed]);
    }
}
