//! What this machine has: descriptors, ports, memory, processors, threads. Read once; nothing is changed.
//!
//! Everything is optional: what a system does not tell (another kernel, a container that hides it) is left out of the report.

use std::fs;

use nix::sys::resource::{Resource, getrlimit};

/// Facts about the machine and this process, as the capacity rules want them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Machine {
    /// `RLIMIT_NOFILE`, soft and hard.
    pub(super) descriptors: Option<(u64, u64)>,
    /// Descriptors this process has open.
    pub(super) descriptors_open: u64,
    /// `fs.file-nr`: open in the whole system, and `fs.file-max`.
    pub(super) descriptors_of_system: Option<(u64, u64)>,
    /// `net.ipv4.ip_local_port_range`, both inclusive.
    pub(super) ports: Option<(u16, u16)>,
    /// Ports of that range in `net.ipv4.ip_local_reserved_ports`.
    pub(super) ports_reserved: u64,
    /// UDP sockets in this network namespace with a port of that range.
    pub(super) udp_ports_used: u64,
    /// TCP sockets in this network namespace that are in use or in TIME-WAIT.
    pub(super) tcp_used: u64,
    /// Memory that can be had, KiB: the machine's, or less where a cgroup says so.
    pub(super) memory_available_kib: Option<u64>,
    /// Processors: cores, or a cgroup's quota where that is less.
    pub(super) processors: f64,
    /// Threads that may still be started (cgroup `pids.max`, `RLIMIT_NPROC`, `kernel.threads-max`).
    pub(super) threads_left: Option<u64>,
    /// `nf_conntrack_count` and `nf_conntrack_max`.
    pub(super) conntrack: Option<(u64, u64)>,
}

impl Machine {
    /// Looks.
    pub(super) fn look() -> Self {
        let ports = numbers("/proc/sys/net/ipv4/ip_local_port_range");
        let ports = match ports[..] {
            [first, last] => u16::try_from(first).ok().zip(u16::try_from(last).ok()),
            _ => None,
        };
        let sockstat = text("/proc/net/sockstat");
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let memory = field(&text("/proc/meminfo"), "MemAvailable:");
        Self {
            descriptors: getrlimit(Resource::RLIMIT_NOFILE).ok(),
            // The directory that is being read has a descriptor of its own.
            descriptors_open: fs::read_dir("/proc/self/fd").map_or(0, |list| list.count().saturating_sub(1) as u64),
            descriptors_of_system: match numbers("/proc/sys/fs/file-nr")[..] {
                [open, _, most] => Some((open, most)),
                _ => None,
            },
            ports,
            ports_reserved: ports
                .map_or(0, |range| reserved(&text("/proc/sys/net/ipv4/ip_local_reserved_ports"), range)),
            udp_ports_used: ports
                .map_or(0, |range| ports_in(&text("/proc/net/udp"), range) + ports_in(&text("/proc/net/udp6"), range)),
            tcp_used: member(&sockstat, "TCP:", "inuse") + member(&sockstat, "TCP:", "tw"),
            memory_available_kib: [memory, cgroup_memory_left()].into_iter().flatten().min(),
            processors: cgroup_processors().map_or(cores as f64, |quota| quota.min(cores as f64)),
            threads_left: threads_left(),
            conntrack: match (
                numbers("/proc/sys/net/netfilter/nf_conntrack_count")[..].first(),
                numbers("/proc/sys/net/netfilter/nf_conntrack_max")[..].first(),
            ) {
                (Some(count), Some(most)) => Some((*count, *most)),
                _ => None,
            },
        }
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn numbers(path: &str) -> Vec<u64> {
    text(path).split_ascii_whitespace().map_while(|word| word.parse().ok()).collect()
}

/// The number behind a name at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_ascii_whitespace().next()?.parse().ok()
}

/// The number behind `name` in the line that starts with `line`; 0 when it is not there.
fn member(text: &str, line: &str, name: &str) -> u64 {
    let words = text.lines().find(|found| found.starts_with(line)).unwrap_or_default().split_ascii_whitespace();
    words.skip_while(|word| *word != name).nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// How many ports of `range` a list such as `8080,9148-9150` names.
fn reserved(list: &str, (first, last): (u16, u16)) -> u64 {
    let spans = list.trim().split(',').filter_map(|span| {
        let (from, to) = span.split_once('-').unwrap_or((span, span));
        Some((from.parse::<u16>().ok()?.max(first), to.parse::<u16>().ok()?.min(last)))
    });
    spans.filter(|(from, to)| from <= to).map(|(from, to)| u64::from(to - from) + 1).sum()
}

/// How many sockets of a table such as `/proc/net/udp` have a local port of `range`.
fn ports_in(table: &str, (first, last): (u16, u16)) -> u64 {
    let ports = table.lines().skip(1).filter_map(|line| {
        let local = line.split_ascii_whitespace().nth(1)?;
        u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()
    });
    ports.filter(|port| (first..=last).contains(port)).count() as u64
}

/// The directory of this process in the unified cgroup hierarchy.
fn cgroup() -> Option<String> {
    let path = text("/proc/self/cgroup").lines().find_map(|line| line.strip_prefix("0::").map(str::to_owned))?;
    Some(format!("/sys/fs/cgroup{}", path.trim_end_matches('/')))
}

fn cgroup_number(name: &str) -> Option<u64> {
    numbers(&format!("{}/{name}", cgroup()?)).first().copied()
}

fn cgroup_memory_left() -> Option<u64> {
    let most = cgroup_number("memory.max").or_else(|| {
        // Version 1 says "no limit" by a number near the largest.
        numbers("/sys/fs/cgroup/memory/memory.limit_in_bytes").first().copied().filter(|most| *most < 1 << 60)
    })?;
    let used = cgroup_number("memory.current")
        .or_else(|| numbers("/sys/fs/cgroup/memory/memory.usage_in_bytes").first().copied())
        .unwrap_or(0);
    Some(most.saturating_sub(used) / 1024)
}

fn cgroup_processors() -> Option<f64> {
    let unified = cgroup().map(|directory| numbers(&format!("{directory}/cpu.max"))).unwrap_or_default();
    let (quota, period) = match unified[..] {
        [quota, period] => (quota, period),
        _ => (
            *numbers("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").first()?,
            *numbers("/sys/fs/cgroup/cpu/cpu.cfs_period_us").first()?,
        ),
    };
    (period > 0).then(|| quota as f64 / period as f64)
}

fn threads_left() -> Option<u64> {
    let of_cgroup =
        cgroup_number("pids.max").map(|most| most.saturating_sub(cgroup_number("pids.current").unwrap_or(0)));
    let of_user = getrlimit(Resource::RLIMIT_NPROC).ok().map(|(soft, _)| soft);
    let of_kernel = numbers("/proc/sys/kernel/threads-max").first().copied();
    [of_cgroup, of_user, of_kernel].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_be_looked_at() {
        let machine = Machine::look();
        assert!(machine.descriptors.is_some_and(|(soft, hard)| soft <= hard && soft > machine.descriptors_open));
        assert!(machine.ports.is_some_and(|(first, last)| first < last), "{machine:?}");
        assert!(machine.memory_available_kib.is_some_and(|kib| kib > 1024), "{machine:?}");
        assert!(machine.processors > 0.0);
    }

    #[test]
    fn only_reserved_ports_within_the_range_count() {
        assert_eq!(reserved("80,32768-32770,60999-61010\n", (32768, 60999)), 4);
        assert_eq!(reserved("\n", (32768, 60999)), 0);
    }

    #[test]
    fn sockets_are_counted_by_the_port_of_their_row() {
        let table = "  sl  local_address rem_address   st\n\
                     1: 0100007F:8000 00000000:0000 07\n\
                     2: 0100007F:0035 00000000:0000 07\n";
        assert_eq!(ports_in(table, (32768, 60999)), 1);
    }

    #[test]
    fn members_of_sockstat_are_found_by_name() {
        let sockstat = "sockets: used 9\nTCP: inuse 4 orphan 0 tw 17 alloc 5 mem 1\nUDP: inuse 2 mem 0\n";
        assert_eq!((member(sockstat, "TCP:", "tw"), member(sockstat, "UDP:", "inuse")), (17, 2));
        assert_eq!(member(sockstat, "RAW:", "inuse"), 0);
    }
}
