//! Two ends over a link with loss, reordering and spurious loss: every byte arrives once and in order.

use proptest::prelude::*;

use super::*;

/// A small deterministic generator, so that a failing case shrinks to a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

struct Packet {
    to: usize,
    payload: Vec<u8>,
    receipts: Vec<Receipt>,
}

struct Link {
    ends: [End; 2],
    flying: Vec<Packet>,
    /// Packets that were declared lost but may have arrived: they may still be acknowledged.
    doubted: Vec<(usize, Vec<Receipt>)>,
    dice: Dice,
    loss: u64,
}

impl Link {
    fn new(config: StreamsConfig, seed: u64, loss: u64) -> Self {
        let ends = [config, StreamsConfig { side: Side::Server, ..config }].map(End::ready);
        Self { ends, flying: Vec::new(), doubted: Vec::new(), dice: Dice(seed), loss }
    }

    fn step(&mut self) {
        for from in 0..2 {
            if self.ends[from].streams.wants(&self.ends[from].schedule).any() {
                let room = 200 + self.dice.roll(1_200) as usize;
                let (payload, receipts) = self.ends[from].packet(room);
                assert!(!payload.is_empty(), "interest without a frame");
                self.flying.push(Packet { to: 1 - from, payload, receipts });
            }
        }
        while !self.flying.is_empty() && self.dice.roll(3) > 0 {
            let index = self.dice.roll(self.flying.len().min(8) as u64) as usize;
            let packet = self.flying.remove(index);
            let from = 1 - packet.to;
            if self.dice.roll(100) < self.loss {
                self.ends[from].settle(&packet.receipts, false);
                continue;
            }
            self.ends[packet.to].receive(&packet.payload).expect("an honest peer breaks no rule");
            if self.dice.roll(10) == 0 {
                self.ends[from].settle(&packet.receipts, false);
                self.doubted.push((from, packet.receipts));
            } else {
                self.ends[from].settle(&packet.receipts, true);
            }
        }
        if self.dice.roll(4) == 0
            && let Some((from, receipts)) = self.doubted.pop()
        {
            self.ends[from].settle(&receipts, true);
        }
        for end in &mut self.ends {
            end.now += Duration::from_millis(1);
        }
    }
}

fn pattern(stream: u64, offset: usize) -> u8 {
    (offset as u64 ^ (offset as u64 >> 7) ^ stream.wrapping_mul(31)) as u8
}

fn small(side: Side) -> StreamsConfig {
    StreamsConfig {
        stream_receive_window: 3_000,
        stream_receive_window_max: 50_000,
        connection_receive_window: 7_000,
        connection_receive_window_max: 60_000,
        max_bidi: 3,
        max_uni: 2,
        send_buffer: 10_000,
        ..StreamsConfig::new(side)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn every_byte_arrives(
        seed: u64, loss in 0u64..30, sizes in prop::collection::vec(0usize..40_000, 1..12), bidi: bool,
    ) {
        let mut link = Link::new(small(Side::Client), seed, loss);
        let dir = if bidi { Dir::Bidi } else { Dir::Uni };
        let mut waiting: VecDeque<usize> = sizes.iter().copied().collect();
        let mut writing: Vec<(StreamId, usize, usize, bool)> = Vec::new();
        let (mut reading, mut finished) = (Vec::<(StreamId, usize)>::new(), 0);
        for _ in 0..200_000 {
            while let Some(&size) = waiting.front() && let Some(id) = link.ends[0].streams.open(dir) {
                writing.push((id, size, 0, false));
                waiting.pop_front();
            }
            for (id, size, at, done) in &mut writing {
                if *done { continue; }
                let upto = (*at + 1 + link.dice.roll(3_000) as usize).min(*size);
                let data: Vec<u8> = (*at..upto).map(|offset| pattern(id.value(), offset)).collect();
                *at += link.ends[0].write(*id, &data);
                if at == size { link.ends[0].streams.finish(*id, &mut link.ends[0].schedule).unwrap(); *done = true; }
            }
            link.step();
            let server = &mut link.ends[1];
            while let Some(event) = server.events.pop_front() {
                if let Event::StreamOpened(id) = event {
                    reading.push((id, 0));
                    if bidi { server.streams.finish(id, &mut server.schedule).unwrap(); }
                }
            }
            let max = 1 + link.dice.roll(5_000) as usize;
            reading.retain_mut(|(id, at)| loop {
                match server.read(*id, max) {
                    Ok(Read::Data(bytes)) => for byte in bytes {
                        assert_eq!(byte, pattern(id.value(), *at));
                        *at += 1;
                    },
                    Ok(Read::Blocked) => break true,
                    Ok(Read::Finished) => {
                        assert_eq!(*at, sizes[id.index() as usize]);
                        finished += 1;
                        break false;
                    }
                    Err(error) => panic!("{error}"),
                }
            });
            let client = &mut link.ends[0];
            if bidi { for index in 0..sizes.len() as u64 { let _ = client.read(client_bidi(index), 1); } }
            if finished == sizes.len() && link.flying.is_empty() && link.doubted.is_empty()
                && !link.ends.iter().any(|end| end.streams.wants(&end.schedule).any()) { break; }
        }
        prop_assert_eq!(finished, sizes.len(), "stuck");
        let total: usize = sizes.iter().sum();
        for end in &mut link.ends {
            prop_assert_eq!(end.streams.live(), 0, "closed streams are forgotten");
            end.streams.clear(&mut end.budget);
            prop_assert_eq!(end.budget.used(), 0);
        }
        prop_assert_eq!(link.ends[0].streams.counters().bytes_sent, total as u64);
        prop_assert_eq!(link.ends[1].streams.counters().bytes_read, total as u64);
    }

    /// Streams that are stopped or reset, reliably or not, do not leak credit: they come one after the other,
    /// each larger than a quarter of the connection's window.
    #[test]
    fn credit_comes_back_from_streams_that_end_early(seed: u64, loss in 0u64..20, reliable in 0u64..2_500) {
        let mut link = Link::new(small(Side::Client), seed, loss);
        for round in 0..12u64 {
            let mut id = link.ends[0].streams.open(Dir::Uni);
            for _ in 0..5_000 {
                if id.is_some() { break; }
                link.step();
                id = link.ends[0].streams.open(Dir::Uni);
            }
            let id = id.expect("stream credit comes back");
            link.ends[0].write(id, &[7; 2_900]);
            for _ in 0..link.dice.roll(6) { link.step(); }
            let stop = round % 3 == 0;
            if stop {
                let server = &mut link.ends[1];
                let _ = server.streams.stop_sending(id, 5, &mut server.budget);
            }
            let reset = link.ends[0].streams.reset(id, 9, if round % 2 == 0 { reliable } else { 0 }, &mut link.ends[0].schedule);
            let mut at = 0;
            let mut ended = None;
            for _ in 0..5_000 {
                link.step();
                let (bytes, end) = link.ends[1].drain(id);
                at += bytes.len() as u64;
                if let Err(error) = end { ended = ended.or((error != ReadError::Closed).then_some(error)); }
                if !stop && round % 2 == 0 && reset.is_ok() && ended.is_some() {
                    prop_assert!(at >= reliable, "{} of {} reliable bytes", at, reliable);
                }
                if link.ends[0].streams.live() == 0 && link.ends[1].streams.live() == 0 { break; }
                // A stream can be stopped as soon as it exists, even if no data of it arrived.
                if stop && ended.is_none() {
                    let server = &mut link.ends[1];
                    let _ = server.streams.stop_sending(id, 5, &mut server.budget);
                }
            }
            prop_assert_eq!(link.ends[0].streams.live(), 0);
            prop_assert_eq!(link.ends[1].streams.live(), 0);
        }
    }
}

#[test]
fn a_peer_that_opens_a_whole_window_at_once_again_and_again_is_served() {
    let config = StreamsConfig { max_uni: 200, ..StreamsConfig::new(Side::Client) };
    let mut link = Link::new(config, 1, 0);
    for round in 0..20u64 {
        for index in 0..200 {
            let id =
                link.ends[0].streams.open(Dir::Uni).unwrap_or_else(|| panic!("{round}: {index} refused"));
            link.ends[0].write(id, b"x");
            link.ends[0].streams.finish(id, &mut link.ends[0].schedule).unwrap();
        }
        for _ in 0..2_000 {
            link.step();
        }
        for index in round * 200..(round + 1) * 200 {
            assert_eq!(link.ends[1].drain(client_uni(index)), (b"x".to_vec(), Ok(Read::Finished)));
        }
        for _ in 0..200 {
            link.step();
        }
        assert_eq!(link.ends[1].streams.live(), 0);
    }
}

#[test]
fn windows_grow_with_what_is_read_in_a_round_trip() {
    let mut link = Link::new(StreamsConfig::new(Side::Client), 3, 0);
    let id = link.ends[0].streams.open(Dir::Uni).unwrap();
    for _ in 0..12_000 {
        link.ends[0].write(id, &[0; 64 << 10]);
        link.step();
        link.ends[0].now = NOW;
        // 1 ms for about 1 kB a step is slow; hold the clock so that it is fast.
        link.ends[1].now = NOW;
        let _ = link.ends[1].drain(id);
    }
    let stream = link.ends[1].streams.table.find(id).unwrap();
    let window = link.ends[1].streams.table.get(stream).unwrap().recv.as_ref().unwrap().window.size();
    assert!(window > 512 << 10, "{window}");
    assert!(link.ends[1].streams.receive_window.size() >= window + window / 2);
}
