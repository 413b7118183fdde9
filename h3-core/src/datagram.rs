//! HTTP datagrams in QUIC DATAGRAM frames (RFC 9297 §2.1): a quarter stream ID and a payload.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use quic_core::{StreamId, base::varint};

use crate::error::H3Violation;

/// Splits a received datagram into the request stream it belongs to and its payload, without a copy.
pub(crate) fn decode(mut datagram: Bytes) -> Result<(StreamId, Bytes), H3Violation> {
    let (quarter, length) = varint::decode(&datagram).ok_or(H3Violation::DatagramMalformed)?;
    // RFC 9297 §2.1: a quarter stream ID is at most 2^60-1.
    let id = quarter.checked_mul(4).and_then(StreamId::from_value).ok_or(H3Violation::DatagramMalformed)?;
    datagram.advance(length);
    Ok((id, datagram))
}

/// The datagram that carries `payload` for the request stream `stream`.
pub(crate) fn encode(stream: StreamId, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(overhead(stream) + payload.len());
    varint::put(&mut out, stream.value() / 4);
    out.put_slice(payload);
    out.freeze()
}

/// The length of the quarter stream ID in a datagram for `stream`, in bytes.
#[must_use]
pub fn overhead(stream: StreamId) -> usize {
    varint::size(stream.value() / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    #[test]
    fn h25_no_valid_quarter_stream_id() {
        assert_eq!(decode(Bytes::new()), Err(H3Violation::DatagramMalformed));
        assert_eq!(decode(Bytes::from_static(&[0x40])), Err(H3Violation::DatagramMalformed));
        let mut bytes = Vec::new();
        varint::put(&mut bytes, 1 << 60);
        assert_eq!(decode(bytes.into()), Err(H3Violation::DatagramMalformed));
        let mut bytes = Vec::new();
        varint::put(&mut bytes, (1 << 60) - 1);
        assert_eq!(decode(bytes.into()).map(|(id, _)| id.value()), Ok((1 << 62) - 4));
    }

    proptest! {
        #[test]
        fn encode_then_decode(index in 0_u64..1 << 60, payload in vec(any::<u8>(), 0..50)) {
            let id = StreamId::new(quic_core::Side::Client, quic_core::Dir::Bidi, index);
            let bytes = encode(id, &payload);
            prop_assert_eq!(bytes.len(), overhead(id) + payload.len());
            prop_assert_eq!(decode(bytes), Ok((id, Bytes::from(payload))));
        }
    }
}
