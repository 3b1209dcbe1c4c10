//! How long a softphone waits before it comes back.
//!
//! Pure: time and chance are arguments. The delays of one series of attempts grow by a factor up to a limit; a profile may
//! have failures remembered beyond a success ([`Reconnect::remember`]).
use std::time::{Duration, Instant};

use super::format::Reconnect;

/// A remembered failure is forgotten this long after the last one.
const FORGET: Duration = Duration::from_secs(3600);
/// A remembered delay halves after so many times its length.
const REDUCTION: u32 = 5;

/// The delays of one softphone.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    factor: f64,
    longest: Duration,
    remember: bool,
    /// The next delay of the running series.
    next: Duration,
    remembered: Option<Remembered>,
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    delay: Duration,
    reduce_at: Instant,
    forget_at: Instant,
}

impl Backoff {
    pub(crate) fn new(rules: &Reconnect) -> Self {
        let first = Duration::from_millis(rules.first_ms);
        Self {
            first,
            factor: rules.factor,
            longest: Duration::from_millis(rules.max_ms),
            remember: rules.remember,
            next: first,
            remembered: None,
        }
    }

    /// A series of attempts begins.
    pub(crate) fn begin(&mut self, now: Instant) {
        let remembered = self.reduced(now);
        self.next = remembered.max(self.first).min(self.longest);
    }

    /// The remembered delay now.
    fn reduced(&mut self, now: Instant) -> Duration {
        let Some(mut remembered) = self.remembered.filter(|remembered| now < remembered.forget_at) else {
            self.remembered = None;
            return Duration::ZERO;
        };
        while now >= remembered.reduce_at {
            remembered.delay /= 2;
            if remembered.delay < self.first || remembered.delay.is_zero() {
                self.remembered = None;
                return Duration::ZERO;
            }
            remembered.reduce_at += remembered.delay * REDUCTION;
        }
        self.remembered = Some(remembered);
        remembered.delay
    }

    /// The delay before the next attempt; `chance` is from 0 to 1.
    pub(crate) fn delay(&mut self, jitter: f64, chance: f64) -> Duration {
        let delay = self.next;
        self.next = delay.mul_f64(self.factor).min(self.longest);
        delay.mul_f64(1.0 - jitter.clamp(0.0, 1.0) * chance.clamp(0.0, 1.0))
    }

    /// An attempt failed, and no server said how long to wait.
    pub(crate) fn failed(&mut self, now: Instant) {
        if !self.remember {
            return;
        }
        let before = self.remembered.filter(|remembered| now < remembered.forget_at).map(|remembered| remembered.delay);
        let delay = before.unwrap_or_default().saturating_mul(2).max(self.first * 2).min(FORGET);
        self.remembered = Some(Remembered { delay, reduce_at: now + delay * REDUCTION, forget_at: now + FORGET });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vendor() -> Backoff {
        let rules = serde_json::json!({"firstMs": 2000, "maxMs": 90000, "remember": true});
        Backoff::new(&serde_json::from_value(rules).expect("usable"))
    }

    fn series(backoff: &mut Backoff, count: usize) -> Vec<u128> {
        (0..count).map(|_| backoff.delay(0.0, 0.5).as_millis()).collect()
    }

    #[test]
    fn delays_double_up_to_the_limit_without_jitter() {
        let mut backoff = vendor();
        backoff.begin(Instant::now());
        assert_eq!(series(&mut backoff, 8), [2000, 4000, 8000, 16000, 32000, 64000, 90000, 90000]);
    }

    #[test]
    fn failures_are_remembered_halve_with_time_and_are_forgotten_after_an_hour() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut backoff = vendor();
        backoff.begin(begun);
        for _ in 0..3 {
            backoff.failed(begun);
        }
        backoff.begin(at(10));
        assert_eq!(series(&mut backoff, 1), [16000], "three failures: 4, 8, 16 s");
        backoff.begin(at(80));
        assert_eq!(series(&mut backoff, 1), [8000], "16 s halve after 80 s");
        backoff.begin(at(119));
        assert_eq!(series(&mut backoff, 1), [8000]);
        backoff.begin(at(120));
        assert_eq!(series(&mut backoff, 1), [4000], "8 s halve after 40 s more");
        backoff.begin(at(155));
        assert_eq!(series(&mut backoff, 1), [2000]);

        let mut backoff = vendor();
        for _ in 0..20 {
            backoff.failed(begun);
        }
        backoff.begin(at(3599));
        assert_eq!(series(&mut backoff, 1), [90000]);
        backoff.begin(at(3600));
        assert_eq!(series(&mut backoff, 1), [2000], "an hour after the last failure");
    }

    #[test]
    fn jitter_shortens_a_delay_by_at_most_its_part() {
        let mut backoff = vendor();
        backoff.begin(Instant::now());
        assert_eq!(backoff.delay(0.5, 1.0), Duration::from_secs(1));
        assert_eq!(backoff.delay(0.5, 0.0), Duration::from_secs(4), "the next one grows from the whole delay");
    }
}
