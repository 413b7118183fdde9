//! Writes frames into a packet and notes the receipts.

use super::{Frame, Receipt, write::write_stream_header};
use crate::{
    base::{Writer, varint},
    ids::{Space, StreamId},
};

/// If more data is pending, a STREAM or CRYPTO frame with less data than this is not worth its header.
const MIN_USEFUL_DATA: usize = 16;

/// The payload of a packet that is being built. Each component writes its frames here. Afterwards the
/// connection knows whether the packet elicits an acknowledgment, and which components to tell when it is
/// acknowledged or lost.
#[derive(Debug)]
pub(crate) struct FrameWriter<'a> {
    writer: Writer<'a>,
    receipts: &'a mut Vec<Receipt>,
    /// Receipts before this index belong to other packets.
    first_receipt: usize,
    ack_eliciting: bool,
    in_flight: bool,
}

impl<'a> FrameWriter<'a> {
    /// A writer for a packet payload; receipts are appended to `receipts`.
    #[must_use]
    pub(crate) fn new(payload: &'a mut [u8], receipts: &'a mut Vec<Receipt>) -> Self {
        let first_receipt = receipts.len();
        Self { writer: Writer::new(payload), receipts, first_receipt, ack_eliciting: false, in_flight: false }
    }

    /// Room left, in bytes.
    #[must_use]
    pub(crate) fn remaining(&self) -> usize {
        self.writer.remaining()
    }

    /// Bytes written so far.
    #[must_use]
    pub(crate) fn written(&self) -> usize {
        self.writer.position()
    }

    /// Whether the payload has a frame that the peer must acknowledge.
    #[must_use]
    pub(crate) fn is_ack_eliciting(&self) -> bool {
        self.ack_eliciting
    }

    /// Whether the packet counts as in flight (RFC 9002 §2): ack-eliciting or padded.
    #[must_use]
    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight
    }

    /// Writes the whole frame or nothing.
    #[must_use]
    pub(crate) fn frame(&mut self, frame: &Frame<'_>, receipt: Receipt) -> bool {
        if !frame.write(&mut self.writer) {
            return false;
        }
        if frame.is_ack_eliciting() {
            self.elicit();
        }
        self.in_flight |= matches!(frame, Frame::Padding(_));
        self.note(receipt);
        true
    }

    /// Writes an ACK frame for `space`; see [`super::write_ack`].
    #[must_use]
    pub(crate) fn ack(
        &mut self,
        space: Space,
        ranges: impl Iterator<Item = std::ops::RangeInclusive<u64>> + Clone,
        delay: u64,
        ecn: Option<super::EcnCounts>,
    ) -> bool {
        let Some(largest) = ranges.clone().next().map(|range| *range.end()) else { return false };
        let written = super::write_ack(&mut self.writer, ranges, delay, ecn);
        if written {
            self.note(Receipt::Ack { space, largest });
        }
        written
    }

    /// Writes a STREAM frame with as much of `available` bytes as fits, and with FIN only if `fin` is set and
    /// all of them fit. `fill` fills in the data. Returns how many bytes of data were written. Returns `None`
    /// if nothing was: there was no room for a useful amount, or neither data nor FIN to write.
    pub(crate) fn stream(
        &mut self,
        slot: u32,
        id: StreamId,
        offset: u64,
        available: usize,
        fin: bool,
        fill: impl FnOnce(&mut [u8]),
    ) -> Option<usize> {
        let header = 1 + varint::size(id.value()) + if offset > 0 { varint::size(offset) } else { 0 };
        let (length, with_length) = self.data_length(header, available)?;
        let fin = fin && length == available;
        if length == 0 && !fin {
            return None;
        }
        let started =
            write_stream_header(&mut self.writer, id.value(), offset, fin, with_length.then_some(length));
        if !started || !self.fill(length, fill) {
            return None;
        }
        self.elicit();
        self.receipts.push(Receipt::Stream { slot, offset, length: length as u32, fin });
        Some(length)
    }

    /// Writes a CRYPTO frame with as much of `available` bytes as fits; see [`FrameWriter::stream`].
    pub(crate) fn crypto(
        &mut self,
        space: Space,
        offset: u64,
        available: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Option<usize> {
        let header = 1 + varint::size(offset);
        // A CRYPTO frame always carries a length.
        let room = self.writer.remaining().checked_sub(header)?;
        let room = room.checked_sub(varint::size(room.min(available) as u64))?;
        let length = available.min(room);
        if length == 0 || (length < available && length < MIN_USEFUL_DATA) {
            return None;
        }
        let started = self.writer.varint(super::types::CRYPTO)
            && self.writer.varint(offset)
            && self.writer.varint(length as u64);
        if !started || !self.fill(length, fill) {
            return None;
        }
        self.elicit();
        self.receipts.push(Receipt::Crypto { space, offset, length: length as u32 });
        Some(length)
    }

    /// How much data a STREAM frame with this header can take, and whether it needs a length field. Data that
    /// fills the packet to its last byte needs none, which saves two bytes in every full packet.
    fn data_length(&self, header: usize, available: usize) -> Option<(usize, bool)> {
        let room = self.writer.remaining().checked_sub(header)?;
        if available >= room {
            return (room >= MIN_USEFUL_DATA.min(available)).then_some((room, false));
        }
        let room = room.checked_sub(varint::size(room as u64))?;
        let length = available.min(room);
        (length == available || length >= MIN_USEFUL_DATA).then_some((length, true))
    }

    fn fill(&mut self, length: usize, fill: impl FnOnce(&mut [u8])) -> bool {
        self.writer.place(length).map(fill).is_some()
    }

    /// Pads the payload to `length` bytes in all (RFC 9000 §19.1). Does nothing if it is that long already.
    pub(crate) fn pad_to(&mut self, length: usize) {
        let missing = length.saturating_sub(self.written()).min(self.remaining());
        if missing > 0 && self.writer.zeros(missing) {
            self.in_flight = true;
        }
    }

    fn elicit(&mut self) {
        self.ack_eliciting = true;
        self.in_flight = true;
    }

    fn note(&mut self, receipt: Receipt) {
        let own = self.receipts.get_mut(self.first_receipt..).unwrap_or_default();
        match (receipt, own.last_mut()) {
            (Receipt::Nothing, _) => {}
            // Small datagrams come by the dozen: one receipt covers consecutive ones in a packet.
            (
                Receipt::Datagrams { count, bytes },
                Some(Receipt::Datagrams { count: counted, bytes: sum }),
            ) => {
                *counted += count;
                *sum += bytes;
            }
            _ => self.receipts.push(receipt),
        }
    }
}
