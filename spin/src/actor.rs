//! A task at an end of a session, and the ways in which it treats a future.
//!
//! It must never know which function is called.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use netsim::Random;
use tokio::sync::{oneshot, watch};

use crate::{end::End, pair::Phase};

/// What the task does with a future.
enum Fate {
    /// Awaits it until it settles.
    Awaited,
    /// Polls it this many times, then drops it.
    Polled(u64),
    /// Drops it unless it settles in time.
    Raced(Duration),
}

/// A task with its own random generator.
pub(crate) struct Actor {
    pub(crate) end: Arc<End>,
    pub(crate) random: Random,
    /// The task ends when its end of the session is in this phase.
    leaves_at: Phase,
    phase: watch::Receiver<Phase>,
}

impl Actor {
    pub(crate) fn new(end: &Arc<End>, leaves_at: Phase) -> Self {
        let (random, phase) = (end.spin.random(), end.phase());
        Self { end: Arc::clone(end), random, leaves_at, phase }
    }

    /// Whether the task must end.
    pub(crate) fn leaves(&self) -> bool {
        *self.phase.borrow() >= self.leaves_at
    }

    /// Counts a call that returns at once.
    pub(crate) fn did(&self, name: &'static str) {
        self.end.spin.book.count(name);
    }

    /// Records a violated invariant.
    pub(crate) fn check(&self, result: Result<(), String>) {
        if let Err(fact) = result {
            self.end.spin.book.fail(format!("at end {}: {fact}", self.end.number));
        }
    }

    pub(crate) async fn pause(&mut self) {
        let duration = Duration::from_micros(1 << self.random.below(18));
        let sleep = self.end.place.sleep(duration);
        let until = self.phase.wait_for(|phase| *phase >= self.leaves_at);
        tokio::select! { () = sleep => {}, _ = until => {} }
    }

    /// Drives a call in a random way; `None` if it was given up.
    pub(crate) async fn drive<T>(&mut self, name: &'static str, work: impl Future<Output = T>) -> Option<T> {
        let fate = match self.random.below(8) {
            0 => Fate::Polled(1 + self.random.below(4)),
            1..5 => Fate::Raced(Duration::from_micros(1 << self.random.below(20))),
            _ => Fate::Awaited,
        };
        self.drive_so(name, work, fate).await
    }

    /// Drives a call that may last until the session ends.
    pub(crate) async fn drive_long<T>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let fate = match self.random.below(3) {
            0 => Fate::Polled(1 + self.random.below(4)),
            _ => Fate::Raced(Duration::from_micros(1 << self.random.below(20))),
        };
        self.drive_so(name, work, fate).await
    }

    /// Awaits a call until it settles, or the end leaves.
    pub(crate) async fn wait<T>(&mut self, name: &'static str, work: impl Future<Output = T>) -> Option<T> {
        self.drive_so(name, work, Fate::Awaited).await
    }

    /// As [`drive`](Self::drive); half of the calls are polled here first and then moved to another task.
    pub(crate) async fn drive_moving<T: Send + 'static>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        if self.random.chance(0.5) {
            return self.drive(name, work).await;
        }
        let mut work: Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(work);
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
            self.did(name);
            return Some(output);
        }
        let (mut reply, answer) = oneshot::channel();
        self.end.start(move |_| async move {
            tokio::select! {
                output = work => drop(reply.send(output)),
                () = reply.closed() => {}
            }
        });
        self.drive(name, answer).await.and_then(Result::ok)
    }

    async fn drive_so<T>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = T>,
        fate: Fate,
    ) -> Option<T> {
        let end = Arc::clone(&self.end);
        let _ticket = end.spin.book.enter(name, Some(end.number), end.place.now());
        let mut work = pin!(work);
        match fate {
            Fate::Polled(times) => {
                for _ in 0..times {
                    let polled = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
                    if let Poll::Ready(output) = polled {
                        return Some(output);
                    }
                    self.pause().await;
                }
                None
            }
            Fate::Raced(limit) => {
                tokio::select! {
                    biased;
                    output = work => Some(output),
                    () = end.place.sleep(limit) => None,
                }
            }
            Fate::Awaited => {
                let leaves = self.leaves_at;
                tokio::select! {
                    biased;
                    output = work => Some(output),
                    _ = self.phase.wait_for(|phase| *phase >= leaves) => None,
                }
            }
        }
    }
}
