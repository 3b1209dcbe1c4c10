//! How late audio packets left, against their schedule: the generator's own health.
//!
//! One histogram for the process, in fixed buckets of a quarter octave (an error of at most 19 %), so that recording is
//! one atomic addition. Reading while packets are recorded gives a value between before and after.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;

/// Quantiles of the schedule lag since the last reset, µs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LagSnapshot {
    /// Packets recorded.
    pub packets: u64,
    /// Half of the packets were no later, µs.
    pub p50_us: u64,
    /// 99 % of the packets were no later, µs.
    pub p99_us: u64,
    /// The latest packet, µs.
    pub max_us: u64,
}

static SCHEDULE: Lag = Lag::new();

/// Lag of all audio packets since the process started or [`reset_schedule_lag`] was called.
pub fn schedule_lag() -> LagSnapshot {
    SCHEDULE.snapshot()
}

/// Forgets all lag recorded so far, as at the start of a test.
pub fn reset_schedule_lag() {
    SCHEDULE.reset();
}

/// Records that `packets` left `lag` after their time.
pub(crate) fn record_schedule_lag(lag: Duration, packets: u64) {
    let us = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
    SCHEDULE.record(us, packets);
    if us > LATELY_US.load(Relaxed) {
        LATELY_US.fetch_max(us, Relaxed);
    }
}

/// The latest packet since it was last taken, µs.
static LATELY_US: AtomicU64 = AtomicU64::new(0);

/// How late the latest packet was since this was last taken.
pub(crate) fn longest_schedule_lag() -> Duration {
    Duration::from_micros(LATELY_US.load(Relaxed))
}

/// Takes how late the latest packet was; the next one counts from zero.
pub(crate) fn take_longest_schedule_lag() -> Duration {
    Duration::from_micros(LATELY_US.swap(0, Relaxed))
}

/// Buckets per octave.
const STEPS: u32 = 4;
/// Up to 2^32 µs, over an hour.
const BUCKETS: usize = (33 * STEPS) as usize;

struct Lag {
    buckets: [AtomicU64; BUCKETS],
    max_us: AtomicU64,
}

impl Lag {
    const fn new() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], max_us: AtomicU64::new(0) }
    }

    fn record(&self, us: u64, count: u64) {
        self.buckets[bucket(us)].fetch_add(count, Relaxed);
        self.max_us.fetch_max(us, Relaxed);
    }

    fn reset(&self) {
        for bucket in &self.buckets {
            bucket.store(0, Relaxed);
        }
        self.max_us.store(0, Relaxed);
    }

    fn snapshot(&self) -> LagSnapshot {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let packets: u64 = counts.iter().sum();
        let max_us = self.max_us.load(Relaxed);
        let quantile = |percent: u64| {
            let rank = (packets * percent).div_ceil(100).max(1);
            let mut seen = 0;
            let index = counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            index.map_or(0, |index| upper_bound(index).min(max_us))
        };
        LagSnapshot { packets, p50_us: quantile(50), p99_us: quantile(99), max_us }
    }
}

/// Buckets 0..4 hold 0..4 µs exactly; each later octave has four.
fn bucket(us: u64) -> usize {
    let us = us.min(u64::from(u32::MAX));
    if us < u64::from(STEPS) {
        return us as usize;
    }
    let octave = us.ilog2();
    let step = (us >> (octave - 2)) as u32 - STEPS;
    ((octave - 1) * STEPS + step) as usize
}

/// The largest value that falls into bucket `index`.
fn upper_bound(index: usize) -> u64 {
    let steps = STEPS as usize;
    if index < steps {
        return index as u64;
    }
    let (octave, step) = (index / steps + 1, index % steps);
    ((steps + step + 1) as u64) << (octave - 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_a_bucket_that_bounds_it_closely() {
        for us in (0..5000).chain([123_456, 9_999_999, u64::from(u32::MAX)]) {
            let bound = upper_bound(bucket(us));
            assert!(bound >= us && bound as f64 <= us as f64 * 1.26 + 1.0, "{us} -> {bound}");
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_count_packets_not_recordings() {
        let lag = Lag::new();
        lag.record(100, 98);
        lag.record(2_000, 1);
        lag.record(50_000, 1);
        let snapshot = lag.snapshot();
        assert_eq!((snapshot.packets, snapshot.max_us), (100, 50_000));
        assert!((100..=126).contains(&snapshot.p50_us) && (2_000..=2_520).contains(&snapshot.p99_us), "{snapshot:?}");
    }

    #[test]
    fn a_reset_forgets_everything() {
        let lag = Lag::new();
        lag.record(7, 1);
        lag.reset();
        assert_eq!(lag.snapshot(), LagSnapshot::default());
    }
}
