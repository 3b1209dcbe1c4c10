//! The generator itself: its ports, descriptors, buffers, rules and CPU. Pure.

use std::net::SocketAddr;

use super::cause::Cause;
use super::facts::{GeneratorFacts, SessionFacts};
use super::verdict::{Confidence, Finding, Verdict};
use crate::net::facts::{IcmpError, SocketCall};

/// Why a session has no UDP socket.
pub(super) fn bind(facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let Some((errno, words)) = &facts.bind_error else { return };
    let generator = &facts.generator;
    let verdict = match errno {
        Some(libc::EADDRINUSE) => udp_ports(generator),
        Some(libc::EADDRNOTAVAIL) => {
            Verdict::certain(Cause::Config).fact("sourceAddress: this machine has no such address (EADDRNOTAVAIL)")
        }
        Some(errno) => match refused_by_errno(*errno, None, generator) {
            Some(verdict) => verdict,
            None => Verdict::certain(Cause::EngineFailed),
        },
        // The bind worked when it was tried again: for a moment something was used up.
        None if is_full(generator.udp_sockets, generator.ports) => udp_ports(generator),
        None => Verdict::likely(Cause::EngineFailed),
    };
    findings.push(verdict.at(facts.now_us, words).into());
}

fn udp_ports(generator: &GeneratorFacts) -> Verdict {
    let ports = generator.ports.map_or_else(|| "its".to_owned(), |ports| ports.to_string());
    let used =
        generator.udp_sockets.map(|used| format!("{used} UDP sockets in this network namespace, {ports} local ports"));
    Verdict::certain(Cause::GenUdpPorts).maybe(used).with("ports", ports)
}

/// Whether at least nine tenths are used.
pub(super) fn is_full(used: Option<u64>, there_are: Option<u64>) -> bool {
    matches!((used, there_are), (Some(used), Some(there_are)) if used.saturating_mul(10) >= there_are.saturating_mul(9))
}

/// What an errno says that speaks of this machine; `None` where it speaks of something else.
pub(super) fn refused_by_errno(errno: i32, to: Option<SocketAddr>, generator: &GeneratorFacts) -> Option<Verdict> {
    let name = errno_name(errno);
    let full = to.map_or_else(|| "the destination".to_owned(), |to| to.to_string());
    let target = to.map_or_else(|| "the destination".to_owned(), |to| to.ip().to_string());
    let fact = format!("the kernel refused to send to {full}: {name}");
    let refusal = match errno {
        libc::EMFILE => {
            let limit = generator.fd_limit.map_or_else(String::new, |limit| format!(", now {limit}"));
            let advice =
                format!("Raise this process's limit of open files{limit} (ulimit -n, LimitNOFILE of systemd).");
            let fact = format!("EMFILE: this process may open no more files and sockets{limit}");
            return Some(Verdict::certain(Cause::GenFds).fact(fact).with("limit", advice));
        }
        libc::ENFILE => {
            let advice = "Here it is that of the machine: find the process that leaks files.";
            let fact = "ENFILE: this machine may open no more files and sockets";
            return Some(Verdict::certain(Cause::GenFds).fact(fact).with("limit", advice));
        }
        libc::EPERM => format!(
            "A rule of this machine's own firewall, or its full connection tracking table, forbids packets to {target}: compare \
             nf_conntrack_count with nf_conntrack_max, and look at the output rules."
        ),
        libc::EACCES => format!("A route or rule of this machine prohibits packets to {target}."),
        libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EINVAL => {
            format!("This machine has no usable route to {target}: check its routes and the source address.")
        }
        libc::ENOBUFS => {
            "The send queue of the network interface overflows: raise txqueuelen and net.core.wmem_max, or send less."
                .to_owned()
        }
        libc::EMSGSIZE => "A packet is larger than the interface's MTU: raise it.".to_owned(),
        _ => return None,
    };
    Some(Verdict::certain(Cause::SendRefused).fact(fact).with("refusal", refusal))
}

/// The name of an errno in words of `errno(3)`, as far as it occurs here.
pub(super) fn errno_name(errno: i32) -> String {
    let name = match errno {
        libc::EPERM => "EPERM",
        libc::EAGAIN => "EAGAIN",
        libc::EACCES => "EACCES",
        libc::EINVAL => "EINVAL",
        libc::ENFILE => "ENFILE",
        libc::EMFILE => "EMFILE",
        libc::EPIPE => "EPIPE",
        libc::EMSGSIZE => "EMSGSIZE",
        libc::EADDRINUSE => "EADDRINUSE",
        libc::EADDRNOTAVAIL => "EADDRNOTAVAIL",
        libc::ENETUNREACH => "ENETUNREACH",
        libc::ECONNRESET => "ECONNRESET",
        libc::ENOBUFS => "ENOBUFS",
        libc::ETIMEDOUT => "ETIMEDOUT",
        libc::ECONNREFUSED => "ECONNREFUSED",
        libc::EHOSTUNREACH => "EHOSTUNREACH",
        _ => return format!("errno {errno}"),
    };
    name.to_owned()
}

/// What the kernel and routers refused of a session's packets.
pub(super) fn refusals(facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let wire = &facts.wire;
    for error in &wire.socket_errors {
        let Some(errno) = error.errno else { continue };
        let found = match (error.call, errno) {
            (SocketCall::Bind | SocketCall::Socket, libc::EADDRINUSE) => Some(udp_ports(&facts.generator)),
            (SocketCall::Connect, libc::EADDRNOTAVAIL | libc::EADDRINUSE) => {
                Some(tcp_ports(errno, false, &facts.generator))
            }
            // The kernel tells ICMP errors by the next send; they speak for themselves below.
            (_, libc::EHOSTUNREACH) if !wire.icmp_errors.is_empty() => None,
            _ => refused_by_errno(errno, error.destination, &facts.generator),
        };
        if let Some(mut verdict) = found {
            // Some address of a machine with one family only is always refused: as long as others were not, it may be harmless.
            if error.count < wire.checks_sent {
                verdict.confidence = Confidence::Likely;
            }
            findings
                .push(verdict.at(error.at_us, format!("{} refused {} times", error.call.name(), error.count)).into());
        }
    }
    for error in wire.icmp_errors.iter().filter(|error| !error.is_port_unreachable() && error.errno != libc::EMSGSIZE) {
        findings.push(unreachable(error).into());
    }
}

fn unreachable(error: &IcmpError) -> Verdict {
    let full = error.destination.map_or_else(|| "the destination".to_owned(), |to| to.to_string());
    let to = error.destination.map_or_else(|| "the destination".to_owned(), |to| to.ip().to_string());
    let by = error.offender.map_or_else(|| "a router".to_owned(), |by| by.to_string());
    let refusal = if error.is_prohibited() {
        format!("A firewall at {by} refuses packets to {to}: open UDP there, or use a TURN relay.")
    } else {
        format!("{by} cannot deliver packets to {to}: check the route and whether that host is up.")
    };
    let fact = format!("ICMP {}/{} from {by} for {full}", error.icmp_type, error.icmp_code);
    Verdict::certain(Cause::SendRefused).at(error.at_us, fact).with("refusal", refusal)
}

/// No local TCP port.
pub(super) fn tcp_ports(errno: i32, own_source_address: bool, generator: &GeneratorFacts) -> Verdict {
    let full = is_full(generator.tcp_sockets, generator.ports);
    // Without a port to be had, or without the address: the kernel has one errno for both.
    let verdict = match (errno, full) {
        (libc::EADDRNOTAVAIL, false) if own_source_address => {
            Verdict::likely(Cause::Config).fact("the source address may not be one of this machine")
        }
        (libc::EADDRNOTAVAIL, false) => Verdict::likely(Cause::GenTcpPorts),
        _ => Verdict::certain(Cause::GenTcpPorts),
    };
    let used = generator.tcp_sockets.zip(generator.ports).map(|(used, ports)| {
        let waiting = generator.tcp_time_wait.unwrap_or_default();
        format!("{used} TCP sockets in this network namespace ({waiting} in TIME_WAIT), {ports} local ports")
    });
    verdict.fact(format!("connect: {}", errno_name(errno))).maybe(used)
}

/// Packets that arrived and were lost here.
pub(super) fn receive_buffer(facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let drops = facts.wire.socket_drops;
    if drops > 0 {
        let verdict = if facts.wire.rtp_received == 0 && facts.dtls_connected_us.is_some() {
            Verdict::certain(Cause::GenReceiveBuffer)
        } else {
            Verdict::likely(Cause::GenReceiveBuffer)
        };
        findings.push(verdict.fact(format!("the kernel dropped {drops} datagrams at this session's socket")).into());
    }
}

/// A generator that stood still for less than this share of the time (one third) does not explain why somebody else was silent.
const EXPLAINS: u64 = 3;

/// Nor does one that stood still for less than this in all, however short the time was: nobody gives up on a question before it
/// has been asked again (RFC 8489 §6.2.1: 500 ms).
const LEAST_US: u64 = 500_000;

/// The state of the machine meanwhile; only beside a finding, since a starved machine on which all went well has no fault to
/// explain.
pub(super) fn starved(generator: &GeneratorFacts, findings: &mut Vec<Finding>) {
    if findings.is_empty() || generator.starved.is_empty() {
        return;
    }
    let confidence = if stood_still(generator) { Confidence::Likely } else { Confidence::Ambiguous };
    let verdict = Verdict::new(Cause::GenCpuStarved, confidence);
    let (stalled, window) = (generator.stalled_us / 1000, generator.window_us / 1000);
    let verdict = verdict.fact(format!("timers of the engine were late for {stalled} of {window} ms"));
    let verdict =
        generator.starved.iter().chain(&generator.limits).fold(verdict, |verdict, reason| verdict.fact(reason));
    findings.push(verdict.into());
}

/// Whether the generator did nothing for so much of the time that this alone may explain what came too late.
pub(super) fn stood_still(generator: &GeneratorFacts) -> bool {
    !generator.starved.is_empty()
        && generator.stalled_us >= LEAST_US
        && generator.stalled_us.saturating_mul(EXPLAINS) >= generator.window_us
}
