//! Host names. Pure.

use super::cause::Cause;
use super::facts::SessionFacts;
use super::verdict::{Confidence, Finding, Verdict};
use crate::net::facts::IceServerState;

/// A look-up that took this long is slow.
const SLOW_US: u64 = 1_000_000;

/// A name server that says nothing to a generator that was awake for so long is silent.
const AWAKE_US: u64 = 1_000_000;

/// What to do where the name exists.
const NO_RECORD: &str = "The name exists: give it an address record, or use the name that has one.";
/// What to do where the name server has no answer.
const NO_ANSWER: &str = "It refuses or has an error: look at its forwarders, or use another one.";

/// A look-up that brought nothing.
pub(super) fn unresolved(host: &str, rcode: Option<&str>, timed_out: bool, elapsed_us: u64, detail: &str) -> Verdict {
    let verdict = match rcode {
        Some("NXDOMAIN") => Verdict::certain(Cause::DnsNxdomain),
        Some("NODATA") => Verdict::certain(Cause::DnsNoAddress).with("record", NO_RECORD),
        Some(_) => Verdict::certain(Cause::DnsNoAddress).with("record", NO_ANSWER),
        None if timed_out => Verdict::likely(Cause::DnsTimeout),
        // The system's resolver tells its codes by their words only.
        None if detail.contains("not known") => Verdict::likely(Cause::DnsNxdomain),
        None if detail.contains("No address associated") => {
            Verdict::likely(Cause::DnsNoAddress).with("record", NO_RECORD)
        }
        None => Verdict::likely(Cause::DnsNoAddress).with("record", NO_ANSWER),
    };
    let code = rcode.map_or_else(String::new, |rcode| format!(" ({rcode})"));
    verdict.fact(format!("'{host}': {detail}{code} after {} ms", elapsed_us / 1000)).with("host", host)
}

/// A look-up that took long; `None` if it did not.
pub(super) fn slow(host: &str, elapsed_us: u64) -> Option<Verdict> {
    (elapsed_us >= SLOW_US)
        .then(|| Verdict::likely(Cause::DnsSlow).fact(format!("'{host}' took {} ms to resolve", elapsed_us / 1000)))
}

/// The names of a session's ICE servers.
pub(super) fn of_ice_servers(facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let wire = &facts.wire;
    let served = wire.ice_servers.iter().any(|server| server.state == IceServerState::Ready)
        || facts.local_candidates.iter().any(|candidate| candidate.kind == "relay");
    if served {
        return;
    }
    for lookup in &wire.resolutions {
        let found = match &lookup.error {
            Some(error) => {
                let mut verdict =
                    unresolved(&lookup.host, lookup.rcode.as_deref(), lookup.timed_out, lookup.elapsed_us, error);
                let awake_us = lookup.elapsed_us.saturating_sub(facts.generator.stalled_us);
                if verdict.cause == Cause::DnsTimeout && awake_us >= AWAKE_US {
                    verdict.confidence = Confidence::Certain;
                }
                Some(verdict)
            }
            None if lookup.from_cache => None,
            None => slow(&lookup.host, lookup.elapsed_us),
        };
        if let Some(verdict) = found {
            findings.push(verdict.into());
        }
    }
}
