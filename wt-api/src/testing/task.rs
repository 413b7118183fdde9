//! The handles of tasks.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::sync::oneshot;

use super::world::World;
use crate::runtime::RuntimeHandle;

/// A spawned task, as a future of its output. Dropping it does not end the task.
///
/// # Panics
/// If it is polled after its host has [vanished](super::Host::vanish), or after the network is gone.
#[derive(Debug)]
pub struct Task<T>(oneshot::Receiver<T>);

impl<T: Send + 'static> Task<T> {
    pub(super) fn spawn(
        world: &Arc<World>,
        host: Option<(usize, RuntimeHandle)>,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Self {
        let (reply, answer) = oneshot::channel();
        let work = Box::pin(async move { drop(reply.send(work.await)) });
        world.executor.spawn(host, work);
        Self(answer)
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx).map(|output| output.expect("the task was not ended with its host"))
    }
}
