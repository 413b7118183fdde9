//! Runs on tokio, with several threads, over loopback.

use std::{sync::Arc, time::Duration};

use wt_api::{Identity, wait_idle};

use crate::{
    book::{Calls, Failure},
    client,
    constructors::identities,
    place::Place,
    plan::Plan,
    server,
    spin::Spin,
};

/// Threads of the runtime.
const THREADS: usize = 4;
/// The time after which a call counts as hung.
const WATCHDOG: Duration = Duration::from_secs(150);

/// Runs for a few seconds on its own runtime, and returns the counts of calls.
///
/// # Errors
/// If an invariant was violated.
pub fn real_run(seed: u64) -> Result<Calls, Failure> {
    let failure = |facts| {
        let replay = format!("cargo run --release -p spin -- real --minutes 1 --seed {seed}");
        Failure { seed, replay, facts }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let runtime = runtime.map_err(|error| failure(vec![error.to_string()]))?;
    let (calls, facts) = runtime.block_on(play(seed));
    runtime.shutdown_background();
    if facts.is_empty() { Ok(calls) } else { Err(failure(facts)) }
}

async fn play(seed: u64) -> (Calls, Vec<String>) {
    let place = Place::real();
    let identity = match Identity::self_signed(["localhost", "127.0.0.1"]) {
        Ok(identity) => identity,
        Err(error) => return (Calls::new(), vec![error.to_string()]),
    };
    let spin = Spin::new(Plan::draw(seed).real(), identity);
    if let Err(error) = identities(&spin.book) {
        spin.book.fail(format!("certificates: {error}"));
    }
    begin(&spin, server::serve(Arc::clone(&spin), place.clone()));
    for _ in 0..spin.plan.clients {
        begin(&spin, client::ask(Arc::clone(&spin), place.clone()));
    }
    place.sleep(spin.plan.length).await;
    spin.stop();
    settle(&spin, &place).await;
    for pair in spin.pairs() {
        if let Err(fact) = pair.check() {
            spin.book.fail(fact);
        }
    }
    spin.book.conclude()
}

fn begin(spin: &Arc<Spin>, work: impl Future<Output = ()> + Send + 'static) {
    let running = spin.book.running();
    drop(tokio::spawn(async move {
        work.await;
        drop(running);
    }));
}

async fn settle(spin: &Spin, place: &Place) {
    let book = &spin.book;
    let until = place.now() + WATCHDOG;
    while book.tasks() > 0 {
        if place.now() > until {
            book.fail(format!("{} tasks are not over after {WATCHDOG:?}", book.tasks()));
            book.outstanding(place.now()).into_iter().for_each(|call| book.fail(call));
            return;
        }
        place.sleep(Duration::from_millis(20)).await;
    }
    if place.within(WATCHDOG, wait_idle()).await.is_none() {
        book.fail(format!("wait_idle does not settle within {WATCHDOG:?}"));
    }
}
