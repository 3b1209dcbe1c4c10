//! One second of the generator's life, and what a stretch of seconds says about the samples in it. Pure.

use std::time::{Duration, Instant};

use crate::diagnosis::facts::GeneratorFacts;

use super::machine::{Counters, Sizes};

/// A timer, a read or a packet that is later than this spoils what is measured in milliseconds.
const LATE_US: u64 = 100_000;
/// So much of a second without the CPU that was wanted, µs.
const WAITED_US: u64 = 500_000;
/// So much of a second held back by a CPU quota, µs.
const THROTTLED_US: u64 = 100_000;
/// So much of a second in garbage collections, ms.
const COLLECTED_MS: u64 = 500;

/// One second, or what has passed of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Second {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// Longest delay of a timer of the runtime.
    pub(super) lag_us: u64,
    /// How long timers of the runtime were late, all together.
    pub(super) stalled_us: u64,
    /// Longest time a datagram lay in the kernel before it was read.
    pub(super) read_lag_us: u64,
    /// Longest delay of an audio packet against its schedule.
    pub(super) schedule_lag_us: u64,
    /// Garbage collections of the JVM.
    pub(super) garbage_collection_ms: u64,
    /// What was counted in it.
    pub(super) counted: Counters,
}

/// What `seconds`, which a `window` of time fell into, say with the sizes of now.
pub(super) fn judge(seconds: &[Second], window: Duration, sizes: &Sizes) -> GeneratorFacts {
    let longest = |of: fn(&Second) -> u64| seconds.iter().map(of).max().unwrap_or_default();
    let sum = |of: fn(&Second) -> u64| seconds.iter().map(of).fold(0, u64::saturating_add);
    let ms = |us: u64| us / 1000;
    let mut starved = Vec::new();
    let lag = longest(|second| second.lag_us);
    if lag >= LATE_US {
        starved.push(format!("a timer of the engine was {} ms late", ms(lag)));
    }
    let read_lag = longest(|second| second.read_lag_us);
    if read_lag >= LATE_US {
        starved.push(format!("a datagram lay {} ms in the kernel until it was read", ms(read_lag)));
    }
    let schedule_lag = longest(|second| second.schedule_lag_us);
    if schedule_lag >= LATE_US {
        starved.push(format!("an audio packet left {} ms after its time", ms(schedule_lag)));
    }
    let throttled = longest(|second| second.counted.throttled_us);
    if throttled >= THROTTLED_US {
        let quota = sizes.cpu_quota.map_or_else(String::new, |cpus| format!(" of {cpus:.2} CPUs"));
        starved.push(format!(
            "the container's CPU quota{quota} held this process back for {} ms of a second",
            ms(throttled)
        ));
    }
    let waited = longest(|second| second.counted.run_queue_us / second.counted.workers.max(1));
    if waited >= WAITED_US {
        starved.push(format!("the engine's threads waited {} ms of a second for a CPU", ms(waited)));
    }
    let collected = longest(|second| second.garbage_collection_ms);
    if collected >= COLLECTED_MS {
        starved.push(format!("garbage collection stopped Java for {collected} ms of a second"));
    }
    let mut limits = Vec::new();
    if let Some(over) = nearly(sizes.fds, sizes.fd_limit) {
        limits.push(format!("{over} open files and sockets of this process"));
    }
    for (protocol, used) in
        [("UDP", sizes.udp_sockets), ("TCP", sizes.tcp_in_use.zip(sizes.tcp_time_wait).map(|(a, b)| a + b))]
    {
        if let Some(over) = nearly(used, sizes.ports) {
            limits.push(format!("{over} local {protocol} ports"));
        }
    }
    let receive_buffer_errors = sum(|second| second.counted.receive_buffer_errors);
    if receive_buffer_errors > 0 {
        limits.push(format!(
            "{receive_buffer_errors} datagrams were dropped on this machine because a receive buffer was full"
        ));
    }
    if !starved.is_empty() {
        let busy = longest(|second| second.counted.cpu_us);
        starved.push(format!(
            "this process used {:.1} of {} CPUs in its busiest second",
            busy as f64 / 1e6,
            sizes.cpus
        ));
        let pressure = longest(|second| second.counted.pressure_us);
        if pressure >= THROTTLED_US {
            starved.push(format!("on this machine something waited for a CPU for {} ms of a second", ms(pressure)));
        }
    }
    let window_us = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
    GeneratorFacts {
        starved,
        // Its first and last second are not all of the window.
        stalled_us: sum(|second| second.stalled_us).min(window_us),
        window_us,
        limits,
        fd_limit: sizes.fd_limit,
        ports: sizes.ports,
        tcp_sockets: sizes.tcp_in_use.zip(sizes.tcp_time_wait).map(|(in_use, waiting)| in_use.saturating_add(waiting)),
        tcp_time_wait: sizes.tcp_time_wait,
        udp_sockets: sizes.udp_sockets,
        receive_buffer_errors,
    }
}

/// `used of limit` once nineteen twentieths are used.
fn nearly(used: Option<u64>, limit: Option<u64>) -> Option<String> {
    let (used, limit) = used.zip(limit)?;
    (used.saturating_mul(20) >= limit.saturating_mul(19)).then(|| format!("{used} of {limit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(2);

    fn second(change: impl FnOnce(&mut Second)) -> Second {
        let now = Instant::now();
        let mut second = Second {
            began: now,
            ended: now,
            lag_us: 2_000,
            stalled_us: 0,
            read_lag_us: 300,
            schedule_lag_us: 1_000,
            garbage_collection_ms: 20,
            counted: Counters { cpu_us: 400_000, workers: 4, run_queue_us: 40_000, ..Counters::default() },
        };
        change(&mut second);
        second
    }

    #[test]
    fn ordinary_seconds_give_no_reason() {
        let facts = judge(&[second(|_| {}), second(|_| {})], WINDOW, &Sizes::default());
        assert_eq!((facts.starved, facts.limits), (vec![], vec![]));
        assert_eq!(judge(&[], WINDOW, &Sizes::default()).starved, Vec::<String>::new());
    }

    #[test]
    fn each_kind_of_lateness_is_a_reason_with_its_figure() {
        for (figure, late) in [
            ("700 ms late", second(|second| second.lag_us = 700_000)),
            ("lay 150 ms", second(|second| second.read_lag_us = 150_000)),
            ("left 101 ms", second(|second| second.schedule_lag_us = 101_000)),
            ("back for 800 ms", second(|second| second.counted.throttled_us = 800_000)),
            ("waited 600 ms", second(|second| second.counted.run_queue_us = 2_400_000)),
            ("for 900 ms", second(|second| second.garbage_collection_ms = 900)),
        ] {
            let facts = judge(&[second(|_| {}), late], WINDOW, &Sizes::default());
            assert!(facts.starved.iter().any(|reason| reason.contains(figure)), "{figure}: {:?}", facts.starved);
        }
    }

    #[test]
    fn the_time_that_was_lost_is_no_longer_than_the_window() {
        let stalled = |us| second(|second| second.stalled_us = us);
        assert_eq!(judge(&[stalled(300_000), stalled(200_000)], WINDOW, &Sizes::default()).stalled_us, 500_000);
        let facts = judge(&[stalled(5_000_000)], WINDOW, &Sizes::default());
        assert_eq!((facts.stalled_us, facts.window_us), (2_000_000, 2_000_000));
    }

    #[test]
    fn what_is_nearly_used_up_is_named_with_its_limit() {
        let sizes = Sizes {
            fds: Some(1020),
            fd_limit: Some(1024),
            ports: Some(100),
            udp_sockets: Some(94),
            tcp_in_use: Some(10),
            tcp_time_wait: Some(90),
            ..Sizes::default()
        };
        let facts = judge(&[second(|second| second.counted.receive_buffer_errors = 7)], WINDOW, &sizes);
        let text = facts.limits.join("; ");
        assert!(
            text.contains("1020 of 1024") && text.contains("100 of 100 local TCP") && text.contains("7 datagrams"),
            "{text}"
        );
        assert!(!text.contains("UDP"), "{text}");
        assert_eq!((facts.tcp_sockets, facts.tcp_time_wait), (Some(100), Some(90)));
    }
}
