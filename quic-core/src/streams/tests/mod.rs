//! Tests of streams: single rules, the schedule, and pairs over a link that loses and reorders.

mod hostile;
mod limits;
mod order;
mod pair;
mod promises;
mod rules;
mod send_stats;
mod sending;
mod withheld;

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use super::*;
use crate::{
    base::{Budget, EndpointBudget, Timestamp},
    error::{
        Violation,
        call::{Read, ReadError},
    },
    event::HeldAbove,
    frame::{Frame, FrameWriter, Receipt},
    schedule::Sender,
};

const NOW: Timestamp = Timestamp::ORIGIN;
const RTT: Duration = Duration::from_millis(50);

/// One end with its surroundings.
struct End {
    streams: Streams,
    schedule: Schedule,
    budget: Budget,
    events: VecDeque<Event>,
    now: Timestamp,
}

fn limits_of(config: &StreamsConfig, reset_stream_at: bool) -> PeerLimits {
    PeerLimits {
        max_data: config.connection_receive_window,
        max_stream_data_bidi_local: config.stream_receive_window,
        max_stream_data_bidi_remote: config.stream_receive_window,
        max_stream_data_uni: config.stream_receive_window,
        max_streams_bidi: config.max_bidi,
        max_streams_uni: config.max_uni,
        reset_stream_at,
    }
}

impl End {
    fn new(config: StreamsConfig) -> Self {
        Self {
            streams: Streams::new(config),
            schedule: Schedule::default(),
            budget: Budget::alone(64 << 20),
            events: VecDeque::new(),
            now: NOW,
        }
    }

    /// An end that knows a peer of the same configuration.
    fn ready(config: StreamsConfig) -> Self {
        let mut end = Self::new(config);
        end.streams.set_peer_limits(limits_of(&config, true), &mut end.schedule, &mut end.events);
        end
    }

    fn server() -> Self {
        Self::ready(StreamsConfig::new(Side::Server))
    }

    fn client() -> Self {
        Self::ready(StreamsConfig::new(Side::Client))
    }

    fn stream(&mut self, id: StreamId, offset: u64, data: &[u8], fin: bool) -> Result<(), Violation> {
        let data = Bytes::copy_from_slice(data);
        self.streams.on_stream(id, offset, data, fin, 1_500, &mut self.budget, &mut self.events)
    }

    fn reset(&mut self, id: StreamId, code: u64, size: u64, reliable: u64) -> Result<(), Violation> {
        self.streams.on_reset_stream(id, code, size, reliable, &mut self.budget, &mut self.events)
    }

    fn stop(&mut self, id: StreamId, code: u64) -> Result<(), Violation> {
        self.streams.on_stop_sending(id, code, &mut self.schedule, &mut self.budget, &mut self.events)
    }

    fn read(&mut self, id: StreamId, max: usize) -> Result<Read, ReadError> {
        self.streams.read(id, max, &mut self.budget, self.now, RTT)
    }

    /// Reads everything; returns the bytes and how the reading ended.
    fn drain(&mut self, id: StreamId) -> (Vec<u8>, Result<Read, ReadError>) {
        let mut all = Vec::new();
        loop {
            match self.read(id, usize::MAX) {
                Ok(Read::Data(bytes)) => all.extend_from_slice(&bytes),
                other => return (all, other),
            }
        }
    }

    fn write(&mut self, id: StreamId, data: &[u8]) -> usize {
        self.streams
            .write_chunk(id, &mut Bytes::copy_from_slice(data), Within::Buffer, &mut self.schedule)
            .unwrap()
    }

    fn write_within_limit(&mut self, id: StreamId, data: &[u8]) -> usize {
        self.streams
            .write_chunk(id, &mut Bytes::copy_from_slice(data), Within::PeerLimit, &mut self.schedule)
            .unwrap()
    }

    /// One packet of `room` bytes: its payload and receipts.
    fn packet(&mut self, room: usize) -> (Vec<u8>, Vec<Receipt>) {
        let (mut payload, mut receipts) = (vec![0; room], Vec::new());
        let mut writer = FrameWriter::new(&mut payload, &mut receipts);
        if self.streams.write_control(&mut writer) {
            while let Some(turn) = self.schedule.peek(0) {
                let Sender::Stream(slot) = turn.sender else { panic!("{turn:?}") };
                if !self.streams.write_data(slot, turn, &mut writer, &mut self.schedule) {
                    break;
                }
            }
            self.streams.write_control(&mut writer);
        }
        let written = writer.written();
        payload.truncate(written);
        (payload, receipts)
    }

    fn settle(&mut self, receipts: &[Receipt], acked: bool) {
        for receipt in receipts {
            self.streams.settle(*receipt, acked, &mut self.schedule, &mut self.events);
        }
    }

    /// Applies a packet of the peer.
    fn receive(&mut self, payload: &[u8]) -> Result<(), Violation> {
        for frame in frames(payload) {
            let Self { streams, schedule, budget, events, .. } = self;
            match frame {
                Frame::Stream { id, offset, fin, data } => {
                    let data = Bytes::copy_from_slice(data);
                    streams.on_stream(id, offset, data, fin, payload.len(), budget, events)?;
                }
                Frame::ResetStream { id, code, final_size } => {
                    streams.on_reset_stream(id, code, final_size, 0, budget, events)?;
                }
                Frame::ResetStreamAt { id, code, final_size, reliable_size } => {
                    streams.on_reset_stream(id, code, final_size, reliable_size, budget, events)?;
                }
                Frame::StopSending { id, code } => {
                    streams.on_stop_sending(id, code, schedule, budget, events)?;
                }
                Frame::MaxData(limit) => streams.on_max_data(limit, schedule),
                Frame::MaxStreamData { id, limit } => {
                    streams.on_max_stream_data(id, limit, schedule, budget, events)?;
                }
                Frame::MaxStreams { dir, limit } => streams.on_max_streams(dir, limit, events)?,
                Frame::DataBlocked(_) => streams.on_data_blocked(),
                Frame::StreamDataBlocked { id, .. } => streams.on_stream_data_blocked(id, budget, events)?,
                Frame::StreamsBlocked { dir, limit } => streams.on_streams_blocked(dir, limit)?,
                other => panic!("not a frame of streams: {other:?}"),
            }
        }
        Ok(())
    }
}

fn frames(payload: &[u8]) -> Vec<Frame<'_>> {
    crate::frame::Frames::new(payload).map(|frame| frame.expect("we wrote it")).collect()
}

fn client_bidi(index: u64) -> StreamId {
    StreamId::new(Side::Client, Dir::Bidi, index)
}

fn client_uni(index: u64) -> StreamId {
    StreamId::new(Side::Client, Dir::Uni, index)
}
