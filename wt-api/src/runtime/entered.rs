//! The runtime that the thread's current task runs on, where that is not tokio.

use std::cell::RefCell;

use super::seam::RuntimeHandle;

thread_local! {
    static ENTERED: RefCell<Option<RuntimeHandle>> = const { RefCell::new(None) };
}

/// Puts back what was there before, also when the work panics.
struct Restore(Option<RuntimeHandle>);

impl Drop for Restore {
    fn drop(&mut self) {
        let inner = ENTERED.replace(self.0.take());
        drop(inner);
    }
}

/// Does `work` with `runtime` as the one that constructors find.
pub(crate) fn enter<T>(runtime: &RuntimeHandle, work: impl FnOnce() -> T) -> T {
    let _restore = Restore(ENTERED.replace(Some(RuntimeHandle::clone(runtime))));
    work()
}

/// The runtime entered, if one is.
pub(super) fn current() -> Option<RuntimeHandle> {
    ENTERED.with_borrow(Clone::clone)
}
