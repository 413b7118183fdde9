//! The first record of a file (qlog main schema §5).

use std::time::Duration;

use quic_core::{ConnectionStart, base::Timestamp};

use crate::json::object;

/// The event schemas of a file. Those of QUIC and HTTP/3 are drafts, whose number belongs to the name.
const SCHEMAS: [&str; 4] = [
    "urn:ietf:params:qlog:events:quic-13",
    "urn:ietf:params:qlog:events:http3-13",
    "urn:ietf:params:qlog:events:loglevel-13",
    "weft:qlog:events:weft_webtransport",
];

/// What stands in each file, and how much may wait for the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The name of the vantage point, such as that of the program.
    pub name: String,
    /// The Unix time at which the clock of the connections showed nothing, to date the files. Default: none, and the
    /// files have no date.
    pub unix_time_of_origin: Option<Duration>,
    /// How many bytes may wait for the disk. What comes beyond that is left out and counted. Default 16 MiB.
    pub most_waiting: usize,
}

impl Settings {
    /// The defaults, with this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), unix_time_of_origin: None, most_waiting: 16 << 20 }
    }

    /// Sets [`unix_time_of_origin`](Self#structfield.unix_time_of_origin).
    #[must_use]
    pub fn unix_time_of_origin(mut self, time: Option<Duration>) -> Self {
        self.unix_time_of_origin = time;
        self
    }

    /// Sets [`most_waiting`](Self#structfield.most_waiting).
    #[must_use]
    pub fn most_waiting(mut self, bytes: usize) -> Self {
        self.most_waiting = bytes;
        self
    }
}

/// The name of the vantage point's type.
pub(crate) fn vantage(start: &ConnectionStart) -> &'static str {
    if start.side.is_client() { "client" } else { "server" }
}

/// Appends the record of a connection that began at `now`, from which the times of its events are counted.
pub(crate) fn write(out: &mut Vec<u8>, settings: &Settings, start: &ConnectionStart, now: Timestamp) {
    let odcid = start.original_destination.to_string();
    object(out, |file| {
        file.text("file_schema", "urn:ietf:params:qlog:file:sequential");
        file.text("serialization_format", "application/qlog+json-seq");
        file.text("title", &settings.name);
        file.object("trace", |trace| {
            trace.object("common_fields", |common| {
                common.text("group_id", &odcid);
                common.text("time_format", "relative_to_epoch");
                common.object("reference_time", |time| {
                    time.text("clock_type", "monotonic");
                    time.text("epoch", "unknown");
                    if let Some(origin) = settings.unix_time_of_origin {
                        let at = origin + Duration::from_nanos(now.as_nanos());
                        time.text("wall_clock_time", &date(at));
                    }
                });
            });
            trace.object("vantage_point", |point| {
                point.text("name", &settings.name);
                point.text("type", vantage(start));
            });
            trace.list("event_schemas", |schemas| SCHEMAS.iter().for_each(|schema| schemas.text(schema)));
        });
    });
}

/// A Unix time as a date (RFC 3339), in UTC.
fn date(unix: Duration) -> String {
    let (days, second) = (unix.as_secs() / 86_400, unix.as_secs() % 86_400);
    // Years begin in March, so that the leap day is the last one: 400 of them have 146,097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second, millis) =
        (second / 3_600, second / 60 % 60, second % 60, unix.subsec_millis());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.250Z"),
            (951_782_400, "2000-02-29T00:00:00.250Z"),
            (1_709_251_199, "2024-02-29T23:59:59.250Z"),
            (1_735_689_599, "2024-12-31T23:59:59.250Z"),
            (4_102_444_800, "2100-01-01T00:00:00.250Z"),
        ] {
            assert_eq!(date(Duration::from_millis(seconds * 1_000 + 250)), expected);
        }
    }
}
