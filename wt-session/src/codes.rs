//! Error codes (WebTransport over HTTP/3 §4.4, §9.5): those of WebTransport itself, and the mapping of the
//! application's 32-bit codes into HTTP/3's code space and back.

/// A stream arrived before its session and was refused.
pub const WT_BUFFERED_STREAM_REJECTED: u64 = 0x3994_bd84;
/// The session of the stream is over.
pub const WT_SESSION_GONE: u64 = 0x170d_7b68;
/// Session flow control was violated.
pub const WT_FLOW_CONTROL_ERROR: u64 = 0x045d_4487;
/// The sides could not agree on an application protocol.
pub const WT_ALPN_ERROR: u64 = 0x0817_b3dd;
/// Settings or transport parameters that WebTransport requires are missing (connection close).
pub const WT_REQUIREMENTS_NOT_MET: u64 = 0x212c_0d48;

/// The code of application error 0.
const FIRST: u64 = 0x52e4_a40f_a8db;
/// The code of application error 2^32-1.
const LAST: u64 = 0x52e5_ac98_3162;

/// The HTTP/3 code of an application code. Every 31st codepoint is reserved (RFC 9114 §8.1) and left out.
#[must_use]
pub const fn to_http(code: u32) -> u64 {
    let code = code as u64;
    FIRST + code + code / 30
}

/// The application code of an HTTP/3 code; `None` outside the range and for reserved codepoints (§4.4).
#[must_use]
pub const fn to_application(code: u64) -> Option<u32> {
    if code < FIRST || code > LAST || (code - 0x21).is_multiple_of(31) {
        return None;
    }
    let shifted = code - FIRST;
    // At most 2^32-1 by the bound above.
    Some((shifted - shifted / 31) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn w20_vectors() {
        for (code, http) in [
            (0, 0x52e4_a40f_a8db),
            (1, 0x52e4_a40f_a8dc),
            (28, 0x52e4_a40f_a8f7),
            (29, 0x52e4_a40f_a8f8),
            (30, 0x52e4_a40f_a8fa),
            (31, 0x52e4_a40f_a8fb),
            (59, 0x52e4_a40f_a917),
            (60, 0x52e4_a40f_a919),
            (255, 0x52e4_a40f_a9e2),
            (256, 0x52e4_a40f_a9e3),
            (1000, 0x52e4_a40f_ace4),
            (0x7fff_ffff, 0x52e5_2853_ed1e),
            (0x8000_0000, 0x52e5_2853_ed1f),
            (0xffff_ffff, 0x52e5_ac98_3162),
        ] {
            assert_eq!(to_http(code), http, "{code:#x}");
            assert_eq!(to_application(http), Some(code), "{code:#x}");
        }
    }

    #[test]
    fn other_codes_are_no_application_codes() {
        for code in [
            0,
            0x100,
            0x10c,
            WT_SESSION_GONE,
            FIRST - 1,
            LAST + 1,
            u64::MAX,
            0x52e4_a40f_a8f9,
            0x52e4_a40f_a918,
        ] {
            assert_eq!(to_application(code), None, "{code:#x}");
        }
    }

    proptest! {
        #[test]
        fn there_and_back(code: u32) {
            prop_assert_eq!(to_application(to_http(code)), Some(code));
            prop_assert_ne!((to_http(code) - 0x21) % 31, 0);
        }

        #[test]
        fn back_and_there(http in FIRST - 100..=LAST + 100) {
            if let Some(code) = to_application(http) {
                prop_assert_eq!(to_http(code), http);
            }
        }
    }
}
