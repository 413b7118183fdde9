//! A run on the virtual network.

use std::{
    sync::{Arc, Once},
    time::Duration,
};

use heap_meter::Measure;
use wt_api::{
    testing::{Host, Link, Network},
    wait_idle,
};

use crate::{
    book::{Calls, Failure},
    client,
    constructors::identities,
    place::Place,
    plan::{Mishap, Plan},
    server,
    spin::Spin,
};

/// After `closed` of a session has settled, its other calls settle within this time.
const GRACE: Duration = Duration::from_secs(10);
/// How many bytes of heap may be left, which libraries keep for the thread.
const LEFT: isize = 4 << 10;

thread_local! {
    static WARM: Once = const { Once::new() };
}

/// Does one run, and returns the counts of calls.
///
/// # Errors
/// If an invariant was violated.
///
/// # Panics
/// If the network makes no progress; the message has the seed.
pub fn virtual_run(seed: u64) -> Result<Calls, Failure> {
    // Memory that is allocated once per process or thread is no leak.
    WARM.with(|warm| warm.call_once(|| drop(play(u64::MAX))));
    let heap = Measure::start();
    let (calls, mut facts) = play(seed);
    // From here on the counters belong to the caller.
    let kept: isize = calls.len() as isize * 64;
    if facts.is_empty() && heap.growth() > LEFT + kept {
        facts.push(format!("{} bytes of heap are left when all is gone", heap.growth()));
    }
    if facts.is_empty() { Ok(calls) } else { Err(failure(seed, facts)) }
}

fn failure(seed: u64, facts: Vec<String>) -> Failure {
    let replay = format!("cargo run --release -p spin -- virtual --seeds 1 --first {seed}");
    Failure { seed, replay, facts }
}

struct Run {
    network: Network,
    spin: Arc<Spin>,
    server: Host,
    clients: Vec<(Host, Link)>,
}

fn play(seed: u64) -> (Calls, Vec<String>) {
    let plan = Plan::draw(seed);
    let network = Network::new(seed);
    network.set_limit(Duration::from_secs(24 * 3600));
    let server = network.host("server");
    let clients: Vec<(Host, Link)> = (0..plan.clients)
        .map(|n| {
            let host = network.host(&format!("client{n}"));
            let link = network.link(&server, &host, &plan.link);
            (host, link)
        })
        .collect();
    let spin = Spin::new(plan, network.identity(["server"]));
    if let Err(error) = identities(&spin.book) {
        spin.book.fail(format!("certificates: {error}"));
    }
    let run = Run { network: network.clone(), spin: Arc::clone(&spin), server, clients };
    network.run(run.run());
    let left = spin.pairs().iter().filter_map(|pair| pair.check().err()).collect::<Vec<_>>();
    left.into_iter().for_each(|fact| spin.book.fail(fact));
    drop(network);
    spin.book.conclude()
}

impl Run {
    fn place(&self, host: &Host) -> Place {
        Place::Virtual { network: self.network.clone(), host: host.clone() }
    }

    fn begin(&self, host: &Host, work: impl Future<Output = ()> + Send + 'static) {
        let running = self.spin.book.running();
        drop(host.spawn(async move {
            work.await;
            drop(running);
        }));
    }

    fn serve(&self) {
        self.begin(&self.server, server::serve(Arc::clone(&self.spin), self.place(&self.server)));
    }

    async fn run(self) {
        self.serve();
        for (host, _) in &self.clients {
            self.begin(host, client::ask(Arc::clone(&self.spin), self.place(host)));
        }
        let plan = &self.spin.plan;
        self.network.sleep(plan.when).await;
        self.mishap(plan.mishap).await;
        self.watch(plan.length.saturating_sub(plan.when)).await;
        self.spin.stop();
        self.settle().await;
    }

    async fn mishap(&self, mishap: Mishap) {
        let (host, link) = &self.clients[0];
        match mishap {
            Mishap::None => {}
            Mishap::Outage(duration) => link.outage(duration),
            Mishap::ClientVanishes => host.vanish(),
            Mishap::Rebinding => host.rebind(),
            Mishap::ServerVanishes(again) => {
                self.server.vanish();
                if again {
                    self.network.sleep(Duration::from_millis(500)).await;
                    self.serve();
                }
            }
        }
    }

    /// Advances the time, and looks for calls that should have settled.
    async fn watch(&self, duration: Duration) {
        let until = self.network.now() + duration;
        while self.network.now() < until {
            let left = until.saturating_sub(self.network.now());
            self.network.sleep(left.min(Duration::from_secs(1))).await;
            self.look();
        }
    }

    fn look(&self) {
        let overdue = self.spin.book.overdue(self.network.now(), GRACE);
        overdue.into_iter().for_each(|call| self.spin.book.fail(call));
    }

    /// Waits until all tasks are over; each call must settle within the plan's time.
    async fn settle(&self) {
        let book = &self.spin.book;
        let until = self.network.now() + 4 * self.spin.plan.patience();
        while book.tasks() > 0 {
            if self.network.now() > until {
                let (tasks, now) = (book.tasks(), self.network.now());
                book.fail(format!("{tasks} tasks are not over at {now:?}"));
                book.outstanding(now).into_iter().for_each(|call| book.fail(call));
                return;
            }
            self.watch(Duration::from_secs(1)).await;
        }
        for (host, _) in self.clients.iter().chain([&(self.server.clone(), self.clients[0].1.clone())]) {
            let idle = host.spawn(wait_idle());
            let limit = self.spin.plan.patience();
            if self.network.within(limit, idle).await.is_none() {
                book.fail(format!("wait_idle of {} does not settle within {limit:?}", host.name()));
            }
        }
    }
}
