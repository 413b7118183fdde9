//! Keeps tickets from a client that may not use them (RFC 9369 §5).
//!
//! The TLS library puts tickets into the store of its configuration, which does not know of QUIC versions.

/// The type of `NewSessionTicket` messages (RFC 8446 §4).
const NEW_SESSION_TICKET: u8 = 4;

/// Takes the tickets out of a stream of handshake messages.
#[derive(Debug, Default)]
pub(super) struct TicketFilter {
    /// The beginning of a message's header.
    header: Vec<u8>,
    /// How many bytes of a message's body are still to come.
    left: usize,
    /// Whether that message is passed on.
    passes: bool,
}

impl TicketFilter {
    /// What is left of the next bytes.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut passed = Vec::new();
        while !bytes.is_empty() {
            if self.left > 0 {
                let (body, rest) = bytes.split_at(self.left.min(bytes.len()));
                if self.passes {
                    passed.extend_from_slice(body);
                }
                self.left -= body.len();
                bytes = rest;
                continue;
            }
            self.header.push(bytes[0]);
            bytes = &bytes[1..];
            if let [kind, a, b, c] = self.header[..] {
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
                self.passes = kind != NEW_SESSION_TICKET;
                if self.passes {
                    passed.append(&mut self.header);
                }
                self.header.clear();
            }
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_taken_out_however_the_bytes_are_split() {
        let message = |kind: u8, size: u8| [&[kind, 0, 0, size][..], &vec![kind; size.into()]].concat();
        let stream = [message(4, 30), message(24, 1), message(4, 0), message(4, 5), message(9, 0)].concat();
        for size in 1..stream.len() {
            let mut filter = TicketFilter::default();
            let passed: Vec<u8> = stream.chunks(size).flat_map(|chunk| filter.pass(chunk)).collect();
            assert_eq!(passed, [message(24, 1), message(9, 0)].concat(), "chunks of {size}");
        }
    }
}
