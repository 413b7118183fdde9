//! A link as the command line describes it: rate, round trip, buffer.

use std::str::FromStr;

use netsim::{LinkConfig, MICROSECOND, MILLISECOND, SECOND};

/// The expected format, for messages.
const WANTS: &str = "rate, round-trip time and buffer, such as 20mbit,40ms,1bdp; the rate from 100kbit to 1gbit, the time \
                     from 1ms to 2s, the buffer in bdp (what the link carries in a round trip), kB or ms";
const RATES: [(&str, f64); 3] = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)];
const TIMES: [(&str, f64); 3] =
    [("us", MICROSECOND as f64), ("ms", MILLISECOND as f64), ("s", SECOND as f64)];
/// The smallest buffer in bytes: one datagram of full size.
const LEAST_BUFFER: u64 = 1_500;
const MOST_BUFFER: u64 = 64 << 20;

/// A link with the same properties in both directions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LinkSpec {
    text: String,
    /// Bits per second.
    rate: u64,
    /// Nanoseconds.
    round_trip: u64,
    /// Bytes.
    buffer: u64,
}

impl LinkSpec {
    /// The configuration of one direction.
    pub(super) fn config(&self) -> LinkConfig {
        LinkConfig::new().rate(self.rate).delay(self.round_trip / 2).queue(self.buffer)
    }

    /// The link as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl FromStr for LinkSpec {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let parts: Vec<_> = text.split(',').map(|part| part.trim().to_ascii_lowercase()).collect();
        let [rate, round_trip, buffer] = parts.as_slice() else { return Err(WANTS) };
        let rate = scaled(rate.trim_end_matches("/s"), &RATES);
        let rate = rate.filter(|rate| (1e5..=1e9).contains(rate)).ok_or(WANTS)?;
        let round_trip = scaled(round_trip, &TIMES);
        let limits = MILLISECOND as f64..=2.0 * SECOND as f64;
        let round_trip = round_trip.filter(|time| limits.contains(time)).ok_or(WANTS)?;
        let bytes_in = |nanos: f64| rate / 8.0 * nanos / SECOND as f64;
        let products = || scaled(buffer, &[("bdp", 1.0)]).map(|products| products * bytes_in(round_trip));
        let time = || scaled(buffer, &TIMES).map(bytes_in);
        let bytes = || scaled(buffer, &[("b", 1.0), ("kb", 1e3), ("mb", 1e6)]);
        let buffer = products().or_else(time).or_else(bytes).ok_or(WANTS)?;
        if buffer as u64 > MOST_BUFFER {
            return Err("a buffer of at most 64 MB");
        }
        Ok(Self {
            text: text.to_owned(),
            rate: rate as u64,
            round_trip: round_trip as u64,
            buffer: (buffer as u64).max(LEAST_BUFFER),
        })
    }
}

/// A number that is not negative, and its unit.
fn scaled(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (_, factor) = units.iter().find(|(unit, _)| *unit == text[end..].trim())?;
    Some(text[..end].parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_as_people_write_it() {
        let read = |text: &str| {
            let spec: LinkSpec = text.parse().unwrap();
            (spec.rate, spec.round_trip / MILLISECOND, spec.buffer)
        };
        assert_eq!(read("20mbit,40ms,1bdp"), (20_000_000, 40, 100_000));
        assert_eq!(read("2.5 Mbit/s, 1s, 64 kB"), (2_500_000, 1_000, 64_000));
        assert_eq!(read("1gbit,1ms,50ms"), (1_000_000_000, 1, 6_250_000));
        // One datagram fits into any buffer.
        assert_eq!(read("100kbit,10ms,0.1bdp").2, 1_500);
    }

    #[test]
    fn an_invalid_link_is_refused_with_an_example() {
        for text in
            ["", "20mbit", "20mbit,40ms", "40ms,20mbit,1bdp", "20,40,1", "0mbit,40ms,1bdp", "9gbit,1ms,1bdp"]
        {
            assert!(text.parse::<LinkSpec>().unwrap_err().contains("20mbit,40ms,1bdp"), "{text}");
        }
        assert!("20mbit,40ms,-1bdp".parse::<LinkSpec>().is_err());
        assert!("1gbit,2s,9bdp".parse::<LinkSpec>().unwrap_err().contains("64 MB"));
    }
}
