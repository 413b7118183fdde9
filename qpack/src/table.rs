//! What the decoder knows of its dynamic table: the offered capacity and the insert count (RFC 9204 §3.2,
//! §4.5.1.1).
//!
//! The decoder offers no table, so nothing is ever inserted and no entry is stored here.

/// The smallest entry, in bytes (RFC 9204 §3.2.1).
const SMALLEST_ENTRY: u64 = 32;

/// The insertions into a table so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inserted {
    /// The most entries that the offered table can hold.
    max_entries: u64,
    count: u64,
}

impl Inserted {
    /// No insertions yet, into a table of at most `capacity` bytes.
    pub(crate) const fn none_of(capacity: u64) -> Self {
        Self { max_entries: capacity / SMALLEST_ENTRY, count: 0 }
    }

    pub(crate) const fn count(self) -> u64 {
        self.count
    }

    /// Decodes the Required Insert Count of a section's prefix (RFC 9204 §4.5.1.1). It is sent modulo twice
    /// the number of entries that the table can hold. Returns `None` if no conforming encoder could have sent
    /// it.
    pub(crate) const fn required(self, encoded: u64) -> Option<u64> {
        if encoded == 0 {
            return Some(0);
        }
        let full_range = 2 * self.max_entries;
        if encoded > full_range {
            return None;
        }
        let max_value = self.count + self.max_entries;
        let required = max_value / full_range * full_range + encoded - 1;
        let required = match required > max_value {
            true if required <= full_range => return None,
            true => required - full_range,
            false => required,
        };
        if required == 0 { None } else { Some(required) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value that an encoder sends for `required` (RFC 9204 §4.5.1.1).
    fn encoded(required: u64, max_entries: u64) -> u64 {
        if required == 0 { 0 } else { required % (2 * max_entries) + 1 }
    }

    /// An encoder may refer to the entries in the table, and to as many later ones as fit into it.
    #[test]
    fn counts_come_back_as_they_were_sent() {
        for capacity in [32, 100, 4096] {
            let max_entries = capacity / SMALLEST_ENTRY;
            for count in 0..5 * max_entries {
                let inserted = Inserted { max_entries, count };
                for required in 1 + count.saturating_sub(max_entries)..=count + max_entries {
                    assert_eq!(
                        inserted.required(encoded(required, max_entries)),
                        Some(required),
                        "{inserted:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_no_encoder_sends_is_refused() {
        // RFC 9204 §4.5.1.1: a value above the range, and a second encoding of zero.
        let inserted = Inserted::none_of(100);
        assert_eq!((inserted.required(7), inserted.required(1)), (None, None));
        // More than the table can hold at once: counts 4 and 5 of a table of 3 entries.
        assert_eq!((inserted.required(5), inserted.required(6)), (None, None));
        // Without a table only zero is valid.
        assert_eq!((Inserted::default().required(0), Inserted::default().required(1)), (Some(0), None));
    }
}
