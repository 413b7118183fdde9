//! The observer of one connection: makes records of events, and hands them on in blocks.

use std::time::Duration;

use quic_core::{ConnectionStart, ConnectionState, Observer, TraceEvent, base::Timestamp};

use crate::{
    events::Mapping,
    header::{self, Settings},
    record::{RECORD_SEPARATOR, record},
};

/// Records are handed on in blocks of about this many bytes.
const BLOCK: usize = 16 << 10;
/// Or after so long, at the next event.
const LONGEST: Duration = Duration::from_secs(1);

/// Where the records of a connection go.
pub trait Output: Send {
    /// Takes a block of whole records. It must not block. Returns false if it has no room: the block is then left out,
    /// and a later record says how many events that were.
    fn write(&mut self, block: Vec<u8>, events: u64) -> bool;
}

/// An observer that writes qlog to an [`Output`].
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use qlog::{Output, Qlog, Settings};
///
/// struct Memory(Arc<Mutex<Vec<u8>>>);
/// impl Output for Memory {
///     fn write(&mut self, block: Vec<u8>, _events: u64) -> bool {
///         self.0.lock().unwrap().extend_from_slice(&block);
///         true
///     }
/// }
/// let log = Qlog::new(Settings::new("test"), Box::new(Memory(Arc::default())));
/// // connection.add_observer(Box::new(log));
/// ```
pub struct Qlog {
    settings: Settings,
    output: Box<dyn Output>,
    mapping: Option<Mapping>,
    began: Timestamp,
    /// The time of the last event: times do not go back.
    last: Timestamp,
    block: Vec<u8>,
    events: u64,
    block_began: Timestamp,
    /// Events that were left out since this was last told.
    left_out: u64,
}

impl std::fmt::Debug for Qlog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Qlog").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Qlog {
    /// An observer that writes to `output`.
    #[must_use]
    pub fn new(settings: Settings, output: Box<dyn Output>) -> Self {
        Self {
            settings,
            output,
            mapping: None,
            began: Timestamp::ORIGIN,
            last: Timestamp::ORIGIN,
            block: Vec::new(),
            events: 0,
            block_began: Timestamp::ORIGIN,
            left_out: 0,
        }
    }

    fn begin(&mut self, start: &ConnectionStart, now: Timestamp) {
        self.mapping = Some(Mapping::new(start));
        (self.began, self.last, self.block_began) = (now, now, now);
        self.block.push(RECORD_SEPARATOR);
        header::write(&mut self.block, &self.settings, start, now);
        self.block.push(b'\n');
    }

    /// Hands on what there is.
    fn hand_on(&mut self) {
        if self.block.is_empty() {
            return;
        }
        let block = std::mem::take(&mut self.block);
        let events = std::mem::take(&mut self.events);
        if !self.output.write(block, events) {
            self.left_out += events;
        }
        self.block_began = self.last;
    }

    /// Says in the log how many events were left out of it.
    fn tell_left_out(&mut self) {
        let count = std::mem::take(&mut self.left_out);
        if count > 0 {
            let time = self.last.saturating_since(self.began);
            let message = format!(
                "{count} events were left out of this log, because its disk is slower than the network"
            );
            record(&mut self.block, time, "loglevel:warning", |data| data.text("message", &message));
            self.events += 1;
        }
    }
}

impl Observer for Qlog {
    fn on_event(&mut self, now: Timestamp, event: &TraceEvent<'_>) {
        if let TraceEvent::Started(start) = event {
            self.begin(start, now);
        }
        self.last = self.last.max(now);
        self.tell_left_out();
        let time = self.last.saturating_since(self.began);
        let Some(mapping) = &mut self.mapping else { return };
        self.events += mapping.write(&mut self.block, time, event);
        // After the end little follows, and the program may not live to see it dropped.
        let over = matches!(
            event,
            TraceEvent::Closed(_) | TraceEvent::StateChanged { new: ConnectionState::Closed, .. }
        );
        if over || self.block.len() >= BLOCK || self.last >= self.block_began + LONGEST {
            self.hand_on();
        }
    }
}

impl Drop for Qlog {
    fn drop(&mut self) {
        self.tell_left_out();
        self.hand_on();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use quic_core::{ConnectionId, Side, Version};

    use super::*;

    /// Takes one block in two.
    #[derive(Default)]
    struct Moody(Arc<Mutex<(Vec<u8>, u64, u64)>>);

    impl Output for Moody {
        fn write(&mut self, block: Vec<u8>, events: u64) -> bool {
            let mut state = self.0.lock().unwrap();
            state.1 += 1;
            let takes = state.1 % 2 == 1;
            if takes {
                state.0.extend_from_slice(&block);
            } else {
                state.2 += events;
            }
            takes
        }
    }

    #[test]
    fn what_is_left_out_is_told() {
        let output = Moody::default();
        let state = Arc::clone(&output.0);
        let mut log = Qlog::new(Settings::new("test"), Box::new(output));
        let id = ConnectionId::new(&[0xab, 1]).expect("short");
        let start =
            quic_core::ConnectionStart::new(Side::Client, id, ([192, 0, 2, 1], 443).into(), Version::V1);
        log.on_event(Timestamp::ORIGIN, &TraceEvent::Started(&start));
        for second in 0..10 {
            let now = Timestamp::ORIGIN + Duration::from_secs(second);
            let ecn = quic_core::base::Ecn::NotEct;
            log.on_event(now, &TraceEvent::DatagramSent { size: 1200, ecn });
        }
        drop(log);
        let (bytes, _, lost) = &*state.lock().unwrap();
        let records: Vec<serde_json::Value> = bytes
            .split(|byte| *byte == RECORD_SEPARATOR)
            .filter(|record| !record.is_empty())
            .map(|record| {
                assert_eq!(record.last(), Some(&b'\n'));
                serde_json::from_slice(record).expect("JSON")
            })
            .collect();
        assert_eq!(records[0]["trace"]["common_fields"]["group_id"], "ab01");
        let told = records.iter().filter(|record| record["name"] == "loglevel:warning");
        let told: u64 = told
            .map(|record| {
                record["data"]["message"].as_str().unwrap().split(' ').next().unwrap().parse::<u64>().unwrap()
            })
            .sum();
        assert!(*lost > 0);
        assert!(told > 0 && told <= *lost, "{told} of {lost}");
    }
}
