//! Extensible priorities (RFC 9218): the value of the `priority` field and of `PRIORITY_UPDATE`.

use quic_core::Priority;

/// Reads a priority field value. Parts that cannot be understood are ignored (RFC 9218 §4). The defaults are
/// urgency 3 and not incremental.
#[must_use]
pub fn parse_priority(value: &[u8]) -> Priority {
    let mut priority = Priority::new().urgency(3).incremental(false);
    for member in value.split(|byte| *byte == b',') {
        // Parameters after a semicolon have no meaning here.
        let member = member.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        match member {
            [b'u', b'=', digit @ b'0'..=b'7'] => priority.urgency = digit - b'0',
            b"i" | b"i=?1" => priority.incremental = true,
            b"i=?0" => priority.incremental = false,
            _ => {}
        }
    }
    priority
}

/// The field value for a priority.
#[must_use]
pub fn priority_value(priority: Priority) -> String {
    let incremental = if priority.incremental { ", i" } else { "" };
    format!("u={}{incremental}", priority.urgency.min(7))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        for (value, urgency, incremental) in [
            ("", 3, false),
            ("u=0", 0, false),
            ("u=7, i", 7, true),
            ("i,u=1", 1, true),
            ("i=?0;x=1, u=5;y", 5, false),
            ("u=8", 3, false),
            ("u=-1, i=?1", 3, true),
            ("x=\"u\", u=2", 2, false),
        ] {
            let priority = parse_priority(value.as_bytes());
            assert_eq!((priority.urgency, priority.incremental), (urgency, incremental), "{value}");
        }
        for value in ["u=0", "u=6, i"] {
            assert_eq!(priority_value(parse_priority(value.as_bytes())), value);
        }
    }
}
