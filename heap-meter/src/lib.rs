//! How much heap a piece of code holds: an allocator for test programs that counts live bytes.
//!
//! The count is kept per thread, so that tests running beside each other do not disturb one another. It is exact for
//! code that allocates and frees on one thread, which the sans-IO crates do; memory that one thread allocates and
//! another frees lowers the count of the latter.
//!
//! The only `unsafe` code of the workspace: implementing [`GlobalAlloc`] asks for it. No product crate depends on
//! this one.
//!
//! ```
//! use heap_meter::{HeapMeter, Measure};
//!
//! #[global_allocator]
//! static HEAP: HeapMeter = HeapMeter;
//!
//! let measure = Measure::start();
//! let kept = vec![0_u8; 1000];
//! drop(vec![0_u8; 5000]);
//! assert_eq!(measure.growth(), 1000);
//! assert_eq!(measure.peak_growth(), 6000);
//! drop(kept);
//! assert_eq!(measure.growth(), 0);
//! ```

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// Counters of one thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counters {
    /// Bytes allocated minus bytes freed; negative where a thread frees what others allocated.
    live: isize,
    peak: isize,
    allocations: u64,
}

thread_local! {
    // `const` and without a destructor: the allocator may be called at any moment of a thread's life.
    static COUNTERS: Cell<Counters> = const { Cell::new(Counters { live: 0, peak: 0, allocations: 0 }) };
}

fn count(change: isize) {
    // A thread that is being torn down is not measured any more.
    let _ = COUNTERS.try_with(|cell| {
        let mut counters = cell.get();
        counters.live = counters.live.wrapping_add(change);
        counters.peak = counters.peak.max(counters.live);
        counters.allocations += u64::from(change > 0);
        cell.set(counters);
    });
}

fn counters() -> Counters {
    COUNTERS.with(Cell::get)
}

/// The system's allocator, counted. Install it with `#[global_allocator]` in a test program.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeapMeter;

// SAFETY: every call is handed to the system's allocator unchanged; the counting neither allocates nor panics.
unsafe impl GlobalAlloc for HeapMeter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises about `layout` are passed on.
        let pointer = unsafe { System.alloc(layout) };
        if !pointer.is_null() {
            count(layout.size().cast_signed());
        }
        pointer
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let pointer = unsafe { System.alloc_zeroed(layout) };
        if !pointer.is_null() {
            count(layout.size().cast_signed());
        }
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from the system's allocator with this layout.
        unsafe { System.dealloc(pointer, layout) };
        count(layout.size().cast_signed().wrapping_neg());
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        let moved = unsafe { System.realloc(pointer, layout, size) };
        if !moved.is_null() {
            count(layout.size().cast_signed().wrapping_neg());
            count(size.cast_signed());
        }
        moved
    }
}

/// Live heap of the current thread against a moment in the past.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    start: Counters,
    /// The thread's peak before: that of the measurement around this one.
    around: isize,
}

impl Measure {
    /// Starts a measurement; the thread's peak starts over.
    #[must_use]
    pub fn start() -> Self {
        COUNTERS.with(|cell| {
            let before = cell.get();
            let start = Counters { peak: before.live, ..before };
            cell.set(start);
            Self { start, around: before.peak }
        })
    }

    /// Ends a measurement within another one: the other's peak is again what it was, or what this one has seen, if that is
    /// more.
    ///
    /// ```
    /// # use heap_meter::{HeapMeter, Measure};
    /// # #[global_allocator]
    /// # static HEAP: HeapMeter = HeapMeter;
    /// let outer = Measure::start();
    /// drop(vec![0_u8; 5000]);
    /// let inner = Measure::start();
    /// drop(vec![0_u8; 1000]);
    /// assert_eq!(inner.peak_growth(), 1000);
    /// inner.finish();
    /// assert_eq!(outer.peak_growth(), 5000);
    /// ```
    pub fn finish(self) {
        COUNTERS.with(|cell| {
            let counters = cell.get();
            cell.set(Counters { peak: counters.peak.max(self.around), ..counters });
        });
    }

    /// Bytes that are live now and were not at the start; negative if more were freed.
    #[must_use]
    pub fn growth(&self) -> isize {
        counters().live - self.start.live
    }

    /// The most that [`growth`](Self::growth) ever was since the latest start of any measurement on this thread.
    #[must_use]
    pub fn peak_growth(&self) -> isize {
        counters().peak - self.start.live
    }

    /// Calls of the allocator since the start, reallocations included.
    #[must_use]
    pub fn allocations(&self) -> u64 {
        counters().allocations - self.start.allocations
    }
}
