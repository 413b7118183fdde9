//! The runtime of the thread's current task, if that is not tokio.

use std::cell::RefCell;

use super::seam::RuntimeHandle;

thread_local! {
    static ENTERED: RefCell<Option<RuntimeHandle>> = const { RefCell::new(None) };
}

/// Restores the previous runtime, also after a panic.
struct Restore(Option<RuntimeHandle>);

impl Drop for Restore {
    fn drop(&mut self) {
        let inner = ENTERED.replace(self.0.take());
        drop(inner);
    }
}

/// Runs `work` with `runtime` as the one that constructors use.
pub(crate) fn enter<T>(runtime: &RuntimeHandle, work: impl FnOnce() -> T) -> T {
    let _restore = Restore(ENTERED.replace(Some(RuntimeHandle::clone(runtime))));
    work()
}

/// The entered runtime, if there is one.
pub(super) fn current() -> Option<RuntimeHandle> {
    ENTERED.with_borrow(Clone::clone)
}
