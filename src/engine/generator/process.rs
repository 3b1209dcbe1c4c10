//! What this process has and has used: CPU, memory, descriptors, threads.
//!
//! Read from the kernel when asked, nothing is kept; what the system does not tell is `None`.

use std::time::Duration;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike;

use crate::net::UdpCounters;

/// What counts up in this process whether or not a test runs.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct ProcessClock {
    /// User and system CPU time of all threads.
    pub(in crate::engine) cpu_seconds: f64,
    /// UDP datagrams that the kernel dropped because a receive buffer was full; of the whole network namespace.
    pub(in crate::engine) receive_buffer_errors: Option<u64>,
}

impl ProcessClock {
    /// Reads it now.
    pub(in crate::engine) fn now() -> Self {
        let cpu = getrusage(UsageWho::RUSAGE_SELF)
            .map(|usage| (usage.user_time() + usage.system_time()).num_microseconds())
            .unwrap_or_default();
        Self {
            cpu_seconds: Duration::from_micros(u64::try_from(cpu).unwrap_or_default()).as_secs_f64(),
            receive_buffer_errors: UdpCounters::read().ok().map(|counters| counters.rcvbuf_errors),
        }
    }
}

/// What this process has now.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct ProcessSize {
    pub(in crate::engine) rss_mib: Option<f64>,
    pub(in crate::engine) threads: Option<u64>,
    pub(in crate::engine) fds: Option<u64>,
    pub(in crate::engine) fd_limit: Option<u64>,
}

impl ProcessSize {
    /// Reads it now.
    pub(in crate::engine) fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            rss_mib: field(&status, "VmRSS:").map(|kib| (kib as f64) / 1024.0),
            threads: field(&status, "Threads:"),
            fds: open_descriptors(),
            fd_limit: descriptor_limit(),
        }
    }
}

/// Open descriptors of this process.
pub(super) fn open_descriptors() -> Option<u64> {
    // Linux 6.2 and later say it without a list, which takes long on a process with many.
    let told = std::fs::metadata("/proc/self/fd").ok().map(|metadata| metadata.len()).filter(|count| *count > 0);
    // The directory that is being read has a descriptor of its own.
    told.or_else(|| std::fs::read_dir("/proc/self/fd").ok().map(|list| (list.count() as u64).saturating_sub(1)))
}

/// Limit of open descriptors of this process.
pub(super) fn descriptor_limit() -> Option<u64> {
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}

fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_a_size_and_a_clock() {
        let size = ProcessSize::now();
        assert!(size.rss_mib.is_some_and(|mib| mib > 0.1), "{size:?}");
        assert!(size.threads.is_some_and(|threads| threads >= 1), "{size:?}");
        assert!(size.fds <= size.fd_limit, "{size:?}");
        assert!(ProcessClock::now().cpu_seconds > 0.0);
    }
}
