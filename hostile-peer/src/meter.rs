//! The heap of one end among those of one thread: what it allocates while it is called, and nobody else.

use std::cell::Cell;

use heap_meter::Measure;

/// Live bytes of an end, and the most since it was asked last.
///
/// Exact as long as all calls of the end go through [`count`](Self::count), those that free what it made included. Calls do
/// not nest.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    held: Cell<isize>,
    peak: Cell<isize>,
}

impl Meter {
    /// Calls the end.
    pub(crate) fn count<R>(&self, act: impl FnOnce() -> R) -> R {
        let measure = Measure::start();
        let result = act();
        self.peak.set(self.peak.get().max(self.held.get() + measure.peak_growth()));
        self.held.set(self.held.get() + measure.growth());
        measure.finish();
        result
    }

    /// Live bytes of the end.
    pub(crate) fn held(&self) -> isize {
        self.held.get()
    }

    /// The most that the end held at once since this was asked last, in bytes.
    pub(crate) fn take_peak(&self) -> isize {
        self.peak.replace(self.held.get())
    }
}
