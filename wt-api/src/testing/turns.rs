//! The loop that runs a virtual network.

use std::{future::Future, pin::pin, sync::Arc, task::Poll};

use super::{
    executor::poll_on,
    world::{Standstill, World},
};
use crate::{mailbox::lock, runtime::RuntimeHandle};

/// After this many polls without time passing, a task must be in an endless loop.
const STUCK: u32 = 1_000_000;

/// Marks the network as running.
struct Running<'a>(&'a World);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        lock(&self.0.fabric).running = false;
    }
}

/// Runs ready tasks first, then advances time.
pub(super) fn run<T>(
    world: &Arc<World>,
    runtime: Option<&RuntimeHandle>,
    work: impl Future<Output = T>,
) -> T {
    let limit = {
        let mut fabric = lock(&world.fabric);
        assert!(!std::mem::replace(&mut fabric.running, true), "the network runs already: await instead");
        world.now().saturating_add(u64::try_from(fabric.limit.as_nanos()).unwrap_or(u64::MAX))
    };
    let _running = Running(world);
    let mut work = pin!(work);
    let (root, waker) = world.executor.waker();
    std::task::Waker::from(Arc::clone(&waker)).wake();
    let (mut since, mut polls) = (world.now(), 0);
    loop {
        while let Some(id) = world.executor.ready.pop() {
            if id == root {
                if let Poll::Ready(output) = poll_on(runtime, work.as_mut(), &waker) {
                    return output;
                }
            } else {
                world.executor.poll(id);
            }
            polls += 1;
            if polls > STUCK {
                world.fail("time stands still: tasks are woken over and over");
            }
        }
        match world.advance(limit) {
            Ok(()) => {}
            Err(Standstill::Nothing) => world.fail("nothing is left to happen: every task waits for another"),
            Err(Standstill::Limit) => world.fail("the run takes longer than its limit of virtual time"),
        }
        if world.now() > since {
            (since, polls) = (world.now(), 0);
        }
    }
}
