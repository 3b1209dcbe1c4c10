//! What the kernel counts: CPU, run queues, quota, pressure, sockets and ports.
//!
//! Everything comes from `/proc` and the cgroup file system of this process; what cannot be read is `None` or 0. Parsing is pure.

use std::path::{Path, PathBuf};

use nix::unistd::{Pid, gettid};
use parking_lot::Mutex;

use crate::net::UdpCounters;

use super::process::{ProcessClock, descriptor_limit, open_descriptors};

/// Threads of the runtime that work for the engine.
static WORKERS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// The calling thread works for an engine from now on.
pub(in crate::engine) fn worker_started() {
    WORKERS.lock().push(gettid());
}

/// The calling thread ends.
pub(in crate::engine) fn worker_stopped() {
    let own = gettid();
    WORKERS.lock().retain(|worker| *worker != own);
}

/// Counts that only grow; or their growth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// CPU time of the process, user and system.
    pub(super) cpu_us: u64,
    /// Time that the engine's threads were ready to run and did not (`schedstat`), all together.
    pub(super) run_queue_us: u64,
    /// How many these are.
    pub(super) workers: u64,
    /// Time that the CPU quota of the container held its threads back.
    pub(super) throttled_us: u64,
    /// Time in which something on this machine waited for a CPU (PSI).
    pub(super) pressure_us: u64,
    /// Datagrams dropped for want of receive buffer in this network namespace.
    pub(super) receive_buffer_errors: u64,
}

impl Counters {
    /// The growth since `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            cpu_us: self.cpu_us.saturating_sub(earlier.cpu_us),
            // A thread that ended takes its count with it.
            run_queue_us: self.run_queue_us.saturating_sub(earlier.run_queue_us),
            workers: self.workers,
            throttled_us: self.throttled_us.saturating_sub(earlier.throttled_us),
            pressure_us: self.pressure_us.saturating_sub(earlier.pressure_us),
            receive_buffer_errors: self.receive_buffer_errors.saturating_sub(earlier.receive_buffer_errors),
        }
    }
}

/// What there is now, and how much of it there may be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    pub(super) fds: Option<u64>,
    pub(super) fd_limit: Option<u64>,
    pub(super) ports: Option<u64>,
    pub(super) udp_sockets: Option<u64>,
    pub(super) tcp_in_use: Option<u64>,
    pub(super) tcp_time_wait: Option<u64>,
    /// CPUs that this process may use.
    pub(super) cpus: usize,
    /// CPUs that its container's quota allows.
    pub(super) cpu_quota: Option<f64>,
}

/// Where this machine keeps its counts.
pub(super) struct Machine {
    cgroup: Option<Cgroup>,
}

/// The CPU controller of this process's cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cgroup {
    directory: PathBuf,
    version: u8,
}

impl Machine {
    /// Looks for the cgroup of this process.
    pub(super) fn find() -> Self {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let cgroup = candidates(&own).into_iter().find(|cgroup| cgroup.directory.join("cpu.stat").exists());
        Self { cgroup }
    }

    /// All counts now.
    pub(super) fn counters(&self) -> Counters {
        let process = ProcessClock::now();
        let (run_queue_us, workers) = run_queue();
        let throttled_us = self.cgroup.as_ref().map_or(0, |cgroup| {
            let stat = std::fs::read_to_string(cgroup.directory.join("cpu.stat")).unwrap_or_default();
            throttled_us(&stat, cgroup.version)
        });
        let pressure = std::fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
        Counters {
            cpu_us: (process.cpu_seconds * 1e6) as u64,
            run_queue_us,
            workers,
            throttled_us,
            pressure_us: pressure_us(&pressure).unwrap_or_default(),
            receive_buffer_errors: UdpCounters::read().map(|counters| counters.rcvbuf_errors).unwrap_or_default(),
        }
    }

    /// All sizes now.
    pub(super) fn sizes(&self) -> Sizes {
        let sockets = std::fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        Sizes {
            fds: open_descriptors(),
            fd_limit: descriptor_limit(),
            ports: port_count(&range),
            udp_sockets: socket_count(&sockets, "UDP:", "inuse"),
            tcp_in_use: socket_count(&sockets, "TCP:", "inuse"),
            tcp_time_wait: socket_count(&sockets, "TCP:", "tw"),
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            cpu_quota: self.cgroup.as_ref().and_then(Cgroup::quota),
        }
    }
}

impl Cgroup {
    fn quota(&self) -> Option<f64> {
        let read = |name: &str| std::fs::read_to_string(self.directory.join(name)).ok();
        match self.version {
            2 => quota(&read("cpu.max")?),
            _ => quota(&format!("{} {}", read("cpu.cfs_quota_us")?.trim(), read("cpu.cfs_period_us")?.trim())),
        }
    }
}

/// Where the CPU controller of a process may be, by its `/proc/self/cgroup` (cgroups(7)). Inside of a container the path of the
/// host is not there, and the root of the mount is the container's own.
fn candidates(own: &str) -> Vec<Cgroup> {
    let mut found = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            let root = Path::new("/sys/fs/cgroup");
            for directory in [root.join(path), root.to_owned()] {
                found.push(Cgroup { directory, version: 2 });
            }
        } else if controllers.split(',').any(|controller| controller == "cpu") {
            for mount in [controllers, "cpu", "cpu,cpuacct"] {
                let root = Path::new("/sys/fs/cgroup").join(mount);
                for directory in [root.join(path), root] {
                    found.push(Cgroup { directory, version: 1 });
                }
            }
        }
    }
    found
}

/// Time held back, of a `cpu.stat` (cgroup v2: µs, v1: ns).
fn throttled_us(stat: &str, version: u8) -> u64 {
    let value = |name: &str| {
        stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok()).unwrap_or_default()
    };
    match version {
        2 => value("throttled_usec "),
        _ => value("throttled_time ") / 1000,
    }
}

/// CPUs of a `cpu.max` (`quota period`, both in µs); `None` without a quota.
fn quota(max: &str) -> Option<f64> {
    let mut words = max.split_ascii_whitespace();
    let quota = words.next()?.parse::<f64>().ok().filter(|quota| *quota > 0.0)?;
    let period = words.next()?.parse::<f64>().ok().filter(|period| *period > 0.0)?;
    Some(quota / period)
}

/// Total of the `some` line of a pressure file (PSI), µs.
fn pressure_us(pressure: &str) -> Option<u64> {
    let some = pressure.lines().find(|line| line.starts_with("some "))?;
    some.split_ascii_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()
}

/// Time that the engine's threads waited for a CPU, and how many there are.
fn run_queue() -> (u64, u64) {
    let workers = WORKERS.lock().clone();
    let waited = workers.iter().filter_map(|worker| {
        let stat = std::fs::read_to_string(format!("/proc/self/task/{worker}/schedstat")).ok()?;
        stat.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()
    });
    (waited.sum::<u64>() / 1000, workers.len() as u64)
}

/// Local ports of an `ip_local_port_range`.
fn port_count(range: &str) -> Option<u64> {
    let mut words = range.split_ascii_whitespace().map(str::parse::<u64>);
    let (first, last) = (words.next()?.ok()?, words.next()?.ok()?);
    last.checked_sub(first).map(|ports| ports + 1)
}

/// A count of `/proc/net/sockstat`.
fn socket_count(sockets: &str, protocol: &str, name: &str) -> Option<u64> {
    let line = sockets.lines().find_map(|line| line.strip_prefix(protocol))?;
    let mut words = line.split_ascii_whitespace();
    words.find(|word| *word == name)?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroup_is_looked_for_where_v1_and_v2_keep_it() {
        let v1 = candidates("3:cpuset:/\n1:cpu,cpuacct:/docker/abc\n");
        assert_eq!(v1[0], Cgroup { directory: "/sys/fs/cgroup/cpu,cpuacct/docker/abc".into(), version: 1 });
        assert!(v1.contains(&Cgroup { directory: "/sys/fs/cgroup/cpu".into(), version: 1 }));
        let v2 = candidates("0::/user.slice/a.scope\n");
        let directories: Vec<_> = v2.iter().map(|cgroup| cgroup.directory.to_str().expect("text")).collect();
        assert_eq!(directories, ["/sys/fs/cgroup/user.slice/a.scope", "/sys/fs/cgroup"]);
        assert_eq!(candidates("junk\n"), []);
    }

    #[test]
    fn quota_and_throttling_are_read_in_both_versions() {
        assert_eq!(throttled_us("nr_periods 9\nnr_throttled 3\nthrottled_usec 12345\n", 2), 12_345);
        assert_eq!(throttled_us("nr_throttled 3\nthrottled_time 12345678\n", 1), 12_345);
        assert_eq!(throttled_us("", 2), 0);
        assert_eq!((quota("50000 100000\n"), quota("max 100000\n"), quota("-1 100000")), (Some(0.5), None, None));
    }

    #[test]
    fn pressure_ports_and_sockets_are_read_by_name() {
        let pressure =
            "some avg10=1.00 avg60=0.00 avg300=0.00 total=987\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n";
        assert_eq!((pressure_us(pressure), pressure_us("")), (Some(987), None));
        assert_eq!((port_count("32768\t60999\n"), port_count("9\n"), port_count("9 8")), (Some(28_232), None, None));
        let sockets = "sockets: used 830\nTCP: inuse 405 orphan 0 tw 412 alloc 405 mem 148\nUDP: inuse 402 mem 152\n";
        let count = |protocol, name| socket_count(sockets, protocol, name);
        assert_eq!(
            (count("TCP:", "inuse"), count("TCP:", "tw"), count("UDP:", "inuse")),
            (Some(405), Some(412), Some(402))
        );
        assert_eq!((count("UDPLITE:", "inuse"), count("UDP:", "tw")), (None, None));
    }

    #[test]
    fn this_machine_tells_its_counts() {
        let machine = Machine::find();
        let earlier = machine.counters();
        let begun = std::time::Instant::now();
        while begun.elapsed() < std::time::Duration::from_millis(30) {
            std::hint::spin_loop();
        }
        assert!(machine.counters().since(&earlier).cpu_us > 0);
        let sizes = machine.sizes();
        assert!(
            sizes.fds.is_some() && sizes.fd_limit >= sizes.fds && sizes.ports.is_some_and(|ports| ports > 0),
            "{sizes:?}"
        );
        assert!(sizes.udp_sockets.is_some() && sizes.tcp_time_wait.is_some() && sizes.cpus >= 1, "{sizes:?}");
    }

    #[test]
    fn threads_of_the_engine_are_known_while_they_live() {
        std::thread::spawn(|| {
            worker_started();
            let own = gettid();
            assert!(WORKERS.lock().contains(&own));
            assert!(run_queue().1 >= 1);
            worker_stopped();
            assert!(!WORKERS.lock().contains(&own));
        })
        .join()
        .expect("the thread ends well");
    }
}
