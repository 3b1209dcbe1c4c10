//! How the load generator itself feels, second by second: what a sample's times are worth.
//!
//! A probe sleeps 20 ms at a time on the runtime and sees how late it wakes; once a second the counters of process, kernel and
//! container are read (0.3 ms). Both run only while something is open or being opened, so that an idle JVM stays idle. Of each second a
//! [`Second`] is kept, for a quarter of an hour: a sample asks afterwards how its own time was. What the system
//! does not tell is left out. The probe's task ends by itself; dropping it loses the current second only.

mod freed;
mod machine;
mod process;
mod second;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

pub(super) use machine::{worker_started, worker_stopped};
pub(super) use process::{ProcessClock, ProcessSize};

use crate::diagnosis::facts::GeneratorFacts;
use freed::Freed;
use machine::{Counters, Machine, Sizes};
use second::{Second, judge};

/// How often the probe wakes.
const PROBE: Duration = Duration::from_millis(20);
/// How many wakes make a second.
const WAKES: u32 = 50;
/// Longest lag told apart, µs.
const LONGEST_LAG_US: u64 = 60_000_000;
/// Seconds kept.
const KEPT: usize = 900;
/// A probe later than this found the runtime busy or without a CPU.
const STALL: Duration = Duration::from_millis(20);
/// A probe that is due for longer than this has not just not been scheduled yet.
const OVERDUE: Duration = Duration::from_millis(50);

/// The watch over one engine's process.
pub(super) struct Watch {
    running: AtomicBool,
    /// Callers that open something now.
    busy: AtomicUsize,
    /// Openings begun.
    begun: AtomicU64,
    freed: Mutex<Freed>,
    /// Lag of the runtime since the test began.
    histogram: Mutex<Histogram<u32>>,
    history: Mutex<History>,
    /// Sum of the JVM's garbage collections since its start, ms, as it was told last.
    garbage_collection_ms: AtomicU64,
}

struct History {
    machine: Machine,
    seconds: VecDeque<Second>,
    /// Where the running second began.
    began: Instant,
    counters: Counters,
    /// As they were when the second before ended.
    sizes: Sizes,
    garbage_collection_ms: u64,
    /// Longest lag of the running second, µs.
    lag_us: u64,
    /// Its lags that are worth the name, all together, µs.
    stalled_us: u64,
    /// When the probe is to wake; `None` while it does not run.
    due: Option<Instant>,
    /// Seconds since the test began in which times were what they should be, and in which they were not.
    calm_seconds: u64,
    starved_seconds: u64,
}

impl Default for Watch {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_LAG_US, 2).expect("the bounds are in order");
        Self {
            running: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            freed: Mutex::default(),
            histogram: Mutex::new(histogram),
            history: Mutex::new(History {
                machine: Machine::find(),
                seconds: VecDeque::new(),
                began: Instant::now(),
                counters: Counters::default(),
                sizes: Sizes::default(),
                garbage_collection_ms: 0,
                lag_us: 0,
                stalled_us: 0,
                due: None,
                calm_seconds: 0,
                starved_seconds: 0,
            }),
            garbage_collection_ms: AtomicU64::new(0),
        }
    }
}

/// Keeps the probe running while something is being opened.
pub(super) struct Busy<'a>(&'a Watch);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Watch {
    /// Whether the caller is the one to start the probe.
    pub(super) fn claim(&self) -> bool {
        !self.running.swap(true, Ordering::AcqRel)
    }

    /// The probe has ended.
    pub(super) fn release(&self) {
        self.history.lock().due = None;
        self.running.store(false, Ordering::Release);
    }

    /// Something is being opened until the guard is dropped.
    pub(super) fn busy(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Ordering::AcqRel);
        self.begun.fetch_add(1, Ordering::AcqRel);
        Busy(self)
    }

    /// Whether something is being opened.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire) > 0
    }

    /// Whether the memory that openings have freed is to be returned now; asked once a second.
    pub(super) fn should_return_memory(&self) -> bool {
        self.freed.lock().second_passed(self.begun.load(Ordering::Acquire), self.is_busy())
    }

    /// Forgets the quantiles; the seconds stay, since samples that began before may still ask for them.
    pub(super) fn reset(&self) {
        self.histogram.lock().reset();
        let mut history = self.history.lock();
        (history.calm_seconds, history.starved_seconds) = (0, 0);
    }

    /// Seconds watched since the test began, and how many of them were starved.
    pub(super) fn seconds(&self) -> (u64, u64) {
        let history = self.history.lock();
        (history.calm_seconds + history.starved_seconds, history.starved_seconds)
    }

    /// Lag of the runtime, 99th percentile in ms; `None` before the first wake.
    pub(super) fn lag_p99_ms(&self) -> Option<f64> {
        let histogram = self.histogram.lock();
        (!histogram.is_empty()).then(|| Duration::from_micros(histogram.value_at_quantile(0.99)).as_secs_f64() * 1e3)
    }

    /// The JVM's collectors have paused it for `total_ms` since its start.
    pub(super) fn garbage_collected(&self, total_ms: u64) {
        self.garbage_collection_ms.store(total_ms, Ordering::Release);
    }

    /// Sleeps and records for about a second, then reads the counters.
    pub(super) async fn measure(&self) {
        self.begin_second();
        for _ in 0..WAKES {
            let due = Instant::now() + PROBE;
            self.history.lock().due = Some(due);
            tokio::time::sleep_until(due.into()).await;
            let late = Instant::now().saturating_duration_since(due).as_micros();
            let late = u64::try_from(late).unwrap_or(LONGEST_LAG_US).max(1);
            self.histogram.lock().saturating_record(late);
            let mut history = self.history.lock();
            history.lag_us = history.lag_us.max(late);
            if late >= micros(STALL) {
                history.stalled_us = history.stalled_us.saturating_add(late);
            }
        }
        self.end_second();
    }

    /// A second that does not follow another one counts from here.
    fn begin_second(&self) {
        let mut history = self.history.lock();
        if history.due.is_none() {
            history.began = Instant::now();
            history.counters = history.machine.counters();
            history.sizes = history.machine.sizes();
            history.garbage_collection_ms = self.garbage_collection_ms.load(Ordering::Acquire);
            (history.lag_us, history.stalled_us) = (0, 0);
            crate::net::take_longest_read_lag();
            crate::media::take_longest_schedule_lag();
        }
    }

    fn end_second(&self) {
        let mut history = self.history.lock();
        let now = Instant::now();
        let counters = history.machine.counters();
        let garbage_collection_ms = self.garbage_collection_ms.load(Ordering::Acquire);
        let second = Second {
            began: history.began,
            ended: now,
            lag_us: history.lag_us,
            stalled_us: history.stalled_us,
            read_lag_us: micros(crate::net::take_longest_read_lag()),
            schedule_lag_us: micros(crate::media::take_longest_schedule_lag()),
            garbage_collection_ms: garbage_collection_ms.saturating_sub(history.garbage_collection_ms),
            counted: counters.since(&history.counters),
        };
        history.sizes = history.machine.sizes();
        if judge(std::slice::from_ref(&second), now - second.began, &history.sizes).starved.is_empty() {
            history.calm_seconds += 1;
        } else {
            history.starved_seconds += 1;
        }
        if history.seconds.len() >= KEPT {
            history.seconds.pop_front();
        }
        history.seconds.push_back(second);
        history.began = now;
        history.counters = counters;
        history.garbage_collection_ms = garbage_collection_ms;
        (history.lag_us, history.stalled_us) = (0, 0);
    }

    /// How the generator was between two instants, the running second included; how much it has of everything as of the last
    /// second.
    pub(super) fn between(&self, from: Instant, to: Instant) -> GeneratorFacts {
        let history = self.history.lock();
        let sizes = if history.due.is_some() { history.sizes } else { history.machine.sizes() };
        self.judged(&history, from, to, &sizes, Counters::default())
    }

    /// As [`Self::between`], with what was counted up to now and how much there is of everything right now: for a failure, whose
    /// reason it may be. A quota may have held the engine back since before the running second could end.
    pub(super) fn until_now(&self, from: Instant) -> GeneratorFacts {
        let history = self.history.lock();
        let sizes = history.machine.sizes();
        let counted = history.machine.counters().since(&history.counters);
        self.judged(&history, from, Instant::now(), &sizes, counted)
    }

    /// `counted`: what was counted in the running second.
    fn judged(
        &self,
        history: &History,
        from: Instant,
        to: Instant,
        sizes: &Sizes,
        counted: Counters,
    ) -> GeneratorFacts {
        let mut seconds: Vec<Second> =
            history.seconds.iter().filter(|second| second.ended >= from && second.began <= to).copied().collect();
        if history.due.is_some() && history.began <= to {
            let running = history.running(self.garbage_collection_ms.load(Ordering::Acquire));
            seconds.push(Second { counted, ..running });
        }
        judge(&seconds, to.saturating_duration_since(from), sizes)
    }
}

impl History {
    /// The second that has not ended yet. A probe that is overdue is late already, though it has not woken to say so.
    fn running(&self, garbage_collection_ms: u64) -> Second {
        let now = Instant::now();
        let overdue = self.due.map_or(Duration::ZERO, |due| now.saturating_duration_since(due));
        let overdue = if overdue >= OVERDUE { micros(overdue) } else { 0 };
        Second {
            began: self.began,
            ended: now,
            lag_us: self.lag_us.max(overdue),
            stalled_us: self.stalled_us.saturating_add(overdue),
            read_lag_us: micros(crate::net::longest_read_lag()),
            schedule_lag_us: micros(crate::media::longest_schedule_lag()),
            garbage_collection_ms: garbage_collection_ms.saturating_sub(self.garbage_collection_ms),
            counted: Counters::default(),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn the_probe_measures_how_late_a_sleeper_wakes() {
        let watch = Watch::default();
        assert_eq!(watch.lag_p99_ms(), None);
        tokio::time::timeout(SOON, watch.measure()).await.expect("it ends by itself");
        assert!(watch.lag_p99_ms().is_some_and(|ms| ms > 0.0));
        watch.reset();
        assert_eq!(watch.lag_p99_ms(), None);
        assert_eq!(watch.history.lock().seconds.len(), 1);
    }

    #[tokio::test]
    async fn a_blocked_runtime_shows_in_the_seconds_it_was_blocked_and_not_before() {
        let watch = Watch::default();
        let begun = Instant::now();
        let measuring = async {
            let blocking = async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let blocked = Instant::now();
                std::thread::sleep(Duration::from_millis(400));
                blocked
            };
            tokio::join!(watch.measure(), blocking).1
        };
        let blocked = tokio::time::timeout(SOON, measuring).await.expect("it ends by itself");
        let facts = watch.between(blocked, Instant::now());
        assert!(facts.starved.iter().any(|reason| reason.contains("timer")), "{facts:?}");
        let before = watch.between(begun - Duration::from_secs(9), begun - Duration::from_secs(8));
        assert_eq!(before.starved, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_probe_that_is_overdue_counts_before_it_wakes() {
        let watch = Watch::default();
        let mut measuring = std::pin::pin!(watch.measure());
        assert!(futures_util::poll!(&mut measuring).is_pending());
        let begun = Instant::now();
        std::thread::sleep(Duration::from_millis(300));
        let facts = watch.between(begun, Instant::now());
        assert!(!facts.starved.is_empty(), "{facts:?}");
    }

    #[tokio::test]
    async fn long_collections_of_garbage_are_a_reason_in_their_second() {
        let watch = Watch::default();
        watch.garbage_collected(5_000);
        let measuring = async {
            let collecting = async {
                tokio::time::sleep(Duration::from_millis(40)).await;
                watch.garbage_collected(5_900);
            };
            tokio::join!(watch.measure(), collecting);
        };
        let begun = Instant::now();
        tokio::time::timeout(SOON, measuring).await.expect("it ends by itself");
        let facts = watch.between(begun, Instant::now());
        assert!(facts.starved.iter().any(|reason| reason.contains("900 ms")), "{facts:?}");
    }

    #[test]
    fn whoever_opens_something_keeps_the_watch_busy() {
        let watch = Watch::default();
        let one = watch.busy();
        let two = watch.busy();
        drop(one);
        assert!(watch.is_busy());
        drop(two);
        assert!(!watch.is_busy());
        assert!(watch.claim() && !watch.claim());
        watch.release();
        assert!(watch.claim());
    }
}
