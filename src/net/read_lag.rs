//! How late datagrams are read, over all sockets of the process: the generator's own health.
//!
//! One number, the longest wait since it was last taken; noting one is a load and, rarely, an atomic maximum.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

static LONGEST_US: AtomicU64 = AtomicU64::new(0);

/// A datagram lay in the kernel for `queued` before it was read.
pub(super) fn note(queued: Duration) {
    let us = u64::try_from(queued.as_micros()).unwrap_or(u64::MAX);
    if us > LONGEST_US.load(Relaxed) {
        LONGEST_US.fetch_max(us, Relaxed);
    }
}

/// The longest wait since it was last taken.
pub(crate) fn longest_read_lag() -> Duration {
    Duration::from_micros(LONGEST_US.load(Relaxed))
}

/// Takes the longest wait; the next one counts from zero.
pub(crate) fn take_longest_read_lag() -> Duration {
    Duration::from_micros(LONGEST_US.swap(0, Relaxed))
}
