//! Tasks on one thread, polled in the order in which they were woken.
//!
//! Owns the tasks and the queue of ready ones. It must never know time or networks.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use crate::{
    mailbox::lock,
    runtime::{self, BoxFuture, RuntimeHandle},
};

/// The ready tasks, in the order in which they were woken.
#[derive(Debug, Default)]
pub(super) struct Ready(Mutex<VecDeque<u64>>);

impl Ready {
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }

    pub(super) fn pop(&self) -> Option<u64> {
        lock(&self.0).pop_front()
    }
}

/// Puts a task into the queue, once.
pub(super) struct TaskWaker {
    id: u64,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            lock(&self.ready.0).push_back(self.id);
        }
    }
}

/// A future, and what is needed to poll it.
struct Task {
    future: BoxFuture<()>,
    /// The host of the task, if it has one.
    host: Option<(usize, RuntimeHandle)>,
    waker: Arc<TaskWaker>,
}

/// All tasks.
#[derive(Default)]
pub(super) struct Executor {
    pub(super) ready: Arc<Ready>,
    tasks: Mutex<BTreeMap<u64, Task>>,
    next: AtomicU64,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("tasks", &lock(&self.tasks).len()).finish_non_exhaustive()
    }
}

impl Executor {
    /// An ID and a waker for a new task.
    pub(super) fn waker(&self) -> (u64, Arc<TaskWaker>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let ready = Arc::clone(&self.ready);
        (id, Arc::new(TaskWaker { id, queued: AtomicBool::new(false), ready }))
    }

    /// Adds a task, which is ready at once.
    pub(super) fn spawn(&self, host: Option<(usize, RuntimeHandle)>, future: BoxFuture<()>) {
        let (id, waker) = self.waker();
        lock(&self.tasks).insert(id, Task { future, host, waker: Arc::clone(&waker) });
        waker.wake();
    }

    /// Polls the task if it still exists.
    pub(super) fn poll(&self, id: u64) {
        // The task is taken out, because it may spawn others and no lock may be held while it is polled.
        let Some(mut task) = lock(&self.tasks).remove(&id) else { return };
        let polled = {
            let Task { future, host, waker } = &mut task;
            let runtime = host.as_ref().map(|(_, runtime)| runtime);
            poll_on(runtime, future.as_mut(), waker)
        };
        if polled.is_pending() {
            lock(&self.tasks).insert(id, task);
        }
    }

    /// Ends the tasks of one host.
    pub(super) fn end_host(&self, host: usize) {
        self.end(|task| task.host.as_ref().is_some_and(|(of, _)| *of == host));
    }

    /// Ends all tasks.
    pub(super) fn clear(&self) {
        self.end(|_| true);
    }

    fn end(&self, which: impl Fn(&Task) -> bool) {
        loop {
            let mut tasks = lock(&self.tasks);
            let ids: Vec<u64> = tasks.iter().filter(|(_, task)| which(task)).map(|(id, _)| *id).collect();
            let ended: Vec<Task> = ids.iter().filter_map(|id| tasks.remove(id)).collect();
            drop(tasks);
            // Dropped outside the lock, because values of a task may wake or spawn others.
            if ended.is_empty() {
                return;
            }
        }
    }
}

/// Polls a future with `runtime` as its runtime.
pub(super) fn poll_on<T>(
    runtime: Option<&RuntimeHandle>,
    future: Pin<&mut (impl Future<Output = T> + ?Sized)>,
    waker: &Arc<TaskWaker>,
) -> Poll<T> {
    // Wake-ups from here on count.
    waker.queued.store(false, Ordering::Release);
    let waker = Waker::from(Arc::clone(waker));
    let mut cx = Context::from_waker(&waker);
    match runtime {
        Some(runtime) => runtime::enter(runtime, || future.poll(&mut cx)),
        None => future.poll(&mut cx),
    }
}
