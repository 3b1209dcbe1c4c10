//! Whether a machine can hold so many softphones: descriptors, ports, memory, processors, threads, and the rate of STUN
//! transactions that their start makes. Pure.

use serde_json::json;

use super::machine::Machine;
use super::report::{Check, Status};

/// What one softphone needs: a WebSocket and a UDP socket.
const SOCKETS: u64 = 2;
/// Descriptors that a JMeter needs besides (jars, results files, its own sockets).
const DESCRIPTORS_OF_JMETER: u64 = 256;
/// Memory of a talking softphone with its JMeter thread, KiB; `docs/performance.md` has the measurements.
const MEMORY_KIB: u64 = 450;
/// Memory of a JMeter without softphones, KiB.
const MEMORY_OF_JMETER_KIB: u64 = 200 * 1024;
/// CPU of a talking softphone, seconds per second, release build on the machine of `docs/performance.md`.
const CPU: f64 = 0.0025;
/// New STUN transactions per second that an agent may start (RFC 8445 §14.2: one per Ta of at least 5 ms).
const TRANSACTIONS_PER_SECOND: f64 = 200.0;
/// Remote candidates that are assumed of the other side: a host and a server-reflexive (or relayed) one.
const REMOTE_CANDIDATES: u32 = 2;
/// Above this share of what there is, a check warns.
const TIGHT: f64 = 0.8;

/// All capacity checks for `softphones`.
pub(super) fn checks(machine: &Machine, softphones: u32) -> Vec<Check> {
    let n = u64::from(softphones);
    let mut checks = vec![file_descriptors(machine, n), udp_ports(machine, n), tcp_ports(machine, n)];
    checks.extend([memory(machine, n), processors(machine, softphones), threads(machine, n)]);
    if let Some((count, most)) = machine.conntrack {
        checks.push(conntrack(count, most, n));
    }
    checks
}

fn share(needed: u64, available: u64) -> Status {
    match (needed as f64, available as f64) {
        (needed, available) if needed > available => Status::Fail,
        (needed, available) if needed > available * TIGHT => Status::Warn,
        _ => Status::Pass,
    }
}

fn file_descriptors(machine: &Machine, n: u64) -> Check {
    let name = "file descriptors";
    let Some((soft, hard)) = machine.descriptors else {
        return Check::new("fileDescriptors", name, Status::Skip, "the limit cannot be read", json!({}));
    };
    let needed = n * SOCKETS + machine.descriptors_open.max(DESCRIPTORS_OF_JMETER);
    // A JVM raises its soft limit to the hard one by itself.
    let mut status = share(needed, hard);
    let facts = json!({"needed": needed, "open": machine.descriptors_open, "softLimit": soft, "hardLimit": hard});
    let finding = format!("{needed} needed, {hard} allowed (soft limit {soft})");
    let mut advice = "raise it: ulimit -Hn, or LimitNOFILE of the service";
    if let Some((open, most)) = machine.descriptors_of_system
        && n * SOCKETS > most.saturating_sub(open)
    {
        status = Status::Fail;
        advice = "raise the limit of the whole system: sysctl fs.file-max";
    }
    Check::new("fileDescriptors", name, status, finding, facts).advise(advice)
}

fn udp_ports(machine: &Machine, n: u64) -> Check {
    let name = "UDP ports";
    let Some((first, last)) = machine.ports else {
        return Check::new("udpPorts", name, Status::Skip, "the port range cannot be read", json!({}));
    };
    let range = u64::from(last.saturating_sub(first)) + 1;
    let free = range.saturating_sub(machine.ports_reserved + machine.udp_ports_used);
    let facts = json!({"needed": n, "free": free, "first": first, "last": last, "reserved": machine.ports_reserved,
        "used": machine.udp_ports_used});
    Check::new("udpPorts", name, share(n, free), format!("{n} needed, one each; {free} free of {first}-{last}"), facts)
        .advise("widen net.ipv4.ip_local_port_range, or use several source addresses: each has ports of its own")
}

fn tcp_ports(machine: &Machine, n: u64) -> Check {
    let name = "TCP ports";
    let Some((first, last)) = machine.ports else {
        return Check::new("tcpPorts", name, Status::Skip, "the port range cannot be read", json!({}));
    };
    let range = u64::from(last.saturating_sub(first)) + 1;
    let free = range.saturating_sub(machine.ports_reserved + machine.tcp_used);
    let facts = json!({"needed": n, "free": free, "usedOrTimeWait": machine.tcp_used});
    let finding = format!("{n} needed toward one signaling server; {free} free of {first}-{last}");
    Check::new("tcpPorts", name, share(n, free), finding, facts).advise(
        "keep WebSockets open instead of opening one per iteration (closed ones hold their port for a minute), or widen \
         net.ipv4.ip_local_port_range",
    )
}

fn memory(machine: &Machine, n: u64) -> Check {
    let needed = n * MEMORY_KIB + MEMORY_OF_JMETER_KIB;
    let needed_mib = needed / 1024;
    let Some(available) = machine.memory_available_kib else {
        let facts = json!({"estimateMiB": needed_mib});
        let finding = format!("about {needed_mib} MiB needed; what there is cannot be read");
        return Check::new("memory", "memory", Status::Skip, finding, facts);
    };
    let facts = json!({"estimateMiB": needed_mib, "availableMiB": available / 1024});
    let finding = format!("about {needed_mib} MiB needed, {} MiB available", available / 1024);
    Check::new("memory", "memory", share(needed, available), finding, facts)
        .advise("spread the softphones over several workers, or give this one more memory")
}

fn processors(machine: &Machine, softphones: u32) -> Check {
    let needed = f64::from(softphones) * CPU;
    let available = machine.processors;
    let status = match needed / available {
        share if share > 1.0 => Status::Fail,
        share if share > 0.7 => Status::Warn,
        _ => Status::Pass,
    };
    let facts = json!({"estimateProcessors": needed, "processors": available});
    let finding = format!("about {needed:.1} of {available:.1} busy while all talk");
    Check::new("processors", "processors", status, finding, facts)
        .advise("spread the softphones over several workers: a generator without CPU measures itself")
}

fn threads(machine: &Machine, n: u64) -> Check {
    match machine.threads_left {
        None => Check::new("threads", "threads", Status::Skip, "the limit cannot be read", json!({"needed": n})),
        Some(left) => {
            let facts = json!({"needed": n, "left": left});
            Check::new("threads", "threads", share(n, left), format!("{n} JMeter threads, {left} allowed"), facts)
                .advise("raise ulimit -u, or the container's pids limit")
        }
    }
}

fn conntrack(count: u64, most: u64, n: u64) -> Check {
    let needed = n * SOCKETS + count;
    let facts = json!({"needed": needed, "entries": count, "max": most});
    Check::new("conntrack", "connection tracking", share(needed, most), format!("{needed} entries of {most}"), facts)
        .advise("raise net.netfilter.nf_conntrack_max, or exempt the test's ports with notrack")
}

/// STUN transactions that setting up one session costs: one per STUN server and local address, two per TURN server (the
/// first is answered with 401), and the first wave of connectivity checks.
pub(super) fn transactions_per_session(local_addresses: u32, stun_servers: u32, turn_servers: u32) -> u32 {
    let relayed = u32::from(turn_servers > 0);
    local_addresses * stun_servers
        + 2 * local_addresses * turn_servers
        + local_addresses * (1 + relayed) * REMOTE_CANDIDATES
}

/// What the ramp means for STUN and TURN servers.
pub(super) fn ramp(softphones: u32, ramp_seconds: f64, stun_servers: u32, turn_servers: u32) -> Check {
    let each = transactions_per_session(1, stun_servers, turn_servers);
    // Everything at once is as good as within one second.
    let starts = f64::from(softphones) / ramp_seconds.max(1.0);
    let rate = starts * f64::from(each);
    let needed_seconds = (f64::from(softphones * each) / TRANSACTIONS_PER_SECOND).ceil();
    let status = if rate > TRANSACTIONS_PER_SECOND { Status::Warn } else { Status::Pass };
    let facts = json!({"startsPerSecond": starts, "stunTransactionsPerSession": each, "stunTransactionsPerSecond": rate,
        "limitPerSecond": TRANSACTIONS_PER_SECOND});
    let finding = format!("{starts:.1} starts/s mean {rate:.0} STUN transactions/s ({each} each)");
    Check::new("ramp", "ramp", status, finding, facts).advise(format!(
        "RFC 8445 section 14.2 allows 200/s from one agent: start within {needed_seconds} s or more, or set \
         webrtc.gate.startsPerSecond to {:.1}",
        TRANSACTIONS_PER_SECOND / f64::from(each.max(1))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roomy() -> Machine {
        Machine {
            descriptors: Some((1024, 1 << 20)),
            descriptors_open: 50,
            descriptors_of_system: Some((1000, 1 << 24)),
            ports: Some((32768, 60999)),
            memory_available_kib: Some(16 << 20),
            processors: 8.0,
            threads_left: Some(30_000),
            ..Machine::default()
        }
    }

    fn status_of(machine: &Machine, softphones: u32, id: &str) -> Status {
        let checks = checks(machine, softphones);
        checks.iter().find(|check| check.id == id).expect(id).status
    }

    #[test]
    fn a_roomy_machine_holds_200() {
        assert!(checks(&roomy(), 200).iter().all(|check| check.status == Status::Pass));
    }

    #[test]
    fn each_limit_fails_its_own_check() {
        for (id, machine) in [
            ("fileDescriptors", Machine { descriptors: Some((512, 512)), ..roomy() }),
            ("fileDescriptors", Machine { descriptors_of_system: Some((1000, 1200)), ..roomy() }),
            ("udpPorts", Machine { ports: Some((50000, 50100)), ..roomy() }),
            ("udpPorts", Machine { udp_ports_used: 28_100, ..roomy() }),
            ("tcpPorts", Machine { tcp_used: 28_100, ..roomy() }),
            ("memory", Machine { memory_available_kib: Some(100 * 1024), ..roomy() }),
            ("processors", Machine { processors: 0.25, ..roomy() }),
            ("threads", Machine { threads_left: Some(150), ..roomy() }),
            ("conntrack", Machine { conntrack: Some((900, 1000)), ..roomy() }),
        ] {
            assert_eq!(status_of(&machine, 200, id), Status::Fail, "{id}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_skipped() {
        let blind = Machine { processors: 8.0, ..Machine::default() };
        for id in ["fileDescriptors", "udpPorts", "tcpPorts", "memory", "threads"] {
            assert_eq!(status_of(&blind, 200, id), Status::Skip, "{id}");
        }
    }

    #[test]
    fn a_session_costs_the_transactions_that_the_formula_says() {
        // One interface, one STUN, one TURN server, four pairs; five interfaces of the same.
        assert_eq!(transactions_per_session(1, 1, 1), 7);
        assert_eq!(transactions_per_session(5, 1, 1), 35);
        assert_eq!(transactions_per_session(1, 0, 0), 2);
    }

    #[test]
    fn a_ramp_above_200_transactions_per_second_is_warned_of_with_one_that_is_not() {
        let steep = ramp(200, 2.0, 1, 1);
        assert_eq!(steep.status, Status::Warn);
        assert!(steep.finding.contains("100.0 starts/s mean 700 STUN transactions/s (7 each)"), "{}", steep.finding);
        assert!(steep.advice.expect("advice").contains("within 7 s"));
        assert_eq!(ramp(200, 8.0, 1, 1).status, Status::Pass);
        assert_eq!(ramp(200, 0.0, 1, 0).facts["startsPerSecond"], 200.0);
    }
}
