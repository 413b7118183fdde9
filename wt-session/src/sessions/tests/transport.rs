//! Implements [`SessionTransport`] for the in-memory transport of h3-core.

use bytes::Bytes;
use h3_core::transport::mock::End;
use quic_core::{
    StreamId, StreamTag,
    error::call::{ReadError, ReadProgress, WriteError},
};

use crate::transport::{ExportError, SessionTransport};

impl SessionTransport for End {
    fn read_chunks(
        &mut self,
        id: StreamId,
        max: usize,
        chunks: &mut Vec<Bytes>,
    ) -> Result<ReadProgress, ReadError> {
        End::read_chunks(self, id, max, chunks)
    }

    fn write_within_limit(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError> {
        End::write_within_limit(self, id, data)
    }

    fn hold_back(&mut self, id: StreamId, until: StreamId) {
        End::hold_back(self, id, until);
    }

    fn set_tag(&mut self, id: StreamId, tag: StreamTag) {
        End::set_tag(self, id, tag);
    }

    fn bytes_read(&mut self, id: StreamId) -> Option<u64> {
        End::bytes_read(self, id)
    }

    fn bytes_written(&mut self, id: StreamId) -> Option<u64> {
        End::bytes_written(self, id)
    }

    fn sent_end(&mut self, id: StreamId) -> Option<u64> {
        End::sent_end(self, id)
    }

    fn received_end(&mut self, id: StreamId) -> Option<u64> {
        End::received_end(self, id)
    }

    fn bytes_dropped(&self) -> u64 {
        End::bytes_dropped(self)
    }

    fn hand_over(&mut self, id: StreamId) {
        End::hand_over(self, id);
    }

    fn final_size(&mut self, id: StreamId) -> Option<u64> {
        End::final_size(self, id)
    }

    fn is_whole(&mut self, id: StreamId) -> bool {
        End::is_whole(self, id)
    }

    fn peer_supports_reset_stream_at(&self) -> bool {
        End::peer_supports_reset_stream_at(self)
    }

    fn export_keying_material(
        &self,
        out: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportError> {
        End::export_keying_material(self, out, label, context);
        Ok(())
    }
}
