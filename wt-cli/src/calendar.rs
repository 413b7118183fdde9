//! The calendar: the present time, and dates in UTC for people and programs.

use std::time::{Duration, SystemTime};

/// A day.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

#[expect(clippy::disallowed_methods, reason = "certificates are judged by the calendar of the machine")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// A time as in RFC 3339, to the second, such as `2026-11-26T08:30:00Z`. Times before 1970 are shown as its
/// start.
pub(crate) fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// A time as HTTP has it (RFC 9110 §5.6.7), such as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let name = |names: [&'static str; 12], at: u64| names[usize::try_from(at).unwrap_or_default() % 12];
    // The first day of the count was a Thursday.
    let weekday =
        ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][usize::try_from(days % 7).unwrap_or_default()];
    let month = name(MONTHS, month - 1);
    format!(
        "{weekday}, {day:02} {month} {year:04} {:02}:{:02}:{:02} GMT",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// The time that a date of HTTP names, in the form that is sent today.
pub(crate) fn parse_http_date(text: &str) -> Option<SystemTime> {
    let (_, rest) = text.split_once(", ")?;
    let words: Vec<&str> = rest.split(' ').collect();
    let &[day, month, year, time, "GMT"] = words.as_slice() else { return None };
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let (day, year) = (number(day)?, number(year).filter(|year| (1970..=9999).contains(year))?);
    let times: Option<Vec<u64>> = time.split(':').map(number).collect();
    let &[hour @ ..24, minute @ ..60, second @ ..61] = times?.as_slice() else { return None };
    // About where it is, and then the days after it.
    let about = (year - 1970) * 365 + (month - 1) * 28;
    let days = (about..about + 60 + (year - 1970) / 4).find(|days| date(*days) == (year, month, day))?;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The year, month and day that lie `days` days after 1 January 1970, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    // Counted from 1 March of the year 0, so that a leap day is the last day of a year.
    let days = days + 719_468;
    // Every 400 years have this many days.
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // From March on, every five months have 153 days.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next_year, month, day)
}

/// A time span for people: days and hours, or hours and minutes if it is short.
pub(crate) fn span(span: Duration) -> String {
    let minutes = span.as_secs() / 60;
    let (days, hours) = (minutes / 1_440, minutes / 60 % 24);
    let days_text = if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
    match (days, hours) {
        (0, _) => format!("{hours} h {} min", minutes % 60),
        (_, 0) => days_text,
        _ => format!("{days_text} {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_written_and_read() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_102_444_799, "Thu, 31 Dec 2099 23:59:59 GMT"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!((http_date(time).as_str(), parse_http_date(text)), (text, Some(time)));
        }
        for text in [
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 30 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse_http_date(text), None, "{text}");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        // As `date -u -d @N +%FT%TZ` prints them.
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_210_096, "2024-02-29T12:34:56Z"),
            (1_790_000_000, "2026-09-21T14:13:20Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (4_133_980_799, "2100-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
        assert_eq!(utc(SystemTime::UNIX_EPOCH - DAY), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = date(0);
        for days in 1..150_000 {
            let (year, month, day) = date(days);
            let follows = (year, month, day) == (last.0, last.1, last.2 + 1)
                || (year, month, day) == (last.0, last.1 + 1, 1)
                || (year, month, day) == (last.0 + 1, 1, 1) && (last.1, last.2) == (12, 31);
            assert!(follows && month <= 12 && day <= 31, "{last:?} {year} {month} {day}");
            last = (year, month, day);
        }
    }

    #[test]
    fn spans_have_two_units() {
        let hour = Duration::from_secs(3_600);
        for (of, expected) in [
            (13 * DAY + hour, "13 days 1 h"),
            (14 * DAY, "14 days"),
            (DAY, "1 day"),
            (hour + Duration::from_secs(119), "1 h 1 min"),
        ] {
            assert_eq!(span(of), expected);
        }
    }
}
