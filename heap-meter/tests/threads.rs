//! The counts in a program of their own.

use heap_meter::{HeapMeter, Measure};

#[global_allocator]
static HEAP: HeapMeter = HeapMeter;

#[test]
fn reallocation_counts_the_difference() {
    let measure = Measure::start();
    let mut data = Vec::<u8>::with_capacity(100);
    data.reserve_exact(1000);
    assert_eq!((measure.growth(), measure.allocations()), (1000, 2));
    drop(data);
    assert_eq!((measure.growth(), measure.peak_growth()), (0, 1000));
}

#[test]
fn other_threads_are_not_counted() {
    let kept = std::thread::spawn(|| vec![1_u8; 1 << 20]).join().expect("the thread ends");
    let measure = Measure::start();
    let other = std::thread::spawn(|| vec![1_u8; 1 << 20]);
    let kept_too = other.join().expect("the thread ends");
    assert!(measure.growth() < 4096, "{}", measure.growth());
    drop((kept, kept_too));
    assert!(measure.growth() < -(1 << 20), "this thread freed what others had allocated");
}
