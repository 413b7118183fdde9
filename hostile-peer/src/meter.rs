//! Counts the heap of one end in a thread: only what it allocates while it is called.

use std::cell::Cell;

use heap_meter::Measure;

/// The bytes that an end has allocated, and the peak since the last query.
///
/// The numbers are exact if all calls of the end go through [`count`](Self::count), including those that free
/// its allocations. Calls do not nest.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    held: Cell<isize>,
    peak: Cell<isize>,
}

impl Meter {
    /// Calls the end, and counts.
    pub(crate) fn count<R>(&self, act: impl FnOnce() -> R) -> R {
        let measure = Measure::start();
        let result = act();
        self.peak.set(self.peak.get().max(self.held.get() + measure.peak_growth()));
        self.held.set(self.held.get() + measure.growth());
        measure.finish();
        result
    }

    /// How many bytes the end has allocated.
    pub(crate) fn held(&self) -> isize {
        self.held.get()
    }

    /// The peak since the last call, in bytes.
    pub(crate) fn take_peak(&self) -> isize {
        self.peak.replace(self.held.get())
    }
}
