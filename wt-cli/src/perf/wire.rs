//! The protocol of the measurement: a request of 17 bytes on a bidirectional stream, `operation, a, b`.

/// The size of a request in bytes.
pub(super) const HEADER: usize = 17;

/// A request of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// The server sends this many bytes.
    Down(u64),
    /// The request and the response have these sizes in bytes.
    Echo { request: u64, answer: u64 },
    /// The client sends until it ends the stream. The server responds with the number of bytes (8 bytes).
    Up,
    /// The server responds with the number of datagrams that it has received on this session (8 bytes).
    Count,
}

impl Request {
    pub(super) fn encode(self) -> [u8; HEADER] {
        let (operation, a, b) = match self {
            Self::Down(bytes) => (0, bytes, 0),
            Self::Echo { request, answer } => (1, request, answer),
            Self::Up => (2, 0, 0),
            Self::Count => (3, 0, 0),
        };
        let mut bytes = [0; HEADER];
        bytes[0] = operation;
        bytes[1..9].copy_from_slice(&u64::to_be_bytes(a));
        bytes[9..].copy_from_slice(&u64::to_be_bytes(b));
        bytes
    }

    /// Returns `None` for an unknown operation.
    pub(super) fn decode(bytes: &[u8; HEADER]) -> Option<Self> {
        let number = |at: usize| bytes[at..].first_chunk().map_or(0, |chunk| u64::from_be_bytes(*chunk));
        match bytes[0] {
            0 => Some(Self::Down(number(1))),
            1 => Some(Self::Echo { request: number(1), answer: number(9) }),
            2 => Some(Self::Up),
            3 => Some(Self::Count),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for request in [
            Request::Down(1 << 40),
            Request::Echo { request: 64, answer: 1 << 20 },
            Request::Up,
            Request::Count,
        ] {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
        assert_eq!(Request::decode(&[9; HEADER]), None);
    }
}
