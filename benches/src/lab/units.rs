//! Quantities as people write them: a number and its unit.

use std::{fmt, str::FromStr};

use netsim::{MICROSECOND, MILLISECOND, SECOND};
use serde::{Deserialize, Deserializer, de::Error as _};

/// A time, in nanoseconds; an hour at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

/// A rate, in bits per second; 1 Tbit/s at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitRate(pub u64);

/// A share, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share(pub f64);

/// Bytes; 1 TB at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size(pub u64);

/// The size of a buffer; at most 10,000 bandwidth-delay products, or the largest size or time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Buffer {
    /// Bytes.
    Bytes(u64),
    /// A number of bandwidth-delay products.
    Products(f64),
    /// The bytes that leave at the link's rate in this time.
    Time(u64),
}

/// The text is no quantity of this kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitError {
    text: String,
    wants: &'static str,
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no {}", self.text, self.wants)
    }
}

impl std::error::Error for UnitError {}

/// Splits a text into a number that is not negative and its unit.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number = text[..end].parse().ok()?;
    Some((number, text[end..].trim()))
}

fn scaled(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let (number, unit) = split(text)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    Some(number * factor)
}

/// The largest values of a scenario: their sums stay far below the limits of the simulation's clock and
/// counters.
const MOST_TIME: f64 = 3_600.0 * SECOND as f64;
const MOST_RATE: f64 = 1e12;
const MOST_BYTES: f64 = 1e12;
const MOST_PRODUCTS: f64 = 1e4;

const TIMES: [(&str, f64); 5] = [
    ("ns", 1.0),
    ("us", MICROSECOND as f64),
    ("ms", MILLISECOND as f64),
    ("s", SECOND as f64),
    ("min", 60.0 * SECOND as f64),
];
const SIZES: [(&str, f64); 5] =
    [("B", 1.0), ("kB", 1e3), ("MB", 1e6), ("KiB", 1024.0), ("MiB", 1024.0 * 1024.0)];

impl FromStr for Time {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wants = "time like \"40 ms\", 60 min at most; units are ns, us, ms, s and min";
        scaled(text, &TIMES)
            .filter(|nanos| *nanos <= MOST_TIME)
            .map(|nanos| Self(nanos as u64))
            .ok_or_else(|| UnitError { text: text.to_owned(), wants })
    }
}

impl FromStr for BitRate {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wants = "rate like \"20 Mbit/s\", from 1 bit/s to 1000 Gbit/s; units are bit/s, kbit/s, Mbit/s and Gbit/s";
        let units = [("bit/s", 1.0), ("kbit/s", 1e3), ("Mbit/s", 1e6), ("Gbit/s", 1e9)];
        scaled(text, &units)
            .filter(|rate| (1.0..=MOST_RATE).contains(rate))
            .map(|rate| Self(rate as u64))
            .ok_or_else(|| UnitError { text: text.to_owned(), wants })
    }
}

impl FromStr for Share {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wants = "share like \"0.1 %\", from 0 % to 100 %";
        scaled(text, &[("%", 0.01)])
            .filter(|share| *share <= 1.0)
            .map(Self)
            .ok_or_else(|| UnitError { text: text.to_owned(), wants })
    }
}

impl FromStr for Size {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wants = "size like \"100 kB\", 1000000 MB at most; units are B, kB, MB, KiB and MiB";
        scaled(text, &SIZES)
            .filter(|bytes| *bytes <= MOST_BYTES)
            .map(|bytes| Self(bytes as u64))
            .ok_or_else(|| UnitError { text: text.to_owned(), wants })
    }
}

impl FromStr for Buffer {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let products = scaled(text, &[("BDP", 1.0)]).filter(|count| *count <= MOST_PRODUCTS);
        let time = || text.parse().ok().map(|Time(nanos)| Self::Time(nanos));
        let bytes = || text.parse().ok().map(|Size(bytes)| Self::Bytes(bytes));
        let wants = "buffer like \"1 BDP\", \"100 kB\" or \"50 ms\"; at most 10000 BDP, 1000000 MB or 60 min";
        products
            .map(Self::Products)
            .or_else(time)
            .or_else(bytes)
            .ok_or_else(|| UnitError { text: text.to_owned(), wants })
    }
}

macro_rules! deserialize {
    ($($kind:ty),*) => {
        $(impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        })*
    };
}
deserialize!(Time, BitRate, Share, Size, Buffer);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_their_units() {
        assert_eq!("40 ms".parse(), Ok(Time(40 * MILLISECOND)));
        assert_eq!("1.5min".parse(), Ok(Time(90 * SECOND)));
        assert_eq!("2.5 Gbit/s".parse(), Ok(BitRate(2_500_000_000)));
        assert_eq!("0.5 %".parse(), Ok(Share(0.005)));
        assert_eq!("64 KiB".parse(), Ok(Size(65_536)));
        assert_eq!("0.1 BDP".parse(), Ok(Buffer::Products(0.1)));
        assert_eq!("100 kB".parse(), Ok(Buffer::Bytes(100_000)));
        assert_eq!("50 ms".parse(), Ok(Buffer::Time(50 * MILLISECOND)));
    }

    #[test]
    fn invalid_quantities_are_refused_with_an_example() {
        for text in ["", "ms", "40", "-1 ms", "4 0 ms", "1e9 ms"] {
            let error = text.parse::<Time>().unwrap_err().to_string();
            assert!(error.contains("like \"40 ms\""), "{text}: {error}");
        }
        assert!("0 Mbit/s".parse::<BitRate>().is_err());
        assert!("101 %".parse::<Share>().is_err());
    }

    #[test]
    fn too_large_and_too_small_quantities_are_refused() {
        assert_eq!("60 min".parse(), Ok(Time(3_600 * SECOND)));
        assert_eq!("1000 Gbit/s".parse(), Ok(BitRate(1_000_000_000_000)));
        assert_eq!("1000000 MB".parse(), Ok(Size(1_000_000_000_000)));
        assert_eq!("10000 BDP".parse(), Ok(Buffer::Products(10_000.0)));
        assert!("3601 s".parse::<Time>().is_err() && "999999999999 min".parse::<Time>().is_err());
        assert!("1001 Gbit/s".parse::<BitRate>().is_err() && "0.9 bit/s".parse::<BitRate>().is_err());
        assert!("1000001 MB".parse::<Size>().is_err());
        for text in ["10001 BDP", "1000001 MB", "61 min", ". BDP"] {
            assert!(text.parse::<Buffer>().is_err(), "{text}");
        }
    }
}
