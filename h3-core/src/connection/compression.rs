//! Carries QPACK (RFC 9204): sections with the instructions that they need, answers to the peer's encoder, and
//! streams that wait for it.

use bytes::BytesMut;
use qpack::FieldRef;
use quic_core::StreamId;

use super::{critical::Critical, state::Connection};
use crate::{
    error::{H3Error, H3Violation},
    transport::Transport,
};

/// How many bytes of answers may wait for credit of the decoder stream. A peer that gives none and makes this
/// side answer more is closed (RFC 9204 §7.3).
const MAX_ANSWERS: usize = 64 * 1024;

impl Connection {
    /// Encodes the section of a stream. The instructions that it needs are sent before it.
    pub(super) fn encode_section(
        &mut self,
        stream: StreamId,
        lines: &[FieldRef<'_>],
        transport: &mut impl Transport,
    ) -> Vec<u8> {
        let out = &self.critical_out[Critical::Encoder as usize];
        let room = match out.id {
            Some(id) if out.out.is_empty() => {
                let credit = usize::try_from(transport.send_credit(id)).unwrap_or(usize::MAX);
                credit.min(transport.writable(id))
            }
            // Instructions wait for the stream itself.
            _ => 0,
        };
        self.encoder.set_instruction_room(room);
        let mut section = Vec::with_capacity(256);
        self.encoder.encode(stream.value(), lines.iter().copied(), &mut section);
        let length = self.encoder.pending_instructions();
        if length > 0 {
            let mut bytes = BytesMut::with_capacity(length);
            self.encoder.take_instructions(&mut bytes);
            self.critical_out[Critical::Encoder as usize].out.push(bytes.freeze());
            self.flush_critical(transport);
        }
        section
    }

    /// Sends what the peer's encoder is to know: which sections were decoded, which never will be, and how many
    /// insertions have arrived (RFC 9204 §4.4).
    pub(super) fn send_answers(&mut self, transport: &mut impl Transport) -> Result<(), H3Error> {
        let length = self.decoder.pending_instructions();
        if length == 0 || self.failed.is_some() {
            return Ok(());
        }
        let out = &mut self.critical_out[Critical::Decoder as usize].out;
        if out.is_empty() {
            let mut bytes = BytesMut::with_capacity(length);
            self.decoder.take_instructions(&mut bytes);
            out.push(bytes.freeze());
            self.flush_critical(transport);
        } else if length > MAX_ANSWERS {
            return Err(H3Violation::Flood.into());
        }
        Ok(())
    }

    /// Closes the connection if answers cannot be sent.
    pub(super) fn settle_answers(&mut self, transport: &mut impl Transport) {
        if let Err(error) = self.send_answers(transport) {
            self.fail(error, transport);
        }
    }

    /// Reads instructions of the peer's encoder, and then the streams that waited for them.
    pub(super) fn on_encoder_stream(
        &mut self,
        bytes: &[u8],
        transport: &mut impl Transport,
    ) -> Result<(), H3Error> {
        let before = self.decoder.insert_count();
        let instructions = self.decoder.on_encoder_stream(bytes)?;
        let inserted = self.decoder.insert_count() - before;
        self.idle.count_small(inserted, self.now)?;
        // What inserts nothing sets the capacity, which needs no repetition.
        self.idle.count(instructions - inserted, self.now)?;
        while let Some(stream) = self.decoder.poll_unblocked() {
            let Some(id) = StreamId::from_value(stream) else { continue };
            if let Some(request) = self.requests.get_mut(&id) {
                request.unblock();
                self.advance_request(id, transport)?;
                self.settle(id);
            }
        }
        Ok(())
    }
}
