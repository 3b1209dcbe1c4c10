//! When a softphone says that it is still there.
//!
//! A process that wakes up for each of a thousand keep-alives pays more for waking up than for the messages. So those of one
//! process leave together, at steps of [`STEP`] of a clock of its own (timer coalescing): up to a step early and never late, so
//! that no server's limit of silence is missed. Pure.
use std::time::{Duration, Instant};

/// How far apart the moments are at which keep-alives leave.
const STEP: Duration = Duration::from_millis(500);
/// A shorter interval is kept to the millisecond: a step would be too much of it.
const SHORTEST: Duration = Duration::from_secs(8);

/// When the keep-alive that follows something at `now` is due, one for `every` interval. `origin`: where the steps begin; `None` =
/// it is due exactly then.
pub(super) fn next_keep_alive(now: Instant, every: Duration, origin: Option<Instant>) -> Instant {
    let due = now + every;
    match origin {
        Some(origin) if every >= SHORTEST => {
            let past_step = due.saturating_duration_since(origin).as_nanos() % STEP.as_nanos();
            // Less than a step, which fits.
            due - Duration::from_nanos(u64::try_from(past_step).unwrap_or_default())
        }
        _ => due,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_alives_of_one_origin_leave_together_up_to_a_step_early_and_never_late() {
        let (origin, every) = (Instant::now(), Duration::from_secs(14));
        for after_ms in [0, 1, 499, 500, 501, 999, 13_999] {
            let now = origin + Duration::from_millis(after_ms);
            let due = next_keep_alive(now, every, Some(origin));
            assert!(due <= now + every && due + STEP > now + every, "{after_ms}");
            assert_eq!((due - origin).as_nanos() % STEP.as_nanos(), 0, "{after_ms}");
        }
    }

    #[test]
    fn an_answer_a_little_later_does_not_shift_the_next_one() {
        let (origin, every) = (Instant::now(), Duration::from_secs(14));
        let mut due = next_keep_alive(origin, every, Some(origin));
        for round in 1..100 {
            assert_eq!(due, origin + every * round);
            due = next_keep_alive(due + Duration::from_millis(u64::from(round)), every, Some(origin));
        }
    }

    #[test]
    fn without_an_origin_and_at_short_intervals_the_interval_is_exact() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        assert_eq!(next_keep_alive(now, second * 14, None), now + second * 14);
        assert_eq!(next_keep_alive(now + second / 3, second, Some(now)), now + second / 3 + second);
    }
}
