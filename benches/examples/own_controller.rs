//! Your own congestion controller in the laboratory, compared with CUBIC in a table and pictures.
//!
//! `cargo run --release -p benches --example own_controller` writes `own_controller.html`.

use std::{error::Error, path::Path, sync::Arc};

use benches::lab::{batch::run_all, catalog, html};
use quic_core::{
    base::Timestamp,
    congestion::{
        Algorithm, CongestionEvent, Controller, ControllerFactory, FlightPeak, NewPath, Phase, SentPacket,
        Snapshot, initial_window, kit, minimum_window,
    },
};

/// Adds a packet each round trip, and reduces the window by a tenth after a loss.
#[derive(Debug)]
struct Gentle {
    window: u64,
    mtu: u16,
    /// When the window was last reduced; losses of packets sent before do not reduce it again.
    reduced: Timestamp,
    /// How much of the window was in flight.
    peak: FlightPeak,
}

impl Controller for Gentle {
    fn on_sent(&mut self, _now: Timestamp, packet: &SentPacket) {
        self.peak.on_sent(packet);
    }

    fn on_loss(&mut self, event: &CongestionEvent<'_>) {
        if event.newest_lost_sent.is_some_and(|sent| sent > self.reduced) {
            (self.window, self.reduced) = ((self.window * 9 / 10).max(minimum_window(self.mtu)), event.now);
            self.peak.on_reduced();
        }
    }

    fn on_ack(&mut self, event: &CongestionEvent<'_>) {
        // The window grows only as far as it is used.
        let grown = self.window + u64::from(self.mtu) * event.bytes_acked / self.window;
        self.window = self.window.max(grown.min(self.peak.avoidance_limit(self.mtu)));
    }

    fn on_mtu_changed(&mut self, mtu: u16) {
        self.mtu = mtu;
        self.window = self.window.max(minimum_window(mtu));
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::new("gentle", self.window, Phase::CongestionAvoidance)
    }
}

#[derive(Debug)]
struct Factory;

impl ControllerFactory for Factory {
    fn build(&self, path: &NewPath) -> Box<dyn Controller> {
        let window = initial_window(path.mtu);
        Box::new(Gentle { window, mtu: path.mtu, reduced: path.now, peak: FlightPeak::new(window) })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // Checks the rules that apply to every controller.
    kit::check_controller(&Factory, 1);
    let mut scenarios = catalog::built_in()?;
    scenarios.retain(|scenario| ["B1", "B6a", "B8a"].contains(&scenario.id.as_str()));
    let controllers = [("cubic", Algorithm::Cubic), ("gentle", Algorithm::Custom(Arc::new(Factory)))];
    let report = run_all(&scenarios, &controllers, 1, Path::new("."), |_, _| {})?;
    print!("{}", report.table(&scenarios));
    std::fs::write("own_controller.html", html::html(&report, &scenarios)?)?;
    Ok(())
}
