//! The memory of the whole stack when the peer sends anything, in any order, and acknowledges at random.
//!
//! The end under test consists of QUIC, HTTP/3 and sessions, in the role of a server or a client, with an
//! application on top that has its own habits. The hostile peer is on the other side. One seed decides
//! everything: settings, habits, steps. Only the allocations of the end under test are counted.
//!
//! After each step, and at the worst moment within it, the heap is at most three times what the connection
//! has charged to its endpoint's budget, plus `UNCHARGED`. After the end nothing is left, and nothing panics.
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

/// The most steps of one seed.
const MAX_STEPS: u32 = 300;

/// How much heap is permitted beyond three times the charges, in bytes. It covers memory that has its own
/// limit and is not charged to the endpoint's budget. 1 MiB is data that the application wrote and the peer
/// does not acknowledge (`max_send_memory` of this harness; its overhead may be a quarter more), with 4 KiB
/// more for each of 100 streams that the peer permits. 1 MiB is for datagrams that wait to be sent, 256 KiB
/// for unfinished field sections, and 64 KiB for datagrams that came before their session. The rest is for
/// sent packets that are not acknowledged, for 1024 losses with 64 KiB of records, and for tables whose
/// capacity is twice their content.
const UNCHARGED: isize = 4 << 20;

/// What may be left after the end, in bytes. It does not grow with the steps, but a TLS provider keeps tables
/// of its own.
const REMAINS: isize = 4 << 10;

/// The result of one seed.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Steps of the peer, the application and time.
    pub steps: u64,
    /// Packets that the peer sent.
    pub packets: u64,
    /// The peak of the heap since the handshake, in bytes.
    pub peak: usize,
    /// The largest used share of what is permitted, in thousandths.
    pub worst: usize,
    /// The largest ratio of heap to charges where these were at least 1 MiB, in hundredths.
    pub ratio: usize,
    /// The charges after the previous step.
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
    /// Adds the sums of another report, and takes the worse of the maxima.
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.packets += other.packets;
        self.peak = self.peak.max(other.peak);
        self.worst = self.worst.max(other.worst);
        self.ratio = self.ratio.max(other.ratio);
    }

    fn look(&mut self, victim: &mut Victim, line: &str) {
        // The worst moment may have been the beginning of the step.
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

/// The line that replays a seed.
#[must_use]
pub fn replay(side: Side, seed: u64) -> String {
    let side = if side.is_client() { "client" } else { "server" };
    format!("cargo run --release -p hostile-peer -- --heap --side {side} --first {seed} --seeds 1")
}

/// Plays one seed against an end in the role of `side`.
///
/// # Panics
/// If an invariant is violated, which is the purpose. The message has the line that replays the seed.
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

/// Plays a seed and discards its report, so that one-time allocations of the process are not attributed to a
/// seed.
pub fn warm_up() {
    for side in [Side::Server, Side::Client] {
        let mut random = Random::new(0);
        let (mut victim, mut peer) = Victim::connected(side, &mut random);
        victim.run(Duration::from_millis(100), &mut peer);
        victim.end(&mut peer);
    }
}
