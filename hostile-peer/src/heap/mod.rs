//! What the whole stack holds of a peer that says anything, in any order, and acknowledges when it likes.
//!
//! QUIC, HTTP/3 and sessions of one end, in the role of a server or a client, with an application on top that has habits
//! of its own; before them the hostile peer. One seed decides all: settings, habits, steps. Only what the end under test
//! allocates is counted, so the figures are its own.
//!
//! What holds after each step, and at the worst moment within it: the heap is at most three times what the connection has
//! charged to its endpoint's budget, and `UNCHARGED`. After the end nothing is left, and nothing panics.

mod app;
mod http;
mod script;
mod victim;

use std::time::Duration;

use netsim::Random;
use quic_core::Side;

use script::{Script, Step};
use victim::Victim;

/// Steps of one seed, at most.
const MAX_STEPS: u32 = 300;

/// Heap beyond three times the charges, in bytes. What has a bound of its own and is not charged to the endpoint's budget:
/// 1 MiB that the application wrote and the peer does not acknowledge (`max_send_memory` of this harness; it may be held
/// with a quarter more overhead), 4 KiB beyond for each of 100 streams that the peer permits; 1 MiB of datagrams that wait
/// to be sent; 256 KiB of unfinished field sections; 64 KiB of datagrams before their session; what was sent and is not
/// acknowledged, 1024 losses and 64 KiB of records; and tables whose capacity is twice what is in them.
const UNCHARGED: isize = 4 << 20;

/// What may be left after the end, in bytes: nothing grows with what was done, but a TLS provider keeps tables of its own.
const REMAINS: isize = 4 << 10;

/// What came of one seed.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Steps of the peer, the application and time.
    pub steps: u64,
    /// Packets that the peer sent.
    pub packets: u64,
    /// The most heap at once since the handshake, in bytes.
    pub peak: usize,
    /// The largest share of what is permitted that was used, in thousandths.
    pub worst: usize,
    /// The largest ratio of heap to charges where these were at least 1 MiB, in hundredths.
    pub ratio: usize,
    /// What was charged after the step before.
    charged: usize,
    /// Why the connection ended before the last step, if it did.
    pub end: Option<String>,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { steps, packets, peak, worst, ratio, .. } = self;
        let permille = format!("{}.{} %", worst / 10, worst % 10);
        write!(
            f,
            "{steps} steps, {packets} packets, at most {peak} bytes of heap and {permille} of what is permitted"
        )?;
        write!(f, "; heap to charges at most {}.{:02}", ratio / 100, ratio % 100)
    }
}

impl Report {
    /// The sums and the worst of two.
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.packets += other.packets;
        self.peak = self.peak.max(other.peak);
        self.worst = self.worst.max(other.worst);
        self.ratio = self.ratio.max(other.ratio);
    }

    fn look(&mut self, victim: &mut Victim, line: &str) {
        // The worst moment may have been the step's first.
        let (heap, now) = (victim.worst(), victim.charged());
        let charged = std::mem::replace(&mut self.charged, now).max(now);
        let permitted = 3 * charged as isize + UNCHARGED;
        assert!(
            heap <= permitted,
            "{heap} bytes of heap for {charged} charged after step {}: {line}\n{}",
            self.steps,
            victim.describe()
        );
        let heap = usize::try_from(heap).unwrap_or(0);
        self.peak = self.peak.max(heap);
        self.worst = self.worst.max(heap * 1000 / permitted as usize);
        if charged >= 1 << 20 {
            self.ratio = self.ratio.max(heap * 100 / charged);
        }
    }
}

/// The line that plays a seed again.
#[must_use]
pub fn replay(side: Side, seed: u64) -> String {
    let side = if side.is_client() { "client" } else { "server" };
    format!("cargo run --release -p hostile-peer -- --heap --side {side} --first {seed} --seeds 1")
}

/// Plays one seed against an end in the role of `side`.
///
/// # Panics
/// If something does not hold; that is what it is for. The message names the line that plays it again.
#[must_use]
pub fn play(side: Side, seed: u64) -> Report {
    let line = replay(side, seed);
    let mut random = Random::derived(seed, u64::from(side.is_client()));
    let (mut victim, mut peer) = Victim::connected(side, &mut random);
    let mut script = Script::new(side.peer(), &mut random, victim.windows());
    let mut report = Report::default();
    let mut packet = Vec::new();
    while report.steps < u64::from(MAX_STEPS) && !victim.is_closed() {
        report.steps += 1;
        let batch = random.below(64) + 1;
        match script.step(victim.view(&peer)) {
            Step::Send(payloads) => {
                for (count, payload) in payloads.iter().enumerate() {
                    packet.clear();
                    peer.seal_short(payload, &mut packet);
                    report.packets += 1;
                    victim.receive(&packet);
                    if count as u64 % batch == batch - 1 {
                        victim.turn(&mut peer);
                        report.look(&mut victim, &line);
                    }
                }
            }
            Step::Honest => peer.flight().iter().for_each(|datagram| victim.receive(datagram)),
            Step::Time(time) => victim.run(time, &mut peer),
            Step::Application => victim.act(),
        }
        victim.turn(&mut peer);
        report.look(&mut victim, &line);
    }
    report.end = victim.why();
    victim.end(&mut peer);
    let left = victim.left();
    assert!(left <= REMAINS, "{left} bytes of heap are left after the end: {line}");
    report
}

/// Plays a seed and throws its figures away, so that what a process allocates once is not taken for what a seed left.
pub fn warm_up() {
    for side in [Side::Server, Side::Client] {
        let mut random = Random::new(0);
        let (mut victim, mut peer) = Victim::connected(side, &mut random);
        victim.run(Duration::from_millis(100), &mut peer);
        victim.end(&mut peer);
    }
}
