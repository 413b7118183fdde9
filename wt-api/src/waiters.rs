//! Waiting tasks, and how they leave.
//!
//! A waiting task has a place in the queue of those that wait for the same thing. It leaves when it is woken,
//! or when the waiting future is dropped. Ended tasks leave nothing behind, however many there were.
//!
//! Owns the places. It must never know what the tasks wait for.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Locks a mutex. The data stays usable after a panic of another thread.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tasks that wait for the same thing. They are woken in the order of arrival. A single one costs no
/// allocation.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    next: u64,
    first: Option<(u64, Waker)>,
    /// Most things have a single waiting task. This stays small, and allocates nothing, unless there are
    /// more.
    #[expect(clippy::box_collection, reason = "a pointer is a third of an empty map")]
    more: Option<Box<BTreeMap<u64, Waker>>>,
}

/// A waiting task's place. Keys are not reused, so leaving after a wake-up has no effect.
#[derive(Debug, Default)]
pub(crate) struct Place {
    key: Option<u64>,
    /// The waker of the task that waited here before, to be dropped when no lock is held.
    before: Option<Waker>,
}

impl Waiters {
    /// Adds the task at `place` unless it is there already. Another task at the same place is replaced.
    pub(crate) fn add(&mut self, place: &mut Place, cx: &Context<'_>) {
        if let Some(waker) = place.key.and_then(|key| self.waker(key)) {
            if !waker.will_wake(cx.waker()) {
                place.before = Some(std::mem::replace(waker, cx.waker().clone()));
            }
            return;
        }
        let key = self.next;
        self.next += 1;
        place.key = Some(key);
        let waker = cx.waker().clone();
        if self.is_empty() {
            self.first = Some((key, waker));
        } else {
            self.more.get_or_insert_default().insert(key, waker);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.more.as_ref().is_none_or(|more| more.is_empty())
    }

    fn waker(&mut self, key: u64) -> Option<&mut Waker> {
        match &mut self.first {
            Some((at, waker)) if *at == key => Some(waker),
            _ => self.more.as_mut()?.get_mut(&key),
        }
    }

    /// Removes the task at `place`. The caller must drop the waker when no lock is held, because it may be
    /// the last reference to its task.
    #[must_use = "dropped under a lock, a waker may end a task there"]
    pub(crate) fn leave(&mut self, place: &mut Place) -> Option<Waker> {
        let key = place.key.take()?;
        match self.first.take_if(|(at, _)| *at == key) {
            Some((_, waker)) => Some(waker),
            None => self.more.as_mut()?.remove(&key),
        }
    }

    /// Takes all waiters, to be woken when no lock is held.
    pub(crate) fn take(&mut self) -> Self {
        if self.is_empty() {
            return Self::default();
        }
        let next = self.next;
        let all = std::mem::take(self);
        self.next = next;
        all
    }

    /// Wakes all of them. A waker may panic in the application's executor; the panic continues when all
    /// others are awake.
    pub(crate) fn wake(self) {
        let Some(more) = self.more else {
            // The usual case, in which no panic needs to be held back.
            return self.first.into_iter().for_each(|(_, waker)| waker.wake());
        };
        let wakers = self.first.into_iter().map(|(_, waker)| waker).chain(more.into_values());
        let woken = wakers.map(|waker| catch_unwind(AssertUnwindSafe(|| waker.wake())));
        if let Some(panic) = woken.filter_map(Result::err).fold(None, |first, panic| first.or(Some(panic))) {
            resume_unwind(panic);
        }
    }
}

/// Wakes several sets of waiters. A panic continues when all are awake.
pub(crate) fn wake_all<const N: usize>(all: [Waiters; N]) {
    let woken = all.map(|waiters| catch_unwind(AssertUnwindSafe(|| waiters.wake())));
    if let Some(panic) = woken.into_iter().find_map(Result::err) {
        resume_unwind(panic);
    }
}

/// An object with queues of waiting tasks.
pub(crate) trait Waited {
    /// Selects one of its queues.
    type Queue: Copy + fmt::Debug;
    /// Removes the task at `place` from `queue`.
    fn leave(&self, queue: Self::Queue, place: &mut Place);
}

/// A waiting task at `of`. Dropping it leaves the queue.
pub(crate) struct Waiter<P: Deref<Target: Waited>> {
    of: P,
    queue: <P::Target as Waited>::Queue,
    place: Place,
}

impl<P: Deref<Target: Waited>> Waiter<P> {
    pub(crate) fn new(of: P, queue: <P::Target as Waited>::Queue) -> Self {
        Self { of, queue, place: Place::default() }
    }

    pub(crate) fn of(&self) -> &P {
        &self.of
    }

    /// Polls once. `poll` adds the place if it has to wait.
    pub(crate) fn poll<T>(&mut self, poll: impl FnOnce(&P::Target, &mut Place) -> Poll<T>) -> Poll<T> {
        let polled = poll(&self.of, &mut self.place);
        self.place.before = None;
        if polled.is_ready() {
            self.leave();
        }
        polled
    }

    /// Leaves the queue, because nobody polls this for now.
    pub(crate) fn leave(&mut self) {
        if self.place.key.is_some() {
            self.of.leave(self.queue, &mut self.place);
        }
    }
}

impl<P: Deref<Target: Waited>> fmt::Debug for Waiter<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("queue", &self.queue)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl<P: Deref<Target: Waited>> Drop for Waiter<P> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Waits at `of` until `poll` is ready. Cancel safe if `poll` is, because dropping it leaves the queue.
pub(crate) async fn wait<B: Waited, T>(
    of: &B,
    queue: B::Queue,
    mut poll: impl FnMut(&B, &Context<'_>, &mut Place) -> Poll<T>,
) -> T {
    let mut waiter = Waiter::new(of, queue);
    std::future::poll_fn(|cx| waiter.poll(|of, place| poll(of, cx, place))).await
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use super::*;

    /// A task of an executor that panics when it is woken, if `panics` is set.
    struct Task {
        woken: AtomicUsize,
        panics: bool,
    }

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.woken.fetch_add(1, Ordering::Relaxed);
            assert!(!self.panics, "woken");
        }
    }

    fn tasks<const N: usize>(panics: [bool; N]) -> [Arc<Task>; N] {
        panics.map(|panics| Arc::new(Task { woken: AtomicUsize::new(0), panics }))
    }

    fn add(waiters: &mut Waiters, place: &mut Place, task: &Arc<Task>) {
        waiters.add(place, &Context::from_waker(&Waker::from(Arc::clone(task))));
    }

    #[test]
    fn a_waker_that_panics_keeps_none_of_the_others_asleep() {
        let tasks = tasks([true, false, true, false]);
        let mut waiters = Waiters::default();
        for task in &tasks[..3] {
            add(&mut waiters, &mut Place::default(), task);
        }
        let mut others = Waiters::default();
        add(&mut others, &mut Place::default(), &tasks[3]);
        let panic = catch_unwind(AssertUnwindSafe(|| wake_all([waiters, others])));
        assert_eq!(panic.expect_err("the panic goes on").downcast_ref::<&str>(), Some(&"woken"));
        assert_eq!(tasks.map(|task| task.woken.load(Ordering::Relaxed)), [1; 4]);
    }

    #[test]
    fn a_task_that_leaves_is_not_woken_and_leaves_nothing() {
        let tasks = tasks([false; 4]);
        let mut waiters = Waiters::default();
        let mut places: [Place; 4] = Default::default();
        for (task, place) in tasks.iter().zip(&mut places) {
            add(&mut waiters, place, task);
            add(&mut waiters, place, task);
        }
        assert!(waiters.leave(&mut places[0]).is_some());
        assert!(waiters.leave(&mut places[2]).is_some());
        assert!(waiters.leave(&mut places[2]).is_none());
        assert_eq!(Arc::strong_count(&tasks[0]), 1);
        waiters.take().wake();
        assert_eq!(tasks.each_ref().map(|task| task.woken.load(Ordering::Relaxed)), [0, 1, 0, 1]);
        // An earlier place does not belong to anybody any more, even after others arrived.
        add(&mut waiters, &mut Place::default(), &tasks[0]);
        assert!(waiters.leave(&mut places[1]).is_none());
        add(&mut waiters, &mut places[3], &tasks[3]);
        waiters.take().wake();
        assert_eq!(tasks.map(|task| task.woken.load(Ordering::Relaxed)), [1, 1, 0, 2]);
    }

    #[test]
    fn another_task_in_the_same_place_is_the_one_that_is_woken() {
        let tasks = tasks([false; 2]);
        let (mut waiters, mut place) = (Waiters::default(), Place::default());
        add(&mut waiters, &mut place, &tasks[0]);
        add(&mut waiters, &mut place, &tasks[1]);
        waiters.take().wake();
        assert_eq!(tasks.map(|task| task.woken.load(Ordering::Relaxed)), [0, 1]);
    }
}
