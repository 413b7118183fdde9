//! What only some systems have, in one place: signals, groups of processes, who may read a file, on which processor a thread
//! runs. Everything
//! else builds and means the same everywhere; here each function says what it does where its system has no such thing.

mod processes;
mod signals;

pub(crate) use processes::{code_of, in_group_of_its_own, kill};
pub(crate) use signals::{Hangup, Signals};

/// Files created with these options are readable and writable for their owner alone. Elsewhere than on Unix the
/// permissions of the directory count.
pub(crate) fn owner_alone(options: &mut std::fs::OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

/// Keeps the calling thread, and those that it starts, on one processor. Where that is not possible a measurement is
/// only noisier.
pub(crate) fn pin(processor: usize) {
    #[cfg(target_os = "linux")]
    {
        let mut set = rustix::thread::CpuSet::new();
        set.set(processor);
        if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
            tracing::warn!(processor, %error, "not pinned to a processor");
        }
    }
    #[cfg(not(target_os = "linux"))]
    tracing::warn!(processor, "not pinned to a processor: only known how on Linux");
}
