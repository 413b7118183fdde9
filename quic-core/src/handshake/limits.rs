//! What a server that accepts 0-RTT may not lower (RFC 9000 §7.4.1).

use crate::{error::Violation, params::TransportParameters};

/// Compares the parameters of a server that accepted 0-RTT with those that the client remembered.
pub(crate) fn check_early_limits(
    remembered: &TransportParameters,
    parameters: &TransportParameters,
) -> Result<(), Violation> {
    let lowered =
        parameters.early_limits().iter().zip(remembered.early_limits()).any(|(now, then)| *now < then);
    if lowered { Err(Violation::EarlyDataLimits) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_may_rise_and_none_may_fall() {
        let remembered = TransportParameters {
            active_connection_id_limit: 4,
            initial_max_data: 4,
            initial_max_stream_data_bidi_local: 4,
            initial_max_stream_data_bidi_remote: 4,
            initial_max_stream_data_uni: 4,
            initial_max_streams_bidi: 4,
            initial_max_streams_uni: 4,
            max_datagram_frame_size: 4,
            reset_stream_at: true,
            ..TransportParameters::default()
        };
        assert_eq!(check_early_limits(&remembered, &remembered), Ok(()));
        let lower: [fn(&mut TransportParameters); 9] = [
            |p| p.active_connection_id_limit = 3,
            |p| p.initial_max_data = 3,
            |p| p.initial_max_stream_data_bidi_local = 3,
            |p| p.initial_max_stream_data_bidi_remote = 3,
            |p| p.initial_max_stream_data_uni = 3,
            |p| p.initial_max_streams_bidi = 3,
            |p| p.initial_max_streams_uni = 3,
            |p| p.max_datagram_frame_size = 3,
            |p| p.reset_stream_at = false,
        ];
        for (nth, lower) in lower.into_iter().enumerate() {
            let mut parameters = remembered.clone();
            lower(&mut parameters);
            assert_eq!(
                check_early_limits(&remembered, &parameters),
                Err(Violation::EarlyDataLimits),
                "{nth}"
            );
            assert_eq!(check_early_limits(&parameters, &remembered), Ok(()), "{nth}");
        }
        // The others may change as they like.
        let other = TransportParameters { max_idle_timeout: std::time::Duration::MAX, ..remembered.clone() };
        assert_eq!(check_early_limits(&other, &remembered), Ok(()));
    }
}
