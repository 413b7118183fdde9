//! The demands on the endpoint under test: closes, silence, usability, and that nothing is left of a
//! connection.

use std::time::Duration;

use bytes::Bytes;
use heap_meter::Measure;
use quic_core::{Dir, Event, Space, StreamId};

use crate::{app::App, peer::Close, wire, world::World};

/// The most that may remain of a closed connection, in bytes: capacity of the endpoint's tables.
const REMAINS: isize = 4 << 10;
/// The charge for a connection itself, in bytes.
const OWN: usize = 32 << 10;
/// The limits of "flat" memory: the growth from a tenth of a flood to its end, and the peak.
const FLAT: isize = 64 << 10;
const PEAK: isize = 1 << 20;

impl World {
    /// The endpoint closed with a CONNECTION_CLOSE of type 0x1c and one of these codes. Its application was
    /// told once, as the last event, and nothing is left after the closing period. Returns the frame.
    #[track_caller]
    pub fn expect_close(&mut self, codes: &[u64]) -> Close {
        self.poll();
        let closes = self.peer.closes();
        let [close] = &closes[..] else {
            panic!("one close was expected, not {closes:?}; application: {:?}", self.app.error())
        };
        assert!(!close.application && codes.contains(&close.code), "{close:?}, not one of {codes:x?}");
        self.expect_told();
        let close = close.clone();
        self.expect_gone();
        close
    }

    /// The same with one code and a frame type.
    #[track_caller]
    pub fn expect_close_in(&mut self, code: u64, frame_type: u64) {
        let close = self.expect_close(&[code]);
        assert_eq!(close.frame_type, frame_type, "{close:?}");
    }

    /// The application was told of the end once, and of nothing after it.
    #[track_caller]
    pub fn expect_told(&mut self) {
        let told = self.app.events.iter().filter(|event| matches!(event, Event::Closed(_))).count();
        assert_eq!(told, 1, "{:?}", self.app.events);
        assert!(matches!(self.app.events.last(), Some(Event::Closed(_))));
    }

    /// After the closing period, the connection holds nothing any more: no memory, timers or table entries.
    #[track_caller]
    pub fn expect_gone(&mut self) {
        self.run_silently(Duration::from_secs(60));
        let Some((handle, connection)) = &mut self.connection else { return };
        assert!(connection.is_drained(), "drained at last");
        assert_eq!(connection.poll_timeout(), None);
        assert_eq!(connection.stats().memory_used, OWN, "all memory was given back");
        self.endpoint.forget(*handle);
        assert_eq!(self.endpoint.connections(), 0);
    }

    /// The connection is fully usable: 64 KiB pass in each direction.
    #[track_caller]
    pub fn expect_alive(&mut self) {
        const SIZE: usize = 64 << 10;
        assert_eq!(self.app.error(), None, "the connection lives; peer saw {:?}", self.peer.closes());
        let data: Vec<u8> = (0..SIZE).map(|i| (i % 251) as u8).collect();
        let theirs = StreamId::new(self.peer.side, Dir::Uni, self.next_stream);
        self.next_stream += 1;
        let ours = self.connection().open(Dir::Uni).expect("the peer permits streams");
        self.app.sending.insert(ours, Bytes::from(data.clone()));
        self.app.pump(&mut self.connection.as_mut().expect("a connection").1, ours);
        let mut offset = 0;
        for chunk in data.chunks(1000) {
            let end = offset + chunk.len();
            self.send(Space::Data, wire::stream(theirs, offset as u64, end == SIZE, chunk));
            offset = end;
        }
        self.run(Duration::from_secs(5));
        assert!(self.app.received.get(&theirs) == Some(&data), "64 KiB arrived at the endpoint");
        assert_eq!(self.app.ended.get(&theirs), Some(&None));
        let mut arrived = vec![0; SIZE];
        let mut finished = false;
        for (id, offset, data, fin) in &self.peer.streams {
            if *id == ours.value() {
                arrived[*offset as usize..*offset as usize + data.len()].copy_from_slice(data);
                finished |= fin;
            }
        }
        assert!(finished && arrived == data, "64 KiB arrived at the peer");
    }

    /// The step was ignored: at most an acknowledgment was sent in response, and the connection is usable.
    #[track_caller]
    pub fn expect_ignored(&mut self, step: impl FnOnce(&mut Self)) {
        let sent = self.sent.len();
        step(self);
        let answers = self.sent.len() - sent;
        assert!(answers <= 1, "{answers} datagrams in answer");
        self.expect_alive();
    }

    /// Repeats a step, which gets the number of its round. The heap stays flat: at the end it is within 64
    /// KiB of its size after a tenth of the rounds, and it never is 1 MiB above. Meanwhile neither end
    /// records what it observes.
    #[track_caller]
    pub fn flood(&mut self, rounds: u64, step: impl FnMut(&mut Self, u64)) {
        self.flood_after(rounds / 10, rounds - rounds / 10, step);
    }

    /// The same, but measured after `before` rounds.
    #[track_caller]
    pub fn flood_after(&mut self, before: u64, rounds: u64, mut step: impl FnMut(&mut Self, u64)) {
        self.forgets(true);
        let mut mark = None;
        for round in 0..before + rounds {
            if round == before {
                mark = Some(Measure::start());
            }
            step(self, round);
        }
        let mark = mark.expect("a flood has rounds");
        let (growth, peak) = (mark.growth(), mark.peak_growth());
        self.forgets(false);
        // A connection that ended during the flood has freed its memory.
        let ended = self.app.error().is_some() && growth < 0;
        assert!(growth.abs() <= FLAT || ended, "the heap grew by {growth} bytes");
        assert!(peak <= PEAK, "the heap's peak was {peak} bytes above");
    }

    /// What the peer makes the connection hold now, and the most that it ever did, in bytes. The connection's
    /// own charge is excluded.
    pub fn held(&mut self) -> (usize, usize) {
        let stats = self.connection().stats();
        (stats.memory_used.saturating_sub(OWN), stats.memory_peak.saturating_sub(OWN))
    }

    fn forgets(&mut self, forgets: bool) {
        self.app.forgets = forgets;
        self.peer.forgets = forgets;
    }

    /// The end of every test, whether it calls this or not: the application is told of the end, and nothing
    /// is left of the connection, neither timers nor table entries nor heap.
    #[track_caller]
    fn finish(&mut self) {
        if let Some((_, connection)) = &mut self.connection {
            if !connection.is_closed() {
                connection.close(self.now, 0, b"");
                self.poll();
            }
            self.expect_told();
            self.expect_gone();
        }
        assert_eq!(self.endpoint.connections(), 0, "table entries");
        self.connection = None;
        assert_eq!((self.budget.used(), self.budget.pending_handshakes()), (0, 0), "the endpoint's budget");
        self.app = App::default();
        self.peer.release();
        self.sent = Vec::new();
        self.sent_to = Vec::new();
        self.stateless = Vec::new();
        self.drops = Vec::new();
        self.scratch = Vec::new();
        self.endpoint.set_server(None);
        let growth = self.baseline.growth();
        assert!(growth <= REMAINS, "{growth} bytes of heap are left of the connection");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.finish();
        }
    }
}
