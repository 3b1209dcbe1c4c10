//! How the load generator itself feels: CPU, memory, descriptors, kernel drops, and how late its own threads wake.
//!
//! The numbers come from the process and the kernel, never from a guess; what the system does not tell is null. The lag
//! probe runs only while something is open, so that an idle JVM stays idle.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike;
use parking_lot::Mutex;

use crate::net::UdpCounters;

/// How often the probe wakes.
const PROBE: Duration = Duration::from_millis(20);
/// How many wakes pass between looks at whether anything is open.
const LOOK_EVERY: u32 = 50;
/// Longest lag told apart, µs.
const LONGEST_LAG_US: u64 = 60_000_000;

/// How late the runtime wakes a sleeper.
pub(super) struct LoopLag {
    running: AtomicBool,
    histogram: Mutex<Histogram<u32>>,
}

impl Default for LoopLag {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_LAG_US, 2).expect("the bounds are in order");
        Self { running: AtomicBool::new(false), histogram: Mutex::new(histogram) }
    }
}

impl LoopLag {
    /// Whether the caller is the one to start the probe.
    pub(super) fn claim(&self) -> bool {
        !self.running.swap(true, Ordering::AcqRel)
    }

    /// The probe has ended.
    pub(super) fn release(&self) {
        self.running.store(false, Ordering::Release);
    }

    /// Forgets what was measured.
    pub(super) fn reset(&self) {
        self.histogram.lock().reset();
    }

    /// 99th percentile in ms; `None` before the first wake.
    pub(super) fn p99_ms(&self) -> Option<f64> {
        let histogram = self.histogram.lock();
        (!histogram.is_empty()).then(|| micros_to_ms(histogram.value_at_quantile(0.99)))
    }

    /// Sleeps and records for about a second.
    pub(super) async fn measure(&self) {
        for _ in 0..LOOK_EVERY {
            let due = Instant::now() + PROBE;
            tokio::time::sleep_until(due.into()).await;
            let late = Instant::now().saturating_duration_since(due).as_micros();
            self.histogram.lock().saturating_record(u64::try_from(late).unwrap_or(LONGEST_LAG_US).max(1));
        }
    }
}

fn micros_to_ms(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1e3
}

/// What counts up in this process whether or not a test runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProcessClock {
    /// User and system CPU time of all threads.
    pub(super) cpu_seconds: f64,
    /// UDP datagrams that the kernel dropped because a receive buffer was full; of the whole network namespace.
    pub(super) receive_buffer_errors: Option<u64>,
}

impl ProcessClock {
    /// Reads it now.
    pub(super) fn now() -> Self {
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
pub(super) struct ProcessSize {
    pub(super) rss_mib: Option<f64>,
    pub(super) threads: Option<u64>,
    pub(super) fds: Option<u64>,
    pub(super) fd_limit: Option<u64>,
}

impl ProcessSize {
    /// Reads it now.
    pub(super) fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        // The directory that is being read has a descriptor of its own.
        let fds = std::fs::read_dir("/proc/self/fd").ok().map(|list| (list.count() as u64).saturating_sub(1));
        Self {
            rss_mib: field(&status, "VmRSS:").map(|kib| (kib as f64) / 1024.0),
            threads: field(&status, "Threads:"),
            fds,
            fd_limit: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft),
        }
    }
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

    #[tokio::test]
    async fn the_probe_measures_how_late_a_sleeper_wakes() {
        let lag = LoopLag::default();
        assert_eq!(lag.p99_ms(), None);
        tokio::time::timeout(Duration::from_secs(20), lag.measure()).await.expect("it ends by itself");
        assert!(lag.p99_ms().is_some_and(|ms| ms > 0.0));
        lag.reset();
        assert_eq!(lag.p99_ms(), None);
    }
}
