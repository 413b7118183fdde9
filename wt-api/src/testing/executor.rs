//! Tasks on one thread, polled in the order in which they were woken.
//!
//! Owns the tasks and the queue of those that are ready. Must never know time or networks.

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

/// The tasks that are ready, first woken first.
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

/// Puts a task on the queue, once.
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

/// A future with what it takes to poll it.
struct Task {
    future: BoxFuture<()>,
    /// The host that it runs on, if it is one's.
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
    /// A name for a task, and how it is woken.
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

    /// Polls the task if it still is there.
    pub(super) fn poll(&self, id: u64) {
        // The task is taken out: polled, it may spawn others, and no lock is held meanwhile.
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
            // Dropped outside the lock: what a task owns may wake or spawn others.
            if ended.is_empty() {
                return;
            }
        }
    }
}

/// Polls a future with `runtime` around it.
pub(super) fn poll_on<T>(
    runtime: Option<&RuntimeHandle>,
    future: Pin<&mut (impl Future<Output = T> + ?Sized)>,
    waker: &Arc<TaskWaker>,
) -> Poll<T> {
    // Whatever wakes it from here on counts.
    waker.queued.store(false, Ordering::Release);
    let waker = Waker::from(Arc::clone(waker));
    let mut cx = Context::from_waker(&waker);
    match runtime {
        Some(runtime) => runtime::enter(runtime, || future.poll(&mut cx)),
        None => future.poll(&mut cx),
    }
}
